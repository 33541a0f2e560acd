"""S3: the contract, and what its servers do."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator

import pytest

from tests.contracts.transport import keys
from tests.remote.fsspec_transport.contract import FsspecContract
from vstore.errors import RemoteUnavailableError
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.s3 import S3Transport
from vstore.remote.fsspec_transport.transport import FsspecTransport
from vstore.remote.transport import Transport


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
    transport = open_fsspec("s3://bucket", options, timeout_s=60)
    assert isinstance(transport, FsspecTransport)
    transport._filesystem.mkdir("bucket")
    return transport


class TestS3(FsspecContract):
    """The contract, on S3."""

    @pytest.fixture
    def transport(self, bucket: FsspecTransport) -> Transport:
        """A fresh folder of the bucket."""
        return S3Transport(bucket._filesystem, f"bucket/{uuid.uuid4().hex}/folder", url=bucket.url, timeout_s=60)

    def test_listing_has_every_page(self, transport: Transport) -> None:
        """More objects than S3 puts into one page are all listed, once each."""
        assert isinstance(transport, FsspecTransport)
        names = [f"packs/{number:04}" for number in range(1_050)]
        transport._filesystem.pipe({f"{transport._root}/{name}": b"x" for name in names})
        assert keys(transport, "packs/") == names


def test_missing_bucket_is_named(s3_server: str) -> None:
    """A bucket that does not exist is not an empty one, and is never made by writing."""
    options = {"endpoint_url": s3_server, "key": "k", "secret": "s", "region": "eu-west-1"}
    transport = open_fsspec("s3://no-such-bucket-here/x", options, timeout_s=60)
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
        transport = open_fsspec("s3://bucket", options, timeout_s=60)
        transport._filesystem.retries = 1  # type: ignore[attr-defined]
        with pytest.raises(RemoteUnavailableError) as caught:
            transport.read_range("a", 0, 1)
    assert caught.value.retryable
