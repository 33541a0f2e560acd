"""What every store without folders has to show beside the contract: few requests, and no harm from bad lines."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.command import PROJECT
from tests.contracts.transport import keys
from tests.remote.fsspec_transport.contract import FsspecContract
from tests.remote.world import noise
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.place import Place
from tests.servers.tcp_proxy import TcpProxy
from vstore.errors import CorruptError, RemoteUnavailableError
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.flat import FlatTransport
from vstore.remote.transport import Transport
from vstore.remote.wrappers import RetryingTransport

MIB = 1024 * 1024
PACK = noise(3 * MIB, 1)
# What would end an upload early, or be taken for a part of its frame.
HURTING = [
    b"",
    b"\r",
    b"\n",
    b"ends in cr\r",
    b"a\r\n--==0==\r\nContent-Type: text/plain\r\n\r\nb",
    b"a\n--==0==\nb\n--==0==--",
    b"\r\n--==0==--\r\n",
    b"\0" * 1000,
    "é\u2028".encode(),
]


# In a process of its own, where nothing else takes memory; prints by how much it grew while four packs were sent.
_UPLOADS = """
import json, resource, sys
from concurrent.futures import ThreadPoolExecutor
from vstore.remote.fsspec_transport import open_fsspec

def most_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

url, options = json.loads(sys.argv[1])
with open_fsspec(url, options, timeout_s=60) as transport, ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda number: transport.write(f"packs/small-{number}", bytes(1 << 20)), range(4)))
    packs = [bytearray(16 << 20) for _ in range(4)]
    for pack in packs:
        pack[::1024] = b"x" * (16 << 10)
    before_bytes = most_bytes()
    list(pool.map(lambda number: transport.write(f"packs/{number}", packs[number]), range(4)))
    print(most_bytes() - before_bytes)
"""


def open_place(place: Place, *, timeout_s: float = 30, **options: str) -> FlatTransport:
    """Open a place, with more options."""
    transport = open_fsspec(place.url, {**place.options, **options}, timeout_s=timeout_s)
    assert isinstance(transport, FlatTransport)
    return transport


class FlatContract(FsspecContract):
    """The contract, and what holds for one store in particular.

    Its module has the fixtures ``server``, with ``port`` and ``new_place``, ``place``, which serves all of its tests,
    and ``bucket``, the same opened.  A subclass tells by which methods its server is asked to write and for a size, and
    what a page of a listing looks like after which there is always another one.
    """

    writes_by = "PUT"
    asks_size_by = "HEAD"
    endless_page = b""

    @pytest.fixture
    def transport(self, bucket: FlatTransport, place: Place) -> Transport:
        """A fresh folder of the place."""
        folder = f"{bucket._bucket}/{uuid.uuid4().hex}/folder"
        return type(bucket)(bucket._filesystem, folder, url=bucket.url, timeout_s=30)

    @pytest.fixture(autouse=True)
    def _know_place(self, place: Place) -> None:
        self._place = place

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put an object in behind the back of the driver, too."""
        assert isinstance(transport, FlatTransport)
        self._place.plant(transport._folder + name, data)

    def test_closes_with_its_block(self, server: Any) -> None:
        """A transport is a context manager that gives itself, and its connections back."""
        transport = open_place(server.new_place())
        with transport as same:
            assert same is transport
            transport.write("a", b"x")

    @pytest.mark.parametrize("content", HURTING)
    def test_nothing_in_a_content_ends_its_upload(self, content: bytes, transport: Transport) -> None:
        """Bytes that look like the frame of an upload are bytes."""
        transport.write("packs/a", content)
        assert transport.read("packs/a") == content

    def test_each_call_is_one_request(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """Reading, writing, asking for a size, deleting, listing many folders: whatever a driver would ask besides."""
        proxy = http_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port))
        for number in range(20):
            transport.write(f"commits/p{number}/x", b"x")
        calls: list[tuple[str, Callable[[], object]]] = [
            (self.writes_by, lambda: transport.write("packs/a", PACK)),
            (self.writes_by, lambda: transport.write("packs/empty", b"")),
            ("GET", lambda: transport.read("packs/a")),
            ("GET", lambda: transport.read("packs/empty")),
            ("GET", lambda: transport.read_range("packs/a", 5, MIB)),
            ("GET", lambda: list(transport.list("commits/"))),
            (self.asks_size_by, lambda: transport.find_size("packs/a")),
            (self.asks_size_by, lambda: transport.find_size("packs/absent")),
            ("DELETE", lambda: transport.delete("packs/a")),
        ]
        for method, call in calls:
            proxy.requests.clear()
            call()
            assert [request.method for request in proxy.requests] == [method]

    def test_damaged_upload_is_refused(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A bit that changes on the way up is noticed by the server, and sending again helps."""
        proxy = http_proxy(server.port)
        place = server.new_place(port=proxy.port)
        transport = open_place(place)
        proxy.rules = [Rule("corrupt-upload", method=self.writes_by, times=1)]
        with pytest.raises(RemoteUnavailableError) as caught:
            transport.write("packs/a", PACK)
        assert caught.value.retryable
        assert transport.find_size("packs/a") is None
        transport.write("packs/a", PACK)
        assert transport.read("packs/a") == PACK

    def test_damaged_download_is_noticed(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """What is read whole is compared with the checksum that the server tells."""
        proxy = http_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port))
        transport.write("commits/p/a", b"some bytes")
        proxy.rules = [Rule("corrupt", method="GET", times=1)]
        with pytest.raises(RemoteUnavailableError, match="other bytes") as caught:
            transport.read("commits/p/a")
        assert caught.value.retryable
        assert transport.read("commits/p/a") == b"some bytes"

    def test_cut_off_answer_is_no_answer(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A body that ends early is no object, and half a listing no listing."""
        proxy = http_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port))
        transport.write("commits/p/a", b"some bytes")
        for call in (lambda: transport.read("commits/p/a"), lambda: list(transport.list("commits/"))):
            proxy.rules = [Rule("truncate", method="GET", times=1)]
            with pytest.raises(RemoteUnavailableError) as caught:
                call()
            assert caught.value.retryable

    def test_lost_acknowledgement_is_retryable(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A write that landed without our hearing of it is written again."""
        proxy = http_proxy(server.port)
        transport = RetryingTransport(open_place(server.new_place(port=proxy.port)), pause_s=0.01)
        proxy.rules = [Rule("lose-acknowledgement", method=self.writes_by, times=2)]
        transport.write("packs/a", PACK)
        assert transport.read("packs/a") == PACK
        assert proxy.count(self.writes_by) == 3

    def test_broken_download_goes_on(self, server: Any, tcp_proxy: Callable[[int], TcpProxy]) -> None:
        """A connection that is cut again and again, long before the end, brings all of it in the end."""
        proxy = tcp_proxy(server.port)
        # A reset may throw away what had arrived, so that now and then one does not get ahead.
        transport = RetryingTransport(open_place(server.new_place(port=proxy.port)), pause_s=0.01)
        transport.write("packs/a", PACK)
        proxy.down.cut_after_bytes = 700_000
        assert transport.read_range("packs/a", 1, len(PACK) - 1) == PACK[1:]
        assert transport.read("packs/a") == PACK
        assert proxy.connections > 6

    @pytest.mark.parametrize("call", ["read", "write", "list"])
    def test_stalled_line_is_given_up(self, call: str, server: Any, tcp_proxy: Callable[[int], TcpProxy]) -> None:
        """A connection on which nothing moves is given up after the time that was set, in either direction."""
        proxy = tcp_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port), timeout_s=3)
        transport.write("packs/a", b"x")
        proxy.up.stall = proxy.down.stall = True
        ask: dict[str, Callable[[], object]] = {
            "read": lambda: transport.read("packs/a"),
            "write": lambda: transport.write("packs/b", bytes(16 * MIB)),
            "list": lambda: list(transport.list("packs/")),
        }
        began_s = time.monotonic()
        with pytest.raises(RemoteUnavailableError) as caught:
            ask[call]()
        assert caught.value.retryable
        assert time.monotonic() - began_s < 25

    def test_slow_line_is_not_given_up(self, server: Any, tcp_proxy: Callable[[int], TcpProxy]) -> None:
        """An upload and a download that take longer than the time for silence, but move, come through."""
        proxy = tcp_proxy(server.port)
        proxy.bytes_per_s = 1.2 * MIB
        transport = open_place(server.new_place(port=proxy.port), timeout_s=1)
        transport.write("packs/a", PACK)
        assert transport.read("packs/a") == PACK

    @pytest.mark.parametrize("status", [429, 503])
    def test_wish_for_a_pause_is_told(self, status: int, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A server that is busy says for how long, the error passes that on, and nobody tries again behind its back."""
        proxy = http_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port))
        proxy.rules = [Rule("answer", status=status, headers={"Retry-After": "7"})]
        for call in (
            lambda: transport.read("packs/a"),
            lambda: transport.write("packs/a", PACK),
            lambda: list(transport.list("packs/")),
        ):
            proxy.requests.clear()
            with pytest.raises(RemoteUnavailableError) as caught:
                call()
            assert caught.value.retryable and caught.value.fields["retry_after_s"] == 7
            assert proxy.count() == 1

    @pytest.mark.parametrize("status", [400, 409, 412, 501])
    def test_lasting_refusal_is_not_tried_again(
        self, status: int, server: Any, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """What a server will refuse again is refused once."""
        proxy = http_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port))
        proxy.rules = [Rule("answer", status=status)]
        with pytest.raises(RemoteUnavailableError) as caught:
            RetryingTransport(transport).write("packs/a", b"x")
        assert not caught.value.retryable
        assert proxy.count() == 1

    def test_range_that_is_ignored_is_not_read(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A server that would send something else than was asked for is found out before it does."""
        proxy = http_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port))
        transport.write("packs/a", PACK)
        proxy.rules = [Rule("answer", method="GET", path="packs", status=200, body=b"12345", times=1)]
        with pytest.raises(RemoteUnavailableError, match="instead of 10"):
            transport.read_range("packs/a", 0, 10)

    def test_endless_object_is_refused(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """What claims to be longer than anything that is read whole is not read."""
        proxy = http_proxy(server.port)
        claim = {"Content-Length": str(1 << 40)}
        transport = open_place(server.new_place(port=proxy.port))
        proxy.rules = [Rule("answer", method="GET", path="commits", status=200, headers=claim, body=b"x")]
        with pytest.raises(CorruptError):
            transport.read("commits/p/x")

    def test_endless_listing_is_given_up(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """A server that sends the same page again and again has no listing."""
        proxy = http_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port))
        proxy.rules = [Rule("answer", method="GET", status=200, body=self.endless_page)]
        with pytest.raises(RemoteUnavailableError, match="does not end"):
            list(transport.list("packs/"))
        assert proxy.count() == 2

    def test_answer_that_makes_no_sense(self, server: Any, http_proxy: Callable[[int], HttpProxy]) -> None:
        """The page of a hotel's network is no listing."""
        proxy = http_proxy(server.port)
        transport = open_place(server.new_place(port=proxy.port))
        proxy.rules = [Rule("answer", method="GET", status=200, body=b"<html>Welcome!<p>Please log in</html>")]
        with pytest.raises(RemoteUnavailableError):
            list(transport.list("packs/"))

    def test_missing_place_is_named(self, server: Any) -> None:
        """A bucket that does not exist is not an empty one, and is never made by writing."""
        place = server.new_place()
        nowhere = re.sub("://t[0-9a-f]+", "://no-such-place-here", place.url)
        transport = open_fsspec(f"{nowhere}/x", place.options, timeout_s=30)
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

    def test_nobody_listening_is_retryable(self, server: Any) -> None:
        """A server that does not answer may answer later."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            transport = open_place(server.new_place(port=unused.getsockname()[1]), timeout_s=5)
            with pytest.raises(RemoteUnavailableError) as caught:
                transport.read_range("a", 0, 1)
        assert caught.value.retryable

    def test_packs_are_sent_from_where_they_are(self, server: Any) -> None:
        """Four uploads at once need no memory for copies of what they send."""
        place = server.new_place()
        given = json.dumps([place.url, dict(place.options)])
        command = [sys.executable, "-c", _UPLOADS, given]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, timeout=120, check=False, text=True)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 8 * MIB

    def test_folder_with_odd_characters(self, server: Any) -> None:
        """A remote may lie in a folder that somebody named in their own way."""
        place = server.new_place()
        odd = Place(f"{place.url}/my data, 100% é+&", place.options, place.plant)
        with open_place(odd) as transport:
            transport.write("packs/a", b"x")
            assert keys(transport, "") == keys(transport, "packs/") == ["packs/a"]
            assert transport.read("packs/a") == b"x" and transport.find_size("packs/a") == 1
            transport.delete("packs/a")
            assert keys(transport, "") == []
