"""Writing files while somebody else is at them: what came in between is kept and noticed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from tests.project import LARGE, Project
from vstore.ops.checkout import CheckoutResult, checkout
from vstore.progress import Reporter
from vstore.repo import open_repo


class Meanwhile(Reporter):
    """Does something when vstore has looked at the files and is about to write."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self.done = False

    def begin(self, task: str, *, total: int | None = None, unit: str = "files") -> None:
        if task == "writing" and not self.done:
            self.done = True
            self._action()


@pytest.fixture
def two(project: Project) -> Project:
    """A project with a second version checked out, whose pointer is that of the first."""
    project.add_data()
    project.write("data/a.txt", b"second\n")
    project.write("data/sub/c.txt", b"c\n")
    (project.path / "data/sub/b.txt").unlink()
    project.ok("add", "data")
    project.commit("second")
    project.git("checkout", "--quiet", "HEAD~")
    return project


def check_out(project: Project, action: Callable[[], object]) -> CheckoutResult:
    """Check out, with something happening meanwhile."""
    reporter = Meanwhile(action)
    with open_repo(project.path, reporter=reporter) as repo:
        result = checkout(repo)
    assert reporter.done
    return result


@pytest.mark.parametrize("name", ["a.txt", "sub/c.txt", "sub/b.txt"])
def test_edit_in_between_is_kept(two: Project, name: str) -> None:
    """A file that is edited, or comes into being, between the look and the write is left alone and named."""
    result = check_out(two, lambda: two.write(f"data/{name}", b"precious\n"))
    assert two.read(f"data/{name}") == b"precious\n"
    assert [path for path, _ in result.failed] == [f"data/{name}"]
    assert two.ok("status", "--json", "data").json()["artifacts"][0]["data"] == "modified"


def test_pipe_in_between_is_kept(two: Project) -> None:
    """So is what is no file at all."""

    def plant() -> None:
        (two.path / "data/a.txt").unlink()
        os.mkfifo(two.path / "data/a.txt")

    result = check_out(two, plant)
    assert (two.path / "data/a.txt").is_fifo() and [path for path, _ in result.failed] == ["data/a.txt"]


def test_link_in_between_is_not_followed(two: Project) -> None:
    """A directory that becomes a link outside meanwhile is neither written nor deleted through."""
    elsewhere = two.path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "c.txt").write_bytes(b"c\n")

    def plant() -> None:
        shutil.rmtree(two.path / "data/sub")
        (two.path / "data/sub").symlink_to(elsewhere)

    result = check_out(two, plant)
    assert os.listdir(elsewhere) == ["c.txt"] and (elsewhere / "c.txt").read_bytes() == b"c\n"
    assert result.failed and two.read("data/a.txt") == b"a\n"


@pytest.mark.parametrize("action", ["edit", "new", "delete"])
def test_change_elsewhere_in_between_is_noticed(two: Project, action: str) -> None:
    """A change to a file that checkout has nothing to do with, beside one that it writes, is not taken for the tree."""

    def change() -> None:
        if action == "edit":
            two.write("data/large.bin", LARGE[::-1])
        elif action == "new":
            two.write("data/new", b"new\n")
        else:
            (two.path / "data/large.bin").unlink()

    result = check_out(two, change)
    assert not result.failed and two.read("data/a.txt") == b"a\n"
    for _ in range(2):
        (status,) = two.ok("status", "--json", "data").json()["artifacts"]
        assert status["data"] == "modified"
        assert [status["modified"], status["added"], status["deleted"]][["edit", "new", "delete"].index(action)]
