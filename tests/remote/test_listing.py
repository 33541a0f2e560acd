"""listing.json: what it says, and that it is true when the last of several pushers has gone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from vstore.errors import CorruptError, NewerFormatError, RemoteUnavailableError
from vstore.remote.layout import LISTING
from vstore.remote.listing import listing_from_bytes, listing_to_bytes, refresh_listing
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.sealed import seal
from vstore.remote.transport import Buffer, Key, Listed, Transport
from vstore.remote.wrappers import LoggedTransport, Wrapper


def listed(transport: Transport) -> list[str]:
    """Return the keys that the listing names."""
    return [entry.key for entry in listing_from_bytes(transport.read(LISTING))]


class AfterWriting(Wrapper):
    """Lets something happen right after a write, once."""

    def __init__(self, inner: Transport, happen: Callable[[], None]) -> None:
        super().__init__(inner)
        self._happen = [happen]

    def write(self, key: Key, data: Buffer) -> None:
        self.inner.write(key, data)
        if self._happen:
            self._happen.pop()()


@pytest.fixture
def store() -> MemoryTransport:
    """A remote with one commit."""
    store = MemoryTransport(clock=lambda: 12.75)
    for key in ("format.json", "commits/p/a.json", "trash/p/b.json", "index/a-0.vidx", "doomed/x", "packs/a-0.vpack"):
        store.write(key, key.encode())
    store.write("intents/a.json", b"{}")
    store.write("probe/x", b"x")
    return store


def test_names_what_readers_list(store: MemoryTransport) -> None:
    """Everything that a reader may ask for is in it, with size and date; what only pushers need is not."""
    refresh_listing(store)
    assert listing_from_bytes(store.read(LISTING)) == (
        ("commits/p/a.json", 16, 12),
        ("doomed/x", 8, 12),
        ("format.json", 11, math.inf),
        ("index/a-0.vidx", 14, 12),
        ("packs/a-0.vpack", 15, 12),
        ("trash/p/b.json", 14, 12),
    )


def test_only_written_where_it_is_behind(store: MemoryTransport) -> None:
    """One that names all commits is left alone, for two requests; one that does not, or is damaged, is written anew."""
    refresh_listing(store)
    logged = LoggedTransport(store)
    refresh_listing(logged)
    assert [request.operation for request in logged.requests] == ["read", "list"]
    store.write("commits/p/c.json", b"{}")
    refresh_listing(store)
    assert "commits/p/c.json" in listed(store)
    store.write(LISTING, b"damaged")
    refresh_listing(store)
    assert "commits/p/c.json" in listed(store)
    store.delete("commits/p/c.json")
    refresh_listing(store)
    assert "commits/p/c.json" not in listed(store)


def test_commits_are_listed_before_packs(store: MemoryTransport) -> None:
    """No reader finds a commit without its packs because somebody pushed while the listing was made."""
    logged = LoggedTransport(store)
    refresh_listing(logged)
    prefixes = [request.key for request in logged.requests if request.operation == "list"]
    assert prefixes[1:6] == ["commits/", "trash/", "index/", "doomed/", "packs/"]


def test_overtaken_by_another_pusher(store: MemoryTransport) -> None:
    """Who is overtaken between listing and writing sees it afterwards, and writes again."""

    def overtake() -> None:
        # The other one commits, writes the whole truth, and is overwritten by our older one.
        ours = store.read(LISTING)
        store.write("commits/p/other.json", b"{}")
        refresh_listing(store)
        store.write(LISTING, ours)

    refresh_listing(AfterWriting(store, overtake))
    assert "commits/p/other.json" in listed(store)


def test_never_ending_race_is_an_error(store: MemoryTransport) -> None:
    """A store that shows other commits each time is told about rather than asked for ever."""

    class Restless(Wrapper):
        number = 0

        def write(self, key: Key, data: Buffer) -> None:
            self.inner.write(key, data)
            self.number += 1
            self.inner.write(f"commits/p/{self.number}.json", b"{}")

    with pytest.raises(RemoteUnavailableError, match="out of date"):
        refresh_listing(Restless(store))


@pytest.mark.parametrize(
    "objects",
    [
        None,
        {},
        [1],
        [{"key": "packs/a", "size": -1, "modified": 0}],
        [{"key": "packs/a", "size": 1.5, "modified": 0}],
        [{"key": "packs/a", "modified": 0}],
        [{"key": "packs/a", "size": 1, "modified": "now"}],
        [{"key": "../a", "size": 1, "modified": 0}],
        [{"key": "packs/A", "size": 1, "modified": 0}],
        [{"key": 5, "size": 1, "modified": 0}],
        [{"key": "packs/a", "size": 1, "modified": 0}] * 2,
    ],
)
def test_hostile_listings_are_refused(objects: object) -> None:
    """A listing that names what is no key, has no size, or names it twice, is no listing, whoever sealed it."""
    with pytest.raises(CorruptError):
        listing_from_bytes(seal({"objects": objects}))


def test_newer_listing_is_told_apart() -> None:
    """A listing of a version to come is not guessed at."""
    data = listing_to_bytes([Listed("packs/a", 1, 0.0)]).replace(b'"version":1', b'"version":2')
    with pytest.raises(NewerFormatError):
        listing_from_bytes(data)
