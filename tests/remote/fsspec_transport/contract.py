"""The contract on stores behind fsspec, with fsspec as the back door."""

from __future__ import annotations

from tests.contracts.transport import PlainTransportContract
from vstore.remote.fsspec_transport.transport import FsspecTransport
from vstore.remote.transport import Transport


class FsspecContract(PlainTransportContract):
    """The contract, with fsspec as the back door."""

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put an object in with the driver itself."""
        assert isinstance(transport, FsspecTransport)
        transport._filesystem.pipe_file(f"{transport._root}/{name}", data)
