"""What a push or fetch is about: versions of artifacts, sorted by the remote they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vstore.errors import InvalidError, NotDownloadedError, UnavailableError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.objects.tree import Tree, find_contents
from vstore.ops.resolve import Target, find_targets, get_git
from vstore.remote.content import Content
from vstore.repo import Repo
from vstore.workspace.pointers import parse_artifact

if TYPE_CHECKING:
    from vstore.remote.remote import Remote


@dataclass(frozen=True, slots=True)
class Scope:
    """Which versions: those of the work tree, of one revision, or of many commits."""

    rev: str | None = None
    all_branches: bool = False
    all_tags: bool = False
    all_commits: bool = False

    @property
    def is_history(self) -> bool:
        """Whether more than one commit is meant."""
        return self.all_branches or self.all_tags or self.all_commits


class Version(NamedTuple):
    """What a pointer said at one commit (None: in the work tree now)."""

    target: Target
    git_commit: str | None

    @property
    def pointer(self) -> Pointer:
        """The pointer.  Raises its error if it is broken."""
        return self.target.pointer


def list_versions(
    repo: Repo, paths: Sequence[str | Path], *scopes: Scope
) -> tuple[list[Version], list[tuple[RelPath, str]]]:
    """Return each version meant, once, and the pointers that are broken, with the reason."""
    found = [version for scope in scopes for version in _list_scope(repo, paths, scope)]
    good: dict[tuple[RelPath, Digest], Version] = {}
    broken: dict[RelPath, str] = {}
    awaited: dict[RelPath, None] = {}
    for version in found:
        pointer = version.target.artifact.pointer
        if isinstance(pointer, Pointer):
            good.setdefault((version.target.path, pointer.digest), version)
        elif isinstance(pointer, NotDownloadedError):
            awaited[version.target.artifact.path] = None
        else:
            broken[version.target.artifact.pointer_path] = pointer.message
    for path in awaited:
        repo.reporter.note(f"{path} was passed over: it is an import that was not downloaded yet")
    for path, reason in broken.items():
        repo.reporter.warn(f"{path} was passed over: {reason}")
    return list(good.values()), list(broken.items())


def _list_scope(repo: Repo, paths: Sequence[str | Path], scope: Scope) -> list[Version]:
    if scope.rev is not None and scope.is_history:
        raise InvalidError("one revision and many were asked for at once")
    if scope.is_history:
        return _list_history(repo, paths, scope)
    commit = repo.rev if scope.rev is None else get_git(repo).resolve(scope.rev)
    head = commit or (repo.git.head() if repo.git is not None else None)
    return [Version(target, head) for target in find_targets(repo, paths, rev=commit)]


def _list_history(repo: Repo, paths: Sequence[str | Path], scope: Scope) -> list[Version]:
    git = get_git(repo)
    tips: dict[str, None] = {}
    if scope.all_branches or scope.all_commits:
        tips.update(dict.fromkeys(git.branch_tips().values()))
    if scope.all_tags or scope.all_commits:
        tips.update(dict.fromkeys(git.tag_tips().values()))
    head = git.head()
    if scope.all_commits and head is not None:
        tips[head] = None
    commits = [commit.id for commit in git.iter_commits(tips)] if scope.all_commits else list(tips)
    wanted = [repo.relative(path) for path in paths]
    versions: list[Version] = []
    for commit in commits:
        for pointer_path, data in git.iter_files(commit, POINTER_SUFFIX):
            artifact = parse_artifact(pointer_path, data)
            for path in wanted or [artifact.path]:
                if path == artifact.path or artifact.path.startswith(path + "/") or not path:
                    versions.append(Version(Target(artifact), commit))
                elif path.startswith(artifact.path + "/"):
                    versions.append(Version(Target(artifact, path[len(artifact.path) + 1 :]), commit))
    return versions


def group_by_remote(repo: Repo, versions: Sequence[Version], remote: str | None) -> dict[str, list[Version]]:
    """Return the versions by the name of the remote they belong to.

    A pointer that names a remote belongs there and nowhere else; imports that stay elsewhere belong to none of ours.
    Raises RemoteNotFoundError.
    """
    groups: dict[str, list[Version]] = {}
    for version in versions:
        if version.pointer.stays_elsewhere:
            continue
        own = version.pointer.remote
        if remote is not None and own is not None and own != remote:
            repo.reporter.note(f"{version.target.artifact.path} belongs to the remote {own} and was passed over")
            continue
        groups.setdefault(repo.remote_name(own or remote), []).append(version)
    return groups


def list_contents(pointer: Pointer, tree: bytes | None) -> list[Content]:
    """Return everything that a pointer needs, ordered by path, each content once; a tree's own bytes first."""
    if tree is None:
        return [Content(pointer.digest, pointer.size_bytes)]
    return [Content(pointer.digest, len(tree)), *(Content(*pair) for pair in dict.fromkeys(find_contents(tree)))]


def list_wanted(version: Version, tree: bytes | None) -> list[Content]:
    """Return what a version needs, ordered by path; of a path inside a tree only that."""
    if tree is None or not version.target.inner:
        return list_contents(version.pointer, tree)
    entries = Tree.from_bytes(tree).iter_below(version.target.inner)
    return [Content(entry.digest, entry.size_bytes) for entry in entries if entry.is_file]


def refresh_listing(repo: Repo, remote: Remote) -> None:
    """Write down what a remote holds, where that is wanted, at the end of whatever pushed, or found nothing to push."""
    settings = repo.config.remotes[remote.name]
    if settings.listing and not settings.read_only:
        try:
            remote.refresh_listing()
        except UnavailableError as error:
            repo.reporter.warn(f"what was pushed is safe, but the listing could not be written: {error.message}")
