"""Stores without folders, as buckets are: one request for each call, watched, verified, and continued where it broke.

Credentials and connections are those of a driver; how a request of each kind is made is said by the room of a store.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import math
import os
import time
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, TypeVar

from fsspec.asyn import sync

from vstore.errors import Cause, ChangedWhileReadError, CorruptError, KeyNotFoundError, RemoteUnavailableError
from vstore.remote.fsspec_transport.causes import find_answer
from vstore.remote.fsspec_transport.failures import is_passing, no_place
from vstore.remote.fsspec_transport.transport import SLOWEST_BYTES_PER_S, FsspecTransport
from vstore.remote.transport import Buffer, Key, Listed, check_beginning, check_key, check_prefix, is_key

Result = TypeVar("Result")

CONNECT_S = 10.0
"""A server that does not take a connection within this, or the time for silence if that is shorter, is given up."""
_PIECE_BYTES = 256 * 1024
_MOST_HELD_BYTES = 8 * 1024 * 1024
"""Of an upload, so much may be in buffers of the system on its way when all of it was taken from us."""
_WORTH_GOING_ON_BYTES = 64 * 1024
"""A read that broke after less than this begins again, after a pause, as every request that failed."""
_MOST_WHOLE_BYTES = 512 * 1024 * 1024
"""Nothing that is read whole is longer; a server that says so is not believed."""
_PRECONDITION_FAILED = 412


class Stored(NamedTuple):
    """An object by its name in the bucket.

    ``lock`` names its version, and ``md5`` is that of its content, in base64; "" where the server does not tell.
    ``version`` is under what the bucket keeps it also when it is replaced, "" where it does not or that is not told.
    """

    name: str
    size_bytes: int
    modified_s: float
    lock: str = ""
    md5: str = ""
    version: str = ""


class Page(NamedTuple):
    """A part of a listing, and where the next page begins, None at the end."""

    objects: Iterable[Stored]
    following: str | None


class Content(NamedTuple):
    """An object, or a range of one, on its way: its length as the server tells it, then its bytes.

    ``md5`` is that of the whole object, in base64, ``lock`` its version; "" where the server does not tell it.
    """

    size_bytes: int
    pieces: AsyncIterable[bytes]
    md5: str = ""
    lock: str = ""


class FlatTransport(FsspecTransport):
    """Objects below a folder of a bucket.

    A write of which no byte is taken for ``timeout_s``, and a read of which none comes, is given up; a read that broke
    goes on where it stopped as long as it gets ahead.  The checksum of an upload goes with it, for the server to
    compare, and is compared with what the server says that it wrote.
    """

    def __init__(self, filesystem: Any, root: str, *, url: str, timeout_s: float) -> None:
        super().__init__(filesystem, root, url=url, timeout_s=timeout_s)
        self._bucket, _, folder = self._root.partition("/")
        self._folder = f"{folder}/" if folder else ""

    @abstractmethod
    async def _get_page(self, prefix: str, page: str | None) -> Page:
        """List what begins with a prefix, without regard to folders."""

    @abstractmethod
    async def _look(self, name: str, version: str = "") -> Stored:
        """Return what an object is, now or in a version that the bucket keeps."""

    @abstractmethod
    def _open(
        self, name: str, wanted: str | None, lock: str = "", version: str = ""
    ) -> AbstractAsyncContextManager[Content]:
        """Ask for an object, or for the ``wanted`` range of it, as HTTP words it; with ``lock`` only if it is that."""

    @abstractmethod
    async def _put(self, key: Key, body: Body, checksum: str) -> str:
        """Upload an object, and return the checksum of what the server says that it wrote, "" where it does not."""

    @abstractmethod
    async def _remove(self, name: str) -> None:
        """Delete an object."""

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        return self._list(prefix)

    def list_beginning(self, start: str) -> Iterator[Listed]:
        check_beginning(start)
        return self._list(start)

    def _list(self, start: str) -> Iterator[Listed]:
        for stored in self.iter_stored(self._folder + start):
            key = stored.name.removeprefix(self._folder)
            if is_key(key):
                yield Listed(key, stored.size_bytes, stored.modified_s)

    def iter_stored(self, start: str) -> Iterator[Stored]:
        """Yield the objects whose names in the bucket begin so, whatever they are called."""
        page: str | None = None
        shown = start.removeprefix(self._folder)
        while True:
            try:
                with self._foreign_errors(f"list {shown or 'everything'}", shown):
                    objects, following = self._wait(self._get_page, start, page)
            except KeyNotFoundError as error:
                # A bucket that is not there is no empty one, in whatever words a server says so.
                raise no_place(self.url) from error
            yield from (stored for stored in objects if stored.name.startswith(start))
            if following is None:
                return
            if following in ("", page):
                message = f"{self.url} does not end its listing of {shown}"
                raise RemoteUnavailableError(message, cause=Cause.STRANGE_ANSWER, url=self.url)
            page = following

    def find_stored(self, name: str, version: str = "") -> Stored | None:
        """Return an object by its name in the bucket, or a version that it keeps of it; None where it is absent."""
        try:
            with self._foreign_errors(f"look for {name}", name):
                return self._wait(self._look, name, version)
        except KeyNotFoundError:
            return None

    def read_stored(self, stored: Stored, start: int, length: int) -> bytes:
        """Return a range of one version of an object.  Raises KeyNotFoundError, ChangedWhileReadError."""
        with self._foreign_errors(f"read {stored.name}", stored.name):
            try:
                return self._wait(self._receive, stored.name, start, length, stored.lock, stored.version)
            except Exception as error:
                if find_answer(error).status == _PRECONDITION_FAILED:
                    raise _changed(self.url, stored.name) from error
                raise

    @property
    def folder(self) -> str:
        """The name in the bucket that the URL names, with a slash behind it; "" for the bucket itself."""
        return self._folder

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        stored = self.find_stored(self._folder + key)
        return None if stored is None else stored.size_bytes

    def delete(self, key: Key) -> None:
        check_key(key)
        with contextlib.suppress(KeyNotFoundError), self._foreign_errors(f"delete {key}", key):
            self._wait(self._remove, self._folder + key)

    def names(self) -> Sequence[str]:
        with self._foreign_errors("list everything", ""):
            found = self._wait(self._get_page, self._folder, None)[0]
        return sorted({each.name.removeprefix(self._folder).partition("/")[0] for each in found})

    def _wait(self, call: Callable[..., Coroutine[Any, Any, Result]], *arguments: Any) -> Result:
        result: Result = sync(self._filesystem.loop, call, *arguments)
        return result

    def _read(self, key: Key) -> bytes:
        return self._wait(self._receive, self._folder + key, 0, None)

    def _read_range(self, key: Key, start: int, length: int) -> bytes:
        return self._wait(self._receive, self._folder + key, start, length)

    async def _receive(self, name: str, start: int, length: int | None, lock: str = "", version: str = "") -> bytes:
        """Read a range, or all if ``length`` is None; what arrived before a connection broke is not asked for again."""
        key = name.removeprefix(self._folder)
        pieces: list[bytes] = []
        got = 0
        md5 = ""
        while length is None or got < length:
            before, began_s = got, time.monotonic()
            wanted = None if length is None else f"bytes={start + got}-{start + length - 1}"
            try:
                async with self._open(name, wanted, lock, version) as content:
                    if lock and content.lock not in ("", lock):
                        raise _changed(self.url, key)
                    if length is None:
                        md5 = content.md5
                    length = self._check_length(key, content, got, length)
                    async for piece in content.pieces:
                        pieces.append(piece)
                        got += len(piece)
                        if time.monotonic() - began_s > self._timeout_s + (got - before) / SLOWEST_BYTES_PER_S:
                            raise TimeoutError  # it drips
                        if got > length:
                            raise self._strange(key, f"more than {length}", length)
                if got < length:
                    raise ConnectionResetError
            except Exception as error:
                if got - before < _WORTH_GOING_ON_BYTES or not is_passing(error):
                    raise
        data = b"".join(pieces)
        if md5 and md5 != md5_of(data):
            message = f"{self.url} sent other bytes of {key} than it says that it has"
            raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)
        return data

    def _check_length(self, key: Key, content: Content, got: int, length: int | None) -> int:
        """Return how long the whole will be.  Raises where the answer is not what was asked for, before it is read."""
        if length is None:
            if content.size_bytes > _MOST_WHOLE_BYTES:
                raise CorruptError(f"{key} is too long to be what it should be", key=key)
            return content.size_bytes
        if content.size_bytes != length - got:
            raise self._strange(key, str(content.size_bytes), length - got)
        return length

    def _strange(self, key: Key, told: str, length: int) -> RemoteUnavailableError:
        message = f"{self.url} sends {told} bytes of {key} instead of {length}"
        return RemoteUnavailableError(message, cause=Cause.STRANGE_ANSWER, url=self.url)

    def _write(self, key: Key, data: Buffer) -> None:
        checksum = self._checksum(data)
        if self._wait(self._send, key, Body(data), checksum) not in ("", checksum):
            message = f"{self.url} says that it wrote other bytes than were sent as {key}"
            raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)

    def _checksum(self, data: Buffer) -> str:
        """Return the checksum that the store compares, as it is written in headers."""
        return md5_of(data)

    async def _send(self, key: Key, body: Body, checksum: str) -> str:
        writing = asyncio.ensure_future(self._put(key, body, checksum))
        try:
            # aiohttp watches only what it reads: once all is sent, it takes over.
            while not (await asyncio.wait([writing], timeout=self._timeout_s / 4))[0]:
                if body.idle_s() > self._timeout_s:
                    raise TimeoutError
            return writing.result()
        finally:
            writing.cancel()


def _changed(url: str, name: str) -> ChangedWhileReadError:
    return ChangedWhileReadError(f"{name} at {url} changed while it was read", path=name, url=url)


class Body:
    """The bytes of an upload: read by a driver to sign them, then taken piece by piece by aiohttp to send them."""

    def __init__(self, data: Buffer) -> None:
        self._view = memoryview(data)
        self._position = 0
        self._moved_s = math.inf

    def __len__(self) -> int:
        return len(self._view)

    @property
    def held_s(self) -> float:
        """How long the system may take to send what it holds when all was taken from us: the answer comes later."""
        return min(len(self), _MOST_HELD_BYTES) / SLOWEST_BYTES_PER_S

    def idle_s(self) -> float:
        """Return how long ago a piece was taken to be sent; less than nothing before the first and after the last."""
        return time.monotonic() - self._moved_s

    def tell(self) -> int:
        """Return where it is read next."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere else, as in a file."""
        base = (0, self._position, len(self._view))[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> memoryview:
        """Return what comes next: a view, not a copy."""
        end = len(self._view) if size < 0 else self._position + size
        piece = self._view[self._position : end]
        self._position += len(piece)
        return piece

    def __aiter__(self) -> AsyncIterator[Buffer]:
        return self.between(b"", b"")

    async def between(self, head: bytes, tail: bytes) -> AsyncIterator[Buffer]:
        """Send the bytes with something before and something behind them."""
        self.seek(0)
        middle: Iterator[Buffer] = iter(lambda: self.read(_PIECE_BYTES), memoryview(b""))
        for piece in itertools.chain([head], middle, [tail]):
            if piece:
                self._moved_s = time.monotonic()
                yield piece
        self._moved_s = math.inf


def md5_of(data: Buffer) -> str:
    """Return the MD5 of some bytes, in base64: what stores of objects compare, against accidents only."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


async def read_all(pieces: AsyncIterable[bytes], most_bytes: int) -> bytes:
    """Return an answer that is no object.  Raises ValueError if it is longer than any such answer."""
    data = bytearray()
    async for piece in pieces:
        data += piece
        if len(data) > most_bytes:
            raise ValueError
    return bytes(data)
