"""Making links writable."""

from __future__ import annotations

import os

import pytest

from tests.project import LARGE, Project


@pytest.fixture(params=["hardlink", "symlink"])
def linked(project: Project, request: pytest.FixtureRequest) -> Project:
    """A project whose large files are links to the cache."""
    project.ok("config", "set", "cache.type", request.param)
    project.add_data()
    assert project.path.joinpath("model.bin").is_symlink() or os.stat(project.path / "model.bin").st_nlink == 2
    return project


def test_link_becomes_a_copy(linked: Project) -> None:
    """The file is writable and its own afterwards; the cache and the other links stay as they are."""
    result = linked.ok("unlock", "model.bin", "--json").json()
    assert result == {"files": ["model.bin"], "size_bytes": len(LARGE)}
    with open(linked.path / "model.bin", "r+b") as file:
        file.write(b"mine")
    assert os.stat(linked.path / "model.bin").st_nlink == 1
    assert linked.ok("cat", "model.bin").stdout_bytes == LARGE[::-1]
    assert linked.ok("status", "model.bin", "--json").json()["artifacts"][0]["data"] == "modified"


def test_inside_a_tree(linked: Project) -> None:
    """A path inside a tree is unlocked alone; its contents stay what they were."""
    linked.ok("unlock", "data/large.bin")
    assert not (linked.path / "data/large.bin").is_symlink()
    assert linked.read("data/large.bin") == LARGE
    assert linked.ok("status", "data", "--json").json()["artifacts"][0]["data"] == "unchanged"


def test_twice_is_harmless(linked: Project) -> None:
    """What is no link is left alone."""
    linked.ok("unlock", "data", "model.bin")
    assert linked.ok("unlock", "data", "model.bin", "--json").json()["files"] == []
    assert "edit at will" in linked.ok("unlock", "data").stdout


def test_read_only_file_whose_object_is_gone(project: Project) -> None:
    """What once was a hard link to the cache, and is the last copy now, becomes writable as it is."""
    project.add_data()
    (project.path / "model.bin").chmod(0o444)
    project.drop_cache()
    assert project.ok("unlock", "model.bin", "--json").json()["files"] == ["model.bin"]
    assert os.stat(project.path / "model.bin").st_mode & 0o200
    assert project.read("model.bin") == LARGE[::-1]


def test_not_tracked(project: Project) -> None:
    """Only what is tracked can be unlocked."""
    project.write("README")
    assert project.run("unlock", "README").exit_code == 1
