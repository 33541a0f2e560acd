"""Links into the cache: whether the objects they lead to are still what they were."""

from __future__ import annotations

import os

from vstore.cache.cache import Cache
from vstore.cache.loose import hash_file
from vstore.objects.digest import Digest, algorithm_of
from vstore.state import State, Verified
from vstore.workspace.scan import LINK, STAT_NUMBERS, Scan


class LinkedObjects:
    """What a work tree's symlinks into the cache stand for.

    An object is hashed once for each (inode, size, mtime): somebody may have written through a link.
    """

    def __init__(self, state: State, cache: Cache) -> None:
        self._state = state
        self._cache = cache
        self._verified: set[Verified] | None = None
        self._new: set[Verified] = set()

    def find(self, target: str) -> Digest | None:
        """Return the digest of the object that a link names, or None if it leads elsewhere."""
        return self._cache.find_linked(target)

    def read(self, digest: Digest, target: str) -> Digest:
        """Return the digest of what an object now is: another one if it was written to.  Raises OSError."""
        seen = _take(digest, target)
        if not self._is_known(seen):
            with open(target, "rb", buffering=0) as file:
                found, _ = hash_file(file.fileno(), algorithm_of(digest).name)
            if found != digest:
                return found
            self._new.add(seen)
        return digest

    def are_untouched(self, found: Scan) -> bool:
        """Tell whether nothing was written through any of a scan's links since they were last looked at."""
        for directory in found.directories:
            kinds = directory.stats[0::STAT_NUMBERS]
            for row in [row for row, kind in enumerate(kinds) if kind == LINK] if LINK in kinds else ():
                try:
                    target = os.readlink(found.root / directory.file_path(row))
                    digest = self.find(target)
                    # A link of a user's is relative; one that is not led into a cache that has moved since.
                    if os.path.isabs(target) if digest is None else not self._is_known(_take(digest, target)):
                        return False
                except OSError:
                    return False
        return True

    def save(self, *, wait: bool) -> None:
        """Remember what was hashed; ``wait`` as for the state."""
        if self._new:
            self._state.save_verified(self._new, wait=wait)
            self._new = set()

    def _is_known(self, seen: Verified) -> bool:
        if self._verified is None:
            self._verified = self._state.load_verified()
        return seen in self._verified or seen in self._new


def _take(digest: Digest, target: str) -> Verified:
    result = os.stat(target)
    return Verified(digest, result.st_ino, result.st_size, result.st_mtime_ns)
