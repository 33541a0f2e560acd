"""S3: the contract on real servers and an emulator, plain and through TLS, and what goes wrong on the way."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contracts.transport import keys
from tests.remote.fsspec_transport.contract import FsspecContract
from tests.remote.world import noise
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.s3 import S3Server
from tests.servers.tcp_proxy import TcpProxy
from vstore.errors import CorruptError, RemoteUnavailableError
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.s3 import S3Transport
from vstore.remote.transport import Transport
from vstore.remote.wrappers import RetryingTransport

pytest.importorskip("s3fs", reason="s3fs is not installed: S3 was not tested (pip install 'vstore[s3]')")

_MIB = 1024 * 1024
_PACK = noise(3 * _MIB, 1)


def open_bucket(server: S3Server, port: int | None = None, *, timeout_s: float = 30, **options: str) -> S3Transport:
    """Open a new bucket, by way of the proxy on a port if one is named."""
    place = server.new_place(port=port)
    transport = open_fsspec(place.url, {**place.options, **options}, timeout_s=timeout_s)
    assert isinstance(transport, S3Transport)
    return transport


@pytest.fixture(scope="module", params=["moto", "ceph", "ceph_tls"])
def bucket(request: pytest.FixtureRequest) -> S3Transport:
    """A bucket that is opened once: to make a client of S3 takes longer than most tests."""
    server: S3Server = request.getfixturevalue(request.param)
    return open_bucket(server)


class TestS3(FsspecContract):
    """The contract, on S3."""

    @pytest.fixture
    def transport(self, bucket: S3Transport, request: pytest.FixtureRequest) -> Transport:
        """A fresh folder of the bucket."""
        request.getfixturevalue(request.node.callspec.params["bucket"])  # so that it is known what each test ran on
        folder = f"{bucket._bucket}/{uuid.uuid4().hex}/folder"
        return S3Transport(bucket._filesystem, folder, url=bucket.url, timeout_s=30)

    def test_listing_has_every_page(self, transport: Transport) -> None:
        """More objects than S3 puts into one page are all listed, once each."""
        assert isinstance(transport, S3Transport)
        names = [f"packs/{number:04}" for number in range(1_050)]
        transport._filesystem.pipe({f"{transport._root}/{name}": b"x" for name in names})
        assert keys(transport, "packs/") == names


class TestOneRequest:
    """Every call is one request, whatever s3fs would have asked besides."""

    @pytest.fixture
    def proxy(self, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
        """A proxy that counts."""
        return http_proxy(moto.port)

    def test_each_call(self, moto: S3Server, proxy: HttpProxy) -> None:
        """Reading, writing, asking for a size, deleting, and listing a thousand objects in many folders."""
        transport = open_bucket(moto, proxy.port)
        transport.write("packs/a", _PACK)
        assert proxy.count() == proxy.count("PUT") == 1
        for number in range(20):
            transport.write(f"commits/p{number}/x", b"x")
        calls: list[tuple[str, Callable[[], object]]] = [
            ("GET", lambda: transport.read("packs/a")),
            ("GET", lambda: transport.read_range("packs/a", 5, _MIB)),
            ("GET", lambda: list(transport.list("commits/"))),
            ("HEAD", lambda: transport.find_size("packs/a")),
            ("DELETE", lambda: transport.delete("packs/a")),
        ]
        for method, call in calls:
            proxy.requests.clear()
            call()
            assert [request.method for request in proxy.requests] == [method]

    def test_nobody_is_asked_whether_to_go_on(self, moto: S3Server, proxy: HttpProxy) -> None:
        """An upload is sent at once: waiting for a go-ahead costs a round trip, or a minute where none comes."""
        proxy.rules = [Rule("delay", method="PUT", delay_s=0)]
        transport = open_bucket(moto, proxy.port)
        transport.write("packs/a", _PACK)
        assert proxy.sent_bytes == len(_PACK)


class TestBadLines:
    """What comes through a bad line is right, or is an error that says whether to try again."""

    def test_damaged_upload_is_refused(self, ceph: S3Server, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A bit that changes on the way up is noticed by the server, and sending again helps."""
        proxy = http_proxy(ceph.port)
        transport = open_bucket(ceph, proxy.port)
        proxy.rules = [Rule("corrupt-upload", method="PUT", times=1)]
        with pytest.raises(RemoteUnavailableError) as caught:
            transport.write("packs/a", _PACK)
        assert caught.value.retryable
        assert transport.find_size("packs/a") is None
        transport.write("packs/a", _PACK)
        assert transport.read("packs/a") == _PACK

    def test_broken_download_goes_on(self, moto: S3Server, tcp_proxy: Callable[[int], TcpProxy]) -> None:
        """A connection that is cut again and again, long before the end, brings all of it in the end."""
        proxy = tcp_proxy(moto.port)
        # A reset may throw away what had arrived, so that now and then one does not get ahead.
        transport = RetryingTransport(open_bucket(moto, proxy.port), pause_s=0.01)
        transport.write("packs/a", _PACK)
        proxy.down.cut_after_bytes = 700_000
        assert transport.read_range("packs/a", 1, len(_PACK) - 1) == _PACK[1:]
        assert transport.read("packs/a") == _PACK
        assert proxy.connections > 6

    def test_line_that_brings_nothing_is_given_up(self, moto: S3Server, tcp_proxy: Callable[[int], TcpProxy]) -> None:
        """Where each connection is cut before it brought anything worth keeping, the read fails, retryable."""
        proxy = tcp_proxy(moto.port)
        transport = open_bucket(moto, proxy.port)
        transport.write("packs/a", _PACK)
        proxy.down.cut_after_bytes = 10_000
        with pytest.raises(RemoteUnavailableError) as caught:
            transport.read_range("packs/a", 0, len(_PACK))
        assert caught.value.retryable

    @pytest.mark.parametrize("call", ["read", "write", "list"])
    def test_stalled_line_is_given_up(self, call: str, moto: S3Server, tcp_proxy: Callable[[int], TcpProxy]) -> None:
        """A connection on which nothing moves is given up after the time that was set, in either direction."""
        proxy = tcp_proxy(moto.port)
        transport = open_bucket(moto, proxy.port, timeout_s=3)
        transport.write("packs/a", b"x")
        proxy.up.stall = proxy.down.stall = True
        ask: dict[str, Callable[[], object]] = {
            "read": lambda: transport.read("packs/a"),
            "write": lambda: transport.write("packs/b", bytes(16 * _MIB)),
            "list": lambda: list(transport.list("packs/")),
        }
        began_s = time.monotonic()
        with pytest.raises(RemoteUnavailableError) as caught:
            ask[call]()
        assert caught.value.retryable
        assert time.monotonic() - began_s < 25

    def test_slow_line_is_not_given_up(self, moto: S3Server, tcp_proxy: Callable[[int], TcpProxy]) -> None:
        """An upload and a download that take longer than the time for silence, but move, come through."""
        proxy = tcp_proxy(moto.port)
        proxy.bytes_per_s = 1.2 * _MIB
        transport = open_bucket(moto, proxy.port, timeout_s=1)
        transport.write("packs/a", _PACK)
        assert transport.read("packs/a") == _PACK

    def test_wish_for_a_pause_is_told(self, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A server that is busy says for how long, and the error passes that on."""
        proxy = http_proxy(moto.port)
        proxy.rules = [Rule("answer", status=503, headers={"Retry-After": "7"})]
        with pytest.raises(RemoteUnavailableError) as caught:
            open_bucket(moto, proxy.port).read("packs/a")
        assert caught.value.retryable and caught.value.fields["retry_after_s"] == 7

    def test_range_that_is_ignored_is_not_read(self, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A server that would send something else than was asked for is found out before it does."""
        proxy = http_proxy(moto.port)
        transport = open_bucket(moto, proxy.port)
        transport.write("packs/a", _PACK)
        proxy.rules = [
            Rule("answer", method="GET", path="packs/a", status=200, headers={"Content-Length": "5"}, body=b"12345")
        ]
        with pytest.raises(RemoteUnavailableError, match="instead of 10"):
            transport.read_range("packs/a", 0, 10)

    def test_endless_object_is_refused(self, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> None:
        """What claims to be longer than anything that is read whole is not read."""
        proxy = http_proxy(moto.port)
        claim = {"Content-Length": str(1 << 40)}
        proxy.rules = [Rule("answer", method="GET", path="commits", status=200, headers=claim, body=b"x")]
        with pytest.raises(CorruptError):
            open_bucket(moto, proxy.port).read("commits/p/x")


def test_many_uploads_at_once_hold_each_once(moto: S3Server) -> None:
    """Packs are sent from where they are, several at once."""
    transport = open_bucket(moto)
    packs = {f"packs/{number}": noise(2 * _MIB, number) for number in range(6)}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(transport.write, packs, packs.values()))
        assert list(pool.map(transport.read, packs)) == list(packs.values())


def test_missing_bucket_is_named(moto: S3Server) -> None:
    """A bucket that does not exist is not an empty one, and is never made by writing."""
    options = moto.new_place().options
    transport = open_fsspec("s3://no-such-bucket-here/x", options, timeout_s=30)
    for ask in (
        lambda: list(transport.list("packs/")),
        lambda: list(transport.list("")),
        lambda: transport.find_size("packs/a"),
        lambda: transport.read("packs/a"),
        lambda: transport.read_range("packs/a", 0, 1),
        lambda: transport.write("packs/a", b"x"),
    ):
        with pytest.raises(RemoteUnavailableError, match="does not exist") as caught:
            ask()
        assert not caught.value.retryable


def test_nobody_listening_is_retryable() -> None:
    """A server that does not answer may answer later."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        options = {"endpoint_url": address, "key": "k", "secret": "s", "region": "eu-west-1"}
        transport = open_fsspec("s3://bucket", options, timeout_s=5)
        with pytest.raises(RemoteUnavailableError) as caught:
            transport.read_range("a", 0, 1)
    assert caught.value.retryable


class TestOptions:
    """What can be set for a remote on S3."""

    def test_storage_class_and_encryption_are_asked_for(self, moto: S3Server) -> None:
        """Packs lie in the class that was chosen, everything else where it is cheap to read; all is encrypted."""
        transport = open_bucket(moto, storage_class="STANDARD_IA", sse="AES256")
        transport.write("packs/a", b"x")
        transport.write("commits/p/a", b"x")
        client = moto.client()
        pack, commit = (client.head_object(Bucket=transport._bucket, Key=key) for key in ("packs/a", "commits/p/a"))
        assert pack["StorageClass"] == "STANDARD_IA" and "StorageClass" not in commit
        assert pack["ServerSideEncryption"] == commit["ServerSideEncryption"] == "AES256"

    def test_requester_pays(self, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> None:
        """Whoever pays for requests says so in each of them."""
        proxy = http_proxy(moto.port)
        transport = open_bucket(moto, proxy.port, requester_pays="true")
        assert transport._filesystem.req_kw == {"RequestPayer": "requester"}
        transport.write("packs/a", b"x")
        assert transport.read("packs/a") == b"x"

    def test_anonymous_reading(self, moto: S3Server) -> None:
        """A bucket that everybody may read needs no credentials."""
        transport = open_bucket(moto)
        transport.write("packs/a", b"x")
        moto.client().put_bucket_acl(Bucket=transport._bucket, ACL="public-read")
        moto.client().put_object_acl(Bucket=transport._bucket, Key="packs/a", ACL="public-read")
        options = {"anon": "true", "endpoint_url": moto.endpoint_url, "region": "us-east-1"}
        anyone = open_fsspec(f"s3://{transport._bucket}", options, timeout_s=10)
        assert anyone.read("packs/a") == b"x"
        assert keys(anyone, "") == ["packs/a"]

    def test_options_reach_the_driver(self) -> None:
        """Region, endpoint, credentials and style of addresses are put where s3fs wants them; nothing is remembered."""
        options = {
            "endpoint_url": "http://e",
            "key": "k",
            "secret": "s",
            "token": "t",
            "region": "r",
            "anon": "true",
            "addressing_style": "path",
        }
        transport = open_fsspec("s3://bucket/x", options, timeout_s=7)
        assert isinstance(transport, S3Transport)
        driver = transport._filesystem
        assert (driver.endpoint_url, driver.key, driver.secret, driver.token) == ("http://e", "k", "s", "t")
        assert driver.anon is True and driver.client_kwargs == {"region_name": "r"}
        assert driver.config_kwargs["s3"] == {"addressing_style": "path"}
        assert driver.config_kwargs["read_timeout"] == 7
        assert driver.dircache.use_listings_cache is False
