"""Files of this machine as an origin, known by date and size."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from vstore.remote.origin import Item, Origin, dated_lock, find_obstacle
from vstore.remote.transport import from_os_error

_ABSENT = (FileNotFoundError, NotADirectoryError)
# A FIFO must not stop us.
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class DirectoryOrigin(Origin):
    """What a path names: a file, or the files of a directory.

    A symlink to a file is that file; one to a directory is not followed, as it could lead anywhere, also in circles.
    """

    is_watchful = True

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._root = path

    def look(self, path: str) -> Item | None:
        try:
            found = os.stat(self._root / path)
        except _ABSENT:
            return None
        except OSError as error:
            raise from_os_error(error, self.url, f"look for {path}" if path else "look") from error
        return _item(path, found) if stat.S_ISREG(found.st_mode) else None

    def list(self) -> Iterator[Item]:
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self._root / folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(f"{folder}{entry.name}/")
                        elif (item := self._find(folder + entry.name, is_link=entry.is_symlink())) is not None:
                            yield item
            except _ABSENT as error:
                if not folder:
                    item = self._find("", is_link=os.path.islink(self._root))
                    yield from () if item is None else (item,)
                    return
                raise from_os_error(error, self.url, f"list {folder}") from error
            except OSError as error:
                raise from_os_error(error, self.url, f"list {folder or 'everything'}") from error

    def _find(self, path: str, *, is_link: bool) -> Item | None:
        """Return what is no directory; None where it went away meanwhile."""
        try:
            found = os.stat(self._root / path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return Item(path, None, "", obstacle=find_obstacle(None, is_link=True)) if is_link else None
        obstacle = find_obstacle(found.st_mode, is_link=is_link)
        return Item(path, None, "", obstacle=obstacle) if obstacle else _item(path, found)

    def read(self, item: Item, start: int, length: int) -> bytes:
        try:
            descriptor = os.open(self._root / item.path, _READ_FLAGS)
            try:
                data = os.pread(descriptor, length, start)
                found = os.fstat(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise self.changed(item) from error
            raise from_os_error(error, self.url, f"read {item.path}".rstrip()) from error
        if _item(item.path, found).lock != item.lock or len(data) != length:
            raise self.changed(item)
        return data


def _item(path: str, found: os.stat_result) -> Item:
    # Whole microseconds: the next digit a float would round, on one machine or another.
    modified_s = found.st_mtime_ns // 1000 / 1e6
    return Item(path, found.st_size, dated_lock(modified_s, found.st_size), executable=bool(found.st_mode & 0o100))
