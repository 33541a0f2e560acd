"""Reading from web servers of either kind: whole objects, parts of them, and what is below a folder."""

from __future__ import annotations

import contextlib
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vstore.errors import Cause, CorruptError, KeyNotFoundError, RemoteUnavailableError, VstoreError
from vstore.remote.fsspec_transport.failures import from_foreign
from vstore.remote.transport import (
    Key,
    Listed,
    Transport,
    check_covers,
    check_key,
    check_prefix,
    check_range,
    is_key,
    is_leftover,
)

if TYPE_CHECKING:
    from vstore.remote.fsspec_transport.http.connections import Answer, Connections

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")
_WORTH_GOING_ON_BYTES = 64 * 1024
"""A read that broke after less than this begins again, after a pause, as every request that failed."""
_MOST_WHOLE_BYTES = 512 * 1024 * 1024
"""Nothing that is read whole is longer; a server that says so is not believed."""
_MOST_FOLDERS = 100_000
_NO_HEADERS: Mapping[str, str] = {}


class Found(NamedTuple):
    """What a server lists in a folder; ``size_bytes`` is None where it does not tell the exact size."""

    name: str
    is_folder: bool
    size_bytes: int | None
    modified_s: float


class HttpTransport(Transport):
    """Objects below a folder of a web server.

    A read that broke goes on where it stopped as long as it gets ahead.  Where a server ignores ranges, what comes
    before the range is received and dropped.
    """

    def __init__(self, connections: Connections) -> None:
        self.url = connections.address.shown
        self._connections = connections

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        for folder, files in self._iter_folders(prefix):
            yield from self._complete(folder, [file for file in files if is_key(folder + file.name)])

    def _iter_folders(self, prefix: str) -> Iterator[tuple[str, Sequence[Found]]]:
        """Yield folders with the objects in them, and with what is left of writers that died."""
        folders, seen = [prefix], 0
        while folders:
            folder = folders.pop()
            seen += 1
            if seen > _MOST_FOLDERS:
                raise RemoteUnavailableError(f"{self.url} lists folders without end", url=self.url)
            files = []
            for found in self._scan(folder):
                path = folder + found.name
                if "/" in found.name or not (is_key(path) or is_leftover(path)):
                    continue
                if not found.is_folder:
                    files.append(found)
                elif is_key(path):
                    folders.append(f"{path}/")
            yield folder, files

    def read(self, key: Key) -> bytes:
        check_key(key)
        return self._get(key, 0, None)

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        check_range(key, start, length)
        if length:
            return self._get(key, start, length)
        # HTTP has no empty range.
        self._check_covers(key, start, length)
        return b""

    def close(self) -> None:
        self._connections.close()

    @abstractmethod
    def _scan(self, folder: str) -> Iterable[Found]:
        """Return what lies directly in a folder, also what is not ours; nothing where it is absent."""

    def _complete(self, folder: str, files: Sequence[Found]) -> Iterator[Listed]:
        """Yield files with their sizes; one that is gone meanwhile is left out."""
        for file in files:
            key = folder + file.name
            size_bytes = self.find_size(key) if file.size_bytes is None else file.size_bytes
            if size_bytes is not None:
                yield Listed(key, size_bytes, file.modified_s)

    @contextlib.contextmanager
    def _ask(
        self, method: str, key: str, headers: Mapping[str, str] = _NO_HEADERS, *, action: str, **more: Any
    ) -> Iterator[Answer]:
        """Send a request; ``action`` completes "could not ..." where it fails."""
        try:
            with self._connections.ask(method, key, headers, **more) as answer:
                yield answer
        except VstoreError:
            raise
        except Exception as error:
            raise from_foreign(error, self.url, action, key) from error

    def _get(self, key: Key, start: int, length: int | None) -> bytes:
        """Read a range, or all if ``length`` is None; what arrived before a connection broke is not asked for again."""
        pieces: list[bytes] = []
        got = 0
        while True:
            before = got
            try:
                with self._get_rest(key, start + got, None if length is None else length - got) as (answer, size):
                    length = None if size is None else got + size
                    for piece in answer:
                        pieces.append(piece)
                        got += len(piece)
                        self._check_got(key, got, length)
                if length is None or got == length:
                    return b"".join(pieces)
                message = f"{self.url} sent {got} bytes of {key} instead of {length}"
                raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)
            except RemoteUnavailableError as error:
                if length is None or got - before < _WORTH_GOING_ON_BYTES or not error.retryable:
                    raise

    @contextlib.contextmanager
    def _get_rest(self, key: Key, start: int, length: int | None) -> Iterator[tuple[Iterator[bytes], int | None]]:
        """Ask for a range, up to the end if ``length`` is None; yield its pieces, and its length if that is known."""
        end = "" if length is None else start + length - 1
        headers = {"Range": f"bytes={start}-{end}"} if start or length is not None else {}
        with self._ask("GET", key, headers, action=f"read {key}", expected=(416,)) as answer:
            if answer.status == 206 or answer.status == 416:
                first, last, total = parse_range(answer.headers.get("Content-Range", ""))
                if length is not None and total is not None:
                    check_covers(key, total, start, length)
                wanted = length if length is not None else None if total is None else total - start
                if first != start or wanted is None or last != start + wanted - 1:
                    self._check_covers(key, start, length or 0)
                    raise RemoteUnavailableError(f"{self.url} sends another part of {key} than asked for", url=self.url)
                if length is None and start + wanted > _MOST_WHOLE_BYTES:
                    raise CorruptError(f"{key} is too long to be what it should be", key=key)
                yield answer.iter_pieces(), wanted
            elif length is None and not start:
                if answer.size_bytes is not None and answer.size_bytes > _MOST_WHOLE_BYTES:
                    raise CorruptError(f"{key} is too long to be what it should be", key=key)
                yield answer.iter_pieces(), answer.size_bytes
            else:
                # The server knows no ranges and sends the whole.
                if answer.size_bytes is None:
                    raise RemoteUnavailableError(f"{self.url} does not tell how long {key} is", url=self.url)
                wanted = answer.size_bytes - start if length is None else length
                check_covers(key, answer.size_bytes, start, wanted)
                yield _cut(answer.iter_pieces(), start, wanted), wanted

    def _probe_size(self, key: Key) -> int:
        """Return how long an object is, by asking for its first byte."""
        with self._ask("GET", key, {"Range": "bytes=0-0"}, action=f"look for {key}", expected=(416,)) as answer:
            total = parse_range(answer.headers.get("Content-Range", ""))[2]
            size_bytes = answer.size_bytes if answer.status == 200 else total
        if size_bytes is None:
            raise RemoteUnavailableError(f"{self.url} does not tell how long {key} is", url=self.url)
        return size_bytes

    def _check_got(self, key: Key, got: int, length: int | None) -> None:
        if got > (_MOST_WHOLE_BYTES if length is None else length):
            raise RemoteUnavailableError(f"{self.url} sends {key} without end", url=self.url)

    def _check_covers(self, key: Key, start: int, length: int) -> None:
        size_bytes = self.find_size(key)
        if size_bytes is None:
            raise KeyNotFoundError(f"{self.url} has no {key}", key=key)
        check_covers(key, size_bytes, start, length)


def parse_range(text: str) -> tuple[int | None, int | None, int | None]:
    """Return the first and the last byte, and the length of the whole, as far as a server tells."""
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None:
        return None, None, None
    first, last, total = (None if number in (None, "*") else int(number) for number in match.groups())
    return first, last, total


def _cut(pieces: Iterator[bytes], start: int, length: int) -> Iterator[bytes]:
    """Yield ``length`` bytes from ``start``; what comes before them is dropped, and what follows is not read."""
    end, position = start + length, 0
    for piece in pieces:
        if position + len(piece) > start:
            yield piece[max(0, start - position) : end - position]
        position += len(piece)
        if position >= end:
            return
