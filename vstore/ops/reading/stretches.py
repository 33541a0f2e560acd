"""Stretches of one content, wherever it is: held in memory, a file here, or chunks at a remote."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import BinaryIO, Protocol

from vstore.errors import ChangedWhileReadError, CorruptError
from vstore.objects.digest import Digest
from vstore.objects.recipe import Chunk
from vstore.workspace.scan import take_stat

STEP_BYTES = 32 * 1024 * 1024
"""No more is asked of a remote at once: so much is in memory while a file is read."""
_FIRST_AHEAD_BYTES = 512 * 1024
ReadChunks = Callable[[Sequence[Digest]], Mapping[Digest, bytes]]


class Stretches(Protocol):
    """A content that is read by stretches.  Not for several threads, but several may be open on one content."""

    @property
    def size_bytes(self) -> int:
        """The length of the whole."""

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``: fewer at the end, and never more than is good to hold."""

    def list_needed(self, start: int, length: int) -> Sequence[Digest]:
        """Return what of a remote is needed for a stretch; nothing if it is all here."""

    def close(self) -> None:
        """Close what is open."""


class HeldStretches:
    """A content that is in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size_bytes(self) -> int:
        """The length of the whole."""
        return len(self._data)

    def read(self, start: int, length: int) -> bytes:
        """Return a stretch."""
        return self._data[start : start + length]

    def list_needed(self, _start: int, _length: int) -> Sequence[Digest]:
        """Return nothing: it is all here."""
        return ()

    def close(self) -> None:
        """Nothing is open."""


class FileStretches:
    """A content that is a verified file here; if it is touched while it is read, that is an error."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._numbers = take_stat(os.fstat(file.fileno()))
        self.size_bytes = os.fstat(file.fileno()).st_size

    def read(self, start: int, length: int) -> bytes:
        """Return a stretch.  Raises ChangedWhileReadError."""
        data = os.pread(self._file.fileno(), min(length, STEP_BYTES), start)
        if take_stat(os.fstat(self._file.fileno())) != self._numbers:
            raise ChangedWhileReadError(f"{self._file.name} was changed while it was read", path=str(self._file.name))
        return data

    def list_needed(self, _start: int, _length: int) -> Sequence[Digest]:
        """Return nothing: it is all here."""
        return ()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ChunkStretches:
    """A large content at a remote.  Only chunks that are needed are read; of who reads on, some ahead.

    ``read_chunks`` returns verified chunks.
    """

    def __init__(self, size_bytes: int, chunks: Sequence[Chunk], read_chunks: ReadChunks) -> None:
        self.size_bytes = size_bytes
        self._digests = [chunk.digest for chunk in chunks]
        self._ends = list(accumulate(chunk.size_bytes for chunk in chunks))
        self._read_chunks = read_chunks
        self._position = 0
        self._ahead_bytes = 0
        self._loaded_rows = 0
        if not self._ends or self._ends[-1] != size_bytes:
            raise CorruptError("a recipe makes up a content of another size than its tree or pointer says")

    def read(self, start: int, length: int) -> bytes:
        """Return a stretch.  Raises ObjectMissingError, RemoteUnavailableError."""
        end = min(self.size_bytes, start + min(length, STEP_BYTES))
        if start >= end:
            return b""
        first, last = self._rows(start, end)
        ahead = last
        if not start or start != self._position:
            self._ahead_bytes = self._loaded_rows = 0
        elif last >= self._loaded_rows:
            # Who went on where the last read ended will go on: each time twice as much is read ahead.
            self._ahead_bytes = min(STEP_BYTES, max(_FIRST_AHEAD_BYTES, 2 * self._ahead_bytes))
            _, ahead = self._rows(start, min(self.size_bytes, max(end, start + self._ahead_bytes)))
        self._position = end
        chunks = self._read_chunks(self._digests[first : ahead + 1])
        self._loaded_rows = max(self._loaded_rows, ahead + 1)
        data = b"".join([chunks[digest] for digest in self._digests[first : last + 1]])
        offset = self._ends[first - 1] if first else 0
        if len(data) != self._ends[last] - offset:
            raise CorruptError("a chunk has another length than its recipe says")
        return data[start - offset : end - offset]

    def list_needed(self, start: int, length: int) -> Sequence[Digest]:
        """Return the chunks that a stretch lies in."""
        end = min(self.size_bytes, start + length)
        if start >= end:
            return ()
        first, last = self._rows(start, end)
        return self._digests[first : last + 1]

    def _rows(self, start: int, end: int) -> tuple[int, int]:
        return bisect_right(self._ends, start), bisect_left(self._ends, end)

    def close(self) -> None:
        """Nothing is open."""
