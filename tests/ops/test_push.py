"""What push does beside the protocol, which tests/remote holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import vstore
from tests.command import git
from tests.project import Project
from vstore.progress import Reporter


@pytest.mark.parametrize("algorithm", ["xxh128", "blake3"])
def test_first_push_makes_the_directory(project: Project, algorithm: str) -> None:
    """Whatever names the contents, the first push to a directory that is not there yet makes it."""
    project.git("config", "--file", ".vstore/config", "core.hash", algorithm)
    project.add_data()
    project.add_remote()
    assert project.ok("push", "--json").json()["remotes"][0]["roots"] == ["data", "model.bin"]
    assert project.store.is_dir()


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _scratch(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-20] + bytes(20))


@pytest.mark.parametrize("damage", [_remove, _cut, _scratch])
@pytest.mark.parametrize("folder", ["packs", "index", "commits"])
def test_check_sees_what_happened_to_the_remote_and_push_mends_it(
    project: Project, folder: str, damage: Callable[[Path], None]
) -> None:
    """Whatever is lost or damaged at the remote is named by the check, mended by a push, and pulled by a clone."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    (victim,) = [path for path in (project.store / folder).rglob("*") if path.is_file()]
    damage(victim)
    checked = project.run("push", "--check")
    if folder == "index":
        checked.ok()  # an index is a hint: the ends of packs say the same
    else:
        assert checked.exit_code == 3
        assert "data:" in checked.stderr
        assert "model.bin:" in checked.stderr
        artifacts = project.ok("status", "--remote", "store", "--json").json()["artifacts"]
        assert [artifact["not_in_remote"] for artifact in artifacts] == [True, True]
    project.ok("push")
    project.ok("push", "--check")
    git("clone", "--quiet", project.path, project.path.parent / "clone", cwd=project.path)
    clone = Project(project.path.parent / "clone")
    clone.ok("remote", "add", "-d", "store", project.store)
    clone.ok("pull")
    for name in ("data/a.txt", "data/sub/b.txt", "data/large.bin", "model.bin"):
        assert clone.read(name) == project.read(name)


def test_check_names_files(project: Project) -> None:
    """Where a part of a directory is not in its packs, the check names files of it."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    (pack,) = (project.store / "packs").iterdir()
    _scratch(pack)
    checked = project.run("push", "--check")
    assert "data/a.txt" in checked.stderr
    assert "data/sub/b.txt" in checked.stderr


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
