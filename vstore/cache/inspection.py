"""Verifying a cache: every record of every pack, every loose object, read once and in bounded memory."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import xxhash

from vstore.cache.cache import Cache
from vstore.cache.loose import Advance, hash_file
from vstore.cache.packs import PACK_SUFFIX
from vstore.durable import is_temporary
from vstore.errors import CorruptError, NewerFormatError
from vstore.objects.digest import DIGEST_PATTERN, Buffer, Digest, algorithm_of
from vstore.objects.pack import (
    FOOTER_BYTES,
    MAX_RECORD_BYTES,
    PACK_HEADER,
    Footer,
    encode_record,
    footer_from_bytes,
    is_intact,
    iter_records,
    parse_table,
    read_record,
)
from vstore.objects.table import Location, Table, check_table
from vstore.parallel import map_ordered
from vstore.progress import Reporter

DAMAGED = "damaged"
UNREADABLE = "unreadable"
NEWER = "newer"

_WINDOW_BYTES = 1024 * 1024
_ANYBODY_WRITES = 0o222
_DIGEST = re.compile(DIGEST_PATTERN)


class Flaw(NamedTuple):
    """What is wrong with one file of a cache; ``digests`` are the contents that it should hold and does not."""

    path: Path
    kind: str
    """DAMAGED, UNREADABLE or NEWER (only a newer vstore can read it)."""
    reason: str
    digests: frozenset[Digest]


class CachedFile(NamedTuple):
    """A file of a cache: a loose object, or a pack, whose ``digest`` is None."""

    path: Path
    digest: Digest | None
    status: os.stat_result


@dataclass(slots=True)
class Listing:
    """What lies in a cache: packs, loose objects, and what cannot be looked into or is nothing of ours."""

    files: list[CachedFile] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    strangers: list[Path] = field(default_factory=list)
    leftovers: int = 0
    """How many files are being written, or were when a command died."""


def list_cache(cache: Cache) -> Listing:
    """Look into every directory of a cache that holds contents; nothing is read."""
    listing = Listing()
    for entry in _scan(cache.packs.directory, listing):
        if entry.name.endswith(PACK_SUFFIX):
            _take(entry, None, listing)
        else:
            _pass_over(entry, listing)
    for algorithm in _scan(cache.objects, listing):
        if not algorithm.is_dir(follow_symlinks=False):
            _pass_over(algorithm, listing)
            continue
        for first in _scan(Path(algorithm.path), listing):
            for entry in _scan(Path(first.path), listing) if first.is_dir(follow_symlinks=False) else ():
                text = f"{algorithm.name}:{first.name}{entry.name}"
                if _DIGEST.fullmatch(text):
                    _take(entry, Digest(text), listing)
                else:
                    _pass_over(entry, listing)
    return listing


def _scan(directory: Path, listing: Listing) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        listing.flaws.append(Flaw(directory, UNREADABLE, _reason(error), frozenset()))
        return []


def _take(entry: os.DirEntry[str], digest: Digest | None, listing: Listing) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISREG(status.st_mode):
        listing.files.append(CachedFile(Path(entry.path), digest, status))
    else:
        listing.strangers.append(Path(entry.path))


def _pass_over(entry: os.DirEntry[str], listing: Listing) -> None:
    if is_temporary(entry.name):
        listing.leftovers += 1
    else:
        listing.strangers.append(Path(entry.path))


# loose objects


def verify_loose(path: Path, digest: Digest, advance: Advance) -> Flaw | None:
    """Read a loose object; None if it is what its name says, or gone meanwhile."""
    lost = frozenset([digest])
    try:
        with open(path, "rb", buffering=0) as file:
            found, size_bytes = hash_file(file.fileno(), algorithm_of(digest).name, advance)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Flaw(path, UNREADABLE, _reason(error), lost)
    if found == digest:
        return None
    return Flaw(path, DAMAGED, "its bytes are not what its name says" if size_bytes else "it is empty", lost)


# packs


class VerifiedPack(NamedTuple):
    """What was found in a pack: how many good records, and what is wrong."""

    records: int
    flaw: Flaw | None


def verify_pack(path: Path, wanted: Collection[Digest] | None, advance: Advance) -> VerifiedPack:
    """Read a pack and verify each record, or only those of ``wanted`` contents; what is gone meanwhile has none."""
    try:
        with open(path, "rb", buffering=0) as file:
            reading = PackReading(file, wanted, advance)
            records = sum(1 for _ in reading)
            if not reading.reason:
                return VerifiedPack(records, None)
            return VerifiedPack(records, Flaw(path, reading.kind, reading.reason, frozenset(reading.lost)))
    except FileNotFoundError:
        return VerifiedPack(0, None)
    except OSError as error:
        return VerifiedPack(0, Flaw(path, UNREADABLE, _reason(error), frozenset()))


def _ignore(_: int) -> None:
    """Watch nothing."""


class PackReading:
    """Reads a pack that may be damaged and yields every good record, in the order in which they lie.

    Afterwards ``lost`` are the contents whose records are not good, as far as the table can be read, and ``reason``
    says what is wrong, "" where nothing is.  With ``wanted`` only records of those contents are read.
    """

    def __init__(self, file: BinaryIO, wanted: Collection[Digest] | None = None, advance: Advance = _ignore) -> None:
        self._file = file.fileno()
        self._wanted = wanted
        self._advance = advance
        self._size_bytes = os.fstat(self._file).st_size
        self._checksum = xxhash.xxh3_128()
        self._start = 0
        self._window = b""
        self.kind = DAMAGED
        self.reason = ""
        self.lost: set[Digest] = set()

    def __iter__(self) -> Iterator[tuple[Location, Buffer]]:
        try:
            footer, table = self._read_end()
        except NewerFormatError as error:
            if os.pread(self._file, len(PACK_HEADER), 0) != PACK_HEADER:
                self.kind, self.reason = NEWER, error.message
                return
            self.reason = "its beginning and its end tell different versions"
        except CorruptError as error:
            self.reason = error.message
        except OSError as error:
            self.kind, self.reason = UNREADABLE, _reason(error)
        if self.reason:
            yield from self._salvage()
            return
        for location in sorted(table.locations(), key=lambda location: location.offset):
            if self._wanted is None or location.digest in self._wanted:
                yield from self._verify(location)
        if self._wanted is None and not self.reason:
            self._check_rest(footer)

    def _read_end(self) -> tuple[Footer, Table]:
        size = self._size_bytes
        if size < FOOTER_BYTES:
            raise CorruptError("it is empty" if not size else "it is too short")
        footer = footer_from_bytes(os.pread(self._file, FOOTER_BYTES, size - FOOTER_BYTES), size)
        table = parse_table(os.pread(self._file, footer.table_bytes, footer.table_offset), footer)
        check_table(table, footer.table_offset, MAX_RECORD_BYTES)
        return footer, table

    def _salvage(self) -> Iterator[tuple[Location, Buffer]]:
        """Read forward from record to record: the end does not say where they are."""
        data = bytearray()
        try:
            while piece := os.pread(self._file, _WINDOW_BYTES, len(data)):
                data += piece
                self._advance(len(piece))
        except OSError as error:
            self.kind, self.reason = UNREADABLE, _reason(error)
        for location, record in iter_records(bytes(data)):
            try:
                read_record(record, location)
            except CorruptError:
                continue
            if self._wanted is None or location.digest in self._wanted:
                yield location, record

    def _verify(self, location: Location) -> Iterator[tuple[Location, Buffer]]:
        try:
            record: Buffer = self._read(location.offset, location.record_bytes)
            content = read_record(record, location)
        except CorruptError:
            self._lose(location, DAMAGED, "a record in it is damaged")
        except OSError as error:
            self._start, self._window = location.offset + location.record_bytes, b""
            self._lose(location, UNREADABLE, _reason(error))
        else:
            if not is_intact(record):
                self.reason = self.reason or "a record in it has a damaged checksum"
                record, location = encode_record(location.kind, location.digest, content, check=location.check)
            yield location, record

    def _lose(self, location: Location, kind: str, reason: str) -> None:
        self.lost.add(location.digest)
        self.kind, self.reason = kind, reason

    def _read(self, offset: int, length: int) -> bytes:
        """Return bytes at an offset that is not before the last one, reading the file once from front to end."""
        if self._wanted is not None and offset > self._start + len(self._window):
            self._start, self._window = offset, b""  # what nobody wants is skipped
        while self._start + len(self._window) < offset + length:
            piece = os.pread(self._file, _WINDOW_BYTES, self._start + len(self._window))
            if not piece:
                break
            self._keep(piece, offset)
        at = offset - self._start
        return self._window[at : at + length]

    def _keep(self, piece: bytes, offset: int) -> None:
        end = self._start + len(self._window)
        self._checksum.update(piece[: max(0, self._size_bytes - FOOTER_BYTES - end)])
        self._advance(len(piece))
        useless = min(max(0, offset - self._start), len(self._window))
        self._window = self._window[useless:] + piece
        self._start += useless

    def _check_rest(self, footer: Footer) -> None:
        try:
            self._read(self._size_bytes, 1)
            header = os.pread(self._file, len(PACK_HEADER), 0)
        except OSError as error:
            self.kind, self.reason = UNREADABLE, _reason(error)
            return
        if header != PACK_HEADER:
            self.reason = "it does not begin as a pack"
        elif self._checksum.hexdigest() != footer.pack_checksum:
            self.reason = "its checksum does not hold, though every record is good"


# everything


@dataclass(slots=True)
class Inspected:
    """What was found in a cache.

    ``linked`` are the good loose objects that have other names, and ``spoiled`` the damaged ones, by inode;
    ``writable`` those that somebody could change.
    """

    listing: Listing
    flaws: list[Flaw]
    packs: int = 0
    records: int = 0
    objects: int = 0
    read_bytes: int = 0
    linked: dict[int, Digest] = field(default_factory=dict)
    spoiled: dict[int, Digest] = field(default_factory=dict)
    writable: list[Path] = field(default_factory=list)


def inspect_cache(cache: Cache, wanted: Collection[Digest] | None, *, jobs: int, reporter: Reporter) -> Inspected:
    """Read all files of a cache, or only what they hold of ``wanted`` contents, several at once."""
    listing = list_cache(cache)
    inspected = Inspected(listing, list(listing.flaws))
    files = [file for file in listing.files if wanted is None or file.digest is None or file.digest in wanted]

    def verify(file: CachedFile) -> VerifiedPack:
        if file.digest is None:
            return verify_pack(file.path, wanted, reporter.advance)
        return VerifiedPack(0, verify_loose(file.path, file.digest, reporter.advance))

    reporter.begin("verifying", total=sum(file.status.st_size for file in files), unit="bytes")
    for file, (records, flaw) in zip(files, map_ordered(verify, files, workers=jobs), strict=True):
        inspected.read_bytes += file.status.st_size
        if flaw is not None:
            inspected.flaws.append(flaw)
        if file.digest is None:
            inspected.packs += 1
            inspected.records += records
            continue
        inspected.objects += 1
        if flaw is not None:
            inspected.spoiled[file.status.st_ino] = file.digest
        elif file.status.st_nlink > 1:
            inspected.linked[file.status.st_ino] = file.digest
        if file.status.st_mode & _ANYBODY_WRITES:
            inspected.writable.append(file.path)
    reporter.end()
    return inspected


def _reason(error: OSError) -> str:
    return f"it cannot be read: {os.strerror(error.errno or 0).lower()}"
