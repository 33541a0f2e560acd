"""Putting records together into packs of about 64 MiB."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from vstore.objects.digest import Buffer, Digest
from vstore.objects.pack import PackWriter
from vstore.objects.table import Location, Table, table_from_bytes
from vstore.remote.layout import PackRef, pack_key
from vstore.remote.transport import Key

PACK_BYTES = 64 * 1024 * 1024


class Item(NamedTuple):
    """One record to come: stored bytes with their location, or (``location`` is None) a content to encode."""

    data: Buffer
    location: Location | None
    kind: int
    digest: Digest
    check: Digest


class Batch(NamedTuple):
    """The records of one pack to come; ``items`` are used up while it is built, so that memory is not held twice."""

    key: Key
    items: deque[Item]


class BuiltPack(NamedTuple):
    """A pack, ready to be uploaded."""

    ref: PackRef
    table: Table
    data: bytearray


class Packer:
    """Collects the records of a session, in order, and says which pack each will be in."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._number = 0
        self._items: deque[Item] = deque()
        self._bytes = 0

    def add_record(self, record: Buffer, location: Location) -> Key:
        """Take a whole, verified record as it is stored."""
        return self._add(Item(record, location, location.kind, location.digest, location.check))

    def add(self, kind: int, digest: Digest, data: Buffer, check: Digest) -> Key:
        """Take a content, which will be compressed where that is worth it."""
        return self._add(Item(data, None, kind, digest, check))

    def _add(self, item: Item) -> Key:
        self._items.append(item)
        self._bytes += len(item.data)
        return pack_key(self._session, self._number)

    @property
    def is_full(self) -> bool:
        """Whether it is time to ``take_batch``."""
        return self._bytes >= PACK_BYTES

    def take_batch(self) -> Batch | None:
        """Return what was collected, to be built; None if that is nothing."""
        if not self._items:
            return None
        batch = Batch(pack_key(self._session, self._number), self._items)
        self._number, self._items, self._bytes = self._number + 1, deque(), 0
        return batch


def build_pack(batch: Batch) -> BuiltPack:
    """Build the pack of a batch, which is used up."""
    data = bytearray()
    writer = PackWriter(data.extend)
    items = batch.items
    while items:
        item = items.popleft()
        if item.location is None:
            writer.add(item.kind, item.digest, bytes(item.data), check=item.check)
        else:
            writer.add_record(item.data, item.location)
    summary = writer.finish()
    ref = PackRef(batch.key, summary.size_bytes, summary.checksum)
    return BuiltPack(ref, table_from_bytes(summary.table), data)
