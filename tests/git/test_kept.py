"""What git keeps, in repositories of every form."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.command import git
from vstore.errors import GitFailedError
from vstore.git.kept import BRANCH, OPERATION, REF, STASH, TAG, KeptHistory, find_work_tree

POINTER = ".vstore"


def commit(path: Path, name: str, content: str) -> str:
    """Commit a file, and return the id of its blob."""
    (path / name).parent.mkdir(parents=True, exist_ok=True)
    (path / name).write_text(content)
    git("add", "--all", cwd=path)
    git("commit", "--quiet", "--message", name, cwd=path)
    return git("rev-parse", f"HEAD:{name}", cwd=path)


def find_all(history: KeptHistory) -> set[str]:
    """Every pointer blob that anything leads to."""
    return history.find_blobs([], POINTER, reflogs=True).named


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
def test_history(tmp_path: Path, hash_name: str) -> None:
    """Pointers of all commits are found, each once, whatever the length of ids; other files and links are none."""
    path = tmp_path / "repo"
    git("init", "--quiet", f"--object-format={hash_name}", path, cwd=tmp_path)
    blobs = {commit(path, "a.vstore", "1"), commit(path, "deep/er/b.vstore", "2"), commit(path, "a.vstore", "3")}
    commit(path, "c.txt", "a.vstore")
    (path / "link.vstore").symlink_to("a.vstore")
    (path / "deep/.vstore").write_text("no name")
    commit(path, "c.txt", "4")
    history = KeptHistory(path)
    (head,) = [oid for tips in history.list_tips() if tips.reason == BRANCH for oid in tips.objects]
    assert find_all(history) == history.find_blobs([head], POINTER).named == blobs
    at_head = {git("rev-parse", f"HEAD:{name}", cwd=path) for name in ("a.vstore", "deep/er/b.vstore")}
    assert history.find_blobs([head], POINTER, behind=False).named == at_head
    newer = history.find_blobs([head], POINTER, but=[git("rev-parse", "HEAD~3", cwd=path)]).named
    assert git("rev-parse", "HEAD~2:a.vstore", cwd=path) in newer
    assert git("rev-parse", "HEAD~3:a.vstore", cwd=path) not in newer
    assert dict(history.iter_blobs(blobs)) == {blob: git("cat-file", "blob", blob, cwd=path).encode() for blob in blobs}
    assert {entry.oid for entry in history.list_index(path / ".git")} >= at_head
    assert len(history.list_commits(history.list_tips())) == 5


def test_tips(git_repo: Path) -> None:
    """Every ref counts, by the reason that tells most; words that look like ids may keep more, never less."""
    commit(git_repo, "a.vstore", "1")
    git("tag", "--annotate", "--message", "x", "v1", cwd=git_repo)
    git("update-ref", "refs/custom/x", "HEAD", cwd=git_repo)
    (git_repo / "a.vstore").write_text("stashed")
    git("stash", "--quiet", cwd=git_repo)
    head = git("rev-parse", "HEAD", cwd=git_repo)
    for name in ("rebase-merge", "sequencer"):
        (git_repo / ".git" / name).mkdir()
        (git_repo / ".git" / name / "todo").write_text(f"pick {head[:8]} a dead decade faced {'0' * 40}\n")
    tips = {tips.reason: tips.objects for tips in KeptHistory(git_repo).list_tips()}
    assert tips[BRANCH] == tips[REF] == (head,) and set(tips[OPERATION]) == {head}
    assert tips[TAG] == (git("rev-parse", "v1", cwd=git_repo),)
    assert tips[STASH] == (git("rev-parse", "stash", cwd=git_repo), git("rev-parse", "stash^2", cwd=git_repo))


def test_place_of_a_blob(git_repo: Path) -> None:
    """Where a blob comes from is found in any commit, and by none if only the index has it."""
    blob = commit(git_repo, "ü/a.vstore", "1")
    first = git("rev-parse", "HEAD", cwd=git_repo)
    history = KeptHistory(git_repo)
    assert history.find_place(blob) == (first, "ü/a.vstore")
    (git_repo / "b.vstore").write_text("staged")
    git("add", "--all", cwd=git_repo)
    assert history.find_place(git("rev-parse", ":b.vstore", cwd=git_repo)) is None


def test_empty_repository(git_repo: Path) -> None:
    """Where nothing was committed yet, nothing is kept."""
    history = KeptHistory(git_repo)
    assert find_all(history) == set() and not any(tips.objects for tips in history.list_tips())
    assert history.list_index(git_repo / ".git") == []


def test_partial_clone(git_repo: Path, tmp_path: Path) -> None:
    """A clone without contents gets those of pointers in one go, and no others; without its origin it cannot tell."""
    git("config", "uploadpack.allowFilter", "true", cwd=git_repo)
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=git_repo)
    blobs = {commit(git_repo, f"{number}.vstore", str(number)) for number in range(5)}
    code = commit(git_repo, "code.py", "print()")
    for options in (["--filter=blob:none"], ["--filter=tree:0"]):
        path = tmp_path / "clone"
        git("clone", "--quiet", "--bare", *options, f"file://{git_repo}", path / ".git", cwd=tmp_path)
        git("config", "core.bare", "false", cwd=path / ".git")
        history = KeptHistory(path)
        assert find_all(history) == blobs
        assert {content for _, content in history.iter_blobs(blobs)} == {b"%d" % number for number in range(5)}
        have = git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)", cwd=path).split()
        assert code not in have and blobs <= set(have)
        shutil.rmtree(path)
    git("clone", "--quiet", "--bare", "--filter=blob:none", f"file://{git_repo}", path / ".git", cwd=tmp_path)
    git("remote", "set-url", "origin", f"file://{tmp_path}/gone", cwd=path / ".git")
    with pytest.raises(GitFailedError):
        dict(KeptHistory(path / ".git").iter_blobs(blobs))


def test_shallow_clone(git_repo: Path, tmp_path: Path) -> None:
    """Behind the edge of a shallow clone there is nothing, and that is no error."""
    blobs = [commit(git_repo, "a.vstore", str(number)) for number in range(4)]
    git("clone", "--quiet", "--depth=2", f"file://{git_repo}", tmp_path / "clone", cwd=tmp_path)
    assert find_all(KeptHistory(tmp_path / "clone")) == set(blobs[2:])


def test_lost_objects(git_repo: Path) -> None:
    """Where a commit, tree or pointer is missing, it is not known what is kept."""
    commit(git_repo, "deep/a.vstore", "1")
    blob = commit(git_repo, "deep/a.vstore", "2")
    for name in ("HEAD~", "HEAD~:deep", "HEAD~:deep/a.vstore"):
        oid = git("rev-parse", name, cwd=git_repo)
        path = git_repo / ".git/objects" / oid[:2] / oid[2:]
        kept = path.read_bytes()
        path.unlink()
        history = KeptHistory(git_repo)
        with pytest.raises(GitFailedError):
            dict(history.iter_blobs(find_all(history)))
        path.write_bytes(kept)
        assert blob in find_all(history)


def test_worktrees(git_repo: Path, tmp_path: Path) -> None:
    """All git directories of a repository are found from any worktree, also where the main one is bare."""
    commit(git_repo, "a.vstore", "1")
    git("clone", "--quiet", "--bare", git_repo, tmp_path / "bare.git", cwd=tmp_path)
    for number, common in enumerate((git_repo / ".git", tmp_path / "bare.git")):
        place = tmp_path / f"other-{number}"
        git("worktree", "add", "--quiet", "--detach", place, cwd=common)
        history = KeptHistory(place)
        main, linked = history.list_git_dirs()
        assert main == history.common_dir == common and find_work_tree(linked) == place
        assert [entry.path for entry in history.list_index(linked)] == ["a.vstore"]
        git("worktree", "remove", place, cwd=common)
        assert history.list_git_dirs() == [common] and find_work_tree(linked) is None
