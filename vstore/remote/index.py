"""Index objects: which records lie in which packs, for a session or for many merged ones.

An index is a hint: it saves reading the ends of packs and is never proof that a pack exists.

    header · packs · directory · sections · checksum

A section is that of a pack's table, whose rows may now come from several packs, with a column of pack numbers
and a fan-out by the first byte of the id, so that a reader may fetch a few ranges instead of the whole.
docs/formats/remote.md specifies every byte.
"""

from __future__ import annotations

import itertools
import mmap
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, Literal, NamedTuple

import xxhash

from vstore.errors import CorruptError, NewerFormatError
from vstore.objects.digest import ALGORITHMS_BY_CODE, Algorithm, Buffer, Digest, split_raw, to_raw
from vstore.objects.table import RECIPE, Location, Section, Table, table_from_bytes
from vstore.remote.layout import PackRef, number_of, pack_key
from vstore.remote.layout import find_session as session_of
from vstore.remote.transport import Key

INDEX_VERSION = 1
MOST_RECORDS = 1024 * 1024
"""No index object that we write tells of many more records than this."""
ROWS_A_LOOKUP_IS_WORTH = 30
"""Bisecting for one id costs about as much as scanning this many."""
HEAD_BYTES = 64 * 1024
"""This much of an index object names its packs, unless they are more than 1,364."""

_MAGIC = b"vstore-index"
_HEADER = struct.Struct("<12sIII")  # magic, version, packs, sections
_PACK = struct.Struct("<16sIxxxxQ16s")  # session, number, size, checksum
_DIRECTORY = struct.Struct("<BBHI")  # kind, algorithm, zero, records: also how a section of a table begins
_HEADER_BYTES = _HEADER.size
_BLOCK_ROWS = 65536
_FAN_OUT_BYTES = 256 * 4
_CHECKSUM_BYTES = 16
_LEFT_OUT = -1
_BLOCK_BYTES = 1024 * 1024


class IndexSection(NamedTuple):
    """The records of one kind and algorithm, and beside each the number of its pack."""

    section: Section
    packs: Sequence[int]

    def rows(self, digest: Digest) -> Iterator[int]:
        """Yield the rows of a digest: one for each pack that holds it."""
        raw_id = to_raw(digest)
        row = self.section.find_row(raw_id)
        width = self.section.algorithm.size_bytes
        while row is not None and row < self.section.records:
            if self.section.ids[row * width : (row + 1) * width] != raw_id:
                return
            yield row
            row += 1


class Index:
    """Some packs, and where the records in them lie.  Immutable."""

    def __init__(self, packs: Sequence[PackRef], sections: Sequence[IndexSection]) -> None:
        self.packs = packs
        self.sections = sections

    def __len__(self) -> int:
        return sum(part.section.records for part in self.sections)

    def find(self, kind: int, digest: Digest) -> Iterator[tuple[PackRef, Location]]:
        """Yield every place of a record."""
        for section, packs in self.sections:
            if section.kind == kind and digest.startswith(section.algorithm.name):
                for row in IndexSection(section, packs).rows(digest):
                    yield self.packs[packs[row]], section.location(row)


def index_of_pack(pack: PackRef, table: Table) -> Index:
    """Return the index of a single pack."""
    return Index([pack], [IndexSection(section, array("I", bytes(4 * section.records))) for section in table.sections])


def index_to_bytes(tables: Sequence[tuple[PackRef, Table]]) -> bytes:
    """Return the index of some packs from their tables; about 1 us a record."""
    return join_indexes([index_of_pack(pack, table) for pack, table in tables])


def join_indexes(indexes: Iterable[Index], is_wanted: Callable[[PackRef], bool] = lambda pack: True) -> bytes:
    """Return the index of all wanted packs that some tell of; of a key that several tell of, the first is believed."""
    chosen: list[PackRef] = []
    groups: dict[tuple[int, int], list[tuple[Sequence[int], Section]]] = {}
    known: set[Key] = set()
    for index in indexes:
        numbers: list[int] = []
        for pack in index.packs:
            is_new = pack.key not in known and is_wanted(pack)
            numbers.append(len(chosen) if is_new else _LEFT_OUT)
            if is_new:
                known.add(pack.key)
                chosen.append(pack)
        for section, packs in index.sections:
            column = [numbers[number] for number in packs]
            groups.setdefault((section.kind, section.algorithm.code), []).append((column, section))
    directory: list[bytes] = []
    sections: list[bytes] = []
    for (kind, code), parts in sorted(groups.items()):
        records = sum(number != _LEFT_OUT for column, _ in parts for number in column)
        if records:
            directory.append(_DIRECTORY.pack(kind, code, 0, records))
            sections += _section_pieces(kind, ALGORITHMS_BY_CODE[code], parts)
    packs_column = b"".join([pack_row(pack) for pack in chosen])
    header = _HEADER.pack(_MAGIC, INDEX_VERSION, len(chosen), len(directory))
    body = b"".join([header, packs_column, *directory, *sections])
    return body + xxhash.xxh3_128_digest(body)


def _section_pieces(kind: int, algorithm: Algorithm, parts: Sequence[tuple[Sequence[int], Section]]) -> list[bytes]:
    """Return the merged columns of several sections of one kind: fan-out, packs, and the section of a table."""
    width = algorithm.size_bytes
    ids = [raw_id for _, section in parts for raw_id in _split(section.ids, width)]
    chain = itertools.chain.from_iterable
    numbers = list(chain(column for column, _ in parts))
    order = sorted((row for row, number in enumerate(numbers) if number != _LEFT_OUT), key=ids.__getitem__)
    checks = [check for _, section in parts for check in _split(section.checks, width)]
    offsets = list(chain(section.offsets for _, section in parts))
    stored = list(chain(section.stored for _, section in parts))
    raw = list(chain(section.raw for _, section in parts))
    ids = [ids[row] for row in order]
    fan_out = [bisect_left(ids, bytes([byte + 1])) for byte in range(255)] + [len(ids)]
    return [
        _integers_to_bytes("I", fan_out),
        _integers_to_bytes("I", [numbers[row] for row in order]),
        _DIRECTORY.pack(kind, algorithm.code, 0, len(ids)),
        b"".join(ids),
        b"".join([checks[row] for row in order]) if kind == RECIPE else b"",
        _integers_to_bytes("Q", [offsets[row] for row in order]),
        _integers_to_bytes("I", [stored[row] for row in order]),
        _integers_to_bytes("I", [raw[row] for row in order]),
    ]


def _split(column: memoryview, width: int) -> list[bytes]:
    whole = bytes(column)
    return [whole[at : at + width] for at in range(0, len(whole), width)]


def index_from_bytes(data: Buffer, key: Key) -> Index:
    """Parse the index object at ``key``.  Raises CorruptError, NewerFormatError.

    Its checksum is checked, its rows are believed only as far as they are used: a record proves itself.
    """
    view = memoryview(data)
    _parse_header(view, key)
    if xxhash.xxh3_128_digest(view[:-_CHECKSUM_BYTES]) != view[-_CHECKSUM_BYTES:]:
        raise _corrupt(key, "it fails its checksum")
    return _parse(view, key)


def index_from_file(file: BinaryIO, key: Key) -> Index:
    """Parse an index object that lies in a file; what is not looked at takes no memory.

    Raises CorruptError, NewerFormatError, OSError.
    """
    hasher = xxhash.xxh3_128()
    tail = b""
    while block := file.read(_BLOCK_BYTES):
        held = tail + block
        hasher.update(memoryview(held)[:-_CHECKSUM_BYTES])
        tail = held[-_CHECKSUM_BYTES:]
    view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if tail else b"")
    _parse_header(view, key)
    if hasher.digest() != tail:
        raise _corrupt(key, "it fails its checksum")
    return _parse(view, key)


def _parse(view: memoryview, key: Key) -> Index:
    """Parse an index object whose checksum fits."""
    pack_count, section_count = _parse_header(view, key)
    if len(view) < _HEADER_BYTES + _CHECKSUM_BYTES:
        raise _corrupt(key, "it is too short")
    body = view[:-_CHECKSUM_BYTES]
    at = _HEADER.size
    sections_at = at + pack_count * _PACK.size + section_count * _DIRECTORY.size
    if sections_at > len(body):
        raise _corrupt(key, "it names more packs than it holds")
    packs = _parse_packs(body[at : at + pack_count * _PACK.size])
    sections: list[IndexSection] = []
    directory = body[at + pack_count * _PACK.size : sections_at]
    at = sections_at
    for kind, code, _, records in _DIRECTORY.iter_unpack(directory):
        numbers_at = at + _FAN_OUT_BYTES
        table_at = numbers_at + 4 * records
        algorithm = ALGORITHMS_BY_CODE.get(code)
        if algorithm is None:
            raise _corrupt(key, "it has records of an unknown algorithm")
        at = table_at + _DIRECTORY.size + records * (algorithm.size_bytes * (2 if kind == RECIPE else 1) + 16)
        if at > len(body):
            raise _corrupt(key, "it is shorter than it says")
        parsed = table_from_bytes(body[table_at:at]).sections
        numbers = _integers_from_bytes("I", body[numbers_at:table_at])
        if [(part.kind, part.records) for part in parsed] != [(kind, records)] or max(numbers) >= pack_count:
            raise _corrupt(key, "its directory does not fit its sections")
        sections.append(IndexSection(parsed[0], numbers))
    if at != len(body):
        raise _corrupt(key, "it is longer than it says")
    return Index(packs, sections)


def head_bytes(header: Buffer, key: Key) -> int:
    """Return the length of header and packs by the header of an index.  Raises CorruptError, NewerFormatError."""
    return _HEADER_BYTES + _parse_header(memoryview(header), key)[0] * _PACK.size


def packs_from_head(head: Buffer, key: Key) -> list[PackRef]:
    """Return the packs that an index tells of by its beginning: the checksum of the whole is not seen."""
    view = memoryview(head)
    end = head_bytes(view, key)
    if len(view) < end:
        raise _corrupt(key, "it names more packs than it holds")
    return _parse_packs(view[_HEADER_BYTES:end])


def find_packs(head: Buffer, key: Key, rows: Mapping[bytes, Key]) -> tuple[set[Key], int]:
    """Return which of some packs an index object names, by the part that does, and how many it names in all.

    ``rows`` has the packs by their ``pack_row``.  Nothing proves a head: it says what to read, and no more.
    Raises CorruptError, NewerFormatError.
    """
    view = memoryview(head)
    count, _ = _parse_header(view, key)
    named = bytes(view[_HEADER_BYTES : _HEADER_BYTES + count * _PACK.size])
    split = (named[at : at + _PACK.size] for at in range(0, len(named), _PACK.size))
    return {rows[row] for row in split if row in rows}, count


def pack_row(pack: PackRef) -> bytes:
    """Return how an index object names a pack."""
    session = bytes.fromhex(session_of(pack.key) or "")
    return _PACK.pack(session, number_of(pack.key), pack.size_bytes, bytes.fromhex(pack.checksum))


def _parse_header(view: memoryview, key: Key) -> tuple[int, int]:
    """Return the numbers of packs and sections."""
    if len(view) < _HEADER_BYTES:
        raise _corrupt(key, "it is too short")
    magic, version, pack_count, section_count = _HEADER.unpack_from(view)
    if magic != _MAGIC:
        raise _corrupt(key, "it is no index")
    if version != INDEX_VERSION:
        raise NewerFormatError(f"{key} has format version {version}", key=key, version=version)
    return pack_count, section_count


def _parse_packs(view: memoryview) -> list[PackRef]:
    return [
        PackRef(pack_key(session.hex(), number), size, checksum.hex())
        for session, number, size, checksum in _PACK.iter_unpack(view)
    ]


def split_tables(
    tables: Iterable[tuple[PackRef, Table]], most_records: int = MOST_RECORDS
) -> Iterator[list[tuple[PackRef, Table]]]:
    """Yield runs of packs with at most about ``most_records`` records each: one index object for each run."""
    run: list[tuple[PackRef, Table]] = []
    for pack, table in tables:
        if run and len(table) + sum(len(other) for _, other in run) > most_records:
            yield run
            run = []
        run.append((pack, table))
    if run:
        yield run


def _corrupt(key: Key, what: str) -> CorruptError:
    return CorruptError(f"{key} is damaged: {what}", key=key)


def _integers_to_bytes(typecode: Literal["Q", "I"], values: list[int]) -> bytes:
    column = array(typecode, values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _integers_from_bytes(typecode: Literal["Q", "I"], column: memoryview) -> Sequence[int]:
    if sys.byteorder == "little":
        return column.cast(typecode)
    values = array(typecode)
    values.frombytes(column)
    values.byteswap()
    return values


def iter_ids(section: Section) -> Iterator[tuple[int, Digest]]:
    """Yield rows and digests, without ever holding the text of all of them."""
    for start, digests in iter_id_blocks(section):
        yield from enumerate(digests, start)


def iter_id_blocks(section: Section) -> Iterator[tuple[int, list[Digest]]]:
    """Yield the digests a block at a time, with the row of the first."""
    width = section.algorithm.size_bytes
    for start in range(0, section.records, _BLOCK_ROWS):
        yield start, split_raw(section.ids[start * width : (start + _BLOCK_ROWS) * width], section.algorithm)
