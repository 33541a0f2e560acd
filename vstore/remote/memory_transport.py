"""The reference transport: objects in memory, which is what tests of higher rooms use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Lock

from vstore.errors import KeyNotFoundError
from vstore.remote.transport import (
    Buffer,
    Key,
    Listed,
    Transport,
    check_beginning,
    check_covers,
    check_key,
    check_prefix,
    check_range,
)


class MemoryTransport(Transport):
    """Objects in memory, gone with the process.  ``clock`` dates what is written; listings are sorted."""

    can_write_if_absent = True
    lists_beginnings = True

    def __init__(self, url: str = "memory:", *, clock: Callable[[], float] = time.time) -> None:
        self.url = url
        self._clock = clock
        self._lock = Lock()
        self._objects: dict[Key, tuple[bytes, float]] = {}

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        return self._list(prefix)

    def list_beginning(self, start: str) -> Iterator[Listed]:
        check_beginning(start)
        return self._list(start)

    def _list(self, start: str) -> Iterator[Listed]:
        with self._lock:
            found = sorted((key, *held) for key, held in self._objects.items() if key.startswith(start))
        return (Listed(key, len(data), modified_s) for key, data, modified_s in found)

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        held = self._objects.get(key)
        return None if held is None else len(held[0])

    def read(self, key: Key) -> bytes:
        check_key(key)
        held = self._objects.get(key)
        if held is None:
            raise KeyNotFoundError(f"{self.url} has no {key}", key=key)
        return held[0]

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        check_range(key, start, length)
        data = self.read(key)
        check_covers(key, len(data), start, length)
        return data[start : start + length]

    def write(self, key: Key, data: Buffer) -> None:
        check_key(key)
        held = bytes(data)
        with self._lock:
            self._objects[key] = (held, self._clock())

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        check_key(key)
        held = bytes(data)
        with self._lock:
            return self._objects.setdefault(key, fresh := (held, self._clock())) is fresh

    def delete(self, key: Key) -> None:
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)
