"""Moving."""

from __future__ import annotations

import os

import pytest

from tests.project import LARGE, Project


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data."""
    project.add_data()
    return project


def test_everything_moves(filled: Project) -> None:
    """Data, pointer and ignore rule move together, and git sees a rename."""
    filled.ok("mv", "data", "sets/train")
    assert filled.read("sets/train/a.txt") == b"a\n" and not filled.has("data")
    assert filled.read("sets/.gitignore") == b"/train\n"
    assert "R  data.vstore -> sets/train.vstore" in filled.git("status", "--short")
    assert filled.ok("status", "--json").json()["artifacts"][1]["data"] == "unchanged"


def test_into_a_directory(filled: Project) -> None:
    """Several artifacts move into a directory that is there, under their own names."""
    filled.write("sets/README")
    result = filled.ok("mv", "data", "model.bin", "sets", "--json").json()
    assert result["moved"] == [
        {"source": "data", "destination": "sets/data"},
        {"source": "model.bin", "destination": "sets/model.bin"},
    ]
    assert filled.read("sets/model.bin") == LARGE[::-1]
    assert not filled.has(".gitignore")


def test_what_people_wrote_into_a_pointer_moves_along(filled: Project) -> None:
    """A pointer moves byte for byte."""
    before = filled.read("model.bin.vstore") + b"# a remark\n"
    filled.write("model.bin.vstore", before)
    filled.ok("mv", "model.bin", "best.bin")
    assert filled.read("best.bin.vstore") == before


def test_unsaved_changes_move_along(filled: Project) -> None:
    """Changes that were not added are moved, not lost."""
    filled.write("data/a.txt", b"precious\n")
    filled.ok("mv", "data", "other")
    assert filled.read("other/a.txt") == b"precious\n"
    assert filled.ok("status", "--json").json()["artifacts"][1]["modified"] == ["a.txt"]


def test_data_that_is_not_here(filled: Project) -> None:
    """Where no data is checked out the pointer moves."""
    clone = filled.clone()
    clone.ok("mv", "data", "other")
    assert clone.has("other.vstore") and not clone.has("data.vstore") and not clone.has("other")


def test_inside_a_tree(filled: Project) -> None:
    """A path inside a tree moves inside it."""
    filled.ok("mv", "data/sub", "data/deep/er")
    assert filled.read("data/deep/er/b.txt") == b"bb\n"
    assert filled.ok("ls", "-R", "data").stdout.split() == ["data/a.txt", "data/deep/er/b.txt", "data/large.bin"]
    assert filled.ok("status", "--json").json()["artifacts"][0]["data"] == "unchanged"


def test_directories_that_are_left_empty_go(filled: Project) -> None:
    """A directory of which the last file was moved is no change of its own, and neither is one that fills."""
    (filled.path / "data/none").mkdir()
    filled.ok("add", "data")
    filled.ok("mv", "data/sub/b.txt", "data/none/b.txt")
    assert not filled.has("data/sub") and filled.read("data/none/b.txt") == b"bb\n"
    filled.ok("status", "--check", "data")
    assert filled.ok("ls", "-R", "data").stdout.split() == ["data/a.txt", "data/large.bin", "data/none/b.txt"]


def test_where_git_ignores_pointers_nothing_is_moved(filled: Project) -> None:
    """A pointer that could not be committed at its new place stays at the old one."""
    filled.write("scratch/.gitignore", b"*\n")
    refused = filled.run("mv", "data", "scratch")
    assert refused.exit_code == 1 and "git ignores scratch/data.vstore" in refused.stderr
    assert filled.has("data/a.txt") and filled.has("data.vstore") and not filled.has("scratch/data.vstore")


@pytest.mark.parametrize(
    ("source", "destination", "exit_code"),
    [
        ("data", "model.bin", 11),
        ("data", "README", 11),
        ("data", "data/sub", 1),
        ("data/sub", "elsewhere", 1),
        ("data/sub", "data/a.txt", 11),
        ("model.bin", "data/model.bin", 1),
        ("model.bin", "../outside", 1),
        ("model.bin", ".git/x", 1),
        ("README", "other", 1),
        ("nowhere", "other", 1),
    ],
)
def test_refusals_change_nothing(filled: Project, source: str, destination: str, exit_code: int) -> None:
    """Nothing is overwritten, nothing leaves the repository or its tree, and a refusal changes nothing."""
    filled.write("README")
    outcome = filled.run("mv", source, destination)
    assert outcome.exit_code == exit_code, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert filled.git("status", "--short") == "?? README"
    assert filled.read("data/sub/b.txt") == b"bb\n" and filled.read("model.bin") == LARGE[::-1]


def test_dry_run_changes_nothing(filled: Project) -> None:
    """--dry-run says where things would go."""
    assert "data -> other" in filled.ok("mv", "--dry-run", "data", "other").stdout
    assert filled.has("data.vstore") and not filled.has("other")


@pytest.mark.parametrize("stage", ["pointer", "data"])
def test_interrupted_move_goes_on(filled: Project, stage: str) -> None:
    """Whatever was done before a crash, the same command finishes it."""
    os.link(filled.path / "data.vstore", filled.path / "other.vstore")
    if stage == "data":
        os.rename(filled.path / "data", filled.path / "other")
    filled.ok("mv", "data", "other")
    assert filled.read("other/a.txt") == b"a\n"
    assert not filled.has("data") and not filled.has("data.vstore")
