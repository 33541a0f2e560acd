"""Large contents on their way from elsewhere, whose digests are known only when they are whole.

Each is put together in a file of ``partial/``.  What of it survives even a power cut is written beside it, so that an
interrupted download goes on from there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os

import xxhash

from vstore.cache.cache import Cache
from vstore.cache.writer import LargeCopy
from vstore.durable import open_alone, os_errors, temporary_name, write_atomic
from vstore.objects.digest import Buffer, Hasher

_FLUSH_BYTES = 64 * 1024 * 1024
_READ_BYTES = 1024 * 1024


class Arrival:
    """One content that is being put together, under a ``name`` that says what it is; "" for one that cannot go on.

    Whoever made it calls ``close``.  Where another command is at the same one, this begins on its own, from nothing.
    """

    def __init__(self, cache: Cache, name: str) -> None:
        self._cache = cache
        directory = cache.path / "partial"
        label = "import-" + xxhash.xxh3_128_hexdigest(name.encode(errors="surrogateescape"))
        self._path = directory / label
        self._note = directory / f"{label}-held"
        with os_errors(directory, "write"):
            directory.mkdir(exist_ok=True)
            file = open_alone(self._path) if name else None
            if file is None:
                self._path = directory / temporary_name()
                file = open(self._path, "x+b", buffering=0)  # noqa: SIM115 - closed by ``close``
        self._file = file
        self._is_shared_name = name != "" and self._path.name == label
        self.size_bytes = self._find_held()
        """How much is there."""
        self._flushed_bytes = self.size_bytes
        self._is_taken = False

    def close(self) -> None:
        """Keep what there is for the next attempt, unless it was taken or thrown away."""
        if not self._is_taken:
            if self._is_shared_name and self.size_bytes:
                with contextlib.suppress(OSError):
                    self._flush()
            else:
                self._path.unlink(missing_ok=True)
        self._file.close()

    def write(self, data: Buffer) -> None:
        """Append some bytes."""
        with os_errors(self._path, "write"):
            view = memoryview(data)
            while view:
                view = view[os.pwrite(self._file.fileno(), view, self.size_bytes + len(data) - len(view)) :]
            self.size_bytes += len(data)
            if self.size_bytes - self._flushed_bytes >= _FLUSH_BYTES:
                self._flush()

    def begin_anew(self) -> None:
        """Throw away what is there."""
        with os_errors(self._path, "write"):
            self._note.unlink(missing_ok=True)
            os.ftruncate(self._file.fileno(), 0)
        self.size_bytes = self._flushed_bytes = 0

    def finish(self, algorithm: str, *, with_md5: bool) -> tuple[LargeCopy, str]:
        """Return the whole as a copy for a cache's writer, and its MD5 in base64 if that is wanted.

        ``take`` says that the writer got it; until then it is kept.
        """
        hasher, md5 = Hasher(algorithm), hashlib.md5(usedforsecurity=False)
        descriptor = self._file.fileno()
        with os_errors(self._path, "read"):
            os.ftruncate(descriptor, self.size_bytes)
            position = 0
            while piece := os.pread(descriptor, _READ_BYTES, position):
                hasher.update(piece)
                if with_md5:
                    md5.update(piece)
                position += len(piece)
        copy = LargeCopy(self._path, descriptor, hasher.digest(), position)
        return copy, base64.b64encode(md5.digest()).decode() if with_md5 else ""

    def read_all(self) -> bytes:
        """Return what is there; for one that turned out to be small."""
        with os_errors(self._path, "read"):
            return os.pread(self._file.fileno(), self.size_bytes, 0)

    def take(self, copy: LargeCopy) -> LargeCopy:
        """Hand a finished copy over: it has a descriptor of its own, and nothing is kept here."""
        self._is_taken = True
        self._note.unlink(missing_ok=True)
        return copy._replace(descriptor=os.dup(copy.descriptor))

    def _find_held(self) -> int:
        if not self._is_shared_name:
            return 0
        with contextlib.suppress(FileNotFoundError, ValueError):
            held_bytes = int(self._note.read_text("ascii"))
            if 0 < held_bytes <= os.fstat(self._file.fileno()).st_size:
                return held_bytes
        return 0

    def _flush(self) -> None:
        os.fsync(self._file.fileno())
        if self._is_shared_name:
            write_atomic(self._note, str(self.size_bytes).encode())
        self._flushed_bytes = self.size_bytes
