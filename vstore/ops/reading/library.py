"""A library: one version of one repository, open for reading by any number of threads."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from vstore.elsewhere import open_elsewhere, resolve_location
from vstore.git import is_git_url
from vstore.objects.digest import has_digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree_text import TreeText
from vstore.ops.gathering import MOST_STEPS, is_imported
from vstore.ops.reading.contents import Contents
from vstore.ops.reading.file import ReadFile
from vstore.ops.reading.node import Node
from vstore.ops.reading.pieces import Pieces
from vstore.ops.reading.stretches import STEP_BYTES, ChunkStretches, HeldStretches, Stretches
from vstore.ops.reading.view import Trees, View
from vstore.ops.resolve import get_git
from vstore.progress import SILENT, Reporter
from vstore.repo import Repo, find_root, open_repo


class Library:
    """Reads the files of a revision or, if ``rev`` is None, of what the pointers in the work tree say now.

    ``remote`` names the one to read from what is not here; by default each artifact's own, else the default remote.
    Thread-safe, but not for a process that was forked.  ``close`` is called when it is closed.
    Raises RevisionNotFoundError, GitRepositoryNotFoundError.
    """

    def __init__(
        self, repo: Repo, rev: str | None, *, remote: str | None, close: Callable[[], object], steps: int = 0
    ) -> None:
        """``steps`` is how many imports led here."""
        self.repo = repo
        self.remote = remote
        commit = repo.rev if rev is None else get_git(repo).resolve(rev)
        self.view = View(repo, commit, Trees(repo, remote))
        self._pieces = Pieces(repo, remote)
        origins = _Origins(repo, self.view, steps)
        self._contents = Contents(repo, self.view, self._pieces, origins.open)
        self.close = weakref.finalize(self, _close, os.getpid(), self._pieces, origins, close)
        """Give back connections and files; that happens also when nobody holds the library any more."""

    def open(self, path: RelPath) -> ReadFile:
        """Open a file.  Raises PathNotFoundError, InvalidError for a directory, ObjectMissingError."""
        return self.open_node(self.view.get_file(path))

    def open_stretches(self, node: Node) -> Stretches:
        """Open a file that was found, as stretches.  They are good for as long as the library is open."""
        return self._contents.open(node)

    def open_node(self, node: Node, *, owning: bool = False) -> ReadFile:
        """Open a file that was found; if ``owning``, the library is closed with it."""
        stretches = self._contents.open(node)
        remote = isinstance(stretches, ChunkStretches)
        # The file holds the library, so that nothing is closed below it.
        return ReadFile(node, stretches, prove=remote, close=self.close if owning else self._keep)

    def read(self, node: Node, start: int, length: int) -> bytes:
        """Return a stretch of a file, and read nothing ahead; of the whole its digest is proven."""
        parts: list[bytes] = []
        with contextlib.closing(self._contents.open(node)) as stretches:
            if isinstance(stretches, ChunkStretches) and (start, length) == (0, node.size_bytes):
                with ReadFile(node, stretches, prove=True, close=self._keep) as file:
                    return file.read()
            while length and (part := stretches.read(start, length)):
                parts.append(part)
                start, length = start + len(part), length - len(part)
        return b"".join(parts)

    def _keep(self) -> None:
        """Close nothing: others may be reading."""

    def is_in_work_tree(self, node: Node) -> bool:
        """Tell whether the work tree holds exactly what this version has of a file, or of a tracked directory."""
        if node.is_file:
            return node.oid is None and self._contents.is_unmodified(node)
        owner = self.view.find_owner(node.path)
        if owner is None:
            return False
        snapshot = self.repo.snapshotter().take(self.repo.work_tree / owner.path, owner.path)
        if snapshot.tree is None:
            return False
        now = TreeText(snapshot.tree).iter_below(node.path[len(owner.path) + 1 :])
        then = (entry for _, entry in self.view.iter_entries(node.path))
        # Of the root itself the digest would do, but of what is inside it has none.
        return (self.repo.work_tree / node.path).is_dir() and all(a == b for a, b in zip_longest(now, then))

    def load(self, wanted: Sequence[tuple[Node, int, int]]) -> None:
        """Read what is needed for some stretches (of files, from, length) and is only at a remote, with few requests.

        It is kept for a while, for who opens them next.  What cannot be had is passed over.
        """
        for group in _group(wanted):
            self._contents.load(group)

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Origins:
    """The repositories from which artifacts were imported, opened when contents are nowhere else.  Thread-safe."""

    def __init__(self, repo: Repo, view: View, steps: int) -> None:
        self._repo = repo
        self._view = view
        self._steps = steps
        self._lock = threading.Lock()
        self._libraries: dict[tuple[str, str | None], Library] = {}

    def open(self, node: Node) -> Stretches | None:
        """Open a file where it was imported from, at the commit of its pointer; None where it is not the same there."""
        owner = self._view.find_owner(node.place)
        pointer = None if owner is None else owner.pointer
        if owner is None or not isinstance(pointer, Pointer) or not is_imported(pointer) or self._steps >= MOST_STEPS:
            return None
        location, commit = resolve_location(self._repo, str(pointer.source["repo"])), pointer.source.get("commit")
        library = self._get_library(location, commit if isinstance(commit, str) else None)
        found = library.view.find(f"{pointer.source.get('path')}{node.place[len(owner.path) :]}")
        if found is None or not found.is_file or found.digest not in (None, node.digest):
            return None
        if found.digest is None:
            data = library.view.read_git_file(found)
            return HeldStretches(data) if node.digest is not None and has_digest(data, node.digest) else None
        return library.open_stretches(found)

    def _get_library(self, location: str, commit: str | None) -> Library:
        with self._lock:
            library = self._libraries.get((location, commit))
            if library is None:
                start, reporter = self._repo.work_tree, self._repo.reporter
                library = open_library(location, commit, start=start, reporter=reporter, steps=self._steps + 1)
                self._libraries[location, commit] = library
            return library

    def close(self) -> None:
        """Close what was opened."""
        for library in self._libraries.values():
            library.close()


def open_library(
    location: str | Path | None,
    rev: str | None = None,
    *,
    remote: str | None = None,
    start: Path | None = None,
    reporter: Reporter = SILENT,
    steps: int = 0,
) -> Library:
    """Open a repository for reading: one on this machine or behind a URL, or by None the one at or above ``start``.

    Where ``location`` is that one, too, it is opened as our own, with all that the environment says about its remotes.
    ``steps`` is how many imports led there.
    Raises RepositoryNotFoundError, RevisionNotFoundError, and what opening a repository raises.
    """
    with contextlib.ExitStack() as stack:
        here = start or Path.cwd()
        if location is None or _is_same(location, here):
            repo = stack.enter_context(open_repo(here if location is None else here / location, reporter=reporter))
        else:
            repo = stack.enter_context(open_elsewhere(location, rev=rev, start=start, reporter=reporter))
            rev = None
        closing = contextlib.ExitStack()
        library = Library(repo, rev, remote=remote, close=closing.close, steps=steps)
        closing.push(stack.pop_all())
        return library


def _is_same(location: str | Path, here: Path) -> bool:
    # A URL, taken for a path, would lie below the place where one stands.
    if is_git_url(os.fspath(location)):
        return False
    root = find_root(here)
    return root is not None and root == find_root(here / location)


_TOGETHER_FILES = 1000


def _group(wanted: Sequence[tuple[Node, int, int]]) -> Iterator[list[tuple[Node, int, int]]]:
    """Yield stretches in groups that are good to hold in memory."""
    group: list[tuple[Node, int, int]] = []
    size_bytes = 0
    for item in wanted:
        node, offset, length = item
        group.append(item)
        size_bytes += min(length, max(0, (node.size_bytes or 0) - offset))
        if size_bytes >= STEP_BYTES or len(group) >= _TOGETHER_FILES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _close(process: int, pieces: Pieces, origins: _Origins, close: Callable[[], object]) -> None:
    if process == os.getpid():  # connections and threads stay behind where a process is forked
        pieces.close()
        origins.close()
        close()
