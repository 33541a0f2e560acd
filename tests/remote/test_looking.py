"""Looking for packs with as few requests as it takes."""

from __future__ import annotations

import pytest

from vstore.remote.layout import pack_key
from vstore.remote.looking import Look
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.wrappers import LoggedTransport

_ADA, _BOB = "a" * 32, "b" * 32


@pytest.mark.parametrize(
    ("packs", "listing", "asking"),
    [
        ([], 0, 0),
        ([(_ADA, 0)], 1, 1),
        ([(_ADA, 0), (_ADA, 1), (_BOB, 0)], 2, 3),
        ([(_ADA, number) for number in range(900)], 1, 900),
        ([(_ADA, number) for number in range(1001)], 2, 1001),
        ([(_ADA, 5), (_ADA, 4999)], 2, 2),  # at least five pages
    ],
)
def test_each_session_takes_as_few_requests_as_it_can(packs: list[tuple[str, int]], listing: int, asking: int) -> None:
    """Packs of one session are listed together, unless they are fewer than the pages that the session fills."""
    keys = [pack_key(session, number) for session, number in packs]
    assert Look(keys, lists_sessions=True).requests == listing
    assert Look(keys, lists_sessions=False).requests == asking


@pytest.mark.parametrize("lists_sessions", [True, False])
def test_what_is_there_is_found(lists_sessions: bool) -> None:
    """Either way tells the lengths of those that are there, and nothing of those that are not."""
    log = LoggedTransport(MemoryTransport())
    there = [pack_key(_ADA, 0), pack_key(_ADA, 1), pack_key(_BOB, 0), pack_key(_BOB, 10)]
    for size_bytes, key in enumerate(there):
        log.inner.write(key, bytes(size_bytes))
    wanted = [*there[:3], pack_key(_ADA, 2), pack_key("c" * 32, 0)]
    look = Look(wanted, lists_sessions=lists_sessions)
    sizes = look.find_sizes(log, jobs=2)
    assert {key: sizes.get(key) for key in wanted} == dict(zip(wanted, [0, 1, 2, None, None], strict=True))
    assert len(log.requests) == look.requests == (3 if lists_sessions else 5)
