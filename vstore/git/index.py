"""The index: what the next commit will hold.

It is listed, and staged in, by the git program: it alone knows every form of an index (split, sparse, with caches
of its own) and every filter, and it lists four times faster than libgit2.
"""

from __future__ import annotations

import os
import re
import shutil
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from vstore.durable import os_errors
from vstore.git.contents import RelPath
from vstore.git.libgit2_store import Libgit2Store
from vstore.git.locks import OnWait, change_with_git
from vstore.git.program import has_git, run_git
from vstore.git.store import Store

_LISTED = re.compile(rb"([0-7]+) ([0-9a-f]+) ([0-3])\t([^\0]+)\0")
_WITHOUT_LFS = tuple(
    word
    for setting in ("filter.lfs.process=", "filter.lfs.clean=", "filter.lfs.required=false")
    for word in ("-c", setting)
)
"""For repositories whose attributes ask for git-lfs where it is not installed."""


class IndexEntry(NamedTuple):
    """One line of the index; ``stage`` is 0, or 1 to 3 for the sides of a conflict; ``mode`` in octal digits."""

    path: RelPath
    stage: int
    mode: str
    oid: str


class Index:
    """The index of one work tree; or one at another ``path``, which git is about to put in its place."""

    def __init__(self, work_tree: Path, store: Store, path: Path | None = None) -> None:
        self._work_tree = work_tree
        self._store = store
        self._path = path or store.git_dir / "index"
        self._stamp: tuple[int, ...] | None = None
        self._entries: list[IndexEntry] = []

    def iter_below(self, path: RelPath) -> Iterator[IndexEntry]:
        """Yield the entries that are ``path`` ("" is the top) or below it, sorted."""
        if not path:
            yield from self._read()
            return
        # Between "data" and "data/x" may stand "data.csv": two runs of entries.
        yield from takewhile(lambda entry: entry.path == path, self._iter_from(path))
        yield from takewhile(lambda entry: entry.path.startswith(path + "/"), self._iter_from(path + "/"))

    def stage(self, paths: Sequence[RelPath], wait_s: float, on_wait: OnWait) -> None:
        """Put each path into the index as it is in the work tree, or take it out where it is gone there.

        All or nothing, in one write; other entries stay.  Waits for git's own lock as ``change_with_git`` does, and
        raises what that raises.
        """
        self._update(("--add", "--remove"), paths, wait_s, on_wait)

    def remove(self, paths: Sequence[RelPath], wait_s: float, on_wait: OnWait) -> None:
        """Take each path out of the index; the files stay.  Otherwise as ``stage``."""
        self._update(("--force-remove",), paths, wait_s, on_wait)

    def _update(self, options: Sequence[str], paths: Sequence[RelPath], wait_s: float, on_wait: OnWait) -> None:
        if not paths:
            return
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        # Whoever writes an index compares files that may have changed just after the last time: a filter may run.
        settings = () if shutil.which("git-lfs") else _WITHOUT_LFS
        arguments = [*settings, "update-index", *options, "-z", "--stdin"]
        change_with_git(self._work_tree, arguments, Path(f"{self._path}.lock"), wait_s, on_wait, stdin=names)

    def _iter_from(self, path: RelPath) -> Iterator[IndexEntry]:
        entries = self._read()
        for number in range(bisect_left(entries, IndexEntry(path, 0, "", "")), len(entries)):
            yield entries[number]

    def _read(self) -> list[IndexEntry]:
        with os_errors(self._path, "read"):
            try:
                now = os.stat(self._path)
            except FileNotFoundError:
                return []  # before the first `git add`
        # Git replaces the file whenever it changes anything.
        stamp = (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
        if stamp != self._stamp:
            self._entries = sorted(self._list())
            self._stamp = stamp
        return self._entries

    def _list(self) -> Iterator[IndexEntry]:
        if not has_git() and isinstance(self._store, Libgit2Store):
            yield from map(IndexEntry._make, self._store.iter_index())
            return
        for match in _LISTED.finditer(run_git(self._work_tree, "ls-files", "--stage", "-z", index=self._path)):
            mode, oid, stage, path = match.groups()
            yield IndexEntry(os.fsdecode(path), int(stage), mode.decode(), oid.decode())
