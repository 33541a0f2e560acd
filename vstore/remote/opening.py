"""Opening what a URL names: a directory here, or a store that fsspec speaks to."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vstore.errors import InvalidError
from vstore.remote.directory_origin import DirectoryOrigin
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.fsspec_transport import check_protocol, is_known_protocol, open_fsspec, open_fsspec_origin
from vstore.remote.layout import check_project
from vstore.remote.ledger import Site
from vstore.remote.mirror import Mirror
from vstore.remote.origin import Origin
from vstore.remote.remote import Remote
from vstore.remote.transport import Transport
from vstore.remote.wrappers import RetryingTransport

DEFAULT_JOBS = 8
IN_FLIGHT_BYTES = 128 * 1024 * 1024
"""How much data may be in memory for requests under way."""


TIMEOUT_S = 30.0
"""How long a request may be silent before its connection counts as stalled."""


def open_transport(url: str, options: Mapping[str, str], *, root: Path, timeout_s: float = TIMEOUT_S) -> Transport:
    """Open the place that a URL names; a path, or a ``file://`` URL, is a directory.

    A relative path starts at ``root``, and ``~`` is a home directory.  Nothing is read or made yet.
    ``options`` are those of the driver.  After ``timeout_s`` without a sign of life a request to a store is given up.
    Raises InvalidError, RemoteExtraMissingError, and what a transport raises if its driver connects at once.
    """
    if _is_store(url):
        return open_fsspec(url, options, timeout_s=timeout_s)
    if options:
        option = min(options)
        raise InvalidError(f"the directory {url} knows no option {option}", url=url, option=option)
    return DirectoryTransport(_directory(url, root))


def open_origin(url: str, options: Mapping[str, str], *, root: Path, timeout_s: float = TIMEOUT_S) -> Origin:
    """Open a URL, or a path, to read what is there; see ``open_transport``."""
    if _is_store(url):
        return open_fsspec_origin(url, options, timeout_s=timeout_s)
    return DirectoryOrigin(_directory(url, root))


def check_url(url: str, options: Mapping[str, str], *, root: Path) -> Path | None:
    """Return the directory that a URL names, or None for a store; opens nothing.

    Raises InvalidError for a protocol that no driver is known for, and for options that the place does not know.
    """
    if _is_store(url):
        check_protocol(url, options)
        return None
    return Path(open_transport(url, options, root=root).url)


def is_known_place(url: str) -> bool:
    """Tell whether a URL names a directory, or a kind of store that we test."""
    return not _is_store(url) or is_known_protocol(url)


def _is_store(url: str) -> bool:
    return "://" in url and not url.startswith("file://")


def _directory(url: str, root: Path) -> Path:
    path = url
    if url.startswith("file://"):
        parts = urlsplit(url)
        path = unquote(parts.path)
        if parts.netloc not in ("", "localhost") or not path:
            raise InvalidError(f"{url} names no directory of this machine", url=url)
    if not path or "\0" in path:
        raise InvalidError(f"{url!r} names no directory", url=url)
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        raise InvalidError(f"{url} names a home directory that is not known", url=url) from error
    return Path(os.path.abspath(root / expanded))


@dataclass(frozen=True, slots=True)
class RemoteTerms:
    """What a worker must know to open a remote as the client does: plain data, and nothing of it secret."""

    name: str
    url: str
    options: Mapping[str, str]
    project: str
    jobs: int
    in_flight_bytes: int
    timeout_s: float


def open_remote_on_terms(terms: RemoteTerms, mirror: Path, *, tell: Callable[[str], None]) -> Remote:
    """Open a remote on a worker, whose own environment has the credentials; ``tell`` hears of what is tried again."""
    transport = open_transport(terms.url, terms.options, root=Path("/"), timeout_s=terms.timeout_s)
    return open_remote(
        RetryingTransport(transport, tell=tell),
        terms.name,
        project=terms.project,
        mirror=mirror,
        jobs=terms.jobs,
        in_flight_bytes=terms.in_flight_bytes,
    )


def open_remote(
    transport: Transport,
    name: str,
    *,
    project: str,
    mirror: Path,
    jobs: int = DEFAULT_JOBS,
    in_flight_bytes: int = IN_FLIGHT_BYTES,
) -> Remote:
    """Return a remote over an open transport, which it closes.

    ``mirror`` is a directory for hints about this place alone.  ``jobs`` is how many requests may be under way, with at
    most about ``in_flight_bytes`` in memory.  Raises InvalidError for a project id that cannot stand in keys.
    """
    author = f"{_user_name()}@{socket.gethostname()}"
    site = Site(transport, Mirror(mirror), check_project(project), author, max(1, jobs), in_flight_bytes)
    return Remote(site, name=name)


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
