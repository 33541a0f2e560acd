"""Putting contents into a cache: what is equal is stored once, and what only claims to be is refused."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vstore.cache import writer as writing
from vstore.cache.cache import Cache
from vstore.cache.writer import CacheWriter, LargeCopy, open_writer
from vstore.errors import CollisionError
from vstore.objects.digest import hash_bytes

_SMALL = b"x,y\n1,2\n" * 100
_LARGE = os.urandom(300 * 1024)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A new cache."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def writer(cache: Cache) -> Iterator[CacheWriter]:
    """A writer into it, with nothing published yet."""
    with open_writer(cache) as writer:
        yield writer


def _copy(writer: CacheWriter, directory: Path, content: bytes) -> LargeCopy:
    path = directory / "source"
    path.write_bytes(content)
    with path.open("rb") as file:
        return writer.copy_large(file.fileno(), "xxh128", lambda amount: None)


@pytest.mark.parametrize("other", [b"z" + _SMALL[1:], _SMALL + b"z", b""], ids=["same length", "longer", "empty"])
@pytest.mark.parametrize("published", [False, True])
def test_small_collision_is_refused(writer: CacheWriter, other: bytes, published: bool) -> None:
    """A second small content of a digest is refused, also where the first was taken a moment before."""
    digest = hash_bytes(_SMALL, "xxh128")
    writer.add_small(digest, _SMALL)
    if published:
        writer.commit()
    with pytest.raises(CollisionError):
        writer.add_small(digest, other)


def test_small_collision_with_a_finished_pack_is_refused(writer: CacheWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first content may be in a pack that is just getting its name."""
    monkeypatch.setattr(writing, "PACK_BYTES", 1)
    digest = hash_bytes(_SMALL, "xxh128")
    writer.add_small(digest, _SMALL)
    assert not writer.add_small(digest, _SMALL)
    with pytest.raises(CollisionError):
        writer.add_small(digest, b"z" + _SMALL[1:])


def test_large_collision_is_refused(writer: CacheWriter, tmp_path: Path) -> None:
    """A second large content of a digest is refused, also where the first was taken a moment before."""
    first = _copy(writer, tmp_path, _LARGE)
    writer.add_large(first)
    second = _copy(writer, tmp_path, _LARGE[::-1])
    with pytest.raises(CollisionError):
        writer.add_large(second._replace(digest=first.digest))


def test_equal_contents_are_stored_once(cache: Cache, tmp_path: Path) -> None:
    """Equal contents, large and small, count and are stored once."""
    with open_writer(cache) as writer:
        for _ in range(3):
            writer.add_small(hash_bytes(_SMALL, "xxh128"), _SMALL)
            writer.add_large(_copy(writer, tmp_path, _LARGE))
    assert (writer.added, writer.added_bytes) == (2, len(_SMALL) + len(_LARGE))
    assert len(list(cache.iter_loose())) == 1
    assert not list((tmp_path / "cache/objects").glob(".vstore-tmp-*"))


def test_copies_that_nobody_took_are_thrown_away(cache: Cache, tmp_path: Path) -> None:
    """An interruption between copying a large content and publishing it leaves nothing in the cache."""
    with contextlib.suppress(KeyboardInterrupt), open_writer(cache) as writer:
        copy = _copy(writer, tmp_path, _LARGE)
        raise KeyboardInterrupt
    assert not copy.path.exists() and not list(cache.objects.iterdir())
