"""A directory over SSH: the contract on real servers, who is let in and who is not, and what breaks on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.command import PROJECT
from tests.contracts.transport import PlainTransportContract, keys
from tests.remote.fsspec_transport.ssh_host import Host, ask, asyncssh_host, free_port, open_sftp, openssh
from tests.remote.fsspec_transport.tcp_proxy import proxy_to
from vstore.errors import (
    InvalidError,
    KeyNotFoundError,
    NoSpaceError,
    RemoteDeniedError,
    RemoteUnavailableError,
)
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.transport import Transport
from vstore.remote.wrappers import RetryingTransport

pytest.importorskip("paramiko", reason="paramiko is not installed: SSH was not tested")

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """OpenSSH's server."""
    with openssh(tmp_path_factory.mktemp("sshd")) as host:
        yield host


@pytest.fixture(scope="module")
def other_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """asyncssh's server, which takes the password "right"."""
    with asyncssh_host(tmp_path_factory.mktemp("asyncssh"), password="right") as host:
        yield host


class SftpContract(PlainTransportContract):
    """The contract, on a directory that the host serves."""

    shows_leftovers = True

    @pytest.fixture
    def host(self) -> Host:
        """The host."""
        raise NotImplementedError

    @pytest.fixture
    def transport(self, host: Host, tmp_path: Path) -> Iterator[Transport]:
        """An empty directory."""
        self._root = tmp_path / "remote"
        self._root.mkdir()
        with open_sftp(host, self._root) as transport:
            yield transport

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put a file into the directory itself."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def test_place_that_is_gone_is_not_empty(self, transport: Transport) -> None:
        """Where the directory itself is missing, nothing is said about what should be in it."""
        assert transport.has_place()
        self._root.rmdir()
        assert not transport.has_place()
        for request in (
            lambda: list(transport.list("packs/")),
            lambda: list(transport.list("")),
            lambda: transport.find_size("a"),
            lambda: transport.read("a"),
            lambda: transport.read_range("a", 0, 1),
            lambda: transport.delete("a"),
        ):
            with pytest.raises(RemoteUnavailableError, match="does not exist") as caught:
                request()
            assert not caught.value.retryable
        transport.write("packs/a", b"x")
        assert transport.has_place()

    def test_no_temporary_file_stays(self, transport: Transport) -> None:
        """After writing and replacing, the directory holds the objects and nothing else."""
        for content in (b"one", b"two"):
            transport.write("packs/a", content)
        assert [path.name for path in self._root.rglob("*")] == ["packs", "a"]

    def test_pack_of_usual_size(self, transport: Transport) -> None:
        """A pack of many blocks arrives whole, and ranges of it come back to the byte."""
        content = os.urandom(20 * MIB + 12_345)
        transport.write("packs/a", content)
        assert transport.read("packs/a") == content
        for start, length in ((0, 9 * MIB), (7 * MIB - 1, 300_001), (len(content) - 5, 5)):
            assert transport.read_range("packs/a", start, length) == content[start : start + length]


class TestOpenSsh(SftpContract):
    """The contract, on OpenSSH."""

    @pytest.fixture
    def host(self, sshd: Host) -> Host:
        """OpenSSH's server."""
        return sshd

    def test_symlinks_are_followed(self, transport: Transport) -> None:
        """What a symlink leads to is listed and read, as in a directory of this machine; what leads nowhere is not."""
        transport.write("packs/a", b"content")
        (self._root / "packs/b").symlink_to("a")
        (self._root / "packs/c").symlink_to("nowhere")
        assert keys(transport, "packs/") == ["packs/a", "packs/b"]
        assert transport.read("packs/b") == b"content"
        assert transport.find_size("packs/c") is None


class TestAsyncssh(SftpContract):
    """The contract, on a server that is not OpenSSH."""

    @pytest.fixture
    def host(self, other_host: Host) -> Host:
        """asyncssh's server."""
        return other_host


class TestPlainServer(SftpContract):
    """The contract, on a server without extensions; not its readers: a file that is replaced is gone for a moment."""

    test_readers_never_see_half_a_write = None  # type: ignore[assignment]

    @pytest.fixture
    def host(self, other_host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
        """asyncssh's server, without its extensions, and refusing to move a file onto another as the protocol says."""
        sftp = pytest.importorskip("asyncssh.sftp")
        monkeypatch.setattr(sftp.SFTPServerHandler, "_extensions", [])

        def rename(self: Any, oldpath: bytes, newpath: bytes) -> None:
            old, new = self.map_path(oldpath), self.map_path(newpath)
            if os.path.exists(new):
                raise sftp.SFTPFailure("it is there")
            os.rename(old, new)

        monkeypatch.setattr(sftp.SFTPServer, "rename", rename)
        return other_host


def test_root_is_made_only_in_a_directory_that_exists(sshd: Host, tmp_path: Path) -> None:
    """A disk that is not mounted is not quietly built anew on the one below it."""
    with (
        open_sftp(sshd, tmp_path / "mnt/disk") as transport,
        pytest.raises(RemoteUnavailableError, match="nor its parent"),
    ):
        transport.write("packs/a", b"x")
    assert not list(tmp_path.iterdir())


def test_home_directory(sshd: Host, tmp_path: Path) -> None:
    """A path that begins with /~/ starts at the home directory of who logs in."""
    name = f"vstore-test-{os.getpid()}"
    home = Path(os.path.expanduser(f"~{sshd.options()['username']}"))
    transport = open_fsspec(f"ssh://127.0.0.1:{sshd.port}/~/{name}", sshd.options(), timeout_s=20)
    try:
        with transport:
            transport.write("a", b"x")
            assert keys(transport, "") == ["a"]
        assert (home / name / "a").read_bytes() == b"x"
    finally:
        (home / name / "a").unlink(missing_ok=True)
        (home / name).rmdir()


@pytest.mark.parametrize(
    "url",
    [
        "sftp://host",
        "sftp:///path",
        "sftp://host/~somebody/x",
        "sftp://host:port/x",
        "sftp://host/x?y",
        "sftp://host:99999/x",
    ],
)
def test_senseless_urls(url: str) -> None:
    """A URL names a host and a directory, and nothing else."""
    with pytest.raises(InvalidError):
        open_fsspec(url, {}, timeout_s=5)


# What the host refuses.


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere: a refusal of the file system was not tested")
def test_no_permission(sshd: Host, tmp_path: Path) -> None:
    """Where the file system refuses, that is a denial with the action."""
    with open_sftp(sshd, tmp_path) as transport:
        transport.write("packs/a", b"x")
        (tmp_path / "packs").chmod(0o500)
        try:
            with pytest.raises(RemoteDeniedError) as caught:
                transport.write("packs/b", b"x")
            assert caught.value.fields["action"] == "write packs/b"
        finally:
            (tmp_path / "packs").chmod(0o700)


def test_read_only_host(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """A host that serves files and takes none: reading works, writing and deleting are denials."""
    with openssh(tmp_path_factory.mktemp("sshd"), "ForceCommand internal-sftp -R") as host:
        (tmp_path / "a").write_bytes(b"x")
        with open_sftp(host, tmp_path) as transport:
            assert transport.read("a") == b"x"
            for change in (lambda: transport.write("b", b"x"), lambda: transport.delete("a")):
                with pytest.raises(RemoteDeniedError):
                    change()


def test_full_disk(sshd: Host, tmp_path: Path) -> None:
    """A disk that is full says so, and what was begun is taken away."""
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(tmp_path)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no file system can be mounted here: a full disk behind SSH was not tested")
    try:
        with open_sftp(sshd, tmp_path) as transport:
            transport.write("packs/a", b"x" * MIB)
            with pytest.raises(NoSpaceError):
                transport.write("packs/b", os.urandom(4 * MIB))
            assert os.listdir(tmp_path / "packs") == ["a"]
            transport.write("packs/b", b"small")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_host_with_few_sessions(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """A host that allows two sessions on a connection serves eight threads all the same."""
    with openssh(tmp_path_factory.mktemp("sshd"), "MaxSessions 2") as host, open_sftp(host, tmp_path) as transport:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: transport.write(f"packs/{number}", b"x" * 100_000), range(40)))
        assert len(keys(transport, "packs/")) == 40


# What breaks on the way.


def test_threads_share_one_connection(sshd: Host, tmp_path: Path) -> None:
    """However many threads ask, somebody logs in once."""
    with proxy_to(sshd.port) as proxy, open_sftp(sshd, tmp_path, port=proxy.port) as transport:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: transport.write(f"packs/{number}", b"x" * 100_000), range(40)))
        assert proxy.connections == 1


def test_dropped_connection_is_replaced(sshd: Host, tmp_path: Path) -> None:
    """A connection that was lost while nobody asked is made anew, and one that is lost in a request is retryable."""
    with proxy_to(sshd.port) as proxy, open_sftp(sshd, tmp_path, port=proxy.port) as transport:
        transport.write("a", b"x")
        proxy.drop()
        time.sleep(0.5)
        assert transport.read("a") == b"x"
        dropping = threading.Thread(target=lambda: (wait_for_writing(tmp_path), proxy.drop()))
        dropping.start()
        with pytest.raises(RemoteUnavailableError) as caught:
            transport.write("b", bytes(256 * MIB))
        assert caught.value.retryable
        dropping.join()
        RetryingTransport(transport).write("b", b"later")
        assert keys(transport, "") == ["a", "b"]


@pytest.mark.parametrize("action", ["read", "write", "list", "connect"])
def test_silent_connection_is_given_up(sshd: Host, tmp_path: Path, action: str) -> None:
    """A connection over which nothing comes any more, in either direction, is given up, and the next one works."""
    (tmp_path / "a").write_bytes(os.urandom(32 * MIB))
    with proxy_to(sshd.port) as proxy, open_sftp(sshd, tmp_path, port=proxy.port, timeout_s=1) as transport:
        if action != "connect":
            assert transport.has_place()
        calls: dict[str, Callable[[], object]] = {
            "write": lambda: transport.write("b", bytes(32 * MIB)),
            "list": lambda: list(transport.list("")),
        }
        proxy.silent.set()
        began_s = time.monotonic()
        with pytest.raises(RemoteUnavailableError) as caught:
            calls.get(action, lambda: transport.read("a"))()
        assert caught.value.retryable
        assert time.monotonic() - began_s < 8
        proxy.silent.clear()
        assert transport.find_size("a") == 32 * MIB
        assert keys(transport, "") == ["a"]


def wait_for_writing(directory: Path) -> None:
    """Wait until somebody is in the middle of writing."""
    for _ in range(4000):
        if any(path.stat().st_size > MIB for path in directory.rglob(".*")):
            return
        time.sleep(0.005)
    raise TimeoutError("nobody writes")


def test_nobody_listening_is_retryable(sshd: Host, tmp_path: Path) -> None:
    """A host that does not answer may answer later."""
    with pytest.raises(RemoteUnavailableError) as caught:
        ask(open_sftp(sshd, tmp_path, port=free_port()))
    assert caught.value.retryable


def test_what_speaks_no_sftp(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """A host that greets where packets should come is an error, not a way to fill the memory."""
    with (
        openssh(tmp_path_factory.mktemp("sshd"), "ForceCommand echo Welcome, and many more words than four") as host,
        pytest.raises(RemoteUnavailableError),
    ):
        ask(open_sftp(host, tmp_path, timeout_s=5))


def test_killed_in_the_middle_of_a_write(sshd: Host, tmp_path: Path) -> None:
    """Whoever is killed while writing leaves nothing under the final name; the same write later completes."""
    code = (
        "import sys, json; from vstore.remote.fsspec_transport import open_fsspec; "
        "t = open_fsspec(sys.argv[1], json.loads(sys.argv[2]), timeout_s=20); "
        "[t.write('packs/a', bytes(64 << 20)) for _ in range(100)]"
    )
    arguments = [sshd.url(tmp_path), json.dumps(sshd.options())]
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], env=environ)
    try:
        wait_for_writing(tmp_path)
    finally:
        process.kill()
        process.wait()
    with open_sftp(sshd, tmp_path) as transport:
        assert keys(transport, "") == []
        with pytest.raises(KeyNotFoundError):
            transport.read("packs/a")
        transport.write("packs/a", b"whole")
        assert transport.read("packs/a") == b"whole"
