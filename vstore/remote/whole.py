"""Reading packs whole: every record against its digest, every byte against the pack's checksum."""

from __future__ import annotations

import heapq
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import xxhash

from vstore.errors import CorruptError, KeyNotFoundError
from vstore.objects.digest import Digest
from vstore.objects.pack import FOOTER_BYTES, MAX_RECORD_BYTES, PACK_HEADER, read_record
from vstore.objects.table import Location, Section, Table
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.layout import PackRef
from vstore.remote.ledger import Site
from vstore.remote.spans import SPAN_BYTES

RECENTLY_S = 7 * 24 * 3600
"""A pack that was read whole less than this ago need not be read again."""


class Reading(NamedTuple):
    """What reading a pack whole told: ``records`` are damaged; ``reason`` is what else is wrong, or empty."""

    pack: PackRef
    records: frozenset[tuple[int, Digest]]
    reason: str

    @property
    def is_good(self) -> bool:
        """Whether every byte is as it should be."""
        return not self.records and not self.reason


class _Stretch(NamedTuple):
    """Some neighbouring bytes of a pack before its footer, with the records that lie in them."""

    pack: PackRef
    start: int
    end: int
    locations: list[Location]
    is_last: bool = False


def choose_packs(
    packs: Collection[PackRef], readings: Mapping[PackRef, int], now_s: float, *, share: float, again: bool
) -> list[PackRef]:
    """Return which packs to read: those never read before first (in random order), then those read longest ago.

    ``share`` is how much of all bytes to read, from 0 to 1; at least a pack is, unless it is 0.  Without ``again``
    what was read recently is left out.
    """
    shuffled = random.sample(sorted(packs), len(packs))
    wanted_bytes = share * sum(pack.size_bytes for pack in packs)
    chosen: list[PackRef] = []
    for pack in sorted(shuffled, key=lambda pack: readings.get(pack, 0)):
        is_recent = 0 <= now_s - readings.get(pack, 0) < RECENTLY_S
        if is_recent and not again:
            continue
        if wanted_bytes <= 0:
            break
        chosen.append(pack)
        wanted_bytes -= pack.size_bytes
    return chosen


def read_whole(site: Site, packs: Iterable[tuple[PackRef, Table]], reporter: Reporter) -> Iterator[Reading]:
    """Read packs, in order, several ranges at once, and yield what each reading told.

    At most ``in_flight_bytes`` are in memory.  Advances the reporter by bytes.  Raises UnavailableError.
    """
    stretches = (stretch for pack, table in packs for stretch in _plan_stretches(pack, table))

    def read(stretch: _Stretch) -> tuple[_Stretch, bytes | None, list[Location]]:
        return stretch, *_read_stretch(site, stretch)

    hasher = xxhash.xxh3_128()
    damaged: set[tuple[int, Digest]] = set()
    ahead = min(site.in_flight_bytes, 2 * site.jobs * SPAN_BYTES)
    for stretch, data, bad in map_ordered(read, stretches, workers=site.jobs, ahead=ahead, weigh=_weigh):
        pack = stretch.pack
        hasher.update(data or b"")
        damaged.update((location.kind, location.digest) for location in bad)
        reporter.advance(stretch.end - stretch.start)
        if stretch.is_last:
            is_good = hasher.hexdigest() == pack.checksum or damaged or _hash_again(site, pack) == pack.checksum
            yield Reading(pack, frozenset(damaged), "" if is_good else "it fails its checksum")
            hasher, damaged = xxhash.xxh3_128(), set()


def _weigh(stretch: _Stretch) -> int:
    # The least, so that no more of the short ones are drawn than are of use.
    return max(SPAN_BYTES // 128, stretch.end - stretch.start)


def _plan_stretches(pack: PackRef, table: Table) -> Iterator[_Stretch]:
    """Cut all before the footer of a pack between records, or anywhere in a long gap."""
    end = pack.size_bytes - FOOTER_BYTES
    start = reached = 0
    locations: list[Location] = []
    for location in _by_offset(table.sections):
        last = location.offset + location.record_bytes
        if location.offset < reached:
            yield _Stretch(pack, start, start, [location])  # records never overlap: it is none
            continue
        if last - start > SPAN_BYTES and end > reached > start:
            yield from _cut(pack, start, reached, locations)
            start, locations = reached, []
        locations.append(location)
        reached = min(last, end)
    yield from _cut(pack, start, reached, locations)
    yield from _cut(pack, reached, end, [])
    yield _Stretch(pack, end, end, [], is_last=True)


def _cut(pack: PackRef, start: int, end: int, locations: list[Location]) -> Iterator[_Stretch]:
    """Yield a stretch; what is too long for one, since nothing lies in its beginning, as several."""
    while end - start > SPAN_BYTES + MAX_RECORD_BYTES:
        yield _Stretch(pack, start, start + SPAN_BYTES, [])
        start += SPAN_BYTES
    if end > start:
        yield _Stretch(pack, start, end, locations)


def _by_offset(sections: Iterable[Section]) -> Iterator[Location]:
    """Yield the records of a table as they lie, without ever making all of them."""

    def iter_rows(section: Section) -> Iterator[Location]:
        return map(section.location, sorted(range(section.records), key=section.offsets.__getitem__))

    return heapq.merge(*map(iter_rows, sections), key=lambda location: location.offset)


def _read_stretch(site: Site, stretch: _Stretch) -> tuple[bytes | None, list[Location]]:
    """Return the bytes of a stretch, or None where they cannot be read, and its records that are not good.

    What is damaged is read once more, since bytes are damaged on the way, too.
    """
    data: bytes | None = None
    bad = stretch.locations
    if stretch.start == stretch.end:
        return data, bad
    for _ in range(2):
        try:
            data = site.transport.read_range(stretch.pack.key, stretch.start, stretch.end - stretch.start)
        except (CorruptError, KeyNotFoundError):
            continue
        view = memoryview(data)
        bad = [location for location in stretch.locations if not _is_good(view, stretch.start, location)]
        if not bad and (stretch.start or data.startswith(PACK_HEADER)):
            break
    return data, bad


def _is_good(data: memoryview, start: int, location: Location) -> bool:
    at = location.offset - start
    try:
        read_record(data[at : at + location.record_bytes] if at >= 0 else b"", location)
    except CorruptError:
        return False
    return True


def _hash_again(site: Site, pack: PackRef) -> str:
    """Return the checksum of all before the footer, read once more; empty where it cannot be read."""
    hasher = xxhash.xxh3_128()
    end = pack.size_bytes - FOOTER_BYTES
    try:
        for start in range(0, end, SPAN_BYTES):
            hasher.update(site.transport.read_range(pack.key, start, min(SPAN_BYTES, end - start)))
    except (CorruptError, KeyNotFoundError):
        return ""
    return hasher.hexdigest()
