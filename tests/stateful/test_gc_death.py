"""A collection that dies at any step, or runs beside other commands, costs nobody anything that is needed."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import vstore
from tests.collecting import add_version, age, cache_of, forget_reflogs, holds
from tests.command import run_vstore_process, start_vstore
from tests.project import Project
from tests.stateful.dying import DEAD, FULL, INTERRUPT, run_dying, run_pausing
from tests.stateful.test_death import as_before
from vstore.cache.compaction import MANY_SMALL_PACKS
from vstore.repo import open_repo


@pytest.fixture
def wasteful(project: Project) -> tuple[Project, list[bytes], list[bytes]]:
    """A project with pointers whose data is needed, those whose data is not, and packs of every kind."""
    needed, useless = [], []
    for number in range(MANY_SMALL_PACKS + 2):
        pointer = add_version(project, number)
        if number % 3:
            project.commit()
            needed.append(pointer)
        else:
            useless.append(pointer)
    project.git("reset", "--quiet", "--hard")
    forget_reflogs(project)
    # A pack of which a part is needed.
    project.write("part/kept", b"kept" * 100)
    project.write("part/gone", b"gone" * 100)
    project.ok("add", "part")
    useless.append(project.read("part.vstore"))
    (project.path / "part/gone").unlink()
    project.ok("add", "part")
    needed.append(project.read("part.vstore"))
    with open_repo(project.path) as repo:
        for name in ("packs/.vstore-tmp-0123456789abcdef", "objects/.vstore-tmp-0123456789abcdef"):
            (repo.cache.path / name).write_bytes(b"left")
    age(cache_of(project))
    return project, needed, useless


def test_death(wasteful: tuple[Project, list[bytes], list[bytes]]) -> None:
    """Whenever a collection dies, all that is needed is readable, and the next collection finishes the work."""
    project, needed, useless = wasteful
    for number in itertools.count(step=2):
        with as_before(project):
            code = run_dying(lambda: project.run("gc").exit_code, number)
            assert code in (0, DEAD)
            assert all(holds(project, pointer) for pointer in needed)
            age(cache_of(project))
            project.ok("gc")
            assert all(holds(project, pointer) for pointer in needed)
            assert not any(holds(project, pointer) for pointer in useless)
            assert not list(cache_of(project).rglob(".vstore-tmp-*"))
        if code == 0:
            break
    assert number > 12


def test_interrupt(wasteful: tuple[Project, list[bytes], list[bytes]]) -> None:
    """Ctrl-C ends a collection at any step with the exit code for it, and what is needed is there."""
    project, needed, _ = wasteful
    codes = set()
    for number in range(0, 40, 8):
        with as_before(project):
            codes.add(run_dying(lambda: project.run("gc").exit_code, number, INTERRUPT))
            assert all(holds(project, pointer) for pointer in needed)
            project.ok("gc")
            assert all(holds(project, pointer) for pointer in needed)
    assert 130 in codes <= {0, 130}


def test_kill(wasteful: tuple[Project, list[bytes], list[bytes]]) -> None:
    """kill -9 at any time does no harm either."""
    project, needed, _ = wasteful
    began_s = time.monotonic()
    run_vstore_process("gc", "--dry-run", cwd=project.path).ok()
    took_s = time.monotonic() - began_s
    for share in (0.4, 0.6, 0.8, 0.9, 1.0):
        with as_before(project):
            process = start_vstore("gc", cwd=project.path)
            time.sleep(share * took_s)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert all(holds(project, pointer) for pointer in needed)
            project.ok("gc")
            assert all(holds(project, pointer) for pointer in needed)


def test_full_disk(wasteful: tuple[Project, list[bytes], list[bytes]]) -> None:
    """On a full disk all goes that needs no room, and that is said; with room the rest goes."""
    project, needed, useless = wasteful
    for number in (0, 20):
        with as_before(project):
            assert run_dying(lambda: _collect_on_full_disk(project), number, FULL) == 0
            assert all(holds(project, pointer) for pointer in needed)
            assert not any(holds(project, pointer) for pointer in useless[:-1])
            assert not list(cache_of(project).rglob(".vstore-tmp-*"))
            age(cache_of(project))
            assert project.ok("gc", "--json").json()["rewritten_packs"] > 0
            assert all(holds(project, pointer) for pointer in needed)


def _collect_on_full_disk(project: Project) -> int:
    outcome = project.run("gc")
    said = "there is no room to write packs anew in " in outcome.stderr and "df -h" in outcome.stderr
    return 0 if outcome.exit_code == 1 and said else 98


def test_lock(wasteful: tuple[Project, list[bytes], list[bytes]]) -> None:
    """While somebody writes to the cache nothing is removed; who only looks at it, or plans, does not wait."""
    project, _, useless = wasteful
    project.ok("config", "set", "core.lock_wait", "0.2")
    with open_repo(project.path) as repo:
        with repo.using_cache():
            outcome = project.run("gc")
            assert outcome.exit_code == 11 and "lock" in outcome.stderr
            project.ok("gc", "--dry-run")
        with repo.collecting():
            assert project.run("add", "data").exit_code == 11
            project.ok("status")
            project.ok("cat", "part/kept")
    assert holds(project, useless[0])


def test_pointer_that_moves_meanwhile(project: Project) -> None:
    """What git moves from a stash into a file while a collection looks is overlooked at neither place."""
    add_version(project, 1)
    project.commit()
    pointer = add_version(project, 2)
    project.git("stash", "--quiet")
    age(cache_of(project))
    for number in range(2, 7):
        with as_before(project):
            child = os.fork()
            if child == 0:
                code = 99
                try:
                    sys.addaudithook(Taker(project, pointer, number))
                    code = project.run("gc").exit_code
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert project.read("data.vstore") == pointer and holds(project, pointer)


class Taker:
    """An audit hook that takes a pointer out of the stash before the n-th program is started."""

    def __init__(self, project: Project, pointer: bytes, before: int) -> None:
        self._project, self._pointer = project, pointer
        self._left = before

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event == "subprocess.Popen":
            self._left -= 1
            if self._left == -1:
                self._project.write("data.vstore", self._pointer)
                self._project.git("stash", "drop", "--quiet")


def test_no_locks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no locks, others may be writing now: nothing is removed."""
    pointer = add_version(project, 1)
    project.git("rm", "--quiet", "--cached", "data.vstore")
    (project.path / "data.vstore").unlink()
    age(cache_of(project))

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(37, "no locks available")

    monkeypatch.setattr("vstore.durable.fcntl.flock", refuse)
    outcome = project.run("gc")
    assert outcome.exit_code == 1 and "without locks" in outcome.stderr
    assert holds(project, pointer)


# Beside others.


@pytest.fixture
def pair(project: Project) -> tuple[Project, Project]:
    """A project and a clone that share a cache.

    It holds the version that is committed, and another that is garbage, though it is what the files are.  The tag
    "second" names one that only the remote has.
    """
    project.ok("config", "set", "--local", "cache.dir", project.path.parent / "cache")
    project.ok("config", "set", "core.lock_wait", "0")
    project.ok("remote", "add", "other", "../other")
    project.add_remote()
    for number, name in ((2, "second"), (1, "first")):
        add_version(project, number)
        project.git("add", "--all")
        project.commit(name)
        project.git("tag", name)
    project.ok("push", "--all-commits")
    shutil.rmtree(cache_of(project))
    project.ok("fetch")
    clone = project.clone()
    clone.ok("config", "set", "--local", "cache.dir", project.path.parent / "cache")
    clone.ok("fetch")
    add_version(project, 3)
    project.git("reset", "--quiet", "--hard")
    return project, clone


@pytest.mark.parametrize("verb", ["add data", "checkout --force", "push -r other", "fetch --rev second"])
def test_beside_a_command_that_pauses(pair: tuple[Project, Project], verb: str) -> None:
    """Wherever a command is, a collection waits for it or does it no harm, also where it uses garbage anew."""
    project, clone = pair
    codes: list[int] = []

    def collect() -> None:
        age(cache_of(project))
        codes.append(clone.run("gc").exit_code)

    for number in itertools.count(step=5):
        with as_before(project):
            code = run_pausing(lambda: project.run(*verb.split()).exit_code, number, collect)
            assert code in (0, None), f"paused before change {number}"
            collect()
            project.ok("status", "--check") if verb.startswith("checkout") else None
            if verb.startswith("push"):
                project.ok("push", "--check", "-r", "other")
            revision = "second" if verb.startswith("fetch") else ""
            for pointer in (project.read("data.vstore"), project.git("show", f"{revision}:data.vstore").encode()):
                assert holds(project, pointer + b"\n")
        if code is None:
            break
    assert set(codes) == {0, 11}


def test_beside_others(project: Project, tmp_path: Path) -> None:
    """Adding, pushing, fetching and reading go on while somebody collects without end, and all that is old could go."""
    project.ok("config", "set", "--local", "cache.dir", tmp_path / "cache")
    project.add_remote()
    pointers = [add_version(project, 0)]
    project.git("add", "--all")
    project.commit()
    clone = project.clone()
    clone.ok("config", "set", "--local", "cache.dir", tmp_path / "cache")
    stop = threading.Event()
    collections: list[vstore.GcResult] = []

    def collect() -> None:
        while not stop.wait(0.05):
            for above, _, names in os.walk(tmp_path / "cache"):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        os.utime(os.path.join(above, name), (0, 0))
            collections.append(vstore.gc(directory=clone.path))

    with ThreadPoolExecutor() as pool:
        collecting = pool.submit(collect)
        try:
            for number in itertools.count(1):
                if number > 3 and (len(collections) > 3 or collecting.done()):
                    break
                project.write("data/a", b"version %d\n" % number)
                project.write("data/large", b"%d" % number * 300_000)
                project.write("other/b", b"other %d\n" % number)
                project.ok("add", "data", "other")
                pointers.append(project.read("data.vstore"))
                if number % 2:
                    project.git("stash", "--quiet")
                else:
                    project.commit()
                project.ok("push")
                committed = number - number % 2
                assert project.ok("cat", "data/a", "--rev", "HEAD").stdout == f"version {committed}\n"
                clone.git("pull", "--quiet")
                clone.ok("pull")
                assert clone.read("data/a") == b"version %d\n" % committed
                project.ok("checkout", "--force")
                assert all(holds(project, pointer) for pointer in pointers)
        finally:
            stop.set()
        collecting.result()
    assert len(collections) > 3
