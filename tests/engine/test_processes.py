"""Processes of this machine as an engine, and the many small files that they read."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.engine import jobs
from tests.project import Project
from vstore.engine.processes import LocalProcesses
from vstore.errors import EngineUnavailableError, PathNotFoundError
from vstore.progress import SILENT, Reporter
from vstore.workspace import snapshotter


class Sums(Reporter):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.total = 0
        self.words: list[str] = []

    def advance(self, amount: int = 1) -> None:
        self.total += amount

    def note(self, message: str) -> None:
        self.words.append(message)

    def warn(self, message: str) -> None:
        self.words.append(message)


def is_gone(process: int) -> bool:
    """Tell whether a process ends within a while."""
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_results_and_progress() -> None:
    """Every part is done once, and progress is that of all together."""
    watcher = Sums()
    with contextlib.closing(LocalProcesses(2)) as processes:
        results = [result for result in processes.run(jobs.double, range(20), watcher) if result is not None]
    assert sorted(results) == list(range(0, 40, 2)) and watcher.total == sum(range(20))


def test_processes_are_kept_and_ended() -> None:
    """Workers go on with other jobs, and end with the engine."""
    with contextlib.closing(LocalProcesses(2)) as processes:
        first = [found for found in processes.run(jobs.tell_process, range(8), SILENT) if found]
        again = [found for found in processes.run(jobs.tell_process, range(8), SILENT) if found]
    assert {found for found, _ in again} <= {found for found, _ in first} and all(
        has_scratch for _, has_scratch in first
    )
    assert all(is_gone(process) for process, _ in first)


@pytest.mark.parametrize(("deaths", "is_done"), [(1, True), (2, True), (9, False)])
def test_process_that_dies(tmp_path: Path, deaths: int, is_done: bool) -> None:
    """A part whose process died is begun anew, and counts once; after some deaths that is an error."""
    (tmp_path / "3.deaths").write_text(str(deaths))
    tasks = [(number, str(tmp_path / str(number))) for number in range(5)]
    watcher = Sums()
    with contextlib.closing(LocalProcesses(2)) as processes:
        run = processes.run(jobs.double_or_die, tasks, watcher)
        if is_done:
            assert sorted(result for result in run if result is not None) == [0, 2, 4, 6, 8]
            assert watcher.total == 10
        else:
            with pytest.raises(EngineUnavailableError, match="all of them died"):
                list(run)


def test_errors_and_words() -> None:
    """What a part says is heard here, and its error is raised here."""
    watcher = Sums()
    with contextlib.closing(LocalProcesses(1)) as processes, pytest.raises(PathNotFoundError, match="no 1") as raised:
        list(processes.run(jobs.fail, [0, 1, 2], watcher))
    assert raised.value.fields == {"path": "1"}
    assert watcher.words == ["note 0", "warning 0", "note 1", "warning 1"]


def test_who_stops_listening_stops_them() -> None:
    """Closing the iterator ends processes that are in the middle of something."""
    processes = LocalProcesses(2)
    run = processes.run(jobs.tell_process, range(50), SILENT)
    found = next(result for result in run if result is not None)
    run.close()
    assert is_gone(found[0])


def make_files(project: Project) -> None:
    """A directory of files: small, large, equal, empty, executable, a link."""
    for number in range(200):
        project.write(f"data/d{number % 7}/f{number}", b"%d\n" % (number // 2) * (number + 1))
    project.write("data/large", os.urandom(1_500_000))
    project.write("data/empty", b"")
    os.chmod(project.write("data/run", b"#!"), 0o755)
    os.symlink("run", project.path / "data/link")


def test_many_small_files(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that processes read are tracked as if they had been read here, and need not be read again."""
    make_files(project)
    project.ok("add", "data")
    pointer = project.read("data.vstore")
    project.git("rm", "-q", "--cached", "data.vstore")
    (project.path / "data.vstore").unlink()
    empty_cache(project)
    monkeypatch.setattr(snapshotter, "_MANY_FILES", 100)
    monkeypatch.setattr(snapshotter, "count_processors", lambda: 3)
    began: list[int] = []

    def begin(number: int) -> LocalProcesses:
        began.append(number)
        return LocalProcesses(number)

    monkeypatch.setattr(snapshotter, "LocalProcesses", begin)
    added = project.ok("add", "data", "--json").json()
    assert began == [3] and project.read("data.vstore") == pointer and added["new_objects"] > 100
    project.ok("fsck")
    for path in (project.path / "data").rglob("f*"):
        path.unlink()
    project.ok("checkout", "--force")
    assert project.ok("status", "--json").json()["artifacts"][0]["data"] == "unchanged"


def test_jobs_are_limited(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one job nothing is begun, however many processors there are."""
    make_files(project)
    monkeypatch.setattr(snapshotter, "_MANY_FILES", 100)
    monkeypatch.setattr(snapshotter, "count_processors", lambda: 8)
    monkeypatch.setattr(snapshotter, "LocalProcesses", None)
    project.ok("add", "-j", "1", "data")


def empty_cache(project: Project) -> None:
    """Remove the cache and what is remembered of files."""
    shutil.rmtree(project.path / ".git/vstore")
