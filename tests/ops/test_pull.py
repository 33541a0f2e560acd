"""Pulling: everything comes from the remote, verified, and what is not there is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import git, start_vstore
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project

PARTLY = 3


@pytest.fixture
def pushed(project: Project) -> Project:
    """A project with data, pushed."""
    project.add_remote()
    project.add_data()
    project.ok("push")
    return project


def test_clone_gets_everything(pushed: Project) -> None:
    """A clone has, after a pull, the same files; a second pull does nothing."""
    clone = pushed.clone()
    clone.ok("pull")
    assert shape(clone.path / "data") == shape(pushed.path / "data") and clone.read("model.bin") == LARGE[::-1]
    result = clone.ok("pull", "--json").json()
    assert result["fetch"]["remotes"] == [] and all(done["written"] == 0 for done in result["checkout"]["artifacts"])


def test_repository_of_sha256(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where git counts in SHA-256, which libgit2 does not, everything goes as elsewhere."""
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    (tmp_path / "repo").mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=tmp_path / "repo")
    project = Project(tmp_path / "repo")
    project.ok("init")
    project.add_remote()
    project.add_data()
    first = project.git("rev-parse", "HEAD")
    project.write("data/a.txt", b"second\n")
    project.ok("add", "data")
    project.commit("second")
    project.ok("push", "--all-commits")
    clone = project.clone()
    clone.ok("pull")
    assert len(first) == 64 and clone.read("data/a.txt") == b"second\n"
    assert clone.ok("cat", "data/a.txt", "--rev", first[:10]).stdout == "a\n"
    assert clone.ok("status", "--check").exit_code == 0


def test_part_of_a_tree(pushed: Project) -> None:
    """A path inside a tree is fetched and written alone, and only it counts as being here."""
    clone = pushed.clone()
    clone.ok("pull", "data/sub")
    assert shape(clone.path / "data") == {"sub": {"b.txt": ("f", b"bb\n")}} and not clone.has("model.bin")
    assert clone.ok("status", "--json", "data").json()["artifacts"][0]["deleted"] == []


def test_local_changes_are_kept(pushed: Project) -> None:
    """A pull overwrites nothing that is saved nowhere."""
    clone = pushed.clone()
    clone.write("data/a.txt", b"precious\n")
    assert clone.run("pull").exit_code == 11
    assert clone.read("data/a.txt") == b"precious\n" and clone.read("model.bin") == LARGE[::-1]


def test_two_work_trees_at_once(pushed: Project) -> None:
    """Two work trees that share a cache may pull the same at the same time."""
    clone = pushed.clone()
    clone.git("worktree", "add", "--quiet", "../twin")
    places = [clone.path, clone.path.parent / "twin"]
    commands = [start_vstore("pull", cwd=place) for place in places]
    for command in commands:
        _, stderr = command.communicate(timeout=60)
        assert command.returncode == 0, stderr.decode()
    assert all(shape(place / "data") == shape(pushed.path / "data") for place in places)


def test_what_the_remote_lost_is_named(pushed: Project) -> None:
    """What can be had is written; the rest is named, and the exit code says so."""
    clone = pushed.clone()
    for pack in Path(pushed.store).glob("packs/*"):
        data = bytearray(pack.read_bytes())
        at = data.find(b"bb\n")
        if at >= 0:
            data[at] ^= 1
            pack.write_bytes(data)
    outcome = clone.run("pull")
    assert outcome.exit_code in (PARTLY, 12, 13) and b"Traceback" not in outcome.stderr_bytes
    assert not clone.has("data/sub/b.txt") and clone.read("model.bin") == LARGE[::-1]


def test_history_is_fetched_and_what_is_here_written(pushed: Project) -> None:
    """With --all-commits old versions come too, so that they can be had without the remote; the files stay today's."""
    pushed.write("model.bin", b"second\n")
    pushed.ok("add", "-u")
    pushed.commit()
    pushed.ok("push")
    clone = pushed.clone()
    clone.ok("pull", "--all-commits")
    assert clone.read("model.bin") == b"second\n"
    pushed.store.rename(pushed.store.with_name("gone"))
    clone.ok("checkout", "--rev", "HEAD~1", "model.bin")
    assert clone.read("model.bin") == LARGE[::-1]


@pytest.mark.parametrize("verb", ["push", "fetch", "pull"])
def test_one_revision_and_many_exclude_each_other(project: Project, verb: str) -> None:
    """To ask for one revision and for many at once is wrong use, not a failure."""
    outcome = project.run(verb, "--rev", "HEAD", "--all-tags")
    assert outcome.exit_code == 2 and "exclude each other" in outcome.stderr
