"""Blocks stay for a while, prove themselves, and never take more room than they may."""

from __future__ import annotations

import os
from pathlib import Path

from vstore.cache.blocks import BlockCache
from vstore.objects.digest import Digest, hash_bytes


def _block(number: int, size: int = 1000) -> tuple[Digest, bytes]:
    data = number.to_bytes(4, "big") * (size // 4)
    return hash_bytes(data, "xxh128"), data


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    """A block is found by another process, too."""
    digest, data = _block(1)
    BlockCache(tmp_path, 100_000).keep(digest, data)
    assert BlockCache(tmp_path, 100_000).find(digest) == data
    assert BlockCache(tmp_path, 100_000).find(_block(2)[0]) is None


def test_damage_is_noticed(tmp_path: Path) -> None:
    """A damaged block is none."""
    digest, data = _block(1)
    cache = BlockCache(tmp_path, 100_000)
    cache.keep(digest, data)
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    path.write_bytes(data[:-1] + b"!")
    assert cache.find(digest) is None


def test_size_is_bounded(tmp_path: Path) -> None:
    """However much is kept, the limit holds, and what was used last stays."""
    cache = BlockCache(tmp_path, 20_000)
    favourite, data = _block(0)
    cache.keep(favourite, data)
    for number in range(1, 100):
        cache.keep(*_block(number))
        assert cache.find(favourite) == data
        assert _size(tmp_path) <= 20_000
    assert cache.find(_block(1)[0]) is None
    assert cache.find(_block(99)[0]) is not None


def test_limit_counts_what_others_left(tmp_path: Path) -> None:
    """A process with a smaller limit begins by making room."""
    for number in range(50):
        BlockCache(tmp_path, 1_000_000).keep(*_block(number))
    BlockCache(tmp_path, 10_000).keep(*_block(100))
    assert _size(tmp_path) <= 10_000


def test_too_large_for_the_limit(tmp_path: Path) -> None:
    """A block that would push out most others is not kept."""
    cache = BlockCache(tmp_path, 4000)
    cache.keep(*_block(1))
    assert _size(tmp_path) == 0


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A place that cannot be written keeps nothing, and harms nobody."""
    (tmp_path / "file").write_bytes(b"")
    cache = BlockCache(tmp_path / "file", 100_000)
    cache.keep(*_block(1))
    assert cache.find(_block(1)[0]) is None


def test_folder_that_vanishes(tmp_path: Path) -> None:
    """Whoever deletes everything costs time, nothing else."""
    cache = BlockCache(tmp_path / "blocks", 100_000)
    digest, data = _block(1)
    cache.keep(digest, data)
    for path in sorted((tmp_path / "blocks").rglob("*"), reverse=True):
        os.unlink(path) if path.is_file() else os.rmdir(path)
    cache.keep(digest, data)
    cache.keep(digest, data)
    assert cache.find(digest) == data
