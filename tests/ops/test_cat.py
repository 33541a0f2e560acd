"""The bytes of one file."""

from __future__ import annotations

import pytest

from tests.project import LARGE, Project


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data in a remote."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    project.commit("remote")
    return project


@pytest.mark.parametrize(("path", "content"), [("data/a.txt", b"a\n"), ("data/large.bin", LARGE)])
def test_bytes_come_out_as_they_are(filled: Project, path: str, content: bytes) -> None:
    """Exactly the bytes, nothing else, are printed."""
    assert filled.ok("cat", path).stdout_bytes == content


def test_old_version(filled: Project) -> None:
    """Any version can be printed, whatever lies in the work tree."""
    filled.write("data/a.txt", b"new\n")
    filled.ok("add", "data")
    filled.commit()
    assert filled.ok("cat", "data/a.txt", "--rev", "HEAD~1").stdout_bytes == b"a\n"


def test_changed_file_is_not_printed(filled: Project) -> None:
    """What is printed is what the pointer says, not what somebody made of the file."""
    filled.write("data/a.txt", b"not added\n")
    assert filled.ok("cat", "data/a.txt").stdout_bytes == b"a\n"


@pytest.mark.parametrize("path", ["data/a.txt", "data/large.bin", "model.bin"])
def test_remote_helps(filled: Project, path: str) -> None:
    """In a fresh clone the bytes come from the remote."""
    assert filled.clone().ok("cat", path).stdout_bytes == filled.read(path)


def test_file_itself_helps(project: Project) -> None:
    """Where the cache is lost, the unmodified file is as good."""
    project.add_data()
    project.drop_cache()
    assert project.ok("cat", "model.bin").stdout_bytes == LARGE[::-1]


def test_lost_everywhere(project: Project) -> None:
    """What is nowhere is exit code 12, and nothing is printed."""
    project.add_data()
    project.drop_cache()
    project.write("model.bin", b"changed")
    outcome = project.run("cat", "model.bin")
    assert outcome.exit_code == 12 and outcome.stdout == ""
    assert "neither in the cache nor in a remote" in outcome.stderr


def test_damaged_object_is_replaced(filled: Project) -> None:
    """A damaged object is never printed: the remote's copy is."""
    (filled.path / "model.bin").unlink()
    for path in (filled.path / ".git/vstore/cache/objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"x" * len(LARGE))
    assert filled.ok("cat", "model.bin").stdout_bytes == LARGE[::-1]


@pytest.mark.parametrize(("path", "message"), [("data", "data is not a file"), (".", "is not one file")])
def test_directories_are_refused(filled: Project, path: str, message: str) -> None:
    """A directory has no bytes to print."""
    outcome = filled.run("cat", path)
    assert outcome.exit_code == 1 and message in outcome.stderr
