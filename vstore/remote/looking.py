"""Looking whether packs are there: by listing all, or only those of some sessions, or by asking for one after another.

Whatever takes the fewest requests.  Listing all is one for each thousand packs of everybody's; a key begins with the
session that made the pack, so those of one session can be listed alone where the store lists what begins with a text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from vstore.parallel import map_ordered
from vstore.remote.layout import find_session, number_of, session_prefix
from vstore.remote.transport import Key, Transport

LISTED_AT_ONCE = 1000
"""How many keys a store tells in answer to one request."""


class Look:
    """How to look for some packs without listing all there are."""

    def __init__(self, packs: Iterable[Key], *, lists_sessions: bool) -> None:
        by_session: dict[str, list[Key]] = {}
        for pack in packs:
            by_session.setdefault(find_session(pack) or "", []).append(pack)
        self._asked: list[Key] = []
        self._sessions: list[str] = []
        self.requests = 0
        """How many it takes at least: a session may have made more packs than are known."""
        for session, group in by_session.items():
            pages = 1 + max(map(number_of, group)) // LISTED_AT_ONCE
            if lists_sessions and pages < len(group):
                self._sessions.append(session)
                self.requests += pages
            else:
                self._asked += group
                self.requests += len(group)

    def find_sizes(self, transport: Transport, *, jobs: int) -> dict[Key, int]:
        """Return the lengths of packs that are there: of those that were asked for, and maybe of others."""

        def list_session(session: str) -> list[tuple[Key, int | None]]:
            return [(found.key, found.size_bytes) for found in transport.list_beginning(session_prefix(session))]

        def ask(key: Key) -> list[tuple[Key, int | None]]:
            return [(key, transport.find_size(key))]

        found = itertools.chain(
            map_ordered(list_session, self._sessions, workers=jobs), map_ordered(ask, self._asked, workers=jobs)
        )
        return {key: size_bytes for some in found for key, size_bytes in some if size_bytes is not None}
