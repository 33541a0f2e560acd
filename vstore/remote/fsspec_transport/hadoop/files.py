"""What HDFS is asked, whatever carries the request, and what its refusals mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from vstore.errors import Cause, NoSpaceError, RemoteDeniedError, RemoteUnavailableError, VstoreError

_DENIED = {
    "AccessControlException": Cause.DENIED,
    "AuthenticationException": Cause.CREDENTIALS_WRONG,
    "AuthorizationException": Cause.DENIED,
    "InvalidToken": Cause.CREDENTIALS_EXPIRED,
    "SecurityException": Cause.DENIED,
}
_PASSING = {
    "ConnectException": Cause.SERVER_FAILED,
    "EOFException": Cause.BROKEN,
    "NoRouteToHostException": Cause.SERVER_FAILED,
    "NotReplicatedYetException": Cause.BUSY,
    "ObserverRetryOnActiveException": Cause.BUSY,
    "RetriableException": Cause.BUSY,
    "RetryStartFileException": Cause.BUSY,
    "SafeModeException": Cause.BUSY,
    "ServerTooBusyException": Cause.BUSY,
    "SocketTimeoutException": Cause.STALLED,
    "StandbyException": Cause.BUSY,
}
_NO_SPACE = re.compile(r"(?:NS|DS|StorageType)?Quota\w*ExceededException|DiskOutOfSpaceException")


class _RefusedError(Exception):
    """HDFS answered with an exception: ``name`` is that of its Java class, without the package."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Status(NamedTuple):
    """What HDFS tells of a file or folder; ``name`` is its own, without the folder's."""

    name: str
    is_folder: bool
    size_bytes: int
    modified_s: float


class Files(Protocol):
    """The files of HDFS; paths are absolute.

    All methods raise _RefusedError where HDFS answers no, FileNotFoundError where something is absent, and what their
    driver raises where a connection fails.  They may be called from several threads at once.
    """

    def get_status(self, path: str) -> Status:
        """Return what is at a path."""

    def list(self, path: str) -> Sequence[Status]:
        """Return what is in a folder; of a file, itself without a name."""

    def read(self, path: str, start: int, length: int | None) -> bytes:
        """Return the bytes of a range, or from ``start`` to the end; fewer if the file ends before."""

    def create(self, path: str, data: memoryview) -> None:
        """Write a file that is not there, and make the folders on the way."""

    def replace(self, old: str, new: str) -> None:
        """Move a file into the place of another, which may be there."""

    def delete(self, path: str) -> None:
        """Delete a file; one that is absent is fine."""

    def close(self) -> None:
        """Give back connections."""


def from_refusal(refused: _RefusedError, url: str, action: str) -> VstoreError:
    """Turn a refusal into an error of ours; ``action`` completes "could not ... at URL"."""
    cause = _DENIED.get(refused.name) or _PASSING.get(refused.name)
    reason = f"{cause.meaning} ({refused.name})" if cause else refused.name
    message = f"could not {action} at {url}: {reason}"
    if refused.name in _DENIED:
        return RemoteDeniedError(message, cause=cause, url=url, action=action)
    if _NO_SPACE.fullmatch(refused.name):
        return NoSpaceError(message, path=url)
    return RemoteUnavailableError(message, cause=cause, url=url)
