"""What went wrong in a driver, in terms of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vstore.errors import (
    Cause,
    KeyNotFoundError,
    NoSpaceError,
    RemoteDeniedError,
    RemoteUnavailableError,
    UnavailableError,
    VstoreError,
)
from vstore.remote.fsspec_transport.causes import Answer, find_answer, find_cause, iter_chain
from vstore.remote.transport import from_os_error

_FULL = {"QuotaExceeded", "XMinioStorageFull"}
_DENIALS = {
    Cause.CLOCK,
    Cause.CREDENTIALS_EXPIRED,
    Cause.CREDENTIALS_MISSING,
    Cause.CREDENTIALS_UNKNOWN,
    Cause.CREDENTIALS_WRONG,
    Cause.DENIED,
    Cause.READ_ONLY,
}


def from_foreign(error: Exception, url: str, action: str, key: str) -> VstoreError:
    """Turn the exception of a driver into ours; ``action`` completes "could not ... at URL".

    The words of the exception stay out: some drivers put signed URLs into them.
    """
    answer = find_answer(error)
    cause = find_cause(error, answer)
    if cause is Cause.NO_PLACE:
        return no_place(url)
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) or answer.status == 404:
        return KeyNotFoundError(f"{url} has no {key}", key=key)
    told = answer.code or str(answer.status or "")
    reason = told or type(error).__name__
    if cause is not None:
        details = ", ".join(filter(None, [told, *_iter_details(error, cause, answer)]))
        reason = cause.meaning + (f" ({details})" if details else "")
    if answer.status == 507 or answer.code in _FULL:
        return NoSpaceError(f"could not {action} at {url}: no more may be stored there ({told})", path=url)
    message = f"could not {action} at {url}: {reason}"
    fields = {"url": url, **dict(_iter_facts(error, cause, answer))}
    if cause in _DENIALS or answer.status in (401, 403):
        return RemoteDeniedError(message, cause=cause, action=action, **fields)
    if cause is None and not answer and isinstance(error, OSError) and error.errno:
        return from_os_error(error, url, action)
    return RemoteUnavailableError(message, cause=cause, retry_after_s=_retry_after_s(answer), **fields)


def is_passing(error: Exception) -> bool:
    """Tell whether the same request may work later."""
    ours = error if isinstance(error, VstoreError) else from_foreign(error, "", "", "")
    return isinstance(ours, UnavailableError) and ours.retryable


def no_place(url: str) -> RemoteUnavailableError:
    """Say that the bucket or directory itself is not there."""
    return RemoteUnavailableError(f"the bucket or directory of {url} does not exist", cause=Cause.NO_PLACE, url=url)


def _iter_details(error: BaseException, cause: Cause, answer: Answer) -> Iterator[str]:
    """Yield what makes a cause plainer, in words that hold no secret."""
    if not answer:
        yield type(error).__name__ if cause in _DENIALS else _find_address(error)
    if cause is Cause.CLOCK and (skew_s := round(answer.skew_s())):
        yield f"by {abs(skew_s):,} seconds"
    if cause is Cause.REGION and (region := _find_region(error, answer)):
        yield f"it is {region}"


def _iter_facts(error: BaseException, cause: Cause | None, answer: Answer) -> Iterator[tuple[str, Any]]:
    """Yield the same as fields."""
    if answer.status:
        yield "status", answer.status
    if answer.code:
        yield "answer", answer.code
    if not answer and (where := _find_address(error)):
        yield "address", where
    if cause is Cause.CLOCK and (skew_s := round(answer.skew_s())):
        yield "ahead_s", skew_s
    if cause is Cause.REGION and (region := _find_region(error, answer)):
        yield "region", region


def _find_address(error: BaseException) -> str:
    """Return host and port that a connection was tried to, where an exception tells them."""
    for each in iter_chain(error):
        host, port = getattr(each, "host", None), getattr(each, "port", None)
        if isinstance(host, str) and host:
            return f"{host}:{port}" if isinstance(port, int) else host
    return ""


def _find_region(error: BaseException, answer: Answer) -> str:
    """Return the region in which S3 says that a bucket is."""
    if region := answer.find_header("x-amz-bucket-region"):
        return region
    for each in iter_chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict) and (region := response.get("Error", {}).get("Region")):
            return str(region)
    return ""


def _retry_after_s(answer: Answer) -> float | None:
    """Return how long the server asks to be left alone, where it says so in seconds."""
    value = answer.find_header("retry-after")
    return float(value) if value.isascii() and value.isdecimal() else None
