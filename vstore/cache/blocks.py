"""Blocks: pieces of contents that were read from a remote, kept for a while beside the cache.

Everything here is a hint and may be deleted at any time.  A block proves itself by its digest, and what cannot be
written is not kept.  The size is bounded: what was not used for longest goes first.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from vstore.cache.loose import object_path
from vstore.durable import is_temporary, temporary_name
from vstore.objects.digest import Digest, has_digest

_SLACK = 8
"""An eighth of the limit is written between two looks at what there is, and freed beyond what must be."""


class BlockCache:
    """A directory of blocks, of about ``limit_bytes`` at most.  Several processes and threads may share it."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self.directory = directory
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._unseen_bytes = limit_bytes  # what other processes left is looked at first
        self._made: set[str] = set()

    def find(self, digest: Digest) -> bytes | None:
        """Return a block, verified; None if it is not there, or damaged."""
        path = object_path(self.directory, digest)
        try:
            with open(path, "rb", buffering=0) as file:
                data = file.read()
            os.utime(path)
        except OSError:
            return None
        return data if has_digest(data, digest) else None

    def keep(self, digest: Digest, data: bytes) -> None:
        """Keep a block for a while, if there is room for any."""
        if len(data) > self._limit_bytes // _SLACK:
            return
        path = object_path(self.directory, digest)
        folder = os.path.dirname(path)
        temporary = f"{folder}/{temporary_name()}"
        with contextlib.suppress(OSError):
            if folder not in self._made:
                os.makedirs(folder, exist_ok=True)
                self._made.add(folder)
            try:
                with open(temporary, "xb", buffering=0) as file:
                    file.write(data)
                os.replace(temporary, path)  # not flushed: a torn one fails its digest
            except BaseException:
                self._made.discard(folder)
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
            self._count(len(data))

    def _count(self, written_bytes: int) -> None:
        with self._lock:
            self._unseen_bytes += written_bytes
            if self._unseen_bytes * _SLACK < self._limit_bytes:
                return
            self._unseen_bytes = 0
        self.trim()

    def trim(self) -> None:
        """Delete what was not used for longest, and what a crash left, until the rest fits with some room to spare."""
        found: list[tuple[float, int, str]] = []
        for folder, _, names in os.walk(self.directory):
            for name in names:
                path = f"{folder}/{name}"
                with contextlib.suppress(OSError):
                    held = os.stat(path)
                    found.append((0.0 if is_temporary(name) else held.st_mtime, held.st_size, path))
        excess = sum(size for _, size, _ in found) - (self._limit_bytes - self._limit_bytes // _SLACK)
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
                excess -= size
