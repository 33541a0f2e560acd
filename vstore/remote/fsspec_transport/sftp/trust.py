"""Which keys a host may show: those that the user's files, or the remote's own option, hold for its name."""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vstore.errors import InvalidError

_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")


class KnownKeys(NamedTuple):
    """The keys of one host: those it may show, and those that must not be taken from anybody."""

    trusted: tuple[Any, ...]
    revoked: frozenset[bytes]

    def is_trusted(self, key: Any) -> bool:
        """Tell whether a host that shows this key is the one that is meant."""
        shown = key.asbytes()
        return shown not in self.revoked and any(shown == known.asbytes() for known in self.trusted)

    def types(self) -> list[str]:
        """Return the types of the trusted keys, as they are negotiated."""
        names: list[str] = []
        for key in self.trusted:
            name = key.get_name()
            names += ["rsa-sha2-512", "rsa-sha2-256"] if name == "ssh-rsa" else [name]
        return names


def find_known_keys(paramiko: Any, name: str, files: Iterable[str] | None) -> KnownKeys:
    """Return what known_hosts files hold for a host: the usual files, or others.

    ``name`` is as in them: with its port in brackets if that is not 22.  Certificates of authorities are passed over.
    """
    trusted: list[Any] = []
    revoked: set[bytes] = set()
    for line in _iter_lines(_KNOWN_HOSTS if files is None else files):
        fields = line.split()
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) < 3 or not _is_named(paramiko, name, fields[0]):
            continue
        key = _find_key(paramiko, fields[1], fields[2])
        if key is not None and not marker:
            trusted.append(key)
        elif key is not None and marker == "@revoked":
            revoked.add(key.asbytes())
    return KnownKeys(tuple(trusted), frozenset(revoked))


def get_key(paramiko: Any, text: str, url: str) -> KnownKeys:
    """Return the one key that an option gives: its type and its base64.  Raises InvalidError."""
    fields = text.split()
    key = _find_key(paramiko, fields[0], fields[1]) if len(fields) >= 2 else None
    if key is None:
        message = f"the option host_key of {url} holds no key: what stands there begins like ssh-ed25519 AAAA"
        raise InvalidError(message, url=url, option="host_key")
    return KnownKeys((key,), frozenset())


def fingerprint(key: Any) -> str:
    """Return a key as OpenSSH shows it to people."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def _iter_lines(files: Iterable[str]) -> Iterator[str]:
    for file in files:
        with contextlib.suppress(OSError, RuntimeError):
            for line in Path(file).expanduser().read_text("utf-8", "replace").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield line


def _is_named(paramiko: Any, name: str, names: str) -> bool:
    if names.startswith("|1|"):
        with contextlib.suppress(ValueError, AssertionError, IndexError):
            return bool(paramiko.HostKeys.hash_host(name, names) == names)
        return False
    # Brackets are part of a name here, not a choice of letters.
    patterns = [pattern.replace("[", "[[]") for pattern in names.lower().split(",")]
    if any(pattern.startswith("!") and fnmatch.fnmatchcase(name, pattern[1:]) for pattern in patterns):
        return False
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _find_key(paramiko: Any, kind: str, text: str) -> Any:
    """Return a key of paramiko, or None for what it does not know or is damaged."""
    with contextlib.suppress(Exception):
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"host {kind} {text}")
        return entry and entry.key
    return None
