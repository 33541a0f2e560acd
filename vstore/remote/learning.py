"""Learning where records lie: by index objects or, where these are long for what is asked, by the packs' own ends.

An index object costs a request and all of its bytes; the end of a pack costs two requests, and what is asked is often
in few packs.  So of a long one only the beginning is read at first, which names its packs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from vstore.parallel import map_ordered
from vstore.remote.catalog import Catalog
from vstore.remote.index import Index, find_packs, pack_row
from vstore.remote.layout import find_session
from vstore.remote.ledger import MOST_LISTINGS, Ledger
from vstore.remote.spans import GAP_BYTES, SPAN_BYTES
from vstore.remote.transport import Key, Listed

_FOREIGN_INDEX_BYTES = 256 * 1024 * 1024
_REQUESTS_OF_END = 2
_LONG_BYTES = 1024 * 1024
"""An index object that is longer is asked first what it tells of; a shorter one costs about as much as the question."""


class _Head(NamedTuple):
    """What the beginning of an index object tells: which of the packs in question, and of how many packs in all."""

    covered: set[Key]
    packs: int


_NO_HEAD = _Head(set(), 0)


def learn(ledger: Ledger, catalog: Catalog, sessions: Collection[str]) -> None:
    """Tell a catalog where the records in its packs lie.

    ``sessions`` are those whose index objects are likely to cover the packs.
    """
    learning = _Learning(ledger, catalog, sessions)
    learning.recall()
    learning.ask()


def learn_foreign(ledger: Ledger, catalog: Catalog) -> None:
    """Tell a catalog what other projects' packs hold, as far as the newest index objects tell."""
    budget = _FOREIGN_INDEX_BYTES
    chosen = []
    for found in sorted(ledger.list_indexes(), key=lambda found: -found.modified_s):
        budget -= found.size_bytes
        if budget < 0:
            break
        chosen.append(found)
    for _, index in ledger.read_all(chosen, ledger.read_index, set()):
        foreign = [pack for pack in index.packs if pack.key not in catalog.packs] if index is not None else []
        if index is not None and foreign:
            catalog.foreign.update({pack.key: pack for pack in foreign})
            catalog.add(index)


class _Learning:
    """Packs of which nothing is known yet, and the ways to learn of them, cheapest first."""

    def __init__(self, ledger: Ledger, catalog: Catalog, sessions: Collection[str]) -> None:
        self._ledger = ledger
        self._mirror = ledger.site.mirror
        self._catalog = catalog
        self._missing = dict(catalog.packs)  # also those that were dropped: what only they hold is copied out of them
        self._gone: set[Key] = set()
        """Index objects that were listed and not there when they were read."""
        self._rows = {pack_row(pack): key for key, pack in self._missing.items()}
        self._likely = {*sessions, *map(find_session, self._missing)}

    def recall(self) -> None:
        """Learn what this machine was told before; no request."""
        for key in sorted(self._mirror.index_keys(), key=self._is_unlikely):
            if not self._missing:
                return
            if not self._missing.keys().isdisjoint(self._mirror.find_covered(key, self._rows)):
                self._take(self._mirror.find_index(key))
        for key in self._mirror.held_ends(self._missing):
            self._take(self._mirror.find_end(self._missing[key]))

    def ask(self) -> None:
        """Learn the rest from the remote."""
        for _ in range(MOST_LISTINGS):
            self._gone.clear()
            if self._missing:
                self._ask_indexes()
            if not self._gone:
                break  # else they were merged while we read, into one that is listed now
        for end in map_ordered(self._ledger.read_end, list(self._missing.values()), workers=self._ledger.site.jobs):
            self._take(end)

    def _ask_indexes(self) -> None:
        held = set(self._mirror.index_keys())
        unread = [found for found in self._ledger.list_indexes() if found.key not in held]
        # Merged index objects bear the name of a later session.
        near = {found for found in unread if not self._is_unlikely(found.key) and found.size_bytes <= SPAN_BYTES}
        far = [found for found in unread if found not in near]
        self._read(near)
        if len(far) < _REQUESTS_OF_END * len(self._missing):
            self._read([found for found in far if found.size_bytes <= _LONG_BYTES])
            self._read(self._choose([found for found in far if found.size_bytes > _LONG_BYTES]))

    def _is_unlikely(self, key: Key) -> bool:
        return find_session(key) not in self._likely

    def _read(self, chosen: Collection[Listed]) -> None:
        if self._missing and chosen:
            for _, index in self._ledger.read_all(chosen, self._ledger.read_index, self._gone):
                self._take(index)
                if not self._missing:
                    return

    def _choose(self, unread: list[Listed]) -> list[Listed]:
        """Return those index objects that are worth reading: the ends of the packs they tell of would cost more."""
        left = set(self._missing)
        listed = {found.key: found for found in unread}
        chosen: list[Listed] = []
        if not left:
            return chosen
        for key, head in self._ledger.read_all(unread, self._read_head, self._gone):
            covered, packs = head or _NO_HEAD
            covered = covered & left
            of_no_use = listed[key].size_bytes * (packs - len(covered)) // packs if packs else 0
            saved = _REQUESTS_OF_END * len(covered) - 1
            if covered and of_no_use <= saved * GAP_BYTES:
                chosen.append(listed[key])
                left -= covered
                if not left:
                    break
        return chosen

    def _read_head(self, found: Listed) -> _Head:
        return _Head(*find_packs(self._ledger.read_head(found), found.key, self._rows))

    def _take(self, index: Index | None) -> None:
        """Add an index that covers something still missing."""
        if index is not None:
            covered = [pack.key for pack in index.packs if self._missing.get(pack.key) == pack]
            if covered:
                self._catalog.add(index)
            for key in covered:
                del self._missing[key]
