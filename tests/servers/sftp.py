"""SFTP: OpenSSH as it is, or where it is not installed asyncssh in this process."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import importlib
import importlib.metadata
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.background import background_loop
from tests.servers.place import Place, new_name
from tests.servers.running import HOST, ServerMissingError, Starting, free_ports, get_programs

_LOST = "sftp://"
_CONFIG = """\
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin yes
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True, slots=True)
class SftpServer:
    """An SSH server that lets one user in by key, and a folder on it for tests."""

    label: str
    port: int
    username: str
    folder: str
    key_file: str
    stranger_key_file: str
    """A key that the server does not know."""
    known_hosts_file: str

    def new_place(self, *, port: int | None = None) -> Place:
        """Make an empty folder; ``port`` is that of a proxy by which the test is to reach it."""
        folder = Path(self.folder, new_name())
        folder.mkdir()
        url = f"sftp://{self.username}@{HOST}:{port or self.port}{folder}"
        return Place(url, {"key_filename": self.key_file}, lambda name, data: plant_file(folder, name, data))


def plant_file(folder: Path, name: str, data: bytes) -> None:
    """Write a file below a folder, and the folders on the way to it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def start_openssh(starting: Starting) -> SftpServer:
    """Start OpenSSH's sshd, for the user who runs the tests."""
    how = "apt-get install openssh-server"
    sshd, keygen = get_programs("OpenSSH", "sshd", "ssh-keygen", lost=_LOST, how=how)
    folder = starting.folder
    for name in ("host_key", "key", "stranger_key"):
        starting.run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", name)
    (folder / "authorized_keys").write_bytes((folder / "key.pub").read_bytes())
    if os.geteuid() == 0:
        # Started by root it insists on this folder, which else the system makes at boot.
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    [port] = free_ports(1)
    (folder / "sshd_config").write_text(_CONFIG.format(port=port, host=HOST, folder=folder))
    # The version is told only in a complaint about an unknown option.
    told = subprocess.run([sshd, "-V"], capture_output=True, check=False).stderr.decode()
    version = next((word for word in told.replace(",", " ").split() if word.startswith("OpenSSH_")), "OpenSSH")
    daemon = starting.start("sshd", sshd, "-D", "-e", "-f", folder / "sshd_config")
    daemon.wait_for_port(port)
    return _describe(f"{version.replace('_', ' ', 1)} (real)", port, folder)


@contextlib.contextmanager
def running_asyncssh(folder: Path) -> Iterator[SftpServer]:
    """Yield asyncssh in a thread of this process.  Raises ServerMissingError where it is not installed."""
    try:
        asyncssh = importlib.import_module("asyncssh")
    except ImportError as error:
        raise ServerMissingError("asyncssh", lost=_LOST, how="pip install 'vstore[test]'") from error
    for name in ("host_key", "key", "stranger_key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
        (folder / name).chmod(0o600)
    with background_loop() as loop:

        async def listen() -> asyncio.Server:
            server: asyncio.Server = await asyncssh.listen(
                HOST,
                0,
                server_host_keys=[str(folder / "host_key")],
                authorized_client_keys=str(folder / "key.pub"),
                sftp_factory=True,
            )
            return server

        server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
        label = f"asyncssh {importlib.metadata.version('asyncssh')} (in place of OpenSSH)"
        yield _describe(label, server.get_port(), folder)  # type: ignore[attr-defined]
        loop.call_soon_threadsafe(server.close)


def _describe(label: str, port: int, folder: Path) -> SftpServer:
    kind, key = (folder / "host_key.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[{HOST}]:{port} {kind} {key}\n")
    (folder / "files").mkdir()
    return SftpServer(
        label=label,
        port=port,
        username=getpass.getuser(),
        folder=str(folder / "files"),
        key_file=str(folder / "key"),
        stranger_key_file=str(folder / "stranger_key"),
        known_hosts_file=str(folder / "known_hosts"),
    )
