"""``ls``: what is tracked, and what is inside, without checking anything out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.errors import NotTrackedError, PathNotFoundError, VstoreError
from vstore.git import Kept
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, SYMLINK, Entry
from vstore.ops.picking import iter_kept
from vstore.ops.resolve import Target, find_targets, get_git, list_artifacts
from vstore.ops.trees import load_entries
from vstore.repo import Repo

_KINDS = {FILE: "file", EXECUTABLE: "executable", SYMLINK: "symlink", EMPTY_DIRECTORY: "directory"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One line; a directory inside a tree has the sizes and numbers of what is below it and no digest."""

    path: RelPath
    kind: str
    """"tree" (a tracked directory), "file", "executable", "symlink" or "directory"."""
    size_bytes: int | None
    """None of what git keeps, unless it lies in the work tree."""
    files: int
    digest: Digest | None = None
    target: str | None = None
    artifact: bool = False
    """Whether this has a pointer of its own."""
    git: bool = False
    """Whether this, or everything in it, is kept by git."""


@dataclass(frozen=True, slots=True)
class LsResult:
    """What was found, by path."""

    entries: list[Listed]


def ls(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    rev: str | None = None,
    recursive: bool = False,
    git: bool = False,
) -> LsResult:
    """List artifacts at or below ``paths`` (below where one stands, if none), or what is inside those that are named.

    ``recursive`` goes down to every file; ``git`` also lists what git keeps.  Trees that the cache lacks are read from
    a remote.  Broken pointers that were not named themselves are warned of and left out.
    Raises NotTrackedError, PathNotFoundError, RevisionNotFoundError, ObjectMissingError.
    """
    if not paths:
        paths = ["."] if git or _has_artifacts(repo, rev) else []
    listed: dict[RelPath, Listed] = {}
    for named in paths:
        inside = repo.relative(named)
        targets, kept = _find(repo, named, rev, git=git)
        for line in _list_kept(repo, kept, inside, recursive=recursive):
            listed[line.path] = line
        for target in targets:
            broken = target.artifact.pointer
            if isinstance(broken, VstoreError) and target.path != inside:
                repo.reporter.warn(f"{target.path} was left out: {broken.message}")
                continue
            for line in _iter_target(repo, target, recursive, target.path == inside):
                listed[line.path] = line
    return LsResult(sorted(listed.values(), key=lambda line: line.path))


def _find(repo: Repo, named: str | Path, rev: str | None, *, git: bool) -> tuple[list[Target], list[Kept]]:
    """Return the artifacts that a path means, and with ``git`` what git keeps there."""
    if not git:
        return find_targets(repo, [named], rev=rev), []
    commit = repo.rev if rev is None else get_git(repo).resolve(rev)
    try:
        targets = find_targets(repo, [named], rev=rev)
    except (NotTrackedError, PathNotFoundError):
        targets = []
    inside = repo.relative(named)
    kept = list(iter_kept(repo, commit, inside, targets))
    # Said again, where there is nothing; but the whole may be empty.
    return (targets, kept) if targets or kept or not inside else (find_targets(repo, [named], rev=rev), [])


def _list_kept(repo: Repo, found: Sequence[Kept], inside: RelPath, *, recursive: bool) -> list[Listed]:
    """Return what git keeps, and unless it is ``recursive`` directories in the place of what is below them."""
    listed: dict[RelPath, Listed] = {}
    for kept in found:
        below = kept.path[len(inside) :].lstrip("/")
        first, slash, _ = below.partition("/")
        if recursive or not slash:
            size_bytes = os.lstat(repo.work_tree / kept.path).st_size if not kept.oid else None
            listed[kept.path] = Listed(kept.path, kept.kind, size_bytes, int(kept.kind != "symlink"), git=True)
            continue
        path = f"{inside}/{first}".lstrip("/")
        files = listed[path].files if path in listed else 0
        listed[path] = Listed(path, "directory", None, files + 1, git=True)
    return list(listed.values())


def _has_artifacts(repo: Repo, rev: str | None) -> bool:
    """Tell whether anything at, above or below a directory is tracked."""
    here = repo.relative(".")
    return any(
        not here or (artifact.path + "/").startswith(here + "/") or here.startswith(artifact.path + "/")
        for artifact in list_artifacts(repo, rev=rev)
    )


def _iter_target(repo: Repo, target: Target, recursive: bool, opened: bool) -> Iterator[Listed]:
    pointer, root = target.pointer, target.artifact.path
    if not pointer.is_tree:
        if target.inner:
            raise PathNotFoundError(f"{root} is a file, so there is nothing inside", path=target.path)
        kind = "executable" if pointer.executable else "file"
        yield Listed(root, kind, pointer.size_bytes, 1, pointer.digest, artifact=True)
        return
    if not opened and not recursive:
        yield Listed(root, "tree", pointer.size_bytes, pointer.files, pointer.digest, artifact=True)
        return
    entries = load_entries(repo, pointer, root, target.inner)
    if not entries and target.inner:
        raise PathNotFoundError(f"there is no {target.inner} in {root}", path=target.path)
    directories: dict[RelPath, Listed] = {}
    for entry in entries:
        below = entry.path[len(target.inner) + 1 :] if target.inner else entry.path
        first, slash, _ = below.partition("/")
        if recursive or not slash:
            yield _line(root, entry)
            continue
        path = f"{target.path}/{first}"
        held = directories.get(path)
        size, files = (held.size_bytes or 0, held.files) if held else (0, 0)
        directories[path] = Listed(path, "directory", size + entry.size_bytes, files + entry.is_file)
    yield from directories.values()


def _line(root: RelPath, entry: Entry) -> Listed:
    return Listed(
        f"{root}/{entry.path}",
        _KINDS[entry.kind],
        entry.size_bytes,
        int(entry.is_file),
        entry.digest or None,
        entry.target or None,
    )
