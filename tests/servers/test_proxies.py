"""Every fault of the proxies happens as it is asked for, and what they count is right."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.http_proxy import Fault, HttpProxy, Rule
from tests.servers.nginx import FileServer
from tests.servers.place import Place
from tests.servers.s3 import MotoWithUsers, S3Server
from tests.servers.tcp_proxy import TcpProxy
from tests.servers.webhdfs import WebHdfsServer

HTTP = Callable[[int], HttpProxy]
TCP = Callable[[int], TcpProxy]
_DATA = bytes(range(256)) * 4096


@pytest.fixture
def place(static_site: FileServer) -> Place:
    """A folder of a web server with a file of one MiB."""
    place = static_site.new_place()
    place.plant("a", _DATA)
    return place


def fetch(proxy: HttpProxy | TcpProxy, place: Place, timeout_s: float = 20) -> tuple[int, bytes]:
    """Return status and body of the file by way of a proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout_s)
    try:
        connection.request("GET", f"/{place.url.rpartition('/')[2]}/a")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def put(proxy: HttpProxy, path: str, data: bytes | Iterator[bytes], **headers: str) -> int:
    """Return the status of an upload by way of a proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    try:
        connection.request("PUT", path, data, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def took_s(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start_s = time.monotonic()
    call()
    return time.monotonic() - start_s


class TestTcpProxy:
    """A bad line."""

    def test_nothing_is_changed(self, place: Place, static_site: FileServer, tcp_proxy: TCP) -> None:
        """As long as nothing is set, the line is a line, and it counts."""
        proxy = tcp_proxy(static_site.port)
        assert fetch(proxy, place) == (200, _DATA)
        assert proxy.connections == 1
        assert proxy.down.passed_bytes > len(_DATA) and 0 < proxy.up.passed_bytes < 1000

    def test_round_trip(self, place: Place, static_site: FileServer, tcp_proxy: TCP) -> None:
        """A new connection costs one round trip, a request another, and more data no more."""
        proxy = tcp_proxy(static_site.port)
        proxy.rtt_ms = 100
        assert 0.2 <= took_s(lambda: fetch(proxy, place)) < 1.5

    def test_bandwidth(self, place: Place, static_site: FileServer, tcp_proxy: TCP) -> None:
        """A MiB at two MiB a second takes half a second."""
        proxy = tcp_proxy(static_site.port)
        proxy.bytes_per_s = 2 * len(_DATA)
        assert 0.45 <= took_s(lambda: fetch(proxy, place)) < 2

    def test_refusal(self, place: Place, static_site: FileServer, tcp_proxy: TCP) -> None:
        """Who comes is sent away, until one is let in again."""
        proxy = tcp_proxy(static_site.port)
        proxy.refuse = True
        with pytest.raises(OSError, match="reset"):
            fetch(proxy, place)
        proxy.refuse = False
        assert fetch(proxy, place)[0] == 200

    @pytest.mark.parametrize("direction", ["up", "down"])
    def test_stall(self, direction: str, place: Place, static_site: FileServer, tcp_proxy: TCP) -> None:
        """Nothing passes in one direction; afterwards it goes on."""
        proxy = tcp_proxy(static_site.port)
        way = getattr(proxy, direction)
        way.stall = True
        with pytest.raises(TimeoutError):
            fetch(proxy, place, timeout_s=0.3)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(fetch, proxy, place)
            time.sleep(0.1)
            assert not waiting.done()
            way.stall = False
            assert waiting.result() == (200, _DATA)

    def test_who_sends_into_a_stall_has_to_wait(self, static_site: FileServer, tcp_proxy: TCP) -> None:
        """A line that stalls does not swallow an upload."""
        proxy = tcp_proxy(static_site.port)
        proxy.up.stall = True
        connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3)
        with connection, pytest.raises(TimeoutError):
            connection.sendall(bytes(32 * 1024 * 1024))

    def test_cut(self, place: Place, static_site: FileServer, tcp_proxy: TCP) -> None:
        """A connection is reset after so many bytes, and only as many connections as was asked."""
        proxy = tcp_proxy(static_site.port)
        proxy.down.cut_after_bytes = 100_000
        proxy.cuts_left = 1
        with pytest.raises(OSError, match="reset"):
            fetch(proxy, place)
        assert proxy.down.passed_bytes == 100_000
        assert fetch(proxy, place) == (200, _DATA)


class TestHttpProxy:
    """A bad middleman."""

    @pytest.fixture
    def proxy(self, static_site: FileServer, http_proxy: HTTP) -> HttpProxy:
        """A proxy before the web server."""
        return http_proxy(static_site.port)

    def test_requests_are_counted(self, place: Place, proxy: HttpProxy) -> None:
        """As long as nothing is set, answers pass as they are, and every request is known."""
        assert fetch(proxy, place) == (200, _DATA)
        [request] = proxy.requests
        assert (request.method, request.query, request.status, request.fault) == ("GET", "", 200, None)
        assert request.path.endswith("/a")
        assert (proxy.count(), proxy.count("GET", "/a"), proxy.count("PUT"), proxy.count("GET", "/b")) == (1, 1, 0, 0)
        assert proxy.received_bytes == len(_DATA)

    def test_a_connection_is_used_again(self, static_site: FileServer, proxy: HttpProxy, place: Place) -> None:
        """Requests follow each other on one connection, also those without a body."""
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
        name = f"/{place.url.rpartition('/')[2]}"
        connection.connect()
        first = connection.sock
        for method, path, status in (("HEAD", "a", 200), ("GET", "b", 404), ("GET", "a", 200)):
            connection.request(method, f"{name}/{path}")
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == status
        assert body == _DATA
        assert connection.sock is first
        connection.close()

    def test_answer(self, place: Place, proxy: HttpProxy) -> None:
        """The first requests that match are answered by the proxy."""
        rule = Rule("answer", method="GET", path="/a", times=2, after=1, status=429, headers={"Retry-After": "7"})
        proxy.rules = [Rule("answer", method="PUT"), rule]
        assert [fetch(proxy, place)[0] for _ in range(4)] == [200, 429, 429, 200]
        assert [request.fault for request in proxy.requests] == [None, "answer", "answer", None]

    @pytest.mark.parametrize("fault", ["reset", "lose-acknowledgement"])
    def test_reset(self, fault: Fault, place: Place, proxy: HttpProxy) -> None:
        """The client sees the connection reset."""
        proxy.rules = [Rule(fault)]
        with pytest.raises(OSError, match="reset"):
            fetch(proxy, place)

    def test_truncate(self, place: Place, proxy: HttpProxy) -> None:
        """The client gets half of what it was promised."""
        proxy.rules = [Rule("truncate")]
        with pytest.raises(http.client.IncompleteRead) as caught:
            fetch(proxy, place)
        assert caught.value.partial == _DATA[: len(_DATA) // 2]

    def test_corrupt(self, place: Place, proxy: HttpProxy) -> None:
        """One bit is another."""
        proxy.rules = [Rule("corrupt")]
        _, body = fetch(proxy, place)
        assert sum((one ^ other).bit_count() for one, other in zip(body, _DATA, strict=True)) == 1

    def test_delay_and_stall(self, place: Place, proxy: HttpProxy) -> None:
        """An answer comes late, or never."""
        proxy.rules = [Rule("delay", delay_s=0.3, times=1), Rule("stall")]
        assert took_s(lambda: fetch(proxy, place)) >= 0.3
        with pytest.raises(TimeoutError):
            fetch(proxy, place, timeout_s=0.3)

    def test_chances_are_the_same_each_time(self, place: Place, proxy: HttpProxy) -> None:
        """With a chance of a half about half of the requests fail."""
        proxy.rules = [Rule("answer", chance=0.5)]
        assert 5 <= [fetch(proxy, place)[0] for _ in range(20)].count(503) <= 15

    def test_signatures_stay_valid(self, moto_with_users: MotoWithUsers, http_proxy: HTTP) -> None:
        """An S3 server that checks who asks takes uploads by way of the proxy."""
        server = moto_with_users.as_user("admin")
        bucket = server.new_place().url.removeprefix("s3://")
        proxy = http_proxy(server.port)
        client = S3Server("", proxy.port, server.key, server.secret).client()
        client.put_object(Bucket=bucket, Key="packs/a b%é", Body=_DATA)
        assert client.get_object(Bucket=bucket, Key="packs/a b%é")["Body"].read() == _DATA
        assert (proxy.sent_bytes, proxy.received_bytes) == (len(_DATA), len(_DATA))

    def test_lost_acknowledgement_landed(self, moto: S3Server, http_proxy: HTTP) -> None:
        """A PUT whose answer was lost is there."""
        bucket = moto.new_place().url.removeprefix("s3://")
        proxy = http_proxy(moto.port)
        proxy.rules = [Rule("lose-acknowledgement", method="PUT", path="packs/")]
        with pytest.raises(OSError, match="reset"):
            put(proxy, f"/{bucket}/packs/a", b"x")
        assert moto.client().get_object(Bucket=bucket, Key="packs/a")["Body"].read() == b"x"
        assert proxy.requests[0].status is None

    def test_corrupt_upload(self, moto: S3Server, http_proxy: HTTP) -> None:
        """What is damaged on the way up arrives damaged, chunked or not."""
        bucket = moto.new_place().url.removeprefix("s3://")
        proxy = http_proxy(moto.port)
        proxy.rules = [Rule("corrupt-upload")]
        put(proxy, f"/{bucket}/a", b"xyz")
        assert moto.client().get_object(Bucket=bucket, Key="a")["Body"].read() == b"xxz"

    def test_chunks_pass(self, webdav: FileServer, http_proxy: HTTP) -> None:
        """A body of which the length is told piece by piece passes whole."""
        proxy = http_proxy(webdav.port)
        secret = base64.b64encode(f"{webdav.username}:{webdav.password}".encode()).decode()
        path = f"/{webdav.new_place().url.rpartition('/')[2]}/a"
        assert put(proxy, path, iter([b"abc", _DATA, b"xyz"]), Authorization=f"Basic {secret}") == 201
        assert proxy.sent_bytes == len(_DATA) + 6
        assert Path(webdav.folder + path).read_bytes() == b"abc" + _DATA + b"xyz"

    def test_redirects_come_back(self, webhdfs: WebHdfsServer, http_proxy: HTTP) -> None:
        """The second step of WebHDFS goes through the proxy, too."""
        proxy = http_proxy(webhdfs.port)
        place = webhdfs.new_place(port=proxy.port)
        place.plant("a", b"x")
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
        connection.request("GET", f"/webhdfs/v1/{place.url.rpartition('/')[2]}/a?op=OPEN")
        answer = connection.getresponse()
        assert answer.status == 307
        assert re.match(rf"http://127\.0\.0\.1:{proxy.port}/", answer.headers["Location"])
        connection.close()
