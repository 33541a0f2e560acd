"""A bucket on the stage: objects in memory, a clock that only moves when told, and lines that lead to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from tests.scheduled.stage import DIES, DONE_DIES, DONE_FAILS, FAILS, GOES, STALE, Crash, Stage
from vstore.errors import RemoteUnavailableError
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Buffer, Key, Listed, Transport

Result = TypeVar("Result")

EPOCH_S = 1_800_000_000.0
LAG_S = 3600.0
"""A listing of a weak store lacks nothing that is older."""

# What tells only when something was done by the clock of this machine, and the checksum that depends on it.
_MOMENT = re.compile(rb'[0-9-]{10}T[0-9:]{8}\+00:00|"checksum":"xxh128:[0-9a-f]{32}"')


class Clock:
    """The store's clock."""

    def __init__(self) -> None:
        self.now_s = EPOCH_S

    def __call__(self) -> float:
        return self.now_s


class Bucket(MemoryTransport):
    """Objects that can be counted, copied and compared."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.clock = clock
        self.version = 0
        """Grows with every change."""
        self.born_s: dict[Key, float] = {}
        """When each object came first."""
        self._mark = 0
        self._marks: dict[Key, int] = {}

    def copy_from(self, other: Bucket) -> None:
        """Become what another bucket is."""
        self.clock.now_s = other.clock.now_s
        self._objects = dict(other._objects)
        self.born_s = dict(other.born_s)
        self._mark, self._marks = other._mark, dict(other._marks)
        self.version += 1

    def contents(self) -> dict[Key, bytes]:
        """Return everything that is there."""
        return {key: data for key, (data, _) in self._objects.items()}

    def state(self) -> object:
        """Return a number that stands for all that is there, and the time."""
        return self._mark, self.clock.now_s

    def write(self, key: Key, data: Buffer) -> None:
        super().write(key, data)
        self.born_s.setdefault(key, self.clock())
        self._note(key, hash((key, mark_of(bytes(data)), self.clock.now_s)))

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        raise AssertionError("the protocol needs no conditional writes")

    def delete(self, key: Key) -> None:
        super().delete(key)
        self.born_s.pop(key, None)
        self._note(key, 0)

    def _note(self, key: Key, mark: int) -> None:
        self._mark ^= self._marks.pop(key, 0) ^ mark
        self._marks[key] = mark
        self.version += 1

    def list_page(self, prefix: str, after: Key, most: int | None) -> tuple[list[Listed], Key | None]:
        """Return one page of a listing, as it is now, and after which key the next begins, if it is not the last."""
        found = [listed for listed in self.list(prefix) if listed.key > after]
        page = found if most is None else found[:most]
        return page, page[-1].key if len(page) < len(found) else None


def mark_of(data: bytes) -> int:
    """Return a number that stands for some bytes, whatever the clock of this machine says."""
    return hash(_MOMENT.sub(b"", data) if data[:1] == b"{" else data)


class Line(Transport):
    """How one actor reaches the bucket: every request, and every page of a listing, is a step on the stage.

    ``changed`` is called after every request that may have changed something.
    """

    def __init__(self, bucket: Bucket, stage: Stage, actor: str, fates: Fates, changed: Callable[[], None]) -> None:
        self.url = bucket.url
        self.can_write_if_absent = False
        self.faults = 0
        """How many of its requests did not go well."""
        self._bucket = bucket
        self._stage = stage
        self._actor = actor
        self._fates = fates
        self._changed = changed
        self._is_dead = False

    def revive(self) -> None:
        """Let the machine of a process that died start another."""
        self._is_dead = False

    def list(self, prefix: str) -> Iterator[Listed]:
        after: Key | None = ""
        while after is not None:
            page, after = self._list_page(prefix, after)
            yield from page

    def _list_page(self, prefix: str, after: Key) -> tuple[list[Listed], Key | None]:
        words = f"list {prefix}" + (f" after {after}" if after else "")
        most = self._fates.page
        return self._do(words, *self._fates.listing, call=lambda: self._bucket.list_page(prefix, after, most))

    def find_size(self, key: Key) -> int | None:
        return self._do(f"find the size of {key}", *self._fates.reading, call=lambda: self._bucket.find_size(key))

    def read(self, key: Key) -> bytes:
        return self._do(f"read {key}", *self._fates.reading, call=lambda: self._bucket.read(key))

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        words = f"read {length} bytes from {start} of {key}"
        return self._do(words, *self._fates.reading, call=lambda: self._bucket.read_range(key, start, length))

    def write(self, key: Key, data: Buffer) -> None:
        self._do(f"write {key}", *self._fates.writing, call=lambda: self._bucket.write(key, data))

    def delete(self, key: Key) -> None:
        self._do(f"delete {key}", *self._fates.writing, call=lambda: self._bucket.delete(key))

    def _do(self, words: str, *fates: str, call: Callable[[], Result]) -> Result:
        if self._is_dead:
            raise Crash
        fate = self._stage.step(self._actor, words, *fates)
        if fate != GOES:
            self.faults += 1
        if fate in (DIES, FAILS):
            self._stage.remember(self._actor, fate)
            raise self._fault(fate)
        version = self._bucket.version
        try:
            result = call()
        except LookupError:
            self._stage.remember(self._actor, (words, None, self._bucket.clock.now_s))
            raise
        if fate == STALE:
            result = self._make_stale(result)
        self._stage.remember(self._actor, (words, fate, _mark(result), self._bucket.clock.now_s))
        if self._bucket.version != version:
            self._changed()
        if fate in (DONE_DIES, DONE_FAILS):
            raise self._fault(fate)
        return result

    def _make_stale(self, result: Result) -> Result:
        assert isinstance(result, tuple)
        page, following = result
        old_s = self._bucket.clock.now_s - LAG_S
        seen = [listed for listed in page if self._bucket.born_s[listed.key] < old_s]
        return seen, following  # type: ignore[return-value]

    def _fault(self, fate: str) -> BaseException:
        if fate in (DIES, DONE_DIES):
            self._is_dead = True
            self._stage.end_turn(self._actor)
            return Crash()
        return RemoteUnavailableError("the line broke", url=self.url, retryable=True)


class Fates:
    """What may become of requests besides what should, and how long a page of a listing is."""

    def __init__(
        self, *, dying: bool = False, failing: bool = False, stale: bool = False, page: int | None = None
    ) -> None:
        self.reading = (*[DIES] * dying, *[FAILS] * failing)
        self.listing = (*self.reading, *[STALE] * stale)
        self.writing = (*[DIES, DONE_DIES] * dying, *[FAILS, DONE_FAILS] * failing)
        self.page = page


def _mark(result: object) -> int:
    if isinstance(result, bytes):
        return mark_of(result)
    return hash(str(result)) if isinstance(result, tuple) else hash(result)
