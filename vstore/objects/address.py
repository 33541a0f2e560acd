"""Addresses: ``vstore://REPOSITORY@REVISION:/PATH``, which say all that is needed to read a file.

REPOSITORY is a path or the URL of a git repository, and may be left out, as may ``@REVISION``; without both the address
is only a path.  In REPOSITORY and REVISION, ``%``, ``@`` and what a URL could take for a mark are percent-encoded.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from vstore.objects.names import RelPath

PROTOCOL = "vstore"
_ADDRESS = re.compile(r"(?P<where>.*?):(?:/(?!/)|\Z)")
_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://[^/]*|[^/:@]*@[^/:]*:")
_LOGIN = re.compile(r"(https?://)[^/]*@", re.IGNORECASE)  # a password may hold an "@" itself
_KEPT = "/+,;=!$&'()~"


class Address(NamedTuple):
    """Where a file is; ``repository`` and ``rev`` are None where they are not said."""

    repository: str | None
    rev: str | None
    path: RelPath

    def __str__(self) -> str:
        """Return the URL."""
        prefix = self.prefix
        is_plain = not prefix and not is_addressed(self.path)
        return f"{PROTOCOL}://{self.path}" if is_plain else f"{PROTOCOL}://{prefix}:/{self.path}"

    @property
    def prefix(self) -> str:
        """What stands before the colon: repository and revision."""
        rev = "" if self.rev is None else "@" + quote(self.rev, safe=_KEPT)
        repository = self.repository or ""
        known = _AUTHORITY.match(repository)
        end = known.end() if known else 0
        # What names a host is left as it is; behind it only the last "@" is ours.
        return repository[:end] + quote(repository[end:], safe=_KEPT) + rev


def parse_address(text: str) -> Address:
    """Return what an address says, with or without ``vstore://``."""
    text = text.removeprefix(f"{PROTOCOL}://")
    found = _ADDRESS.match(text)
    if found is None:
        return Address(None, None, text)
    where = found["where"]
    known = _AUTHORITY.match(where)
    start = known.end() if known else 0
    place, mark, rev = where[start:].rpartition("@")
    repository = where[:start] + unquote(place if mark else rev)
    return Address(repository or None, unquote(rev) if mark and rev else None, text[found.end() :])


def split_address(text: str) -> tuple[str, RelPath]:
    """Return what stands before the path of an address, up to its colon and as it is written, and the path."""
    found = _ADDRESS.match(text)
    return ("", text) if found is None else (f"{found['where']}:", text[found.end() :])


def join_address(where: str, path: RelPath) -> str:
    """Return an address, without the protocol, from its two parts."""
    return f"{where}/{path}" if where and path else where or path


def is_addressed(text: str) -> bool:
    """Tell whether a text would be read as more than a path."""
    return _ADDRESS.match(text) is not None


def without_login(text: str) -> str:
    """Return an address without name and password of a web server, which nobody else should see."""
    return _LOGIN.sub(r"\1", text)
