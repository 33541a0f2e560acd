"""Death at every step: the same command just works afterwards, no pointer names missing data, no byte is lost."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest

from tests.ops.test_checkout import shape
from tests.project import LARGE, Project
from tests.stateful.before import Before
from tests.stateful.dying import DEAD, INTERRUPT, run_dying
from vstore.cache.cache import Cache
from vstore.durable import is_temporary
from vstore.objects.digest import hash_bytes
from vstore.objects.pointer import Pointer
from vstore.objects.tree import find_contents
from vstore.repo import open_repo
from vstore.workspace.pointers import iter_artifacts


def pointers_are_good(project: Project) -> None:
    """Assert that the cache holds, undamaged, whatever a pointer names."""
    with open_repo(project.path) as repo:
        for artifact in iter_artifacts(repo.work_tree):
            assert isinstance(artifact.pointer, Pointer)
            data = repo.cache.read(artifact.pointer.digest)
            for digest, _ in find_contents(data) if artifact.pointer.is_tree else ():
                repo.cache.read(digest)


def leftovers(root: Path) -> list[Path]:
    """What dead commands left in a work tree."""
    found = [Path(above, name) for above, directories, files in os.walk(root) for name in directories + files]
    return [path for path in found if is_temporary(path.name) and not {".git", ".vstore"} & set(path.parts)]


def die_everywhere(
    project: Project,
    args: Sequence[str],
    check: Callable[[bool], None],
    *,
    step: int = 1,
    is_over: Callable[[], bool] = lambda: False,
) -> int:
    """Run a command on a project, dying ``step`` changes later each time; returns how many changes it makes.

    ``check`` hears of it twice: when the command has died, and when it was then run to its end.  ``is_over`` tells
    whether so much was done that the command has nothing to do any more, and may refuse.  In the profile "thorough"
    it dies at every step.
    """
    if hypothesis.settings.get_current_profile_name() == "thorough":
        step = 1
    before = Before(project.path.parent)
    for number in itertools.count(step=step):
        code = run_dying(lambda: project.run(*args).exit_code, number)
        assert code in (0, DEAD), f"{args} ended with {code} where it should die before change {number}"
        check(False)
        over = is_over()
        again = project.run(*args)
        assert over or again.exit_code == 0, f"died before change {number}: {again.stderr}"
        check(True)
        before.restore()
        if code == 0:
            before.forget()
            return number
    raise AssertionError


@contextlib.contextmanager
def as_before(project: Project) -> Iterator[None]:
    """Put a project, and whatever is beside it, back to what it was."""
    before = Before(project.path.parent)
    try:
        yield
    finally:
        before.restore()
        before.forget()


@pytest.fixture
def small(project: Project) -> Project:
    """A project with little data, committed, in two versions."""
    project.write("data/a", b"a\n")
    project.write("data/s/b", b"b\n")
    project.write("data/large", LARGE)
    project.ok("add", "data")
    project.commit("first")
    project.write("data/a", b"another a\n")
    (project.path / "data/s/b").unlink()
    project.write("data/s/c/d", b"d\n")
    project.write("data/large", LARGE[::-1])
    return project


FIRST = {"a": ("f", b"a\n"), "s": {"b": ("f", b"b\n")}, "large": ("f", LARGE)}
SECOND = {"a": ("f", b"another a\n"), "s": {"c": {"d": ("f", b"d\n")}}, "large": ("f", LARGE[::-1])}


def test_add(small: Project) -> None:
    """Adding never touches the data, and a pointer never names what is not there."""

    def check(done: bool) -> None:
        assert shape(small.path / "data") == SECOND
        pointers_are_good(small)
        if done:
            small.ok("status", "--check")
            assert small.git("diff", "--name-only") == ""

    assert die_everywhere(small, ["add", "data"], check) > 15


def test_add_of_something_new(project: Project) -> None:
    """The same where nothing was tracked: the data is never both untracked by us and staged by accident."""
    project.write("new/a", b"a\n")
    project.write("new/large", LARGE)

    def check(done: bool) -> None:
        assert shape(project.path / "new") == {"a": ("f", b"a\n"), "large": ("f", LARGE)}
        pointers_are_good(project)
        if done:
            project.ok("status", "--check")
            project.git("add", "--all")
            assert "new/a" not in project.git("ls-files")

    assert die_everywhere(project, ["add", "new"], check) > 15


@pytest.mark.parametrize("link_type", ["copy", "hardlink", "symlink"])
def test_checkout(small: Project, link_type: str) -> None:
    """Going back loses neither the version left nor a file that nobody saved; the second attempt gets there."""
    small.ok("config", "set", "cache.type", link_type)
    small.ok("add", "data")
    small.commit("second")
    small.write("data/s/mine", b"precious\n")
    small.git("checkout", "--quiet", "HEAD~")

    def check(done: bool) -> None:
        assert small.read("data/s/mine") == b"precious\n"
        pointers_are_good(small)
        assert small.run("status").exit_code == 0
        if done:
            (small.path / "data/s/mine").unlink()
            assert contents(small.path / "data") == FIRST and not leftovers(small.path)
            small.ok("status", "--check")
            small.git("checkout", "--quiet", "main")
            small.ok("checkout")
            assert contents(small.path / "data") == SECOND

    assert die_everywhere(small, ["checkout"], check) > 15


def test_checkout_of_everything(small: Project) -> None:
    """The same where nothing is there yet."""
    small.ok("add", "data")
    small.commit("second")
    shutil.rmtree(small.path / "data")

    def check(done: bool) -> None:
        pointers_are_good(small)
        if done:
            assert shape(small.path / "data") == SECOND and not leftovers(small.path)
            small.ok("status", "--check")

    assert die_everywhere(small, ["checkout"], check) > 15


def test_push_and_pull(small: Project) -> None:
    """A push that died is finished by the next; a clone then gets everything, however often its pull dies."""
    small.ok("add", "data")
    small.commit("second")
    small.ok("remote", "add", "-d", "store", "../store")

    def check_push(done: bool) -> None:
        assert shape(small.path / "data") == SECOND
        if done:
            clone = small.clone()
            clone.ok("remote", "add", "-d", "store", "../store")
            clone.ok("pull")
            assert shape(clone.path / "data") == SECOND

    assert die_everywhere(small, ["push"], check_push, step=4) > 15
    small.ok("push")
    shutil.rmtree(small.path / "data")
    shutil.rmtree(small.path / ".git/vstore")

    def check_pull(done: bool) -> None:
        if done:
            assert shape(small.path / "data") == SECOND and not leftovers(small.path)
            pointers_are_good(small)
            small.ok("status", "--check")

    assert die_everywhere(small, ["pull"], check_pull, step=3) > 15


def test_rm(small: Project) -> None:
    """Removing data and pointer: what was committed comes back, and git never sees the data."""
    small.ok("add", "data")
    small.commit("second")

    def check(done: bool) -> None:
        assert "data/a" not in small.git("status", "--porcelain", "--untracked-files=all") or not done
        if done:
            assert not small.has("data") and not small.has("data.vstore")
            assert small.git("diff", "--name-only") == "" and "data.vstore" not in small.git("ls-files")
            small.git("reset", "--quiet", "--hard")
            small.ok("checkout")
            assert shape(small.path / "data") == SECOND

    assert die_everywhere(small, ["rm", "--data", "data"], check, is_over=lambda: not small.has("data.vstore")) > 10


def test_mv(small: Project) -> None:
    """Moving: the data is always at one of the two places, and a pointer stands for it."""
    small.ok("add", "data")
    small.commit("second")

    def check(done: bool) -> None:
        there = [name for name in ("data", "moved") if small.has(name)]
        assert len(there) == 1 and shape(small.path / there[0]) == SECOND
        assert small.has(there[0] + ".vstore")
        if done:
            assert there == ["moved"] and not small.has("data.vstore")
            small.ok("status", "--check")
            assert small.git("diff", "--name-only") == "" and "data.vstore" not in small.git("ls-files").splitlines()

    assert die_everywhere(small, ["mv", "data", "moved"], check, is_over=lambda: not small.has("data.vstore")) > 10


@pytest.mark.parametrize("command", ["mv", "rm"])
def test_inside_a_directory(small: Project, command: str) -> None:
    """Moving and removing a file of a directory: whatever was done, the same command goes on to the end."""
    small.ok("add", "data")
    small.commit("second")
    moved = {"z": SECOND["a"]} if command == "mv" else {}
    args = [command, "data/a", *(["data/z"] if command == "mv" else [])]

    def check(done: bool) -> None:
        pointers_are_good(small)
        if done:
            assert shape(small.path / "data") == {name: SECOND[name] for name in ("s", "large")} | moved
            small.ok("status", "--check")
            assert small.git("diff", "--name-only") == "" != small.git("diff", "--cached", "--name-only")

    def is_staged() -> bool:
        return small.git("diff", "--cached", "--name-only") != "" and not small.has("data/a")

    assert die_everywhere(small, args, check, is_over=is_staged) > 5


def test_fetch(small: Project) -> None:
    """Fetching again goes on, and never leaves a content that is not what its name says."""
    small.ok("add", "data")
    small.commit("second")
    small.ok("remote", "add", "-d", "store", "../store")
    small.ok("push", "--all-commits")
    shutil.rmtree(small.path / ".git/vstore/cache")

    def check(done: bool) -> None:
        assert shape(small.path / "data") == SECOND
        small.ok("fsck", *([] if (small.path / ".git/vstore/cache/format").exists() else ["--repair"]))
        if done:
            pointers_are_good(small)

    assert die_everywhere(small, ["fetch"], check, step=3) > 10


@pytest.mark.parametrize("link_type", ["hardlink", "symlink"])
def test_unlock(small: Project, link_type: str) -> None:
    """Each file is the link or the copy, with the same bytes, and the object stays."""
    small.ok("config", "set", "cache.type", link_type)
    small.ok("add", "data")
    small.commit("second")

    def check(done: bool) -> None:
        assert small.read("data/large") == LARGE[::-1] and small.read("data/a") == b"another a\n"
        pointers_are_good(small)
        if done:
            assert shape(small.path / "data") == SECOND and os.access(small.path / "data/large", os.W_OK)
            small.ok("status", "--check")

    assert die_everywhere(small, ["unlock", "data"], check) >= 3


def test_fsck_repair(small: Project) -> None:
    """Wherever a repair dies, no good content is lost, nothing damaged is deleted, and the next one ends it."""
    small.ok("add", "data")
    small.commit("second")
    small.ok("remote", "add", "-d", "store", "../store")
    small.ok("push", "--all-commits")
    cache = small.path / ".git/vstore/cache"
    packs = sorted((cache / "packs").iterdir())
    objects = [path for path in (cache / "objects").rglob("*") if path.is_file()]
    for path, data in [
        (packs[0], packs[0].read_bytes().replace(b"b\n", b"!\n")),
        (packs[1], packs[1].read_bytes()[:-20]),
        (objects[0], b"damaged"),
        (small.path / ".git/vstore/state.db", b"no database" * 1000),
    ]:
        path.chmod(0o644)
        path.write_bytes(data)
    (cache / "format").write_bytes(b"damaged")
    damaged = {path.read_bytes() for path in [*packs, objects[0]]}

    def check(done: bool) -> None:
        assert shape(small.path / "data") == SECOND
        kept = {path.read_bytes() for path in cache.rglob("*") if path.is_file()}
        assert damaged <= kept
        for content in (b"another a\n", b"d\n"):
            digest = hash_bytes(content, "xxh128")
            assert Cache(cache).read(digest) == content
        if done:
            assert small.ok("fsck", "--json").json()["damages"] == []
            pointers_are_good(small)
            small.ok("status", "--check")
            small.git("checkout", "--quiet", "HEAD~")
            small.ok("pull")
            assert shape(small.path / "data") == FIRST

    assert die_everywhere(small, ["fsck", "--repair"], check) > 20


@pytest.mark.parametrize("command", ["add", "push", "pull"])
def test_interrupt(small: Project, command: str) -> None:
    """Ctrl-C at any time ends a command with the exit code for it and no traceback; the same command then works."""
    small.ok("remote", "add", "-d", "store", "../store")
    if command != "add":
        small.ok("add", "data")
        small.commit("second")
    if command == "pull":
        small.ok("push")
        shutil.rmtree(small.path / "data")
        shutil.rmtree(small.path / ".git/vstore")
    args = ["add", "data"] if command == "add" else [command]

    def run() -> int:
        outcome = small.run(*args)
        return 1 if b"Traceback" in outcome.stderr_bytes else outcome.exit_code

    codes = []
    for number in range(0, 45, 5):
        with as_before(small):
            codes.append(run_dying(run, number, INTERRUPT))
            small.ok(*args)
            assert shape(small.path / "data") == SECOND and not leftovers(small.path)
            pointers_are_good(small)
            small.ok("status", "--check")
    assert set(codes) <= {0, 130} and codes.count(130) > 3, codes


def contents(root: Path, *, whole: bool = True) -> object:
    """The shape of a path, whatever is linked to the cache; unless ``whole``, without what a dead command left."""
    found = shape(root)
    if not whole and isinstance(found, dict):
        found = {name: below for name, below in found.items() if not is_temporary(name)}

    def follow(path: Path, below: object) -> object:
        if isinstance(below, dict):
            return {name: follow(path / name, inner) for name, inner in below.items()}
        return ("f", path.read_bytes()) if isinstance(below, tuple) and below[0] == "link" else below

    return follow(root, found)
