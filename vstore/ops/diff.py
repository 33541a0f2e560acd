"""``diff``: what changed between two revisions, or a revision and the work tree, by artifact and by file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vstore.errors import (
    InvalidError,
    NotFoundError,
    NotTrackedError,
    RevisionNotFoundError,
    UnavailableError,
    VstoreError,
)
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EXECUTABLE, FILE, Entry, Tree, diff_trees
from vstore.ops.resolve import list_artifacts
from vstore.ops.trees import find_tree, load_tree
from vstore.repo import Repo
from vstore.workspace.pointers import find_artifact

ADDED = "added"
DELETED = "deleted"
MODIFIED = "modified"


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file that differs; sizes and digests are None on the side where it is not."""

    path: RelPath
    change: str
    """"added", "deleted" or "modified"."""
    old_bytes: int | None
    new_bytes: int | None
    old_digest: Digest | None
    new_digest: Digest | None


@dataclass(frozen=True, slots=True)
class ArtifactDiff:
    """One artifact that differs; ``files`` is None where its list of files is in no place we looked."""

    path: RelPath
    change: str
    old_bytes: int | None
    new_bytes: int | None
    old_digest: Digest | None
    new_digest: Digest | None
    files: list[FileDiff] | None


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What differs, by path; ``old`` and ``new`` are revisions, None for the work tree (or nothing at all yet)."""

    old: str | None
    new: str | None
    artifacts: list[ArtifactDiff]


class _Version(NamedTuple):
    """What an artifact holds on one side; ``tree`` is the encoding of a tree that is in no cache yet."""

    pointer: Pointer
    tree: bytes | None = None


def diff(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    old: str | None = None,
    new: str | None = None,
) -> DiffResult:
    """Compare revision ``old`` (default: HEAD; without git, what the pointers say) with ``new``, or with the files.

    What was never checked out counts as what its pointer says.  Raises RevisionNotFoundError, NotTrackedError.
    """
    if old is None and repo.git is not None:
        old = "HEAD" if repo.git.head() is not None else None
    wanted = [repo.relative(path) for path in paths]
    if old is not None:
        before = _at_revision(repo, old)
    else:
        before = _of_pointers(repo) if repo.git is None else {}
    after = _at_revision(repo, new) if new is not None else _of_files(repo, wanted)
    for named, path in zip(paths, wanted, strict=True):
        if not any(_touches(path, artifact) for artifact in (*before, *after)):
            raise NotTrackedError(f"{named} is not tracked by vstore on either side", path=str(named))
    found: list[ArtifactDiff] = []
    for path in sorted({*before, *after}):
        if not wanted or any(_touches(one, path) for one in wanted):
            difference = _compare(repo, path, before.get(path), after.get(path))
            if difference is not None:
                found += _narrow(difference, wanted)
    return DiffResult(old, new, found)


def split_revisions(repo: Repo, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell up to two leading revisions (``A``, ``A B`` or ``A..B``) from the paths behind them.

    Raises InvalidError for what is both, RevisionNotFoundError for what is neither.
    """
    revisions: list[str] = []
    for number, argument in enumerate(arguments):
        parts = argument.split("..")
        if not number and len(parts) == 2 and not os.path.lexists(repo.start / argument):
            revisions = [part or "HEAD" for part in parts]
            for revision in revisions:
                if repo.git is not None:
                    repo.git.resolve(revision)
            return revisions, list(arguments[1:])
        if number == 2 or not _is_revision(repo, argument):
            if number < 2 and repo.git is not None and not _is_path(repo, argument):
                _check_known_at(repo, argument, revisions)
            return revisions, list(arguments[number:])
        if _is_path(repo, argument):
            raise InvalidError(f"{argument!r} is a revision and also a path", argument=argument)
        revisions.append(argument)
    return revisions, []


def _is_revision(repo: Repo, text: str) -> bool:
    if repo.git is None:
        return False
    try:
        repo.git.resolve(text)
    except RevisionNotFoundError:
        return False
    return True


def _check_known_at(repo: Repo, argument: str, revisions: Sequence[str]) -> None:
    """Raise RevisionNotFoundError for what is no path at some revisions, or at HEAD, either."""
    with contextlib.suppress(InvalidError):
        path = repo.relative(argument)
        for revision in revisions or ["HEAD"]:
            with contextlib.suppress(RevisionNotFoundError):  # before the first commit
                if any(_touches(path, artifact.path) for artifact in list_artifacts(repo, rev=revision)):
                    return
        raise RevisionNotFoundError(f"{argument!r} is neither a revision nor a path", revision=argument)


def _is_path(repo: Repo, named: str) -> bool:
    return os.path.lexists(repo.start / named) or _is_artifact(repo, named)


def _is_artifact(repo: Repo, named: str) -> bool:
    try:
        return find_artifact(repo.work_tree, repo.relative(named)) is not None
    except InvalidError:
        return False


# The two sides


def _at_revision(repo: Repo, revision: str) -> dict[RelPath, _Version]:
    artifacts = list_artifacts(repo, rev=revision)
    return {path: _Version(pointer) for path, pointer in _iter_sound(repo, artifacts)}


def _of_pointers(repo: Repo) -> dict[RelPath, _Version]:
    return {path: _Version(pointer) for path, pointer in _iter_sound(repo, list_artifacts(repo))}


def _iter_sound(
    repo: Repo, artifacts: Iterable[tuple[RelPath, Pointer | VstoreError]]
) -> Iterator[tuple[RelPath, Pointer]]:
    for path, pointer in artifacts:
        if isinstance(pointer, Pointer):
            yield path, pointer
        else:
            repo.reporter.warn(f"{path} was passed over: {pointer.message}")


def _of_files(repo: Repo, wanted: Sequence[RelPath]) -> dict[RelPath, _Version]:
    """Return what the work tree holds now."""
    placed = repo.state.load_placed()
    versions: dict[RelPath, _Version] = {}
    for path, pointer in _iter_sound(repo, list_artifacts(repo)):
        if wanted and not any(_touches(one, path) for one in wanted):
            versions[path] = _Version(pointer)
            continue
        snapshot = repo.snapshotter().take(repo.work_tree / path, path)
        if snapshot.kind == "absent":
            # What was never here is not deleted.
            if path not in placed:
                versions[path] = _Version(pointer)
            continue
        now = Pointer(
            snapshot.kind, snapshot.digest, snapshot.size_bytes, snapshot.files, executable=snapshot.executable
        )
        version = _Version(now, snapshot.tree)
        parts = [inner[len(path) + 1 :] for inner in placed if inner.startswith(path + "/")]
        if path not in placed and parts and pointer.is_tree and snapshot.tree is not None:
            version = _in_part(repo, pointer, snapshot.tree, parts) or version
        versions[path] = version
    return versions


def _in_part(repo: Repo, pointer: Pointer, tree: bytes, parts: Sequence[RelPath]) -> _Version | None:
    """Return what a tree would be of which only some parts were checked out."""
    whole = find_tree(repo, pointer.digest)
    if whole is None:
        return None

    def is_here(entry: Entry) -> bool:
        return any(entry.path == part or entry.path.startswith(part + "/") for part in parts)

    kept = [entry for entry in Tree.from_bytes(whole).entries if not is_here(entry)]
    merged = Tree([*kept, *filter(is_here, Tree.from_bytes(tree).entries)])
    data = merged.to_bytes()
    digest = hash_bytes(data, repo.algorithm)
    return _Version(Pointer("tree", digest, merged.size_bytes, merged.files), data)


# Comparing


def _touches(wanted: RelPath, artifact: RelPath) -> bool:
    return not wanted or wanted == artifact or artifact.startswith(wanted + "/") or wanted.startswith(artifact + "/")


def _compare(repo: Repo, path: RelPath, old: _Version | None, new: _Version | None) -> ArtifactDiff | None:
    if old is not None and new is not None and _same(old.pointer, new.pointer):
        return None
    change = ADDED if old is None else DELETED if new is None else MODIFIED
    files: list[FileDiff] | None
    try:
        files = list(_iter_files(repo, path, old, new))
    except (NotFoundError, UnavailableError) as error:
        repo.reporter.warn(f"the files of {path} cannot be compared: {error.message}")
        files = None
    return ArtifactDiff(
        path,
        change,
        old and old.pointer.size_bytes,
        new and new.pointer.size_bytes,
        old and old.pointer.digest,
        new and new.pointer.digest,
        files,
    )


def _same(old: Pointer, new: Pointer) -> bool:
    return (old.kind, old.digest, old.executable) == (new.kind, new.digest, new.executable)


def _iter_files(repo: Repo, path: RelPath, old: _Version | None, new: _Version | None) -> Iterator[FileDiff]:
    """Yield the files that differ, by path."""
    before, after = _encode(repo, path, old), _encode(repo, path, new)
    if before is not None and after is not None:
        difference = diff_trees(before, after)
        pairs: list[tuple[Entry | None, Entry | None]] = [
            *((entry, None) for entry in difference.deleted),
            *((None, entry) for entry in difference.added),
            *difference.modified,
        ]
    else:
        olds, news = _entries(old, before), _entries(new, after)
        pairs = [(olds.get(inner), news.get(inner)) for inner in {*olds, *news}]
    for one, other in sorted(pairs, key=lambda pair: (pair[0] or pair[1] or Entry("", FILE, 0)).path):
        entry = one or other
        assert entry is not None
        yield FileDiff(
            f"{path}/{entry.path}" if entry.path else path,
            ADDED if one is None else DELETED if other is None else MODIFIED,
            one and one.size_bytes,
            other and other.size_bytes,
            (one and one.digest) or None,
            (other and other.digest) or None,
        )


def _encode(repo: Repo, path: RelPath, version: _Version | None) -> bytes | None:
    if version is None or not version.pointer.is_tree:
        return None
    return version.tree if version.tree is not None else load_tree(repo, version.pointer, path)


def _entries(version: _Version | None, tree: bytes | None) -> dict[RelPath, Entry]:
    if tree is not None:
        return {entry.path: entry for entry in Tree.from_bytes(tree).entries}
    if version is None:
        return {}
    pointer = version.pointer
    return {"": Entry("", EXECUTABLE if pointer.executable else FILE, pointer.size_bytes, pointer.digest)}


def _narrow(difference: ArtifactDiff, wanted: Sequence[RelPath]) -> Iterator[ArtifactDiff]:
    """Yield an artifact's differences inside the wanted paths, if there are any."""
    if not wanted or any(not one or (difference.path + "/").startswith(one + "/") for one in wanted):
        yield difference
    elif difference.files is not None:
        files = [file for file in difference.files if any((file.path + "/").startswith(one + "/") for one in wanted)]
        if files:
            yield ArtifactDiff(
                difference.path,
                difference.change,
                difference.old_bytes,
                difference.new_bytes,
                difference.old_digest,
                difference.new_digest,
                files,
            )
