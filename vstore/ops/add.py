"""``add``: put files and directories into the cache and write the pointers that stand for them."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.cache.writer import CacheWriter, open_writer
from vstore.errors import NotDownloadedError, NotTrackedError, ObjectMissingError, PathNotFoundError, VstoreError
from vstore.git.ignore_rules import add_rule
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.names import RelPath, find_portability_warnings
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.objects.tree import EXECUTABLE, FILE, Entry, Tree, diff_trees
from vstore.ops.admission import check_admission
from vstore.ops.relink import relink
from vstore.ops.resolve import find_selection, find_targets, is_inside
from vstore.ops.staging import find_rules_to_stage, stage
from vstore.ops.trees import fetch_tracked, find_tree, find_unplaced, is_outdated, load_tree
from vstore.repo import Repo
from vstore.state import Placed
from vstore.workspace.leftovers import remove_leftovers
from vstore.workspace.pointers import Artifact, find_owner, write_pointer
from vstore.workspace.scan import iter_rows
from vstore.workspace.snapshot import Snapshot

NEW = "new"
UPDATED = "updated"
UNCHANGED = "unchanged"
_MOST_WARNINGS = 10


@dataclass(frozen=True, slots=True)
class Labels:
    """What a user says about data: kept in the pointer.  None and empty leave what is there."""

    type: str | None = None
    description: str | None = None
    labels: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    remote: str | None = None

    def apply(self, pointer: Pointer) -> Pointer:
        """Return the pointer with what was said."""
        return dataclasses.replace(
            pointer,
            type=self.type or pointer.type,
            description=self.description or pointer.description,
            labels=pointer.labels + tuple(label for label in self.labels if label not in pointer.labels),
            meta={**pointer.meta, **self.meta},
            remote=self.remote or pointer.remote,
        )


@dataclass(frozen=True, slots=True)
class Added:
    """One artifact: its pointer now, and how that compares with before; counts are of its files."""

    path: RelPath
    change: str
    """"new", "updated" or "unchanged"."""
    kind: str
    digest: Digest
    size_bytes: int
    files: int
    added: int
    modified: int
    deleted: int


@dataclass(frozen=True, slots=True)
class AddResult:
    """The artifacts, and how much the cache grew: contents that it did not hold before."""

    artifacts: list[Added]
    new_objects: int
    new_bytes: int
    dry_run: bool
    broken: list[tuple[RelPath, str]] = field(default_factory=list)
    """What an update passed over because its pointer, or list of files, cannot be read; with the reason."""


def add(
    repo: Repo,
    paths: Sequence[str | Path],
    *,
    update: bool = False,
    force: bool = False,
    labels: Labels = Labels(),
    dry_run: bool = False,
) -> AddResult:
    """Track paths, or with ``update`` take over what somebody changed in those (or all) that are tracked.

    A path inside a tracked directory updates only its entry.  ``force`` also takes a path that ignore rules exclude, or
    whose pointer git ignores.  Objects are durable before the tree, the tree before the pointer.

    Raises AddRefusedError, PathNotFoundError, PartialError naming files that cannot be read, NameRefusedError.
    """
    wanted, broken = _find_tracked(repo, paths) if update else (_expand(repo, paths), [])
    for path in wanted:
        check_admission(repo, path, force=force)
    if dry_run:
        changes = _Changes(repo, None, labels, update=update)
        return AddResult([change.added for change in changes.prepare_all(wanted, broken)], 0, 0, True, broken)
    with repo.writing():
        with open_writer(repo.cache, repo.warn_of_damage) as writer:
            changes = _Changes(repo, writer, labels, update=update)
            done = changes.prepare_all(wanted, broken)
        # Every object is durable now, so the pointers may name them.
        staged = [path for change in done for path in _publish(repo, change)]
        stage(repo, staged)
        for change in done:
            relink(repo, change.path, change.snapshot)
            if dead := [f"{change.path}/{skipped}" for skipped in change.snapshot.scan.skipped]:
                remove_leftovers(repo.work_tree, change.path, dead)
    return AddResult([change.added for change in done], writer.added, writer.added_bytes, False, broken)


def _find_tracked(repo: Repo, paths: Sequence[str | Path]) -> tuple[list[RelPath], list[tuple[RelPath, str]]]:
    """Return the targets that are here, without those that nobody worked on while their pointer moved on.

    Also (path, reason) of those whose pointer cannot be read.
    """
    found: list[RelPath] = []
    broken: list[tuple[RelPath, str]] = []
    for target in find_targets(repo, paths):
        if isinstance(target.artifact.pointer, NotDownloadedError):
            repo.reporter.note(f"{target.path} was passed over: it is an import that was not downloaded yet")
        elif isinstance(target.artifact.pointer, VstoreError):
            broken.append((target.path, target.artifact.pointer.message))
        elif is_outdated(repo, target.artifact.path, target.pointer):
            repo.reporter.note(f"{target.path} was passed over: it is not what its pointer says, and nobody changed it")
        elif os.path.lexists(repo.work_tree / target.path):
            found.append(target.path)
    return found, broken


def _expand(repo: Repo, paths: Sequence[str | Path]) -> list[RelPath]:
    """Return the paths meant, each once, without those inside another."""
    if not paths:
        raise PathNotFoundError("no paths were given", path="")
    found: dict[RelPath, None] = {}
    for named in paths:
        path = repo.relative(named)
        if os.path.lexists(repo.work_tree / path):
            found[path] = None
            continue
        names = glob.glob(str(named), root_dir=repo.start)
        matches = sorted(name for name in names if not name.endswith(POINTER_SUFFIX))
        if not matches:
            owner = find_owner(repo.work_tree, path)
            what = "" if owner is None else ", only its pointer" if owner.path == path else f" in {owner.path}"
            raise PathNotFoundError(f"there is no {named}{what}", path=str(named))
        found.update((repo.relative(match), None) for match in matches)
    return [path for path in found if not any(path.startswith(other + "/") for other in found)]


class _Change(NamedTuple):
    """What adding one path comes to: ``inner`` is it inside the tree of the artifact at ``root``."""

    path: RelPath
    root: RelPath
    inner: RelPath
    snapshot: Snapshot
    pointer: Pointer
    added: Added


class _Changes:
    """Takes in one path after another; two paths inside one tree build on each other."""

    def __init__(self, repo: Repo, writer: CacheWriter | None, labels: Labels, *, update: bool) -> None:
        self._repo = repo
        self._writer = writer
        self._labels = labels
        self._update = update
        self._pending: dict[RelPath, tuple[Pointer, bytes | None]] = {}

    def prepare_all(self, paths: Sequence[RelPath], broken: list[tuple[RelPath, str]]) -> list[_Change]:
        """Prepare paths; in an update those whose list of files is nowhere become ``broken``, with the reason."""
        done = []
        for path in paths:
            try:
                done.append(self.prepare(path))
            except ObjectMissingError as error:
                if not self._update:
                    raise
                broken.append((path, error.message))
        return done

    def prepare(self, path: RelPath) -> _Change:
        """Put the contents at a path into the cache and return the pointer that should stand for it."""
        repo = self._repo
        owner = find_owner(repo.work_tree, path)
        root = path if owner is None else owner.path
        old = self._old(owner)
        inner = path[len(root) + 1 :]
        if old is not None and root not in self._pending:
            fetch_tracked(repo, root, old)
        snapshot = repo.snapshotter().take(
            repo.work_tree / path, path, writer=self._writer, remember=self._writer is not None, engine=repo.engine
        )
        if snapshot.kind == "absent":
            raise PathNotFoundError(f"{path} vanished", path=path)
        for skipped in snapshot.scan.skipped:
            repo.reporter.note(f"{path}/{skipped} was skipped: it belongs to git or vstore")
        before = self._tree_before(root, inner, old, snapshot)
        is_whole = not inner and not find_selection(repo, root)
        keep = _find_lost(repo, root, before, snapshot.tree) if self._update and is_whole else frozenset()
        pointer, tree = _make_pointer(repo, root, inner, snapshot, before, keep)
        if old is not None:
            pointer = dataclasses.replace(
                old,
                kind=pointer.kind,
                digest=pointer.digest,
                size_bytes=pointer.size_bytes,
                files=pointer.files,
                executable=pointer.executable,
            )
        pointer = self._labels.apply(pointer)
        if self._writer is not None and tree is not None:
            self._writer.add_bytes(tree, repo.algorithm)
        self._pending[root] = pointer, tree
        if snapshot.tree is not None and snapshot.digests is not None:
            _warn_of_names(repo, snapshot)
        change = NEW if old is None else UNCHANGED if pointer == old else UPDATED
        counts = _count(old, before, pointer, tree)
        added = Added(root, change, pointer.kind, pointer.digest, pointer.size_bytes, pointer.files, *counts)
        return _Change(path, root, inner, snapshot, pointer, added)

    def _old(self, owner: Artifact | None) -> Pointer | None:
        if owner is None:
            return None
        if owner.path in self._pending:
            return self._pending[owner.path][0]
        if not isinstance(owner.pointer, Pointer):
            raise owner.pointer
        return owner.pointer

    def _tree_before(self, root: RelPath, inner: RelPath, old: Pointer | None, snapshot: Snapshot) -> bytes | None:
        """Return the tree that the pointer stands for now, where it matters or can be had cheaply."""
        if old is None or not old.is_tree or (not inner and old.digest == snapshot.digest):
            return None
        if root in self._pending:
            return self._pending[root][1]
        if inner or find_selection(self._repo, root) or (self._update and self._repo.state.find_placed(root) is None):
            return load_tree(self._repo, old, root)
        return find_tree(self._repo, old.digest)


def _make_pointer(
    repo: Repo, root: RelPath, inner: RelPath, snapshot: Snapshot, before: bytes | None, keep: Set[RelPath]
) -> tuple[Pointer, bytes | None]:
    """Return the pointer for a snapshot and the encoding of its tree, if it is one."""
    if inner:
        if before is None:
            raise NotTrackedError(f"{root} is a file, so {inner} cannot be in it", path=inner)
        tree = replace_entries(before, inner, entries_of(snapshot, inner))
    elif snapshot.tree is not None and before is not None and (selected := find_selection(repo, root)):
        tree = _keep_absent(before, snapshot.tree, lambda path: not is_inside(path, selected))
    elif snapshot.tree is not None and before is not None and keep:
        tree = _keep_absent(before, snapshot.tree, keep.__contains__)
    else:
        pointer = Pointer(snapshot.kind, snapshot.digest, snapshot.size_bytes, snapshot.files, snapshot.executable)
        return pointer, snapshot.tree
    data = tree.to_bytes()
    return tree_pointer(tree, data, repo.algorithm), data


def _find_lost(repo: Repo, root: RelPath, before: bytes | None, now: bytes | None) -> Set[RelPath]:
    """Return what is not here and that nobody can have deleted: it never was here, or no checkout could restore it."""
    if before is None or now is None:
        return frozenset()
    gone = diff_trees(before, now).deleted
    if repo.state.find_placed(root) is None:
        lost, why = {entry.path for entry in gone}, "that were never checked out"
    else:
        missing = repo.cache.find_missing(entry.digest for entry in gone if entry.is_file)
        lost = {entry.path for entry in gone if entry.is_file and entry.digest in missing}
        lost |= find_unplaced(repo, root, gone)
        why = "that no checkout brought here"
    if lost:
        repo.reporter.warn(f"{root} keeps {len(lost):,} of its files {why}")
    return lost


def _keep_absent(before: bytes, now: bytes, stays: Callable[[RelPath], bool]) -> Tree:
    """Return the tree of a directory with what is not here only because it never was."""
    here = Tree.from_bytes(now).entries
    present = {entry.path for entry in here}
    parents = {path[:i] for path in present for i, character in enumerate(path) if character == "/"}
    kept = [
        entry
        for entry in Tree.from_bytes(before).entries
        if entry.path not in present and entry.path not in parents and stays(entry.path)
    ]
    return Tree([*kept, *here])


def entries_of(snapshot: Snapshot, inner: RelPath) -> list[Entry]:
    """Return the entries of a snapshot taken at ``inner`` of a tree."""
    if snapshot.kind == "file":
        return [Entry(inner, EXECUTABLE if snapshot.executable else FILE, snapshot.size_bytes, snapshot.digest)]
    entries = [entry._replace(path=f"{inner}/{entry.path}") for entry in snapshot.iter_entries()]
    return entries or [Entry(inner, "d", 0)]


def replace_entries(before: bytes, inner: RelPath, entries: Sequence[Entry]) -> Tree:
    """Return a tree in which ``entries`` stand for whatever was at or below ``inner``."""
    ancestors = {inner[:i] for i, character in enumerate(inner) if character == "/"} if entries else set()
    kept = [
        entry
        for entry in Tree.from_bytes(before).entries
        if entry.path != inner and not entry.path.startswith(inner + "/") and entry.path not in ancestors
    ]
    return Tree([*kept, *entries])


def tree_pointer(tree: Tree, data: bytes, algorithm: str) -> Pointer:
    """Return the pointer of a tree."""
    return Pointer(kind="tree", digest=hash_bytes(data, algorithm), size_bytes=tree.size_bytes, files=tree.files)


def _publish(repo: Repo, change: _Change) -> list[RelPath]:
    """Write pointer and ignore rule, remember what lies in the work tree; returns what is to be staged."""
    root, pointer = change.root, change.pointer
    staged = publish_pointer(repo, root, pointer)
    # Of a directory that was never checked out as a whole only this path counts as being here.
    is_whole = not change.inner and change.snapshot.digest == pointer.digest
    is_partial = find_selection(repo, root) or (not is_whole and repo.state.find_placed(root) is None)
    placed_path = change.path if is_partial else root
    if change.inner or not is_partial:
        repo.state.save_placed(placed_path, Placed(pointer.kind, pointer.digest))
    return staged


def publish_pointer(repo: Repo, root: RelPath, pointer: Pointer) -> list[RelPath]:
    """Write pointer and ignore rule; returns what is to be staged."""
    write_pointer(repo.work_tree, root, pointer)
    directory, _, name = root.rpartition("/")
    staged = [root + POINTER_SUFFIX]
    if repo.git is None:
        return staged
    if not repo.git.is_ignored(root, directory=pointer.is_tree):
        add_rule(repo.work_tree / directory, name)
    return [*staged, *find_rules_to_stage(repo, root, wanted=True)]


def _count(old: Pointer | None, before: bytes | None, pointer: Pointer, tree: bytes | None) -> tuple[int, int, int]:
    """Return how many files were added, modified and deleted."""
    if old is None:
        return pointer.files, 0, 0
    if old.digest == pointer.digest:
        return 0, 0, 0
    if before is None or tree is None:
        return 0, 1, 0
    difference = diff_trees(before, tree)
    return len(difference.added), len(difference.modified), len(difference.deleted)


def _warn_of_names(repo: Repo, snapshot: Snapshot) -> None:
    """Tell of names that other systems cannot hold."""
    paths = [directory.file_path(row) for directory, row in iter_rows(snapshot.scan.directories)]
    found = find_portability_warnings(paths)
    for path, reason in found[:_MOST_WARNINGS]:
        repo.reporter.warn(f"{path!r} {reason}")
    if len(found) > _MOST_WARNINGS:
        repo.reporter.warn(f"{len(found) - _MOST_WARNINGS} more names are not portable")
