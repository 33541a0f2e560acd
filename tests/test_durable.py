"""Files appear whole or not at all, and locks are held by one or shared by many."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.stateful.dying import DEAD, run_dying
from vstore import durable
from vstore.durable import FileLock
from vstore.errors import LockedError, NoSpaceError, PermissionDeniedError, UnavailableError


def test_file_appears_whole(tmp_path: Path) -> None:
    """Nobody sees a file before the block ends, and then all of it, with its mode."""
    path = tmp_path / "file"
    with durable.open_atomic(path, mode=0o600) as file:
        file.write(b"some")
        assert not path.exists()
        file.write(b"thing")
    assert path.read_bytes() == b"something" and path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_error_leaves_what_was_there(tmp_path: Path) -> None:
    """An error inside the block leaves the old content and no temporary file."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), durable.open_atomic(path) as file:
        file.write(b"new" * (1 // 0))
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_existing_file_is_kept_if_asked(tmp_path: Path) -> None:
    """With ``replace=False`` the first one stays."""
    path = tmp_path / "file"
    for content in (b"first", b"second"):
        try:
            with durable.open_atomic(path, replace=False) as file:
                file.write(content)
        except FileExistsError:
            assert content == b"second"
    assert path.read_bytes() == b"first" and os.listdir(tmp_path) == ["file"]


def test_names_are_exchanged(tmp_path: Path) -> None:
    """A directory and a link take each other's place, and nothing is exchanged with what is not there."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    if not durable.exchange(tmp_path / "directory", tmp_path / "link"):
        pytest.skip("this system cannot exchange names")
    assert (tmp_path / "link").is_dir() and os.readlink(tmp_path / "directory") == "nowhere"
    with pytest.raises(FileNotFoundError):
        durable.exchange(tmp_path / "link", tmp_path / "nothing")


def test_death_leaves_old_or_new(tmp_path: Path) -> None:
    """Whoever dies on the way leaves the old content or the new, and at most a temporary file."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write() -> int:
        durable.write_atomic(path, b"new")
        return 0

    codes = [run_dying(write, number) for number in range(4)]
    assert codes[0] == DEAD and codes[-1] == 0 and path.read_bytes() == b"new"
    assert all(durable.is_temporary(name) for name in os.listdir(tmp_path) if name != "file")


def test_temporary_names_are_recognised() -> None:
    """Names that we make are known as such; a user's that begin alike are not."""
    assert durable.is_temporary(durable.temporary_name())
    assert not durable.is_temporary(".vstore-tmp-notes") and not durable.is_temporary(durable.temporary_name() + ".txt")


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, NoSpaceError),
        (errno.EDQUOT, NoSpaceError),
        (errno.EROFS, PermissionDeniedError),
        (errno.EACCES, PermissionDeniedError),
        (errno.EIO, UnavailableError),
    ],
)
def test_system_errors_become_ours(number: int, error: type[Exception]) -> None:
    """What the system complains about is said in one sentence, by kind."""
    with pytest.raises(error, match="could not write /some/file: "), durable.os_errors("/some/file", "write"):
        raise OSError(number, "whatever")


def test_lock_is_held_alone_or_shared(tmp_path: Path) -> None:
    """Many share; one alone waits for them, says so once, and gives up in the end."""
    first, second, third = (FileLock(tmp_path / "lock") for _ in range(3))
    waits: list[int] = []
    assert first.acquire(shared=True) and second.acquire(shared=True)
    with pytest.raises(LockedError, match="holds the lock"):
        third.acquire(wait_s=0.12, on_wait=lambda: waits.append(1))
    assert waits == [1]
    first.release()
    second.release()
    assert third.acquire()
    with pytest.raises(LockedError):
        first.acquire(shared=True)
    third.release()
    third.release()
    assert first.acquire(shared=True)
    first.release()


def test_lock_that_is_not_ours_to_write(tmp_path: Path) -> None:
    """A lock file that another user made can be held all the same."""
    path = tmp_path / "lock"
    path.touch(mode=0o444)
    lock = FileLock(path)
    assert lock.acquire()
    lock.release()


def test_time_of_the_file_system(tmp_path: Path) -> None:
    """The time is that of a file written now, and no file is left."""
    now_ns, granularity_ns = durable.file_system_time_ns(tmp_path)
    (tmp_path / "later").touch()
    assert now_ns <= (tmp_path / "later").stat().st_mtime_ns and granularity_ns >= 10_000_000
    assert os.listdir(tmp_path) == ["later"]


@pytest.mark.parametrize("count", [1, 20])
def test_many_files_are_flushed(tmp_path: Path, count: int) -> None:
    """Few and many descriptors are flushed without complaint; a bad one is an error."""
    descriptors = [os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(count)]
    durable.flush_files(descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        durable.flush_files(descriptors)
