"""Bringing files of an origin into the cache: each in the version that was listed, verified where that can be."""

from __future__ import annotations

import contextlib
import hashlib
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

from vstore.cache.arrivals import Arrival
from vstore.cache.writer import CacheWriter
from vstore.errors import Cause, RemoteUnavailableError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, hash_bytes
from vstore.remote.origin import Item, Origin, join_url
from vstore.remote.pieces import Piece, iter_pieces
from vstore.repo import Repo


class Arrived(NamedTuple):
    """A file that the cache holds, or a remote: its content, and how long it is."""

    item: Item
    digest: Digest
    size_bytes: int


def download(repo: Repo, origin: Origin, items: Sequence[Item], writer: CacheWriter) -> list[Arrived]:
    """Bring files into the cache.

    Large ones go on where an interrupted download of the same version stopped.  Raises ChangedWhileReadError, and
    RemoteUnavailableError for what is not what the origin says that it has.
    """
    return _Download(repo, origin, writer).run(items)


class _Download:
    def __init__(self, repo: Repo, origin: Origin, writer: CacheWriter) -> None:
        self._repo = repo
        self._origin = origin
        self._writer = writer
        self._arrivals: dict[str, Arrival] = {}

    def run(self, items: Sequence[Item]) -> list[Arrived]:
        done: list[Arrived] = []
        total = None if any(item.size_bytes is None for item in items) else sum(item.size_bytes or 0 for item in items)
        self._repo.reporter.begin("downloading", total=total, unit="bytes")
        pieces = iter_pieces(
            self._origin,
            items,
            jobs=self._repo.jobs,
            in_flight_bytes=self._repo.config.in_flight_bytes,
            find_held=self._find_held,
        )
        try:
            with contextlib.closing(pieces):
                for piece in pieces:
                    self._repo.reporter.advance(len(piece.data))
                    is_large = piece.item.path in self._arrivals
                    arrived = self._take_part(piece) if is_large else self._take_small(piece)
                    if arrived is not None:
                        done.append(arrived)
            return done
        finally:
            for arrival in self._arrivals.values():
                arrival.close()
            self._repo.reporter.end()

    def _find_held(self, item: Item) -> int:
        """Begin a large file, or go on with it; return how much of it is here."""
        if item.size_bytes is not None and item.size_bytes <= SMALL_BYTES and item.has_ranges:
            return 0
        is_resumable = item.is_firm and item.has_ranges
        name = "\n".join((self._origin.url, item.path, item.lock)) if is_resumable else ""
        arrival = Arrival(self._repo.cache, name)
        if arrival.size_bytes > (item.size_bytes or 0):
            arrival.begin_anew()
        self._arrivals[item.path] = arrival
        self._repo.reporter.advance(arrival.size_bytes)
        return arrival.size_bytes

    def _take_small(self, piece: Piece) -> Arrived:
        item, data = piece.item, piece.data
        if item.md5 and data and md5_of(data) != item.md5:
            data = self._origin.read(item, 0, len(data))  # bytes are damaged on the way, too
            check_md5(self._origin, item, md5_of(data))
        digest = hash_bytes(data, self._repo.algorithm)
        self._writer.add_small(digest, data)
        return Arrived(item, digest, len(data))

    def _take_part(self, piece: Piece) -> Arrived | None:
        item, arrival = piece.item, self._arrivals[piece.item.path]
        arrival.write(piece.data)
        if not piece.is_last:
            return None
        copy, md5 = arrival.finish(self._repo.algorithm, with_md5=bool(item.md5))
        try:
            if item.md5:
                check_md5(self._origin, item, md5)
        except BaseException:
            arrival.begin_anew()  # the next attempt must not go on from what is damaged
            raise
        if copy.size_bytes <= SMALL_BYTES:
            self._writer.add_small(copy.digest, arrival.read_all())
        else:
            self._writer.add_large(arrival.take(copy))
        del self._arrivals[item.path]
        arrival.close()
        return Arrived(item, copy.digest, copy.size_bytes)


def md5_of(data: bytes) -> str:
    """Return the MD5 of some bytes, in base64."""
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def check_md5(origin: Origin, item: Item, md5: str) -> None:
    """Raise RemoteUnavailableError if a file is not what the origin says that it has."""
    if md5 == item.md5:
        return
    # A listing does not tell everything, as who encrypted it: then its tag is something else.
    found = origin.look(item.path)
    if found is None or found.lock != item.lock:
        raise origin.changed(item)
    if found.md5:
        message = f"{join_url(origin.url, item.path)} is not what arrived: their MD5 differ"
        raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=origin.url)
