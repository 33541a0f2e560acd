"""WebDAV: the contract on real servers, and what they answer when something is wrong."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.transport import PlainTransportContract, keys
from tests.remote.fsspec_transport.scripted import Handler, Scripted, running_script
from tests.servers.nginx import FileServer
from tests.servers.place import Place
from tests.servers.running import ServerMissingError
from tests.servers.web import running_wsgidav
from vstore.errors import NoSpaceError, RemoteDeniedError, RemoteUnavailableError, UnavailableError
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.transport import Transport
from vstore.remote.wrappers import RetryingTransport


@pytest.fixture(scope="module")
def wsgidav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """A WebDAV server that writes straight into files."""
    try:
        with running_wsgidav(tmp_path_factory.mktemp("wsgidav")) as server:
            yield server
    except ServerMissingError as missing:
        pytest.skip(str(missing))


def open_dav(server: FileServer, place: Place, **options: str) -> Transport:
    """Open a place of a WebDAV server as a user would."""
    url = place.url.replace("http://", "webdav://")
    return open_fsspec(url, {"user": server.username, "password": server.password, **options}, timeout_s=20)


class WebdavContract(PlainTransportContract):
    """The contract, with the server's own folder as the back door."""

    shows_leftovers = True

    @pytest.fixture
    def server(self) -> FileServer:
        """The server."""
        raise NotImplementedError

    @pytest.fixture
    def place(self, server: FileServer) -> Place:
        """An empty folder."""
        return server.new_place()

    @pytest.fixture
    def transport(self, server: FileServer, place: Place) -> Iterator[Transport]:
        """An open transport to that folder."""
        self._plant = place.plant
        with open_dav(server, place) as transport:
            yield transport

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put a file into the folder."""
        self._plant(name, data)


class TestNginx(WebdavContract):
    """The contract, on nginx, which lists no name that begins with a dot."""

    shows_leftovers = False

    @pytest.fixture
    def server(self, webdav: FileServer) -> FileServer:
        """The server."""
        return webdav


class TestWsgidav(WebdavContract):
    """The contract, on WsgiDAV; not its replacing: it deletes the old file before it moves the new one.

    It stumbles where it lists what somebody else deletes, so it is asked again, as it always is.
    """

    test_readers_never_see_half_a_write = None  # type: ignore[assignment]

    @pytest.fixture
    def server(self, wsgidav: FileServer) -> FileServer:
        """The server."""
        return wsgidav

    @pytest.fixture
    def transport(self, server: FileServer, place: Place) -> Iterator[Transport]:
        """An open transport that tries again."""
        self._plant = place.plant
        with RetryingTransport(open_dav(server, place), pause_s=0) as transport:
            yield transport


class TestPlaces:
    """The folder itself, which somebody may not have made yet."""

    def test_made_by_the_first_write(self, webdav: FileServer) -> None:
        """A folder that is not there is said not to be, and made by the first write below one that is there."""
        place = webdav.new_place()
        below = Place(f"{place.url}/new", place.options, place.plant)
        with open_dav(webdav, below) as transport:
            assert not transport.has_place()
            with pytest.raises(RemoteUnavailableError, match="does not exist"):
                list(transport.list("packs/"))
            transport.write("commits/p/a.json", b"x")
            assert transport.has_place()
            assert keys(transport, "") == ["commits/p/a.json"]

    def test_never_made_below_what_is_absent(self, webdav: FileServer) -> None:
        """Where the folder above is absent too, the address is probably wrong."""
        place = webdav.new_place()
        transport = open_dav(webdav, Place(f"{place.url}/no/where", place.options, place.plant))
        with transport, pytest.raises(RemoteUnavailableError, match="does not exist"):
            transport.write("packs/a", b"x")

    def test_wrong_password(self, webdav: FileServer) -> None:
        """A password that is refused is a denial, of whatever is asked, and stands in no error."""
        with open_dav(webdav, webdav.new_place(), password="hush") as transport:
            for ask in (
                transport.has_place,
                lambda: list(transport.list("packs/")),
                lambda: transport.read("packs/a"),
                lambda: transport.find_size("packs/a"),
                lambda: transport.write("packs/a", b"x"),
                lambda: transport.delete("packs/a"),
            ):
                with pytest.raises(RemoteDeniedError) as caught:
                    ask()
                assert "hush" not in str(caught.value) + str(caught.value.fields)

    def test_no_webdav_there(self, static_site: FileServer) -> None:
        """A plain web server is named as such."""
        with open_dav(static_site, static_site.new_place()) as transport:
            with pytest.raises(RemoteUnavailableError, match="does not speak WebDAV"):
                list(transport.list("packs/"))
            with pytest.raises((RemoteUnavailableError, RemoteDeniedError)):
                transport.write("packs/a", b"x")

    def test_folder_is_never_deleted(self, webdav: FileServer) -> None:
        """A key that turns out to be a folder is not deleted with all that is in it."""
        with open_dav(webdav, webdav.new_place()) as transport:
            transport.write("commits/p/a.json", b"x")
            with contextlib.suppress(RemoteUnavailableError):
                transport.delete("commits")
            assert keys(transport, "") == ["commits/p/a.json"]

    def test_folder_that_is_gone_again(self, webdav: FileServer) -> None:
        """Somebody who tidies up empty folders costs an attempt, no more."""
        place = webdav.new_place()
        with RetryingTransport(open_dav(webdav, place), pause_s=0) as transport:
            transport.write("intents/a.json", b"x")
            transport.delete("intents/a.json")
            Path(webdav.folder, place.url.rpartition("/")[2], "intents").rmdir()
            transport.write("intents/b.json", b"x")
            assert keys(transport, "") == ["intents/b.json"]


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A server that answers as the test wants."""
    with running_script() as script:
        yield script


def open_script(script: Scripted, *, timeout_s: float = 20) -> Transport:
    """Open the folder of a scripted server."""
    return open_fsspec(script.url.replace("http://", "webdav://"), {}, timeout_s=timeout_s)


def tell(*entries: tuple[str, int | None]) -> bytes:
    """Make the answer to PROPFIND: paths, with sizes of files and None for folders."""
    told = "".join(
        f"<D:response><D:href>{path}</D:href><D:propstat><D:prop>"
        + ("<D:resourcetype><D:collection/></D:resourcetype>" if size is None else "<D:resourcetype/>")
        + ("" if size is None else f"<D:getcontentlength>{size}</D:getcontentlength>")
        + "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
        for path, size in entries
    )
    return f'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">{told}</D:multistatus>'.encode()


class TestLies:
    """Servers that answer PROPFIND as they like."""

    def listed(self, script: Scripted, answer: bytes) -> list[str]:
        """Return the keys that are listed in packs/."""

        def reply(handler: Handler) -> None:
            handler.read_body()
            handler.reply(207, answer)

        script.answer = reply
        with open_script(script) as transport:
            return keys(transport, "packs/")

    def test_only_direct_children_count(self, script: Scripted) -> None:
        """What lies elsewhere, or has a name that is not ours, is nobody's object."""
        paths = ["/folder/packs/../a", "/folder/a", "/folder/packs/b/c", "/folder/packs/%2e%2e", "/folder/packs/A"]
        paths += ["/folder/packs/a%2fb", "folder/packs/a", "", "//evil.invalid/folder/packs", "/folder/packs/x%00"]
        entries = [("/folder/packs/", None), *((path, 1) for path in paths), ("/folder/packs/good", 1)]
        assert self.listed(script, tell(*entries)) == ["packs/good"]

    def test_whole_addresses(self, script: Scripted) -> None:
        """Addresses may be whole or begin at the root, quoted in any way."""
        entries = [("http://other/folder/packs", None), ("http://other/folder/packs/%61", 1), ("/folder/pack%73/b", 1)]
        assert self.listed(script, tell(*entries)) == ["packs/a", "packs/b"]

    @pytest.mark.parametrize(
        "answer",
        [
            tell(("/elsewhere/packs/", None), ("/elsewhere/packs/a", 1)),
            tell(("/folder/packs/", None), ("/folder/packs/a", 1))[:-30],
            tell(("/folder/packs/", None)).replace(b"<D:m", b'<!DOCTYPE x [<!ENTITY a "b">]><D:m', 1),
            tell(("/folder/packs/", None), ("/folder/packs/a" + "a" * 100_000, 1)),
            b"<a>" * 100_000,
            b"<html><body>Welcome</body></html>" * 2,
            b"",
            b"\xff\xfe\x00",
        ],
    )
    def test_no_answer_is_no_empty_folder(self, script: Scripted, answer: bytes) -> None:
        """What tells of another folder, breaks off, or is no such answer at all, is an error."""
        with pytest.raises(RemoteUnavailableError):
            self.listed(script, answer)

    def test_answer_about_nothing(self, script: Scripted) -> None:
        """An answer that tells about nothing says nothing about what is there: the folder itself would be in it."""
        with pytest.raises(RemoteUnavailableError):
            self.listed(script, tell())

    def test_size_that_is_not_told(self, script: Scripted) -> None:
        """A file of which no size is told is not passed over."""
        entries = tell(("/folder/packs/", None), ("/folder/packs/a", 1)).replace(b"getcontentlength", b"x")
        with pytest.raises(RemoteUnavailableError):
            self.listed(script, entries)


class TestWriting:
    """What servers do to what is written."""

    def write(self, script: Scripted, *, kept_bytes: int = 3, put: int = 201, move: int = 201) -> None:
        """Write three bytes to a server that answers with these statuses, and says that it kept so many."""

        def answer(handler: Handler) -> None:
            handler.read_body()
            if handler.command == "PROPFIND":
                handler.reply(207, tell((handler.path, kept_bytes)))
            else:
                handler.reply({"PUT": put, "MOVE": move, "MKCOL": 405, "DELETE": 204}[handler.command])

        script.answer = answer
        with open_script(script) as transport:
            transport.write("packs/a", b"abc")

    def test_all_or_nothing(self, script: Scripted) -> None:
        """It is written aside, looked at, and moved into place."""
        self.write(script)
        methods = [method for method, _ in script.asked]
        assert methods == ["MKCOL", "PUT", "PROPFIND", "MOVE"]
        put, look, move = script.requests[1:]
        assert put.path == look.path == move.path != "/folder/packs/a"
        assert put.path.startswith("/folder/packs/.vstore-tmp-")
        assert move.headers["Destination"] == f"{script.url}/packs/a"
        assert move.headers["Overwrite"] == "T"

    @pytest.mark.parametrize(
        ("told", "error", "retryable"),
        [
            ({"kept_bytes": 2}, RemoteUnavailableError, True),
            ({"put": 507}, NoSpaceError, False),
            ({"put": 423}, RemoteUnavailableError, True),
            ({"put": 413}, RemoteUnavailableError, False),
            ({"put": 405}, RemoteDeniedError, False),
            ({"put": 403}, RemoteDeniedError, False),
            ({"put": 409}, RemoteUnavailableError, True),
            ({"put": 503}, RemoteUnavailableError, True),
            ({"move": 423}, RemoteUnavailableError, True),
            ({"move": 403}, RemoteDeniedError, False),
            ({"move": 207}, RemoteUnavailableError, False),
            ({"move": 502}, RemoteUnavailableError, True),
            ({"move": 507}, NoSpaceError, False),
        ],
    )
    def test_refusals(
        self, script: Scripted, told: dict[str, int], error: type[UnavailableError], retryable: bool
    ) -> None:
        """Each refusal is what it is, and what was written aside is taken away."""
        with pytest.raises(error) as caught:
            self.write(script, **told)
        assert caught.value.retryable is retryable
        assert script.asked[-1][0] == "DELETE"
        assert ".vstore-tmp-" in script.asked[-1][1]

    def test_server_that_takes_nothing(self, script: Scripted) -> None:
        """An upload of which no byte is taken is given up, and may be tried again."""
        script.answer = lambda handler: script.closing.wait(20) if handler.command == "PUT" else handler.reply(405)
        began_s = time.monotonic()
        with open_script(script, timeout_s=0.5) as transport, pytest.raises(RemoteUnavailableError) as caught:
            transport.write("packs/a", bytes(64 << 20))
        assert caught.value.retryable
        assert time.monotonic() - began_s < 10
