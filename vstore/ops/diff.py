"""``diff``: what changed between two revisions, or a revision and the work tree, by artifact and by file."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, overload

from vstore.errors import NotTrackedError, VstoreError
from vstore.objects.diff import NO_ENTRIES, Change, FileChanges, encode_file, find_renames
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, SYMLINK
from vstore.ops.resolve import touches
from vstore.ops.sides import Held, Side, open_side
from vstore.ops.trees import fetch_trees, load_tree
from vstore.repo import Repo

ADDED = "added"
DELETED = "deleted"
MODIFIED = "modified"
RENAMED = "renamed"
KINDS = {FILE: "file", EXECUTABLE: "executable", SYMLINK: "symlink", EMPTY_DIRECTORY: "directory"}
"""The letters of trees, in words."""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file that differs; what is said of the side where it is not is None."""

    path: RelPath
    """From the root of the repository, as that of an artifact: files move from one to another."""
    change: str
    """"added", "deleted", "modified" or "renamed"."""
    old_path: RelPath | None
    """What it was called, if it was renamed."""
    old_kind: str | None
    """"file", "executable", "symlink" or "directory" (an empty one)."""
    new_kind: str | None
    old_bytes: int | None
    new_bytes: int | None
    old_digest: Digest | None
    """None also for what has no content: symlinks and directories."""
    new_digest: Digest | None
    old_target: str | None
    """Where a symlink led."""
    new_target: str | None


@dataclass(frozen=True, slots=True)
class ArtifactDiff:
    """One artifact that differs, and how many of its files do.

    ``files`` lists them by path, read anew each time it is gone through.  It is empty for a directory that was
    renamed as a whole, and None where it was not asked for or cannot be told.
    """

    path: RelPath
    change: str
    """"added", "deleted", "modified" or "renamed"."""
    old_path: RelPath | None
    """What it was called, if it was renamed."""
    old_kind: str | None
    """"tree", "file" or "executable"."""
    new_kind: str | None
    old_bytes: int | None
    new_bytes: int | None
    old_digest: Digest | None
    new_digest: Digest | None
    added: int
    """How many files are new; those that follow are counted in the same way."""
    deleted: int
    modified: int
    renamed: int
    growth_bytes: int
    """By how much the files that were compared grew."""
    files: Sequence[FileDiff] | None


@dataclass(frozen=True, slots=True)
class DiffTotals:
    """Everything added up."""

    artifacts: int
    added: int
    """How many files are new; those that follow are counted in the same way."""
    deleted: int
    modified: int
    renamed: int
    growth_bytes: int


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What differs, by path; ``old`` and ``new`` are revisions, None for the work tree (or nothing at all yet).

    ``failed`` names what could not be compared, or not file by file, with the reason.
    """

    old: str | None
    new: str | None
    artifacts: list[ArtifactDiff]
    totals: DiffTotals
    failed: list[tuple[RelPath, str]]


def diff(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    old: str | None = None,
    new: str | None = None,
    stat: bool = False,
) -> DiffResult:
    """Compare revision ``old`` (default: HEAD; without git, what the pointers say) with ``new``, or with the files.

    What was never checked out counts as what its pointer says.  Trees that the cache lacks are fetched, and nothing
    else is.  With ``stat`` files are only counted.  Raises RevisionNotFoundError, NotTrackedError.
    """
    if old is None and repo.git is not None:
        old = "HEAD" if repo.git.head() is not None else None
    wanted = [repo.relative(path) for path in paths]
    before, after = open_side(repo, old, is_old=True), open_side(repo, new, is_old=False)
    known = {*before.pointers, *before.broken, *after.pointers, *after.broken}
    for named, path in zip(paths, wanted, strict=True):
        if not any(touches(path, artifact) for artifact in known):
            raise NotTrackedError(f"{named} is not tracked by vstore on either side", path=str(named))
    if wanted:
        known = {path for path in known if any(touches(one, path) for one in wanted)}
    comparison = _Comparison(repo, wanted)
    comparison.pair_up(before, after, sorted(known))
    artifacts = comparison.run()
    totals = DiffTotals(
        len(artifacts),
        sum(artifact.added for artifact in artifacts),
        sum(artifact.deleted for artifact in artifacts),
        sum(artifact.modified for artifact in artifacts),
        sum(artifact.renamed for artifact in artifacts),
        sum(artifact.growth_bytes for artifact in artifacts),
    )
    if stat:
        artifacts = [dataclasses.replace(artifact, files=None) for artifact in artifacts]
    return DiffResult(old, new, artifacts, totals, sorted(comparison.failed.items()))


_MOST_SHOWN = 10
"""As many files does the ``repr`` of a comparison name."""


class _Files(Sequence[FileDiff]):
    """The files that differ, read from their changes when somebody looks; asking for one goes through those before."""

    def __init__(self, changes: FileChanges) -> None:
        self._changes = changes

    def __repr__(self) -> str:
        shown = [repr(file) for file in itertools.islice(self, _MOST_SHOWN)]
        more = [f"... {len(self) - _MOST_SHOWN} more"] if len(self) > _MOST_SHOWN else []
        return f"[{', '.join(shown + more)}]"

    def __len__(self) -> int:
        return len(self._changes)

    def __iter__(self) -> Iterator[FileDiff]:
        return map(_file_diff, self._changes)

    @overload
    def __getitem__(self, index: int) -> FileDiff: ...
    @overload
    def __getitem__(self, index: slice) -> list[FileDiff]: ...
    def __getitem__(self, index: int | slice) -> FileDiff | list[FileDiff]:
        if isinstance(index, slice):
            return list(self)[index]
        return next(itertools.islice(self, range(len(self))[index], None))


def _file_diff(change: Change) -> FileDiff:
    old, new = change
    path = new.path if new is not None else old.path if old is not None else ""
    is_renamed = old is not None and old.path != path
    return FileDiff(
        path,
        ADDED if old is None else DELETED if new is None else RENAMED if is_renamed else MODIFIED,
        old.path if old is not None and is_renamed else None,
        old and KINDS[old.kind],
        new and KINDS[new.kind],
        old and old.size_bytes,
        new and new.size_bytes,
        (old and old.digest) or None,
        (new and new.digest) or None,
        (old and old.target) or None,
        (new and new.target) or None,
    )


class _Pair(NamedTuple):
    """An artifact that differs, on both sides; None where it is not.  ``old_path`` is what it was called as a whole."""

    path: RelPath
    old: Held | None
    new: Held | None
    old_path: RelPath | None = None

    @property
    def is_moved_tree(self) -> bool:
        """Whether nothing differs but the path of a whole directory."""
        return self.old_path is not None and self.new is not None and self.new.pointer.is_tree

    @property
    def refused(self) -> list[RelPath]:
        """The paths that cannot be read."""
        return [] if self.new is None else [_join(self.path, inner) for inner, _ in self.new.refused]

    def without_trees(self) -> _Pair:
        """Return the pair as far as the pointers tell."""
        return self._replace(
            old=self.old and self.old._replace(tree=None), new=self.new and self.new._replace(tree=None)
        )


class _Comparison:
    """Compares artifacts; ``failed`` collects what cannot be told, with the reason."""

    def __init__(self, repo: Repo, wanted: Sequence[RelPath]) -> None:
        self._repo = repo
        self._wanted = wanted
        self._pairs: list[_Pair] = []
        self.failed: dict[RelPath, str] = {}

    def pair_up(self, before: Side, after: Side, paths: Sequence[RelPath]) -> None:
        """Find the artifacts that differ, and those that only have another path."""
        for path in paths:
            reason = before.broken.get(path) or after.broken.get(path)
            if reason is None:
                try:
                    old, new = before.find(path), after.find(path)
                except VstoreError as error:
                    reason = error.message
                else:
                    for inner, why in () if new is None else new.refused:
                        self.failed[_join(path, inner)] = why
                    if not _is_same(old, new):
                        self._pairs.append(_Pair(path, old, new))
            if reason is not None:
                self.failed[path] = reason
        self._pairs = _join_renamed(self._pairs)

    def run(self) -> list[ArtifactDiff]:
        """Compare them file by file."""
        lacking = fetch_trees(
            self._repo,
            [
                (pair.path, held.pointer)
                for pair in self._pairs
                for held in (pair.old, pair.new)
                if held is not None and held.tree is None and not pair.is_moved_tree
            ],
        )
        compared: list[tuple[_Pair, FileChanges | None]] = []
        self._pairs.reverse()
        while self._pairs:
            pair = self._pairs.pop()  # its trees may be large, and are not needed afterwards
            changes = None
            try:
                changes = self._compare(pair, lacking)
            except VstoreError as error:
                self.failed[pair.path] = error.message
            compared.append((pair.without_trees(), changes))
        find_renames([changes for pair, changes in compared if changes is not None and pair.old_path is None])
        return [
            _artifact_diff(pair, changes)
            for pair, changes in compared
            # What was asked for, or could be read, may be only a part, in which nothing differs.
            if changes is None or changes or not (self._inside(pair.path) or pair.refused)
        ]

    def _compare(self, pair: _Pair, lacking: Mapping[Digest, VstoreError]) -> FileChanges:
        changes = FileChanges(wanted=self._inside(pair.path), without=pair.refused)
        if not pair.is_moved_tree:
            old, new = (self._encode(pair.path, held, lacking) for held in (pair.old, pair.new))
            if pair.old_path is None:
                changes.compare(pair.path, old, new)
            else:
                changes.compare(pair.old_path, old, NO_ENTRIES)
                changes.compare(pair.path, NO_ENTRIES, new)
                find_renames([changes])
        return changes

    def _encode(self, path: RelPath, held: Held | None, lacking: Mapping[Digest, VstoreError]) -> bytes:
        if held is None:
            return NO_ENTRIES
        if not held.pointer.is_tree:
            return encode_file(held.pointer)
        if held.tree is not None:
            return held.tree
        if held.pointer.digest in lacking:
            raise lacking[held.pointer.digest]
        return load_tree(self._repo, held.pointer, path)

    def _inside(self, path: RelPath) -> Sequence[RelPath]:
        """Return the paths inside an artifact that are wanted; none if all of it is."""
        if any(not one or (path + "/").startswith(one + "/") for one in self._wanted):
            return ()
        return [one for one in self._wanted if one.startswith(path + "/")]


def _join(path: RelPath, inner: RelPath) -> RelPath:
    return f"{path}/{inner}" if inner else path


def _is_same(old: Held | None, new: Held | None) -> bool:
    return old is not None and new is not None and _key(old.pointer) == _key(new.pointer)


def _key(pointer: Pointer) -> tuple[str, Digest, bool]:
    return pointer.kind, pointer.digest, pointer.executable


def _join_renamed(pairs: Sequence[_Pair]) -> list[_Pair]:
    """Return the pairs, those that are gone and came back elsewhere, as a whole, as one.

    Of several with one content those with the same last name belong together.
    """
    joined: dict[RelPath, _Pair] = {}
    moved: set[RelPath] = set()
    for by_name in (True, False):
        gone: dict[object, deque[_Pair]] = {}
        for pair in pairs:
            if pair.old is not None and pair.new is None and pair.path not in moved:
                gone.setdefault(_content(pair.old, pair.path, by_name), deque()).append(pair)
        for pair in pairs:
            if pair.old is not None or pair.new is None or pair.path in joined:
                continue
            sources = gone.get(_content(pair.new, pair.path, by_name))
            if sources and (by_name or pair.new.pointer.size_bytes):
                source = sources.popleft()
                joined[pair.path] = pair._replace(old=source.old, old_path=source.path)
                moved.add(source.path)
    return [joined.get(pair.path, pair) for pair in pairs if pair.path not in moved]


def _content(held: Held, path: RelPath, by_name: bool) -> tuple[str, Digest, str]:
    return held.pointer.kind, held.pointer.digest, path.rpartition("/")[2] if by_name else ""


def _artifact_diff(pair: _Pair, changes: FileChanges | None) -> ArtifactDiff:
    old = pair.old.pointer if pair.old is not None else None
    new = pair.new.pointer if pair.new is not None else None
    growth_bytes = (new.size_bytes if new is not None else 0) - (old.size_bytes if old is not None else 0)
    is_renamed = pair.old_path is not None
    return ArtifactDiff(
        pair.path,
        RENAMED if is_renamed else ADDED if old is None else DELETED if new is None else MODIFIED,
        pair.old_path,
        None if old is None else kind_of(old),
        None if new is None else kind_of(new),
        None if old is None else old.size_bytes,
        None if new is None else new.size_bytes,
        None if old is None else old.digest,
        None if new is None else new.digest,
        changes.added if changes is not None else 0,
        changes.deleted if changes is not None else 0,
        changes.modified if changes is not None else 0,
        changes.renamed if changes is not None else 0,
        changes.growth_bytes if changes is not None else growth_bytes,
        None if changes is None else _Files(changes),
    )


def kind_of(pointer: Pointer) -> str:
    """Return the kind of an artifact, in a word."""
    return "tree" if pointer.is_tree else "executable" if pointer.executable else "file"
