"""Staging: whatever the form of the index, git itself must be content afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.command import git
from vstore.errors import GitFailedError, LockedError
from vstore.git import get_git_repo

_NAMES = [
    "with space",
    "-dash",
    "#hash",
    'quo"te',
    "new\nline",
    "é",
    "e\u0301",
    "🙂",
    "back\\slash",
    "[x]*?",
    "x" * 255,
]


@pytest.fixture
def repo(git_repo: Path) -> Path:
    """A repository with one commit of three files in two directories."""
    for name in ("d/a", "d/b", "e/c"):
        (git_repo / name).parent.mkdir(exist_ok=True)
        (git_repo / name).write_text(name)
    git("add", ".", cwd=git_repo)
    git("commit", "-qm", "first", cwd=git_repo)
    return git_repo


def status(repo: Path) -> list[str]:
    """Ask git what it sees, after making sure that it can commit it."""
    git("write-tree", cwd=repo)
    return git("status", "--short", "--untracked-files=no", cwd=repo).splitlines()


_FORMS = {
    "plain": [],
    "split": [["update-index", "--split-index"]],
    "version 4": [["update-index", "--index-version", "4"]],
    "many files": [["config", "feature.manyFiles", "true"], ["config", "index.skipHash", "true"], ["status"]],
    "untracked cache": [["update-index", "--untracked-cache"]],
    "sparse": [["sparse-checkout", "init", "--cone", "--sparse-index"], ["sparse-checkout", "set", "d"]],
}


@pytest.mark.parametrize("form", _FORMS)
def test_every_form_of_index(repo: Path, form: str) -> None:
    """New, changed and deleted files are staged, and what was staged before stays, in every form of an index."""
    for command in _FORMS[form]:
        git(*command, cwd=repo)
    (repo / "d/before").write_text("staged by the user")
    git("add", "d/before", cwd=repo)
    (repo / "d/before").write_text("changed since")
    (repo / "d/new").write_text("new")
    (repo / "d/a").write_text("changed")
    (repo / "d/b").unlink()
    found = get_git_repo(repo)
    found.stage(["d/new", "d/a", "d/b", "d/never-was"], 0)
    assert status(repo) == ["M  d/a", "D  d/b", "AM d/before", "A  d/new"]
    assert list(found.iter_tracked()) == ["d/a", "d/before", "d/new", "e/c"]


def test_before_the_first_commit(git_repo: Path) -> None:
    """Files are staged before there is any commit, or any index."""
    (git_repo / "a.vstore").write_text("1")
    get_git_repo(git_repo).stage(["a.vstore"], 0)
    assert status(git_repo) == ["A  a.vstore"]


def test_odd_names(repo: Path) -> None:
    """Names that hurt are staged, listed and taken out again."""
    for name in _NAMES:
        (repo / name).write_text(name)
    found = get_git_repo(repo)
    found.stage(_NAMES, 0)
    assert set(found.iter_tracked()) == {*_NAMES, "d/a", "d/b", "e/c"}
    for name in _NAMES:
        assert found.has_tracked(name)
        (repo / name).unlink()
    found.stage(_NAMES, 0)
    assert status(repo) == []


def test_ignored_and_filtered(repo: Path) -> None:
    """A pointer is staged even where a rule ignores it, and through the filters that git would use."""
    (repo / ".gitignore").write_text("*.vstore\n")
    (repo / ".gitattributes").write_text("*.vstore text eol=crlf\n")
    (repo / "a.vstore").write_bytes(b"1\r\n")
    found = get_git_repo(repo)
    found.stage(["a.vstore"], 0)
    assert list(found.iter_index_files(".vstore")) == [("a.vstore", b"1\n")]


def test_from_inside_a_hook(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What git tells its hooks about another repository does not lead us astray."""
    git("init", "-q", "other", cwd=tmp_path)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    (repo / "new").write_text("new")
    found = get_git_repo(repo)
    found.stage(["new"], 0)
    assert found.has_tracked("new")
    assert not (tmp_path / "other/.git/index").exists()


def test_refused_path_stages_nothing(repo: Path) -> None:
    """One path that git refuses is an error with git's reason, and nothing at all is staged."""
    (repo / "new").write_text("new")
    (repo / "link").symlink_to("d")
    with pytest.raises(GitFailedError, match="link/a"):
        get_git_repo(repo).stage(["new", "link/a"], 0)
    assert status(repo) == []


def test_nothing_to_stage(repo: Path) -> None:
    """Staging nothing touches nothing, not even a lock."""
    (repo / ".git/index.lock").touch()
    get_git_repo(repo).stage([], 0)


def test_waits_for_lock(repo: Path) -> None:
    """While another git command holds the lock we wait, and go on when it is gone."""
    lock = repo / ".git/index.lock"
    lock.touch()
    (repo / "new").write_text("new")
    timer = threading.Timer(0.1, lock.unlink)
    timer.start()
    get_git_repo(repo).stage(["new"], 30)
    timer.join()
    assert status(repo) == ["A  new"]


def test_locked(repo: Path) -> None:
    """When the wait is over the lock is named, nothing is staged, and the lock is not ours to remove."""
    lock = repo / ".git/index.lock"
    lock.touch()
    (repo / "new").write_text("new")
    with pytest.raises(LockedError) as caught:
        get_git_repo(repo).stage(["new"], 0.05)
    assert caught.value.fields["path"] == str(lock)
    lock.unlink()
    assert status(repo) == []


def test_without_git_program(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the git program the index is still listed, and staging says what is missing."""
    found = get_git_repo(repo)
    monkeypatch.setenv("PATH", "/nowhere")
    assert list(found.iter_tracked("d")) == ["d/a", "d/b"]
    with pytest.raises(GitFailedError, match="not installed"):
        found.stage(["d/a"], 0)
