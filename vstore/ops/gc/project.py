"""What a project needs of its remotes, whoever of its people needs it: as far as git can tell, from this repository.

Whoever asks is going to retire the rest.  So all that git remotes have is fetched first, and where a part of the
project cannot be seen from here, that is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from vstore.errors import NeedsUnknownError, VstoreError
from vstore.git.kept import KeptHistory
from vstore.git.upstream import GitRemote, fetch_refs, list_git_remotes
from vstore.objects.digest import Digest
from vstore.ops.gc.local import Forgotten
from vstore.ops.liveness import Needs, Retention, find_needs
from vstore.ops.sharing import find_sharers
from vstore.repo import Repo

NO_GIT, SHALLOW, SINGLE_BRANCH, UNFETCHABLE = "no-git", "shallow", "single-branch", "unfetchable"


@dataclass(slots=True)
class Project:
    """A project as its repository here shows it, with all that its git remotes have."""

    git_remotes: list[str]
    """The names of the git remotes that were asked."""
    reasons: dict[Digest, str] = field(default_factory=dict)
    """Every root that something names, with the first reason: the words of a local collection, and "git-remote"."""
    _history: KeptHistory | None = None

    def find_known(self, git_commits: Iterable[str | None]) -> set[str | None]:
        """Return those of some ids that are commits this repository has."""
        assert self._history is not None
        return {*self._history.find_commits(oid for oid in git_commits if oid is not None)}


def check_sight(repo: Repo) -> list[GitRemote]:
    """Return the git remotes of a repository from which all of its project can be seen.

    Raises NeedsUnknownError, with ``refusal`` saying why, where it cannot: without git, in a shallow clone, in one of a
    single branch.
    """
    if repo.git is None:
        fact = f"{repo.work_tree} is not in git, so what others need cannot be told"
        raise NeedsUnknownError(fact, refusal=NO_GIT)
    if repo.git.is_shallow:
        fact = f"{repo.work_tree} is a shallow clone, so what older commits need cannot be told"
        raise NeedsUnknownError(fact, refusal=SHALLOW)
    remotes = list_git_remotes(repo.work_tree)
    narrow = [remote.name for remote in remotes if remote.is_narrow]
    if narrow:
        fact = (
            f"{repo.work_tree} follows only a part of the branches of {narrow[0]}, so what others need cannot be told"
        )
        raise NeedsUnknownError(fact, refusal=SINGLE_BRANCH, git_remote=narrow[0])
    return remotes


def look_at_project(repo: Repo, remotes: Collection[GitRemote], retention: Retention, forgotten: Forgotten) -> Project:
    """Fetch all that git remotes have, and find out what is needed: here, there, and wherever the cache is shared.

    Raises NeedsUnknownError, GitFailedError, LockedError.
    """
    sharers = find_sharers(repo, forgotten.repositories, forgotten.keys)
    ours, *others = sharers.found
    assert ours.history is not None
    ours.upstream = _fetch_all(repo, remotes, ours.history)
    project = Project([remote.name for remote in remotes], _history=ours.history)
    _take_in(project, find_needs(ours, retention, forgotten.keys), retention)
    for other in others:
        # A clone of the project that was never pushed from may be among them.
        _take_in(project, find_needs(other, Retention(), forgotten.keys), Retention())
    return project


def _fetch_all(repo: Repo, remotes: Collection[GitRemote], history: KeptHistory) -> tuple[str, ...]:
    found: dict[str, None] = {}
    repo.reporter.begin("asking git remotes")
    try:
        for remote in remotes:
            found.update(dict.fromkeys(_fetch(repo, remote, history)))
    finally:
        repo.reporter.end()
    return tuple(found)


def _fetch(repo: Repo, remote: GitRemote, history: KeptHistory) -> tuple[str, ...]:
    try:
        return fetch_refs(repo.work_tree, remote, history)
    except VstoreError as error:
        fact = f"the git remote {remote.name} cannot be fetched from, so what others need cannot be told"
        failed = [(remote.url, error.message)]
        raise NeedsUnknownError(fact, refusal=UNFETCHABLE, git_remote=remote.name, failed=failed) from error.__cause__


def _take_in(project: Project, needs: Needs, retention: Retention) -> None:
    for root, reason in needs.roots.items():
        if not retention.is_narrow or root in needs.narrowed or root in needs.asked:
            project.reasons.setdefault(root.digest, reason)
