"""Repositories of DVC made by hand, as a stranger might: nothing outside is read, written or deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.ops.migrate.hand_made import HandMade, md5
from tests.project import LARGE, Project


@pytest.fixture
def made(git_repo: Path) -> HandMade:
    """A repository with settings of DVC and nothing else."""
    return HandMade(git_repo)


@pytest.mark.parametrize("relpath", ["../evil", "/evil", "a/../../evil", ".git/hooks/evil", "a//b", "a\\b", ".", "a/"])
def test_lists_that_lead_out(made: HandMade, relpath: str) -> None:
    """A list of files that names one outside, or in .git, is refused as a whole, and nothing is written."""
    good = made.keep(b"good\n")
    made.point(made.keep_list([{"md5": good, "relpath": relpath}, {"md5": good, "relpath": "fine"}]), "data")
    result = made.migrate(3)
    assert [path for path, _ in result["refused"]] == ["data"] and not made.has("data.vstore") and not made.has("evil")


def test_lists_that_contradict_themselves(made: HandMade) -> None:
    """A list with a file twice, or with one below another, is refused."""
    one, two = made.keep(b"1"), made.keep(b"2")
    made.point(made.keep_list([{"md5": one, "relpath": "x"}, {"md5": two, "relpath": "x"}]), "twice")
    made.point(made.keep_list([{"md5": one, "relpath": "x"}, {"md5": two, "relpath": "x/y"}]), "below")
    result = made.migrate(3)
    assert sorted(path for path, _ in result["refused"]) == ["below", "twice"] and not result["artifacts"]


def test_what_is_tracked_twice(made: HandMade) -> None:
    """Of two files of DVC that name one path, or one inside another, only the first counts."""
    name = made.keep(b"1")
    made.point(name, "x", "a")
    made.point(made.keep(b"2"), "x", "b")
    made.point(made.keep_list([{"md5": name, "relpath": "in"}]), "d")
    made.point(name, "d/in", "c")
    result = made.migrate(3)
    assert [moved["path"] for moved in result["artifacts"]] == ["d", "x"]
    assert made.ok("cat", "x").stdout == "1"
    assert {path for path, _ in result["refused"]} == {"x", "d/in"}


def test_a_link_in_the_way(made: HandMade, tmp_path: Path) -> None:
    """A path that is reached through a symlink is left alone."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (made.path / "link").symlink_to(outside)
    made.point(made.keep(b"1"), "link/x", "a")
    assert "symlink" in made.migrate(3)["refused"][0][1]
    assert not any(outside.iterdir())


def test_files_of_dvc_that_are_links(made: HandMade, tmp_path: Path) -> None:
    """A link in the place of a file of DVC is not followed."""
    (tmp_path / "secret").write_text("outs: 3")
    (made.path / "x.dvc").symlink_to(tmp_path / "secret")
    assert made.migrate()["refused"] == []


def test_objects_that_are_none(made: HandMade) -> None:
    """A pipe, a directory or a link in the place of an object is none, and is not waited for."""
    for number in range(3):
        name = md5(b"%d" % number)
        made.point(name, f"x{number}")
        place = made.object_path(name)
        place.parent.mkdir(parents=True)
        (os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path))[number](place)
    result = made.migrate(3)
    assert [path for path, _ in result["missing"]] == ["x0", "x1", "x2"]


def test_sizes_that_lie(made: HandMade) -> None:
    """What DVC says about sizes and numbers is not believed: what is there is counted."""
    made.point(made.keep(LARGE), "x", more="  size: 99999999999999\n  nfiles: -1\n")
    (moved,) = made.migrate()["artifacts"]
    assert moved["size_bytes"] == len(LARGE)


def test_what_git_keeps_stays_gits(made: HandMade) -> None:
    """A path that git tracks itself, or that holds something git tracks, is left alone."""
    made.write("x", b"1")
    made.write("d/readme", b"git's")
    made.git("add", "x", "d/readme")
    made.point(made.keep(b"1"), "x")
    made.point(made.keep_list([{"md5": md5(b"1"), "relpath": "in"}]), "d")
    assert {path for path, _ in made.migrate(3)["refused"]} == {"x", "d"}


def test_one_broken_file_stops_nobody(made: HandMade) -> None:
    """What cannot be understood is named, and everything else moves."""
    made.write("broken.dvc", b"outs: [")
    made.point(made.keep(b"1"), "x")
    result = made.migrate(3)
    assert result["refused"][0][0] == "broken.dvc" and made.ok("cat", "x").stdout == "1"


def test_a_remote_that_cannot_be_reached(made: HandMade) -> None:
    """A remote that is not there is asked once, and said to be why."""
    made.write(".dvc/config", b"[core]\nremote = far\n['remote \"far\"']\nurl = /nowhere/at/all\n")
    for number in range(50):
        made.point(md5(b"%d" % number), f"x{number}")
    result = made.migrate(3)
    assert len(result["missing"]) == 50
    assert all("does not exist" in reason for _, reason in result["missing"])


def test_the_extra_is_missing(made: HandMade, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that reads YAML the error says how to get it."""
    made.point(made.keep(b"1"), "x")
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    outcome = made.run("migrate", "dvc")
    assert outcome.exit_code == 14 and "pip install 'vstore[dvc]'" in outcome.stderr


def test_without_git(tmp_path: Path) -> None:
    """Outside a git repository there is nothing to move from."""
    assert Project(tmp_path).run("migrate", "dvc").exit_code == 10
    assert Project(tmp_path).run("migrate", "lfs").exit_code == 10
