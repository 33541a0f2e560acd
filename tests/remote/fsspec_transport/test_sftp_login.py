"""Who is let in over SSH and who is not, as whom and over which way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.fsspec_transport.ssh_host import Host, ask, asyncssh_host, open_sftp, openssh
from vstore.errors import InvalidError, RemoteDeniedError, RemoteHostKeyError
from vstore.remote.fsspec_transport import open_fsspec

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


def test_unknown_host_is_refused(sshd: Host, tmp_path: Path) -> None:
    """A host whose key is not known is not spoken to; the error holds what a person has to compare."""
    options = {name: value for name, value in sshd.options().items() if name != "host_key"}
    transport = open_fsspec(sshd.url(tmp_path), options, timeout_s=20)
    with pytest.raises(RemoteHostKeyError, match="is not known: SHA256:") as caught:
        ask(transport)
    assert caught.value.fields["name"] == f"[127.0.0.1]:{sshd.port}" and not caught.value.fields["changed"]
    assert not caught.value.retryable


def test_changed_key_is_refused(sshd: Host, tmp_path: Path) -> None:
    """A host that shows another key than the one that is known for it may be somebody else."""
    stranger = (sshd.keys / "stranger.pub").read_text()
    with pytest.raises(RemoteHostKeyError, match="is another than the one that is known") as caught:
        ask(open_sftp(sshd, tmp_path, host_key=stranger))
    assert caught.value.fields["changed"]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {stranger}")
    options = {**sshd.options(known_hosts=str(tmp_path / "known_hosts"))}
    del options["host_key"]
    with pytest.raises(RemoteHostKeyError, match="is another"):
        ask(open_fsspec(sshd.url(tmp_path), options, timeout_s=20))


@pytest.mark.parametrize("names", ["[127.0.0.1]:{port}", "other,[127.0.0.*]:{port}", "hashed"])
def test_known_hosts(sshd: Host, tmp_path: Path, names: str) -> None:
    """The user's own known_hosts is honoured, whatever else stands in it."""
    paramiko = pytest.importorskip("paramiko")
    name = f"[127.0.0.1]:{sshd.port}"
    names = paramiko.HostKeys.hash_host(name) if names == "hashed" else names.format(port=sshd.port)
    key = (sshd.keys / "host.pub").read_text()
    home = Path(os.environ["HOME"]) / ".ssh"
    home.mkdir(mode=0o700)
    lines = ["# ours", "damaged line", f"{name} ssh-ed25519 !!!", "@cert-authority * ssh-ed25519 AAAA"]
    lines.append(f"{names} {key}")
    (home / "known_hosts").write_text("\n".join(lines))
    options = sshd.options()
    del options["host_key"]
    assert ask(open_fsspec(sshd.url(tmp_path), options, timeout_s=20))
    (home / "known_hosts").write_text("\n".join([*lines, f"@revoked * {key}"]))
    with pytest.raises(RemoteHostKeyError):
        ask(open_fsspec(sshd.url(tmp_path), options, timeout_s=20))


def test_configuration_of_ssh(sshd: Host, tmp_path: Path) -> None:
    """What ~/.ssh/config and the files that it includes say about a host is honoured."""
    home = Path(os.environ["HOME"]) / ".ssh"
    home.mkdir(mode=0o700)
    (home / "config").write_text("Include more/*\n")
    (home / "more").mkdir()
    (home / "more/data").write_text(
        f"Host data\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.options()['username']}\n"
        f"  IdentityFile {sshd.keys / 'client'}\n  HostKeyAlias our-data\n"
    )
    (home / "known_hosts").write_text(f"our-data {(sshd.keys / 'host.pub').read_text()}")
    assert ask(open_fsspec(f"sftp://data{tmp_path}", {}, timeout_s=20))


@pytest.mark.parametrize("way", ["ProxyJump door", "ProxyCommand {python} -c '{carry}' {port}"])
def test_over_another_host(sshd: Host, tmp_path: Path, way: str) -> None:
    """A host that is reached only over another one, or through a program, is reached so."""
    carry = (
        'import socket, sys, threading, os; s = socket.create_connection(("127.0.0.1", int(sys.argv[1]))); '
        'threading.Thread(target=lambda: [s.sendall(d) for d in iter(lambda: os.read(0, 65536), b"")], daemon=True)'
        '.start(); [os.write(1, d) for d in iter(lambda: s.recv(65536), b"")]'
    )
    way = way.format(python=sys.executable, carry=carry, port=sshd.port)
    home = Path(os.environ["HOME"]) / ".ssh"
    home.mkdir(mode=0o700)
    account = f"  User {sshd.options()['username']}\n  IdentityFile {sshd.keys / 'client'}\n  HostKeyAlias ours\n"
    (home / "config").write_text(
        f"Host door\n  HostName 127.0.0.1\n  Port {sshd.port}\n{account}"
        f"Host data\n  HostName localhost\n  Port {sshd.port}\n  {way}\n{account}"
    )
    (home / "known_hosts").write_text(f"ours {(sshd.keys / 'host.pub').read_text()}")
    with open_fsspec(f"sftp://data{tmp_path}", {}, timeout_s=20) as transport:
        transport.write("a", b"x" * MIB)
        assert transport.read("a") == b"x" * MIB


def test_password(other_host: Host, tmp_path: Path) -> None:
    """The right password lets in, from an option or the URL; a wrong one is a denial that is not tried again."""
    options = other_host.options(password="right")
    del options["key_filename"]
    assert ask(open_fsspec(other_host.url(tmp_path), options, timeout_s=20))
    user = options.pop("username")
    del options["password"]
    url = other_host.url(tmp_path).replace("://", f"://{user}:right@")
    assert ask(open_fsspec(url, options, timeout_s=20))
    with pytest.raises(RemoteDeniedError, match=f"{user} is not let in") as caught:
        ask(open_fsspec(url.replace("right", "hush"), options, timeout_s=20))
    assert caught.value.fields["login"] == f"{user}@127.0.0.1"
    assert "hush" not in str(caught.value) + str(caught.value.fields)


def test_key_of_a_stranger(sshd: Host, tmp_path: Path) -> None:
    """A key that the host does not take is a denial; a key file that is not there is a mistake."""
    with pytest.raises(RemoteDeniedError, match="is not let in"):
        ask(open_sftp(sshd, tmp_path, key_filename=str(sshd.keys / "stranger")))
    with pytest.raises(InvalidError, match="no private key"):
        ask(open_sftp(sshd, tmp_path, key_filename=str(sshd.keys / "absent")))


def test_locked_key(sshd: Host, tmp_path: Path) -> None:
    """A private key with a passphrase is unlocked by the password, and without it the error says what is missing."""
    asyncssh = pytest.importorskip("asyncssh")
    key = asyncssh.read_private_key(sshd.keys / "client")
    key.write_private_key(tmp_path / "locked", passphrase="open", rounds=50)
    assert ask(open_sftp(sshd, tmp_path, key_filename=str(tmp_path / "locked"), password="open"))
    with pytest.raises(RemoteDeniedError, match="locked by a passphrase") as caught:
        ask(open_sftp(sshd, tmp_path, key_filename=str(tmp_path / "locked")))
    assert caught.value.fields["locked"]
