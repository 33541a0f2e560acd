"""``unlock``: make linked files writable, as copies that share nothing with the cache."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.durable import os_errors
from vstore.errors import PartialError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.names import RelPath
from vstore.objects.tree import EXECUTABLE, FILE, Entry
from vstore.ops.placing import Edits, place
from vstore.ops.resolve import Target, find_targets
from vstore.repo import Repo
from vstore.workspace.leftovers import remove_leftovers
from vstore.workspace.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class UnlockResult:
    """The files that became copies, and their bytes."""

    files: list[RelPath]
    size_bytes: int


def unlock(repo: Repo, paths: Sequence[str | Path]) -> UnlockResult:
    """Replace what is a link to the cache at ``paths`` by a verified, writable copy of it.

    What only is read-only, because its object is gone from the cache, is made writable as it is.  Each file changes
    at once or not at all.  Raises NotTrackedError, PartialError naming files whose contents the cache does not hold
    undamaged.
    """
    unlocked: list[tuple[RelPath, int]] = []
    with repo.writing():
        for target in find_targets(repo, paths):
            unlocked += unlock_files(repo, target.artifact.path, target.inner)
            unlocked += _make_writable(repo, target)
    return UnlockResult([path for path, _ in unlocked], sum(size for _, size in unlocked))


def unlock_files(repo: Repo, root: RelPath, inner: RelPath = "") -> list[tuple[RelPath, int]]:
    """Replace links at or below a path inside an artifact by copies; returns (path, size) of each.

    For callers that hold the lock.  Raises PartialError.
    """
    snapshot = repo.snapshotter().take(repo.work_tree / root, root)
    dead = [_join(root, skipped) for skipped in snapshot.scan.skipped]
    remove_leftovers(repo.work_tree, root.rpartition("/")[0], dead)
    linked = [entry for entry in _iter_inside(snapshot, inner) if _is_linked(repo, _join(root, entry.path), entry)]
    if not linked:
        return []
    repo.reporter.begin("copying", total=sum(entry.size_bytes for entry in linked), unit="bytes")
    done = place(repo, root, Edits(linked, [], as_copies=True), before=snapshot, after=snapshot)
    repo.reporter.end()
    failed = [(path, "is not in the cache") for path, _ in done.missing]
    failed += [(path, "is damaged in the cache") for path, _ in done.damaged]
    failed += [(path, error.message) for path, error in done.failed]
    if failed:
        raise PartialError(
            f"{len(failed)} of the files of {root} could not be copied", done=len(done.written), failed=failed
        )
    return [(_join(root, entry.path), entry.size_bytes) for entry in linked]


def _make_writable(repo: Repo, target: Target) -> Iterator[tuple[RelPath, int]]:
    root = target.artifact.path
    snapshot = repo.snapshotter().take(repo.work_tree / root, root)
    for entry in _iter_inside(snapshot, target.inner):
        path = repo.work_tree / _join(root, entry.path)
        with os_errors(path, "make writable"):
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) and not mode & stat.S_IWUSR:
                path.chmod(stat.S_IMODE(mode) | stat.S_IWUSR)
                yield _join(root, entry.path), entry.size_bytes


def _iter_inside(snapshot: Snapshot, inner: RelPath) -> Iterable[Entry]:
    if snapshot.kind == "file":
        return [Entry("", EXECUTABLE if snapshot.executable else FILE, snapshot.size_bytes, snapshot.digest)]
    entries = (entry for entry in snapshot.iter_entries() if entry.size_bytes > SMALL_BYTES)
    return [entry for entry in entries if not inner or (entry.path + "/").startswith(inner + "/")]


def _is_linked(repo: Repo, path: RelPath, entry: Entry) -> bool:
    found = os.lstat(repo.work_tree / path)
    if stat.S_ISLNK(found.st_mode):
        return True  # one to anywhere else has no size
    # Any file that cannot be written: its object may be gone, its other names somewhere else.
    return found.st_nlink > 1 and not found.st_mode & stat.S_IWUSR


def _join(root: RelPath, path: RelPath) -> RelPath:
    return f"{root}/{path}" if path else root
