"""Differences between versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.project import LARGE, Project
from vstore.api import open_repo
from vstore.errors import InvalidError, NotTrackedError, RevisionNotFoundError
from vstore.ops.diff import diff
from vstore.ops.resolve import split_revisions


def _changes(result: Any) -> dict[str, str]:
    return {file["path"]: file["change"] for artifact in result["artifacts"] for file in artifact["files"]}


@pytest.fixture
def changed(project: Project) -> Project:
    """A project whose second commit modified, deleted and added files, and added an artifact."""
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    (project.path / "data/sub/b.txt").unlink()
    (project.path / "data/sub").rmdir()
    project.write("data/new.txt", b"new\n")
    project.write("table.csv", b"1,2\n")
    project.ok("add", "data", "table.csv")
    project.commit("second")
    return project


def test_nothing_differs_after_a_commit(changed: Project) -> None:
    """Against the last commit, an untouched work tree has no differences and prints nothing."""
    assert changed.ok("diff").stdout == ""


def test_two_revisions_by_file(changed: Project) -> None:
    """Between two commits, every file that differs is named with its sizes and digests."""
    result = changed.ok("diff", "HEAD~1", "HEAD", "--json").json()
    assert (result["old"], result["new"]) == ("HEAD~1", "HEAD")
    assert _changes(result) == {
        "data/a.txt": "modified",
        "data/new.txt": "added",
        "data/sub/b.txt": "deleted",
        "table.csv": "added",
    }
    file = result["artifacts"][0]["files"][0]
    assert (file["path"], file["old_bytes"], file["new_bytes"]) == ("data/a.txt", 2, 8)
    assert file["old_digest"] != file["new_digest"] and file["new_digest"].startswith("xxh128:")


@pytest.mark.parametrize("arguments", [("HEAD~1..HEAD",), ("HEAD~1..",), ("HEAD~1", "HEAD"), ("HEAD~1",)])
def test_revisions_are_written_as_in_git(changed: Project, arguments: tuple[str, ...]) -> None:
    """A..B, A.., A B and A mean the same when the work tree is B."""
    assert changed.ok("diff", "--name-only", *arguments).stdout.split() == [
        "data/a.txt",
        "data/new.txt",
        "data/sub/b.txt",
        "table.csv",
    ]


def test_work_tree_against_a_commit(changed: Project) -> None:
    """Without a second revision the files themselves are compared, added or not."""
    changed.write("data/a.txt", b"a\n")
    assert _changes(changed.ok("diff", "--json").json()) == {"data/a.txt": "modified"}
    assert "data/a.txt" not in _changes(changed.ok("diff", "HEAD~1", "--json").json())


def test_paths_narrow(changed: Project) -> None:
    """Paths, also inside a tree, leave out everything else; they are relative to where one stands."""
    outcome = changed.run("diff", "HEAD~1", "--name-only", "sub/b.txt", "new.txt", inside="data")
    assert outcome.ok().stdout == "new.txt\nsub/b.txt\n"


def test_path_on_neither_side_is_unknown(changed: Project) -> None:
    """A path that neither side tracks is an error."""
    changed.write("nowhere.csv")
    outcome = changed.run("diff", "nowhere.csv")
    assert outcome.exit_code == 1 and "nowhere.csv is not tracked" in outcome.stderr


def test_never_checked_out_is_not_deleted(changed: Project) -> None:
    """In a fresh clone, where no data is yet, nothing counts as deleted."""
    assert changed.clone().ok("diff").stdout == ""


def test_deleted_data_is_deleted(changed: Project) -> None:
    """Data that was here and is gone counts as deleted."""
    (changed.path / "table.csv").unlink()
    assert _changes(changed.ok("diff", "--json").json()) == {"table.csv": "deleted"}


def test_before_the_first_commit_all_is_new(project: Project) -> None:
    """In a repository without commits everything is added."""
    project.write("model.bin", LARGE)
    project.ok("add", "model.bin")
    assert _changes(project.ok("diff", "--json").json()) == {"model.bin": "added"}


def test_file_that_became_a_directory(project: Project) -> None:
    """A file in place of a directory is told as what went and what came, and the artifact as of another kind."""
    project.add_data()
    (project.path / "model.bin").unlink()
    project.write("model.bin/part", b"p")
    project.ok("add", "model.bin")
    assert _changes(project.ok("diff", "--json").json()) == {"model.bin": "deleted", "model.bin/part": "added"}


def test_lost_list_of_files_stops_nothing(changed: Project) -> None:
    """Where the files of a tree are known to nobody, the artifact is still told, and so is the rest."""
    changed.drop_cache()
    for arguments in (["--json"], ["--stat", "--json"]):
        outcome = changed.run("diff", "HEAD~1", "HEAD", *arguments)
        artifacts = {artifact["path"]: artifact for artifact in outcome.json()["artifacts"]}
        assert artifacts["data"]["files"] is None and artifacts["data"]["change"] == "modified"
        assert artifacts["data"]["growth_bytes"] == 7 and artifacts["table.csv"]["added"] == 1
        assert [path for path, _ in outcome.json()["failed"]] == ["data"]
        assert outcome.exit_code == 3 and "could not be compared" in outcome.stderr


def test_lists_of_files_come_from_the_remote(changed: Project) -> None:
    """In a clone without any data the trees that differ are fetched, and nothing else."""
    changed.add_remote()
    changed.ok("push", "--all-commits")
    clone = changed.clone()
    clone.add_remote()
    assert _changes(clone.ok("diff", "HEAD~1", "HEAD", "--json").json())["data/new.txt"] == "added"
    status = {a["path"]: a["not_in_cache"] for a in clone.ok("status", "--json").json()["artifacts"]}
    assert status == {"data": 3, "model.bin": 1, "table.csv": 1}
    changed.store.rename(changed.store.with_name("away"))
    assert _changes(clone.ok("diff", "HEAD~1", "HEAD", "--json").json())["data/new.txt"] == "added"


def test_broken_pointer_stops_nothing(changed: Project) -> None:
    """A pointer that is broken on either side is named, and not taken for one that came or went."""
    changed.write("table.csv.vstore", b"<<<<<<< ours\n")
    outcome = changed.run("diff", "HEAD~1", "--name-only")
    assert "data/new.txt" in outcome.stdout and "table.csv" not in outcome.stdout
    assert outcome.exit_code == 3 and "merge conflict is not resolved" in outcome.stderr
    assert changed.ok("diff", "HEAD~1", "--name-only", "data").stdout
    changed.git("add", "table.csv.vstore")
    changed.commit("broken")
    changed.git("checkout", "--quiet", "HEAD~1", "table.csv.vstore")
    outcome = changed.run("diff", "HEAD~1", "HEAD", "--json")
    assert outcome.exit_code == 3
    assert (outcome.json()["artifacts"], [path for path, _ in outcome.json()["failed"]]) == ([], ["table.csv"])


def test_both_a_revision_and_a_path_is_refused(changed: Project) -> None:
    """What may be either is not guessed."""
    changed.git("branch", "data")
    outcome = changed.run("diff", "data")
    assert outcome.exit_code == 1
    assert "is a revision and also a path" in outcome.stderr and "./data" in outcome.stderr
    assert changed.ok("diff", "./data").stdout == ""


@pytest.mark.parametrize("arguments", [["nope"], ["HEAD", "nope"], ["./nope"]])
def test_neither_a_revision_nor_a_path(changed: Project, arguments: list[str]) -> None:
    """What is neither is told so, with how to see which revisions there are."""
    outcome = changed.run("diff", *arguments)
    assert outcome.exit_code == 1
    assert "is neither a revision nor a path" in outcome.stderr and "git log" in outcome.stderr


@pytest.mark.parametrize("gone", ["data/sub/b.txt", "model.bin"])
def test_path_that_is_gone_is_still_a_path(changed: Project, gone: str) -> None:
    """What was tracked at a revision, but is not here now, may be named."""
    changed.ok("rm", "model.bin")
    assert gone in changed.ok("diff", "HEAD~1", gone).stdout
    changed.ok("diff", gone)


def test_what_a_branch_did(changed: Project) -> None:
    """Three dots compare a branch with where it left the other; without a common commit that is said."""
    changed.ok("add", "-u")
    changed.git("checkout", "--quiet", "-b", "branch")
    changed.write("own.bin", LARGE)
    changed.ok("add", "own.bin")
    changed.commit("on the branch")
    changed.git("checkout", "--quiet", "main")
    changed.git("commit", "--quiet", "--allow-empty", "-m", "beside")
    changed.git("rm", "--quiet", "data.vstore")
    changed.commit("on main")
    assert "data" in changed.ok("diff", "--name-only", "main..branch").stdout
    assert "own.bin" in changed.ok("diff", "--name-only", "main...branch").stdout
    assert "data" not in changed.ok("diff", "--name-only", "main...branch").stdout
    changed.git("checkout", "--quiet", "--orphan", "other")
    changed.commit("apart")
    assert "no history in common" in changed.run("diff", "main...other").stderr


def test_path_above_that_is_gone(changed: Project) -> None:
    """A path that begins with two dots is no range, also where nothing is there any more."""
    (changed.path / "model.bin").unlink()
    (changed.path / "sub").mkdir()
    assert "../model.bin" in changed.run("diff", "../model.bin", inside="sub").ok().stdout


def test_python_face(changed: Project) -> None:
    """The op takes an opened repository and raises our errors."""
    with open_repo(changed.path) as repo:
        assert [artifact.path for artifact in diff(repo, old="HEAD~1").artifacts] == ["data", "table.csv"]
        assert split_revisions(repo, ["HEAD", "data"]) == (["HEAD"], ["data"])
        with pytest.raises(NotTrackedError):
            diff(repo, ["nothing"])
        with pytest.raises(RevisionNotFoundError):
            diff(repo, old="v99")
        with pytest.raises(InvalidError):
            diff(repo, ["../outside"])


def test_result_shows_its_files(changed: Project) -> None:
    """The ``repr`` of a result names the files that differ, and of many the first."""
    with open_repo(changed.path) as repo:
        shown = repr(diff(repo, old="HEAD~1", new="HEAD").artifacts[0].files)
        assert shown.startswith("[FileDiff(path='data/a.txt', change='modified'") and "more" not in shown
        for number in range(12):
            changed.write(f"data/{number}.txt")
        assert repr(diff(repo, ["data"], old="HEAD").artifacts[0].files).endswith(", ... 2 more]")
