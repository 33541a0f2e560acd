"""Reading packs whole: in what order, in which ranges, and what is made of what is read."""

from __future__ import annotations

import math
import time
from pathlib import Path
from threading import Lock

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.remote.faults import Hooked
from tests.remote.world import Machine, noise, small_files
from vstore.objects.pack import MAX_RECORD_BYTES, PackWriter
from vstore.objects.table import table_from_bytes
from vstore.progress import SILENT, Reporter
from vstore.remote import packer, whole
from vstore.remote.layout import PackRef, new_session, pack_key
from vstore.remote.ledger import Ledger
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.spans import SPAN_BYTES
from vstore.remote.transport import Key
from vstore.remote.whole import RECENTLY_S, choose_packs, read_whole

_DAY_S = 24 * 3600


def refs(sizes: list[int]) -> list[PackRef]:
    """Packs of some sizes."""
    return [PackRef(pack_key(new_session(), 0), size, "0" * 32) for size in sizes]


@hypothesis.given(st.lists(st.integers(100, 10_000), min_size=1, max_size=30), st.floats(0.01, 1))
def test_samples_cover_everything(sizes: list[int], share: float) -> None:
    """Samples of N% that follow each other, a week apart, read every pack in about 100/N runs, and then again."""
    packs, readings, now_s = refs(sizes), dict[PackRef, int](), 1_000_000_000
    for _ in range(math.ceil(1 / share)):
        for pack in choose_packs(packs, readings, now_s, share=share, again=False):
            readings[pack] = now_s
        now_s += RECENTLY_S
    assert readings.keys() == set(packs)
    oldest = min(readings.values())
    chosen = choose_packs(packs, readings, now_s, share=share, again=False)
    assert chosen and readings[chosen[0]] == oldest


def test_recently_read_packs_are_left_out_unless_asked() -> None:
    """What was read less than seven days ago is not read again without being asked, nor is a date to come believed."""
    old, new, future = packs = refs([100, 100, 100])
    now_s = 100 * _DAY_S
    readings = {old: 92 * _DAY_S, new: 94 * _DAY_S, future: 101 * _DAY_S}
    assert set(choose_packs(packs, readings, now_s, share=1, again=False)) == {old, future}
    assert choose_packs(packs, readings, now_s, share=1, again=True) == [old, new, future]
    assert choose_packs(packs, readings, now_s, share=0, again=True) == []
    assert choose_packs(packs, readings, now_s, share=0.01, again=True) == [old]


class _Counter(Reporter):
    def __init__(self) -> None:
        self.done = 0

    def advance(self, amount: int = 1) -> None:
        self.done += amount


def push_packs(machine: Machine, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> list[PackRef]:
    """Push files in packs of about 100 kB and return those."""
    monkeypatch.setattr(packer, "PACK_BYTES", 100_000)
    machine.push(machine.add(files))
    (commit,) = (commit for _, commit in Ledger(machine.site, SILENT).iter_commits())
    return sorted(commit.packs().values())


def test_ranges_are_short_and_cover_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs are read in ranges that follow each other, several at once, never more than may be in flight."""
    monkeypatch.setattr(whole, "SPAN_BYTES", 10_000)
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    packs = push_packs(ada, monkeypatch, small_files(300) | {f"big{i}": noise(300_000, i) for i in range(3)})
    tables = {pack: Ledger(ada.site, SILENT).read_table(pack) for pack in packs}
    under_way, most, turn = 0, 0, Lock()

    def count(by: int) -> None:
        nonlocal under_way, most
        with turn:
            under_way += by
            most = max(most, under_way)

    def begin(operation: str, key: Key) -> None:
        count(1)
        time.sleep(0.001)

    remote.before = begin
    remote.after = lambda operation, key: count(-1)
    counter = _Counter()
    readings = list(read_whole(ada.site, tables.items(), counter))
    assert [reading.pack for reading in readings] == packs
    assert all(reading.is_good for reading in readings)
    assert counter.done == sum(pack.size_bytes - 64 for pack in packs)
    assert 1 < most <= ada.site.jobs


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs there are, no more is asked for than may be in flight, and no range is longer than a span."""
    asked: list[int] = []

    class Measuring(MemoryTransport):
        def read_range(self, key: Key, start: int, length: int) -> bytes:
            asked.append(length)
            return super().read_range(key, start, length)

    remote = Measuring()
    ada = Machine(tmp_path / "ada", remote)
    ada.push(ada.add({f"big{i}": noise(5_000_000, i) for i in range(5)}))
    ada.remote.inspect(None)
    packs = {pack for _, commit in Ledger(ada.site, SILENT).iter_commits() for pack in commit.packs().values()}
    tables = {pack: Ledger(ada.site, SILENT).read_table(pack) for pack in packs}
    asked.clear()
    assert all(reading.is_good for reading in read_whole(ada.site, tables.items(), SILENT))
    assert len(asked) >= 4
    assert max(asked) <= SPAN_BYTES + MAX_RECORD_BYTES


def test_long_gaps_and_records_that_overlap_are_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack whose table leaves out most of it, or names a place twice, is read to its end within bounds."""
    monkeypatch.setattr(whole, "SPAN_BYTES", 1000)
    monkeypatch.setattr(whole, "MAX_RECORD_BYTES", 1000)
    remote = MemoryTransport()
    ada = Machine(tmp_path / "ada", remote)
    parts: list[bytes] = []
    writer = PackWriter(parts.append)
    contents = [ada.shelf.put(noise(500, i)) for i in range(50)]
    for content in contents:
        writer.add(1, content.digest, ada.shelf.contents[content.digest])
    kept = [writer._locations[1], writer._locations[40]._replace(digest=contents[3].digest, check=contents[3].digest)]
    writer._locations[:] = [*kept, writer._locations[40]]
    summary = writer.finish()
    pack = PackRef(pack_key(new_session(), 0), summary.size_bytes, summary.checksum)
    remote.write(pack.key, b"".join(parts))
    counter = _Counter()
    (reading,) = read_whole(ada.site, [(pack, table_from_bytes(summary.table))], counter)
    assert len(reading.records) == 1
    assert counter.done == pack.size_bytes - 64
