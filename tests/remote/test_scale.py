"""A large bucket costs those who push and pull a little about what they ask, whatever else it holds.

``tests/benchmarks/bench_scale.py`` measures the same on one that is a hundred times larger.
"""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.synthetic import PagedLog, Shape, SyntheticTransport, files_of, large_root, quiet_machine, slice_of
from tests.remote.world import Machine, noise
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.layout import INDEX, tombstone_key
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Key, Listed, Transport
from vstore.remote.wrappers import Wrapper

_MANY_ENTRIES = Shape(packs=1_000, packs_of_root=200, indexes=3)
_MANY_PACKS = Shape(packs=20_000, files_in_pack=4)


@pytest.fixture(scope="module")
def many_entries(tmp_path_factory: pytest.TempPathFactory) -> SyntheticTransport:
    """A bucket of 1,000 packs with 100,000 entries, whose reads take memory of their own."""
    transport = SyntheticTransport(DirectoryTransport(tmp_path_factory.mktemp("bucket")), _MANY_ENTRIES)
    transport.fill()
    return transport


@pytest.fixture(scope="module")
def many_packs() -> SyntheticTransport:
    """A bucket of 20,000 packs."""
    transport = SyntheticTransport(MemoryTransport(), _MANY_PACKS)
    transport.fill()
    return transport


def requests(log: PagedLog) -> Counter[str]:
    """Count the requests since the last call by operation and folder."""
    made = Counter(f"{request.operation} {request.key.partition('/')[0]}" for request in log.requests)
    log.requests.clear()
    return made


class _PlainTransport(Wrapper):
    """One that lists whole folders only."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.lists_beginnings = False


def test_nothing_to_push_lists_the_sessions_in_question(many_packs: SyntheticTransport, tmp_path: Path) -> None:
    """Where all packs would take twenty requests to list, those of one session are listed; so it is for status."""
    log = PagedLog(many_packs)
    ada = Machine(tmp_path, log)
    root = slice_of(_MANY_PACKS)
    assert ada.remote.plan_push([root]).is_empty
    assert requests(log) == {"list commits": 1, "read commits": 4, "list doomed": 1, "list_beginning packs": 1}
    assert not ada.remote.missing_roots([root.digest, large_root(0), large_root(5000)])
    assert requests(log) == {"list commits": 1, "list doomed": 1, "list_beginning packs": 2}


def test_nothing_to_push_asks_for_the_packs_in_question(many_packs: SyntheticTransport, tmp_path: Path) -> None:
    """Where a store lists nothing but whole folders, a few packs are asked for one by one, and many are listed."""
    log = PagedLog(_PlainTransport(many_packs))
    ada = Machine(tmp_path, log)
    assert ada.remote.plan_push([slice_of(_MANY_PACKS)]).is_empty
    assert requests(log) == {"list commits": 1, "read commits": 4, "list doomed": 1, "find_size packs": 10}
    assert not ada.remote.missing_roots([large_root(0)])
    assert requests(log) == {"list commits": 1, "list doomed": 1, "list packs": 20}


@pytest.mark.parametrize("wrap", [SyntheticTransport, _PlainTransport])
def test_lost_pack_is_seen_without_a_listing(
    wrap: type[Wrapper], many_packs: SyntheticTransport, tmp_path: Path
) -> None:
    """A pack that is gone, doomed or of another length makes its root missing, however it is looked for."""
    inner = _copy(many_packs)
    lossy = Lossy(SyntheticTransport(inner, _MANY_PACKS))
    machine = Machine(tmp_path, lossy if wrap is SyntheticTransport else _PlainTransport(lossy))
    wanted = slice_of(_MANY_PACKS).digest
    for size_bytes in (None, 1):
        lossy.sizes = {many_packs.key(3): size_bytes}
        assert machine.remote.missing_roots([wanted]) == {wanted}
    lossy.sizes = {many_packs.key(11): None}
    assert not machine.remote.missing_roots([wanted])
    inner.write(tombstone_key(many_packs.key(3)), b"")
    assert machine.remote.missing_roots([wanted]) == {wanted}


class Lossy(Wrapper):
    """Has some objects in another length than they had, or no more."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.sizes: dict[Key, int | None] = {}

    def find_size(self, key: Key) -> int | None:
        return self.sizes[key] if key in self.sizes else self.inner.find_size(key)

    def list(self, prefix: str) -> Iterator[Listed]:
        return self._lose(self.inner.list(prefix))

    def list_beginning(self, start: str) -> Iterator[Listed]:
        return self._lose(self.inner.list_beginning(start))

    def _lose(self, listing: Iterator[Listed]) -> Iterator[Listed]:
        for listed in listing:
            size_bytes = self.sizes.get(listed.key, listed.size_bytes)
            if size_bytes is not None:
                yield listed._replace(size_bytes=size_bytes)


def test_push_of_a_little_takes_few_requests(many_packs: SyntheticTransport, tmp_path: Path) -> None:
    """Files of which some are there cost the indexes once, and then a pack and a dozen requests."""
    log = PagedLog(SyntheticTransport(_copy(many_packs), _MANY_PACKS))
    ada = quiet_machine(tmp_path, log)
    for seed in range(2):
        root = ada.add({f"{number}": noise(500, 10 * seed + number) for number in range(10)}, f"data-{seed}")
        root = root._replace(contents=[*root.contents, *files_of(_MANY_PACKS, 7, 30)])
        assert ada.push(root).records == 11
        made = requests(log)
        assert made.pop("list_beginning packs") == 2  # the session relied upon, before and after
        assert made.pop("find_size packs") == 1  # the pack that was pushed
        assert made.pop("read index", 0) == (0 if seed else 10)
        assert made.pop("read commits") == (1 if seed else 5)  # its own, to see that it was kept
        assert made.total() <= 13
        assert "list packs" not in made


def test_pull_of_a_little_reads_a_little(many_entries: SyntheticTransport, tmp_path: Path) -> None:
    """A root in ten packs costs their ends and their bytes; of the indexes of everything else it reads nothing."""
    log = PagedLog(many_entries)
    bob = Machine(tmp_path, log)
    root = slice_of(_MANY_ENTRIES)
    index_bytes = sum(listed.size_bytes for listed in log.inner.list(INDEX))
    tracemalloc.start()
    try:
        assert not bob.fetch(root).missing
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < index_bytes
    read_bytes = log.read_bytes
    made = requests(log)
    assert made.pop("read_range packs") == 10
    assert made == {"list commits": 1, "read commits": 4, "list index": 1, "read_range index": 3, "read index": 1}
    assert read_bytes < index_bytes / 2
    bob.shelf.contents.clear()
    assert not bob.fetch(root).missing
    assert requests(log) == {"list commits": 1, "read_range packs": 10}


def _copy(transport: SyntheticTransport) -> MemoryTransport:
    copied = MemoryTransport()
    for listed in transport.inner.list(""):
        copied.write(listed.key, transport.inner.read(listed.key))
    return copied
