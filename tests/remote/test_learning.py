"""Learning where records lie: the right index objects are read, the others are not, and none has to be good."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.synthetic import PagedLog, Shape, SyntheticTransport, files_of, large_root, slice_of
from tests.remote.world import Machine
from vstore.remote.layout import INDEX
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Key

_SHAPE = Shape(packs=600, packs_of_root=200, indexes=2)


@pytest.fixture
def log() -> PagedLog:
    """A bucket with two long index objects that bear the names of strange sessions."""
    transport = SyntheticTransport(MemoryTransport(), _SHAPE)
    transport.fill()
    return PagedLog(transport)


def read_whole(log: PagedLog) -> list[Key]:
    """The index objects that were read whole since the last call."""
    read = [request.key for request in log.requests if (request.operation, request.key[:6]) == ("read", INDEX)]
    log.requests.clear()
    return read


def test_only_what_tells_of_the_packs_is_read(log: PagedLog, tmp_path: Path) -> None:
    """Of two long index objects that which names the packs of a root is read, and the other's beginning only."""
    bob = Machine(tmp_path, log)
    wanted = files_of(_SHAPE, 0, 500)
    assert not bob.remote.fetch(wanted, bob.shelf, roots=[large_root(0)]).missing
    (first,) = read_whole(log)
    wanted = files_of(_SHAPE, 400, 500)
    assert not bob.remote.fetch(wanted, bob.shelf, roots=[large_root(400)]).missing
    (second,) = read_whole(log)
    assert first != second


def test_held_index_of_a_strange_session_is_used(log: PagedLog, tmp_path: Path) -> None:
    """What this machine holds is looked into, also where the name says nothing: that takes no request."""
    bob = Machine(tmp_path, log)
    bob.remote.fetch(files_of(_SHAPE, 0, 10), bob.shelf, roots=[large_root(0)])
    log.requests.clear()
    bob.remote.fetch(files_of(_SHAPE, 0, 20), bob.shelf, roots=[large_root(0)])
    assert [request.operation for request in log.requests] == ["list", "read_range"]


def test_few_packs_are_asked_themselves(log: PagedLog, tmp_path: Path) -> None:
    """A root in one pack costs that pack's end and no index, however many there are; the end is remembered."""
    log.inner = SyntheticTransport(MemoryTransport(), Shape(packs=100, packs_of_root=1, commits=1, indexes=10))
    log.inner.fill()
    bob = Machine(tmp_path, log)
    for requests in (["list", "read", "list", "read_range", "read_range", "read_range"], ["list", "read_range"]):
        bob.remote.fetch(files_of(log.inner.shape, 50, 10), bob.shelf, roots=[large_root(50)])
        assert [request.operation for request in log.requests] == requests
        log.requests.clear()
        bob.shelf.contents.clear()


@pytest.mark.parametrize("position", [0, 13, 16, 20, 24, 30, 5000, -20, -1])
def test_damaged_index_costs_requests_only(log: PagedLog, tmp_path: Path, position: int) -> None:
    """Whatever byte of an index object is wrong, also in what was read alone: everything is found by the packs."""
    for listed in list(log.inner.list(INDEX)):
        data = bytearray(log.inner.read(listed.key))
        data[position] ^= 1
        log.inner.write(listed.key, data)
    bob = Machine(tmp_path, log)
    report = bob.fetch(slice_of(_SHAPE))
    assert not report.missing and not report.damaged
