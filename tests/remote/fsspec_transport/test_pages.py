"""Pages that list folders: what they mean, and what hostile ones must not do."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.remote.fsspec_transport.scripted import Handler, Scripted, running_script
from vstore.errors import RemoteDeniedError, RemoteUnavailableError
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.http import pages, static
from vstore.remote.fsspec_transport.http import transport as reading
from vstore.remote.transport import Listed


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A server that answers as the test wants."""
    with running_script() as script:
        yield script


class TestPages:
    """What pages of servers mean, and what they must not do."""

    def listed(self, script: Scripted, page: str, prefix: str = "packs/") -> list[Listed]:
        """Return what is listed where a folder has this page; every object has 7 bytes."""

        def answer(handler: Handler) -> None:
            if handler.command == "HEAD":
                handler.reply(200, b"1234567")
            elif handler.path == f"/folder/{prefix}":
                handler.reply(200, page.encode(), Content_Type="text/html")
            else:
                handler.reply(404)

        script.answer = answer
        with open_fsspec(script.url, {}, timeout_s=20) as transport:
            return list(transport.list(prefix))

    def test_apache(self, script: Scripted) -> None:
        """Of Apache's pages the names are believed, and its rounded sizes are not."""
        page = """<html><head><title>Index of /folder/packs</title></head><body><h1>Index of /folder/packs</h1>
<pre><a href="?C=N;O=D">Name</a> <a href="?C=M;O=A">Last modified</a> <a href="?C=S;O=A">Size</a><hr>
<a href="/folder/">Parent Directory</a>                             -
<a href="a.vpack">a.vpack</a>             2026-11-27 19:07  1.2M
<a href="b.vpack">b.vpack</a>             2026-11-27 19:07   12
</pre></body></html>"""
        assert [entry[:2] for entry in self.listed(script, page)] == [("packs/a.vpack", 7), ("packs/b.vpack", 7)]

    def test_nginx(self, script: Scripted) -> None:
        """Of nginx's pages bytes are believed, and what it rounds is asked for."""
        page = (
            "<html><head><title>Index of /folder/packs/</title></head><body><h1>Index of /folder/packs/</h1><hr><pre>"
            '<a href="../">../</a>\r\n'
            '<a href="a">a</a>                                     27-Nov-2026 18:45                1234\r\n'
            '<a href="b">b</a>                                     27-Nov-2026 18:45                  2M\r\n'
            '<a href="c">c</a>                                     99-Nov-2026 18:45                   5\r\n'
            "</pre><hr></body></html>\r\n"
        )
        date = datetime(2026, 11, 27, 18, 45, tzinfo=UTC).timestamp()
        expected = [("packs/a", 1234, date), ("packs/b", 7, math.inf), ("packs/c", 5, math.inf)]
        assert self.listed(script, page) == expected

    def test_only_direct_children_count(self, script: Scripted) -> None:
        """Links that lead elsewhere, in whatever disguise, are nobody's objects, and are not even asked about."""
        links = [
            "../a", "../packs/../a", "/a", "/folder/a", "//evil.invalid/folder/packs/a",
            "http://evil.invalid/folder/packs/a",
            "%2e%2e/a", "..%2fa", "a%2fb", "a/b", "./../a", "%2e%2e", "..", ".", "./", "", "#a", "?a", "a?b", "a#b",
            "A", "javascript:a", "file:///a", "a\\b", "a%00b", "a%0ab", ".hidden", "http://[x/a", "x" * 9000,
            "a&#47;b", "&#46;&#46;/a",
        ]  # fmt: skip
        page = "<title>Index of /</title>" + "".join(f'<a href="{link}">x</a>\n' for link in [*links, "good"])
        assert [entry.key for entry in self.listed(script, page)] == ["packs/good"]
        assert {path for method, path in script.asked if method == "HEAD"} == {"/folder/packs/good"}

    def test_links_of_any_form(self, script: Scripted) -> None:
        """Names may be relative, absolute, quoted or not, and have other attributes before them."""
        links = [
            "<a href=one>", "<A HREF='two'>", '<a class="x" href="./three" title="y">', '<a href="/folder/packs/four">',
            f'<a href="{script.url}/packs/five">', '<a href="%73ix">',
        ]  # fmt: skip
        found = {entry.key for entry in self.listed(script, "\n".join(links))}
        assert found == {f"packs/{name}" for name in ("one", "two", "three", "four", "five", "six")}

    @pytest.mark.parametrize(
        "page",
        ["", "<h1>Welcome</h1>", "<a href='/login'>log in</a>", "{}", "[1]", '[{"name": 1}]', "\0" * 1000, "[" * 9999],
    )
    def test_page_that_is_no_listing(self, script: Scripted, page: str) -> None:
        """A greeting or a form to log in is not an empty folder."""
        with pytest.raises(RemoteUnavailableError, match=r"no listing\.json and does not list"):
            self.listed(script, page)

    def test_refused_page(self, script: Scripted) -> None:
        """A server that shows files and no folders, and no listing.json, is named as such."""
        for status in (403, 404):
            script.answer = lambda handler, status=status: handler.reply(status if "json" in handler.path else 403)
            transport = open_fsspec(script.url, {}, timeout_s=20)
            with transport, pytest.raises(RemoteUnavailableError) as caught:
                list(transport.list("packs/"))
            assert "no listing.json and does not list what is in packs/" in str(caught.value)
            assert not caught.value.retryable
        script.answer = lambda handler: handler.reply(401)
        with open_fsspec(script.url, {}, timeout_s=20) as transport, pytest.raises(RemoteDeniedError):
            list(transport.list("packs/"))

    def test_page_without_end(self, script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page that does not end is not read into memory."""
        monkeypatch.setattr(static, "_MOST_PAGE_BYTES", 1 << 20)
        script.answer = lambda handler: (
            handler.reply(404) if handler.path.endswith("json") else handler.reply_without_end(200)
        )
        with open_fsspec(script.url, {}, timeout_s=20) as transport, pytest.raises(RemoteUnavailableError):
            list(transport.list("packs/"))

    def test_folders_without_end(self, script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """Folders in folders, of which each has more, end in an error."""
        monkeypatch.setattr(reading, "_MOST_FOLDERS", 50)
        page = b"<title>Index of /</title><a href='a/'>a</a><a href='b/'>b</a><a href='c/'>c</a>"
        script.answer = lambda handler: handler.reply(404 if handler.path.endswith("json") else 200, page)
        transport = open_fsspec(script.url, {}, timeout_s=20)
        with transport, pytest.raises(RemoteUnavailableError, match="without end"):
            list(transport.list(""))

    @pytest.mark.parametrize(
        "piece", ["<a ", '<a href="', "<a href='", "<a href=", "<", "<a href='a' ", "<a>" + " " * 50, "<title>", "&#"]
    )
    def test_hostile_pages_take_no_time(self, piece: str) -> None:
        """A page that is made to be slow to read takes hardly longer than another one."""
        began_s = time.process_time()
        pages.parse_listing((piece * (4_000_000 // len(piece))).encode(), "http://host/folder/")
        assert time.process_time() - began_s < 4
