"""Reading many records with few requests: neighbours are read together, every record is verified."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from vstore.errors import CorruptError, KeyNotFoundError
from vstore.objects.pack import MAX_RECORD_BYTES, read_record
from vstore.objects.table import Location
from vstore.parallel import map_ordered
from vstore.remote.catalog import Place
from vstore.remote.layout import PackRef
from vstore.remote.ledger import Site
from vstore.remote.transport import Key

SPAN_BYTES = 8 * 1024 * 1024
GAP_BYTES = 256 * 1024
"""Reading this much for nothing costs less than another request."""

Result = TypeVar("Result")
Take = Callable[[Location, memoryview, bytes], Result]
"""Takes a record's location, its stored bytes and its verified content; called in a worker thread."""


class Failure(NamedTuple):
    """A record that could not be read where it should be."""

    pack: Key
    error: CorruptError | KeyNotFoundError


class _Span(NamedTuple):
    pack: PackRef
    locations: list[Location]


def read_places(
    site: Site, places: Iterable[Place], take: Take[Result]
) -> Iterator[list[tuple[Location, Result | Failure]]]:
    """Read records and yield what ``take`` makes of each, or why it could not be read, as many at once as were read.

    Packs come in the order in which ``places`` first names them, records in the order in which they lie.
    """
    spans = _plan_spans(places)
    ahead = max(1, site.in_flight_bytes // SPAN_BYTES)

    def read(span: _Span) -> list[tuple[Location, Result | Failure]]:
        return list(_read_span(site, span, take))

    return map_ordered(read, spans, workers=site.jobs, ahead=min(ahead, 2 * site.jobs))


def _plan_spans(places: Iterable[Place]) -> list[_Span]:
    by_pack: dict[PackRef, list[Location]] = {}
    for place in places:
        by_pack.setdefault(place.pack, []).append(place.location)
    spans = []
    for pack, locations in by_pack.items():
        locations.sort(key=lambda location: location.offset)
        span = _Span(pack, [locations[0]])
        start, end = locations[0].offset, locations[0].offset + locations[0].record_bytes
        for location in locations[1:]:
            last = location.offset + location.record_bytes
            if location.offset - end > GAP_BYTES or last - start > SPAN_BYTES:
                spans.append(span)
                span = _Span(pack, [])
                start = location.offset
            span.locations.append(location)
            end = last
        spans.append(span)
    return spans


def _read_span(
    site: Site, span: _Span, take: Take[Result], *, again: bool = True
) -> Iterator[tuple[Location, Result | Failure]]:
    """Read one span; what is damaged is read once more, since bytes are damaged on the way, too."""
    pack, locations = span
    start = locations[0].offset
    end = max(location.offset + location.record_bytes for location in locations)
    try:
        if end > pack.size_bytes or end - start > SPAN_BYTES + MAX_RECORD_BYTES:
            raise CorruptError(f"a record does not lie inside {pack.key}", key=pack.key)
        data = memoryview(site.transport.read_range(pack.key, start, end - start))
    except KeyNotFoundError as error:
        yield from ((location, Failure(pack.key, error)) for location in locations)
    except CorruptError as error:
        # One bad location, or a pack cut short, must not cost its neighbours.
        if len(locations) == 1:
            yield locations[0], Failure(pack.key, error)
        else:
            for location in locations:
                yield from _read_span(site, _Span(pack, [location]), take)
    else:
        damaged: list[Location] = []
        for location in locations:
            record = data[location.offset - start : location.offset - start + location.record_bytes]
            try:
                content = read_record(record, location)
            except CorruptError as error:
                if again:
                    damaged.append(location)
                else:
                    yield location, Failure(pack.key, error)
            else:
                yield location, take(location, record, content)
        if damaged:
            yield from _read_span(site, _Span(pack, damaged), take, again=False)
