"""Packs: many records in one immutable file, the same locally and at a remote.

    header · records · table · footer

A record carries everything needed to read it alone, so a pack is read from its end through the table or,
when the end is lost, forward from record to record.  docs/formats/pack.md specifies every byte.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import xxhash
import zstandard

from vstore.errors import CorruptError, InvalidError, NewerFormatError
from vstore.objects.digest import (
    ALGORITHMS_BY_CODE,
    Buffer,
    Digest,
    algorithm_of,
    from_raw,
    has_digest,
    hash_bytes,
    to_raw,
)
from vstore.objects.table import (
    BLOB,
    KINDS,
    RECIPE,
    RECORD_HEADER_BYTES,
    Location,
    Table,
    table_from_bytes,
    table_to_bytes,
)

PACK_VERSION = 1
PACK_HEADER = b"vstore-pack\0" + struct.pack("<I", PACK_VERSION)
FOOTER_BYTES = 64
MAX_RECORD_BYTES = 4 * 1024 * 1024
"""No record is longer, raw or stored: a hostile length allocates no more than this."""

RAW = 0
ZSTD = 1

_RECORD_MAGIC = b"\xb5VR1"
_RECORD = struct.Struct("<4sQBBBxII")  # magic, checksum of what follows, kind, codec, algorithm, stored, raw
_RECORD_HEAD = struct.Struct("<4sQ")
_RECORD_TAIL = struct.Struct("<BBBxII")
_FOOTER = struct.Struct("<QQQ16sQI12s")  # table offset, table bytes, table checksum, pack checksum, count, version
_FOOTER_MAGIC = b"vstore-tail\0"
_SAMPLE_BYTES = 1024
_SECOND_SAMPLE_ABOVE_BYTES = 16 * 1024
_WORTH_IT = 0.97
_FLUSH_BYTES = 1024 * 1024


class _Contexts(threading.local):
    """One compressor and decompressor for each thread: making one costs twice what using it does."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()

assert _RECORD.size == RECORD_HEADER_BYTES and _FOOTER.size == FOOTER_BYTES


class PackSummary(NamedTuple):
    """A finished pack: its length, the checksum of everything before its footer (hex), its table and records."""

    size_bytes: int
    checksum: str
    table: bytes
    records: int


class PackWriter:
    """Writes one pack through ``write``, which is called with pieces of about 1 MiB.  Not thread-safe."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._checksum = xxhash.xxh3_128()
        self._locations: list[Location] = []
        self._parts: list[Buffer] = [PACK_HEADER]
        self._parts_bytes = len(PACK_HEADER)
        self.size_bytes = len(PACK_HEADER)
        """Bytes taken so far, without table and footer."""

    def __len__(self) -> int:
        return len(self._locations)

    def add(self, kind: int, digest: Digest, data: bytes, *, check: Digest | None = None) -> None:
        """Append one record.  ``check`` is the digest of ``data`` itself where it is not ``digest`` (recipes).

        The caller adds nothing twice.  Raises InvalidError above MAX_RECORD_BYTES.
        """
        head, body, location = _encode(kind, digest, data, check, self.size_bytes)
        self._locations.append(location)
        self._append(head)
        self._append(body)

    def add_record(self, record: Buffer, location: Location) -> None:
        """Append a whole record as it stands in another pack; the caller has verified it."""
        kind, digest, _, stored, raw, check = location
        self._locations.append(Location(kind, digest, self.size_bytes, stored, raw, check))
        self._append(record)

    def _append(self, piece: Buffer) -> None:
        self._parts.append(piece)
        self.size_bytes += len(piece)
        self._parts_bytes += len(piece)
        if self._parts_bytes >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was taken so far."""
        piece = b"".join(self._parts)
        self._parts.clear()
        self._parts_bytes = 0
        self._checksum.update(piece)
        self._write(piece)

    def finish(self) -> PackSummary:
        """Write table and footer; the pack is complete."""
        self.flush()
        table = table_to_bytes(self._locations)
        self._checksum.update(table)
        self._write(table)
        footer = _FOOTER.pack(
            self.size_bytes,
            len(table),
            xxhash.xxh3_64_intdigest(table),
            self._checksum.digest(),
            len(self._locations),
            PACK_VERSION,
            _FOOTER_MAGIC,
        )
        self._write(footer)
        return PackSummary(
            self.size_bytes + len(table) + FOOTER_BYTES, self._checksum.hexdigest(), table, len(self._locations)
        )


def encode_record(kind: int, digest: Digest, data: bytes, *, check: Digest | None = None) -> tuple[bytes, Location]:
    """Return a whole record, and its location with offset 0, for ``PackWriter.add_record``.  Thread-safe.

    Raises InvalidError above MAX_RECORD_BYTES.
    """
    head, body, location = _encode(kind, digest, data, check, 0)
    return head + body, location


def _encode(kind: int, digest: Digest, data: bytes, check: Digest | None, offset: int) -> tuple[bytes, bytes, Location]:
    """Return a record in two pieces: magic and checksum, and the rest."""
    if len(data) > MAX_RECORD_BYTES:
        raise InvalidError(f"{digest} is too long for a record", digest=digest)
    payload, codec, compressor = data, RAW, _contexts.compressor
    if _is_compressible(data, compressor):
        compressed = compressor.compress(data)
        if len(compressed) < _WORTH_IT * len(data):
            payload, codec = compressed, ZSTD
    tail = _RECORD_TAIL.pack(kind, codec, algorithm_of(digest).code, len(payload), len(data))
    body = b"".join((tail, to_raw(digest), payload))
    head = _RECORD_HEAD.pack(_RECORD_MAGIC, xxhash.xxh3_64_intdigest(body))
    return head, body, Location(kind, digest, offset, len(payload), len(data), check or digest)


def _is_compressible(data: Buffer, compressor: zstandard.ZstdCompressor) -> bool:
    """Judge by a sample from the middle: the ends of files are often headers or padding."""
    size = len(data)
    if size < 64:
        return False
    if size <= _SAMPLE_BYTES:
        return True
    start = (size - _SAMPLE_BYTES) // 2
    if len(compressor.compress(data[start : start + _SAMPLE_BYTES])) < _WORTH_IT * _SAMPLE_BYTES:
        return True
    if size <= _SECOND_SAMPLE_ABOVE_BYTES:
        return False
    start = (size - _SECOND_SAMPLE_ABOVE_BYTES) // 2
    sample = data[start : start + _SECOND_SAMPLE_ABOVE_BYTES]
    return len(compressor.compress(sample)) < _WORTH_IT * _SECOND_SAMPLE_ABOVE_BYTES


class Footer(NamedTuple):
    """The end of a pack."""

    table_offset: int
    table_bytes: int
    table_checksum: int
    pack_checksum: str
    records: int


def footer_from_bytes(data: Buffer, size_bytes: int) -> Footer:
    """Parse the last 64 bytes of a pack of ``size_bytes``.  Raises CorruptError, NewerFormatError."""
    if len(data) != FOOTER_BYTES:
        raise CorruptError("a pack is shorter than its footer")
    offset, table_bytes, table_checksum, checksum, count, version, magic = _FOOTER.unpack(data)
    if magic != _FOOTER_MAGIC:
        raise CorruptError("a pack does not end in a footer")
    if version != PACK_VERSION:
        raise NewerFormatError(f"a pack has format version {version}", version=version)
    if offset < len(PACK_HEADER) or offset + table_bytes + FOOTER_BYTES != size_bytes:
        raise CorruptError("the footer of a pack does not fit its length")
    return Footer(offset, table_bytes, table_checksum, checksum.hex(), count)


def parse_table(data: Buffer, footer: Footer) -> Table:
    """Parse a pack's table; its rows are believed as ``table_from_bytes`` says.  Raises CorruptError."""
    if xxhash.xxh3_64_intdigest(data) != footer.table_checksum:
        raise CorruptError("the table of a pack fails its checksum")
    table = table_from_bytes(data)
    if len(table) != footer.records:
        raise CorruptError("the table of a pack does not have the rows its footer says")
    return table


def read_record(record: Buffer, location: Location) -> bytes:
    """Return the content of a record, verified against its digest.

    ``record`` is exactly the record's bytes.  Raises CorruptError.
    """
    if len(record) != location.record_bytes:
        raise CorruptError(f"the record of {location.digest} ends early", digest=location.digest)
    wanted_kind, digest, _, stored_bytes, raw_bytes, check = location
    magic, _, kind, codec, code, stored, raw = _RECORD.unpack_from(record)
    algorithm = algorithm_of(digest)
    start = RECORD_HEADER_BYTES + algorithm.size_bytes
    if (
        magic != _RECORD_MAGIC
        or kind != wanted_kind
        or stored != stored_bytes
        or raw != raw_bytes
        or code != algorithm.code
        or record[RECORD_HEADER_BYTES:start] != to_raw(digest)
    ):
        raise CorruptError(f"a record is not the {KINDS[wanted_kind]} {digest}", digest=digest)
    data = _decode(record[start:], codec, raw)
    if data is None or not has_digest(data, check):
        raise CorruptError(f"the content of {digest} is damaged", digest=digest)
    return data


def is_intact(record: Buffer) -> bool:
    """Tell whether a whole record passes its own checksum, by which it is found where the table is lost."""
    return bool(xxhash.xxh3_64_intdigest(record[_RECORD_HEAD.size :]) == _RECORD_HEAD.unpack_from(record)[1])


def _decode(payload: Buffer, codec: int, raw_bytes: int) -> bytes | None:
    """Return the content of a payload, or None where there is no content of that length in it."""
    if raw_bytes > MAX_RECORD_BYTES:
        return None
    if codec == RAW:
        return bytes(payload) if len(payload) == raw_bytes else None
    if codec != ZSTD:
        return None
    try:
        # The frame says how long its content is; a lie would be believed by the allocator.
        if zstandard.frame_content_size(payload) != raw_bytes:
            return None
        return _contexts.decompressor.decompress(payload, max_output_size=raw_bytes)
    except zstandard.ZstdError:
        return None


def iter_records(data: Buffer) -> Iterator[tuple[Location, memoryview]]:
    """Yield the records of a pack whose end may be lost or whose middle may be damaged, reading forward.

    Damaged stretches are skipped: after one, reading goes on at the next record whose checksum holds.
    For a recipe ``check`` is computed from its content.
    """
    view = memoryview(data)
    whole = bytes(data) if not isinstance(data, bytes) else data
    at = len(PACK_HEADER)
    while (at := whole.find(_RECORD_MAGIC, at)) >= 0:
        found = _record_at(view, at)
        if found is None:
            at += 1
            continue
        yield found, view[at : at + found.record_bytes]
        at += found.record_bytes


def _record_at(view: memoryview, at: int) -> Location | None:
    if len(view) - at < _RECORD.size:
        return None
    _, checksum, kind, codec, code, stored, raw = _RECORD.unpack_from(view, at)
    algorithm = ALGORITHMS_BY_CODE.get(code)
    if kind not in KINDS or algorithm is None or max(stored, raw) > MAX_RECORD_BYTES:
        return None
    start = at + RECORD_HEADER_BYTES
    end = start + algorithm.size_bytes + stored
    if end > len(view) or xxhash.xxh3_64_intdigest(view[at + 12 : end]) != checksum:
        return None
    digest = from_raw(bytes(view[start : start + algorithm.size_bytes]), algorithm)
    check = digest
    if kind == RECIPE:
        data = _decode(view[start + algorithm.size_bytes : end], codec, raw)
        if data is None:
            return None
        check = hash_bytes(data, algorithm.name)
    return Location(kind, digest, at, stored, raw, check)


def pack_to_bytes(records: Iterable[tuple[int, Digest, bytes]]) -> bytes:
    """Return a whole pack of blobs (and recipes whose check is computed), for small packs and tests."""
    parts: list[bytes] = []
    writer = PackWriter(parts.append)
    for kind, digest, data in records:
        check = digest if kind == BLOB else hash_bytes(data, algorithm_of(digest).name)
        writer.add(kind, digest, data, check=check)
    writer.finish()
    return b"".join(parts)
