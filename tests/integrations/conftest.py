"""What tests with other libraries stand on: those libraries, and data that is only at a remote."""

from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
import pytest

from tests.integrations.libraries import Libraries
from tests.project import Project
from vstore.fs import VstoreFileSystem


@pytest.fixture
def libraries(request: pytest.FixtureRequest) -> Libraries:
    """The libraries, each of which may be missing."""
    return Libraries(request)


@pytest.fixture(autouse=True)
def protocol() -> None:
    """The protocol, also where the package was not installed since it has one."""
    if "vstore" not in fsspec.available_protocols():
        fsspec.register_implementation("vstore", VstoreFileSystem)


@pytest.fixture
def pushed(project: Project, monkeypatch: pytest.MonkeyPatch) -> Pushed:
    """A project that one stands in, with a remote."""
    project.add_remote()
    monkeypatch.chdir(project.path)
    return Pushed(project)


class Pushed:
    """Data that a test writes, publishes, and then reads from a clone that has nothing of it yet."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def publish(self, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Add ``data``, tag it ``v1``, push it; then change and stand in a fresh clone, which is returned."""
        project = self.project
        project.ok("add", "data")
        project.commit("data")
        project.git("tag", "v1")
        project.ok("push")
        shutil.rmtree(project.path / "data")
        project.write("data/other.txt", b"the next version has nothing of it")
        project.ok("add", "data")
        project.commit("other data")
        project.ok("push")
        clone = project.clone()
        monkeypatch.chdir(clone.path)
        return clone.path


def read_bytes(clone: Path) -> int:
    """Return how much a clone has read from its remote: the blocks that it keeps, and whatever came into its cache."""
    return sum(path.stat().st_size for path in (clone / ".git/vstore").rglob("*") if path.is_file())
