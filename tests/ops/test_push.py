"""What push does beside the protocol, which tests/remote holds."""

from __future__ import annotations

import pytest

from tests.project import Project


@pytest.mark.parametrize("algorithm", ["xxh128", "blake3"])
def test_first_push_makes_the_directory(project: Project, algorithm: str) -> None:
    """Whatever names the contents, the first push to a directory that is not there yet makes it."""
    project.ok("config", "set", "core.hash", algorithm)
    project.add_data()
    project.add_remote()
    assert project.ok("push", "--json").json()["remotes"][0]["roots"] == ["data", "model.bin"]
    assert project.store.is_dir()
