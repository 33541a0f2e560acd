"""The same verb twice at once, or beside a collector: one after the other, or one of them says why not."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.collecting import age, cache_of
from tests.command import Outcome, run_vstore_process, start_vstore
from tests.ops.test_checkout import shape
from tests.ops.test_install import git_files, write_hook
from tests.project import Project, share
from tests.stateful.test_death import pointers_are_good
from tests.stateful.test_death_of_imports import FIRST, SECOND, ours, theirs, write

__all__ = ["ours", "theirs"]

_TAKEN = 11


def at_once(project: Project, *commands: str) -> list[Outcome]:
    """Run commands in processes of their own, all at once."""
    started = [start_vstore(*command.split(), cwd=project.path) for command in commands]
    ended = [(process, *process.communicate(timeout=120)) for process in started]
    return [Outcome(process.returncode, stdout, stderr) for process, stdout, stderr in ended]


def test_imports_of_one_path(ours: Project, theirs: Project, tmp_path: Path) -> None:
    """Two imports of different data to the same path: one wins as a whole, the other says that it is taken."""
    url = share(theirs)
    write(tmp_path / "folder", SECOND)
    by_repo, by_url = at_once(ours, f"import {url} data", "import-url ../folder data")
    codes = {by_repo.exit_code, by_url.exit_code}
    assert codes == {0, _TAKEN}, (by_repo.stderr, by_url.stderr)
    assert shape(ours.path / "data") == (FIRST if by_repo.exit_code == 0 else SECOND)
    pointers_are_good(ours)
    ours.ok("status", "--check")


def test_the_same_import(ours: Project, tmp_path: Path) -> None:
    """Two imports of the same: the data is there, whole, whatever the second says."""
    write(tmp_path / "folder", FIRST)
    outcomes = at_once(ours, *["import-url ../folder data"] * 2)
    assert {each.exit_code for each in outcomes} in ({0}, {0, _TAKEN}), [each.stderr for each in outcomes]
    assert shape(ours.path / "data") == FIRST
    pointers_are_good(ours)
    ours.ok("status", "--check")


@pytest.mark.parametrize("by", ["url", "repository"])
def test_updates(ours: Project, theirs: Project, tmp_path: Path, by: str) -> None:
    """Two updates at once bring the new version, once."""
    write(tmp_path / "folder", FIRST)
    ours.ok(*(["import-url", "../folder", "data"] if by == "url" else ["import", "../repo", "data"]))
    for changed in (tmp_path / "folder", theirs.path / "data"):
        write(changed, SECOND)
    theirs.ok("add", "data")
    theirs.commit("second")
    outcomes = at_once(ours, "update", "update")
    assert {each.exit_code for each in outcomes} in ({0}, {0, _TAKEN}), [each.stderr for each in outcomes]
    assert shape(ours.path / "data") == SECOND
    pointers_are_good(ours)
    ours.ok("status", "--check")


def test_installations(project: Project) -> None:
    """Two installations at once are one; an installation and its end come one after the other."""
    write_hook(project, "pre-commit", "#!/bin/sh\necho mine\n")
    before = git_files(project)
    project.ok("install")
    after = git_files(project)
    project.ok("install", "--uninstall")
    for commands, expected in ((["install"] * 2, [after]), (["install", "install --uninstall"], [before, after])):
        outcomes = at_once(project, *commands)
        assert {each.exit_code for each in outcomes} == {0}, [each.stderr for each in outcomes]
        assert git_files(project) in expected


def test_imports_beside_collections(ours: Project, theirs: Project, tmp_path: Path) -> None:
    """Imports, updates and copies go on while somebody collects without end, and all that is old could go."""
    url = share(theirs)
    write(tmp_path / "folder", FIRST)
    stop, codes = threading.Event(), []

    def collect() -> None:
        while not stop.is_set():
            age(cache_of(ours))
            codes.append(run_vstore_process("gc", cwd=ours.path).exit_code)

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for command in (f"import {url} data", "import-url ../folder", "import-url ../folder far --to-remote"):
            run_vstore_process(*command.split(), cwd=ours.path).ok()
        write(tmp_path / "folder", SECOND)
        run_vstore_process("update", cwd=ours.path).ok()
    finally:
        stop.set()
        collector.join()
    assert set(codes) == {0} and len(codes) > 1
    assert shape(ours.path / "data") == FIRST and shape(ours.path / "folder") == SECOND
    ours.ok("pull")
    assert shape(ours.path / "far") in (FIRST, SECOND)
    pointers_are_good(ours)


@pytest.mark.parametrize("how", ["empty", "cut", "garbled", "foreign", "gone", "journal"])
def test_torn_state(ours: Project, tmp_path: Path, how: str) -> None:
    """Whatever became of the state, which is only what is remembered, every verb works and nobody's change is lost."""
    write(tmp_path / "folder", FIRST)
    ours.ok("import-url", "../folder", "data")
    ours.commit("first")
    write(tmp_path / "folder", SECOND)
    state = ours.path / ".git/vstore/state.db"
    data = state.read_bytes()
    if how == "gone":
        state.unlink()
    elif how == "foreign":
        state.unlink()
        with sqlite3.connect(state) as connection:
            connection.execute("CREATE TABLE other (a)")
        connection.close()
    elif how == "journal":
        for suffix in ("-wal", "-journal", "-shm"):
            state.with_name(state.name + suffix).write_bytes(os.urandom(5000))
    else:
        torn = {"empty": b"", "cut": data[: len(data) // 2], "garbled": data[:100] + os.urandom(len(data))}
        state.write_bytes(torn[how])
    ours.write("data/mine", b"mine\n")
    ours.ok("status")
    assert ours.run("update").exit_code == _TAKEN and ours.run("checkout").exit_code in (0, _TAKEN)
    assert ours.read("data/mine") == b"mine\n"
    (ours.path / "data/mine").unlink()
    ours.ok("update")
    assert shape(ours.path / "data") == SECOND
    pointers_are_good(ours)
    ours.ok("status", "--check")
    ours.ok("gc")
