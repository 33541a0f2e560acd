"""Compaction: what is needed is in a pack before and after, and packs become few and full."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from vstore.cache.cache import Cache
from vstore.cache.compaction import MANY_SMALL_PACKS, choose_packs, find_use, rewrite_packs
from vstore.cache.inventory import take_inventory
from vstore.cache.writer import open_writer
from vstore.errors import CorruptError, NewerFormatError, NoSpaceError, ObjectMissingError
from vstore.objects.digest import Digest


def add(cache: Cache, *contents: bytes) -> list[Digest]:
    """Write contents as one pack."""
    with open_writer(cache) as writer:
        return [writer.add_bytes(content, "xxh128") for content in contents]


def pack_names(cache: Cache) -> list[str]:
    """The packs of a cache."""
    return sorted(os.listdir(cache.packs.directory))


def compact(cache: Cache, needed: set[Digest]) -> list[Path]:
    """Rewrite what is worth it."""
    uses = [find_use(pack, needed) for pack in take_inventory(cache).packs]
    return rewrite_packs(cache, choose_packs(uses))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    cache = Cache(tmp_path / "cache")
    cache.create()
    return cache


def test_dead_records_go(cache: Cache) -> None:
    """A pack is rewritten without what is not needed, is as old as before, and a reader does not notice."""
    a, b, c = add(cache, b"a" * 5000, b"b" * 3000, b"c")
    (name,) = pack_names(cache)
    path = cache.packs.directory / name
    os.utime(path, ns=(10**18, 10**18))
    reader = Cache(cache.path)
    assert reader.read(a) == b"a" * 5000
    assert compact(cache, {a, c}) == [path]
    (new,) = pack_names(cache)
    assert new > name and (cache.packs.directory / new).stat().st_mtime_ns == 10**18
    assert (cache.packs.directory / new).stat().st_mode & 0o777 == 0o444
    for held in (cache, reader):
        assert held.read(a) == b"a" * 5000 and held.read(c) == b"c"
    with pytest.raises(ObjectMissingError):
        cache.read(b)


def test_useless_packs_go_and_others_stay(cache: Cache) -> None:
    """A pack that nobody needs is deleted; one that is needed whole is not touched."""
    (a,) = add(cache, b"a")
    add(cache, b"b")
    before = pack_names(cache)
    assert [path.name for path in compact(cache, {a})] == [before[1]]
    assert pack_names(cache) == before[:1]
    assert compact(cache, {a}) == []


def test_small_packs_are_merged(cache: Cache) -> None:
    """Many small packs become one, in which equal contents stand once; a few are left alone."""
    needed = {digest for number in range(MANY_SMALL_PACKS - 1) for digest in add(cache, b"%d" % number)}
    assert compact(cache, needed) == []
    path = cache.packs.directory / pack_names(cache)[0]
    twin = path.with_name("0000000000000001-000000000000.vpack")
    twin.write_bytes(path.read_bytes())
    assert len(compact(cache, needed)) == MANY_SMALL_PACKS
    (merged,) = take_inventory(cache).packs
    assert len(merged.table) == len(needed) and not cache.find_missing(needed)


def test_a_pack_of_several_is_as_old_as_the_newest(cache: Cache) -> None:
    """What is young stays for a day, also when it is merged with what is old."""
    kept = {add(cache, b"a%d" % number, b"b%d" % number)[0] for number in range(2)}
    for number, name in enumerate(pack_names(cache)):
        os.utime(cache.packs.directory / name, ns=(10**18 + number,) * 2)
    assert len(compact(cache, kept)) == 2
    (merged,) = take_inventory(cache).packs
    assert merged.mtime_ns == 10**18 + 1


def test_damaged_record(cache: Cache) -> None:
    """A pack stays as long as something in it is needed and damaged, unless another one that is read has it good."""
    a, b = add(cache, b"a" * 100, b"b" * 100)
    (name,) = pack_names(cache)
    path = cache.packs.directory / name
    good = path.read_bytes()
    held = cache.packs.find(a)
    assert held is not None
    damaged = bytearray(good)
    damaged[held[1].offset + held[1].record_bytes - 1] ^= 1
    path.chmod(0o644)
    path.write_bytes(damaged)
    add(cache, b"c")
    assert path not in compact(cache, {a})
    assert pack_names(cache) == [name] and path.read_bytes() == damaged
    path.with_name("0000000000000001-000000000000.vpack").write_bytes(good)
    assert len(compact(cache, {a})) == 2
    assert Cache(cache.path).read(a) == b"a" * 100 and cache.find_missing([b])


def test_pack_whose_table_is_damaged(cache: Cache) -> None:
    """What cannot be understood is not touched; what a newer version wrote stops everything."""
    add(cache, b"a")
    (name,) = pack_names(cache)
    path = cache.packs.directory / name
    path.chmod(0o644)
    good = path.read_bytes()
    for content in (b"", good[:-1], good[:-100] + b"x" * 100):
        path.write_bytes(content)
        inventory = take_inventory(cache)
        assert inventory.damaged == [path] and not inventory.packs
    newer = bytearray(good)
    newer[-16] = 2  # the version, in the footer
    path.write_bytes(newer)
    with pytest.raises(NewerFormatError):
        take_inventory(cache)


def test_many_packs_become_packs_of_the_usual_length(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is rewritten makes several packs where it is too much for one."""
    monkeypatch.setattr("vstore.cache.compaction.PACK_BYTES", 3000)
    needed = {digest for number in range(10) for digest in add(cache, os.urandom(1000), b"%d" % number)}
    dead = {digest for digest in needed if cache.read(digest) == b"7"}
    assert len(compact(cache, needed - dead)) == 10
    assert 3 <= len(pack_names(cache)) <= 5 and cache.find_missing(needed) == dead


def test_room_for_one_pack_is_enough(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new pack was made of goes before the next is written, and what does not fit any more stays."""
    monkeypatch.setattr("vstore.cache.compaction.PACK_BYTES", 1000)
    kept = {add(cache, os.urandom(1000), b"%d" % number)[0] for number in range(5)}
    most, count = 0, 0

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal most, count
        if event == "os.rename" and str(args[1]).startswith(str(cache.path)):
            most = max(most, len(pack_names(cache)))
            count += 1
            if count == 4:
                raise OSError(errno.ENOSPC, "full")

    sys.addaudithook(watch)
    with pytest.raises(NoSpaceError):
        compact(cache, kept)
    assert most == 6  # five, and the new one under its temporary name
    assert len(pack_names(cache)) == 5 and not cache.find_missing(kept)
    assert sorted(len(pack.table) for pack in take_inventory(cache).packs) == [1, 1, 1, 2, 2]


def test_pack_that_does_not_come_back(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a new pack does not come back as it was written, the old ones stay."""
    (a, _) = add(cache, b"a" * 1000, b"b")
    (name,) = pack_names(cache)

    def check(path: Path) -> None:
        raise CorruptError("damaged")

    monkeypatch.setattr("vstore.cache.compaction._check", check)
    with pytest.raises(CorruptError):
        compact(cache, {a})
    assert pack_names(cache) == [name]
