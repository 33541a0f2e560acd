"""What did they mean: paths, revisions and remotes as a user names them."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.errors import (
    GitRepositoryNotFoundError,
    InvalidError,
    NotTrackedError,
    PathNotFoundError,
    RevisionNotFoundError,
    VstoreError,
)
from vstore.git import GitRepo
from vstore.git.history import find_merge_base
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.repo import Repo
from vstore.workspace.pointers import Artifact, find_artifact, find_owner, iter_artifacts, parse_artifact

_RANGE = re.compile(r"(?!\.\./)([^/].*?|)(\.\.\.?)([^/.].*|)", re.DOTALL)


class Target(NamedTuple):
    """An artifact, or with ``inner`` only a path inside its tree."""

    artifact: Artifact
    inner: RelPath = ""

    @property
    def path(self) -> RelPath:
        """What is meant, relative to the work tree."""
        return f"{self.artifact.path}/{self.inner}" if self.inner else self.artifact.path

    @property
    def pointer(self) -> Pointer:
        """The pointer.  Raises its error if it is broken."""
        if isinstance(self.artifact.pointer, VstoreError):
            raise self.artifact.pointer
        return self.artifact.pointer


def list_artifacts(repo: Repo, *, rev: str | None = None, below: RelPath = "") -> list[Artifact]:
    """Return the artifacts in the work tree, or those of a revision.  Raises RevisionNotFoundError."""
    rev = repo.rev if rev is None else rev
    if rev is None:
        return list(iter_artifacts(repo.work_tree, below, is_ignored=repo.is_ignored))
    git = get_git(repo)
    return [parse_artifact(path, data) for path, data in git.iter_files(git.resolve(rev), POINTER_SUFFIX, below)]


def find_targets(repo: Repo, paths: Sequence[str | Path], *, rev: str | None = None) -> list[Target]:
    """Return what ``paths``, named standing in ``start``, mean; all artifacts if there are none.

    A path is an artifact, its pointer file, something inside its tree, a directory with artifacts below it, or a
    pattern of such.  Raises NotTrackedError, PathNotFoundError.
    """
    rev = repo.rev if rev is None else rev
    if not paths:
        return [Target(artifact) for artifact in list_artifacts(repo, rev=rev)]
    at_revision = None if rev is None else {artifact.path: artifact for artifact in list_artifacts(repo, rev=rev)}
    targets: dict[tuple[RelPath, RelPath], Target] = {}
    for named in paths:
        path = repo.relative(named)
        found = _find(repo, path, at_revision) or _match(repo, path, at_revision)
        if not found:
            raise _not_found(repo, path, str(named), rev)
        for target in found:
            targets.setdefault((target.artifact.path, target.inner), target)
    whole = {artifact for artifact, inner in targets if not inner}
    return [target for (artifact, inner), target in targets.items() if not inner or artifact not in whole]


def _find(repo: Repo, path: RelPath, at_revision: dict[RelPath, Artifact] | None) -> list[Target]:
    if at_revision is None:
        owner = find_owner(repo.work_tree, path)
    else:
        above = path
        while above and above not in at_revision:
            above = above.rpartition("/")[0]
        owner = at_revision.get(above)
    if owner is not None:
        return [Target(owner, path[len(owner.path) + 1 :])]
    if at_revision is None:
        return [Target(artifact) for artifact in list_artifacts(repo, below=path)]
    return [Target(artifact) for name, artifact in at_revision.items() if not path or name.startswith(path + "/")]


def _match(repo: Repo, path: RelPath, at_revision: dict[RelPath, Artifact] | None) -> list[Target]:
    if not any(character in path for character in "*?["):
        return []
    known = list_artifacts(repo) if at_revision is None else at_revision.values()
    return [Target(artifact) for artifact in known if fnmatch.fnmatchcase(artifact.path, path)]


def _not_found(repo: Repo, path: RelPath, named: str, rev: str | None) -> VstoreError:
    where = "" if rev is None else f" at {rev}"
    if rev is not None or os.path.lexists(repo.work_tree / path):
        fields = {} if repo.rev is None else {"elsewhere": True, "repo": repo.location}
        return NotTrackedError(f"{named} is not tracked by vstore{where}", path=named, **fields)
    meant = {"revision": named} if is_revision(repo, named) else {}
    return PathNotFoundError(f"there is no {named}, on disk or tracked", path=named, **meant)


def get_git(repo: Repo) -> GitRepo:
    """Return the git repository.  Raises GitRepositoryNotFoundError where vstore runs without one."""
    if repo.git is None:
        raise GitRepositoryNotFoundError(
            f"{repo.work_tree} is not in git, so it has no revisions", path=str(repo.work_tree)
        )
    return repo.git


def find_selection(repo: Repo, root: RelPath) -> list[RelPath]:
    """Return the paths inside a tree that were checked out or added, where the whole never was; else nothing.

    What was not asked for is not deleted, only because it is not here.
    """
    inside = [path[len(root) + 1 :] for path in repo.state.list_placed_below(root)]
    return inside if inside and repo.state.find_placed(root) is None else []


def is_inside(path: RelPath, directories: Sequence[RelPath]) -> bool:
    """Tell whether a path is one of some, or below one."""
    return any(path == directory or path.startswith(directory + "/") for directory in directories)


def touches(wanted: RelPath, artifact: RelPath) -> bool:
    """Tell whether a path is an artifact, or above or inside it."""
    return not wanted or wanted == artifact or artifact.startswith(wanted + "/") or wanted.startswith(artifact + "/")


def split_revisions(repo: Repo, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell up to two leading revisions (``A``, ``A B``, ``A..B`` or ``A...B``) from the paths behind them.

    Raises InvalidError for what is both, RevisionNotFoundError for what is neither.
    """
    revisions: list[str] = []
    for number, argument in enumerate(arguments):
        if not number and (bounds := _RANGE.fullmatch(argument)) and not os.path.lexists(repo.start / argument):
            return _find_ends(repo, *bounds.groups()), list(arguments[1:])
        if number == 2 or not is_revision(repo, argument):
            if number < 2 and repo.git is not None and not _is_path(repo, argument):
                _check_known_at(repo, argument, revisions)
            return revisions, list(arguments[number:])
        if _is_path(repo, argument):
            raise InvalidError(f"{argument!r} is a revision and also a path", argument=argument)
        revisions.append(argument)
    return revisions, []


def _find_ends(repo: Repo, old: str, dots: str, new: str) -> list[str]:
    """Return what a range compares: two revisions, or where the second left the first, and the second."""
    revisions = [old or "HEAD", new or "HEAD"]
    if repo.git is not None:
        commits = [repo.git.resolve(revision) for revision in revisions]
        if dots == "...":
            revisions[0] = find_merge_base(repo.work_tree, *commits)
    return revisions


def is_revision(repo: Repo, text: str) -> bool:
    """Tell whether git knows a commit by this name."""
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
                if any(touches(path, artifact.path) for artifact in list_artifacts(repo, rev=revision)):
                    return
        raise RevisionNotFoundError(f"{argument!r} is neither a revision nor a path", revision=argument)


def _is_path(repo: Repo, named: str) -> bool:
    return os.path.lexists(repo.start / named) or _is_artifact(repo, named)


def _is_artifact(repo: Repo, named: str) -> bool:
    try:
        return find_artifact(repo.work_tree, repo.relative(named)) is not None
    except InvalidError:
        return False
