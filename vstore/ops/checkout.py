"""``checkout``: make the work tree match the pointers, or those of a revision, touching only what differs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.cache.writer import open_writer
from vstore.errors import NotDownloadedError, ObjectMissingError, PathNotFoundError, VstoreError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, Entry, Tree, diff_trees
from vstore.ops.placing import Edits, place
from vstore.ops.resolve import Target, find_targets, is_inside
from vstore.ops.trees import find_tree, load_tree
from vstore.repo import Repo
from vstore.state import Placed
from vstore.workspace.leftovers import remove_leftovers
from vstore.workspace.pointers import find_owner
from vstore.workspace.snapshot import Snapshot

_EMPTY_TREE = Tree([]).to_bytes()


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """One artifact: how many files were written and deleted, and what was left as it was."""

    path: RelPath
    written: int = 0
    deleted: int = 0
    size_bytes: int = 0
    """Bytes of the files written."""
    kept: list[RelPath] = field(default_factory=list)
    """Files that no version knows: left where they are."""
    unsaved: list[RelPath] = field(default_factory=list)
    """Changed files that are saved nowhere: because of them nothing of this artifact was touched."""
    removed: bool = False
    """Whether the pointer is gone, and so the data went."""
    error: str | None = None

    @property
    def is_unchanged(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.written or self.deleted or self.unsaved or self.error or self.removed)


@dataclass(frozen=True, slots=True)
class CheckoutResult:
    """What happened to each artifact; ``missing`` and ``damaged`` are pairs of (path, digest), ``failed`` of
    (path, reason)."""

    artifacts: list[CheckedOut]
    missing: list[tuple[RelPath, Digest]]
    damaged: list[tuple[RelPath, Digest]]
    failed: list[tuple[RelPath, str]]
    dry_run: bool
    conflicts: list[RelPath] = field(default_factory=list)
    """Artifacts of which something is still in conflict, where conflicts were to be decided."""
    settled: list[RelPath] = field(default_factory=list)
    """Artifacts of which nothing is in conflict any more, because a side was taken."""

    @property
    def unsaved(self) -> list[RelPath]:
        """Every changed file that is saved nowhere and was in the way."""
        return [path for artifact in self.artifacts for path in artifact.unsaved]


class _Change(NamedTuple):
    """What has to happen at one artifact's path."""

    write: list[Entry]
    delete: list[Entry]
    kept: list[Entry]
    unsaved: list[Entry]
    going: list[Entry]
    """What is replaced or deleted."""


def checkout(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    rev: str | None = None,
    force: bool = False,
    relink: bool = False,
    dry_run: bool = False,
) -> CheckoutResult:
    """Make the data at ``paths`` (all, if none) equal their pointers, or those of ``rev``; pointers stay.

    Files that are saved nowhere are neither overwritten nor deleted without ``force``: the artifact they belong to is
    left alone and they are listed.  What can be restored is, also when something else is missing.  ``relink`` writes
    large files anew with the link type of the configuration.  Raises PathNotFoundError, before anything is done, for a
    path inside a tree that is neither in it nor on disk.
    """
    targets = find_targets(repo, paths, rev=rev)
    for target in targets:
        _check_inner(repo, target)
    checkout = _Checkout(repo, force=force, relink=relink, dry_run=dry_run)
    if dry_run:
        return checkout.run(targets, remove_gone=not paths and rev is None)
    with repo.writing():
        return checkout.run(targets, remove_gone=not paths and rev is None)


class _Checkout:
    def __init__(self, repo: Repo, *, force: bool, relink: bool, dry_run: bool) -> None:
        self._repo = repo
        self._force = force
        self._relink = relink
        self._dry_run = dry_run
        self._cleaned: set[RelPath] = set()
        self._result = CheckoutResult([], [], [], [], dry_run)

    def run(self, targets: Sequence[Target], *, remove_gone: bool) -> CheckoutResult:
        for target in targets:
            try:
                done = self._one(target)
            except NotDownloadedError:
                self._repo.reporter.note(f"{target.path} was passed over: it is an import that was not downloaded yet")
                continue
            except ObjectMissingError as error:
                self._result.missing.append((target.path, Digest(str(error.fields["digests"][0]))))
                done = CheckedOut(target.path, error=error.message)
            except VstoreError as error:
                self._result.failed.append((target.path, error.message))
                done = CheckedOut(target.path, error=error.message)
            self._result.artifacts.append(done)
        if remove_gone:
            self._remove_gone()
        return self._result

    def _one(self, target: Target) -> CheckedOut:
        pointer, path = target.pointer, target.artifact.path
        before = self._repo.snapshotter().take(self._repo.work_tree / path, path)
        self._clean_up(path, before)
        if (
            before.digest == pointer.digest
            and before.executable == pointer.executable
            and not self._relink
            and not before.scan.refused
        ):
            self._remember(target)
            return CheckedOut(path)
        tree = load_tree(self._repo, pointer, path) if pointer.is_tree else None
        change = self._plan(target, before, tree)
        if change.unsaved and not self._force:
            return CheckedOut(target.path, unsaved=[_join(path, entry.path) for entry in change.unsaved])
        if self._force:
            change = change._replace(delete=[*change.delete, *change.kept], kept=[])
        kept = [_join(path, entry.path) for entry in change.kept]
        if self._dry_run:
            return CheckedOut(target.path, len(change.write), len(change.delete), _size(change.write), kept)
        if not self._force:
            self._rescue(path, change.going)
        is_whole = not target.inner and not change.kept and tree is not None
        after = Snapshot(
            before.scan, pointer.kind, pointer.digest, pointer.size_bytes, pointer.files, pointer.executable, tree
        )
        self._repo.reporter.begin("writing", total=_size(change.write), unit="bytes")
        result = place(
            self._repo,
            path,
            Edits(change.write, change.delete, force=self._force),
            before=before,
            after=after if is_whole else dataclasses.replace(after, tree=None),
        )
        self._repo.reporter.end()
        self._result.missing.extend(result.missing)
        self._result.damaged.extend(result.damaged)
        self._result.failed.extend((failed, error.message) for failed, error in result.failed)
        # What could not be placed was never here: later nobody shall take it for deleted.
        lacking = {lost[len(path) + 1 :] for lost, _ in (*result.missing, *result.damaged)}
        if not result.failed and not lacking:
            self._remember(target)
        elif not result.failed and (result.written or before.tree) and tree is not None and not target.inner:
            self._remember_part(path, tree, before, lacking)
        written = [entry for entry in change.write if entry.path in result.written]
        return CheckedOut(target.path, len(written), len(result.deleted), _size(written), kept)

    def _clean_up(self, path: RelPath, before: Snapshot) -> None:
        """Remove what commands that died left among the data and, looking once, beside it."""
        parent = path.rpartition("/")[0]
        if not self._dry_run and (before.scan.skipped or parent not in self._cleaned):
            self._cleaned.add(parent)
            remove_leftovers(self._repo.work_tree, parent, [_join(path, skipped) for skipped in before.scan.skipped])

    def _remember(self, target: Target) -> None:
        """Note what is at a path now; of a part of an artifact only that part."""
        placed = Placed(target.pointer.kind, target.pointer.digest)
        if not self._dry_run and self._repo.state.find_placed(target.path) != placed:
            self._repo.state.save_placed(target.path, placed)

    def _remember_part(self, path: RelPath, tree: bytes, before: Snapshot, lacking: Set[RelPath]) -> None:
        """Note that a tree is there but for some paths, where there is what was before."""
        stays = [entry for entry in before.iter_entries() if entry.path in lacking]
        entries = [entry for entry in Tree.from_bytes(tree).entries if entry.path not in lacking]
        with open_writer(self._repo.cache) as writer:
            digest = writer.add_bytes(Tree([*entries, *stays]).to_bytes(), self._repo.algorithm)
        self._repo.state.save_placed(path, Placed("tree", digest))

    def _plan(self, target: Target, before: Snapshot, tree: bytes | None) -> _Change:
        old_tree = before.tree if before.tree is not None else _EMPTY_TREE
        new_tree = tree if tree is not None else _EMPTY_TREE
        difference = diff_trees(old_tree, new_tree)
        # The tree may be a stranger's: what it would have us write is checked as a tree of its own.
        write = Tree([*difference.added, *(new for _, new in difference.modified)]).entries
        replaced = [old for old, _ in difference.modified]
        delete = difference.deleted
        if before.kind == "file":
            (replaced if tree is None else delete).append(_file_entry(before))
        if tree is None:
            write.append(_file_entry(target.pointer))
        if self._relink and tree is not None and before.tree is not None:
            changed = {entry.path for entry in write}
            write += [
                entry
                for entry in Tree.from_bytes(tree).entries
                if entry.size_bytes > SMALL_BYTES and entry.path not in changed
            ]
        if target.inner:
            concerned = _Way([Entry(target.inner, FILE, 0)], tree_above=False)
            replaced, delete = concerned.choose(replaced), concerned.choose(delete)
            write = [entry for entry in write if is_inside(entry.path, [target.inner])]
        known: set[Entry] | None = set()
        if delete or not all(self._is_saved(entry, None) for entry in replaced):
            known = self._known_entries(target.artifact.path, before)
        delete, contested, kept = self._split(delete, known)
        # A file that nobody knows, in the way of one that is to be written, is not kept but fought over.
        way = _Way(write, tree_above=tree is not None)
        in_the_way = way.choose(kept)
        contested += in_the_way
        kept = [entry for entry in kept if entry not in in_the_way] if in_the_way else kept
        unsaved = [entry for entry in replaced + contested if not self._is_saved(entry, known)]
        # What cannot be read or tracked is saved nowhere.
        refused = way.choose([Entry(path, FILE, 0) for path, _ in before.scan.refused])
        # An empty directory and a file cannot take each other's place by a rename.
        first_gone = [old for old, new in difference.modified if EMPTY_DIRECTORY in (old.kind, new.kind)]
        delete = [*delete, *contested, *(entry for entry in first_gone if entry in replaced)]
        delete += [entry for entry in refused if entry.path not in way.wanted]
        return _Change(write, delete, kept, unsaved + refused, going=[*replaced, *delete])

    def _split(self, entries: list[Entry], known: set[Entry] | None) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """Split what the new version does not have into what may go, what was changed, and what nobody ever knew."""
        if known is None:
            gone = [entry for entry in entries if self._is_saved(entry, None)]
            return gone, [], [entry for entry in entries if not self._is_saved(entry, None)]
        paths = {entry.path for entry in known}
        gone = [entry for entry in entries if entry in known or entry.kind == EMPTY_DIRECTORY]
        changed = [entry for entry in entries if entry.path in paths and entry not in known]
        new = [entry for entry in entries if entry.path not in paths and entry.kind != EMPTY_DIRECTORY]
        return gone, [entry for entry in changed if entry.kind != EMPTY_DIRECTORY], new

    def _known_entries(self, root: RelPath, before: Snapshot) -> set[Entry] | None:
        """Return what vstore itself last put at an artifact's path; None if that is not known any more."""
        known: set[Entry] = set()
        found = False
        for path, placed in self._repo.state.load_placed().items():
            if not is_inside(path, [root]):
                continue
            if placed.kind == "file":
                found = True
                known |= {_file_entry(before)} if before.digest == placed.digest and path == root else set()
            elif (tree := find_tree(self._repo, placed.digest)) is not None:
                found = True
                known.update(Tree.from_bytes(tree).iter_below(path[len(root) + 1 :]))
        return known if found else None

    def _is_saved(self, entry: Entry, known: set[Entry] | None) -> bool:
        if entry.kind == EMPTY_DIRECTORY or (entry.is_file and self._repo.cache.has(entry.digest)):
            return True
        return known is not None and entry in known

    def _rescue(self, root: RelPath, entries: Sequence[Entry]) -> None:
        """Put back into the cache what, since the cache was lost, only the work tree holds, before it goes."""
        lacking = self._repo.cache.find_missing(entry.digest for entry in entries if entry.is_file)
        if not lacking:
            return
        with open_writer(self._repo.cache) as writer:
            for entry in entries:
                path = _join(root, entry.path)
                # A link to an object that is gone holds nothing.
                if entry.digest in lacking and not (self._repo.work_tree / path).is_symlink():
                    self._repo.snapshotter().take(self._repo.work_tree / path, path, writer=writer, remember=False)

    # artifacts whose pointer is gone

    def _remove_gone(self) -> None:
        """Remove what vstore put where no pointer is any more, if it is unmodified and saved."""
        for path, known in self._repo.state.load_placed().items():
            try:
                if find_owner(self._repo.work_tree, path) is not None:
                    continue
            except VstoreError:  # there is one, which cannot be read
                continue
            snapshot = self._repo.snapshotter().take(self._repo.work_tree / path, path)
            entries = self._entries_to_remove(path, snapshot, known)
            if entries is None:
                self._repo.reporter.note(f"{path} has no pointer any more and was changed, so it stays")
                continue
            if not self._dry_run:
                after = Snapshot(snapshot.scan, "absent", Digest(""), 0, 0)
                result = place(self._repo, path, Edits([], entries), before=snapshot, after=after)
                if result.failed:
                    self._result.failed.extend((failed, error.message) for failed, error in result.failed)
                    continue
                self._repo.state.forget(path)
            if snapshot.kind != "absent":
                self._result.artifacts.append(CheckedOut(path, deleted=len(entries), removed=True))

    def _entries_to_remove(self, path: RelPath, snapshot: Snapshot, known: Placed) -> list[Entry] | None:
        if snapshot.scan.refused:
            return None
        entries = [_file_entry(snapshot)] if snapshot.kind == "file" else list(snapshot.iter_entries())
        if snapshot.kind != "absent" and snapshot.digest != known.digest and not self._is_part(path, entries, known):
            return None
        return None if self._repo.cache.find_missing(entry.digest for entry in entries if entry.is_file) else entries

    def _is_part(self, path: RelPath, entries: list[Entry], known: Placed) -> bool:
        """Tell whether these entries are what a tree has at the end of ``path``."""
        tree = find_tree(self._repo, known.digest) if known.kind == "tree" else None
        parts = path.split("/")
        for start in range(1, len(parts) if tree is not None else 0):
            inner = "/".join(parts[start:])
            below = Tree.from_bytes(tree or b"").iter_below(inner)
            if entries and entries == [entry._replace(path=entry.path[len(inner) + 1 :]) for entry in below]:
                return True
        return False


class _Way:
    """Where files are to be written, and so what stands in their way."""

    def __init__(self, write: Sequence[Entry], *, tree_above: bool) -> None:
        self.wanted = {entry.path for entry in write if entry.kind != EMPTY_DIRECTORY}
        self._above = {""} if tree_above else set()
        for parent in {entry.path.rpartition("/")[0] for entry in write}:
            while parent and parent not in self._above:
                self._above.add(parent)
                parent = parent.rpartition("/")[0]

    def choose(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries at, above or below a path that is to be written."""
        return [entry for entry in entries if self._blocks(entry.path)]

    def _blocks(self, path: RelPath) -> bool:
        if path in self._above or path in self.wanted or "" in self.wanted:
            return True
        while path := path.rpartition("/")[0]:
            if path in self.wanted:
                return True
        return False


def _file_entry(file: Snapshot | Pointer) -> Entry:
    return Entry("", EXECUTABLE if file.executable else FILE, file.size_bytes, file.digest)


def _size(entries: Sequence[Entry]) -> int:
    return sum(entry.size_bytes for entry in entries)


def _check_inner(repo: Repo, target: Target) -> None:
    """Raise PathNotFoundError for a path that is neither on disk nor, as far as that is known, in its tree."""
    root, inner, pointer = target.artifact.path, target.inner, target.artifact.pointer
    if not inner or not isinstance(pointer, Pointer) or os.path.lexists(repo.work_tree / target.path):
        return
    tree = find_tree(repo, pointer.digest) if pointer.is_tree else _EMPTY_TREE
    if tree is not None and not any(True for _ in Tree.from_bytes(tree).iter_below(inner)):
        raise PathNotFoundError(f"there is no {inner} in {root}", path=target.path)


def _join(root: RelPath, path: RelPath) -> RelPath:
    return f"{root}/{path}" if path else root
