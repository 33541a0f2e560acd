"""Reading contents where another tool keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.faults import Hooked
from vstore.errors import Cause, RemoteUnavailableError, UnavailableError
from vstore.ops.migrate.foreign import MD5, MD5_OF_TEXT, SHA256, ForeignName, is_content
from vstore.ops.migrate.places import FilePlace, RemotePlace, StorePlace
from vstore.remote.memory_transport import MemoryTransport

NAME = ForeignName(MD5, "0123456789abcdef0123456789abcdef")
HUGE = bytes(range(256)) * 140_000
"""More than is asked for in one range."""


@pytest.fixture
def remote() -> Hooked:
    """A remote, of whose requests one hears."""
    return Hooked(MemoryTransport())


def test_keys() -> None:
    """Each kind of name has its place in the store of its tool."""
    digits = "0123456789abcdef" * 2
    assert NAME.key == f"files/md5/01/{digits[2:]}"
    assert ForeignName(MD5_OF_TEXT, digits, is_list=True).key == f"01/{digits[2:]}.dir"
    assert ForeignName(SHA256, digits * 2).key == f"01/23/{digits * 2}"


def test_large_contents_come_in_ranges(remote: Hooked, tmp_path: Path) -> None:
    """A large content is read piece by piece into a file that has no name."""
    remote.write(NAME.key, HUGE)
    asked: list[str] = []
    remote.before = lambda operation, key: asked.append(operation)
    content = RemotePlace(remote, "the remote", tmp_path).find(NAME)
    assert content is not None and content.file is not None
    with content.file as file:
        assert file.read() == HUGE
    assert asked == ["find_size", "read_range", "read_range", "read_range"] and not list(tmp_path.iterdir())


def test_what_vanishes_is_not_there(remote: Hooked, tmp_path: Path) -> None:
    """An object that goes between two requests is none."""
    remote.write(NAME.key, b"small")
    remote.after = lambda operation, key: remote.inner.delete(key) if operation == "find_size" else None
    assert RemotePlace(remote, "the remote", tmp_path).find(NAME) is None


def test_a_remote_that_fails_is_asked_once(remote: Hooked, tmp_path: Path) -> None:
    """What cannot be reached is not waited for again for each object."""
    asked: list[str] = []

    def fail(operation: str, key: str) -> None:
        asked.append(operation)
        raise RemoteUnavailableError("nobody answers", cause=Cause.STALLED)

    remote.before = fail
    place = RemotePlace(remote, "the remote", tmp_path)
    for _ in range(3):
        with pytest.raises(RemoteUnavailableError, match="nobody answers"):
            place.find(NAME)
    assert len(asked) == 1


def test_files_of_a_store(tmp_path: Path) -> None:
    """A store is read by keys; what is no file, or is not there, is none, and what is above must be a directory."""
    place = StorePlace(tmp_path, "the store")
    path = tmp_path / NAME.key
    assert place.find(NAME) is None and not place.has(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    content = place.find(NAME)
    assert content is not None and content.data == b"content" and place.has(NAME)
    assert FilePlace(str(path / "below")).find(NAME) is None
    with pytest.raises(UnavailableError):
        FilePlace(str(tmp_path / ("x" * 300))).find(NAME)


def test_proofs() -> None:
    """Only the right bytes are what a name says, however they are cut."""
    assert is_content(ForeignName(MD5, "5d41402abc4b2a76b9719d911017c592"), lambda: iter([b"hel", b"lo"]))
    assert not is_content(ForeignName(MD5, "5d41402abc4b2a76b9719d911017c592"), lambda: iter([b"hello\n"]))
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert is_content(ForeignName(SHA256, empty), lambda: iter([]))
