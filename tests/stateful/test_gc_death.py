"""A collection that dies at any step, or runs beside other commands, costs nobody anything that is needed."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.collecting import add_version, age, cache_of, forget_reflogs, holds
from tests.command import run_vstore_process, start_vstore
from tests.project import Project
from tests.stateful.dying import DEAD, FULL, INTERRUPT, run_dying
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
    outcomes: list[tuple[int, str]] = []

    def collect() -> None:
        while not stop.is_set():
            for above, _, names in os.walk(tmp_path / "cache"):
                for name in names:
                    try:
                        os.utime(os.path.join(above, name), (0, 0))
                    except FileNotFoundError:
                        pass
            done = run_vstore_process("gc", cwd=clone.path)
            outcomes.append((done.exit_code, done.stderr))

    def run(where: Project, *args: str) -> str:
        done = run_vstore_process(*args, cwd=where.path)
        assert done.exit_code == 0, (args, done.stderr)
        return done.stdout

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for number in range(1, 4):
            project.write("data/a", b"version %d\n" % number)
            project.write("data/large", b"%d" % number * 300_000)
            project.write("other/b", b"other %d\n" % number)
            run(project, "add", "data", "other")
            pointers.append(project.read("data.vstore"))
            if number % 2:
                project.git("stash", "--quiet")
            else:
                project.commit()
            run(project, "push")
            assert run(project, "cat", "data/a", "--rev", "HEAD") == f"version {number - number % 2}\n"
            clone.git("pull", "--quiet")
            run(clone, "pull")
            assert clone.read("data/a") == b"version %d\n" % (number - number % 2)
            run(project, "checkout", "--force")
            assert all(holds(project, pointer) for pointer in pointers)
    finally:
        stop.set()
        collector.join()
    assert len(outcomes) > 3 and {code for code, _ in outcomes} == {0}, outcomes
