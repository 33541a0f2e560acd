"""Logging in over SSH as the user's own configuration says, and never at a host whose key is not known."""

from __future__ import annotations

import glob
import io
import logging
import os
import pwd
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vstore.errors import (
    Cause,
    InvalidError,
    RemoteDeniedError,
    RemoteHostKeyError,
    RemoteUnavailableError,
    VstoreError,
)
from vstore.remote.fsspec_transport.sftp.trust import KnownKeys, find_known_keys, fingerprint, get_key

WINDOW_BYTES = 8 * 1024 * 1024
"""How much a server may send before it was taken: more than is ever asked for at once."""

_PORT = 22
_KEEP_ALIVE_S = 30
_MOST_JUMPS = 8
_PATIENCE_S = 5
_UNSAFE = re.compile(r"""[\s'`"$\\;&<>|(){}]|^-""")
_MOST_INCLUDES = 8
_CONFIGURATIONS = ("~/.ssh/config", "/etc/ssh/ssh_config")
# Twice as fast as what paramiko prefers: others need a checksum of their own.
_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")


class Account(NamedTuple):
    """Whom to log in as, and where; None is what the configuration of SSH says, or what is usual.

    ``url`` is for messages, ``options`` are those of the remote.
    """

    url: str
    host: str
    port: int | None = None
    user: str | None = None
    options: Mapping[str, str] = {}


def log_in(paramiko: Any, account: Account, *, timeout_s: float) -> Any:
    """Return a connected client of paramiko.

    Raises RemoteHostKeyError, RemoteDeniedError, InvalidError, and what paramiko and the system raise where a
    connection fails.
    """
    # What goes wrong is raised; paramiko would also tell it on stderr.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    return _Login(paramiko, account, timeout_s).connect()


class _Login:
    """One host to log in at, perhaps over others."""

    def __init__(
        self, paramiko: Any, account: Account, timeout_s: float, *, over: Sequence[str] | None = None, depth: int = 0
    ) -> None:
        self._paramiko = paramiko
        self._account = account
        self._timeout_s = timeout_s
        self._depth = depth
        if unsafe := next((name for name in (account.host, account.user) if name and _UNSAFE.search(name)), None):
            # A URL may come from a stranger's repository, and names get into commands of the user's configuration.
            raise InvalidError(f"{unsafe!r} is no name of a host or user", url=account.url)
        config = _look_up(paramiko, account.host)
        self._config = config
        self._host = str(config.get("hostname", account.host))
        self._port = account.port or _number(config.get("port", _PORT))
        self._user = account.user or config.get("user") or _user_name()
        jumps = config.get("proxyjump") or "none"
        self._over = over if over is not None else [] if jumps == "none" else jumps.split(",")

    def connect(self) -> Any:
        known = self._known_keys()
        wire = self._open_wire()
        client = self._paramiko.SSHClient()
        gate = _Gate(self, known)
        client.set_missing_host_key_policy(gate)
        try:
            client.connect(
                self._host,
                sock=wire,
                username=self._user,
                password=self._account.options.get("password"),
                timeout=self._timeout_s,
                banner_timeout=self._timeout_s,
                auth_timeout=self._timeout_s,
                channel_timeout=self._timeout_s,
                transport_factory=lambda sock, **rest: self._make_transport(sock, known, **rest),
                **self._keys(),
            )
        except BaseException as error:
            answers = gate.passed and client.get_transport().is_active()
            client.close()
            wire.close()
            if gate.passed and isinstance(error, self._paramiko.SSHException):
                raise self._refusal(error, answers=answers) from error
            raise
        client.get_transport().set_keepalive(_KEEP_ALIVE_S)
        return client

    def wrong_key(self, key: Any, *, changed: bool) -> VstoreError:
        """Say that a host showed a key that is not trusted."""
        url, shown = self._account.url, fingerprint(key)
        what = "is another than the one that is known" if changed else "is not known"
        return RemoteHostKeyError(
            f"the key that {self._account.host} shows {what}: {shown}",
            cause=Cause.HOST_KEY,
            url=url,
            host=self._account.host,
            port=self._account.port,
            name=self._key_name(),
            fingerprint=shown,
            changed=changed,
        )

    def _key_name(self) -> str:
        # A name of its own stands without a port.
        alias = self._config.get("hostkeyalias")
        return str(alias or (self._host if self._port == _PORT else f"[{self._host}]:{self._port}")).lower()

    def _known_keys(self) -> KnownKeys:
        options = self._account.options
        if "host_key" in options:
            return get_key(self._paramiko, options["host_key"], self._account.url)
        files = options.get("known_hosts") or self._config.get("userknownhostsfile")
        return find_known_keys(self._paramiko, self._key_name(), files and shlex.split(files))

    def _keys(self) -> dict[str, Any]:
        """Return which private keys are tried."""
        named = self._account.options.get("key_filename")
        if named is not None:
            path = Path(named).expanduser()
            if not path.is_file():
                raise InvalidError(f"there is no private key {named}", url=self._account.url, option="key_filename")
            files = [str(path)]
        else:
            configured = (os.path.expanduser(file) for file in self._config.get("identityfile", ()))
            files = [file for file in configured if os.path.isfile(file)]
        only = self._config.get("identitiesonly") == "yes"
        return {"key_filename": files, "look_for_keys": not files, "allow_agent": not only}

    def _make_transport(self, sock: Any, known: KnownKeys, **rest: Any) -> Any:
        transport = self._paramiko.Transport(sock, default_window_size=WINDOW_BYTES, **rest)
        options = transport.get_security_options()
        options.ciphers = _prefer(options.ciphers, _FAST_CIPHERS)
        # A host has several keys: it is to show one that we know.
        options.key_types = _prefer(options.key_types, known.types())
        return transport

    def _open_wire(self) -> _Wire:
        if self._over:
            return self._jump()
        command = self._config.get("proxycommand")
        if command and command != "none":
            ours, theirs = socket.socketpair()
            with theirs:
                carrier = theirs.fileno()
                process = subprocess.Popen(
                    ["/bin/sh", "-c", f"exec {command}"], stdin=carrier, stdout=carrier, stderr=subprocess.DEVNULL
                )
            return _Wire(ours, self._timeout_s, beneath=_Process(process))
        try:
            sock = socket.create_connection((self._host, self._port), timeout=self._timeout_s)
        except socket.gaierror as error:
            message = f"the address of {self._host} could not be found"
            raise RemoteUnavailableError(message, cause=Cause.DNS, url=self._account.url) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Wire(sock, self._timeout_s)

    def _jump(self) -> _Wire:
        *before, last = self._over
        user, _, place = last.removeprefix("ssh://").rpartition("@")
        host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
        host = (host if colon else place).strip("[]")
        if self._depth == _MOST_JUMPS:
            raise InvalidError(f"the configuration of SSH leads to {self._host} in circles", url=self._account.url)
        through = Account(self._account.url, host, _number(port) if colon else None, user or None)
        # Where a configuration names jump hosts for all hosts, they are reached without.
        over = before or ([] if _look_up(self._paramiko, host).get("proxyjump") == last else None)
        client = _Login(self._paramiko, through, self._timeout_s, over=over, depth=self._depth + 1).connect()
        try:
            channel = client.get_transport().open_channel(
                "direct-tcpip", (self._host, self._port), ("127.0.0.1", 0), timeout=self._timeout_s
            )
        except BaseException:
            client.close()
            raise
        return _Wire(channel, self._timeout_s, beneath=client)

    def _refusal(self, error: BaseException, *, answers: bool) -> Exception:
        """Say why we were not let in by a host that is the one that is meant; ``answers``: it still listens to us."""
        if "timeout" in str(error):
            return TimeoutError("the host is silent while we log in")
        # paramiko gives the error of the last key that it tried, whatever was wrong with that.
        if not answers and "authentication failures" not in str(error):
            return ConnectionResetError("the connection was lost while we logged in")
        locked = isinstance(error, self._paramiko.PasswordRequiredException)
        what = "a private key is locked by a passphrase" if locked else f"{self._user} is not let in"
        return RemoteDeniedError(
            f"could not log in at {self._account.url}: {what}",
            cause=Cause.CREDENTIALS_MISSING if locked else Cause.CREDENTIALS_WRONG,
            url=self._account.url,
            action="log in",
            login=f"{self._user}@{self._account.host}",
            port=self._account.port,
            locked=locked,
        )


class _Gate:
    """Lets pass only the host that shows a key that is known; paramiko asks it about each."""

    def __init__(self, login: _Login, known: KnownKeys) -> None:
        self.passed = False
        self._login = login
        self._known = known

    def missing_host_key(self, client: Any, name: str, key: Any) -> None:
        if not self._known.is_trusted(key):
            raise self._login.wrong_key(key, changed=bool(self._known.trusted))
        self.passed = True


class _Process:
    """A program that carries the bytes, in place of a connection."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Wire:
    """A socket, as paramiko uses one, that gives up where nothing can be sent for ``timeout_s``.

    paramiko itself would try for ever, in whatever thread happens to send.
    """

    def __init__(self, sock: Any, timeout_s: float, *, beneath: Any = None) -> None:
        self._sock = sock
        self._timeout_s = timeout_s
        self._beneath = beneath
        self._stuck_since_s: float | None = None
        self._closed = False

    def settimeout(self, timeout_s: float) -> None:
        self._sock.settimeout(timeout_s)

    def recv(self, size_bytes: int) -> bytes:
        return bytes(self._sock.recv(size_bytes))

    def send(self, data: bytes) -> int:
        try:
            sent = int(self._sock.send(data))
        except TimeoutError:
            now_s = time.monotonic()
            self._stuck_since_s = self._stuck_since_s or now_s
            if now_s - self._stuck_since_s > self._timeout_s:
                self.close()
                raise ConnectionAbortedError("nothing can be sent any more") from None
            raise
        self._stuck_since_s = None
        return sent

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._sock.close()
            if self._beneath is not None:
                self._beneath.close()


def _look_up(paramiko: Any, host: str) -> dict[str, Any]:
    """Return what the user's configuration of SSH, then the system's, says about a host."""
    config = paramiko.SSHConfig()
    try:
        for file in _CONFIGURATIONS:
            config.parse(io.StringIO("\n".join(_iter_config(Path(file).expanduser()))))
        return dict(config.lookup(host))
    except Exception as error:
        raise InvalidError(f"the configuration of SSH for {host} cannot be understood") from error


def _iter_config(path: Path, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a file and of those that it includes, which paramiko passes over."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.replace("=", " ", 1).split(maxsplit=1)
        if len(words) < 2 or words[0].lower() != "include":
            yield line
        elif depth < _MOST_INCLUDES:
            for pattern in shlex.split(words[1]):
                for name in sorted(glob.glob(os.path.join(path.parent, os.path.expanduser(pattern)))):
                    yield from _iter_config(Path(name), depth + 1)


def _prefer(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    first = [name for name in wanted if name in names]
    return (*first, *(name for name in names if name not in first))


def _number(text: object) -> int:
    number = int(str(text)) if str(text).isdecimal() else 0
    if not 0 < number < 65_536:
        raise InvalidError(f"{text} is no port")
    return number


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
