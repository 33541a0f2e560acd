"""Stopping to track."""

from __future__ import annotations

import pytest

from tests.project import LARGE, Project


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data."""
    project.add_data()
    return project


def test_data_stays(filled: Project) -> None:
    """The pointer and the ignore rule go, the data stays, and git is told."""
    filled.ok("rm", "data", "model.bin")
    assert filled.read("data/a.txt") == b"a\n" and filled.read("model.bin") == LARGE[::-1]
    assert not filled.has("data.vstore") and not filled.has(".gitignore")
    assert filled.git("status", "--short", "--untracked-files=no").split() == [
        *("D", ".gitignore", "D", "data.vstore", "D", "model.bin.vstore")
    ]
    assert filled.ok("status", "--json").json()["artifacts"] == []


def test_data_goes_if_asked(filled: Project) -> None:
    """With --data the files go too; the old version still comes back."""
    result = filled.ok("rm", "--data", "data", "--json").json()
    assert not filled.has("data")
    assert result["removed"] == [{"path": "data", "artifact": True, "deleted": 3, "kept": 0}]
    filled.git("reset", "--quiet", "--hard")
    filled.ok("checkout")
    assert filled.read("data/large.bin") == LARGE


def test_unsaved_data_is_kept(filled: Project) -> None:
    """A file that is saved nowhere is not deleted, and nothing else is either."""
    filled.write("data/a.txt", b"precious\n")
    outcome = filled.run("rm", "--data", "data", "model.bin")
    assert outcome.exit_code == 11
    assert "data/a.txt" in outcome.stderr and "--force" in outcome.stderr
    assert filled.has("data.vstore") and filled.has("model.bin.vstore") and filled.read("data/a.txt") == b"precious\n"
    filled.ok("rm", "--data", "--force", "data")
    assert not filled.has("data")


def test_links_become_files(filled: Project) -> None:
    """What was a link to the cache is a writable file of its own afterwards."""
    filled.ok("config", "set", "cache.type", "symlink")
    filled.ok("checkout", "--relink")
    assert (filled.path / "model.bin").is_symlink()
    filled.ok("rm", "model.bin")
    assert not (filled.path / "model.bin").is_symlink()
    with open(filled.path / "model.bin", "r+b") as file:
        file.write(b"mine")


def test_path_leaves_its_tree(filled: Project) -> None:
    """A path inside a tree leaves it, its file goes, everything else stays."""
    filled.ok("rm", "data/sub")
    assert not filled.has("data/sub")
    assert filled.ok("ls", "-R", "data").stdout == "data/a.txt\ndata/large.bin\n"
    assert filled.ok("status", "--json").json()["artifacts"][0]["data"] == "unchanged"
    assert filled.git("status", "--short").strip() == "M  data.vstore"


def test_path_leaves_a_tree_that_is_not_here(filled: Project) -> None:
    """That works also where nothing of the directory is checked out."""
    filled.add_remote()
    filled.ok("push")
    filled.commit("remote")
    clone = filled.clone()
    clone.ok("rm", "data/sub/b.txt")
    assert clone.ok("ls", "-R", "data").stdout == "data/a.txt\ndata/large.bin\n"
    assert not clone.has("data")


def test_unsaved_file_in_a_tree_is_kept(filled: Project) -> None:
    """A changed file inside a tree does not go without --force."""
    filled.write("data/a.txt", b"precious\n")
    assert filled.run("rm", "data/a.txt").exit_code == 11
    assert filled.read("data/a.txt") == b"precious\n"


@pytest.mark.parametrize("arguments", [["data"], ["--data", "model.bin"], ["data/a.txt"]])
def test_dry_run_changes_nothing(filled: Project, arguments: list[str]) -> None:
    """--dry-run says the same and does nothing."""
    outcome = filled.ok("rm", "--dry-run", "--json", *arguments)
    assert outcome.json()["dry_run"] is True and len(outcome.json()["removed"]) == 1
    assert filled.git("status", "--short") == ""
    assert filled.has("data/a.txt") and filled.has("model.bin")


def test_broken_pointer_can_be_removed(filled: Project) -> None:
    """A pointer that cannot be read is no reason to keep it."""
    filled.write("model.bin.vstore", b"<<<<<<< ours\n")
    filled.ok("rm", "model.bin")
    assert not filled.has("model.bin.vstore") and filled.has("model.bin")


@pytest.mark.parametrize("path", ["README", "nowhere", "data/nowhere"])
def test_unknown_path(filled: Project, path: str) -> None:
    """What is not tracked cannot be removed."""
    filled.write("README")
    outcome = filled.run("rm", path)
    assert outcome.exit_code == 1 and "Hint:" in outcome.stderr
