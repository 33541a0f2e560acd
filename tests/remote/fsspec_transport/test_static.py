"""Plain HTTP: the contract on what real servers show, and what readers see of an old listing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.transport import TransportContract, keys
from tests.remote.fsspec_transport.scripted import Handler, Scripted, running_script
from tests.servers.nginx import FileServer
from tests.servers.running import HOST, Starting, free_ports, running
from vstore.errors import CorruptError, RemoteDeniedError, RemoteUnavailableError
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.http.static import StaticTransport
from vstore.remote.layout import LISTING
from vstore.remote.listing import listing_to_bytes, refresh_listing
from vstore.remote.transport import Buffer, Key, Listed, Transport
from vstore.remote.wrappers import Wrapper


class Shown(Wrapper):
    """Reads by HTTP what is written into the folder that a server shows."""

    def __init__(self, inner: Transport, folder: Path) -> None:
        super().__init__(inner)
        self.folder = folder
        self._directory = DirectoryTransport(folder)

    def write(self, key: Key, data: Buffer) -> None:
        self._directory.write(key, data)

    def delete(self, key: Key) -> None:
        self._directory.delete(key)


def show(folder: Path, url: str) -> Shown:
    """Open what a server shows of a folder."""
    transport = open_fsspec(url, {}, timeout_s=20)
    assert isinstance(transport, StaticTransport)
    transport._is_place_seen = True  # the contract begins with an empty place, which no remote is
    return Shown(transport, folder)


def start_python(starting: Starting) -> FileServer:
    """Start Python's own web server, which knows no ranges and tells no sizes."""
    folder = starting.folder / "files"
    folder.mkdir()
    [port] = free_ports(1)
    command = (sys.executable, "-m", "http.server", "--bind", HOST, "--directory", folder, str(port))
    starting.start("http.server", *command).wait_for_port(port)
    return FileServer("http.server", port, str(folder))


@pytest.fixture(scope="module")
def python_site(servers_folder: Path) -> Iterator[FileServer]:
    """Python's own web server."""
    with running(start_python, FileServer, servers_folder / "python") as server:
        yield server


class StaticContract(TransportContract):
    """The contract for reading, on what a server shows."""

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put a file into the folder."""
        assert isinstance(transport, Shown)
        path = transport.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class TestNginxPages(StaticContract):
    """The contract, on pages of nginx, which tell the minute of each file."""

    clock_slack_s = 61.0

    @pytest.fixture
    def transport(self, static_site: FileServer) -> Iterator[Transport]:
        """A fresh folder."""
        url = static_site.new_place().url
        with show(Path(static_site.folder, url.rpartition("/")[2]), url) as transport:
            yield transport


class TestNginxJson(StaticContract):
    """The contract, on lists that nginx makes in JSON."""

    @pytest.fixture
    def transport(self, static_site: FileServer) -> Iterator[Transport]:
        """A fresh folder."""
        if not static_site.label.startswith("nginx"):
            pytest.skip("nginx is not installed: its listings in JSON were not tested (apt-get install nginx-light)")
        url = static_site.new_place().url
        name = url.rpartition("/")[2]
        with show(Path(static_site.folder, name), f"http://{HOST}:{static_site.port}/json/{name}") as transport:
            yield transport


class TestPython(StaticContract):
    """The contract, on Python's own web server."""

    @pytest.fixture
    def transport(self, python_site: FileServer) -> Iterator[Transport]:
        """A fresh folder."""
        url = python_site.new_place().url
        with show(Path(python_site.folder, url.rpartition("/")[2]), url) as transport:
            yield transport


def test_nothing_is_written(static_site: FileServer) -> None:
    """Writing and deleting are refused at once, in one line that says why."""
    with open_fsspec(static_site.new_place().url, {}, timeout_s=20) as transport:
        for change in (
            lambda: transport.write("packs/a", b"x"),
            lambda: transport.write_if_absent("packs/a", b"x"),
            lambda: transport.delete("packs/a"),
        ):
            with pytest.raises(RemoteDeniedError, match="plain HTTP, which is read-only"):
                change()


def test_wrong_address_is_no_empty_remote(static_site: FileServer) -> None:
    """A folder without a remote in it, and one that is not there, are named rather than taken for empty."""
    place = static_site.new_place()
    for url in (place.url, f"{place.url}/nowhere"):
        with open_fsspec(url, {}, timeout_s=20) as transport, pytest.raises(RemoteUnavailableError, match="no remote"):
            list(transport.list("commits/"))
    place.plant("format.json", b"{}")
    with open_fsspec(place.url, {}, timeout_s=20) as transport:
        assert keys(transport, "commits/") == []


@pytest.fixture
def script() -> Iterator[Scripted]:
    """A server that answers as the test wants."""
    with running_script() as script:
        yield script


class TestListing:
    """The hint that whoever pushes leaves for readers that cannot list."""

    @pytest.fixture
    def folder(self, static_site: FileServer) -> Shown:
        """A folder that is shown, with a commit, a pack and a listing of them."""
        url = static_site.new_place().url
        shown = show(Path(static_site.folder, url.rpartition("/")[2]), url)
        for key in ("commits/p/one.json", "packs/one", "format.json"):
            shown.write(key, key.encode())
        refresh_listing(DirectoryTransport(shown.folder))
        return shown

    def test_believed_before_pages(self, folder: Shown) -> None:
        """What the listing names is listed, with exact sizes and dates; what came later is not."""
        folder.write("packs/two", b"2")
        assert keys(folder, "packs/") == ["packs/one"]
        assert keys(folder, "") == ["commits/p/one.json", "format.json", "packs/one"]
        [entry] = folder.list("packs/")
        assert entry.size_bytes == 9 and abs(entry.modified_s - time.time()) < 60
        assert folder.read("packs/two") == b"2"

    def test_is_fresh(self, folder: Shown) -> None:
        """A listing that is written anew is seen by the next question of the same reader."""
        assert keys(folder, "commits/") == ["commits/p/one.json"]
        assert keys(folder, "commits/") == ["commits/p/one.json"]
        folder.write("commits/p/two.json", b"2")
        refresh_listing(DirectoryTransport(folder.folder))
        assert keys(folder, "commits/") == ["commits/p/one.json", "commits/p/two.json"]
        folder.delete(LISTING)
        assert LISTING not in keys(folder, "packs/")

    def test_sent_once(self, script: Scripted) -> None:
        """One that did not change is not sent again."""
        listing = listing_to_bytes([Listed("packs/a", 1, 5.0)])

        def answer(handler: Handler) -> None:
            known = handler.headers.get("If-None-Match")
            if known == '"tag"':
                handler.reply(304)
            else:
                handler.reply(200, listing, ETag='"tag"')

        script.answer = answer
        with open_fsspec(script.url, {}, timeout_s=20) as transport:
            assert list(transport.list("packs/")) == list(transport.list("")) == [("packs/a", 1, 5.0)]
        assert script.asked == [("GET", "/folder/listing.json")] * 2
        assert "If-None-Match" in script.requests[1].headers

    @pytest.mark.parametrize("damage", [b"", b"{}", b"<html>", b'{"objects":[],"version":2,"checksum":"x"}'])
    def test_damaged_one_is_passed_over(self, folder: Shown, damage: bytes) -> None:
        """Where the server lists folders itself, nobody needs a listing that cannot be read."""
        folder.write(LISTING, damage)
        folder.write("packs/two", b"2")
        assert keys(folder, "packs/") == ["packs/one", "packs/two"]

    def test_damaged_one_is_named(self, script: Scripted) -> None:
        """Where there is nothing else, it is what is wrong."""
        script.answer = lambda handler: handler.reply(200 if handler.path.endswith(LISTING) else 403, b"{}")
        transport = open_fsspec(script.url, {}, timeout_s=20)
        with transport, pytest.raises(CorruptError, match=r"listing\.json"):
            list(transport.list("packs/"))
