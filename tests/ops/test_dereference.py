"""Adding what links lead to: copies take the place of links that no tree can hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import vstore
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project

USAGE, PARTLY = 2, 3


@pytest.fixture
def linked(project: Project) -> Project:
    """A directory with links to files and directories outside of it, and inside."""
    outside = project.path.parent / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "file").write_bytes(b"file\n")
    (outside / "run").write_bytes(b"run\n")
    (outside / "run").chmod(0o755)
    (outside / "sub/large").write_bytes(LARGE)
    (outside / "sub/again").symlink_to("large")
    project.write("data/own", b"own\n")
    data = project.path / "data"
    (data / "inner").symlink_to("own")
    (data / "file").symlink_to(outside / "file")
    (data / "run").symlink_to("../../outside/run")
    (data / "sub").symlink_to(outside / "sub")
    return project


COPIED = {
    "own": ("f", b"own\n"),
    "inner": ("link", "own"),
    "file": ("f", b"file\n"),
    "run": ("x", b"run\n"),
    "sub": {"large": ("f", LARGE), "again": ("f", LARGE)},
}


def test_links_become_what_they_lead_to(linked: Project) -> None:
    """Without the option they are refused; with it copies take their place, and what they led to is untouched."""
    outside = linked.path.parent / "outside"
    before = shape(outside), shape(linked.path / "data")
    assert linked.run("add", "data").exit_code == PARTLY
    assert shape(linked.path / "data") == before[1]
    done = linked.ok("add", "--dereference", "data")
    assert "data/sub was a link, and is now a copy of what it led to" in done.stderr
    assert shape(linked.path / "data") == COPIED and shape(outside) == before[0]
    linked.ok("status", "--check")
    linked.commit()
    for name in ("file", "run"):
        (linked.path / "data" / name).unlink()
    linked.ok("checkout")
    assert shape(linked.path / "data") == COPIED


def test_the_path_itself(linked: Project) -> None:
    """What is named may be a link itself, to a file or a directory, or lie in a tracked directory."""
    (linked.path / "one").symlink_to("../outside/file")
    (linked.path / "two").symlink_to("../outside/sub")
    linked.ok("add", "--dereference", "one", "two")
    assert linked.read("one") == b"file\n" and not (linked.path / "one").is_symlink()
    assert shape(linked.path / "two") == {"large": ("f", LARGE), "again": ("f", LARGE)}
    linked.ok("add", "--dereference", "data")
    (linked.path / "data/more").symlink_to("../../outside/file")
    vstore.add(["data/more"], directory=linked.path, dereference=True)
    assert linked.read("data/more") == b"file\n"
    linked.ok("status", "--check")


def test_refused_changes_nothing(linked: Project) -> None:
    """Where a path must not be added no link is replaced, nor are links that lead nowhere or in a circle."""
    linked.write("kept", b"kept\n")
    linked.git("add", "kept")
    before = shape(linked.path / "data")
    assert linked.run("add", "--dereference", "data", "kept").exit_code == 1
    assert shape(linked.path / "data") == before
    assert linked.run("add", "--dereference", "-u").exit_code == USAGE
    assert linked.run("add", "--dereference", "--dry-run", "data").exit_code == USAGE
    for name, target in (("loop", ".."), ("nowhere", "/nowhere"), ("self", "self")):
        linked.write(f"odd/{name}/file", b"")
        place = linked.path / "odd" / name
        (place / "link").symlink_to(target)
        linked.run("add", "--dereference", f"odd/{name}")
        assert os.readlink(place / "link") == target


def test_what_cannot_be_copied(linked: Project) -> None:
    """A pipe, or a circle, inside of what a link leads to leaves the link as it was, and nothing else behind."""
    outside = linked.path.parent / "outside"
    os.mkfifo(outside / "sub/pipe")
    refused = linked.run("add", "--dereference", "data")
    assert refused.exit_code == 1 and "neither a file nor a directory" in refused.stderr
    assert (linked.path / "data/sub").is_symlink()
    (outside / "sub/pipe").unlink()
    (outside / "sub/circle").symlink_to(Path(".."))
    refused = linked.run("add", "--dereference", "data")
    assert refused.exit_code == 1 and "in a circle" in refused.stderr
    assert (linked.path / "data/sub").is_symlink()
    assert not [name for name in os.listdir(linked.path / "data") if name.startswith(".")]
