"""Reading from a cache: what is there is found and verified, what is damaged is never passed on."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from vstore.cache.cache import Cache
from vstore.cache.packs import new_pack_name
from vstore.cache.writer import open_writer
from vstore.errors import CorruptError, NewerFormatError, ObjectMissingError
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.pack import pack_to_bytes
from vstore.objects.table import BLOB

LARGE = os.urandom(300_000)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A new cache."""
    cache = Cache(tmp_path / "cache")
    cache.create()
    return cache


def put(cache: Cache, *contents: bytes) -> list[Digest]:
    """Put contents into a cache, small ones into one new pack."""
    with open_writer(cache) as writer:
        return [writer.add_bytes(content, "xxh128") for content in contents]


def only_pack(cache: Cache) -> Path:
    """The one pack, made writable."""
    (pack,) = cache.packs.directory.iterdir()
    pack.chmod(0o644)
    return pack


def test_contents_come_back(cache: Cache) -> None:
    """Small and large contents are found, also by another opener; others are missing."""
    contents = [b"", b"one", b"two" * 1000, LARGE]
    digests = put(cache, *contents)
    again = Cache(cache.path)
    assert [again.read(digest) for digest in digests] == contents
    absent = hash_bytes(b"absent", "xxh128")
    assert again.find_missing([*digests, absent]) == {absent} and not again.has(absent)
    with pytest.raises(ObjectMissingError):
        again.read(absent)


@pytest.mark.parametrize("count", [10, 3000])
def test_missing_among_many(cache: Cache, count: int) -> None:
    """Asking for a few and for thousands at once gives the same answer."""
    contents = [b"%d" % number for number in range(count)]
    digests = put(cache, *contents, LARGE)
    absent = {hash_bytes(b"-%d" % number, "xxh128") for number in range(count)}
    assert Cache(cache.path).find_missing([*digests, *absent]) == absent


@pytest.mark.parametrize("cut", [1, 40, 200, 1000])
def test_pack_that_lost_its_end(cache: Cache, cut: int) -> None:
    """What is before the place where a pack was cut is still read."""
    contents = [os.urandom(1000) for _ in range(10)]
    digests = put(cache, *contents)
    pack = only_pack(cache)
    pack.write_bytes(pack.read_bytes()[:-cut])
    again = Cache(cache.path)
    held = [
        again.read(digest) == content for digest, content in zip(digests, contents, strict=True) if again.has(digest)
    ]
    assert all(held) and len(held) >= 8


@pytest.mark.parametrize("at", range(0, 2400, 150))
def test_flipped_bit(cache: Cache, at: int) -> None:
    """Wherever a bit flips, contents are right or named as damaged or missing, never wrong."""
    contents = [os.urandom(500) for _ in range(4)]
    digests = put(cache, *contents)
    pack = only_pack(cache)
    data = bytearray(pack.read_bytes())
    data[at % len(data)] ^= 4
    pack.write_bytes(data)
    again, wrong = Cache(cache.path), 0
    for digest, content in zip(digests, contents, strict=True):
        try:
            assert again.read(digest) == content
        except (CorruptError, ObjectMissingError):
            wrong += 1
    assert wrong <= 1


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(5000)])
def test_what_is_no_pack_hides_nothing(cache: Cache, content: bytes) -> None:
    """Files that are no packs, and what dead writers left, are passed over."""
    (digest,) = put(cache, b"one")
    (cache.packs.directory / new_pack_name()).write_bytes(content)
    (cache.packs.directory / ".vstore-tmp-0123456789abcdef").write_bytes(content)
    (cache.objects / ".vstore-tmp-0123456789abcdef").write_bytes(content)
    again = Cache(cache.path)
    assert again.read(digest) == b"one" and list(again.iter_loose()) == []


def test_good_copy_is_found_behind_a_damaged_one(cache: Cache) -> None:
    """A content that is damaged in the newest pack is read from an older one."""
    (digest,) = put(cache, b"one")
    (cache.packs.directory / "ffffffffffffffff-x.vpack").write_bytes(pack_to_bytes([(BLOB, digest, b"eno")]))
    assert Cache(cache.path).read(digest) == b"one"


def test_collector_moves_what_is_read(cache: Cache) -> None:
    """A reader that loses a pack to a collector finds the record where it is now."""
    contents = [b"%d" % number * 100 for number in range(50)]
    digests = put(cache, *contents)
    reader = Cache(cache.path)
    assert reader.has(digests[0])
    pack = only_pack(cache)
    moved = pack_to_bytes([(BLOB, digest, content) for digest, content in zip(digests, contents, strict=True)])
    pack.with_name(new_pack_name()).write_bytes(moved)
    pack.unlink()
    assert [reader.read(digest) for digest in digests] == contents


def test_others_add_while_we_read(cache: Cache) -> None:
    """What another command adds is found by a reader that was open before."""
    reader = Cache(cache.path)
    assert not reader.has(hash_bytes(b"one", "xxh128"))
    (digest,) = put(cache, b"one")
    assert reader.read(digest) == b"one"


def test_many_packs(cache: Cache) -> None:
    """Hundreds of packs, more than may be open at once, are read by several threads."""
    contents = [b"%d" % number for number in range(300)]
    digests = [hash_bytes(content, "xxh128") for content in contents]
    for digest, content in zip(digests, contents, strict=True):
        (cache.packs.directory / new_pack_name()).write_bytes(pack_to_bytes([(BLOB, digest, content)]))
    reader, wrong = Cache(cache.path), []

    def read() -> None:
        wrong.extend(
            digest for digest, content in zip(digests, contents, strict=True) if reader.read(digest) != content
        )

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader.packs.close()
    assert not wrong


def test_error_publishes_what_is_whole(cache: Cache) -> None:
    """After an error what was added is there or is not, and no temporary file stays."""
    contents = [b"one", LARGE, b"two" * 1000]
    digests = [hash_bytes(content, "xxh128") for content in contents]

    def add() -> None:
        with open_writer(cache) as writer:
            for content in contents:
                writer.add_bytes(content, "xxh128")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add()
    again = Cache(cache.path)
    assert [again.read(digest) for digest in digests] == contents
    assert not list(cache.path.rglob(".vstore-tmp-*"))


def test_partial_file_belongs_to_one(cache: Cache) -> None:
    """Two commands that put the same content together do not write into each other's file."""
    digest = hash_bytes(LARGE, "xxh128")
    with open_writer(cache) as first, open_writer(cache) as second:
        files = first.open_partial(digest), second.open_partial(digest)
        for writer, file in zip((first, second), files, strict=True):
            file.write(LARGE)
            writer.finish_partial(digest, file)
            writer.commit()
    assert Cache(cache.path).read(digest) == LARGE
    assert not list((cache.path / "partial").iterdir())


def test_partial_file_is_kept_for_the_next(cache: Cache) -> None:
    """What an interrupted command put together is there for the next; wrong bytes are refused and go."""
    digest = hash_bytes(LARGE, "xxh128")
    with open_writer(cache) as writer, writer.open_partial(digest) as file:
        file.write(LARGE[:1000])
    with open_writer(cache) as writer:
        file = writer.open_partial(digest)
        assert file.read() == LARGE[:1000]
        with pytest.raises(CorruptError):
            writer.finish_partial(digest, file)
        file.close()
    assert not Cache(cache.path).has(digest) and not list((cache.path / "partial").iterdir())


@pytest.mark.parametrize("text", [b"vstore-cache 2\n", b"\xff\xfe", b""])
def test_unknown_format_is_refused(cache: Cache, text: bytes) -> None:
    """A cache of another version is not written to."""
    (cache.path / "format").write_bytes(text)
    with pytest.raises(NewerFormatError if text == b"vstore-cache 2\n" else CorruptError):
        Cache(cache.path).create()


def test_damaged_object_is_set_aside(cache: Cache) -> None:
    """A damaged loose object is an error when read, and can be put aside for a new one."""
    (digest,) = put(cache, LARGE)
    path = cache.loose_path(digest)
    path.chmod(0o644)
    path.write_bytes(LARGE[::-1])
    with pytest.raises(CorruptError):
        cache.read(digest)
    cache.set_aside(digest)
    assert not cache.has(digest) and len(list((cache.path / "damaged").iterdir())) == 1
    put(cache, LARGE)
    assert cache.read(digest) == LARGE


def test_shared_cache_is_open_to_the_group(tmp_path: Path) -> None:
    """In a cache for a group everything is readable for it, and every directory writable and handed down."""
    cache = Cache(tmp_path / "cache", group=True)
    before = os.umask(0o077)
    try:
        put(cache, b"small", LARGE)
        cache.lock().acquire()
    finally:
        os.umask(before)
    for path in [cache.path, *cache.path.rglob("*")]:
        mode = path.stat().st_mode
        assert mode & 0o040 and (not path.is_dir() or mode & 0o2070 == 0o2070), path
