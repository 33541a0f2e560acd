"""Compaction: rewriting packs without what nobody needs, and merging small ones.

A pack is deleted when all that was to be kept of it is, verified and durable, in another one; a death in between leaves
records twice, which harms nobody.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import xxhash

from vstore.cache.cache import Cache
from vstore.cache.inventory import HeldPack, read_table
from vstore.cache.loose import OBJECT_MODE
from vstore.cache.packs import new_pack_name
from vstore.cache.writer import PACK_BYTES
from vstore.durable import flush_directory, os_errors, temporary_name
from vstore.errors import CorruptError
from vstore.objects.digest import Digest
from vstore.objects.pack import FOOTER_BYTES, PackWriter, footer_from_bytes, read_record
from vstore.objects.table import Location

SMALL_PACK_BYTES = 8 * 1024 * 1024
"""A pack below this is cheap to rewrite, and one of too many."""
MANY_SMALL_PACKS = 8
_WORTHLESS_SHARE = 0.2
_READ_BYTES = 1024 * 1024


class PackUse(NamedTuple):
    """A pack, and how much of it is to be kept: what is in ``needed``, of any kind."""

    pack: HeldPack
    needed: Container[Digest]
    records: int
    kept_bytes: int

    @property
    def is_worth_rewriting(self) -> bool:
        """Whether what can go is worth copying the rest."""
        is_small = self.pack.size_bytes < SMALL_PACK_BYTES
        dead_bytes = self.pack.size_bytes - self.kept_bytes
        return self.records < len(self.pack.table) and (
            is_small or dead_bytes >= _WORTHLESS_SHARE * self.pack.size_bytes
        )

    def list_kept(self) -> list[Location]:
        """Return the records that are to be kept, as they lie in the pack."""
        kept = (location for location in self.pack.table.locations() if location.digest in self.needed)
        return sorted(kept, key=lambda location: location.offset)


def choose_packs(uses: Sequence[PackUse]) -> list[PackUse]:
    """Return the packs to rewrite: those that waste much, and small ones where there are many."""
    chosen = [use for use in uses if use.is_worth_rewriting]
    small = [use for use in uses if use.records and use.kept_bytes < SMALL_PACK_BYTES and not use.is_worth_rewriting]
    return [*chosen, *(small if len(small) >= MANY_SMALL_PACKS else [])]


def find_use(pack: HeldPack, needed: Container[Digest]) -> PackUse:
    """Return how much of a pack is needed."""
    kept = [record_bytes for digest, record_bytes in pack.iter_records() if digest in needed]
    return PackUse(pack, needed, len(kept), sum(kept))


def rewrite_packs(cache: Cache, uses: Sequence[PackUse]) -> list[Path]:
    """Write what is to be kept of packs into new ones, delete the old ones, and return those deleted.

    One new pack is written, read back, and what it was made of deleted, before the next: that takes the room of one.
    A pack of which something to be kept is damaged, and not good in another of them, stays as it is.
    Raises NoSpaceError where there is no room for the next one.
    """
    written: set[tuple[int, Digest]] = set()
    deleted: list[Path] = []

    def delete(group: Iterable[PackUse]) -> None:
        for use in group:
            if all((location.kind, location.digest) in written for location in use.list_kept()):
                use.pack.path.unlink()
                deleted.append(use.pack.path)

    with os_errors(cache.packs.directory, "write to"):
        try:
            delete(use for use in uses if not use.records)  # first, for it makes room
            rest = [use for use in uses if use.records]
            for group in _iter_groups(rest):
                _write_pack(cache, group, written)
                delete(group)
            # What is damaged in one may have been good in a later one.
            gone = set(deleted)
            delete(use for use in rest if use.pack.path not in gone)
            flush_directory(cache.packs.directory)
        finally:
            cache.packs.reload()
    return deleted


def _iter_groups(uses: Sequence[PackUse]) -> Iterator[list[PackUse]]:
    """Yield packs, oldest first, in groups that make about one pack each."""
    group: list[PackUse] = []
    size_bytes = 0
    for use in sorted(uses, key=lambda use: use.pack.path.name):
        group.append(use)
        size_bytes += use.kept_bytes
        if size_bytes >= PACK_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _write_pack(cache: Cache, group: Sequence[PackUse], written: set[tuple[int, Digest]]) -> None:
    """Write a pack of what is to be kept of some and not yet ``written``, if anything is; durable, and read back."""
    temporary, final = cache.packs.directory / temporary_name(), cache.packs.directory / new_pack_name()
    taken: set[tuple[int, Digest]] = set()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            writer = PackWriter(file.write)
            for use in group:
                for location, record in _iter_good(use):
                    key = (location.kind, location.digest)
                    if key not in written and key not in taken:
                        writer.add_record(record, location)
                        taken.add(key)
            writer.finish()
            file.flush()
            os.fchmod(file.fileno(), cache.file_mode(OBJECT_MODE))
            # What is young is not removed: a copy is as old as what it was made of.
            newest_ns = max(use.pack.mtime_ns for use in group)
            os.utime(file.fileno(), ns=(newest_ns, newest_ns))
            os.fsync(file.fileno())
        if not taken:
            os.unlink(temporary)
            return
        _check(temporary)
        os.rename(temporary, final)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    flush_directory(cache.packs.directory)
    written |= taken


def _iter_good(use: PackUse) -> Iterator[tuple[Location, memoryview]]:
    """Yield the records to be kept that are what they should be, reading a megabyte at a time."""
    with open(use.pack.path, "rb", buffering=0) as file:
        window, start = memoryview(b""), 0
        for location in use.list_kept():
            end = location.offset + location.record_bytes
            if not start <= location.offset <= end <= start + len(window):
                start = location.offset
                window = memoryview(os.pread(file.fileno(), max(_READ_BYTES, location.record_bytes), start))
            record = window[location.offset - start : end - start]
            try:
                read_record(record, location)
            except CorruptError:
                continue
            yield location, record


def _check(path: Path) -> None:
    """Read a new pack back, whole, before what it was made of goes.  Raises CorruptError."""
    with open(path, "rb", buffering=0) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        read_table(file.fileno(), size_bytes)
        footer = footer_from_bytes(os.pread(file.fileno(), FOOTER_BYTES, size_bytes - FOOTER_BYTES), size_bytes)
        hasher = xxhash.xxh3_128()
        left = size_bytes - FOOTER_BYTES
        while left and (piece := os.read(file.fileno(), min(left, _READ_BYTES))):
            hasher.update(piece)
            left -= len(piece)
        if left or hasher.hexdigest() != footer.pack_checksum:
            raise CorruptError(f"the pack {path}, just written, is damaged", path=str(path))
