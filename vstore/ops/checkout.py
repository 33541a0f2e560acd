"""``checkout``: make the work tree match the pointers, or those of a revision, touching only what differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.errors import ObjectMissingError, VstoreError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, Entry, Tree, diff_trees, find_contents
from vstore.ops.placing import Edits, place
from vstore.ops.resolve import Target, find_targets, list_artifacts
from vstore.ops.trees import find_tree, load_tree
from vstore.repo import Repo
from vstore.state import Placed
from vstore.workspace.snapshot import Snapshot


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
    large files anew with the link type of the configuration.
    """
    targets = find_targets(repo, paths, rev=rev)
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
        self._result = CheckoutResult([], [], [], [], dry_run)

    def run(self, targets: Sequence[Target], *, remove_gone: bool) -> CheckoutResult:
        for target in targets:
            try:
                done = self._one(target)
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
        placed = self._repo.state.find_placed(path)
        if (
            before.digest == pointer.digest
            and before.executable == pointer.executable
            and not self._relink
            and not before.scan.refused
        ):
            self._remember(target, placed, Placed(pointer.kind, pointer.digest))
            return CheckedOut(path)
        tree = load_tree(self._repo, pointer, path) if pointer.is_tree else None
        change = self._plan(before, pointer, tree, placed, target.inner)
        if change.unsaved and not self._force:
            return CheckedOut(target.path, unsaved=[_join(path, entry.path) for entry in change.unsaved])
        if self._force:
            change = change._replace(delete=[*change.delete, *change.kept], kept=[])
        kept = [_join(path, entry.path) for entry in change.kept]
        if self._dry_run:
            return CheckedOut(target.path, len(change.write), len(change.delete), _size(change.write), kept)
        is_whole = not target.inner and not change.kept and tree is not None
        after = Snapshot(
            before.scan, pointer.kind, pointer.digest, pointer.size_bytes, pointer.files, pointer.executable, tree
        )
        self._repo.reporter.begin("writing", total=len(change.write))
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
        if result.written or not (result.missing or result.damaged):
            self._remember(target, placed, Placed(pointer.kind, pointer.digest))
        written = [entry for entry in change.write if entry.path in result.written]
        return CheckedOut(target.path, len(written), len(result.deleted), _size(written), kept)

    def _remember(self, target: Target, old: Placed | None, new: Placed) -> None:
        """Note what is at an artifact's path; of one never checked out as a whole, only the path asked for."""
        if self._dry_run or (old == new and not target.inner):
            return
        self._repo.state.save_placed(target.artifact.path if old or not target.inner else target.path, new)

    def _plan(
        self, before: Snapshot, pointer: Pointer, tree: bytes | None, placed: Placed | None, inner: RelPath
    ) -> _Change:
        old_tree = before.tree if before.tree is not None else Tree([]).to_bytes()
        new_tree = tree if tree is not None else Tree([]).to_bytes()
        difference = diff_trees(old_tree, new_tree)
        write = difference.added + [new for _, new in difference.modified]
        replaced = [old for old, _ in difference.modified]
        delete = difference.deleted
        if before.kind == "file":
            mine = Entry("", EXECUTABLE if before.executable else FILE, before.size_bytes, before.digest)
            (replaced if pointer.kind == "file" else delete).append(mine)
        if pointer.kind == "file":
            write.append(Entry("", EXECUTABLE if pointer.executable else FILE, pointer.size_bytes, pointer.digest))
        if self._relink and tree is not None and before.tree is not None:
            known = {entry.path for entry in write}
            write += [
                entry
                for entry in Tree.from_bytes(tree).entries
                if entry.size_bytes > SMALL_BYTES and entry.path not in known
            ]
        if inner:
            write, replaced, delete = _inside(write, inner), _inside(replaced, inner), _inside(delete, inner)
            if not write and not replaced and not delete and not _has(new_tree, inner) and not _has(old_tree, inner):
                raise ObjectMissingError(f"there is no {inner} in this version", digests=[pointer.digest])
        placed_entries = None if placed is None or not delete else self._placed_entries(placed)
        delete, contested, kept = self._split(delete, placed_entries)
        # A file that nobody knows, in the way of one that is to be written, is not kept but fought over.
        wanted = {entry.path for entry in write}
        parents = {entry.path.rpartition("/")[0] for entry in write}
        in_the_way = {entry for entry in kept if tree is None or entry.path in wanted or entry.path in parents}
        contested += in_the_way
        kept = [entry for entry in kept if entry not in in_the_way]
        unsaved = [entry for entry in replaced + contested if not self._is_saved(entry, placed, placed_entries)]
        unsaved += [Entry(path, FILE, 0) for path, _ in before.scan.refused if path in wanted]
        return _Change(write, delete + contested, kept, unsaved)

    def _split(self, entries: list[Entry], known: set[Entry] | None) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """Split what the new version does not have into what may go, what was changed, and what nobody ever knew."""
        if known is None:
            gone = [entry for entry in entries if self._is_saved(entry, None, None)]
            return gone, [], [entry for entry in entries if not self._is_saved(entry, None, None)]
        paths = {entry.path for entry in known}
        gone = [entry for entry in entries if entry in known or entry.kind == EMPTY_DIRECTORY]
        changed = [entry for entry in entries if entry.path in paths and entry not in known]
        new = [entry for entry in entries if entry.path not in paths and entry.kind != EMPTY_DIRECTORY]
        return gone, changed, new

    def _placed_entries(self, placed: Placed) -> set[Entry] | None:
        """Return what vstore itself last put here; None if that is not known any more."""
        if placed.kind == "file":
            return set()
        tree = find_tree(self._repo, placed.digest)
        return None if tree is None else set(Tree.from_bytes(tree).entries)

    def _is_saved(self, entry: Entry, placed: Placed | None, known: set[Entry] | None) -> bool:
        if entry.kind == EMPTY_DIRECTORY or (entry.is_file and self._repo.cache.has(entry.digest)):
            return True
        if placed is not None and placed.kind == "file":
            return entry.digest == placed.digest
        if known is None and placed is not None:
            known = self._placed_entries(placed)
        return known is not None and entry in known

    # artifacts whose pointer is gone

    def _remove_gone(self) -> None:
        """Remove what vstore put where no pointer is any more, if it is unmodified and saved."""
        placed = self._repo.state.load_placed()
        present = {artifact.path for artifact in list_artifacts(self._repo)}
        for path, known in placed.items():
            if path in present or any(path.startswith(other + "/") for other in present):
                continue
            snapshot = self._repo.snapshotter().take(self._repo.work_tree / path, path)
            if snapshot.kind != "absent":
                entries = self._entries_to_remove(snapshot, known)
                if entries is None:
                    self._repo.reporter.note(f"{path} has no pointer any more and was changed, so it stays")
                    continue
                if not self._dry_run:
                    after = Snapshot(snapshot.scan, "absent", Digest(""), 0, 0)
                    place(self._repo, path, Edits([], entries), before=snapshot, after=after)
                    self._remove_directory(path)
                self._result.artifacts.append(CheckedOut(path, deleted=len(entries), removed=True))
            if not self._dry_run:
                self._repo.state.forget(path)

    def _entries_to_remove(self, snapshot: Snapshot, known: Placed) -> list[Entry] | None:
        if snapshot.digest != known.digest or snapshot.scan.refused:
            return None
        if snapshot.tree is None:
            needed = {snapshot.digest}
        else:
            needed = {digest for digest, _ in find_contents(snapshot.tree)} | {snapshot.digest}
        if self._repo.cache.find_missing(needed):
            return None
        if snapshot.tree is None:
            return [Entry("", FILE, snapshot.size_bytes, snapshot.digest)]
        return list(snapshot.iter_entries())

    def _remove_directory(self, path: RelPath) -> None:
        directory = self._repo.work_tree / path
        if directory.is_dir() and not directory.is_symlink() and not any(directory.iterdir()):
            directory.rmdir()


def _size(entries: Sequence[Entry]) -> int:
    return sum(entry.size_bytes for entry in entries)


def _inside(entries: list[Entry], inner: RelPath) -> list[Entry]:
    return [entry for entry in entries if entry.path == inner or entry.path.startswith(inner + "/")]


def _has(tree: bytes, inner: RelPath) -> bool:
    return any(True for _ in Tree.from_bytes(tree).iter_below(inner))


def _join(root: RelPath, path: RelPath) -> RelPath:
    return f"{root}/{path}" if path else root
