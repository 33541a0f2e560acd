"""Reading over HTTP: servers that break off, redirect, refuse, stall and lie, and what is sent to whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.remote.fsspec_transport.scripted import Handler, Scripted, running_script
from tests.servers.nginx import TlsFront, start_tls_front
from tests.servers.running import HOST, ServerMissingError, free_ports, running
from vstore.errors import (
    CorruptError,
    InvalidError,
    KeyNotFoundError,
    NoSpaceError,
    RemoteDeniedError,
    RemoteUnavailableError,
    VstoreError,
)
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.http import transport as reading
from vstore.remote.transport import Transport

CONTENT = bytes(range(256)) * 4096
"""A megabyte of which each part is recognised."""


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A server that answers as the test wants."""
    with running_script() as script:
        yield script


@pytest.fixture
def other() -> Iterator[Scripted]:
    """A second server."""
    with running_script() as script:
        yield script


def open_(script: Scripted, *, timeout_s: float = 20, **options: str) -> Transport:
    """Open the folder of a scripted server."""
    return open_fsspec(script.url, options, timeout_s=timeout_s)


def serve(handler: Handler) -> None:
    """Answer rightly, ranges too."""
    asked = handler.headers.get("Range")
    if asked is None:
        handler.reply(200, CONTENT)
        return
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start, end = int(first), int(last or len(CONTENT) - 1) + 1
    handler.reply(206, CONTENT[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(CONTENT)}")


class TestRanges:
    """Parts of objects, from servers that know ranges, do not, or lie."""

    def test_ignored_range_is_cut_out(self, script: Scripted) -> None:
        """Where the server sends the whole, the part is taken out of it, and what follows is not received."""
        taken = []

        def answer(handler: Handler) -> None:
            handler.reply(200, CONTENT) if handler.path.endswith("small") else taken.append(
                handler.reply_without_end(200, Content_Length=str(1 << 40))
            )

        script.answer = answer
        with open_(script) as transport:
            assert transport.read_range("small", 70_000, 10) == CONTENT[70_000:70_010]
            assert transport.read_range("huge", 3_000_000, 5) == bytes(5)
            with pytest.raises(CorruptError):
                transport.read_range("small", len(CONTENT) - 1, 2)
        script.closing.wait(0.5)
        assert taken[0] < 64 << 20

    @pytest.mark.parametrize(
        "told", ["bytes 0-9/1048576", "bytes 100-108/1048576", "bytes */5", "bytes 100-109", "", "items 100-109/200"]
    )
    def test_other_part_is_not_taken(self, script: Scripted, told: str) -> None:
        """A part that is not the one that was asked for is an error, whatever its length."""

        def answer(handler: Handler) -> None:
            if handler.command == "HEAD":
                handler.reply(200, CONTENT)
            else:
                handler.reply(206, CONTENT[:10], Content_Range=told)

        script.answer = answer
        with open_(script) as transport, pytest.raises((RemoteUnavailableError, CorruptError)):
            transport.read_range("packs/a", 100, 10)

    def test_part_without_end(self, script: Scripted) -> None:
        """A part of which more comes than was asked for is cut off."""
        told = f"bytes 0-9/{1 << 40}"
        script.answer = lambda handler: handler.reply_without_end(206, Content_Range=told)
        with open_(script) as transport, pytest.raises(RemoteUnavailableError, match="without end"):
            transport.read_range("packs/a", 0, 10)

    def test_unknown_length(self, script: Scripted) -> None:
        """A server that knows no ranges and tells no length is not read."""
        script.answer = lambda handler: handler.reply_without_end(200)
        with open_(script) as transport, pytest.raises(RemoteUnavailableError, match="how long"):
            transport.read_range("packs/a", 0, 10)

    def test_whole_without_end(self, script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is longer than anything of ours is not read into memory, whether the server says so or not."""
        script.answer = lambda handler: handler.reply_without_end(200, Content_Length=str(1 << 40))
        with open_(script) as transport, pytest.raises(CorruptError, match="too long"):
            transport.read("packs/a")
        monkeypatch.setattr(reading, "_MOST_WHOLE_BYTES", 1 << 20)
        script.answer = lambda handler: handler.reply_without_end(200)
        with open_(script) as transport, pytest.raises(RemoteUnavailableError, match="without end"):
            transport.read("packs/a")


class TestBrokenReads:
    """Connections that break in the middle of an answer."""

    @pytest.mark.parametrize("whole", [True, False])
    def test_goes_on_where_it_stopped(self, script: Scripted, whole: bool) -> None:
        """What arrived is not asked for again, as long as each attempt gets ahead."""

        def answer(handler: Handler) -> None:
            asked = handler.headers.get("Range", "bytes=0-").removeprefix("bytes=")
            start, end = int(asked.partition("-")[0]), int(asked.partition("-")[2] or len(CONTENT) - 1) + 1
            told = {"Content_Range": f"bytes {start}-{end - 1}/{len(CONTENT)}"} if "Range" in handler.headers else {}
            handler.break_off(CONTENT[start : min(end, start + 300_000)], end - start, 206 if told else 200, **told)

        script.answer = answer
        with open_(script) as transport:
            if whole:
                assert transport.read("packs/a") == CONTENT
            else:
                assert transport.read_range("packs/a", 10, 1_000_000) == CONTENT[10:1_000_010]
        starts = [request.headers.get("Range", "bytes=0-").split("-")[0] for request in script.requests]
        first = 0 if whole else 10
        assert starts == [f"bytes={first + done}" for done in range(0, 1_000_000, 300_000)]

    def test_no_progress_is_an_error(self, script: Scripted) -> None:
        """A server that breaks off at once is not asked again from here: the caller pauses first."""
        script.answer = lambda handler: handler.break_off(b"x" * 100, 1000)
        with open_(script) as transport, pytest.raises(RemoteUnavailableError) as caught:
            transport.read("packs/a")
        assert caught.value.retryable
        assert len(script.requests) == 1

    def test_rest_of_something_else(self, script: Scripted) -> None:
        """A server that goes on elsewhere than asked gives no bytes."""

        def answer(handler: Handler) -> None:
            if "Range" in handler.headers:
                handler.reply(206, CONTENT[:1000], Content_Range=f"bytes 0-999/{len(CONTENT)}")
            else:
                handler.break_off(CONTENT[:300_000], len(CONTENT))

        script.answer = answer
        with open_(script) as transport, pytest.raises((RemoteUnavailableError, CorruptError)):
            transport.read("packs/a")

    def test_silence_is_given_up(self, script: Scripted) -> None:
        """A server that says nothing, or a byte now and then, is given up soon, and may be tried again."""

        def drip(handler: Handler) -> None:
            handler.reply(200, b"", Content_Length="1000")
            while not script.closing.wait(0.1):
                handler.wfile.write(b"x")

        for answer in (lambda handler: script.closing.wait(20), drip):
            script.answer = answer
            began_s = time.monotonic()
            with open_(script, timeout_s=0.5) as transport, pytest.raises(RemoteUnavailableError) as caught:
                transport.read("packs/a")
            assert caught.value.retryable
            assert time.monotonic() - began_s < 2.5

    def test_encoded_content_is_refused(self, script: Scripted) -> None:
        """Bytes that a server encoded are not the bytes of the object, so they are neither taken nor decoded."""
        script.answer = lambda handler: handler.reply(200, b"\x1f\x8b", Content_Encoding="gzip")
        with open_(script) as transport, pytest.raises(RemoteUnavailableError, match="encoding gzip"):
            transport.read("packs/a")
        assert script.requests[0].headers["Accept-Encoding"] == "identity"


class TestRedirections:
    """Servers that say that it is elsewhere."""

    def test_followed_without_what_logs_in(self, script: Scripted, other: Scripted) -> None:
        """An object may be on another host, which does not get the password."""
        script.answer = lambda handler: handler.reply(302, Location=f"{other.url}/elsewhere?signature=x")
        other.answer = serve
        for options in ({"user": "ada", "password": "hush"}, {"token": "hush"}):
            with open_(script, **options) as transport:
                assert transport.read_range("packs/a", 5, 10) == CONTENT[5:15]
        assert all("Authorization" in request.headers for request in script.requests)
        assert not any("Authorization" in request.headers for request in other.requests)
        assert other.asked[0] == ("GET", "/folder/elsewhere?signature=x")

    def test_same_host_gets_it_again(self, script: Scripted) -> None:
        """A redirection to the same server is sent what logs in, too."""
        script.answer = lambda handler: (
            serve(handler) if "moved" in handler.path else handler.reply(301, Location="/folder/moved")
        )
        with open_(script, user="ada", password="hush") as transport:
            assert transport.read("packs/a") == CONTENT
        assert all("Authorization" in request.headers for request in script.requests)

    @pytest.mark.parametrize("target", ["/folder/again", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "//[x"])
    def test_leading_nowhere(self, script: Scripted, target: str) -> None:
        """Redirections without end, and to what is no web server, are errors and nothing more."""
        script.answer = lambda handler: handler.reply(302, Location=target)
        with open_(script) as transport, pytest.raises(RemoteUnavailableError):
            transport.read("packs/a")
        assert len(script.requests) < 10

    def test_secrets_of_targets_are_not_shown(self, script: Scripted) -> None:
        """The address of a redirection may be signed: no error shows the signature."""
        script.answer = lambda handler: handler.reply(302, Location="ftp://me:hush@host/x?sig=hush")
        with open_(script) as transport, pytest.raises(RemoteUnavailableError) as caught:
            transport.read("packs/a")
        assert "hush" not in str(caught.value) + str(caught.value.fields)


class TestAnswers:
    """What a status means."""

    @pytest.mark.parametrize(
        ("status", "error", "retryable"),
        [
            (401, RemoteDeniedError, False),
            (403, RemoteDeniedError, False),
            (404, KeyNotFoundError, None),
            (400, RemoteUnavailableError, False),
            (429, RemoteUnavailableError, True),
            (500, RemoteUnavailableError, True),
            (503, RemoteUnavailableError, True),
            (507, NoSpaceError, False),
        ],
    )
    def test_status(self, script: Scripted, status: int, error: type[VstoreError], retryable: bool | None) -> None:
        """Refusals, absences and passing troubles are told apart."""
        script.answer = lambda handler: handler.reply(status, b"some page", Retry_After="7")
        with open_(script, user="ada", password="hush") as transport, pytest.raises(error) as caught:
            transport.read("packs/a")
        assert getattr(caught.value, "retryable", None) is retryable
        assert "hush" not in str(caught.value) + str(caught.value.fields)
        if retryable:
            assert caught.value.fields["retry_after_s"] == 7

    def test_no_answer(self) -> None:
        """A port where nobody listens, and a host that nobody knows, may answer later."""
        for place in (f"http://{HOST}:{free_ports(1)[0]}", "http://no-such-host.invalid"):
            with open_fsspec(place, {}, timeout_s=5) as transport, pytest.raises(RemoteUnavailableError) as caught:
                transport.read("packs/a")
            assert caught.value.retryable

    def test_no_http(self, script: Scripted) -> None:
        """A server that speaks something else is an error of ours."""

        def answer(handler: Handler) -> None:
            handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
            handler.close_connection = True

        script.answer = answer
        with open_(script) as transport, pytest.raises(RemoteUnavailableError):
            transport.read("packs/a")


class TestConnections:
    """Connections are few, and used by many threads."""

    def test_used_again(self, script: Scripted) -> None:
        """One connection serves one request after the other, also after errors."""
        script.answer = lambda handler: handler.reply(404, b"no") if "absent" in handler.path else serve(handler)
        with open_(script) as transport:
            for number in range(10):
                transport.read_range("packs/a", number, 100_000)
                assert transport.find_size("absent") is None
        assert script.connections == 1

    def test_threads_wait_together(self, script: Scripted) -> None:
        """Eight threads have eight requests under way."""
        together = threading.Barrier(8, timeout=10)

        def answer(handler: Handler) -> None:
            together.wait()
            serve(handler)

        script.answer = answer
        with open_(script) as transport, ThreadPoolExecutor(8) as pool:
            reads = [pool.submit(transport.read_range, "packs/a", number, 5) for number in range(16)]
            assert [read.result() for read in reads] == [CONTENT[number : number + 5] for number in range(16)]
        assert script.connections <= 8

    def test_proxy_of_the_environment(self, script: Scripted, other: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """The proxy that the environment names is asked, with its own password, unless the host is excepted."""
        other.answer = serve
        script.answer = serve
        monkeypatch.setenv("http_proxy", f"http://me:hush@{HOST}:{other.port}")
        with open_fsspec("http://data.invalid/folder", {}, timeout_s=5) as transport:
            assert transport.read("packs/a") == CONTENT
        assert other.asked == [("GET", "http://data.invalid/folder/packs/a")]
        assert other.requests[0].headers["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.setenv("no_proxy", HOST)
        with open_(script) as transport:
            transport.read("packs/a")
        assert script.asked == [("GET", "/folder/packs/a")]
        assert "Proxy-Authorization" not in script.requests[0].headers

    def test_proxy_that_refuses(self, script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy that lets nobody through is named as such, without its password."""
        script.answer = lambda handler: handler.reply(407)
        monkeypatch.setenv("https_proxy", f"me:hush@{HOST}:{script.port}")
        transport = open_fsspec("https://data.invalid/x", {}, timeout_s=5)
        with transport, pytest.raises(RemoteUnavailableError, match=r"(?i)proxy") as caught:
            transport.read("packs/a")
        assert "hush" not in str(caught.value) + str(caught.value.fields)
        assert script.asked[0] == ("CONNECT", "data.invalid:443")


@pytest.fixture
def tls(script: Scripted, tmp_path: Path) -> Iterator[TlsFront]:
    """TLS before the scripted server."""
    try:
        with running(lambda starting: start_tls_front(starting, script.port), TlsFront, tmp_path / "tls") as front:
            yield front
    except ServerMissingError as missing:
        pytest.skip(str(missing))


class TestTls:
    """Whom we trust."""

    def test_unknown_authority(self, script: Scripted, tls: TlsFront) -> None:
        """A certificate that nobody we know has signed is refused, in words, and never tried again."""
        transport = open_fsspec(f"https://localhost:{tls.port}", {}, timeout_s=5)
        with transport, pytest.raises(RemoteUnavailableError, match=r"SSLCert|certificate") as caught:
            transport.read("packs/a")
        assert not caught.value.retryable
        assert not script.requests

    def test_own_authority(self, script: Scripted, tls: TlsFront) -> None:
        """With ``ca_bundle`` it is trusted."""
        script.answer = serve
        options = {"ca_bundle": tls.ca_file, "token": "t"}
        with open_fsspec(f"https://localhost:{tls.port}", options, timeout_s=5) as transport:
            assert transport.read("packs/a") == CONTENT
        assert script.requests[0].headers["Authorization"] == "Bearer t"

    def test_no_way_back_from_tls(self, script: Scripted, other: Scripted, tls: TlsFront) -> None:
        """What was asked for encrypted is not taken from where it is not."""
        script.answer = lambda handler: handler.reply(302, Location=f"{other.url}/packs/a")
        transport = open_fsspec(f"https://localhost:{tls.port}", {"ca_bundle": tls.ca_file}, timeout_s=5)
        with transport, pytest.raises(RemoteUnavailableError, match="not encrypted"):
            transport.read("packs/b")

    def test_no_tls_there(self, script: Scripted) -> None:
        """A server without TLS is named as such."""
        transport = open_fsspec(script.url.replace("http", "https"), {}, timeout_s=5)
        with transport, pytest.raises(RemoteUnavailableError, match=r"SSL|plain http") as caught:
            transport.read("packs/a")
        assert not caught.value.retryable

    def test_no_certificates(self, tmp_path: Path) -> None:
        """A file without certificates is a mistake of the configuration."""
        (tmp_path / "empty.pem").write_text("nothing")
        for path in (tmp_path / "empty.pem", tmp_path / "absent.pem"):
            with pytest.raises(InvalidError, match="certificates"):
                open_fsspec("https://host/x", {"ca_bundle": str(path)}, timeout_s=5)


class TestAddresses:
    """From URLs and options to requests."""

    def test_login_in_the_url(self, script: Scripted) -> None:
        """User and password may stand in the URL; they are in no request line and in no message."""
        url = script.url.replace("http://", "http://ada:hu%40sh@")
        with open_fsspec(url, {}, timeout_s=5) as transport, pytest.raises(KeyNotFoundError) as caught:
            transport.read("packs/a")
        assert script.requests[0].headers["Authorization"] == "Basic YWRhOmh1QHNo"
        assert script.asked == [("GET", "/folder/packs/a")]
        assert "hu" not in str(caught.value).replace("http", "")

    def test_odd_folders(self, script: Scripted) -> None:
        """A folder may have any name, quoted or not."""
        script.answer = serve
        for folder, path in (("My Files", "My%20Files"), ("My%20Files/", "My%20Files"), ("é%2Fb", "%C3%A9%2Fb")):
            with open_fsspec(f"http://{HOST}:{script.port}/{folder}", {}, timeout_s=5) as transport:
                transport.read_range("a", 0, 1)
            assert script.asked[-1] == ("GET", f"/{path}/a")

    @pytest.mark.parametrize(
        ("url", "options"),
        [
            ("http://", {}),
            ("http:///path", {}),
            ("http://host:port/", {}),
            ("http://host/x?key=secret", {}),
            ("http://host/x#part", {}),
            ("http://[::1/x", {}),
            ("http://host/x", {"token": "t", "password": "p"}),
            ("http://host/x", {"token": "a\r\nX-Evil: 1"}),
            ("http://host/x", {"endpoint_url": "x"}),
            ("webdav://", {}),
        ],
    )
    def test_senseless(self, url: str, options: dict[str, str]) -> None:
        """Addresses and options that make no sense are refused before anything is asked."""
        with pytest.raises(InvalidError):
            open_fsspec(url, options, timeout_s=5)
