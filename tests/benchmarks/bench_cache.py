"""How long it takes to open a cache of a million small objects and to find one, or all of them."""

from __future__ import annotations

import time
from pathlib import Path

from vstore.cache.cache import Cache
from vstore.cache.packs import new_pack_name
from vstore.objects.digest import hash_bytes
from vstore.objects.pack import pack_to_bytes
from vstore.objects.table import BLOB

OBJECTS, PACKS = 1_000_000, 40


def test_million_objects(tmp_path: Path) -> None:
    """Opening and finding one should take less than 50 ms, asking for all less than 2 s."""
    cache = Cache(tmp_path / "cache")
    cache.create()
    digests = []
    for pack in range(PACKS):
        contents = [b"%d" % number for number in range(pack, OBJECTS, PACKS)]
        records = [(BLOB, hash_bytes(content, "xxh128"), content) for content in contents]
        digests += [digest for _, digest, _ in records]
        (cache.packs.directory / new_pack_name()).write_bytes(pack_to_bytes(records))
    for what, ask in (
        ("one", lambda cache: cache.read(digests[len(digests) // 2])),
        ("all", lambda cache: cache.find_missing(digests)),
    ):
        started = time.perf_counter()
        ask(Cache(cache.path))
        print(f"open and find {what}: {(time.perf_counter() - started) * 1000:.1f} ms")
