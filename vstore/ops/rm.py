"""``rm``: stop tracking."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.cache.writer import open_writer
from vstore.durable import flush_directory, os_errors
from vstore.errors import PathNotFoundError, UnsavedError
from vstore.git.ignore_rules import remove_rule
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX
from vstore.objects.tree import EXECUTABLE, FILE, Entry, Tree
from vstore.ops.add import replace_entries, tree_pointer
from vstore.ops.placing import Edits, place
from vstore.ops.resolve import Target, find_targets
from vstore.ops.staging import find_rules_to_stage, list_staged_entries, stage
from vstore.ops.trees import load_tree
from vstore.ops.unlock import unlock_files
from vstore.repo import Repo
from vstore.state import Placed
from vstore.workspace.pointers import write_pointer
from vstore.workspace.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Removed:
    """One artifact, or one path that left the tree of an artifact; ``deleted`` counts files of the work tree."""

    path: RelPath
    artifact: bool
    deleted: int
    kept: int
    """How many files of it stay in the work tree."""


@dataclass(frozen=True, slots=True)
class RmResult:
    """What is not tracked any more."""

    removed: list[Removed]
    dry_run: bool


def rm(
    repo: Repo,
    paths: Sequence[str | Path],
    *,
    data: bool = False,
    force: bool = False,
    dry_run: bool = False,
    staging: bool = True,
) -> RmResult:
    """Remove pointers and their ignore rules; the data stays, links to the cache become files, unless ``data``.

    A path inside a tree leaves the tree, and its files go.  What is deleted is saved: in the cache, unless ``force``.
    Nothing is changed if anything would be lost.  Without ``staging`` the caller tells git.
    After a crash the same call goes on.  Raises NotTrackedError, UnsavedError, PathNotFoundError.
    """
    targets = find_targets(repo, paths)
    if dry_run:
        return RmResult([_Removal(repo, target, data, force).result for target in targets], dry_run=True)
    with repo.writing():
        # All are looked at before the first is touched.
        removals = [_Removal(repo, target, data, force) for target in targets]
        for removal in removals:
            removal.run(staging=staging)
    return RmResult([removal.result for removal in removals], dry_run=False)


class _Removal:
    """One target: looked at when made, removed when run."""

    def __init__(self, repo: Repo, target: Target, data: bool, force: bool) -> None:
        self._repo = repo
        self._target = target
        self._with_data = data
        self._force = force
        root, inner = target.artifact.path, target.inner
        self._before = repo.snapshotter().take(repo.work_tree / root, root)
        present = _entries(self._before)
        if inner:
            present = [entry for entry in present if (entry.path + "/").startswith(inner + "/")]
        self._delete = present if data or inner else []
        if not force:
            self._check_saved()
        files = sum(entry.is_file for entry in present)
        deleted = files if self._delete else 0
        self.result = Removed(target.path, not inner, deleted, files - deleted)

    def _check_saved(self) -> None:
        root = self._target.artifact.path
        missing = self._repo.cache.find_missing(entry.digest for entry in self._delete if entry.is_file)
        unsaved = [f"{root}/{e.path}".rstrip("/") for e in self._delete if e.is_file and e.digest in missing]
        inner = self._target.inner
        unsaved += [
            f"{root}/{path}".rstrip("/")
            for path, _ in self._before.scan.refused
            if self._delete and (not inner or (path + "/").startswith(inner + "/"))
        ]
        if unsaved:
            number = f"{len(unsaved)} files that are" if len(unsaved) > 1 else "a file that is"
            raise UnsavedError(f"{number} saved nowhere would be deleted", paths=unsaved)

    def run(self, *, staging: bool) -> None:
        if self._target.inner:
            self._leave_tree()
        else:
            self._drop_pointer(staging)

    def _drop_pointer(self, staging: bool) -> None:
        repo, root = self._repo, self._target.artifact.path
        if not self._with_data and self._before.kind != "absent":
            unlock_files(repo, root)
        directory, _, name = root.rpartition("/")
        # The data goes while git still ignores it, so that at no moment it could be committed by accident; the pointer
        # last, so that after a crash the same call goes on.
        if self._with_data:
            self._delete_files(Snapshot(self._before.scan, "absent", Digest(""), 0, 0))
        if repo.git is not None:
            remove_rule(repo.work_tree / directory, name)
        if staging:
            stage(repo, find_rules_to_stage(repo, root, wanted=False), leaving=[root + POINTER_SUFFIX])
        repo.state.forget(root)
        pointer_file = repo.work_tree / (root + POINTER_SUFFIX)
        with os_errors(pointer_file, "delete"):
            pointer_file.unlink(missing_ok=True)
            flush_directory(pointer_file.parent)

    def _leave_tree(self) -> None:
        repo, root, inner = self._repo, self._target.artifact.path, self._target.inner
        pointer = self._target.pointer
        before = load_tree(repo, pointer, root)
        tree = replace_entries(before, inner, [])
        is_absent = len(tree.entries) == len(Tree.from_bytes(before).entries) and not self._delete
        if is_absent and not list_staged_entries(repo, root, inner):
            raise PathNotFoundError(f"there is no {inner} in {root}", path=self._target.path)
        data = tree.to_bytes()
        with open_writer(repo.cache) as writer:
            writer.add_bytes(data, repo.algorithm)
        fresh = tree_pointer(tree, data, repo.algorithm)
        changed = dataclasses.replace(pointer, digest=fresh.digest, size_bytes=fresh.size_bytes, files=fresh.files)
        write_pointer(repo.work_tree, root, changed)
        stage(repo, [root + POINTER_SUFFIX])
        if self._delete:
            self._delete_files(dataclasses.replace(self._before, tree=None))
        if repo.state.find_placed(root) is not None:
            repo.state.save_placed(root, Placed(changed.kind, changed.digest))

    def _delete_files(self, after: Snapshot) -> None:
        repo, root = self._repo, self._target.artifact.path
        edits = Edits([], self._delete, force=self._force)
        done = place(repo, root, edits, before=self._before, after=after)
        for _, error in done.failed:
            raise error


def _entries(snapshot: Snapshot) -> list[Entry]:
    """Return what lies at an artifact's path."""
    if snapshot.kind == "file":
        kind = EXECUTABLE if snapshot.executable else FILE
        return [Entry("", kind, snapshot.size_bytes, snapshot.digest)]
    return list(snapshot.iter_entries())
