"""Bringing files of an origin to a remote as they come: they are never on the local disk, and never whole in memory."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, cast

from vstore.objects.chunking import SMALL_BYTES
from vstore.ops.download import Arrived, check_md5
from vstore.remote.content import Content, Root
from vstore.remote.origin import Item, Origin
from vstore.remote.pieces import Piece, iter_pieces

_MEMORY_SHARE = 4
"""The packs that are built of what comes need as much memory as the rest of a push; this share is for what comes."""


class Stream:
    """What comes from an origin, for a push; ``arrived`` is what it turned out to be."""

    def __init__(
        self, origin: Origin, items: Sequence[Item], *, algorithm: str, jobs: int, in_flight_bytes: int
    ) -> None:
        self.algorithm = algorithm
        self.arrived: list[Arrived] = []
        self._origin = origin
        self._item: Item | None = None
        self._pieces: Generator[Piece, None, None] = iter_pieces(
            origin, items, jobs=jobs, in_flight_bytes=in_flight_bytes // _MEMORY_SHARE
        )

    def __iter__(self) -> Iterator[bytes | BinaryIO]:
        try:
            for piece in self._pieces:
                self._item = piece.item
                file = _Incoming(self._origin, piece, self._pieces)
                head = file.read_head(SMALL_BYTES + 1)
                yield head if len(head) <= SMALL_BYTES else cast(BinaryIO, file)
        finally:
            self._pieces.close()

    def note(self, content: Content) -> None:
        """Learn what the file just yielded is."""
        assert self._item is not None
        self.arrived.append(Arrived(self._item, content.digest, content.size_bytes))


class Delivery:
    """All files of an import as they come; ``make_root`` makes of what arrived what is committed."""

    def __init__(self, stream: Stream, total_bytes: int | None, make_root: Callable[[list[Arrived]], Root]) -> None:
        self.algorithm = stream.algorithm
        self.total_bytes = total_bytes
        self._stream = stream
        self._make_root = make_root

    def __iter__(self) -> Iterator[bytes | BinaryIO]:
        return iter(self._stream)

    def note(self, content: Content) -> None:
        """Learn what the file just yielded is."""
        self._stream.note(content)

    def finish(self) -> Root:
        """Return what all files are together."""
        return self._make_root(self._stream.arrived)


def add_sizes(items: Iterable[Item]) -> int | None:
    """Return how long files are together; None where one does not tell."""
    sizes = [item.size_bytes for item in items]
    return None if None in sizes else sum(size for size in sizes if size is not None)


class _Incoming(io.RawIOBase):
    """The bytes of one file, piece by piece; at its end its MD5 is compared, where that is known."""

    def __init__(self, origin: Origin, first: Piece, pieces: Iterator[Piece]) -> None:
        super().__init__()
        self._origin = origin
        self._pieces = pieces
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._held = memoryview(b"")
        self._head = b""
        self._is_at_end = False
        self._take(first)

    def _take(self, piece: Piece) -> None:
        if piece.item.md5:
            self._md5.update(piece.data)
        self._held = memoryview(piece.data)
        if piece.is_last:
            self._is_at_end = True
            if piece.item.md5:
                check_md5(self._origin, piece.item, base64.b64encode(self._md5.digest()).decode())

    def read_head(self, most_bytes: int) -> bytes:
        """Return the first bytes, up to ``most_bytes``, which will be read again; fewer only if that is all."""
        head = bytearray()
        while len(head) < most_bytes and (self._held or not self._is_at_end):
            if not self._held:
                self._take(next(self._pieces))
                continue
            piece = self._held[: most_bytes - len(head)]
            head += piece
            self._held = self._held[len(piece) :]
        self._head = bytes(head)
        return self._head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._head:
            count = min(len(view), len(self._head))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        while not self._held:
            if self._is_at_end:
                return 0
            self._take(next(self._pieces))
        count = min(len(view), len(self._held))
        view[:count] = self._held[:count]
        self._held = self._held[count:]
        return count
