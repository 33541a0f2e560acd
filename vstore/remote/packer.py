"""Putting records together into packs of about 64 MiB."""

from __future__ import annotations

from typing import NamedTuple

from vstore.objects.digest import Buffer
from vstore.objects.pack import PackWriter
from vstore.objects.table import Location, Table, table_from_bytes
from vstore.remote.layout import PackRef, pack_key
from vstore.remote.transport import Key

PACK_BYTES = 64 * 1024 * 1024
"""How long packs become: the longer they are, the fewer there are to list."""

SMALL_PACK_BYTES = 8 * 1024 * 1024
"""Shorter ones are the rest of a push, and are merged when there are many."""
_SHORT_S, _LONG_S = 10.0, 40.0
"""An upload that takes longer than the second is at risk of being cut, and lost, before it ends."""


class BuiltPack(NamedTuple):
    """A pack, ready to be uploaded."""

    ref: PackRef
    table: Table
    data: bytearray


class Packer:
    """Builds the packs of a session, one after the other, in memory.

    The first pack is short, so that the line is soon in use, and each is twice as long as the one before, up to
    ``PACK_BYTES``.  On a slow line they stay as short as an upload needs to come through.
    """

    def __init__(self, session: str) -> None:
        self._session = session
        self._number = -1
        self._full_bytes = min(SMALL_PACK_BYTES, PACK_BYTES)
        self._limit_bytes = PACK_BYTES
        self._begin()

    def _begin(self) -> None:
        self._number += 1
        self._key = pack_key(self._session, self._number)
        self._data = bytearray()
        self._writer = PackWriter(self._data.extend)

    def add(self, record: Buffer, location: Location) -> Key:
        """Append a whole, verified record; return the key of the pack that it will be in."""
        self._writer.add_record(record, location)
        return self._key

    @property
    def is_full(self) -> bool:
        """Whether it is time to ``take_pack``."""
        return self._writer.size_bytes >= self._full_bytes

    def note_upload(self, size_bytes: int, seconds: float) -> None:
        """Learn how long an upload took."""
        if seconds > _LONG_S:
            self._limit_bytes = max(SMALL_PACK_BYTES, size_bytes // 2)
        elif seconds < _SHORT_S:
            self._limit_bytes = PACK_BYTES

    def take_pack(self) -> BuiltPack | None:
        """Finish the pack of what was added and begin the next; None where nothing was."""
        if not len(self._writer):
            return None
        summary = self._writer.finish()
        ref = PackRef(self._key, summary.size_bytes, summary.checksum)
        built = BuiltPack(ref, table_from_bytes(summary.table), self._data)
        self._full_bytes = min(2 * self._full_bytes, self._limit_bytes, PACK_BYTES)
        self._begin()
        return built
