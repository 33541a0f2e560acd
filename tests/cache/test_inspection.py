"""Verifying the files of a cache: what is damaged or cannot be read is named, and what is good in it is kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from vstore.cache.cache import Cache
from vstore.cache.inspection import DAMAGED, NEWER, UNREADABLE, PackReading, inspect_cache, list_cache, verify_pack
from vstore.cache.inventory import list_set_aside
from vstore.cache.salvage import rebuild_pack
from vstore.cache.writer import open_writer
from vstore.errors import CorruptError
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.pack import PACK_HEADER, iter_records, pack_to_bytes
from vstore.objects.table import BLOB
from vstore.progress import SILENT

LARGE = os.urandom(3_000_000)
CONTENTS = [os.urandom(200_000) for _ in range(30)]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache with one pack and one loose object."""
    cache = Cache(tmp_path / "cache")
    cache.create()
    with open_writer(cache) as writer:
        for content in [*CONTENTS, LARGE]:
            writer.add_bytes(content, "xxh128")
    return cache


def only_pack(cache: Cache) -> Path:
    """The one pack, made writable."""
    (pack,) = cache.packs.directory.iterdir()
    pack.chmod(0o644)
    return pack


def digest_of(content: bytes) -> Digest:
    """The digest of a content."""
    return hash_bytes(content, "xxh128")


class BadBlock:
    """A disk that cannot read some bytes of a file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, start: int, end: int) -> None:
        self._place = path.stat().st_ino, start, end
        self._real = os.pread, os.preadv
        monkeypatch.setattr(os, "pread", self._pread)
        monkeypatch.setattr(os, "preadv", self._preadv)

    def _check(self, descriptor: int, length: int, offset: int) -> None:
        inode, start, end = self._place
        if os.fstat(descriptor).st_ino == inode and offset < end and start < offset + length:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _pread(self, descriptor: int, length: int, offset: int) -> bytes:
        self._check(descriptor, length, offset)
        return self._real[0](descriptor, length, offset)

    def _preadv(self, descriptor: int, buffers: Any, offset: int) -> int:
        self._check(descriptor, sum(map(len, buffers)), offset)
        return self._real[1](descriptor, buffers, offset)


def inspect(cache: Cache) -> list[tuple[str, str, int]]:
    """Kind and reason of each flaw, with how many contents are lost in it."""
    found = inspect_cache(cache, None, jobs=2, reporter=SILENT)
    return [(flaw.kind, flaw.reason, len(flaw.digests)) for flaw in found.flaws]


def test_all_is_read_in_windows(cache: Cache) -> None:
    """Every byte is counted, and no more of a pack is held than a few records."""
    told: list[int] = []
    found = verify_pack(only_pack(cache), None, told.append)
    assert found == (len(CONTENTS), None)
    assert abs(sum(told) - only_pack(cache).stat().st_size) <= 64 and max(told) <= 1024 * 1024
    with open(only_pack(cache), "rb", buffering=0) as file:
        reading = PackReading(file)
        assert max(len(reading._window) for _ in reading) < 3 * 1024 * 1024


def test_block_that_cannot_be_read(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pack with a bad block only the records that touch it are lost, and the others move on."""
    pack = only_pack(cache)
    BadBlock(monkeypatch, pack, 2_000_000, 2_000_001)
    ((kind, reason, lost),) = inspect(cache)
    assert (kind, reason) == (UNREADABLE, "it cannot be read: input/output error") and 1 <= lost <= 7
    rebuild_pack(cache, pack)
    assert len(list((cache.path / "damaged").iterdir())) == 1
    held = [content for content in CONTENTS if cache.has(digest_of(content))]
    assert len(held) == len(CONTENTS) - lost
    assert inspect(cache) == []
    assert all(cache.read(digest_of(content)) == content for content in held)


def test_end_that_cannot_be_read(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the table cannot be read the records before it are found all the same."""
    pack = only_pack(cache)
    size = pack.stat().st_size
    BadBlock(monkeypatch, pack, size - 10, size)
    ((kind, _, _),) = inspect(cache)
    assert kind == UNREADABLE
    rebuild_pack(cache, pack)
    assert sum(cache.has(digest_of(content)) for content in CONTENTS) >= len(CONTENTS) - 6


def test_object_that_cannot_be_read(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loose object with a bad block is named with its content."""
    BadBlock(monkeypatch, cache.loose_path(digest_of(LARGE)), 1_500_000, 1_500_001)
    assert inspect(cache) == [(UNREADABLE, "it cannot be read: input/output error", 1)]


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (3, "it does not begin as a pack"),
        (20, "a record in it has a damaged checksum"),
        (28, "a record in it is damaged"),
        (39, "its checksum does not hold, though every record is good"),
        (100_000, "a record in it is damaged"),
        (-200, "the table of a pack fails its checksum"),
        (-60, "the footer of a pack does not fit its length"),
        (-30, "its checksum does not hold, though every record is good"),
        (-5, "a pack does not end in a footer"),
    ],
)
def test_every_byte_of_a_pack_matters(cache: Cache, at: int, reason: str) -> None:
    """Wherever one byte is wrong that is found; rebuilt, everything is there but what was in that record."""
    pack = only_pack(cache)
    data = bytearray(pack.read_bytes())
    if at == 39:
        assert data[16 + 15] == 0  # the byte of a record that is always zero is in its checksum, too
        at, reason = 16 + 15, "a record in it has a damaged checksum"
    data[at] ^= 0xFF
    pack.write_bytes(data)
    ((kind, found, lost),) = inspect(cache)
    assert (kind, found) == (DAMAGED, reason)
    rebuild_pack(cache, pack)
    assert inspect(cache) == []
    assert sum(cache.has(digest_of(content)) for content in CONTENTS) == len(CONTENTS) - lost
    assert lost == (1 if reason == "a record in it is damaged" else 0)
    (rebuilt,) = cache.packs.directory.iterdir()
    assert len(list(iter_records(rebuilt.read_bytes()))) == len(CONTENTS) - lost


@pytest.mark.parametrize("length", [0, 1, 15, 63, 64, 1000])
def test_short_packs(cache: Cache, length: int) -> None:
    """What is left of a cut pack may be nothing: it is set aside, and no pack is made of it."""
    pack = only_pack(cache)
    pack.write_bytes(pack.read_bytes()[:length])
    ((kind, _, lost),) = inspect(cache)
    assert (kind, lost) == (DAMAGED, 0)
    rebuild_pack(cache, pack)
    assert list(cache.packs.directory.iterdir()) == []
    rebuild_pack(cache, pack)  # another command was as quick


def test_newer_pack(cache: Cache) -> None:
    """A pack of a newer version is named as such, and nothing is said of what it holds."""
    pack = only_pack(cache)
    data = pack.read_bytes()
    pack.write_bytes(PACK_HEADER[:12] + b"\2" + data[13:-16] + b"\2" + data[-15:])
    assert [(kind, lost) for kind, _, lost in inspect(cache)] == [(NEWER, 0)]


def test_records_that_lie_across_each_other(cache: Cache) -> None:
    """A table whose rows overlap or leave the pack makes no harm: what is good is found."""
    pack = only_pack(cache)
    double = pack_to_bytes([(BLOB, digest_of(b"one"), b"one"), (BLOB, digest_of(b"two"), b"two")])
    pack.write_bytes(double)
    assert verify_pack(pack, None, lambda _: None) == (2, None)
    assert verify_pack(pack, {digest_of(b"two")}, lambda _: None) == (1, None)


def test_what_was_set_aside_is_known(cache: Cache) -> None:
    """The contents of files that were set aside are remembered to have been here."""
    pack = only_pack(cache)
    pack.write_bytes(pack.read_bytes().replace(CONTENTS[3], bytes(len(CONTENTS[3]))))
    rebuild_pack(cache, pack)
    cache.set_aside(digest_of(LARGE))
    assert {digest_of(CONTENTS[3]), digest_of(LARGE)} <= {
        digest for aside in list_set_aside(cache) for digest in aside.digests
    }
    with pytest.raises(LookupError):
        cache.read(digest_of(CONTENTS[3]))


def test_unintelligible_format(cache: Cache) -> None:
    """A format that is no version is damage, and no newer version."""
    (cache.path / "format").write_bytes(b"\0\0")
    with pytest.raises(CorruptError) as raised:
        cache.create()
    assert raised.value.code == "corrupt"


def test_listing_looks_only_where_contents_are(cache: Cache) -> None:
    """Directories, links and other names are strangers, and nothing else is touched."""
    (cache.packs.directory / "0-0.vpack").symlink_to("nowhere")
    (cache.objects / "xxh128/zz").mkdir()
    (cache.objects / "xxh128/zz/notes").write_text("")
    (cache.objects / "readme").write_text("")
    listing = list_cache(cache)
    assert len(listing.files) == 2 and len(listing.strangers) == 3 and listing.flaws == []
