"""Sides of a comparison: what artifacts hold at a revision, by their pointers, or in the work tree now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from vstore.errors import NotDownloadedError, VstoreError
from vstore.objects.diff import NO_ENTRIES
from vstore.objects.digest import hash_bytes
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import Tree
from vstore.ops.resolve import find_selection, is_inside, list_artifacts
from vstore.ops.trees import load_tree
from vstore.repo import Repo


class Held(NamedTuple):
    """What an artifact holds on one side.

    ``tree`` is the encoding of a tree that is in no cache; ``refused`` are paths inside that cannot be read or tracked.
    """

    pointer: Pointer
    tree: bytes | None = None
    refused: Sequence[tuple[RelPath, str]] = ()


class Side(Protocol):
    """One side: its pointers, and those that are broken, with the reason."""

    pointers: dict[RelPath, Pointer]
    broken: dict[RelPath, str]

    def find(self, path: RelPath) -> Held | None:
        """Return what an artifact holds; None where it is not.  Raises VstoreError where that cannot be told."""


class PointerSide:
    """What the pointers of a revision say, or (without one) those in the work tree."""

    def __init__(self, repo: Repo, rev: str | None) -> None:
        self.pointers: dict[RelPath, Pointer] = {}
        self.broken: dict[RelPath, str] = {}
        for path, pointer in list_artifacts(repo, rev=rev):
            if isinstance(pointer, NotDownloadedError):
                continue  # it holds nothing yet
            if isinstance(pointer, VstoreError):
                self.broken[path] = pointer.message
            else:
                self.pointers[path] = pointer

    def find(self, path: RelPath) -> Held | None:
        """Return what a pointer says."""
        pointer = self.pointers.get(path)
        return None if pointer is None else Held(pointer)


class NothingSide:
    """What there is before the first commit."""

    def __init__(self) -> None:
        self.pointers: dict[RelPath, Pointer] = {}
        self.broken: dict[RelPath, str] = {}

    def find(self, path: RelPath) -> Held | None:
        """Return nothing."""
        return None


class FileSide(PointerSide):
    """What the files in the work tree are now; what was never checked out counts as what its pointer says."""

    def __init__(self, repo: Repo) -> None:
        super().__init__(repo, None)
        self._repo = repo
        self._snapshotter = repo.snapshotter()
        self._snapshotter.look_up([path for path, pointer in self.pointers.items() if not pointer.is_tree])

    def find(self, path: RelPath) -> Held | None:
        """Return what lies at an artifact's path, reading what was touched since it was last read."""
        pointer = self.pointers.get(path)
        if pointer is None:
            return None
        snapshot = self._snapshotter.take(self._repo.work_tree / path, path)
        refused = snapshot.scan.refused
        if snapshot.kind == "absent":
            if refused:
                return Held(pointer, refused=refused)
            if pointer.is_tree and (parts := find_selection(self._repo, path)):
                return self._in_part(path, NO_ENTRIES, parts)
            # What was never here is not deleted.
            return None if self._repo.state.find_placed(path) is not None else Held(pointer)
        if snapshot.tree is not None and pointer.is_tree and snapshot.digest != pointer.digest:
            parts = find_selection(self._repo, path)
            if parts:
                return self._in_part(path, snapshot.tree, parts)._replace(refused=refused)
        now = Pointer(
            snapshot.kind, snapshot.digest, snapshot.size_bytes, snapshot.files, executable=snapshot.executable
        )
        return Held(now, snapshot.tree, refused)

    def _in_part(self, path: RelPath, tree: bytes, parts: Sequence[RelPath]) -> Held:
        """Return what a tree would be of which only some parts were checked out."""
        whole = load_tree(self._repo, self.pointers[path], path)
        here = Tree.from_bytes(tree).entries
        there = {entry.path for entry in here}
        # What is new is new wherever it lies; what is not here counts only where it was asked for.
        kept = [
            entry
            for entry in Tree.from_bytes(whole).entries
            if entry.path not in there and not is_inside(entry.path, parts)
        ]
        merged = Tree([*kept, *here])
        data = merged.to_bytes()
        digest = hash_bytes(data, self._repo.algorithm)
        return Held(Pointer("tree", digest, merged.size_bytes, merged.files), data)


def open_side(repo: Repo, rev: str | None, *, is_old: bool) -> Side:
    """Return the side of a revision; without one that before all changes, or that of the files."""
    if rev is not None:
        return PointerSide(repo, rev)
    if not is_old:
        return FileSide(repo)
    return PointerSide(repo, None) if repo.git is None else NothingSide()
