"""What a path of another repository stands for: artifacts, a part of one, files that git keeps, or both."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.durable import os_errors
from vstore.errors import NotTrackedError, PathNotFoundError
from vstore.git import Kept, list_kept
from vstore.objects.names import RelPath, is_reserved
from vstore.ops.resolve import Target, find_targets
from vstore.repo import Repo

# What git and vstore write down for themselves is no data, unless it is named itself.
_BOOKKEEPING = frozenset({".gitattributes", ".gitignore", ".gitmodules", ".vstoreignore"})


class Wanted(NamedTuple):
    """What somebody asked for: a path of another repository, which is at a path or URL, at a revision."""

    location: str | Path
    path: str | Path
    rev: str | None = None


class Pick(NamedTuple):
    """What is at a path, which is relative to the other repository.

    ``kept`` is what git keeps there; without an id it is read from the work tree.
    """

    path: RelPath
    targets: list[Target]
    kept: list[Kept]

    @property
    def artifact(self) -> Target | None:
        """The one artifact that is the whole, or that holds it."""
        only = self.targets[0] if len(self.targets) == 1 else None
        return only if only is not None and only.path == self.path else None


def pick(source: Repo, path: str | Path, *, with_kept: bool = True) -> Pick:
    """Find what a path of another repository stands for, at its revision.

    Raises PathNotFoundError, InvalidError for a path outside, and what reading git raises.
    """
    inside = source.relative(path)
    targets: list[Target] = []
    try:
        targets = [target for target in find_targets(source, [path]) if _is_concerned(target, inside)]
    except (NotTrackedError, PathNotFoundError):
        pass
    found = Pick(inside, targets, [])
    if found.artifact is None and with_kept:
        found = found._replace(kept=list(iter_kept(source, source.rev, inside, targets)))
    if not found.targets and not found.kept:
        at = "" if source.rev is None else f" at {source.rev[:12]}"
        fact = f"there is no {inside or 'file'} in {source.location}{at}"
        raise PathNotFoundError(fact, path=str(path), repo=source.location, elsewhere=True)
    return found


def _is_concerned(target: Target, inside: RelPath) -> bool:
    """Leave out what a pattern would match: here a path is meant as it is."""
    return target.path == inside or not inside or target.path.startswith(inside + "/")


def iter_kept(source: Repo, commit: str | None, inside: RelPath, targets: Sequence[Target]) -> Iterator[Kept]:
    """Yield what git keeps at or below a path of a commit (None: of the work tree), but for what is vstore's own.

    ``targets`` are the artifacts there.
    """
    tracked = [target.artifact.path for target in targets]
    pointers = {target.artifact.pointer_path for target in targets}
    for kept in _list_kept(source, commit, inside):
        name = kept.path.rpartition("/")[2]
        if kept.path in pointers or (name in _BOOKKEEPING and kept.path != inside):
            continue
        if any(map(is_reserved, kept.path.split("/"))):
            continue
        if any(kept.path == path or kept.path.startswith(path + "/") for path in tracked):
            continue  # the pointer's word counts
        if kept.kind == "submodule":
            source.reporter.note(f"{kept.path} is a submodule and was left out")
            continue
        yield kept


def _list_kept(source: Repo, commit: str | None, inside: RelPath) -> list[Kept]:
    if source.git is None:
        return []
    if commit is not None:
        return list_kept(source.git, commit, inside)
    return [kept for path in source.git.iter_tracked(inside) if (kept := _find_on_disk(source.work_tree, path))]


def _find_on_disk(work_tree: Path, path: RelPath) -> Kept | None:
    above = os.path.dirname(work_tree / path)
    try:
        if os.path.realpath(above) != above:
            return None  # a link in a directory's place may lead anywhere
        mode = os.lstat(work_tree / path).st_mode
    except OSError:
        return None  # deleted, and not committed yet
    if stat.S_ISLNK(mode):
        return Kept(path, "symlink", "")
    if not stat.S_ISREG(mode):
        return Kept(path, "submodule", "") if stat.S_ISDIR(mode) else None
    return Kept(path, "executable" if mode & 0o111 else "file", "")


def iter_kept_data(source: Repo, found: Pick) -> Iterator[tuple[Kept, bytes]]:
    """Yield what git keeps with its bytes; those of a symbolic link are its target.

    A partial clone fetches the contents of all files at once.  Raises what reading git, or a file, raises.
    """
    if source.rev is None or source.git is None:
        for kept in found.kept:
            file = source.work_tree / kept.path
            with os_errors(file, "read"):
                if kept.kind == "symlink":
                    yield kept, os.fsencode(os.readlink(file))
                else:
                    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as opened:
                        yield kept, opened.read()
        return
    for kept in found.kept:
        if kept.kind == "symlink":
            yield kept, source.git.read(kept.oid)
    files = {kept.path: kept for kept in found.kept if kept.kind != "symlink"}
    for path, data in source.git.iter_files(source.rev, "", found.path) if files else ():
        if path in files:
            yield files[path], data


def name_of(source: Repo) -> str:
    """Return how the whole of another repository is called."""
    where = source.url or str(source.work_tree)
    return where.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")
