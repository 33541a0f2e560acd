"""Deaths of what is done more rarely, and that no verb which changes anything is forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.buckets import collect, give_up, is_pushed, make_old, publish
from tests.command import git
from tests.ops import test_dereference
from tests.ops.migrate import test_dvc
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project
from tests.stateful import test_death, test_death_in_git, test_death_of_imports, test_gc_death
from tests.stateful.test_death import FIRST, SECOND, contents, die_everywhere, leftovers, pointers_are_good, small
from tests.stateful.test_gc_remote_death import busy, is_whole
from vstore.cli.main import HIDDEN, VERBS

__all__ = ["busy", "linked", "small"]
linked = test_dereference.linked

LOOKS = {"cat", "completion", "diff", "diff-driver", "doctor", "du", "log", "ls", "status"}
"""What these write is only remembered."""


def test_no_verb_is_forgotten() -> None:
    """Of every verb that changes something there is a test in which it dies at each step."""
    dies = {
        "add": test_death.test_add,
        "checkout": test_death.test_checkout,
        "config": test_death_in_git.test_settings,
        "fetch": test_death.test_fetch,
        "fsck": test_death.test_fsck_repair,
        "gc": test_gc_death.test_death,
        "get": test_death_of_imports.test_get,
        "hook": test_death.test_checkout,
        "import": test_death_of_imports.test_import,
        "import-url": test_death_of_imports.test_import_url,
        "init": test_init,
        "install": test_death_in_git.test_install,
        "merge-driver": test_death_in_git.test_merge,
        "migrate": test_dvc.test_death_at_every_step,
        "mv": test_death.test_mv,
        "pull": test_death.test_push_and_pull,
        "push": test_death.test_push_and_pull,
        "remote": test_death_in_git.test_settings,
        "rm": test_death.test_rm,
        "unlock": test_death.test_unlock,
        "update": test_death_of_imports.test_update_of_an_import,
    }
    verbs = {*HIDDEN, *(verb for section in VERBS.values() for verb in section)}
    # A demo makes everything anew, in a new directory.
    assert verbs - LOOKS - {"demo"} == set(dies)


def test_init(git_repo: Path) -> None:
    """A repository is there whole or not at all, and git knows of it in the end."""
    project = Project(git_repo)

    def check(done: bool) -> None:
        assert done or not project.has(".vstore/config") or project.run("status").exit_code == 0
        if done:
            assert project.git("ls-files").split() == [".vstore/.gitignore", ".vstore/config"]
            assert project.git("ls-files", "--others", "--exclude-standard") == ""
            assert project.ok("config", "get", "core.hash").stdout == "blake3\n"

    assert die_everywhere(project, ["init", "--hash", "blake3"], check) > 8


def test_init_without_git(tmp_path: Path) -> None:
    """The same where there is no git."""
    project = Project(tmp_path / "plain")
    project.path.mkdir()

    def check(done: bool) -> None:
        if done:
            assert project.ok("status", "--json").json()["artifacts"] == []

    assert die_everywhere(project, ["init", "--no-git"], check) > 5


def test_adding_links(small: Project) -> None:
    """Where files become links once they are added, each has its bytes at any time."""
    small.ok("config", "set", "cache.type", "symlink")

    def check(done: bool) -> None:
        assert contents(small.path / "data", whole=done) == SECOND
        pointers_are_good(small)
        if done:
            assert (small.path / "data/large").is_symlink()
            small.ok("status", "--check")

    assert die_everywhere(small, ["add", "data"], check, step=3) > 15


@pytest.mark.parametrize(("before", "after"), [("symlink", "copy"), ("copy", "hardlink")])
def test_relinking(small: Project, before: str, after: str) -> None:
    """While links are made anew each file has its bytes."""
    small.ok("config", "set", "cache.type", before)
    small.ok("add", "data")
    small.ok("config", "set", "cache.type", after)

    def check(done: bool) -> None:
        assert contents(small.path / "data", whole=done) == SECOND
        assert small.run("status").exit_code == 0
        if done:
            assert not (small.path / "data/large").is_symlink()
            assert ((small.path / "data/large").stat().st_nlink > 1) == (after == "hardlink")

    assert die_everywhere(small, ["checkout", "--relink"], check) > 3


def test_dereferencing(linked: Project) -> None:
    """What links led to is untouched, and each path is the link or the whole copy, at any time."""
    outside = linked.path.parent / "outside"
    before = shape(outside)

    def check(done: bool) -> None:
        assert shape(outside) == before
        data = linked.path / "data"
        assert (data / "file").read_bytes() == b"file\n" and (data / "sub/again").read_bytes() == LARGE
        pointers_are_good(linked)
        if done:
            assert shape(data) == test_dereference.COPIED and not leftovers(linked.path)
            linked.ok("status", "--check")

    assert die_everywhere(linked, ["add", "--dereference", "data"], check, step=2) > 15


@pytest.mark.parametrize(
    ("args", "after"),
    [
        ("add data/s", {**FIRST, "s": SECOND["s"]}),
        ("rm --force data/s", {"a": FIRST["a"], "large": FIRST["large"]}),
        ("mv data/s/b data/new/b", {"a": FIRST["a"], "new": {"b": ("f", b"b\n")}, "large": FIRST["large"]}),
    ],
)
def test_inside_a_tree(project: Project, args: str, after: object) -> None:
    """A part of a directory is added, removed and moved as a whole, whatever dies."""
    for name, content in (("a", b"a\n"), ("s/b", b"b\n"), ("large", LARGE)):
        project.write(f"data/{name}", content)
    project.ok("add", "data")
    project.commit("first")
    if args.startswith("add"):
        (project.path / "data/s/b").unlink()
        project.write("data/s/c/d", b"d\n")

    def check(done: bool) -> None:
        pointers_are_good(project)
        assert project.read("data/large") == LARGE
        if done:
            if args.startswith("mv") and project.has("data/s"):
                (project.path / "data/s").rmdir()  # all that was left to do
            project.ok("status", "--check")
            assert shape(project.path / "data") == after and not leftovers(project.path)
            assert project.git("diff", "--name-only") == ""
            shutil.rmtree(project.path / "data")
            project.ok("checkout")
            assert shape(project.path / "data") == after

    def is_over() -> bool:
        return not args.startswith("add") and not project.has("data/s/b")

    assert die_everywhere(project, args.split(), check, step=2, is_over=is_over) > 8


def test_rm_of_links(small: Project) -> None:
    """Links become files before their pointer goes."""
    small.ok("config", "set", "cache.type", "symlink")
    small.ok("add", "data")
    small.commit("second")

    def check(done: bool) -> None:
        assert contents(small.path / "data", whole=done) == SECOND
        if done:
            assert shape(small.path / "data") == SECOND and not small.has("data.vstore")

    assert die_everywhere(small, ["rm", "data"], check, is_over=lambda: not small.has("data.vstore")) > 6


def test_gc_remote(busy: tuple[Project, list[bytes]]) -> None:
    """A collection of a remote that dies, here or there, costs nothing that is needed, and the next ends it."""
    project, pointers = busy

    def check(done: bool) -> None:
        assert is_whole(project)
        if done:
            assert not any(is_pushed(project, pointer) for pointer in pointers)
            assert is_pushed(project, pointers[2], "trash")

    assert die_everywhere(project, ["gc", "--remote"], check, step=11) > 30


def test_undoing_gc_remote(project: Project) -> None:
    """What is being brought back is there in the end, and nothing else is harmed."""
    project.add_data()
    publish(project)
    pointer = give_up(project)
    make_old(project)
    collect(project)
    assert not is_pushed(project, pointer)

    def check(done: bool) -> None:
        assert is_whole(project)
        assert is_pushed(project, pointer) or (is_pushed(project, pointer, "trash") and not done)

    assert die_everywhere(project, ["gc", "--remote", "--undo"], check, step=5) > 15


def test_fsck_remote_repair(small: Project) -> None:
    """A repair of a remote that dies leaves everything to the next, and what was good stays good."""
    small.ok("add", "data")
    small.commit("second")
    small.add_remote()
    small.ok("push", "--all-commits")
    for path in [*(small.store / "packs").iterdir()][:1]:
        path.write_bytes(path.read_bytes()[:200])
    assert small.run("fsck", "--remote").exit_code == 13

    def check(done: bool) -> None:
        pointers_are_good(small)
        if done:
            small.ok("fsck", "--remote", "--read-data")
            small.ok("push", "--check")

    assert die_everywhere(small, ["fsck", "--remote", "--repair"], check, step=6) > 20


def test_adopting(small: Project) -> None:
    """A project that is taken over has pointers for what can be had, and the same command writes those that lack."""
    small.ok("add", "data")
    small.write("model", LARGE)
    small.ok("add", "model")
    small.commit("second")
    small.add_remote()
    small.ok("push")
    fresh = Project(small.path.parent / "fresh")
    fresh.path.mkdir()
    git("init", "--quiet", cwd=fresh.path)
    fresh.ok("init")
    fresh.add_remote()
    fresh.git("add", ".vstore")
    fresh.commit("start")

    def check(done: bool) -> None:
        assert fresh.run("status").exit_code == 0
        if done:
            assert fresh.read("data.vstore") == small.read("data.vstore")
            fresh.ok("pull")
            assert shape(fresh.path / "data") == SECOND and fresh.read("model") == LARGE
            assert fresh.git("diff", "--name-only") == "" == fresh.git("ls-files", "--others", "--exclude-standard")

    assert die_everywhere(fresh, ["remote", "adopt"], check, step=3) > 10
