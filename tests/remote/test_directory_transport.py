"""A directory as a remote: the contract, and what a file system adds to it."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.transport import WriteIfAbsentContract, keys
from vstore.errors import KeyNotFoundError, NoSpaceError, RemoteDeniedError, RemoteUnavailableError
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.transport import Transport


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the remote is; its parent exists, it does not yet."""
    return tmp_path / "remote"


class TestDirectoryTransport(WriteIfAbsentContract):
    """The contract, on a directory."""

    clock_slack_s = 0.1
    shows_leftovers = True

    @pytest.fixture
    def transport(self, root: Path) -> Transport:
        """An empty directory that exists."""
        root.mkdir()
        return DirectoryTransport(root)

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Write a file as anybody could."""
        path = Path(transport.url) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


READS: dict[str, Callable[[Transport], object]] = {
    "list": lambda transport: list(transport.list("")),
    "list-folder": lambda transport: list(transport.list("packs/")),
    "find_size": lambda transport: transport.find_size("packs/a"),
    "read": lambda transport: transport.read("packs/a"),
    "read_range": lambda transport: transport.read_range("packs/a", 0, 1),
    "delete": lambda transport: transport.delete("packs/a"),
}


@pytest.mark.parametrize("ask", READS.values(), ids=READS.keys())
def test_missing_directory_is_not_an_empty_one(root: Path, ask: Callable[[Transport], object]) -> None:
    """Where the directory is missing, perhaps unmounted, nothing is said about what it holds."""
    transport = DirectoryTransport(root)
    assert not transport.has_place()
    with pytest.raises(RemoteUnavailableError, match="does not exist") as caught:
        ask(transport)
    assert not caught.value.retryable
    assert not root.exists()


def test_first_write_makes_the_directory(root: Path) -> None:
    """A new remote needs no preparation: the first write makes its last component."""
    transport = DirectoryTransport(root)
    transport.write("format.json", b"{}")
    assert transport.has_place()
    assert (root / "format.json").read_bytes() == b"{}"


def test_directory_is_not_made_below_a_missing_one(tmp_path: Path) -> None:
    """A directory deep inside a missing mount point is not quietly built on the disk below it."""
    transport = DirectoryTransport(tmp_path / "disk" / "backup")
    with pytest.raises(RemoteUnavailableError, match="nor its parent exists"):
        transport.write("format.json", b"{}")
    assert not (tmp_path / "disk").exists()


def test_place_that_is_a_file(root: Path) -> None:
    """A file where the directory should be is not a remote, and stays as it is."""
    root.write_bytes(b"mine")
    transport = DirectoryTransport(root)
    assert not transport.has_place()
    with pytest.raises(RemoteUnavailableError):
        transport.read("a")
    with pytest.raises(RemoteUnavailableError):
        transport.write("a", b"x")
    assert root.read_bytes() == b"mine"


def test_every_write_is_flushed_before_it_shows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is flushed, then renamed, then its folder is flushed; new folders are flushed from above."""
    events: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def name_of(descriptor: int) -> str:
        name = os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), root.parent)
        return "temporary" if ".vstore-tmp-" in name else name

    def spy_fsync(descriptor: int) -> None:
        events.append(("flush", name_of(descriptor)))
        fsync(descriptor)

    def spy_replace(source: Path, target: Path) -> None:
        events.append(("rename", os.path.relpath(target, root.parent)))
        replace(source, target)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc: the order of flushes cannot be watched here")
    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    transport = DirectoryTransport(root)
    transport.write("commits/p/s", b"x")
    written = [("flush", "temporary"), ("rename", "remote/commits/p/s"), ("flush", "remote/commits/p")]
    assert events == [("flush", "."), ("flush", "remote"), ("flush", "remote/commits"), *written]
    events.clear()
    transport.write("commits/p/s", b"y")
    assert events == written


def test_folder_of_somebody_else_is_flushed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another process made, perhaps a moment ago, is flushed from above before we rely on it."""
    (root / "packs").mkdir(parents=True)
    flushed = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    transport = DirectoryTransport(root)
    transport.write("packs/a", b"x")
    transport.write("packs/b", b"x")
    assert flushed.count(root.stat().st_ino) == 1


def test_failed_write_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full while flushing is named as such; the old object stays, and no temporary file."""
    transport = DirectoryTransport(root)
    transport.write("packs/a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpaceError) as caught:
        transport.write("packs/a", b"new")
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(NoSpaceError):
        transport.write_if_absent("packs/b", b"new")
    assert os.listdir(root / "packs") == ["a"]
    assert transport.read("packs/a") == b"old"


@pytest.mark.parametrize(("number", "retryable"), [(errno.ESTALE, True), (errno.ETIMEDOUT, True), (errno.EIO, False)])
def test_only_passing_failures_are_worth_a_retry(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, retryable: bool
) -> None:
    """A network disk that hiccups may be asked again; a broken disk is not."""
    transport = DirectoryTransport(root)
    transport.write("a", b"x")

    def fail(*args: object) -> bytes:
        raise OSError(number, "sorry")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(RemoteUnavailableError) as caught:
        transport.read_range("a", 0, 1)
    assert caught.value.retryable is retryable


def test_large_range_is_read_in_pieces(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that reads less at once than was asked for is asked for the rest."""
    transport = DirectoryTransport(root)
    transport.write("a", bytes(range(100)))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, length, start: pread(descriptor, min(length, 7), start))
    assert transport.read_range("a", 5, 90) == bytes(range(5, 95))


def test_files_are_the_users_own(root: Path) -> None:
    """Files are made as the umask says, writable by their owner: a directory is shared as its owner likes."""
    before = os.umask(0o027)
    try:
        DirectoryTransport(root).write("packs/a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "packs" / "a").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "packs").stat().st_mode) == 0o750


def test_nothing_is_written_through_a_symlink(root: Path, tmp_path: Path) -> None:
    """A folder that leads elsewhere is neither written into nor deleted from."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a").write_bytes(b"mine")
    root.mkdir()
    (root / "packs").symlink_to(elsewhere)
    transport = DirectoryTransport(root)
    for act in (
        lambda: transport.write("packs/a", b"x"),
        lambda: transport.write("packs/sub/b", b"x"),
        lambda: transport.write_if_absent("packs/b", b"x"),
        lambda: transport.delete("packs/a"),
    ):
        with pytest.raises(RemoteDeniedError, match="symlink"):
            act()
    assert os.listdir(elsewhere) == ["a"]
    assert (elsewhere / "a").read_bytes() == b"mine"


def test_symlink_in_place_of_an_object_is_replaced(root: Path, tmp_path: Path) -> None:
    """Writing an object where a symlink stands replaces the link, and deleting it removes the link only."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    transport = DirectoryTransport(root)
    transport.write("packs/a", b"x")
    for name in ("b", "c"):
        (root / "packs" / name).symlink_to(outside)
    transport.write("packs/b", b"y")
    transport.delete("packs/c")
    assert outside.read_bytes() == b"mine"
    assert not (root / "packs/b").is_symlink()
    assert keys(transport, "") == ["packs/a", "packs/b"]


def test_reading_follows_the_owners_symlinks(root: Path, tmp_path: Path) -> None:
    """An owner who moved packs to another disk can still read them; a listing names each of them."""
    transport = DirectoryTransport(root)
    transport.write("packs/a", b"content")
    (root / "packs").rename(tmp_path / "larger-disk")
    (root / "packs").symlink_to(tmp_path / "larger-disk")
    assert transport.read("packs/a") == b"content"
    assert transport.find_size("packs/a") == 7
    assert keys(transport, "") == keys(transport, "packs/") == ["packs/a"]


def test_what_is_no_file_is_absent(root: Path, tmp_path: Path) -> None:
    """A FIFO, a dangling link, a ring of links: none of them is an object, and none stops us."""
    transport = DirectoryTransport(root)
    transport.write("packs/a", b"x")
    os.mkfifo(root / "packs/fifo")
    (root / "packs/dangling").symlink_to(tmp_path / "nowhere")
    (root / "packs/ring").symlink_to("ring")
    for name in ("fifo", "dangling", "ring"):
        assert transport.find_size(f"packs/{name}") is None
        with pytest.raises(KeyNotFoundError):
            transport.read(f"packs/{name}")
    assert keys(transport, "") == ["packs/a"]


def test_folders_in_a_ring_end(root: Path) -> None:
    """A symlink to a folder above does not make a listing endless."""
    transport = DirectoryTransport(root)
    transport.write("packs/a", b"x")
    (root / "packs/up").symlink_to("..")
    assert "packs/a" in keys(transport, "")


def test_listing_lives_with_files_that_go(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or folder that is deleted while it is being listed is not an error."""
    transport = DirectoryTransport(root)
    for key in ("packs/a", "packs/b", "doomed/a"):
        transport.write(key, b"x")
    scandir = os.scandir

    class Vanishing:
        def __init__(self, path: Path) -> None:
            self.entries = scandir(path)

        def __enter__(self) -> Vanishing:
            return self

        def __exit__(self, *error: object) -> None:
            self.entries.close()

        def __iter__(self) -> Vanishing:
            return self

        def __next__(self) -> os.DirEntry[str]:
            entry = next(self.entries)
            if entry.name == "doomed":
                os.unlink(root / "doomed/a")
                os.rmdir(root / "doomed")
            if entry.name == "b":
                os.unlink(root / "packs/b")
            return entry

    monkeypatch.setattr(os, "scandir", Vanishing)
    assert keys(transport, "") == ["packs/a"]


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_permission_is_told_apart(root: Path, mode: int) -> None:
    """A directory that we may not write into, or not even look into, is a matter of permission."""
    if os.geteuid() == 0:
        pytest.skip("root may do everything: refused permissions are tested only as another user")
    transport = DirectoryTransport(root)
    transport.write("packs/a", b"x")
    (root / "packs").chmod(mode)
    try:
        with pytest.raises(RemoteDeniedError) as caught:
            transport.write("packs/b", b"x")
        assert caught.value.fields["action"] == "write packs/b"
        if not mode:
            with pytest.raises(RemoteDeniedError):
                transport.read("packs/a")
            with pytest.raises(RemoteDeniedError):
                list(transport.list("packs/"))
    finally:
        (root / "packs").chmod(0o755)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_read_only_disk_is_told_apart(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A read-only file system refuses, and the error says what was refused."""
    transport = DirectoryTransport(root)
    transport.write("packs/a", b"x")

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(RemoteDeniedError) as caught:
        transport.delete("packs/a")
    assert caught.value.fields["action"] == "delete packs/a"


def test_many_makers_of_one_directory(root: Path) -> None:
    """Machines that begin to use a new directory at the same moment all succeed."""
    start = threading.Barrier(6)
    errors: list[BaseException] = []

    def begin(number: int) -> None:
        start.wait()
        try:
            DirectoryTransport(root).write(f"packs/{number}", b"x")
        except BaseException as error:  # noqa: BLE001 (shown by the assertion below)
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(os.listdir(root / "packs")) == 6
