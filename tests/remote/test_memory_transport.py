"""The reference transport keeps the contract that it is the reference of."""

from __future__ import annotations

import pytest

from tests.contracts.transport import WriteIfAbsentContract
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Transport


class OpenMemory(MemoryTransport):
    """With a back door."""

    def plant(self, name: str, data: bytes) -> None:
        """Put an object in."""
        self._objects[name] = (data, 0.0)


class TestMemoryTransport(WriteIfAbsentContract):
    """The contract, on the reference."""

    @pytest.fixture
    def transport(self) -> Transport:
        """An empty place in memory."""
        return OpenMemory()

    # Nobody else can put anything into our memory.
    test_strangers_are_not_listed = None

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put an object in, whatever its name."""
        assert isinstance(transport, OpenMemory)
        transport.plant(name, data)


def test_clock_dates_what_is_written() -> None:
    """The dates of a listing come from the injected clock, and a replaced object is young again."""
    now_s = 1000.0
    transport = MemoryTransport(clock=lambda: now_s)
    transport.write("a", b"x")
    transport.write("b", b"x")
    now_s = 2000.0
    transport.write("b", b"y")
    assert [(entry.key, entry.modified_s) for entry in transport.list("")] == [("a", 1000.0), ("b", 2000.0)]


def test_listing_is_of_one_moment() -> None:
    """A listing shows what was there when it was asked for, and writers may go on meanwhile."""
    transport = MemoryTransport()
    transport.write("a", b"")
    listing = transport.list("")
    transport.write("b", b"")
    assert [entry.key for entry in listing] == ["a"]
