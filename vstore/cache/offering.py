"""Offering a cache to workers: they must see the same directory, on a file system that they share with the client."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vstore.cache.cache import Cache
from vstore.durable import os_errors, temporary_name
from vstore.errors import EngineUnavailableError


@dataclass(frozen=True, slots=True)
class CacheTerms:
    """What a worker must know to use a cache as the client does.

    In the file ``mark`` of the cache stands ``word``, as long as the offer holds.
    """

    path: str
    group: bool
    lock_wait_s: float
    mark: str
    word: str


@contextlib.contextmanager
def offer_cache(cache: Cache, *, lock_wait_s: float) -> Iterator[CacheTerms]:
    """Let workers use a cache within the block; the caller holds its lock with other writers."""
    terms = CacheTerms(str(cache.path), cache.is_shared, lock_wait_s, temporary_name(), secrets.token_hex(16))
    mark = cache.path / terms.mark
    with os_errors(mark, "write"):
        mark.write_text(terms.word)
        mark.chmod(cache.file_mode(0o644))
    try:
        yield terms
    finally:
        mark.unlink(missing_ok=True)
        cache.packs.reload()


@contextlib.contextmanager
def open_offered_cache(terms: CacheTerms) -> Iterator[Cache]:
    """Open a cache on a worker, keeping collectors out.

    Raises EngineUnavailableError where it is not the one that was offered, LockedError, NewerFormatError.
    """
    path = Path(terms.path)
    try:
        is_same = (path / terms.mark).read_text() == terms.word
    except OSError:
        is_same = False
    host = socket.gethostname()
    if not is_same:
        message = f"the worker on {host} does not see the cache {terms.path}, which must be on a shared file system"
        raise EngineUnavailableError(message, reason="not-shared", path=terms.path, worker=host)
    cache = Cache(path, group=terms.group)
    lock = cache.lock()
    with os_errors(path, "lock"):
        lock.acquire(shared=True, wait_s=terms.lock_wait_s)
    try:
        yield cache
    finally:
        lock.release()
        cache.packs.close()
