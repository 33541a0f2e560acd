"""Tables of records: which records there are, and where.  They end every pack and fill every index object.

A table is stored as columns, one section for each (kind, algorithm), sorted by raw id, so that one record is
found by bisection in the bytes and a hundred thousand are turned into a set in milliseconds.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from vstore.errors import CorruptError
from vstore.objects.digest import (
    ALGORITHMS_BY_CODE,
    Algorithm,
    Buffer,
    Digest,
    algorithm_of,
    from_raw,
    split_raw,
    to_raw,
)

BLOB = 1
RECIPE = 2
KINDS = {BLOB: "blob", RECIPE: "recipe"}

RECORD_HEADER_BYTES = 24
_SECTION = struct.Struct("<BBHI")


class Location(NamedTuple):
    """One record: what it is and where it lies in its pack.

    ``offset`` is that of the record's header.  ``check`` is the digest of the stored content itself: for a
    blob its own digest, for a recipe the digest of the recipe's bytes.
    """

    kind: int
    digest: Digest
    offset: int
    stored_bytes: int
    raw_bytes: int
    check: Digest

    @property
    def record_bytes(self) -> int:
        """The length of the whole record: header, id and payload."""
        # Asked for every record that is read: of a digest's text all but seven characters are two for a byte.
        return RECORD_HEADER_BYTES + (len(self.digest) - 7 >> 1) + self.stored_bytes


class Section(NamedTuple):
    """The records of one kind and algorithm, as columns sorted by raw id."""

    kind: int
    algorithm: Algorithm
    records: int
    ids: memoryview
    checks: memoryview
    """For recipes the raw digests of their bytes; empty for blobs."""
    offsets: Sequence[int]
    stored: Sequence[int]
    raw: Sequence[int]

    def location(self, row: int, digest: Digest | None = None) -> Location:
        """Return one row; faster for a caller who knows its digest."""
        width = self.algorithm.size_bytes
        if digest is None:
            digest = from_raw(bytes(self.ids[row * width : (row + 1) * width]), self.algorithm)
        check = digest
        if self.kind == RECIPE:
            check = from_raw(bytes(self.checks[row * width : (row + 1) * width]), self.algorithm)
        return Location(self.kind, digest, self.offsets[row], self.stored[row], self.raw[row], check)

    def find_row(self, raw_id: bytes) -> int | None:
        """Return the row of a raw id, found by bisection."""
        width, ids = self.algorithm.size_bytes, self.ids
        low, high = 0, self.records
        while low < high:
            middle = (low + high) // 2
            if bytes(ids[middle * width : (middle + 1) * width]) < raw_id:
                low = middle + 1
            else:
                high = middle
        if low < self.records and bytes(ids[low * width : (low + 1) * width]) == raw_id:
            return low
        return None

    def locations(self) -> Iterator[Location]:
        """Yield all rows in the order of their ids."""
        digests = split_raw(self.ids, self.algorithm)
        checks = split_raw(self.checks, self.algorithm) if self.kind == RECIPE else digests
        for digest, offset, stored, raw, check in zip(
            digests, self.offsets, self.stored, self.raw, checks, strict=True
        ):
            yield Location(self.kind, digest, offset, stored, raw, check)


class Table:
    """An immutable table of records."""

    def __init__(self, sections: list[Section]) -> None:
        self.sections = sections

    def __len__(self) -> int:
        return sum(section.records for section in self.sections)

    def find(self, kind: int, digest: Digest) -> Location | None:
        """Return where a record lies, or None."""
        algorithm = algorithm_of(digest)
        for section in self.sections:
            if section.kind == kind and section.algorithm is algorithm:
                row = section.find_row(to_raw(digest))
                return None if row is None else section.location(row)
        return None

    def location(self, kind: int, row: int, digest: Digest | None = None) -> Location:
        """Return the ``row``-th record of a kind, in the order of ``digests``; faster if its digest is known."""
        for section in self.sections:
            if section.kind == kind:
                if row < section.records:
                    return section.location(row, digest)
                row -= section.records
        raise IndexError(row)

    def digests(self, kind: int) -> Iterator[Digest]:
        """Yield the digests of all records of a kind, at C speed."""
        for section in self.sections:
            if section.kind == kind:
                yield from split_raw(section.ids, section.algorithm)

    def locations(self) -> Iterator[Location]:
        """Yield every record, sorted by kind, algorithm and id."""
        for section in self.sections:
            yield from section.locations()


def table_to_bytes(locations: Iterable[Location]) -> bytes:
    """Return the one encoding of a table; 1 us a record."""
    groups: dict[tuple[int, int], list[Location]] = {}
    for location in locations:
        groups.setdefault((location[0], algorithm_of(location[1]).code), []).append(location)
    parts: list[bytes] = []
    for (kind, code), rows in sorted(groups.items()):
        rows.sort()  # within one kind and algorithm, digests sort as their raw bytes do
        _, digests, offsets, stored, raw, checks = zip(*rows, strict=True)
        parts.append(_SECTION.pack(kind, code, 0, len(rows)))
        parts.append(_join_raw(digests))
        if kind == RECIPE:
            parts.append(_join_raw(checks))
        parts.append(_little_bytes("Q", offsets))
        parts.append(_little_bytes("I", stored))
        parts.append(_little_bytes("I", raw))
    return b"".join(parts)


def _join_raw(digests: Sequence[Digest]) -> bytes:
    return bytes.fromhex("".join([digest[7:] for digest in digests]))


def table_from_bytes(data: Buffer) -> Table:
    """Parse a table, in time that does not grow with its rows.  Raises CorruptError.

    A row is believed only as far as it is used: an unsorted table loses records, a wrong offset fails the
    record's own verification.  ``check_table`` looks at every row.
    """
    view = memoryview(data)
    sections: list[Section] = []
    at = 0
    while at < len(view):
        if len(view) - at < _SECTION.size:
            raise CorruptError("a table of records ends inside a section")
        kind, code, zero, records = _SECTION.unpack_from(view, at)
        at += _SECTION.size
        algorithm = ALGORITHMS_BY_CODE.get(code)
        in_order = not sections or _order(sections[-1]) < (kind, code)
        if kind not in KINDS or algorithm is None or zero or not records or not in_order:
            raise CorruptError("a table of records has a section of no known form")
        width = algorithm.size_bytes
        columns = []
        for column_width in (width, width if kind == RECIPE else 0, 8, 4, 4):
            columns.append(view[at : at + column_width * records])
            at += column_width * records
        if at > len(view):
            raise CorruptError("a table of records is shorter than it says")
        ids, checks, offsets, stored, raw = columns
        sections.append(
            Section(
                kind,
                algorithm,
                records,
                ids,
                checks,
                _integers("Q", offsets),
                _integers("I", stored),
                _integers("I", raw),
            )
        )
    return Table(sections)


def check_table(table: Table, records_end: int, max_record_bytes: int) -> None:
    """Look at every row: ids strictly ascending, records of a lawful length that end by ``records_end``.

    Raises CorruptError.
    """
    for section in table.sections:
        width, column = section.algorithm.size_bytes, bytes(section.ids)
        ids = [column[i : i + width] for i in range(0, len(column), width)]
        if any(map(bytes.__ge__, ids, ids[1:])):
            raise CorruptError("a table of records is not sorted")
        longest = max(max(section.stored), max(section.raw))
        end = max(map(int.__add__, section.offsets, section.stored)) + RECORD_HEADER_BYTES + width
        if longest > max_record_bytes or end > records_end:
            raise CorruptError("a table of records points outside its pack")


def _order(section: Section) -> tuple[int, int]:
    return section.kind, section.algorithm.code


def _integers(typecode: Literal["Q", "I"], column: memoryview) -> Sequence[int]:
    """Return a little-endian column as a sequence, without a copy where the machine is little-endian too."""
    if sys.byteorder == "little":
        return column.cast(typecode)
    values = array(typecode)
    values.frombytes(column)
    values.byteswap()
    return values


def _little_bytes(typecode: Literal["Q", "I"], values: Sequence[int]) -> bytes:
    column = array(typecode, values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()
