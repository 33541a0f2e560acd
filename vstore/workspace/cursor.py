"""Walking a work tree by directory descriptors, so that no symlink planted in it redirects a step."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from vstore.durable import temporary_name
from vstore.objects.names import RelPath

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Cursor:
    """A descriptor of one directory of the work tree after another, opened without following links."""

    def __init__(self, work_tree: Path) -> None:
        self._top = os.open(work_tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: list[tuple[str, int]] = []
        self._staged: tuple[int, str, str] | None = None
        """Of a directory not yet visible: its parent's descriptor, temporary name and final name."""

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        self._abandon()
        self._leave(0)
        os.close(self._top)

    @property
    def descriptor(self) -> int:
        """The directory at hand."""
        return self._open[-1][1] if self._open else self._top

    @property
    def is_staged(self) -> bool:
        """Whether the directory at hand is new and not yet visible."""
        return self._staged is not None

    def open_existing(self, path: RelPath) -> None:
        """Go to a directory.  Raises OSError: NotADirectoryError or ELOOP where a file or link is in the way."""
        self._go(path, create=False)

    def enter(self, path: RelPath) -> None:
        """Go to a directory, making it and those above it if they are not there."""
        self._go(path, create=True)

    def open_for_writing(self, path: RelPath) -> None:
        """Go to a directory; if it is not there, to a new one that ``publish`` gives its name."""
        parent, _, name = path.rpartition("/")
        if not name:
            self.enter("")
            return
        self.enter(parent)
        try:
            self.enter_child(name)
        except FileNotFoundError:
            staged = temporary_name()
            above = self.descriptor
            os.mkdir(staged, dir_fd=above)
            self._open.append((name, os.open(staged, _DIRECTORY_FLAGS, dir_fd=above)))
            self._staged = (above, staged, name)

    def enter_child(self, name: str) -> None:
        """Go one directory down.  Raises FileNotFoundError if it is not there."""
        self._open.append((name, os.open(name, _DIRECTORY_FLAGS, dir_fd=self.descriptor)))

    def leave_child(self) -> None:
        """Go one directory up."""
        self._leave(len(self._open) - 1)

    def publish(self) -> None:
        """Give the directory at hand, if it is new, its name."""
        if self._staged is not None:
            above, staged, name = self._staged
            os.rename(staged, name, src_dir_fd=above, dst_dir_fd=above)
            self._staged = None

    def _abandon(self) -> None:
        if self._staged is None:
            return
        above, staged, _ = self._staged
        self._staged = None
        with contextlib.suppress(OSError):
            for name in os.listdir(self.descriptor):
                try:
                    os.unlink(name, dir_fd=self.descriptor)
                except (IsADirectoryError, PermissionError):  # an empty one; macOS refuses with EPERM
                    os.rmdir(name, dir_fd=self.descriptor)
            os.rmdir(staged, dir_fd=above)

    def _go(self, path: RelPath, *, create: bool) -> None:
        self._abandon()
        wanted = path.split("/") if path else []
        shared = 0
        while shared < min(len(wanted), len(self._open)) and self._open[shared][0] == wanted[shared]:
            shared += 1
        self._leave(shared)
        for name in wanted[shared:]:
            try:
                self.enter_child(name)
            except FileNotFoundError:
                if not create:
                    raise
                with contextlib.suppress(FileExistsError):  # another thread was as quick
                    os.mkdir(name, dir_fd=self.descriptor)
                self.enter_child(name)

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])
