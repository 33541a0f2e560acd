"""The contract of a transport: bytes at keys in one place, and the errors it may raise.

Nothing above this contract knows what kind of store is behind it; ``tests/contracts/transport.py`` states
it as tests.  Every transport needs read-after-write and list-after-write consistency, and may be called
from several threads at once.
"""

from __future__ import annotations

import errno
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from vstore.durable import is_temporary
from vstore.errors import (
    Cause,
    CorruptError,
    InvalidError,
    NoSpaceError,
    RemoteDeniedError,
    RemoteUnavailableError,
    VstoreError,
)

Key: TypeAlias = str
"""A name at a remote: lower-case POSIX components, relative to the place of the remote."""

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes to write; a writer of packs hands over its bytearray, so that no copy is made."""

_KEY = re.compile(r"[a-z0-9_][a-z0-9._-]{0,199}(?:/[a-z0-9_][a-z0-9._-]{0,199}){0,7}")

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CAUSES = {
    errno.EACCES: Cause.DENIED,
    errno.EPERM: Cause.DENIED,
    errno.EROFS: Cause.READ_ONLY,
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.EHOSTDOWN: Cause.UNREACHABLE,
    errno.EHOSTUNREACH: Cause.UNREACHABLE,
    errno.ENETDOWN: Cause.UNREACHABLE,
    errno.ENETUNREACH: Cause.UNREACHABLE,
    errno.ECONNABORTED: Cause.BROKEN,
    errno.ECONNRESET: Cause.BROKEN,
    errno.EPIPE: Cause.BROKEN,
    errno.ETIMEDOUT: Cause.STALLED,
}
# Nothing is wrong with the remote: this machine, or a share, is at its limits.
_PASSING = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ESTALE}


class Listed(NamedTuple):
    """One object of a listing.

    ``modified_s`` is the store's own date, in seconds since 1970; infinity where the store tells none,
    so that an object of unknown age is never old.
    """

    key: Key
    size_bytes: int
    modified_s: float


class Transport(ABC):
    """Bytes at keys in one place.

    Beside what each method names, all of them raise RemoteUnavailableError (``retryable`` where trying again
    may help), RemoteDeniedError, NoSpaceError, and InvalidError for a key or range that makes no sense.
    """

    url: str
    """Where the place is, for messages: never with a secret."""

    can_write_if_absent: bool = False
    """Whether ``write_if_absent`` is atomic here; where not, it refuses."""

    lists_beginnings: bool = False
    """Whether ``list_beginning`` costs only what it yields; where not, it lists the folder."""

    def has_place(self) -> bool:
        """Tell whether the place itself is there.

        False means that nothing was ever written: reads raise RemoteUnavailableError, and the first write
        makes the place if it can.  A store where asking costs a request answers True without asking.
        """
        return True

    @abstractmethod
    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield every object below a folder: ``prefix`` is "" or ends with a slash; in no certain order.

        A folder that is absent is empty.  What is not a key of ours is not listed.  An error may come after
        some objects were yielded: a listing that did not end is no listing.
        """

    def list_beginning(self, start: str) -> Iterator[Listed]:
        """Yield every object of a folder whose key begins so; else as ``list``, for ``packs/ab`` of ``packs/``."""
        check_beginning(start)
        folder, slash, _ = start.rpartition("/")
        return (listed for listed in self.list(folder + slash) if listed.key.startswith(start))

    @abstractmethod
    def find_size(self, key: Key) -> int | None:
        """Return the size of an object in bytes, or None where it is absent."""

    @abstractmethod
    def read(self, key: Key) -> bytes:
        """Return a whole object.  Raises KeyNotFoundError."""

    @abstractmethod
    def read_range(self, key: Key, start: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``start``.

        Raises KeyNotFoundError, and CorruptError if the object ends before.
        """

    @abstractmethod
    def write(self, key: Key, data: Buffer) -> None:
        """Write a whole object, or nothing; an object of that key is replaced.

        When it returns, the bytes are as safe as the store can make them.  After an error the old object,
        or the new one whole, may be there.
        """

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        """Write as ``write`` does, but keep an object that is there; tell whether it was written.

        Of several writers at once exactly one is told True.
        """
        raise RemoteUnavailableError(f"{self.url} cannot promise to write only what is absent", url=self.url)

    @abstractmethod
    def delete(self, key: Key) -> None:
        """Delete an object; one that is absent is fine."""

    def sweep(self, before_s: float) -> int:
        """Delete what writers that died left under temporary names before a date of the store's; return the number.

        A store that writes in one request has none.
        """
        return 0

    def names(self) -> Sequence[str]:
        """Return the first names at the top of the place, also of what is not ours; one request; none if unknown."""
        return ()

    def facts(self) -> Mapping[str, str]:
        """Return what is known of where requests go and who we are there, for people, by a word each; no secret."""
        return {}

    def close(self) -> None:  # noqa: B027 (most transports hold nothing)
        """Give back connections; the transport is not used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def is_key(text: str) -> bool:
    """Tell whether a text is a key: safe as a relative path, and never a temporary or hidden name."""
    return _KEY.fullmatch(text) is not None


def is_leftover(text: str) -> bool:
    """Tell whether a text is the name under which an object is written before it is moved to its key."""
    folder, _, name = text.rpartition("/")
    return is_temporary(name) and (not folder or is_key(folder))


def check_key(key: Key) -> None:
    """Raise InvalidError unless this is a key."""
    if not is_key(key):
        raise InvalidError(f"{key!r} is not a key of a remote", key=key)


def check_prefix(prefix: str) -> None:
    """Raise InvalidError unless this is a folder of keys: empty, or a key and a slash."""
    if prefix and not (prefix.endswith("/") and is_key(prefix[:-1])):
        raise InvalidError(f"{prefix!r} is not a folder of a remote", key=prefix)


def check_beginning(start: str) -> None:
    """Raise InvalidError unless this is how keys may begin: a folder and the beginning of a name."""
    folder, slash, name = start.rpartition("/")
    check_prefix(folder + slash)
    if not is_key(name):
        raise InvalidError(f"no key of a remote begins with {start!r}", key=start)


def check_range(key: Key, start: int, length: int) -> None:
    """Raise InvalidError unless this is a key and a range of bytes."""
    check_key(key)
    if start < 0 or length < 0:
        raise InvalidError(f"{length} bytes from {start} are no range of {key}", key=key, start=start, length=length)


def check_covers(key: Key, size_bytes: int, start: int, length: int) -> None:
    """Raise CorruptError unless an object of this size holds the range."""
    if start + length > size_bytes:
        raise CorruptError(
            f"{key} ends at {size_bytes} bytes, before byte {start + length} that should be in it",
            key=key,
            size_bytes=size_bytes,
        )


def public_url(url: str) -> str:
    """Return a URL without what may be secret in it: a password, a query, a fragment."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    user, at, host = place.rpartition("@")
    return scheme + mark + user.partition(":")[0] + at + host + slash + path


def cause_of_os_error(number: int | None) -> Cause | None:
    """Return why a remote failed by the number of an operating system error."""
    return _CAUSES.get(number or 0)


def from_os_error(error: OSError, url: str, action: str) -> VstoreError:
    """Turn an operating system error into ours; ``action`` completes "could not ... at URL"."""
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    message = f"could not {action} at {url}: {reason}"
    if error.errno in _NO_SPACE:
        return NoSpaceError(message, path=url)
    cause = cause_of_os_error(error.errno)
    if cause in (Cause.DENIED, Cause.READ_ONLY):
        return RemoteDeniedError(message, cause=cause, url=url, action=action)
    retryable = error.errno in _PASSING or (cause is not None and cause.is_passing)
    return RemoteUnavailableError(message, cause=cause, retryable=retryable, url=url)
