"""Reading many files of an origin at once, in order, with bounded memory: large ones by parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

from vstore.parallel import map_ordered
from vstore.remote.origin import Item, Origin

PIECE_BYTES = 8 * 1024 * 1024


class Piece(NamedTuple):
    """Some bytes of a file; those of one file come in order, and those of the next after its last."""

    item: Item
    start: int
    data: bytes
    is_last: bool


class _Span(NamedTuple):
    item: Item
    start: int
    length: int | None
    """None where no parts can be asked for."""
    is_last: bool


def iter_pieces(
    origin: Origin,
    items: Iterable[Item],
    *,
    jobs: int,
    in_flight_bytes: int,
    find_held: Callable[[Item], int] = lambda item: 0,
) -> Generator[Piece, None, None]:
    """Yield the bytes of files, each of the version that was listed; every file has a last piece, perhaps empty.

    ``jobs`` is how many requests may be under way, with about ``in_flight_bytes`` in memory.  ``find_held`` tells,
    while earlier files are still read, how many bytes of a file need not be read.  Raises ChangedWhileReadError.
    """

    def read(span: _Span) -> bytes:
        if not span.length:
            return b""
        data = origin.read(span.item, span.start, span.length)
        if span.is_last and not span.start:
            _look_again(origin, span.item)
        return data

    spans: deque[_Span] = deque()

    def draw() -> Iterator[_Span]:
        for item in items:
            for span in _cut(item, find_held(item)):
                spans.append(span)
                yield span

    workers = min(jobs, origin.most_at_once or jobs)
    ahead = max(1, in_flight_bytes)
    pieces = map_ordered(read, draw(), workers=workers, ahead=ahead, weigh=lambda span: (span.length or 0) + _OVERHEAD)
    for data in pieces:
        span = spans.popleft()
        if span.length is None:
            yield from _read_whole(origin, span.item)
            continue
        if span.is_last and span.start:
            _look_again(origin, span.item)
        yield Piece(span.item, span.start, data, span.is_last)


_OVERHEAD = 4096
"""What a request weighs beside its bytes, so that there are not millions of empty ones ahead."""


def _cut(item: Item, held: int) -> Iterator[_Span]:
    if item.size_bytes is None or not item.has_ranges:
        yield _Span(item, 0, None, True)
        return
    start = held
    while True:
        length = min(PIECE_BYTES, item.size_bytes - start)
        is_last = start + length >= item.size_bytes
        yield _Span(item, start, length, is_last)
        if is_last:
            return
        start += length


def _read_whole(origin: Origin, item: Item) -> Iterator[Piece]:
    position = 0
    for data in origin.iter_whole(item):
        yield Piece(item, position, data, False)
        position += len(data)
    if item.size_bytes not in (None, position):
        raise origin.changed(item)
    _look_again(origin, item)
    yield Piece(item, position, b"", True)


def _look_again(origin: Origin, item: Item) -> None:
    """Raise ChangedWhileReadError if a file is another one now, where reading it would not have shown that."""
    if origin.is_watchful or not item.lock:
        return
    found = origin.look(item.path)
    if found is None or found.lock != item.lock:
        raise origin.changed(item)
