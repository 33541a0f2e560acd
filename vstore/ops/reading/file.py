"""An open file of some version, as Python knows files: seekable, buffered, read-only."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from vstore.errors import CorruptError, InvalidError
from vstore.objects.digest import Digest, Hasher, algorithm_of
from vstore.ops.reading.node import Node
from vstore.ops.reading.stretches import Stretches

if TYPE_CHECKING:
    from collections.abc import Callable

_BUFFER_BYTES = 128 * 1024


class _RawFile(io.RawIOBase):
    """Reads stretch by stretch.  Who reads all of it, from first to last, has the proof of its digest."""

    def __init__(self, stretches: Stretches, digest: Digest | None, close: Callable[[], object]) -> None:
        self._stretches = stretches
        self._close = close
        self._digest = digest
        self._hasher = None if digest is None else Hasher(algorithm_of(digest).name)
        self._hashed_bytes = 0
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._stretches.size_bytes}.get(whence)
        if start is None:
            raise InvalidError(f"{whence} is no place to seek from")
        if start + offset < 0:
            raise InvalidError(f"there is no position {start + offset} in a file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        parts = []
        while part := self._take(self._stretches.size_bytes - self._position):
            parts.append(part)
        return b"".join(parts)

    def _take(self, length: int) -> bytes:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        data = self._stretches.read(self._position, max(0, length))
        if self._hasher is not None and self._position == self._hashed_bytes:
            self._hasher.update(data)
            self._hashed_bytes += len(data)
            if self._hashed_bytes == self._stretches.size_bytes and self._hasher.digest() != self._digest:
                raise CorruptError(f"the chunks of {self._digest} do not make it up", digest=self._digest)
        self._position += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._stretches.close()
            self._close()


class ReadFile(io.BufferedReader):
    """An open file.  ``digest`` names its content; it is None for a file that git keeps.

    Small reads come from a buffer of 128 KiB.  Several threads may use it, one at a time.
    """

    def __init__(self, node: Node, stretches: Stretches, *, prove: bool, close: Callable[[], object]) -> None:
        """``prove`` also hashes what is read from first to last; ``close`` is called when the file is closed."""
        super().__init__(_RawFile(stretches, node.digest if prove else None, close), _BUFFER_BYTES)
        self.path = node.path
        self.digest = node.digest
        self.size = stretches.size_bytes  # as fsspec and those who use it call it

    @property
    def name(self) -> str:
        """The path, relative to the repository."""
        return self.path
