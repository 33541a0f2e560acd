"""Packs: what goes in comes out or is missed, whatever happened to the bytes in between."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Iterator

import pytest
import xxhash
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.objects.strategies import Damage, algorithms, damages
from vstore.errors import CorruptError, InvalidError, NewerFormatError, VstoreError
from vstore.objects.digest import Digest, algorithm_of, hash_bytes, to_raw
from vstore.objects.pack import (
    FOOTER_BYTES,
    MAX_RECORD_BYTES,
    PACK_HEADER,
    RAW,
    ZSTD,
    PackWriter,
    footer_from_bytes,
    iter_records,
    pack_to_bytes,
    parse_table,
    read_record,
)
from vstore.objects.recipe import Chunk, Recipe, recipe_to_bytes
from vstore.objects.table import BLOB, RECIPE, Location, check_table

Record = tuple[int, Digest, bytes]


def _blob(data: bytes, algorithm: str = "xxh128") -> Record:
    return BLOB, hash_bytes(data, algorithm), data


def _recipe(*chunks: bytes, algorithm: str = "xxh128") -> Record:
    data = recipe_to_bytes(Recipe(0, [Chunk(hash_bytes(chunk, algorithm), len(chunk)) for chunk in chunks]))
    return RECIPE, hash_bytes(b"".join(chunks), algorithm), data


def _read(pack: bytes) -> Iterator[Record]:
    """Read a pack through its table."""
    footer = footer_from_bytes(pack[-FOOTER_BYTES:], len(pack))
    table = parse_table(pack[footer.table_offset : -FOOTER_BYTES], footer)
    check_table(table, footer.table_offset, MAX_RECORD_BYTES)
    for location in table.locations():
        yield location.kind, location.digest, _content(pack, location)


def _content(pack: bytes, location: Location) -> bytes:
    return read_record(memoryview(pack)[location.offset : location.offset + location.record_bytes], location)


def _read_forward(pack: bytes) -> Iterator[Record]:
    """Read a pack from record to record, as when its end is lost."""
    for location, record in iter_records(pack):
        yield location.kind, location.digest, read_record(record, location)


def _order(record: Record) -> tuple[int, int, str]:
    return record[0], algorithm_of(record[1]).code, record[1]


_TEXT = b"All happy families are alike; every unhappy family is unhappy in its own way. " * 5
_SMALL = [_blob(_TEXT), _blob(b""), _recipe(b"one", b"two"), _blob(b"x" * 70, "blake3"), _blob(b"odd")]
_SMALL_PACK = pack_to_bytes(_SMALL)

_contents = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda unit, times: unit * times, st.binary(max_size=20), st.integers(0, 3000)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 99), st.integers(0, 30_000)),
)
_records = st.lists(
    st.one_of(
        st.builds(_blob, _contents, algorithms),
        st.builds(
            lambda chunks, algorithm: _recipe(*chunks, algorithm=algorithm),
            st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=9),
            algorithms,
        ),
    ),
    max_size=12,
    unique_by=lambda record: record[:2],
)


@given(_records)
def test_round_trip(records: list[Record]) -> None:
    """Records come out through the table, sorted, and forward, in the order in which they were written."""
    pack = pack_to_bytes(records)
    assert list(_read(pack)) == sorted(records, key=_order)
    assert list(_read_forward(pack)) == records
    assert list(_read_forward(memoryview(bytearray(pack)))) == records


@settings(max_examples=20)
@given(_records)
def test_summary(records: list[Record]) -> None:
    """What the writer says of a finished pack is true."""
    parts: list[bytes] = []
    writer = PackWriter(parts.append)
    for kind, digest, data in records:
        writer.add(kind, digest, data, check=hash_bytes(data, algorithm_of(digest).name))
    assert len(writer) == len(records)
    table_offset = writer.size_bytes
    summary = writer.finish()
    pack = b"".join(parts)
    footer = footer_from_bytes(pack[-FOOTER_BYTES:], summary.size_bytes)
    assert (footer.table_offset, footer.records, footer.pack_checksum) == (table_offset, len(records), summary.checksum)
    assert summary.size_bytes == len(pack)
    assert summary.table == pack[table_offset:-FOOTER_BYTES]
    assert summary.checksum == xxhash.xxh3_128_hexdigest(pack[:-FOOTER_BYTES])
    assert summary.records == len(records)


def test_records_are_copied_without_recoding() -> None:
    """A record moved to another pack as it stands is the same record there."""
    parts: list[bytes] = []
    writer = PackWriter(parts.append)
    writer.add(*_blob(b"the first"))
    for location, record in iter_records(_SMALL_PACK):
        writer.add_record(record, location)
    writer.finish()
    assert list(_read(b"".join(parts))) == sorted([*_SMALL, _blob(b"the first")], key=_order)


def test_pieces_are_written_as_they_come() -> None:
    """The writer holds about a MiB, however long the pack."""
    pieces: list[int] = []
    writer = PackWriter(lambda piece: pieces.append(len(piece)))
    for i in range(100):
        writer.add(*_blob(random.Random(i).randbytes(100_000)))
    assert sum(pieces) > 8 * 1024 * 1024
    assert max(pieces) < 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b"", RAW),
        (b"tiny" * 10, RAW),
        (_TEXT, ZSTD),
        (_TEXT * 500, ZSTD),
        (bytes(1024 * 1024), ZSTD),
        (random.Random(1).randbytes(1000), RAW),
        (random.Random(1).randbytes(100_000), RAW),
        # Only the ends of this one are compressible: the sample is from the middle.
        (bytes(2000) + random.Random(1).randbytes(20_000) + bytes(2000), RAW),
        (random.Random(1).randbytes(2000) + bytes(20_000) + random.Random(1).randbytes(2000), ZSTD),
    ],
)
def test_compression(data: bytes, codec: int) -> None:
    """A record is compressed where a sample from its middle says that it pays."""
    pack = pack_to_bytes([_blob(data)])
    assert pack[len(PACK_HEADER) + 13] == codec
    assert list(_read(pack)) == [_blob(data)]


def test_longest_record() -> None:
    """A record of the greatest length is read back, a longer one is refused before it is written."""
    data = random.Random(2).randbytes(MAX_RECORD_BYTES)
    assert list(_read(pack_to_bytes([_blob(data)]))) == [_blob(data)]
    with pytest.raises(InvalidError):
        pack_to_bytes([_blob(data + b"x")])


def _survivors(pack: bytes) -> set[Record]:
    """Return everything that any way of reading finds in damaged bytes; anything but our errors escapes."""
    found: set[Record] = set()
    try:
        found.update(_read(pack))
    except VstoreError:
        pass
    for location, record in iter_records(pack):
        try:
            found.add((location.kind, location.digest, read_record(record, location)))
        except VstoreError:
            pass
    return found


def _is_true(record: Record) -> bool:
    # A recipe's id is that of the content it describes, which only a whole read proves.
    return record in _SMALL or (record[0] == BLOB and record == _blob(record[2], record[1][:6]))


def test_truncated_anywhere() -> None:
    """A pack that ends early, at whatever byte, is refused through its end and gives all whole records forward."""
    ends = [location.offset + location.record_bytes for location, _ in iter_records(_SMALL_PACK)]
    for length in range(len(_SMALL_PACK)):
        pack = _SMALL_PACK[:length]
        with pytest.raises(CorruptError):
            list(_read(pack))
        assert list(_read_forward(pack)) == _SMALL[: sum(end <= length for end in ends)]


def test_one_bit_flipped_anywhere() -> None:
    """A flipped bit, wherever it is, costs at most the record that it is in, and never gives a wrong content."""
    for at in range(len(_SMALL_PACK)):
        for bit in range(8):
            pack = bytearray(_SMALL_PACK)
            pack[at] ^= 1 << bit
            found = _survivors(bytes(pack))
            assert found <= set(_SMALL)
            assert len(found) >= len(_SMALL) - 1


def test_one_bit_flipped_under_a_known_table() -> None:
    """A reader that knows the places from elsewhere gets the true content or CorruptError, whatever bit flipped."""
    truth = {location: _content(_SMALL_PACK, location) for location, _ in iter_records(_SMALL_PACK)}
    for at in range(len(_SMALL_PACK)):
        pack = bytearray(_SMALL_PACK)
        pack[at] ^= 0x10
        for location, content in truth.items():
            with contextlib.suppress(CorruptError):
                assert _content(bytes(pack), location) == content


@given(damages, damages)
def test_spoilt(one: Damage, other: Damage) -> None:
    """Whatever happened to a pack, nothing untrue is read from it."""
    assert all(map(_is_true, _survivors(other.of(one.of(_SMALL_PACK)))))


@given(st.binary(), st.binary())
def test_noise(body: bytes, tail: bytes) -> None:
    """Noise, bare or dressed up as a pack, never raises anything but our errors and never gives an untrue content."""
    for noise in (body, PACK_HEADER + b"\xb5VR1" + body, body + tail.rjust(52)[:52] + b"vstore-tail\0"):
        assert all(map(_is_true, _survivors(noise)))


def test_damage_in_the_middle_is_skipped() -> None:
    """After a damaged stretch reading goes on with the next record, also where the damage looks like records."""
    pack = bytearray(_SMALL_PACK)
    second, fourth = [location for location, _ in iter_records(_SMALL_PACK)][1:4:2]
    pack[second.offset : second.offset + 30] = (b"\xb5VR1" * 8)[:30]
    pack[fourth.offset + 4 : fourth.offset + 20] = b"\xff" * 16
    assert list(_read_forward(bytes(pack))) == [_SMALL[0], _SMALL[2], _SMALL[4]]


def _forge(codec: int, payload: bytes, raw_bytes: int, digest: Digest) -> bytes:
    """Return a pack of one record whose checksums hold, as an attacker would make it."""
    body = struct.pack("<BBBxII", BLOB, codec, 1, len(payload), raw_bytes) + to_raw(digest) + payload
    record = b"\xb5VR1" + struct.pack("<Q", xxhash.xxh3_64_intdigest(body)) + body
    return PACK_HEADER + record


def _zstd_frame(data: bytes, claimed_bytes: int) -> bytes:
    """Return a zstd frame whose header claims another length of content."""
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(data)
    assert frame[4] & 0xE0 == 0  # neither content size nor single segment
    return frame[:4] + bytes([frame[4] | 0xC0]) + frame[5:6] + struct.pack("<Q", claimed_bytes) + frame[6:]


@pytest.mark.parametrize(
    ("codec", "payload", "raw_bytes"),
    [
        (RAW, b"abc", 4),
        (RAW, b"abc", 2),
        (2, b"abc", 3),
        (ZSTD, b"", 0),
        (ZSTD, b"not zstd", 8),
        (ZSTD, zstandard.compress(b"abc")[:-1], 3),
        (ZSTD, zstandard.compress(b"abc"), 4),
        (ZSTD, zstandard.ZstdCompressor(write_content_size=False).compress(b"abc"), 3),
        # Bombs: much content in little, with an honest frame header and with headers that lie.
        (ZSTD, zstandard.compress(bytes(64 * 1024 * 1024)), 64 * 1024 * 1024),
        (ZSTD, zstandard.compress(bytes(64 * 1024 * 1024)), 10),
        (ZSTD, _zstd_frame(bytes(64 * 1024 * 1024), 10), 10),
        (ZSTD, _zstd_frame(b"abc", 2**62), 3),
        (ZSTD, _zstd_frame(b"abc", MAX_RECORD_BYTES), MAX_RECORD_BYTES),
    ],
)
def test_payloads_that_lie(codec: int, payload: bytes, raw_bytes: int) -> None:
    """A payload that is not what its header says is damage, and costs no more memory than a record may have."""
    digest = hash_bytes(b"abc", "xxh128")
    pack = _forge(codec, payload, raw_bytes, digest)
    location = Location(BLOB, digest, len(PACK_HEADER), len(payload), raw_bytes, digest)
    with pytest.raises(CorruptError):
        _content(pack, location)
    assert _survivors(pack) == set()


def test_forged_content_is_refused() -> None:
    """A record whose checksums hold but whose content is not that of its id is refused."""
    digest = hash_bytes(b"true", "xxh128")
    assert _survivors(_forge(RAW, b"true", 4, digest)) == {(BLOB, digest, b"true")}
    assert _survivors(_forge(RAW, b"lies", 4, digest)) == set()


def test_a_place_that_holds_another_record() -> None:
    """A location that names the wrong record, kind or length is refused."""
    location, other = [location for location, _ in iter_records(_SMALL_PACK)][:2]
    record = _SMALL_PACK[location.offset : location.offset + location.record_bytes]
    assert read_record(record, location) == _TEXT
    for wrong in (
        location._replace(kind=RECIPE),
        location._replace(digest=other.digest),
        location._replace(digest=hash_bytes(b"", "blake3")),
        location._replace(raw_bytes=location.raw_bytes + 1),
        location._replace(stored_bytes=location.stored_bytes + 1),
        location._replace(stored_bytes=2**32 - 1),
        location._replace(check=other.digest),
    ):
        with pytest.raises(CorruptError):
            read_record(record, wrong)


def test_pack_inside_a_pack() -> None:
    """A stored file that is itself a pack is one record, also when read forward."""
    inner = pack_to_bytes([_blob(random.Random(5).randbytes(500))])
    assert list(_read_forward(pack_to_bytes([_blob(inner), _blob(b"after")]))) == [_blob(inner), _blob(b"after")]


@pytest.mark.parametrize("field", [(0, 8), (8, 8), (16, 8), (40, 8)])
@pytest.mark.parametrize("value", [0, 1, 2**31, 2**64 - 1])
def test_footers_that_lie(field: tuple[int, int], value: int) -> None:
    """A footer whose offset, lengths, checksum or count is not the pack's is refused, huge ones without allocating."""
    at, width = field
    footer = bytearray(_SMALL_PACK[-FOOTER_BYTES:])
    footer[at : at + width] = value.to_bytes(8, "little")
    with pytest.raises(CorruptError):
        list(_read(_SMALL_PACK[:-FOOTER_BYTES] + footer))


def test_newer_version() -> None:
    """A pack of a version to come is refused as such, with its number."""
    footer = _SMALL_PACK[-FOOTER_BYTES:-16] + struct.pack("<I", 9) + _SMALL_PACK[-12:]
    with pytest.raises(NewerFormatError) as caught:
        footer_from_bytes(footer, len(_SMALL_PACK))
    assert caught.value.fields["version"] == 9


def test_not_a_footer() -> None:
    """What is too short or does not end like a pack is refused."""
    for data in (b"", b"x" * FOOTER_BYTES, _SMALL_PACK[-FOOTER_BYTES - 1 :]):
        with pytest.raises(CorruptError):
            footer_from_bytes(data, len(_SMALL_PACK))


def test_empty_pack() -> None:
    """A pack without records is a pack."""
    pack = pack_to_bytes([])
    assert list(_read(pack)) == list(_read_forward(pack)) == []
