"""A host that is reached over SSH: OpenSSH's own server where it is installed, else asyncssh in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.servers.background import background_loop
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.sftp.transport import SftpTransport
from vstore.remote.transport import Transport

_SSHD = "/usr/sbin/sshd"


class Host(NamedTuple):
    """Where a host listens, and the directory of its keys, and of those who may log in."""

    port: int
    keys: Path

    def url(self, path: Path, port: int | None = None) -> str:
        """Return the URL of a directory of this machine, on the host."""
        return f"sftp://127.0.0.1:{port or self.port}{path}"

    def options(self, **changed: str) -> dict[str, str]:
        """Return options that let in, with some of them changed."""
        return {
            "username": pwd.getpwuid(os.getuid()).pw_name,
            "key_filename": str(self.keys / "client"),
            "host_key": (self.keys / "host.pub").read_text(),
            **changed,
        }


def make_keys(place: Path) -> None:
    """Make the keys of a host, of somebody who may log in, and of a stranger."""
    asyncssh = pytest.importorskip("asyncssh", reason="asyncssh is not installed: SSH was not tested")
    for name in ("host", "client", "stranger"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(place / name)
        key.write_public_key(place / f"{name}.pub")
        (place / name).chmod(0o600)


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def is_openssh_here() -> bool:
    """Tell whether OpenSSH's server is installed."""
    return os.access(_SSHD, os.X_OK)


@contextlib.contextmanager
def openssh(place: Path, *more: str) -> Iterator[Host]:
    """Run OpenSSH's server, with some more lines of configuration."""
    if not is_openssh_here():
        pytest.skip("OpenSSH's server is not installed: it was not tested")
    if os.getuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # it asks for it when it runs as root
    make_keys(place)
    host = Host(free_port(), place)
    config = [
        f"Port {host.port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {place / 'host'}",
        f"AuthorizedKeysFile {place / 'client.pub'}",
        "PidFile none",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "Subsystem sftp internal-sftp",
        *more,
    ]
    (place / "sshd_config").write_text("\n".join(config) + "\n")
    with (place / "sshd.log").open("wb") as log:
        process = subprocess.Popen([_SSHD, "-D", "-e", "-f", str(place / "sshd_config")], stderr=log)
    try:
        _wait_for(host.port)
        yield host
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def asyncssh_host(place: Path, *, password: str | None = None) -> Iterator[Host]:
    """Run asyncssh's server on a thread; it also lets in who knows the password."""
    asyncssh = pytest.importorskip("asyncssh", reason="asyncssh is not installed: SSH was not tested")
    make_keys(place)
    host = Host(free_port(), place)

    class Server(asyncssh.SSHServer):  # type: ignore[misc, name-defined]
        def password_auth_supported(self) -> bool:
            return password is not None

        def validate_password(self, username: str, given: str) -> bool:
            return given == password

    class Files(asyncssh.SFTPServer):  # type: ignore[misc, name-defined]
        def __init__(self, channel: Any) -> None:
            super().__init__(channel)
            connections.append(channel.get_connection())

    connections: list[Any] = []

    async def stop(server: Any) -> None:
        server.close()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()

    async def serve() -> Any:
        return await asyncssh.create_server(
            Server,
            "127.0.0.1",
            host.port,
            server_host_keys=[str(place / "host")],
            authorized_client_keys=str(place / "client.pub"),
            sftp_factory=Files,
            sftp_version=3,
        )

    with background_loop() as loop:
        server = asyncio.run_coroutine_threadsafe(serve(), loop).result()
        yield host
        asyncio.run_coroutine_threadsafe(stop(server), loop).result()


def open_sftp(
    host: Host, path: Path, *, port: int | None = None, timeout_s: float = 20, **options: str
) -> SftpTransport:
    """Open a directory of this machine on a host."""
    transport = open_fsspec(host.url(path, port), host.options(**options), timeout_s=timeout_s)
    assert isinstance(transport, SftpTransport)
    return transport


def ask(transport: Transport) -> bool:
    """Ask the host something, and let it go."""
    with transport:
        return transport.has_place()


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")
