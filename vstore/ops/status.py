"""``status``: how the work tree, the pointers, git and the cache compare.  Takes no lock."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vstore.errors import NotDownloadedError, NotTrackedError, PathNotFoundError, VstoreError
from vstore.git.ignore_rules import OwnRules
from vstore.git.unmerged import find_unmerged
from vstore.objects.diff import NO_ENTRIES
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer, awaited_from_bytes
from vstore.objects.tree import Entry, Tree, cut_below, diff_trees, find_digests
from vstore.ops.resolve import Target, find_selection, find_targets, is_inside, touches
from vstore.ops.transfer import Version, group_by_remote
from vstore.ops.trees import find_tree, find_unplaced, is_outdated
from vstore.repo import Repo
from vstore.workspace.pointers import Artifact, find_artifact, load_awaited
from vstore.workspace.snapshot import Snapshot
from vstore.workspace.snapshotter import Snapshotter

UNCHANGED = "unchanged"
MODIFIED = "modified"
OUTDATED = "outdated"
DELETED = "deleted"
ABSENT = "absent"
BROKEN = "broken"
NOT_DOWNLOADED = "not-downloaded"
CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class ArtifactStatus:
    """One artifact.

    ``data``: "unchanged", "modified", "outdated" (it is what vstore put there, and the pointer says something else),
    "deleted" (it was there), "absent" (it was never checked out here, or not all of it), "not-downloaded" (nobody asked
    for the data of this import yet), "conflict" (git is merging its pointer, and somebody has to choose) or "broken"
    (the pointer is).
    ``pointer``: against git's HEAD "committed", "new", "changed", or "untracked" without git.
    """

    path: RelPath
    data: str
    pointer: str
    size_bytes: int = 0
    files: int = 0
    added: list[RelPath] = field(default_factory=list)
    """Files, relative to the artifact, as those that follow."""
    modified: list[RelPath] = field(default_factory=list)
    deleted: list[RelPath] = field(default_factory=list)
    lost: int = 0
    """How many of those deleted no checkout could restore, as the cache lacks them too."""
    not_in_cache: int = 0
    """How many of the contents that the pointer names the cache lacks."""
    not_in_remote: bool | None = None
    """Whether the remote lacks it; None if that was not asked."""
    remote: str | None = None
    """The remote that it was compared with; None if that was not asked, or it belongs to another one."""
    partial: list[RelPath] | None = None
    """The paths that were checked out, where not the whole was: only they are compared."""
    not_ignored: bool = False
    """Whether it is here and no rule keeps git from taking it in, as where ``git mv`` moved the pointer alone."""
    root: RelPath | None = None
    """The artifact, where ``path`` is only something inside it."""
    refused: list[tuple[RelPath, str]] = field(default_factory=list)
    """Paths that cannot be tracked or read, with the reason."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StatusResult:
    """All artifacts asked for, and the remote they were compared with."""

    artifacts: list[ArtifactStatus]
    remote: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether the data equals the pointers and nothing is missing."""
        return all(
            artifact.data in (UNCHANGED, NOT_DOWNLOADED) and not artifact.not_in_cache and not artifact.not_in_remote
            for artifact in self.artifacts
        )


def status(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    remote: str | None = None,
) -> StatusResult:
    """Compare artifacts with their files; with ``remote`` (a name, or "" for the default) also with a remote.

    An artifact that belongs to another remote than the default one is compared with its own.
    """
    unmerged = _find_unmerged(repo)
    targets = _find_targets(repo, paths, unmerged)
    committed = _committed(repo)
    snapshotter = repo.snapshotter()
    snapshotter.look_up(
        [path for (path, pointer), _ in targets if isinstance(pointer, Pointer) and not pointer.is_tree]
    )
    artifacts = [
        _in_conflict(repo, target) if target.artifact.path in unmerged else _one(repo, target, committed, snapshotter)
        for target in targets
    ]
    exposed = _find_exposed(repo, [target.artifact.path for target in targets])
    artifacts = [
        dataclasses.replace(found, not_ignored=path in exposed, root=path if target.inner else None)
        if target.inner or path in exposed
        else found
        for found, target in zip(artifacts, targets, strict=True)
        for path in [target.artifact.path]
    ]
    if remote is None:
        return StatusResult(artifacts)
    name = repo.remote_name(remote or None)
    lacking = _find_lacking(repo, targets, remote or None)
    return StatusResult(
        [
            dataclasses.replace(artifact, remote=own, not_in_remote=is_lacking)
            for artifact in artifacts
            for own, is_lacking in [lacking.get(artifact.path, (None, None))]
        ],
        name,
    )


def _find_unmerged(repo: Repo) -> set[RelPath]:
    """Return the artifacts whose pointers git is merging, and could not."""
    if repo.git is None:
        return set()
    return {path.removesuffix(POINTER_SUFFIX) for path in find_unmerged(repo.work_tree, POINTER_SUFFIX)}


def _find_exposed(repo: Repo, paths: Sequence[RelPath]) -> set[RelPath]:
    """Return the artifacts that are here and that git would take in."""
    if repo.git is None:
        return set()
    rules = OwnRules(repo.work_tree)
    exposed = set()
    for path in paths:
        if not rules.cover(path):  # as nearly all are: to ask for whatever else git reads costs twenty times as much
            place = repo.work_tree / path
            if os.path.lexists(place) and not repo.git.is_ignored(path, directory=os.path.isdir(place)):
                exposed.add(path)
    return exposed


def _find_targets(repo: Repo, paths: Sequence[str | Path], unmerged: set[RelPath]) -> list[Target]:
    """Return what was asked for, also artifacts in conflict whose pointers one side deleted."""
    wanted = [repo.relative(path) for path in paths]
    gone = [
        Target(Artifact(path, NotTrackedError(f"{path} was deleted on one side of the merge", path=path)))
        for path in sorted(unmerged)
        if (not paths or any(touches(one, path) for one in wanted)) and find_artifact(repo.work_tree, path) is None
    ]
    if not gone:
        return find_targets(repo, paths)
    named = [path for path, one in zip(paths, wanted, strict=True) if not any(touches(one, t.path) for t in gone)]
    return sorted([*gone, *(find_targets(repo, named) if named or not paths else ())], key=lambda target: target.path)


def _in_conflict(repo: Repo, target: Target) -> ArtifactStatus:
    pointer = target.artifact.pointer
    if isinstance(pointer, VstoreError):
        return ArtifactStatus(target.path, CONFLICT, "changed", error=pointer.message)
    reason = "its pointer is being merged, and git holds more than one version of it"
    return ArtifactStatus(target.path, CONFLICT, "changed", pointer.size_bytes, pointer.files, error=reason)


def _find_lacking(repo: Repo, targets: Sequence[Target], remote: str | None) -> dict[RelPath, tuple[str, bool]]:
    """Return the remote of each target, unless it belongs to another than the one named, and whether that lacks it."""
    versions = [Version(target, None) for target in targets if isinstance(target.artifact.pointer, Pointer)]
    lacking: dict[RelPath, tuple[str, bool]] = {}
    for name, group in group_by_remote(repo, versions, remote).items():
        with repo.open_remote(name) as opened:
            digests = {version.pointer.digest for version in group}
            missing = opened.missing_roots(digests, reporter=repo.reporter)
        lacking.update((version.target.path, (name, version.pointer.digest in missing)) for version in group)
    return lacking


def _committed(repo: Repo) -> dict[RelPath, bytes] | None:
    """Return the pointer files of HEAD; None without git."""
    if repo.git is None:
        return None
    head = repo.git.head()
    return {} if head is None else dict(repo.git.iter_files(head, POINTER_SUFFIX))


def _one(
    repo: Repo,
    target: Target,
    committed: dict[RelPath, bytes] | None,
    snapshotter: Snapshotter,
) -> ArtifactStatus:
    artifact = target.artifact
    pointer = artifact.pointer
    if isinstance(pointer, NotDownloadedError):
        pointer = load_awaited(repo.work_tree, artifact.path)
        state = _pointer_state(artifact.pointer_path, pointer, committed)
        return ArtifactStatus(target.path, NOT_DOWNLOADED, state, pointer.size_bytes, pointer.files)
    if isinstance(pointer, VstoreError):
        return ArtifactStatus(target.path, BROKEN, "changed", error=pointer.message)
    state = _pointer_state(artifact.pointer_path, pointer, committed)
    snapshot = snapshotter.take(repo.work_tree / artifact.path, artifact.path)
    parts = find_selection(repo, artifact.path) if pointer.is_tree else []
    asked = [target.inner] if target.inner else parts
    now = snapshot.kind, snapshot.digest, snapshot.executable
    is_same = now == (pointer.kind, pointer.digest, pointer.executable)
    # Where nothing was touched, the tree has just been read from the cache.
    was_read = is_same and snapshot.digests is None
    tree = snapshot.tree if was_read else find_tree(repo, pointer.digest) if pointer.is_tree else None
    if target.inner and tree is not None:
        _check_there(repo, target, tree)
    missing = _count_missing(repo, pointer, tree, asked)
    if is_same:
        return ArtifactStatus(
            target.path,
            UNCHANGED,
            state,
            pointer.size_bytes,
            pointer.files,
            not_in_cache=missing,
            refused=snapshot.scan.refused,
        )
    added, modified, deleted = _compare(snapshot, tree, parts, target.inner)
    placed = repo.state.find_placed(artifact.path)
    was_here = any(touches(target.inner, part) for part in parts) if parts else placed is not None
    if not was_here:
        deleted = []
    elif placed is not None and placed.digest != pointer.digest:
        unplaced = find_unplaced(repo, artifact.path, deleted)
        deleted = [entry for entry in deleted if entry.path not in unplaced]
    unsaved = repo.cache.find_missing(entry.digest for entry in deleted if entry.is_file)
    if snapshot.kind == "absent" and not parts:
        data = DELETED if placed is not None else ABSENT
    elif not was_here and not (added or modified) and (tree is not None or not snapshot.files):
        data = ABSENT
    elif is_outdated(repo, artifact.path, pointer, snapshot):
        data = OUTDATED
    elif added or modified or deleted or not asked:
        data = MODIFIED
    else:
        data = UNCHANGED
    return ArtifactStatus(
        target.path,
        data,
        state,
        pointer.size_bytes,
        pointer.files,
        added,
        modified,
        [entry.path for entry in deleted],
        sum(entry.is_file and entry.digest in unsaved for entry in deleted),
        missing,
        partial=parts or None,
        refused=snapshot.scan.refused,
    )


def _check_there(repo: Repo, target: Target, tree: bytes) -> None:
    """Raise PathNotFoundError for a path inside a tree that is neither in it nor on disk."""
    if not cut_below(tree, target.inner) and not os.path.lexists(repo.work_tree / target.path):
        raise PathNotFoundError(f"there is no {target.inner} in {target.artifact.path}", path=target.path)


def _pointer_state(pointer_path: RelPath, pointer: Pointer, committed: dict[RelPath, bytes] | None) -> str:
    if committed is None:
        return "untracked"
    if pointer_path not in committed:
        return "new"
    try:
        return "committed" if awaited_from_bytes(committed[pointer_path], pointer_path) == pointer else "changed"
    except VstoreError:
        return "changed"


def _count_missing(repo: Repo, pointer: Pointer, tree: bytes | None, asked: list[RelPath]) -> int:
    """Return how many of the contents that are asked for the cache lacks."""
    if not pointer.is_tree:
        return int(not repo.cache.has(pointer.digest))
    if tree is None:
        return pointer.files + 1
    if not asked:
        return len(repo.cache.find_missing(find_digests(tree)))
    entries = Tree.from_bytes(tree).entries
    return len(repo.cache.find_missing([e.digest for e in entries if e.is_file and is_inside(e.path, asked)]))


def _compare(
    snapshot: Snapshot, tree: bytes | None, parts: list[RelPath], inner: RelPath
) -> tuple[list[RelPath], list[RelPath], list[Entry]]:
    """Return the files added, modified and deleted, as far as both sides are known."""
    now = NO_ENTRIES if snapshot.kind == "absent" and parts else snapshot.tree
    if now is None or tree is None:
        return [], [], []
    difference = diff_trees(tree, now)

    def choose(entries: Sequence[Entry], *places: Sequence[RelPath]) -> list[Entry]:
        return [entry for entry in entries if all(not some or is_inside(entry.path, some) for some in places)]

    wanted = [inner] if inner else []
    # What is here counts wherever it lies; what is not counts only where it was checked out.
    added = choose(difference.added, wanted)
    modified = choose([new for _, new in difference.modified], wanted)
    deleted = choose(difference.deleted, wanted, parts)
    return [entry.path for entry in added], [entry.path for entry in modified], deleted
