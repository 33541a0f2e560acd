"""Merging trees: three versions of a directory become one, file by file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from vstore.objects.digest import Buffer, Digest
from vstore.objects.names import RelPath
from vstore.objects.tree import EMPTY_DIRECTORY, Entry, Tree, diff_trees, paused_collector

Value = TypeVar("Value")


class Sides(NamedTuple, Generic[Value]):
    """Something in the common ancestor, on our side and on theirs; all equal where a merge settled it."""

    base: Value
    ours: Value
    theirs: Value

    @property
    def is_settled(self) -> bool:
        """Whether our side and theirs are the same."""
        return self.ours == self.theirs


def settle(base: Any, ours: Any, theirs: Any) -> Sides[Any]:
    """Merge a value that has no parts: what only one side changed is taken; what both did, each its own way, stays."""
    if ours == theirs or theirs == base:
        return Sides(ours, ours, ours)
    if ours == base:
        return Sides(theirs, theirs, theirs)
    return Sides(base, ours, theirs)


class TreeConflict(NamedTuple):
    """What both sides changed, each in its own way: the entries at ``path`` or below it in each version."""

    path: RelPath
    entries: Sides[tuple[Entry, ...]]


class TreeMerge(NamedTuple):
    """A merged directory: the tree when all conflicts are decided as in one version, for each of them."""

    trees: Sides[Tree]
    conflicts: list[TreeConflict]


_Change = tuple[Entry | None, Entry | None]


def merge_trees(base: Buffer, ours: Buffer, theirs: Buffer) -> TreeMerge:
    """Merge the encodings of two trees whose common ancestor is ``base``.

    A file is content and executable bit, merged apart.  A file that one side moved, as the only one with its content,
    and the other changed is moved and changed.  A file in the place of a directory is in conflict with whatever the
    other side changed in it.  Costs what parsing a tree costs, and little more for each change.
    Raises CorruptError, NewerFormatError, NameRefusedError.
    """
    with paused_collector():
        return _merge_trees(base, ours, theirs)


def _merge_trees(base: Buffer, ours: Buffer, theirs: Buffer) -> TreeMerge:
    our, their = _find_changes(base, ours), _find_changes(base, theirs)
    _follow_moves(our, their)
    _follow_moves(their, our)
    decided: dict[RelPath, Entry | None] = {}
    conflicts: list[TreeConflict] = []
    clashes = _find_clashes(our, their)
    for path in sorted({*our, *their}):
        if _is_inside(path, clashes):
            continue
        before = (our.get(path) or their[path])[0]
        merged = _merge_entry(before, our.get(path, (before, before))[1], their.get(path, (before, before))[1])
        if merged.is_settled:
            decided[path] = merged.ours
        else:
            conflicts.append(TreeConflict(path, Sides(*(() if side is None else (side,) for side in merged))))
    for path in sorted(clashes):
        trees = (Tree.from_bytes(version) for version in (base, ours, theirs))
        conflicts.append(TreeConflict(path, Sides(*(tuple(tree.iter_below(path)) for tree in trees))))
    conflicts.sort()
    entries = {entry.path: entry for entry in Tree.from_bytes(ours).entries if not _is_inside(entry.path, clashes)}
    for path, entry in decided.items():
        if entry is None:
            entries.pop(path, None)
        else:
            entries[path] = entry
    whole = _assemble(entries, decided, conflicts, side=1)
    if not conflicts:
        return TreeMerge(Sides(whole, whole, whole), [])
    rest = (_assemble(entries, decided, conflicts, side=side) for side in (0, 2))
    return TreeMerge(Sides(next(rest), whole, next(rest)), conflicts)


def find_conflict_paths(ours: Buffer, theirs: Buffer) -> list[RelPath]:
    """Return where two trees differ, sorted; of paths inside each other only the outermost."""
    paths = sorted(_find_changes(ours, theirs))
    known: set[RelPath] = set()
    for path in paths:
        if not _is_inside(path, known):
            known.add(path)
    return sorted(known)


def take_entries(tree: Buffer, source: Buffer, paths: Iterable[RelPath]) -> Tree:
    """Return a tree that has at some paths, and below them, what another has there.

    Raises CorruptError, NewerFormatError, NameRefusedError.
    """
    wanted = set(paths)
    kept = [entry for entry in Tree.from_bytes(tree).entries if not _is_inside(entry.path, wanted)]
    return Tree([*kept, *(entry for entry in Tree.from_bytes(source).entries if _is_inside(entry.path, wanted))])


def _find_changes(old: Buffer, new: Buffer) -> dict[RelPath, _Change]:
    difference = diff_trees(old, new)
    changes: dict[RelPath, _Change] = {entry.path: (entry, None) for entry in difference.deleted}
    changes.update((entry.path, (None, entry)) for entry in difference.added)
    changes.update((after.path, (before, after)) for before, after in difference.modified)
    return changes


def _follow_moves(moving: dict[RelPath, _Change], other: dict[RelPath, _Change]) -> None:
    """Let what ``other`` did to a file happen where ``moving`` moved it to."""
    sources = _only_ones(old for old, new in moving.values() if old is not None and new is None)
    targets = _only_ones(new for old, new in moving.values() if old is None and new is not None)
    taken = {path for path, (_, new) in other.items() if new is not None}
    taken |= {parent for path in taken for parent in _iter_parents(path)}
    for digest, source in sources.items():
        change, target = other.get(source.path), targets.get(digest)
        if change is None or change[1] is None or not change[1].is_file or target is None:
            continue
        if target.path in taken or not taken.isdisjoint(_iter_parents(target.path)):
            continue  # somebody else is there, or in the way
        before = source._replace(path=target.path)
        moving[target.path] = before, target
        other[target.path] = before, change[1]._replace(path=target.path)
        other[source.path] = source, None


def _only_ones(entries: Iterable[Entry]) -> Mapping[Digest, Entry]:
    """Return the files whose content no other of them has; empty ones say nothing."""
    found: dict[Digest, list[Entry]] = {}
    for entry in entries:
        if entry.is_file and entry.size_bytes:
            found.setdefault(entry.digest, []).append(entry)
    return {digest: same[0] for digest, same in found.items() if len(same) == 1}


def _merge_entry(base: Entry | None, ours: Entry | None, theirs: Entry | None) -> Sides[Entry | None]:
    merged: Sides[Entry | None] = settle(base, ours, theirs)
    if merged.is_settled or base is None:
        return merged
    if ours is None or theirs is None:
        left = ours or theirs
        if left is None or left.kind != EMPTY_DIRECTORY or base.kind == EMPTY_DIRECTORY:
            return merged
        return Sides(left, left, left)  # both removed the file, and one has an empty directory in its place
    if not (base.is_file and ours.is_file and theirs.is_file):
        return merged
    content = settle(*((side.size_bytes, side.digest) for side in (base, ours, theirs)))
    if not content.is_settled:
        return merged
    kind = settle(base.kind, ours.kind, theirs.kind)
    entry = ours._replace(kind=kind.ours, size_bytes=content.ours[0], digest=content.ours[1])
    return Sides(entry, entry, entry)


def _find_clashes(our: Mapping[RelPath, _Change], their: Mapping[RelPath, _Change]) -> set[RelPath]:
    """Return where one side has a file and the other something below it; the outermost."""
    found: set[RelPath] = set()
    for one, other in ((our, their), (their, our)):
        files = {path for path, (_, new) in one.items() if new is not None and new.kind != EMPTY_DIRECTORY}
        for path, (_, new) in other.items():
            if new is not None:
                found.update(files.intersection(_iter_parents(path)))
    return {path for path in found if found.isdisjoint(_iter_parents(path))}


def _assemble(
    entries: Mapping[RelPath, Entry],
    decided: Mapping[RelPath, Entry | None],
    conflicts: Iterable[TreeConflict],
    *,
    side: int,
) -> Tree:
    """Return the tree in which conflicts are decided as in one version."""
    chosen = dict(entries)
    fresh = {path for path, entry in decided.items() if entry is not None}
    for conflict in conflicts:
        chosen.pop(conflict.path, None)
        chosen.update((entry.path, entry) for entry in conflict.entries[side])
        fresh.update(entry.path for entry in conflict.entries[side])
    # What was an empty directory on one side holds something now.
    for parent in {parent for path in fresh for parent in _iter_parents(path)}:
        if parent in chosen and chosen[parent].kind == EMPTY_DIRECTORY:
            del chosen[parent]
    return Tree(chosen.values())


def _is_inside(path: RelPath, outer: set[RelPath]) -> bool:
    return bool(outer) and (path in outer or not outer.isdisjoint(_iter_parents(path)))


def _iter_parents(path: RelPath) -> Iterator[RelPath]:
    while path := path.rpartition("/")[0]:
        yield path
