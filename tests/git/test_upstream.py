"""What git remotes have: all of it is seen and brought, and nothing that the user has moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import git
from vstore.errors import GitFailedError, RepositoryNotFoundError
from vstore.git.kept import KeptHistory
from vstore.git.upstream import GitRemote, fetch_refs, list_git_remotes


def commit(path: Path, message: str) -> str:
    """Make an empty commit; returns its id."""
    git("commit", "--quiet", "--allow-empty", "--message", message, cwd=path)
    return git("rev-parse", "HEAD", cwd=path)


@pytest.fixture
def origin(git_repo: Path, tmp_path: Path) -> Path:
    """A bare repository with one commit, that ``git_repo`` calls origin."""
    commit(git_repo, "first")
    bare = tmp_path / "origin.git"
    git("clone", "--quiet", "--bare", git_repo, bare, cwd=tmp_path)
    git("remote", "add", "origin", bare, cwd=git_repo)
    git("fetch", "--quiet", "origin", cwd=git_repo)
    return bare


def push_elsewhere(origin: Path, *refspecs: str) -> str:
    """Push a new commit from another clone; returns its id."""
    other = origin.parent / "other"
    if not other.exists():
        git("clone", "--quiet", origin, other, cwd=origin.parent)
    oid = commit(other, " ".join(refspecs))
    git("push", "--quiet", "--force", "origin", *refspecs, cwd=other)
    return oid


def test_every_ref_is_brought_and_none_is_moved(git_repo: Path, origin: Path) -> None:
    """Branches, tags, notes and refs of any kind are there afterwards, and the user sees no difference."""
    refs = ("refs/heads/side", "refs/tags/v1", "refs/notes/data", "refs/pull/1/head", "refs/heads/main")
    pushed = [push_elsewhere(origin, f"HEAD:{ref}") for ref in refs]
    git("tag", "v1", cwd=git_repo)  # another one
    before = git("for-each-ref", cwd=git_repo), sorted(path.name for path in (git_repo / ".git").iterdir())
    history = KeptHistory(git_repo)
    assert history.list_missing(pushed) == set(pushed)
    [remote] = list_git_remotes(git_repo)
    assert set(fetch_refs(git_repo, remote, history)) == set(pushed)
    assert history.find_commits([*pushed, "0" * 40, "no id", "", "HEAD"]) == set(pushed)
    assert (git("for-each-ref", cwd=git_repo), sorted(path.name for path in (git_repo / ".git").iterdir())) == before
    assert set(fetch_refs(git_repo, remote, history)) == set(pushed)


def test_only_commits_are_commits(git_repo: Path, origin: Path) -> None:
    """The id of a tree or of a file is not that of a commit, and neither is the beginning of one."""
    head = git("rev-parse", "HEAD", cwd=git_repo)
    tree = git("rev-parse", "HEAD^{tree}", cwd=git_repo)
    assert KeptHistory(git_repo).find_commits([tree, head[:12], head.upper(), f"{head}\n{tree}"]) == set()


def test_narrow_remotes(git_repo: Path, origin: Path, tmp_path: Path) -> None:
    """A clone of one branch is told from one of all, of a mirror, and of one that leaves a branch out."""
    assert [remote[:1] + remote[2:] for remote in list_git_remotes(git_repo)] == [("origin", False)]
    for options, is_narrow in (
        (["--single-branch"], True),
        (["--mirror"], False),
        (["--config", "remote.origin.fetch=^refs/heads/x/*"], True),
        (["--config", "remote.origin.fetch=+refs/notes/*:refs/notes/*"], False),
    ):
        path = tmp_path / f"clone{len(options[-1])}"
        git("clone", "--quiet", *options, f"file://{origin}", path, cwd=tmp_path)
        assert [remote.is_narrow for remote in list_git_remotes(path)] == [is_narrow]
    git("config", "remote.origin.url", "https://ada:secret@example.org/x.git", cwd=git_repo)
    assert [remote.url for remote in list_git_remotes(git_repo)] == ["https://example.org/x.git"]


def test_partial_clone_fetches_nothing_to_know_what_it_has(git_repo: Path, origin: Path, tmp_path: Path) -> None:
    """A partial clone knows its commits without asking for others one by one."""
    git("config", "uploadpack.allowFilter", "true", cwd=origin)
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=origin)
    path = tmp_path / "partial"
    git("clone", "--quiet", "--filter=blob:none", f"file://{origin}", path, cwd=tmp_path)
    hidden = push_elsewhere(origin, "HEAD:refs/heads/gone")
    git("update-ref", "-d", "refs/heads/gone", cwd=origin)
    head = git("rev-parse", "HEAD", cwd=path)
    assert KeptHistory(path).find_commits([hidden, head]) == {head}


def test_remotes_that_do_not_answer(git_repo: Path, origin: Path) -> None:
    """A remote that is gone, or whose refs make no sense, is an error."""
    history = KeptHistory(git_repo)
    gone = GitRemote("gone", f"file://{origin}-gone", False)
    git("remote", "add", "gone", f"file://{origin}-gone", cwd=git_repo)
    with pytest.raises((RepositoryNotFoundError, GitFailedError)):
        fetch_refs(git_repo, gone, history)
    [remote, _] = sorted(list_git_remotes(git_repo), reverse=True)
    (origin / "packed-refs").write_text("# pack-refs with: peeled fully-peeled sorted \n")
    (origin / "refs/heads/main").parent.mkdir(exist_ok=True, parents=True)
    (origin / "refs/heads/main").write_text("1" * 40 + "\n")
    with pytest.raises(GitFailedError):
        fetch_refs(git_repo, remote, history)
