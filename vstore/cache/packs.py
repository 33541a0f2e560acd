"""The packs of a cache: opening them, finding records in them, reading records."""

from __future__ import annotations

import mmap
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vstore.durable import os_errors
from vstore.errors import CorruptError, NewerFormatError, VstoreError
from vstore.objects.digest import Digest
from vstore.objects.pack import FOOTER_BYTES, PACK_HEADER, footer_from_bytes, iter_records, parse_table
from vstore.objects.table import BLOB, Location, Table, table_from_bytes, table_to_bytes

PACK_SUFFIX = ".vpack"
_OPEN_FILES = 64
_WINDOW_BYTES = 1024 * 1024
_LOOKUPS_WORTH_A_DICTIONARY = 500


def new_pack_name() -> str:
    """Return a name for a new local pack; names sort by age."""
    return f"{time.time_ns():016x}-{secrets.token_hex(6)}{PACK_SUFFIX}"


class PackFile:
    """One local pack, opened on first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._table: Table | None = None

    @property
    def table(self) -> Table:
        """The records of this pack; where its end is damaged, those that can still be found.

        Raises FileNotFoundError if a collector removed the pack, CorruptError, NewerFormatError.
        """
        if self._table is None:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                try:
                    if size < FOOTER_BYTES:
                        raise CorruptError(f"the pack {self.path} is too short", path=str(self.path))
                    footer = footer_from_bytes(os.pread(file.fileno(), FOOTER_BYTES, size - FOOTER_BYTES), size)
                    self._table = parse_table(os.pread(file.fileno(), footer.table_bytes, footer.table_offset), footer)
                except CorruptError as error:
                    # Whoever is really newer says so at the beginning, too.
                    header = os.pread(file.fileno(), len(PACK_HEADER), 0)
                    if not size or (isinstance(error, NewerFormatError) and header != PACK_HEADER):
                        raise
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                        found = {location[:2]: location for location, _ in iter_records(bytes(data))}
                    self._table = table_from_bytes(table_to_bytes(found.values()))
        return self._table


class _Window(NamedTuple):
    """What a thread read last."""

    pack: PackFile
    start: int
    data: memoryview


class PackStore:
    """All packs of a cache directory, newest first.

    Reading is thread-safe.  A pack that a collector removes meanwhile is forgotten and the directory read again.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._packs: list[PackFile] | None = None
        self._descriptors: dict[PackFile, int] = {}
        self._lock = threading.Lock()
        self._local = threading.local()
        self._lookups = 0
        self._places: dict[Digest, int] | None = None
        """Of each blob, the number of its pack in ``_packs`` and, in the low 32 bits, its row."""

    def reload(self) -> bool:
        """Look at the directory again; True if packs came or went since the last look."""
        with os_errors(self.directory, "read"):
            try:
                found = os.listdir(self.directory)
            except FileNotFoundError:
                found = []
        names = frozenset(name for name in found if name.endswith(PACK_SUFFIX))
        known = {pack.path.name: pack for pack in self._packs or ()}
        if self._packs is not None and names == known.keys():
            return False
        self._packs = [known.get(name) or PackFile(self.directory / name) for name in sorted(names, reverse=True)]
        self._places = None
        return True

    def iter_packs(self) -> Iterator[PackFile]:
        """Yield the packs whose table can be read, newest first; those that cannot are passed over."""
        if self._packs is None:
            self.reload()
        for pack in self._packs or ():
            try:
                _ = pack.table
            except NewerFormatError:
                raise
            except (OSError, VstoreError):
                continue
            yield pack

    def digests(self) -> set[Digest]:
        """Return the digests of all blobs; 0.3 us each."""
        found: set[Digest] = set()
        for pack in self.iter_packs():
            found.update(pack.table.digests(BLOB))
        return found

    def find(self, digest: Digest) -> tuple[PackFile, Location] | None:
        """Return the newest record of a blob.

        A few lookups bisect the tables (5 us a pack); many build a dictionary first.
        """
        self._lookups += 1
        if self._places is None and self._lookups > _LOOKUPS_WORTH_A_DICTIONARY:
            self._places = self._find_places()
        if self._places is None:
            return next(self.iter_all(digest), None)
        place = self._places.get(digest)
        if place is None or self._packs is None:
            return None
        pack = self._packs[place >> 32]
        return pack, pack.table.location(BLOB, place & 0xFFFFFFFF, digest)

    def _find_places(self) -> dict[Digest, int]:
        readable = set(self.iter_packs())
        numbers = {pack: number for number, pack in enumerate(self._packs or ()) if pack in readable}
        places: dict[Digest, int] = {}
        for pack, number in reversed(numbers.items()):
            first = number << 32
            places.update(zip(pack.table.digests(BLOB), range(first, first + len(pack.table)), strict=False))
        return places

    def iter_all(self, digest: Digest) -> Iterator[tuple[PackFile, Location]]:
        """Yield every record of a blob, newest first: one may be good where another is damaged."""
        for pack in self.iter_packs():
            location = pack.table.find(BLOB, digest)
            if location is not None:
                yield pack, location

    def read(self, pack: PackFile, location: Location) -> memoryview:
        """Return the stored bytes of a record, unverified and perhaps short.  Raises OSError.

        Whoever reads record after record gets them from one read of a megabyte: a read costs 2 us, and ten where
        other threads want the interpreter.
        """
        start, length = location.offset, location.record_bytes
        window: _Window | None = getattr(self._local, "window", None)
        if window is not None and window.pack is pack:
            if window.start <= start and start + length <= window.start + len(window.data):
                return window.data[start - window.start : start - window.start + length]
            is_next = 0 <= start - window.start - len(window.data) < _WINDOW_BYTES
        else:
            is_next = False
        data = memoryview(self._pread(pack, max(length, _WINDOW_BYTES) if is_next else length, start))
        self._local.window = _Window(pack, start, data)
        return data[:length]

    def _pread(self, pack: PackFile, length: int, offset: int) -> bytes:
        descriptor = self._descriptors.get(pack)
        if descriptor is None and len(self._descriptors) < _OPEN_FILES:
            with self._lock:
                descriptor = self._descriptors.get(pack)
                if descriptor is None:
                    descriptor = self._descriptors[pack] = os.open(pack.path, os.O_RDONLY | os.O_CLOEXEC)
        if descriptor is not None:
            return os.pread(descriptor, length, offset)
        with open(pack.path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, offset)

    def close(self) -> None:
        """Close the files."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])
