"""The commits that changed files of some name: in order, with what was there before, in every repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import git
from vstore.errors import GitFailedError
from vstore.git.history import ChangingCommit, FileChange, FileVersion, iter_changing_commits


def _commit(path: Path, message: str, **files: str | None) -> str:
    for name, content in files.items():
        file = path / f"{name}.vstore"
        if content is None:
            file.unlink()
        else:
            file.write_text(content)
    git("add", "--all", cwd=path)
    git("commit", "--quiet", "--message", message, cwd=path)
    return git("rev-parse", "HEAD", cwd=path)


def _read(path: Path, *tips: str, without: tuple[str, ...] = ()) -> list[ChangingCommit]:
    return list(iter_changing_commits(path, tips, suffix=".vstore", without=without))


@pytest.mark.parametrize("extension", ["--object-format=sha256", "--separate-git-dir=../elsewhere"])
def test_formats(tmp_path: Path, extension: str) -> None:
    """The format of a repository makes no difference."""
    path = tmp_path / "other"
    path.mkdir()
    git("init", "--quiet", extension, cwd=path)
    first = _commit(path, "one", data="1")
    second = _commit(path, "two", data="2", more="3")
    oid = git("rev-parse", "HEAD:data.vstore", cwd=path)
    newest, oldest = _read(path, second)
    assert (newest.id, newest.parents, newest.subject, oldest.id) == (second, (first,), "two", first)
    assert newest.changes[0].new == FileVersion("data.vstore", oid)
    assert oldest.changes == (FileChange(newest.changes[0].old[0], (FileVersion("data.vstore", None),)),)
    assert [found.id for found in _read(path, second, without=(first,))] == [second]


def test_merge_of_several(git_repo: Path) -> None:
    """A merge of several branches shows what is as in none of them, with all that it was before."""
    _commit(git_repo, "base", data="0\n", gone="x\n", other="y\n")
    tips = []
    for side in "abc":
        git("checkout", "--quiet", "-b", side, "main", cwd=git_repo)
        tips.append(_commit(git_repo, side, **{"data": f"{side}\n", f"only-{side}": f"{side}\n"}))
    git("checkout", "--quiet", "main", cwd=git_repo)
    (git_repo / "data.vstore").write_text("all\n")
    git("rm", "--quiet", "gone.vstore", cwd=git_repo)
    git("add", "data.vstore", cwd=git_repo)
    tree = git("write-tree", cwd=git_repo)
    parents = [argument for tip in tips for argument in ("-p", tip)]
    merge = git("commit-tree", tree, *parents, "-m", "merged", cwd=git_repo)
    commits = {commit.subject: commit for commit in _read(git_repo, merge)}
    assert commits["merged"].parents == tuple(tips) and set(commits) == {"merged", "a", "b", "c", "base"}
    changed = {change.new.path: change for change in commits["merged"].changes}
    assert len({old.oid for old in changed["data.vstore"].old}) == 3
    assert changed["gone.vstore"].new.oid is None and all(old.oid for old in changed["gone.vstore"].old)
    assert "only-a.vstore" not in changed and "other.vstore" not in changed


def test_links_and_other_files(git_repo: Path) -> None:
    """A symbolic link is no file, and what is called otherwise does not count."""
    (git_repo / "link.vstore").symlink_to("elsewhere")
    (git_repo / "readme").write_text("words")
    head = _commit(git_repo, "one")
    ((change,),) = [commit.changes for commit in _read(git_repo, head)]
    assert change.new == FileVersion("link.vstore", None)


def test_stops_when_nobody_listens(git_repo: Path) -> None:
    """Whoever wants only the first commits need not read them all, and what git complains about is an error."""
    for number in range(3):
        head = _commit(git_repo, str(number), data=str(number))
    commits = iter_changing_commits(git_repo, [head], suffix=".vstore")
    assert next(commits).subject == "2"
    commits.close()  # type: ignore[attr-defined]
    with pytest.raises(GitFailedError, match="git failed"):
        _read(git_repo, "0" * 40)
