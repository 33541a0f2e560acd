"""What push does beside the protocol, which tests/remote holds."""

from __future__ import annotations

import pytest

import vstore
from tests.project import Project
from vstore.progress import Reporter


@pytest.mark.parametrize("algorithm", ["xxh128", "blake3"])
def test_first_push_makes_the_directory(project: Project, algorithm: str) -> None:
    """Whatever names the contents, the first push to a directory that is not there yet makes it."""
    project.ok("config", "set", "core.hash", algorithm)
    project.add_data()
    project.add_remote()
    assert project.ok("push", "--json").json()["remotes"][0]["roots"] == ["data", "model.bin"]
    assert project.store.is_dir()


def test_transfers_are_watched(project: Project) -> None:
    """Pushing and fetching tell of their progress in bytes."""
    project.add_data()
    project.add_remote()
    watcher = _Watcher()
    vstore.push(directory=project.path, reporter=watcher)
    project.drop_cache()
    vstore.fetch(directory=project.path, reporter=watcher)
    size = sum(path.stat().st_size for path in (project.path / "model.bin", *(project.path / "data").rglob("*.*")))
    assert set(watcher.done) == {"pushing", "fetching"}
    assert min(watcher.done.values()) >= size


class _Watcher(Reporter):
    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self._task = ""

    def begin(self, task: str, *, total: int | None = None, unit: str = "files") -> None:
        if unit == "bytes":
            self._task = task
            self.done[task] = 0

    def advance(self, amount: int = 1) -> None:
        if self._task:
            self.done[self._task] += amount

    def end(self) -> None:
        self._task = ""
