"""The frozen samples of a remote: written as ever, read as ever, and read by a reader made from the page alone."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import pytest
import xxhash

from tests.command import PROJECT
from tests.formats import remote_samples
from vstore.objects.table import BLOB, RECIPE
from vstore.remote.commits import check_format, commit_from_bytes, intent_from_bytes
from vstore.remote.index import index_from_bytes
from vstore.remote.layout import LISTING, commit_key, index_key, intent_key
from vstore.remote.listing import listing_from_bytes
from vstore.remote.packer import PACK_BYTES
from vstore.remote.sealed import MAX_COUNT
from vstore.remote.spans import GAP_BYTES, SPAN_BYTES

_SAMPLES = remote_samples.build()
_COMMIT = commit_key(remote_samples.PROJECT, remote_samples.SESSION)
_MERGED = commit_key(remote_samples.PROJECT, remote_samples.LATER)
_INTENT = intent_key(remote_samples.SESSION)
_INDEX = index_key(remote_samples.SESSION, 0)


def _sample(key: str) -> bytes:
    return (remote_samples.DIRECTORY / key).read_bytes()


def _files(path: Path) -> set[str]:
    return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()} - {".gitattributes"}


def test_all_samples_are_known() -> None:
    """Every sample is one that these tests look at, and the other way round."""
    assert _files(remote_samples.DIRECTORY) == _SAMPLES.keys()


@pytest.mark.parametrize("key", _SAMPLES)
def test_written_as_ever(key: str) -> None:
    """Everything is written today byte for byte as it was."""
    assert _SAMPLES[key] == _sample(key)


def test_read_as_ever() -> None:
    """Everything means today what it meant."""
    check_format(_sample("format.json"))
    assert commit_from_bytes(_sample(_COMMIT), _COMMIT) == remote_samples.COMMIT
    merged = commit_from_bytes(_sample(_MERGED), _MERGED)
    assert dataclasses.replace(merged, supersedes=remote_samples.MERGED.supersedes) == remote_samples.MERGED
    assert set(merged.supersedes) == set(remote_samples.MERGED.supersedes)
    assert listing_from_bytes(_sample(LISTING)) == tuple(sorted(remote_samples.LISTED))
    assert intent_from_bytes(_sample(_INTENT), _INTENT) == {remote_samples.PACKS[0][0].key}
    index = index_from_bytes(_sample(_INDEX), _INDEX)
    for (pack, table), records in zip(remote_samples.PACKS, remote_samples.RECORDS_OF_PACKS, strict=True):
        assert len(table) == len(records)
        for location in table.locations():
            assert (pack, location) in list(index.find(location.kind, location.digest))


@pytest.mark.parametrize("key", [key for key in _SAMPLES if key.endswith(".json")])
def test_documents_are_as_the_page_says(key: str) -> None:
    """A document is JSON whose checksum is that of its sorted, dense self without it."""
    data = _sample(key)
    document = json.loads(data)
    assert data == json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert document["version"] == 1
    checksum = document.pop("checksum")
    dense = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert checksum == "xxh128:" + xxhash.xxh3_128_hexdigest(dense)


def test_index_is_as_the_page_says() -> None:
    """An index read by the table on the page gives the records of the packs."""
    data = _sample(_INDEX)
    assert data[-16:] == xxhash.xxh3_128_digest(data[:-16])
    magic, version, pack_count, section_count = struct.unpack_from("<12sIII", data)
    assert (magic, version) == (b"vstore-index", 1)
    at = 24
    packs = []
    for _ in range(pack_count):
        session, number, zero, size, checksum = struct.unpack_from("<16sIIQ16s", data, at)
        assert zero == 0
        packs.append((f"packs/{session.hex()}-{number}.vpack", size, checksum.hex()))
        at += 48
    directory = [struct.unpack_from("<BBHI", data, at + 8 * i) for i in range(section_count)]
    assert directory == sorted(directory)
    at += 8 * section_count
    found = set()
    for kind, algorithm, _, records in directory:
        name, width = {1: ("xxh128", 16), 2: ("blake3", 32)}[algorithm]
        fan_out = struct.unpack_from("<256I", data, at)
        numbers = struct.unpack_from(f"<{records}I", data, at + 1024)
        at += 1024 + 4 * records
        assert struct.unpack_from("<BBHI", data, at) == (kind, algorithm, 0, records)
        ids = [data[at + 8 + i * width : at + 8 + (i + 1) * width] for i in range(records)]
        assert ids == sorted(ids)
        assert list(fan_out) == [sum(raw[0] <= byte for raw in ids) for byte in range(256)]
        found |= {(packs[n], kind, f"{name}:{raw.hex()}") for n, raw in zip(numbers, ids, strict=True)}
        at += 8 + records * (width * kind + 16)
    assert at + 16 == len(data)
    assert found == {
        (tuple(pack), kind, digest)
        for (pack, _), records in zip(remote_samples.PACKS, remote_samples.RECORDS_OF_PACKS, strict=True)
        for kind, digest, *_ in records
    }
    assert {BLOB, RECIPE} == {kind for _, kind, _ in found}


def test_numbers() -> None:
    """Lengths stand on the page as they stand in the code."""
    page = (PROJECT / "docs/formats/remote.md").read_text("utf-8")
    assert "about 64 MiB, written by one request" in page
    assert PACK_BYTES == 64 << 20
    assert "(gaps up to 256 KiB, up to 8 MiB a request)" in page
    assert (GAP_BYTES, SPAN_BYTES) == (256 << 10, 8 << 20)
    assert "whole numbers from 0 to 2⁴⁸" in page
    assert MAX_COUNT == 2**48
