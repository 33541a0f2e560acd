"""Stores behind fsspec: the contract on what runs anywhere and on an S3 server, and every foreign error translated."""

from __future__ import annotations

import datetime
import errno
import math
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from tests.contracts.transport import PlainTransportContract, keys
from vstore.errors import (
    CorruptError,
    InvalidError,
    KeyNotFoundError,
    NoSpaceError,
    RemoteDeniedError,
    RemoteExtraMissingError,
    RemoteUnavailableError,
    VstoreError,
)
from vstore.remote.fsspec_transport import FsspecTransport, open_fsspec
from vstore.remote.transport import Transport


class FsspecContract(PlainTransportContract):
    """The contract, with fsspec as the back door."""

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put an object in with the driver itself."""
        assert isinstance(transport, FsspecTransport)
        transport._filesystem.pipe_file(f"{transport._root}/{name}", data)


class TestMemory(FsspecContract):
    """The contract, on fsspec's own memory; not its threads: it lists its dictionaries while others change them."""

    test_many_threads_at_once = None  # type: ignore[assignment]

    @pytest.fixture
    def transport(self) -> Transport:
        """A fresh folder: the memory is one for the whole process."""
        return open_fsspec(f"memory://{uuid.uuid4().hex}", {})


class TestStagedLocal(FsspecContract):
    """The contract, on a store with folders, where files are moved into place."""

    @pytest.fixture
    def transport(self, tmp_path: Path) -> Transport:
        """An empty directory."""
        root = tmp_path / "remote"
        root.mkdir()
        return FsspecTransport(LocalFileSystem(auto_mkdir=True), str(root), url="local", staged=True)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of an S3 server in this process."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: S3 was not tested")
    server_module = pytest.importorskip("moto.server", reason="moto[server] is not installed: S3 was not tested")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bucket(s3_server: str) -> FsspecTransport:
    """An empty bucket, opened once: to make a client of S3 takes longer than most tests."""
    options = {"endpoint_url": s3_server, "key": "k", "secret": "s", "region": "eu-west-1"}
    transport = open_fsspec("s3://bucket", options)
    assert isinstance(transport, FsspecTransport)
    transport._filesystem.mkdir("bucket")
    return transport


class TestS3(FsspecContract):
    """The contract, on S3."""

    @pytest.fixture
    def transport(self, bucket: FsspecTransport) -> Transport:
        """A fresh folder of the bucket."""
        return FsspecTransport(bucket._filesystem, f"bucket/{uuid.uuid4().hex}/folder", url=bucket.url)

    def test_listing_has_every_page(self, transport: Transport) -> None:
        """More objects than S3 puts into one page are all listed, once each."""
        assert isinstance(transport, FsspecTransport)
        names = [f"packs/{number:04}" for number in range(1_050)]
        transport._filesystem.pipe({f"{transport._root}/{name}": b"x" for name in names})
        assert keys(transport, "packs/") == names


def test_missing_bucket_is_named(s3_server: str) -> None:
    """A bucket that does not exist is not an empty one, and is never made by writing."""
    options = {"endpoint_url": s3_server, "key": "k", "secret": "s", "region": "eu-west-1"}
    transport = open_fsspec("s3://no-such-bucket-here/x", options)
    for ask in (
        lambda: list(transport.list("packs/")),
        lambda: list(transport.list("")),
        lambda: transport.read_range("packs/a", 0, 1),
        lambda: transport.write("packs/a", b"x"),
    ):
        with pytest.raises(RemoteUnavailableError, match="does not exist") as caught:
            ask()
        assert not caught.value.retryable


def test_nobody_listening_is_retryable() -> None:
    """A server that does not answer may answer later."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: S3 was not tested")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        options = {"endpoint_url": address, "key": "k", "secret": "s", "region": "eu-west-1"}
        transport = open_fsspec("s3://bucket", options)
        transport._filesystem.retries = 1  # type: ignore[attr-defined]
        with pytest.raises(RemoteUnavailableError) as caught:
            transport.read_range("a", 0, 1)
    assert caught.value.retryable


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
    "internal": caused(OSError(errno.EREMOTEIO, "x"), boto("InternalError", 500)) if hasattr(errno, "EREMOTEIO")
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


class Odd(LocalFileSystem):
    """A filesystem that answers ranges and listings as odd drivers do."""

    cachable = False

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Ignore the range, as sshfs does."""
        return Path(path).read_bytes()


def test_ignored_range_is_noticed(tmp_path: Path) -> None:
    """A driver that sends the whole object for a range is not believed."""
    transport = FsspecTransport(Odd(auto_mkdir=True), str(tmp_path), url="odd", staged=True)
    transport.write("a", b"0123456789")
    with pytest.raises(RemoteUnavailableError, match="instead of 2"):
        transport.read_range("a", 3, 2)
    with pytest.raises(CorruptError):
        transport.read_range("a", 9, 2)


def test_failed_staging_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where moving into place fails, the old object stays and the temporary file goes."""
    transport = FsspecTransport(LocalFileSystem(), str(tmp_path), url="local", staged=True)
    transport.write("packs/a", b"old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(LocalFileSystem, "mv", fail)
    with pytest.raises(RemoteUnavailableError):
        transport.write("packs/a", b"new")
    assert os.listdir(tmp_path / "packs") == ["a"]
    assert transport.read("packs/a") == b"old"


@pytest.mark.parametrize(
    ("told", "modified_s"),
    [
        ({"LastModified": datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC)}, 86_400.0),
        ({"last_modified": datetime.datetime(1970, 1, 2)}, 86_400.0),  # noqa: DTZ001 (what some drivers give)
        ({"mtime": 5, "created": 9}, 5.0),
        ({"updated": "1970-01-01T00:01:00.500Z"}, 60.5),
        ({"updated": "yesterday"}, math.inf),
        ({"LastModified": None}, math.inf),
        ({}, math.inf),
    ],
)
def test_dates_of_any_kind(told: dict[str, Any], modified_s: float) -> None:
    """Each driver tells dates in its own way; where none is told, the object is never old."""

    class Dated(LocalFileSystem):
        cachable = False

        def ls(self, path: str, detail: bool = False, **kwargs: Any) -> list[dict[str, Any]]:
            return [{"name": f"{path}/a", "size": 3, "type": "file", **told}]

    (entry,) = FsspecTransport(Dated(), "/root", url="x").list("packs/")
    assert entry == ("packs/a", 3, modified_s)


class TestOpening:
    """From URL and options to a driver."""

    def test_two_openings_see_the_same_place(self) -> None:
        """A place is where its URL says; no driver keeps a private copy or an old listing of it."""
        url = f"memory://{uuid.uuid4().hex}/deep"
        one, two = open_fsspec(url, {}), open_fsspec(url + "/", {})
        assert keys(one, "") == []
        two.write("packs/a", b"x")
        assert keys(one, "") == ["packs/a"]

    @pytest.mark.parametrize(
        ("url", "extra"),
        [("s3://b/p", "s3"), ("gs://b/p", "gs"), ("az://b/p", "azure"), ("abfs://b/p", "azure"), ("sftp://h/p", "ssh")],
    )
    def test_missing_driver_names_the_extra(self, url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the package for a protocol is not installed, the error says which extra of ours brings it."""
        for module in ("s3fs", "gcsfs", "adlfs", "paramiko"):
            monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, "fsspec.implementations.sftp", raising=False)
        # What fsspec has imported before, it does not import again.
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, url.partition("://")[0], raising=False)
        with pytest.raises(RemoteExtraMissingError) as caught:
            open_fsspec(url, {})
        assert caught.value.fields["extra"] == extra

    def test_unknown_protocol(self) -> None:
        """A protocol that nobody speaks is a mistake in the URL."""
        with pytest.raises(InvalidError, match="no driver"):
            open_fsspec("gopher://host/x", {})

    @pytest.mark.parametrize("url", ["simplecache::s3://b/x", "s3://", "s3:///", "filecache::memory://x"])
    def test_senseless_urls(self, url: str) -> None:
        """A chain would answer from a cache, and a bucket needs a name."""
        pytest.importorskip("s3fs", reason="s3fs is not installed: S3 was not tested")
        with pytest.raises(InvalidError):
            open_fsspec(url, {})

    def test_unknown_option(self) -> None:
        """A misspelt option is refused, rather than swallowed by the driver."""
        with pytest.raises(InvalidError, match="endpoint-url"):
            open_fsspec("s3://bucket", {"endpoint-url": "x"})

    def test_secrets_stay_out_of_messages(self) -> None:
        """A password or a token in the URL is in no error."""
        for url in ("gopher://me:hush@host/x?sig=hush", "simplecache::s3://k:hush@b"):
            with pytest.raises(VstoreError) as caught:
                open_fsspec(url, {})
            assert "hush" not in str(caught.value) + str(caught.value.fields)

    def test_s3_options_reach_the_driver(self) -> None:
        """Region, endpoint and credentials are put where s3fs wants them, and listings are not remembered."""
        pytest.importorskip("s3fs", reason="s3fs is not installed: S3 was not tested")
        options = {"endpoint_url": "http://e", "key": "k", "secret": "s", "token": "t", "region": "r", "anon": "true"}
        transport = open_fsspec("s3://bucket/x", options)
        assert isinstance(transport, FsspecTransport)
        driver = transport._filesystem
        assert (driver.endpoint_url, driver.key, driver.secret, driver.token) == ("http://e", "k", "s", "t")
        assert driver.anon is True and driver.client_kwargs == {"region_name": "r"}
        assert driver.dircache.use_listings_cache is False
