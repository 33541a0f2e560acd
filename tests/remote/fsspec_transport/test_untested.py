"""Protocols that fsspec knows and we do not: what can be promised all the same, on the example of FTP."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.transport import PlainTransportContract
from tests.project import Project
from tests.servers.sftp import plant_file
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.transport import Transport


@pytest.fixture(scope="module")
def ftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of an FTP server, and its folder."""
    servers = pytest.importorskip("pyftpdlib.servers", reason="pyftpdlib is not installed: ftp:// was not tested")
    handlers = pytest.importorskip("pyftpdlib.handlers")
    authorizers = pytest.importorskip("pyftpdlib.authorizers")
    folder = tmp_path_factory.mktemp("ftp")
    authorizer = authorizers.DummyAuthorizer()
    authorizer.add_user("ada", "pw", str(folder), perm="elradfmwMT")
    handler = type("Handler", (handlers.FTPHandler,), {"authorizer": authorizer})
    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    server = servers.FTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.05, "handle_exit": False}, daemon=True)
    thread.start()
    yield f"ftp://ada:pw@127.0.0.1:{server.address[1]}", folder
    server.close_all()
    thread.join(5)


class TestFtp(PlainTransportContract):
    """The contract, on FTP, whose driver has one connection for all threads.

    Not that a file is no folder: FTP lists it as one that holds itself.
    """

    test_listing_of_an_absent_folder_is_empty = None  # type: ignore[assignment]

    @pytest.fixture
    def transport(self, ftp: tuple[str, Path], tmp_path: Path) -> Iterator[Transport]:
        """An empty folder of the server."""
        url, folder = ftp
        self._folder = folder / tmp_path.name
        self._folder.mkdir()
        with open_fsspec(f"{url}/{tmp_path.name}", {}, timeout_s=20) as transport:
            yield transport

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put a file into the folder itself."""
        plant_file(self._folder, name, data)

    def test_listing_tells_size_and_date(self, transport: Transport) -> None:
        """A listing carries each size; of a date in words that nobody knows it is not said that it is old."""
        transport.write("a", b"12345")
        assert list(transport.list("")) == [("a", 5, math.inf)]


def test_push_and_pull(project: Project, ftp: tuple[str, Path]) -> None:
    """Data goes there and comes back, with a warning each time."""
    url, folder = ftp
    project.add_data()
    project.ok("remote", "add", "-d", "old", f"{url}/store")
    assert "none that vstore is tested with" in project.ok("push").stderr
    assert (folder / "store/format.json").is_file()
    project.commit()
    clone = project.clone()
    clone.ok("config", "set", "--local", "remote.old.url", f"{url}/store")  # its password is in no commit
    assert "none that vstore is tested with" in clone.ok("pull").stderr
    assert clone.read("model.bin") == project.read("model.bin")
