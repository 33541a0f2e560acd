"""Every foreign error becomes one of ours that says what may be done about it."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from vstore.errors import KeyNotFoundError, NoSpaceError, RemoteDeniedError, RemoteUnavailableError
from vstore.remote.fsspec_transport.transport import FsspecTransport


class Broken(LocalFileSystem):
    """A filesystem of which every request raises ``error``."""

    cachable = False

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error

    ls = info = cat_file = pipe_file = rm_file = _fail


def transport_raising(error: Exception) -> FsspecTransport:
    """Return a transport over a filesystem that always raises this."""
    return FsspecTransport(Broken(error), "/root", url="s3://bucket")


def foreign(name: str, parent: type[Exception] = Exception, **attributes: object) -> Exception:
    """Make an exception of a library that is not installed."""
    error = type(name, (parent,), {})("https://secret-token@host/?sig=secret")
    for attribute, value in attributes.items():
        setattr(error, attribute, value)
    return error


def boto(code: str, status: int) -> Exception:
    """Make botocore's ClientError."""
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return foreign("ClientError", response=response)


def caused(error: Exception, cause: Exception) -> Exception:
    """Say that one exception was raised from another."""
    error.__cause__ = cause
    return error


DENIED = {
    "permission": PermissionError(errno.EACCES, "x"),
    "s3": boto("AccessDenied", 403),
    "s3fs": caused(PermissionError("Forbidden"), boto("403", 403)),
    "no-credentials": foreign("NoCredentialsError"),
    "azure": foreign("HttpResponseError", status_code=403, error_code="AuthenticationFailed"),
    "gcs": foreign("HttpError", code=401),
    "gcs-text": foreign("HttpError", code="403"),
    "requests": foreign("HTTPError", response=SimpleNamespace(status_code=403)),
    "paramiko": foreign("AuthenticationException", foreign("SSHException").__class__),
}
PASSING = {
    "slow-down": boto("SlowDown", 503),
    "internal": caused(OSError(errno.EREMOTEIO, "x"), boto("InternalError", 500))
    if hasattr(errno, "EREMOTEIO")
    else boto("InternalError", 500),
    "too-many": foreign("HttpError", code=429),
    "timeout": TimeoutError(),
    "fsspec-timeout": foreign("FSTimeoutError"),
    "reset": ConnectionResetError(errno.ECONNRESET, "x"),
    "dns": foreign("ClientConnectorDNSError", foreign("ClientConnectionError", OSError).__class__),
    "botocore": foreign("EndpointConnectionError", foreign("ConnectionError").__class__),
    "azure": foreign("ServiceRequestError"),
    "aiohttp": foreign("ClientResponseError", status=502),
}
LASTING = {
    "region": boto("PermanentRedirect", 301),
    "bad-request": foreign("HttpError", code=400),
    "own-mistake": TypeError("x"),
    "errno": OSError(errno.EIO, "x"),
    "invalid": caused(OSError(errno.EINVAL, "x"), boto("InvalidRequest", 400)),
}


@pytest.mark.parametrize("error", DENIED.values(), ids=DENIED.keys())
def test_refusals_are_denials(error: Exception) -> None:
    """Whatever a driver calls it, a lack of permission is RemoteDeniedError with the action."""
    with pytest.raises(RemoteDeniedError) as caught:
        transport_raising(error).write("packs/a", b"x")
    assert caught.value.fields["action"] == "write packs/a"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING.keys())
def test_passing_failures_are_retryable(error: Exception) -> None:
    """Busy servers and broken connections are worth another attempt."""
    with pytest.raises(RemoteUnavailableError) as caught:
        transport_raising(error).read("packs/a")
    assert caught.value.retryable


@pytest.mark.parametrize("error", LASTING.values(), ids=LASTING.keys())
def test_lasting_failures_are_not_retryable(error: Exception) -> None:
    """What will be refused again is not tried again."""
    with pytest.raises(RemoteUnavailableError) as caught:
        transport_raising(error).write("packs/a", b"x")
    assert not caught.value.retryable


@pytest.mark.parametrize("error", [*DENIED.values(), *PASSING.values(), *LASTING.values()])
def test_no_answer_is_ever_an_absence(error: Exception) -> None:
    """A failure is never taken for "there is nothing", and the driver's words, which may hold secrets, stay out."""
    transport = transport_raising(error)
    for ask in (
        lambda: list(transport.list("packs/")),
        lambda: transport.find_size("a"),
        lambda: transport.read("a"),
        lambda: transport.read_range("a", 0, 1),
        lambda: transport.write("a", b""),
        lambda: transport.delete("a"),
    ):
        with pytest.raises((RemoteDeniedError, RemoteUnavailableError)) as caught:
            ask()
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [FileNotFoundError("x"), boto("404", 404), foreign("ResourceNotFoundError", status_code=404)]
)
def test_absence_in_any_words(error: Exception) -> None:
    """Whatever a driver calls it, an absent object is absent."""
    transport = transport_raising(error)
    assert transport.find_size("a") is None
    assert list(transport.list("packs/")) == []
    transport.delete("a")
    with pytest.raises(KeyNotFoundError):
        transport.read("a")
    with pytest.raises(RemoteUnavailableError, match="does not exist"):
        transport.write("a", b"x")


@pytest.mark.parametrize(
    "error",
    [
        caused(FileNotFoundError("x"), boto("NoSuchBucket", 404)),
        foreign("ResourceNotFoundError", status_code=404, error_code="ContainerNotFound"),
    ],
)
def test_absent_bucket_is_not_an_absent_object(error: Exception) -> None:
    """A missing bucket says nothing about what should be in it."""
    transport = transport_raising(error)
    for ask in (lambda: list(transport.list("packs/")), lambda: transport.read("a"), lambda: transport.find_size("a")):
        with pytest.raises(RemoteUnavailableError, match="does not exist"):
            ask()


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "x"), foreign("HTTPError", status=507), boto("QuotaExceeded", 403)]
)
def test_full_store_is_told_apart(error: Exception) -> None:
    """A quota that is used up is neither a denial nor worth a retry."""
    with pytest.raises(NoSpaceError):
        transport_raising(error).write("a", b"x")
