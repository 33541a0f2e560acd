"""Large contents on their way: kept when they are interrupted, taken when they are whole."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from vstore.cache import arrivals
from vstore.cache.arrivals import Arrival
from vstore.cache.cache import Cache
from vstore.cache.writer import open_writer
from vstore.objects.digest import hash_bytes

DATA = bytes(range(256)) * 2000


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    cache = Cache(tmp_path / "cache")
    cache.create()
    return cache


def kept(cache: Cache) -> list[str]:
    """Return the names of what lies in ``partial``."""
    return sorted(os.listdir(cache.path / "partial"))


def test_whole(cache: Cache) -> None:
    """A content becomes an object of the cache, and nothing else of it stays."""
    arrival = Arrival(cache, "a")
    arrival.write(DATA[:1000])
    arrival.write(DATA[1000:])
    with open_writer(cache) as writer:
        copy, md5 = arrival.finish("xxh128", with_md5=True)
        assert copy.digest == hash_bytes(DATA, "xxh128")
        assert md5 == base64.b64encode(hashlib.md5(DATA).digest()).decode()
        writer.add_large(arrival.take(copy))
        arrival.close()
    assert cache.read(copy.digest) == DATA
    assert kept(cache) == []


def test_interrupted(cache: Cache) -> None:
    """What is there goes on, for the same name only."""
    arrival = Arrival(cache, "a")
    arrival.write(DATA[:1000])
    arrival.close()
    other = Arrival(cache, "b")
    assert other.size_bytes == 0
    other.close()
    again = Arrival(cache, "a")
    assert again.size_bytes == 1000
    again.write(DATA[1000:])
    assert again.finish("xxh128", with_md5=False)[0].digest == hash_bytes(DATA, "xxh128")
    again.close()


def test_power_cut(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was flushed is relied upon: behind it a file may hold anything."""
    monkeypatch.setattr(arrivals, "_FLUSH_BYTES", 1000)
    arrival = Arrival(cache, "a")
    arrival.write(DATA[:1000])
    arrival.write(b"\0" * 500)
    arrival._file.close()  # as a kill does: without what ``close`` would do
    again = Arrival(cache, "a")
    assert again.size_bytes == 1000
    again.write(DATA[1000:1200])
    assert again.finish("xxh128", with_md5=False)[0].digest == hash_bytes(DATA[:1200], "xxh128")
    again.close()


@pytest.mark.parametrize("note", ["", "x", "-5", "99999"])
def test_damaged_note(cache: Cache, note: str) -> None:
    """What makes no sense, or more than there is, is not believed."""
    arrival = Arrival(cache, "a")
    arrival.write(DATA[:1000])
    arrival.close()
    [name] = [name for name in kept(cache) if name.endswith("-held")]
    (cache.path / "partial" / name).write_text(note)
    again = Arrival(cache, "a")
    assert again.size_bytes == 0
    again.close()


def test_two_at_once(cache: Cache) -> None:
    """Whoever comes second begins alone, and leaves nothing."""
    first = Arrival(cache, "a")
    first.write(DATA[:1000])
    second = Arrival(cache, "a")
    assert second.size_bytes == 0
    second.write(DATA[:10])
    second.close()
    assert len(kept(cache)) == 1
    first.close()
    assert len(kept(cache)) == 2  # and the note


def test_without_a_name(cache: Cache) -> None:
    """What cannot go on is not kept."""
    arrival = Arrival(cache, "")
    arrival.write(DATA)
    arrival.close()
    assert kept(cache) == []


def test_thrown_away(cache: Cache) -> None:
    """What turned out damaged is not gone on with."""
    arrival = Arrival(cache, "a")
    arrival.write(DATA)
    arrival.begin_anew()
    arrival.close()
    again = Arrival(cache, "a")
    assert again.size_bytes == 0
    again.close()
