"""One SFTP session, with many requests under way at once.

Why not paramiko's own client: it searches all that it holds for every block that it reads ahead (5 MB/s from a server
next door), hides which extensions a server has, and drops the codes of its refusals.
"""

from __future__ import annotations

import contextlib
import errno
import io
import posixpath
import stat
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from vstore.remote.fsspec_transport.sftp import packets
from vstore.remote.fsspec_transport.sftp.packets import (
    Attributes,
    _AbsentError,
    _RefusedError,
    path_string,
    string,
    uint32,
    uint64,
)
from vstore.remote.transport import Buffer

UNDER_WAY_BYTES = 4 * 1024 * 1024
"""How much is asked for, or sent, before it is answered: 80 MB/s with round trips of 50 ms."""

_LONGEST_PACKET = 1024 * 1024
_USUAL_BLOCK = 32 * 1024  # what every server takes
_LARGEST_BLOCK = 128 * 1024  # OpenSSH takes 255 KiB, which is not faster
_LISTINGS_AHEAD = 8  # OpenSSH puts a hundred names into one answer

# What a file system says that has nothing to flush, or cannot.
_NO_FLUSHING = {errno.EINVAL, errno.ENOTSUP}


class _Block(NamedTuple):
    number: int
    start: int
    size_bytes: int


class Session:
    """An SFTP session on ``channel``: a channel of a connection, on which the server's SFTP was started.

    For one thread at a time; paths are the server's.  Where the server answers no, a method raises _RefusedError and
    the session goes on; whatever else is raised leaves it unusable.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._received = bytearray()
        self._last = 0
        self._under_way: set[int] = set()
        self._answers: dict[int, tuple[int, bytes]] = {}
        self._send(packets.INIT, uint32(packets.VERSION))
        kind, body = self._receive()
        if kind != packets.VERSION_IS:
            raise ConnectionAbortedError(errno.ECONNABORTED, "what answers speaks no SFTP")
        self._extensions = packets.read_extensions(body)
        self._read_block = self._write_block = _USUAL_BLOCK
        if packets.LIMITS in self._extensions:
            asked = self._request(packets.EXTENDED, string(packets.LIMITS))
            limits = packets.read_limits(self._answer(asked, packets.EXTENDED_REPLY))
            self._read_block, self._write_block = (min(limit or _USUAL_BLOCK, _LARGEST_BLOCK) for limit in limits)

    def close(self) -> None:
        """End the session."""
        self._channel.close()

    def find(self, path: str) -> Attributes | None:
        """Return what is at a path, symlinks followed, or None where nothing is."""
        try:
            body = self._answer(self._request(packets.STAT, path_string(path)), packets.ATTRS)
        except FileNotFoundError:
            return None
        return packets.read_attributes(body)[0]

    def find_free_bytes(self, path: str) -> int | None:
        """Return how much room there is for us, or None where the server does not tell."""
        if packets.STATVFS not in self._extensions:
            return None
        asked = self._request(packets.EXTENDED, string(packets.STATVFS), path_string(path))
        return packets.read_free_bytes(self._answer(asked, packets.EXTENDED_REPLY))

    def list(self, path: str) -> Sequence[tuple[str, Attributes]]:
        """Return what is in a folder, each symlink as itself.  Raises FileNotFoundError."""
        handle = self._answer_handle(self._request(packets.OPENDIR, path_string(path)))
        found: list[tuple[str, Attributes]] = []
        asked: deque[int] = deque()
        try:
            while True:
                while len(asked) < _LISTINGS_AHEAD:
                    asked.append(self._request(packets.READDIR, handle))
                found += packets.iter_names(self._answer(asked.popleft(), packets.NAME))
        except EOFError:
            return found
        finally:
            self._let_go(handle, asked)

    def read(self, path: str, start: int = 0, length: int | None = None) -> tuple[Attributes, bytes]:
        """Return what a file is, and its content, or that of a range if the file holds all of it.

        Raises FileNotFoundError, also for what is no file.
        """
        handle = self._answer_handle(self._request(packets.OPEN, path_string(path), packets.TO_READ))
        asked_what = self._request(packets.FSTAT, handle)
        asked: deque[_Block] = deque()
        try:
            # Before it is known what the file holds: that saves a round trip.
            end = start + (self._read_block if length is None else length)
            after = self._read_ahead(asked, handle, start, end)
            what = packets.read_attributes(self._answer(asked_what, packets.ATTRS))[0]
            if not stat.S_ISREG(what.mode):
                raise _AbsentError(errno.ENOENT, "no file")
            end = what.size_bytes if length is None else end
            if end > what.size_bytes:
                return what, b""
            content = io.BytesIO()
            while (missing := end - start - content.tell()) > 0:
                after = self._read_ahead(asked, handle, after, end)
                number, at, size_bytes = asked.popleft()
                block = self._answer_data(number)
                content.write(block)
                if not block:
                    break  # it became shorter meanwhile
                if len(block) < min(size_bytes, missing):
                    # Servers may send less than was asked for; the rest comes before what follows.
                    at, size_bytes = at + len(block), size_bytes - len(block)
                    asked.appendleft(self._request_block(handle, at, size_bytes))
            return what, content.getvalue()
        finally:
            self._let_go(handle, [asked_what, *(block.number for block in asked)])

    def write(self, path: str, data: Buffer, *, temporary: str) -> None:
        """Write a file under a temporary name in the same folder, flush it, move it into place, and flush its name.

        What the server cannot flush is not flushed; where it cannot replace, the old file is put aside just before.
        Raises FileNotFoundError where there is no folder; after other errors the temporary file may be there.
        """
        asked_folder = self._request(packets.OPEN, path_string(posixpath.dirname(path) or "."), packets.TO_READ)
        asked_file = self._request(packets.OPEN, path_string(temporary), packets.TO_CREATE)
        folder = None
        with contextlib.suppress(_RefusedError):  # not every server opens folders
            folder = self._answer_handle(asked_folder)
        try:
            self._write_content(self._answer_handle(asked_file), memoryview(data).cast("B"))
            if packets.POSIX_RENAME not in self._extensions:
                self._replace_in_steps(temporary, path)
                return
            asked_move = self._request_move(temporary, path)
            asked_flush = self._request_flush(folder) if folder else []
            self._answer_status(asked_move)
            for number in asked_flush:
                with contextlib.suppress(_RefusedError):
                    self._answer_status(number)
        finally:
            if folder:
                self._let_go(folder, [])

    def make_folder(self, path: str) -> None:
        """Make a folder.  Raises FileNotFoundError if there is none to make it in, _RefusedError where one is."""
        self._answer_status(self._request(packets.MKDIR, path_string(path), packets.NO_ATTRIBUTES))

    def remove(self, path: str) -> None:
        """Delete a file.  Raises FileNotFoundError."""
        self._answer_status(self._request(packets.REMOVE, path_string(path)))

    def _write_content(self, handle: bytes, content: memoryview) -> None:
        asked: deque[int] = deque()
        try:
            for start in range(0, len(content), self._write_block):
                if len(asked) * self._write_block >= UNDER_WAY_BYTES:
                    self._answer_status(asked.popleft())
                block = string(content[start : start + self._write_block])
                asked.append(self._request(packets.WRITE, handle, uint64(start), block))
            asked_flush = self._request_flush(handle)
            asked_what = self._request(packets.FSTAT, handle)
            while asked:
                self._answer_status(asked.popleft())
            for number in asked_flush:
                self._answer_flush(number)
            size_bytes = packets.read_attributes(self._answer(asked_what, packets.ATTRS))[0].size_bytes
            if size_bytes != len(content):
                raise _RefusedError(errno.EIO, f"{size_bytes} bytes arrived instead of {len(content)}")
        except BaseException:
            self._let_go(handle, asked)
            raise
        # Some file systems tell only now that they could not write.
        self._answer_status(self._request(packets.CLOSE, handle))

    def _replace_in_steps(self, temporary: str, path: str) -> None:
        try:
            self._answer_status(self._request_move(temporary, path))
        except _RefusedError:
            if self.find(path) is None:
                raise
            aside = f"{temporary}-old"
            self._answer_status(self._request_move(path, aside))
            try:
                self._answer_status(self._request_move(temporary, path))
            except _RefusedError:
                self._answer_status(self._request_move(aside, path))
                raise
            self.remove(aside)

    def _request_move(self, old: str, new: str) -> int:
        if packets.POSIX_RENAME in self._extensions:
            return self._request(packets.EXTENDED, string(packets.POSIX_RENAME), path_string(old), path_string(new))
        return self._request(packets.RENAME, path_string(old), path_string(new))

    def _request_flush(self, handle: bytes) -> Sequence[int]:
        if packets.FSYNC not in self._extensions:
            return []
        return [self._request(packets.EXTENDED, string(packets.FSYNC), handle)]

    def _answer_flush(self, number: int) -> None:
        try:
            self._answer_status(number)
        except _RefusedError as refusal:
            if refusal.errno not in _NO_FLUSHING:
                raise

    def _read_ahead(self, asked: deque[_Block], handle: bytes, start: int, end: int) -> int:
        while start < end and len(asked) * self._read_block < UNDER_WAY_BYTES:
            asked.append(self._request_block(handle, start, min(self._read_block, end - start)))
            start += self._read_block
        return start

    def _request_block(self, handle: bytes, start: int, size_bytes: int) -> _Block:
        number = self._request(packets.READ, handle, uint64(start), uint32(size_bytes))
        return _Block(number, start, size_bytes)

    def _let_go(self, handle: bytes, asked: Iterable[int]) -> None:
        """Close a handle, and drop the answers to what was asked with it; the connection may be broken already."""
        for number in asked:
            self._under_way.discard(number)
            self._answers.pop(number, None)
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._under_way.discard(self._request(packets.CLOSE, handle))

    # Requests and answers.

    def _request(self, kind: int, *fields: bytes) -> int:
        self._last = number = (self._last + 1) & 0xFFFFFFFF
        self._under_way.add(number)
        self._send(kind, uint32(number), *fields)
        return number

    def _answer(self, number: int, wanted: int) -> bytes:
        """Return what an answer of the wanted kind holds.  Raises _RefusedError, and EOFError where something ends."""
        while number not in self._answers:
            kind, body = self._receive()
            (answered,) = struct.unpack_from(">I", body)
            if answered in self._under_way:
                self._answers[answered] = kind, body[4:]
        self._under_way.remove(number)
        kind, body = self._answers.pop(number)
        if kind == packets.STATUS:
            packets.check_status(body)
        if kind != wanted:
            raise ConnectionAbortedError(errno.ECONNABORTED, "an answer of another kind")
        return body

    def _answer_status(self, number: int) -> None:
        self._answer(number, packets.STATUS)

    def _answer_handle(self, number: int) -> bytes:
        """Return a handle as it stands in requests."""
        handle, _ = packets.read_string(self._answer(number, packets.HANDLE))
        return string(handle)

    def _answer_data(self, number: int) -> bytes:
        """Return the bytes of a block; none behind the end of a file."""
        try:
            return packets.read_string(self._answer(number, packets.DATA))[0]
        except EOFError:
            return b""

    # Packets.

    def _send(self, kind: int, *fields: bytes) -> None:
        body = b"".join(fields)
        try:
            self._channel.sendall(struct.pack(">IB", len(body) + 1, kind) + body)
        except TimeoutError:
            raise
        except (OSError, EOFError) as error:
            raise _lost() from error

    def _receive(self) -> tuple[int, bytes]:
        size_bytes, kind = struct.unpack(">IB", self._take(5))
        if not 0 < size_bytes <= _LONGEST_PACKET:
            raise ConnectionAbortedError(errno.ECONNABORTED, "what answers speaks no SFTP")
        return kind, self._take(size_bytes - 1)

    def _take(self, size_bytes: int) -> bytes:
        while len(self._received) < size_bytes:
            data = self._channel.recv(UNDER_WAY_BYTES)
            if not data:
                raise _lost()
            self._received += data
        taken = bytes(self._received[:size_bytes])
        del self._received[:size_bytes]
        return taken


def _lost() -> ConnectionError:
    return ConnectionResetError(errno.ECONNRESET, "the connection was lost")
