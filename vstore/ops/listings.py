"""What an imported folder held, file by file, as this machine remembers it: so that only what changed is read again.

A hint: the pointer has only the lock of the whole, which says whether a list is the one that it means.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from vstore.durable import write_atomic
from vstore.objects.digest import parse_digest
from vstore.ops.download import Arrived
from vstore.remote.origin import Item, listing_lock
from vstore.repo import Repo

_MOST_LISTINGS = 200


def save_listing(repo: Repo, lock: str, arrived: Iterable[Arrived]) -> None:
    """Remember what came from where; where that cannot be written, the next update only takes longer."""
    path = _path(repo, lock)
    if path is None:
        return
    lines = [json.dumps([each.item.path, each.item.lock, each.digest, each.size_bytes]) for each in arrived]
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "\n".join(lines).encode())
        old = sorted(path.parent.iterdir(), key=lambda each: each.stat().st_mtime_ns)[:-_MOST_LISTINGS]
        for each in old:
            each.unlink(missing_ok=True)


def load_listing(repo: Repo, lock: str) -> Mapping[str, Arrived]:
    """Return, by path, what came with a lock; nothing where that is not known, or not what the lock means."""
    path = _path(repo, lock)
    if path is None:
        return {}
    try:
        known = [_parse(line) for line in path.read_bytes().splitlines()]
    except (OSError, ValueError, TypeError):
        return {}
    if listing_lock(each.item for each in known) != lock:
        return {}
    return {each.item.path: each for each in known}


def _parse(line: bytes) -> Arrived:
    path, lock, digest, size_bytes = json.loads(line)
    return Arrived(Item(str(path), int(size_bytes), str(lock)), parse_digest(digest), int(size_bytes))


def _path(repo: Repo, lock: str) -> Path | None:
    kind, _, name = lock.rpartition(":")
    if kind != "list:xxh128" or not name.isalnum() or not name.isascii():
        return None
    return repo.shared / "imports" / os.path.basename(name)
