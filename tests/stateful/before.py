"""Putting directories back to what they were, as often as a test likes: only what was touched is made anew."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path


class Before:
    """What a directory holds, kept beside it: files with their times and modes, links, and what is linked to what."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._kept = Path(tempfile.mkdtemp(dir=place.parent), place.name)
        self._found = _look(place)
        self._kept.mkdir()
        self._copy(self._found, place, self._kept)

    def restore(self) -> None:
        """Put the directory back."""
        now = _look(self._place)
        wrong = {path for path in {*now, *self._found} if _differ(now.get(path), self._found.get(path))}
        for path in sorted(wrong & now.keys(), reverse=True):
            if stat.S_ISDIR(now[path].st_mode):
                os.rmdir(self._place / path)
            else:
                os.unlink(self._place / path)
        self._copy({path: found for path, found in self._found.items() if path in wrong}, self._kept, self._place)
        for path, found in self._found.items():
            if stat.S_ISDIR(found.st_mode):
                os.utime(self._place / path, ns=(found.st_atime_ns, found.st_mtime_ns))
        self._found = _look(self._place)

    def forget(self) -> None:
        """Delete what was kept."""
        shutil.rmtree(self._kept.parent)

    def _copy(self, found: dict[str, os.stat_result], source: Path, target: Path) -> None:
        first: dict[int, Path] = {}
        for path in sorted(found):
            if stat.S_ISDIR(found[path].st_mode):
                (target / path).mkdir()
                shutil.copystat(source / path, target / path)
            elif (inode := found[path].st_ino) in first:
                os.link(first[inode], target / path, follow_symlinks=False)
            else:
                shutil.copy2(source / path, target / path, follow_symlinks=False)
                first[inode] = target / path


def _look(place: Path) -> dict[str, os.stat_result]:
    """Return the numbers of everything below a directory by its path, a directory before what is in it."""
    return dict(_iter_below(place, ""))


def _iter_below(place: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(place / prefix) as entries:
        for entry in entries:
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            yield path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from _iter_below(place, path)


def _differ(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    if one is None or other is None or stat.S_ISDIR(one.st_mode):
        return one is None or other is None or one.st_mode != other.st_mode
    return (one.st_ino, one.st_ctime_ns) != (other.st_ino, other.st_ctime_ns)
