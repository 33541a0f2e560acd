"""Index objects: merging tables, finding records again, and refusing what is damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable
from tempfile import TemporaryFile

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from vstore.errors import CorruptError, NewerFormatError, VstoreError
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.pack import FOOTER_BYTES, footer_from_bytes, pack_to_bytes, parse_table
from vstore.objects.table import BLOB, RECIPE, Table, table_to_bytes
from vstore.remote.index import (
    Index,
    find_packs,
    head_bytes,
    index_from_bytes,
    index_from_file,
    index_of_pack,
    index_to_bytes,
    pack_row,
    split_tables,
)
from vstore.remote.layout import PackRef, index_key, pack_key
from vstore.remote.transport import Key

_KEY = index_key("ab" * 16, 0)


def make(number: int, *records: tuple[int, Digest, bytes]) -> tuple[PackRef, Table]:
    """A pack and its table."""
    data = pack_to_bytes(records)
    footer = footer_from_bytes(data[-FOOTER_BYTES:], len(data))
    table = parse_table(data[footer.table_offset : -FOOTER_BYTES], footer)
    return PackRef(pack_key("ab" * 16, number), len(data), footer.pack_checksum), table


def blob(text: str, algorithm: str = "xxh128") -> tuple[int, Digest, bytes]:
    """A record of a blob."""
    return BLOB, hash_bytes(text.encode(), algorithm), text.encode()


def recipe(text: str, algorithm: str = "xxh128") -> tuple[int, Digest, bytes]:
    """A record of a recipe, whatever it says."""
    return RECIPE, hash_bytes(b"content of " + text.encode(), algorithm), text.encode()


_TABLES = [
    make(0, blob("a"), blob("b"), recipe("r")),
    make(1, blob("c", "blake3"), blob("shared")),
    make(22, blob("d"), blob("shared"), recipe("s", "blake3"), blob("e", "blake3")),
]


def test_every_record_is_found_in_every_pack() -> None:
    """Merged tables tell of each record all the packs that hold it, with its place in each."""
    index = index_from_bytes(index_to_bytes(_TABLES), _KEY)
    assert index.packs == [pack for pack, _ in _TABLES]
    assert len(index) == sum(len(table) for _, table in _TABLES)
    for pack, table in _TABLES:
        for location in table.locations():
            assert (pack, location) in list(index.find(location.kind, location.digest))
    shared = blob("shared")[1]
    assert [pack.key for pack, _ in index.find(BLOB, shared)] == [_TABLES[1][0].key, _TABLES[2][0].key]
    assert list(index.find(RECIPE, shared)) == []
    assert list(index.find(BLOB, blob("nowhere")[1])) == []


def test_index_of_one_pack_finds_the_same() -> None:
    """The index of a pack made from its table in memory is the one read from bytes."""
    pack, table = _TABLES[2]
    direct, read = index_of_pack(pack, table), index_from_bytes(index_to_bytes([(pack, table)]), _KEY)
    for location in table.locations():
        assert list(direct.find(location.kind, location.digest)) == list(read.find(location.kind, location.digest))


def test_sections_are_those_of_a_table() -> None:
    """The columns of a section are exactly those of a pack's table, and the fan-out counts its ids."""
    tables = [make(number, *[blob(f"{number}-{i}") for i in range(200)]) for number in range(3)]
    data = index_to_bytes(tables)
    merged = table_to_bytes(location for _, table in tables for location in table.locations())
    assert data[-16 - len(merged) : -16] == merged
    fan_out_at = 24 + 3 * 48 + 8
    fan_out = struct.unpack_from("<256I", data, fan_out_at)
    ids = [bytes.fromhex(digest[7:]) for _, table in tables for digest in table.digests(BLOB)]
    assert list(fan_out) == [sum(raw[0] <= byte for raw in ids) for byte in range(256)]


def _from_file(data: bytes, key: Key) -> Index:
    with TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return index_from_file(file, key)


def test_index_in_a_file_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that is mapped from a file, however it falls into blocks, tells what one in memory does."""
    data = index_to_bytes(_TABLES)
    for block_bytes in (1, 15, 16, 17, len(data) - 1, len(data)):
        monkeypatch.setattr("vstore.remote.index._BLOCK_BYTES", block_bytes)
        index = _from_file(data, _KEY)
        assert index.packs == [pack for pack, _ in _TABLES]
        for pack, table in _TABLES:
            for location in table.locations():
                assert (pack, location) in list(index.find(location.kind, location.digest))


@pytest.mark.parametrize("parse", [index_from_bytes, _from_file])
def test_every_torn_or_altered_index_is_recognised(parse: Callable[[bytes, Key], Index]) -> None:
    """An index that was cut short or changed anywhere is damaged (or says that it is newer)."""
    data = index_to_bytes(_TABLES)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        for wrong in (data[:at], bytes(changed)):
            with pytest.raises(CorruptError):
                parse(wrong, _KEY)


def test_head_names_the_packs() -> None:
    """The beginning of an index tells how long it is itself, and which packs the index names, to the last bit."""
    data = index_to_bytes(_TABLES)
    head = data[: head_bytes(data[:40], _KEY)]
    assert len(head) == 24 + 48 * len(_TABLES)
    packs = [pack for pack, _ in _TABLES]
    assert find_packs(head, _KEY, {pack_row(pack): pack.key for pack in packs[1:]}) == ({p.key for p in packs[1:]}, 3)
    others = [packs[0]._replace(size_bytes=1), packs[0]._replace(checksum="0" * 32)]
    assert find_packs(head, _KEY, {pack_row(pack): pack.key for pack in others}) == (set(), 3)
    assert find_packs(head[:100], _KEY, {pack_row(pack): pack.key for pack in packs}) == ({packs[0].key}, 3)
    for wrong in (b"", b"x" * 100, data[:23]):
        with pytest.raises(CorruptError):
            find_packs(wrong, _KEY, {})
    newer = bytearray(head)
    newer[12] = 2
    with pytest.raises(NewerFormatError, match=_KEY):
        head_bytes(newer, _KEY)


def test_newer_index_is_named() -> None:
    """An index of a newer version is an error that names its key."""
    data = bytearray(index_to_bytes(_TABLES))
    data[12] = 2
    with pytest.raises(NewerFormatError, match=_KEY):
        index_from_bytes(data, _KEY)


@given(at=st.integers(0, 400), value=st.integers(0, 2**32 - 1))
def test_forged_counts_raise_only_ours(at: int, value: int) -> None:
    """Whatever number stands where, with a checksum that fits: our error, or records that are not believed yet."""
    body = bytearray(index_to_bytes(_TABLES)[:-16])
    struct.pack_into("<I", body, at, value)
    try:
        index = index_from_bytes(bytes(body) + xxhash.xxh3_128_digest(body), _KEY)
        for _, table in _TABLES:
            for location in table.locations():
                list(index.find(location.kind, location.digest))
    except VstoreError:
        pass


@given(st.binary(max_size=300))
def test_random_bytes_are_no_index(data: bytes) -> None:
    """Random bytes are damaged."""
    with pytest.raises(CorruptError):
        index_from_bytes(b"vstore-index" + data, _KEY)


def test_long_indexes_are_split_between_packs() -> None:
    """Packs are spread over several index objects, whole and in order."""
    runs = list(split_tables(_TABLES, 4))
    assert [pack for run in runs for pack, _ in run] == [pack for pack, _ in _TABLES]
    assert len(runs) == 3
    assert len(list(split_tables(_TABLES, 100))) == 1
    assert list(split_tables([], 100)) == []
