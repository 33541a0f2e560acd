"""Taking records out of packs to write them into others: from the cache where it holds them, else read together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import xxhash

from vstore.errors import CorruptError
from vstore.objects.digest import Buffer
from vstore.objects.pack import FOOTER_BYTES, footer_from_bytes, parse_table, read_record
from vstore.objects.table import BLOB, Location, Table
from vstore.parallel import map_ordered
from vstore.remote.catalog import Place
from vstore.remote.content import Source
from vstore.remote.index import index_to_bytes
from vstore.remote.layout import PackRef
from vstore.remote.ledger import Ledger
from vstore.remote.packer import SMALL_PACK_BYTES
from vstore.remote.spans import Failure, read_places

_WINDOW_BYTES = 32 * 1024 * 1024


class Opened(NamedTuple):
    """A pack's own table and, where it was read whole for that, the pack."""

    pack: PackRef
    table: Table
    data: memoryview | None


def open_packs(ledger: Ledger, packs: Iterable[PackRef]) -> Iterator[Opened]:
    """Yield packs with their own tables, several read at once.

    No index object is believed: what it does not name would be lost.  Raises CorruptError with the pack as ``key``,
    UnavailableError.
    """
    return map_ordered(
        lambda pack: _open_pack(ledger, pack),
        packs,
        workers=ledger.site.jobs,
        ahead=ledger.site.in_flight_bytes,
        weigh=lambda pack: min(pack.size_bytes, SMALL_PACK_BYTES),
    )


def _open_pack(ledger: Ledger, pack: PackRef) -> Opened:
    site = ledger.site
    known = site.mirror.find_end(pack)
    if known is not None and list(known.packs) == [pack]:
        return Opened(pack, Table([part.section for part in known.sections]), None)
    try:
        if pack.size_bytes >= SMALL_PACK_BYTES:
            return Opened(pack, ledger.read_table(pack), None)
        data = site.transport.read_range(pack.key, 0, pack.size_bytes)
        footer = footer_from_bytes(data[-FOOTER_BYTES:], pack.size_bytes)
        if xxhash.xxh3_128_hexdigest(data[:-FOOTER_BYTES]) != pack.checksum or footer.pack_checksum != pack.checksum:
            raise CorruptError(f"{pack.key} fails its checksum", key=pack.key)
        table = parse_table(data[footer.table_offset : -FOOTER_BYTES], footer)
    except (CorruptError, LookupError) as error:
        raise _damaged(pack, error) from error
    site.mirror.keep_end(pack, index_to_bytes([(pack, table)]))
    return Opened(pack, table, memoryview(data))


def iter_records(
    ledger: Ledger, opened: Opened, source: Source, is_dead: Callable[[PackRef, Location], bool]
) -> Iterator[tuple[Location, Buffer]]:
    """Yield the verified records of a pack that are not dead, as they lie, with bounded memory.

    Raises CorruptError with the pack as ``key``, UnavailableError.
    """
    pack, table, data = opened
    window: list[Location] = []
    window_bytes = 0
    for location in sorted(table.locations(), key=lambda location: location.offset):
        if is_dead(pack, location):
            continue
        if data is not None:
            record = data[location.offset : location.offset + location.record_bytes]
            try:
                read_record(record, location)
            except CorruptError as error:
                raise _damaged(pack, error) from error
            yield location, record
            continue
        window.append(location)
        window_bytes += location.record_bytes
        if window_bytes >= _WINDOW_BYTES:
            yield from _read_window(ledger, pack, window, source)
            window, window_bytes = [], 0
    yield from _read_window(ledger, pack, window, source)


def _read_window(
    ledger: Ledger, pack: PackRef, window: list[Location], source: Source
) -> Iterator[tuple[Location, Buffer]]:
    held = {
        location.digest: found
        for location in window
        if location.kind == BLOB and (found := source.find_record(location.digest)) is not None
    }
    lacking = [Place(pack, location) for location in window if location.kind != BLOB or location.digest not in held]
    read: dict[tuple[int, str], bytes] = {}
    if lacking:
        for batch in read_places(ledger.site, lacking, lambda _, record, content: bytes(record)):
            for location, record in batch:
                if isinstance(record, Failure):
                    raise _damaged(pack, record.error)
                read[location.kind, location.digest] = record
    for location in window:
        copied = read.get((location.kind, location.digest))
        yield held[location.digest] if copied is None else (location, copied)


def _damaged(pack: PackRef, reason: object) -> CorruptError:
    return CorruptError(f"{pack.key} is not as it should be: {reason}", key=pack.key)
