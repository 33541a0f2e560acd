"""HDFS: the contract over HTTP and by its own protocol, and what its servers answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.command import PROJECT
from tests.contracts.transport import PlainTransportContract, keys
from tests.servers.background import serving
from tests.servers.hdfs import HdfsServer
from tests.servers.place import Place
from tests.servers.running import free_ports
from tests.servers.tcp_proxy import running_tcp_proxy
from tests.servers.webhdfs import WebHdfsServer, running_webhdfs
from vstore.errors import InvalidError, NoSpaceError, RemoteDeniedError, RemoteUnavailableError, UnavailableError
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.hadoop.files import _RefusedError, from_refusal
from vstore.remote.transport import Transport
from vstore.remote.wrappers import RetryingTransport

MIB = 1024 * 1024


def real_place(hdfs: HdfsServer, scheme: str, monkeypatch: pytest.MonkeyPatch, port: int | None = None) -> Place:
    """Make a place on the real one; by its own protocol Hadoop's variable says who asks."""
    place = hdfs.new_place(scheme=scheme, port=port)
    if scheme != "hdfs":
        return place
    monkeypatch.setenv("HADOOP_USER_NAME", hdfs.username)
    return Place(place.url, {}, place.plant)


class PlaceContract(PlainTransportContract):
    """The contract, on a new place of a server."""

    shows_leftovers = True

    @pytest.fixture
    def place(self) -> Place:
        """The place."""
        raise NotImplementedError

    @pytest.fixture
    def transport(self, place: Place) -> Iterator[Transport]:
        """The place, opened."""
        self._place = place
        with open_fsspec(place.url, place.options, timeout_s=20) as transport:
            yield transport

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put a file there behind the transport's back."""
        self._place.plant(name, data)


class TestWebHdfs(PlaceContract):
    """The contract, over HTTP."""

    @pytest.fixture
    def place(self, webhdfs: WebHdfsServer) -> Place:
        """A new directory."""
        return webhdfs.new_place()


class TestGateway(PlaceContract):
    """The contract, over a gateway; not its readers: a file that is replaced is gone for a moment."""

    test_readers_never_see_half_a_write = None  # type: ignore[assignment]

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        """A new directory."""
        with running_webhdfs(tmp_path, can_replace=False) as server:
            yield server.new_place()


class RealContract(PlaceContract):
    """The contract, on a real namenode and datanode."""

    scheme = "webhdfs"

    @pytest.fixture
    def place(self, hdfs: HdfsServer, monkeypatch: pytest.MonkeyPatch) -> Place:
        """A new directory."""
        return real_place(hdfs, self.scheme, monkeypatch)

    def test_listing_has_every_page(self, transport: Transport) -> None:
        """More files than a namenode puts into one answer are all listed, once each."""
        expected = [f"packs/{number:04}" for number in range(1_100)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: self.plant(transport, name, b""), expected))
        assert keys(transport, "packs/") == expected

    def test_pack_of_usual_size(self, transport: Transport) -> None:
        """A pack that is longer than a block of HDFS arrives whole, and ranges of it come back to the byte."""
        content = os.urandom(20 * MIB + 12_345)
        transport.write("packs/a", content)
        assert transport.read("packs/a") == content
        for start, length in ((0, 9 * MIB), (16 * MIB - 1, 300_001), (len(content) - 5, 5)):
            assert transport.read_range("packs/a", start, length) == content[start : start + length]


class TestRealWebHdfs(RealContract):
    """The contract, on a real one over HTTP."""


class TestRealHdfs(RealContract):
    """The contract, on a real one by its own protocol."""

    scheme = "hdfs"


@pytest.fixture(params=["fake", "webhdfs", "hdfs"])
def any_place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Place, str]:
    """A new directory on each of the servers, and its protocol."""
    if request.param == "fake":
        server: WebHdfsServer = request.getfixturevalue("webhdfs")
        return server.new_place(), "webhdfs"
    hdfs: HdfsServer = request.getfixturevalue("hdfs")
    return real_place(hdfs, request.param, monkeypatch), str(request.param)


def test_place_that_is_gone_is_not_empty(any_place: tuple[Place, str]) -> None:
    """Where the directory itself is missing, nothing is said about what should be in it; the first write makes it."""
    place, _ = any_place
    with open_fsspec(f"{place.url}/gone", place.options, timeout_s=20) as transport:
        assert not transport.has_place()
        for ask in (
            lambda: list(transport.list("packs/")),
            lambda: transport.find_size("a"),
            lambda: transport.read("a"),
            lambda: transport.read_range("a", 0, 1),
            lambda: transport.delete("a"),
        ):
            with pytest.raises(RemoteUnavailableError, match="does not exist") as caught:
                ask()
            assert not caught.value.retryable
        transport.write("packs/a", b"x")
        assert transport.has_place() and keys(transport, "") == ["packs/a"]


def test_directory_with_odd_characters(any_place: tuple[Place, str]) -> None:
    """A directory may have a name that has to be encoded in a URL."""
    place, _ = any_place
    with open_fsspec(f"{place.url}/d%C3%A9j%C3%A0%20vu%23", place.options, timeout_s=20) as transport:
        transport.write("packs/a", b"x")
        transport.write("packs/a", b"y")
        assert transport.read("packs/a") == b"y" and keys(transport, "") == ["packs/a"]


def test_no_permission(any_place: tuple[Place, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who may only read is denied what changes something, and nothing is left of it."""
    place, scheme = any_place
    place.plant("packs/a", b"x")
    monkeypatch.setenv("HADOOP_USER_NAME", "mallory")
    options = {} if scheme == "hdfs" else {"user": "mallory"}
    with open_fsspec(place.url, options, timeout_s=20) as transport:
        assert transport.read("packs/a") == b"x"
        for change in (lambda: transport.write("packs/b", b"x"), lambda: transport.delete("packs/a")):
            with pytest.raises(RemoteDeniedError, match="AccessControlException") as caught:
                change()
            assert not caught.value.retryable
        assert keys(transport, "") == ["packs/a"]


@pytest.mark.parametrize(
    ("name", "kind", "retryable"),
    [
        ("SafeModeException", RemoteUnavailableError, True),
        ("StandbyException", RemoteUnavailableError, True),
        ("RetriableException", RemoteUnavailableError, True),
        ("AccessControlException", RemoteDeniedError, False),
        ("InvalidToken", RemoteDeniedError, False),
        ("NSQuotaExceededException", NoSpaceError, False),
        ("QuotaByStorageTypeExceededException", NoSpaceError, False),
        ("InvalidPathException", RemoteUnavailableError, False),
    ],
)
def test_refusals(name: str, kind: type[UnavailableError], retryable: bool) -> None:
    """What a Java exception means is known by its name."""
    error = from_refusal(_RefusedError(name), "hdfs://x", "write a")
    assert type(error) is kind and error.retryable is retryable


@pytest.mark.parametrize("action", ["read", "write", "list"])
def test_silent_connection_is_given_up(any_place: tuple[Place, str], action: str) -> None:
    """A server that says nothing any more is given up, and the next request works."""
    place, _ = any_place
    place.plant("a", b"x" * MIB)
    port = urlsplit(place.url).port
    assert port is not None
    with running_tcp_proxy(port) as proxy:
        url = place.url.replace(f":{port}", f":{proxy.port}")
        with open_fsspec(url, place.options, timeout_s=1) as transport:
            assert transport.has_place()
            calls: dict[str, Callable[[], object]] = {
                "read": lambda: transport.read("a"),
                "write": lambda: transport.write("b", bytes(MIB)),
                "list": lambda: list(transport.list("")),
            }
            proxy.up.stall = True
            began_s = time.monotonic()
            with pytest.raises(RemoteUnavailableError) as caught:
                calls[action]()
            assert caught.value.retryable
            assert time.monotonic() - began_s < 10
            proxy.up.stall = False
            assert RetryingTransport(transport, pause_s=0.1).find_size("a") == MIB
            assert keys(transport, "") in (["a"], ["a", "b"])


def test_dropped_connection_is_retryable(any_place: tuple[Place, str]) -> None:
    """A connection that breaks in the middle of an answer is replaced by the next attempt."""
    place, _ = any_place
    place.plant("a", b"x")
    port = urlsplit(place.url).port
    assert port is not None
    with running_tcp_proxy(port) as proxy:
        url = place.url.replace(f":{port}", f":{proxy.port}")
        with open_fsspec(url, place.options, timeout_s=10) as transport:
            proxy.down.cut_after_bytes = 10
            with pytest.raises(RemoteUnavailableError) as caught:
                transport.find_size("a")
            assert caught.value.retryable
            proxy.down.cut_after_bytes = None
            assert RetryingTransport(transport, pause_s=0.1).read("a") == b"x"


@pytest.mark.parametrize("scheme", ["webhdfs", "hdfs"])
def test_nobody_listening_is_retryable(scheme: str) -> None:
    """A server that does not answer may answer later, and that is known soon."""
    [port] = free_ports(1)
    began_s = time.monotonic()
    with (
        open_fsspec(f"{scheme}://127.0.0.1:{port}/x", {}, timeout_s=20) as transport,
        pytest.raises(RemoteUnavailableError) as caught,
    ):
        transport.find_size("a")
    assert caught.value.retryable
    assert time.monotonic() - began_s < 8


def test_password_is_only_for_its_server(tmp_path: Path) -> None:
    """Who is sent on to another server does not tell it the password."""
    heard: list[str | None] = []

    async def answer(request: Any) -> Any:
        heard.append(request.headers.get("Authorization"))
        if "datanode" in request.query:
            return web.Response(body=b"content")
        other = f"http://localhost:{request.url.port}{request.path_qs}&datanode=true"
        return web.Response(status=307, headers={"Location": other})

    web = pytest.importorskip("aiohttp.web")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    with (
        serving(app) as port,
        open_fsspec(f"webhdfs://ada@127.0.0.1:{port}/x", {"password": "hush"}, timeout_s=20) as transport,
    ):
        assert transport.read("a") == b"content"
    assert heard[0] is not None and heard[1:] == [None]


@pytest.mark.parametrize(
    "url",
    ["webhdfs://host", "webhdfs:///x", "hdfs:///x", "hdfs://host:port/x", "hdfs://user@host:1/x", "webhdfs://host/x?y"],
)
def test_senseless_urls(url: str) -> None:
    """A URL names a server and a directory, and nothing else."""
    with pytest.raises(InvalidError):
        open_fsspec(url, {}, timeout_s=5)


def test_unknown_cluster() -> None:
    """A host without a port is a cluster, which Hadoop's configuration has to name."""
    with pytest.raises(InvalidError, match="names no cluster"):
        open_fsspec("hdfs://nowhere/x", {}, timeout_s=5)


def test_killed_in_the_middle_of_a_write(any_place: tuple[Place, str]) -> None:
    """Whoever is killed while writing leaves nothing under the final name; the same write later completes."""
    place, _ = any_place
    code = (
        "import sys, json; from vstore.remote.fsspec_transport import open_fsspec; "
        "t = open_fsspec(sys.argv[1], json.loads(sys.argv[2]), timeout_s=20); print(flush=True); "
        "t.write('packs/a', bytes(400 << 20))"
    )
    arguments = [sys.executable, "-c", code, place.url, json.dumps(dict(place.options))]
    process = subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)
        process.kill()
    with open_fsspec(place.url, place.options, timeout_s=20) as transport:
        assert keys(transport, "") == []
        transport.write("packs/a", b"whole")
        assert transport.read("packs/a") == b"whole"
