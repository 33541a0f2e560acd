"""Tables of records: found as they were put in, and never believed further than they are read."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.strategies import Damage, damages, digests
from vstore.errors import CorruptError, VstoreError
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.table import (
    BLOB,
    RECIPE,
    Location,
    check_table,
    table_from_bytes,
    table_to_bytes,
)

_MAX_RECORD_BYTES = 4 * 1024 * 1024
_RECORDS_END = 2**40


def _location(kind: int, digest: Digest, offset: int, stored: int, raw: int) -> Location:
    check = digest if kind == BLOB else hash_bytes(digest.encode(), algorithm_of(digest).name)
    return Location(kind, digest, offset, stored, raw, check)


_lengths = st.integers(0, _MAX_RECORD_BYTES)
_locations = st.lists(
    st.builds(_location, st.sampled_from([BLOB, RECIPE]), digests, st.integers(16, 2**39), _lengths, _lengths),
    max_size=30,
    unique_by=lambda location: (location.kind, location.digest),
)
_ROWS = [_location(kind, hash_bytes(b"%d" % i, "xxh128"), 16, 1, 1) for kind in (BLOB, RECIPE) for i in range(3)]
_GOOD = table_to_bytes(_ROWS)
_FIRST_SECTION_BYTES = len(table_to_bytes(_ROWS[:3]))


@given(_locations)
def test_round_trip(locations: list[Location]) -> None:
    """Everything put in is found, sorted by kind, algorithm and id, and passes the thorough check."""
    table = table_from_bytes(table_to_bytes(locations))
    check_table(table, _RECORDS_END, _MAX_RECORD_BYTES)
    in_order = sorted(
        locations, key=lambda location: (location.kind, algorithm_of(location.digest).code, location.digest)
    )
    assert len(table) == len(locations)
    assert list(table.locations()) == in_order
    for location in locations:
        assert table.find(location.kind, location.digest) == location
    for kind in (BLOB, RECIPE):
        of_kind = [location for location in in_order if location.kind == kind]
        assert list(table.digests(kind)) == [location.digest for location in of_kind]
        assert [table.location(kind, row) for row in range(len(of_kind))] == of_kind
        with pytest.raises(IndexError):
            table.location(kind, len(of_kind))


@given(_locations, digests)
def test_what_is_not_there_is_not_found(locations: list[Location], digest: Digest) -> None:
    """An id that is absent, or there as another kind only, is not found."""
    absent = [location for location in locations if location.digest != digest]
    table = table_from_bytes(table_to_bytes([location for location in absent if location.kind == BLOB]))
    assert table.find(BLOB, digest) is None
    assert all(table.find(RECIPE, location.digest) is None for location in absent)


@given(_locations, st.randoms())
def test_one_encoding(locations: list[Location], chance: random.Random) -> None:
    """The order of writing leaves no trace."""
    encoding = table_to_bytes(locations)
    chance.shuffle(locations)
    assert table_to_bytes(locations) == encoding
    assert table_to_bytes(table_from_bytes(encoding).locations()) == encoding


@given(_locations, damages)
def test_spoilt(locations: list[Location], damage: Damage) -> None:
    """Whatever happened to a table, it raises our errors or is the one encoding of rows that pass the check."""
    data = damage.of(table_to_bytes(locations))
    try:
        table = table_from_bytes(data)
        check_table(table, _RECORDS_END, _MAX_RECORD_BYTES)
    except VstoreError:
        return
    assert table_to_bytes(table.locations()) == data


@given(st.binary())
def test_noise(data: bytes) -> None:
    """Noise never raises anything but our errors, nor do searches in what it seems to say."""
    try:
        table = table_from_bytes(data)
    except VstoreError:
        return
    for location in list(table.locations()):
        table.find(location.kind, location.digest)


@pytest.mark.parametrize(
    "data",
    [
        # A cut between two sections is for the pack's checksum of its table to notice.
        *(_GOOD[:length] for length in range(1, len(_GOOD)) if length != _FIRST_SECTION_BYTES),
        _GOOD + b"\0",
        struct.pack("<BBHI", 1, 1, 0, 0),  # an empty section
        struct.pack("<BBHI", 1, 1, 0, 2**32 - 1) + bytes(64),  # 128 GiB of rows
        struct.pack("<BBHI", 3, 1, 0, 1) + bytes(32),  # no such kind
        struct.pack("<BBHI", 1, 3, 0, 1) + bytes(32),  # no such algorithm
        struct.pack("<BBHI", 1, 1, 1, 1) + bytes(32),  # reserved bytes in use
        _GOOD + _GOOD,  # sections out of order
    ],
)
def test_malformed(data: bytes) -> None:
    """A table that ends early, or has sections of no known form, is refused."""
    with pytest.raises(CorruptError):
        table_from_bytes(data)


@pytest.mark.parametrize(
    "rows",
    [
        [(b"b", 16, 1, 1), (b"a", 16, 1, 1)],
        [(b"a", 16, 1, 1), (b"a", 16, 1, 1)],
        [(b"a", 16, _MAX_RECORD_BYTES + 1, 1)],
        [(b"a", 16, 1, _MAX_RECORD_BYTES + 1)],
        [(b"a", _RECORDS_END, 1, 1)],
        [(b"a", 2**64 - 1, 2**22, 1)],
        [(b"a", _RECORDS_END - 40, 1, 1)],
    ],
)
def test_thorough_check(rows: list[tuple[bytes, int, int, int]]) -> None:
    """Rows out of order, twice, of unlawful length or outside the pack parse, but fail the thorough check."""
    ids, offsets, stored, raw = zip(*rows, strict=True)
    count = len(rows)
    data = struct.pack("<BBHI", 1, 1, 0, count) + b"".join(name.ljust(16) for name in ids)
    data += struct.pack(f"<{count}Q{count}I{count}I", *offsets, *stored, *raw)
    table = table_from_bytes(data)
    with pytest.raises(CorruptError):
        check_table(table, _RECORDS_END, _MAX_RECORD_BYTES)


def test_no_rows() -> None:
    """An empty table is no bytes."""
    assert table_to_bytes([]) == b""
    assert len(table_from_bytes(b"")) == 0
    check_table(table_from_bytes(b""), 0, 0)
