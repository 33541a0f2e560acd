"""What went wrong in a driver, in terms of ours.

The exceptions of drivers are told apart by type name, status and code, so that none has to be imported for its names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vstore.errors import (
    KeyNotFoundError,
    NoSpaceError,
    RemoteDeniedError,
    RemoteUnavailableError,
    UnavailableError,
    VstoreError,
)
from vstore.remote.transport import from_os_error

_NO_PLACE = {"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"}
_DENIED_STATUS = {401, 403}
_DENIED_TYPES = {
    "AuthenticationException",
    "ClientAuthenticationError",
    "DefaultCredentialsError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "PermissionError",
    "RefreshError",
}
# The server received other bytes than were sent.
_DAMAGED = {"BadDigest", "InvalidDigest", "Md5Mismatch", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}
_PASSING_TYPES = {
    "ChunkedEncodingError",
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionError",
    "FSTimeoutError",
    "HTTPClientError",
    "IncompleteRead",
    "IncompleteReadError",
    "NameResolutionError",
    "ProtocolError",
    "ProxyError",
    "SSHException",
    "ServiceRequestError",
    "ServiceResponseError",
    "Timeout",
    "TimeoutError",
}


def from_foreign(error: Exception, url: str, action: str, key: str) -> VstoreError:
    """Turn the exception of a driver into ours; ``action`` completes "could not ... at URL".

    The words of the exception stay out: some drivers put signed URLs into them.
    """
    status, code = _answer(error)
    types = {kind.__name__ for kind in type(error).__mro__}
    if code in _NO_PLACE:
        return no_place(url)
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) or status == 404:
        return KeyNotFoundError(f"{url} has no {key}", key=key)
    message = f"could not {action} at {url}: {code or status or type(error).__name__}"
    if status == 507 or code == "QuotaExceeded":
        return NoSpaceError(message, path=url)
    if status in _DENIED_STATUS or types & _DENIED_TYPES:
        return RemoteDeniedError(message, url=url, action=action)
    retryable = status in _PASSING_STATUS or code in _DAMAGED or bool(types & _PASSING_TYPES)
    # The number of an error of TLS is none of the system's.
    if status is None and not retryable and isinstance(error, OSError) and error.errno and "SSLError" not in types:
        return from_os_error(error, url, action)
    return RemoteUnavailableError(message, url=url, retryable=retryable, retry_after_s=_retry_after_s(error))


def is_passing(error: Exception) -> bool:
    """Tell whether the same request may work later."""
    ours = error if isinstance(error, VstoreError) else from_foreign(error, "", "", "")
    return isinstance(ours, UnavailableError) and ours.retryable


def no_place(url: str) -> RemoteUnavailableError:
    """Say that the bucket or directory itself is not there."""
    return RemoteUnavailableError(f"the bucket or directory of {url} does not exist", url=url)


def iter_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _answer(error: BaseException) -> tuple[int | None, str]:
    """Find the HTTP status and the server's error code in an exception or its causes."""
    for each in iter_chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, Mapping):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return _failure(status), str(response.get("Error", {}).get("Code", ""))
        # azure, aiohttp, requests and gcsfs, in this order
        for holder, name in ((each, "status_code"), (each, "status"), (response, "status_code"), (each, "code")):
            if (status := _failure(getattr(holder, name, None))) is not None:
                return status, str(getattr(each, "error_code", None) or "")
    return None, ""


def _failure(value: object) -> int | None:
    number = int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0
    return number if 400 <= number < 600 else None


def _retry_after_s(error: BaseException) -> float | None:
    """Find how long the server asks to be left alone, where it says so in seconds."""
    for each in iter_chain(error):
        response = getattr(each, "response", None)
        headers: Any = getattr(response, "headers", None) or getattr(each, "headers", None)
        if isinstance(response, Mapping):  # botocore, with the names in lower case
            headers = response.get("ResponseMetadata", {}).get("HTTPHeaders")
        if headers is not None:
            value = str(headers.get("retry-after") or headers.get("Retry-After") or "")
            return float(value) if value.isascii() and value.isdecimal() else None
    return None
