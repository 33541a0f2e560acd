"""Bringing contents of another tool into the cache, each proven to be what its name says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

from vstore.cache.writer import CacheWriter, LargeCopy
from vstore.errors import NoSpaceError, VstoreError
from vstore.objects.digest import hash_bytes
from vstore.ops.migrate.foreign import PIECE_BYTES, ForeignName, is_content
from vstore.ops.migrate.memory import Held, Memory
from vstore.ops.migrate.places import Content, Place
from vstore.parallel import map_ordered
from vstore.repo import Repo

Proven = TypeVar("Proven")
_BATCH = 10_000
_MOST_AT_ONCE, _PARTS_OF_A_WORKER = 64, 16
_BATCH_BYTES = 1024 * 1024 * 1024

Wanted = Mapping[ForeignName, Sequence[Place]]
"""Contents, each with the places where it may be, the nearest first."""


class Missing(NamedTuple):
    """Why a content could not be had."""

    reason: str
    is_damaged: bool = False


class Brought(NamedTuple):
    """What the cache holds now, and what it could not get."""

    held: dict[ForeignName, Held]
    missing: dict[ForeignName, Missing]


def bring(repo: Repo, wanted: Wanted, memory: Memory, writer: CacheWriter) -> Brought:
    """Put contents into the cache, from the first place that has each undamaged; those it holds are not read again.

    Durable when this returns; what an interruption leaves is whole, and found again.
    """
    known = {name: held for name in wanted if (held := memory.find(name)) is not None}
    gone = repo.cache.find_missing(held.digest for held in known.values())
    brought = Brought({name: held for name, held in known.items() if held.digest not in gone}, {})
    todo = [(name, places) for name, places in wanted.items() if name not in brought.held]
    repo.reporter.begin("moving in", total=len(todo), unit="objects")
    try:
        _Intake(repo, memory, writer).run(todo, brought)
    finally:
        repo.reporter.end()
    return brought


def read(name: ForeignName, places: Sequence[Place], *, limit_bytes: int) -> bytes | Missing:
    """Return a content of another tool that is wanted for what it says, as a list of files; or why it is not had."""
    return _search(name, places, lambda content: _read_all(name, content, limit_bytes))


def find_missing(wanted: Wanted, *, workers: int) -> dict[ForeignName, Missing]:
    """Return what is in none of its places, as far as can be told without reading contents."""

    def look(item: tuple[ForeignName, Sequence[Place]]) -> Missing | None:
        name, places = item
        reasons: list[str] = []
        for place in places:
            try:
                if place.has(name):
                    return None
                reasons += [f"is not in {place.label}"] if place.is_store else []
            except VstoreError as error:
                reasons.append(error.message)
        # Only stores tell at once; a file of the work tree has to be read.
        if any(_has_readable(name, place) for place in places if not place.is_store):
            return None
        return Missing(_join(reasons))

    found = zip(wanted, map_ordered(look, wanted.items(), workers=workers), strict=True)
    return {name: missing for name, missing in found if missing is not None}


def _has_readable(name: ForeignName, place: Place) -> bool:
    found = _search(name, [place], lambda content: _is_whole(name, content) or None)
    return found is True


class _Intake:
    """Reads several contents at once; one thread writes."""

    def __init__(self, repo: Repo, memory: Memory, writer: CacheWriter) -> None:
        self._repo = repo
        self._memory = memory
        self._writer = writer

    def run(self, todo: Sequence[tuple[ForeignName, Sequence[Place]]], brought: Brought) -> None:
        batch: dict[ForeignName, Held] = {}
        since = 0
        # To hand over a small content by itself would cost as much as to read it.
        at_once = max(1, min(_MOST_AT_ONCE, len(todo) // (_PARTS_OF_A_WORKER * self._repo.jobs)))
        parts = (todo[start : start + at_once] for start in range(0, len(todo), at_once))
        taken = map_ordered(lambda part: [self._take(*item) for item in part], parts, workers=self._repo.jobs)
        for name, found in chain.from_iterable(taken):
            self._repo.reporter.advance()
            if isinstance(found, Missing):
                brought.missing[name] = found
                continue
            if isinstance(found, LargeCopy):
                self._writer.add_large(found)
                batch[name] = Held(found.digest, found.size_bytes)
            else:
                digest = hash_bytes(found, self._repo.algorithm)
                self._writer.add_small(digest, found)
                batch[name] = Held(digest, len(found))
            since += batch[name].size_bytes
            if len(batch) >= _BATCH or since >= _BATCH_BYTES:
                self._settle(batch, brought)
                batch, since = {}, 0
        self._settle(batch, brought)

    def _settle(self, batch: dict[ForeignName, Held], brought: Brought) -> None:
        self._writer.commit()
        self._memory.save(batch)
        brought.held.update(batch)

    def _take(self, name: ForeignName, places: Sequence[Place]) -> tuple[ForeignName, bytes | LargeCopy | Missing]:
        """Read and prove one content.  Runs in several threads."""
        return name, _search(name, places, lambda content: self._prove(name, content))

    def _prove(self, name: ForeignName, content: Content) -> bytes | LargeCopy | None:
        if content.file is None:
            return content.data if _is_whole(name, content) else None
        # The copy is what is proven: whatever happens to the original meanwhile, it cannot come in.
        with content.file as file:
            copy = self._writer.copy_large(file.fileno(), self._repo.algorithm, lambda _: None)
        if is_content(name, lambda: _iter_pieces(copy.descriptor)):
            return copy
        self._writer.drop_large(copy)
        return None


def _search(name: ForeignName, places: Sequence[Place], prove: Callable[[Content], Proven | None]) -> Proven | Missing:
    """Return what ``prove`` makes of the content at the first place where it is undamaged."""
    reasons: list[str] = []
    is_damaged = False
    for place in places:
        try:
            content = place.find(name)
            proven = None if content is None else prove(content)
        except NoSpaceError:
            raise
        except VstoreError as error:
            reasons.append(error.message)
            continue
        if proven is not None:
            return proven
        if not place.is_store:
            continue
        is_damaged |= content is not None
        reasons.append(f"is {'not in' if content is None else 'damaged in'} {place.label}")
    return Missing(_join(reasons), is_damaged)


def _join(reasons: Sequence[str]) -> str:
    return ", and ".join(dict.fromkeys(reasons)) or "is nowhere that is known"


def _is_whole(name: ForeignName, content: Content) -> bool:
    if content.file is None:
        return is_content(name, lambda: _split(content.data))
    with content.file as file:
        return is_content(name, lambda: _iter_pieces(file.fileno()))


def _read_all(name: ForeignName, content: Content, limit_bytes: int) -> bytes | None:
    if content.file is None:
        return content.data if _is_whole(name, content) else None
    with content.file as file:
        data = os.pread(file.fileno(), limit_bytes, 0)
    return data if is_content(name, lambda: _split(data)) else None


def _split(data: bytes) -> Iterator[bytes]:
    return (data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES))


def _iter_pieces(descriptor: int) -> Iterator[bytes]:
    start = 0
    while piece := os.pread(descriptor, PIECE_BYTES, start):
        # A short read would move where pieces end.
        while len(piece) < PIECE_BYTES and (more := os.pread(descriptor, PIECE_BYTES - len(piece), start + len(piece))):
            piece += more
        yield piece
        start += len(piece)
