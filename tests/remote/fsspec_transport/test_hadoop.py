"""HDFS: the contract over HTTP and by its own protocol, and what its servers answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.transport import PlainTransportContract
from tests.servers.place import Place
from tests.servers.webhdfs import WebHdfsServer, running_webhdfs
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.transport import Transport


class PlaceContract(PlainTransportContract):
    """The contract, on a new place of a server."""

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
