"""Getting hold of trees: from the cache, else from a remote or, of imports, from where they came from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from vstore.cache.writer import open_writer
from vstore.errors import (
    CorruptError,
    NewerFormatError,
    NoSpaceError,
    ObjectMissingError,
    PermissionDeniedError,
    RemoteNotFoundError,
    UnavailableError,
    VstoreError,
)
from vstore.objects.diff import is_between
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import Entry, Tree
from vstore.ops.gathering import find_tree_at_origin, is_imported
from vstore.repo import Repo
from vstore.workspace.ignoring import load_ignoring
from vstore.workspace.snapshot import Snapshot


def load_tree(repo: Repo, pointer: Pointer, path: str, *, remote: str | None = None) -> bytes:
    """Return the encoding of a pointer's tree, fetching it if the cache lacks it (or holds it damaged).

    Raises ObjectMissingError naming ``path`` if nobody has it.
    """
    try:
        return repo.cache.read(pointer.digest)
    except (ObjectMissingError, CorruptError) as error:
        missing = error
    data = None if pointer.stays_elsewhere else _find_at_remote(repo, pointer, remote)
    if data is None:
        data = find_tree_at_origin(repo, pointer, repo.cache)
    if data is None:
        raise _missing(repo, pointer.digest, path) from missing
    return data


def _find_at_remote(repo: Repo, pointer: Pointer, remote: str | None) -> bytes | None:
    try:
        with repo.open_remote(remote or pointer.remote) as opened:
            data = opened.read_blob(pointer.digest)
    except (RemoteNotFoundError, ObjectMissingError):
        return None
    if hash_bytes(data, algorithm_of(pointer.digest).name) != pointer.digest:
        raise CorruptError(f"the remote's copy of {pointer.digest} is damaged", digest=pointer.digest)
    # Where the cache cannot be written, as in a container that only reads, it is read again next time.
    with contextlib.suppress(NoSpaceError, PermissionDeniedError), open_writer(repo.cache) as writer:
        writer.add_bytes(data, algorithm_of(pointer.digest).name)
    return data


def fetch_trees(
    repo: Repo, artifacts: Iterable[tuple[RelPath, Pointer]], *, remote: str | None = None
) -> dict[Digest, VstoreError]:
    """Bring the trees that the cache lacks from their remotes, and nothing else; return why some could not be brought.

    Each remote is opened once.  Of imports nothing is said: ``load_tree`` also looks where they came from.
    Raises NoSpaceError, PermissionDeniedError where the cache cannot be written.
    """
    trees = {
        pointer.digest: (path, pointer)
        for path, pointer in artifacts
        if pointer.is_tree and not pointer.stays_elsewhere
    }
    lacking: dict[str | None, dict[Digest, RelPath]] = {}
    for digest in repo.cache.find_missing(trees):
        path, pointer = trees[digest]
        lacking.setdefault(remote or pointer.remote, {})[digest] = path
    failed: dict[Digest, VstoreError] = {}
    for name, paths in lacking.items():
        reason: VstoreError | None = None
        left = set(paths)
        try:
            with repo.open_remote(name) as opened, open_writer(repo.cache) as writer:
                for digest, data in opened.read_roots(paths):
                    writer.add_bytes(data, algorithm_of(digest).name)
                    left.discard(digest)
        except RemoteNotFoundError:
            pass
        except (NoSpaceError, PermissionDeniedError):
            raise
        except (UnavailableError, NewerFormatError) as error:
            reason = error
        left = {digest for digest in left if not is_imported(trees[digest][1])}
        failed |= {digest: reason or _missing(repo, digest, paths[digest]) for digest in left}
    return failed


def _missing(repo: Repo, digest: Digest, path: RelPath) -> ObjectMissingError:
    return ObjectMissingError(
        f"the list of files of {path} is neither in the cache nor in a remote",
        digests=[digest],
        paths=[path],
        no_remote=not repo.config.remotes,
    )


def find_tree(repo: Repo, digest: Digest) -> bytes | None:
    """Return the encoding of a tree if the cache holds it undamaged."""
    try:
        return repo.cache.read(digest)
    except VstoreError:
        return None


def fetch_tracked(repo: Repo, root: RelPath, pointer: Pointer) -> None:
    """Bring the tree that tells which files stay tracked whatever ignore rules say, if there are any; best effort."""
    if pointer.is_tree and load_ignoring(repo.work_tree, root, repo.cache, repo.state).has_rules:
        with contextlib.suppress(VstoreError):
            load_tree(repo, pointer, root)


def find_unplaced(repo: Repo, root: str, entries: Iterable[Entry]) -> set[str]:
    """Return which entries vstore did not put there when it last put something at an artifact's path.

    Nobody can have deleted them.  Nothing where that is not known.
    """
    placed = repo.state.find_placed(root)
    tree = find_tree(repo, placed.digest) if placed is not None and placed.kind == "tree" else None
    if tree is None:
        return set()
    there = {entry.path for entry in Tree.from_bytes(tree).entries}
    return {entry.path for entry in entries if entry.path not in there}


def is_outdated(repo: Repo, root: RelPath, pointer: Pointer, now: Snapshot | None = None) -> bool:
    """Tell whether files are what vstore put there while the pointer says something else: git switched or pulled.

    A checkout that was stopped leaves some of both versions: nobody changed those either.  ``now`` is what lies there;
    without it that is looked at, if it matters.
    """
    placed = repo.state.find_placed(root)
    if placed is None or placed.digest == pointer.digest:
        return False
    if now is None:
        now = repo.snapshotter().take(repo.work_tree / root, root)
    if (now.kind, now.digest) == placed:
        return True
    if now.tree is None or placed.kind != "tree" or not pointer.is_tree:
        return False
    before, after = find_tree(repo, placed.digest), find_tree(repo, pointer.digest)
    return before is not None and after is not None and is_between(now.tree, before, after)


def load_entries(repo: Repo, pointer: Pointer, path: str, inner: str = "") -> list[Entry]:
    """Return the entries of a pointer's tree at or below ``inner``; a file is one entry with the path "".

    Raises ObjectMissingError, CorruptError.
    """
    if not pointer.is_tree:
        return [Entry("", "x" if pointer.executable else "f", pointer.size_bytes, pointer.digest)]
    return list(Tree.from_bytes(load_tree(repo, pointer, path)).iter_below(inner))
