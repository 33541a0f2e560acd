"""What everybody keeps to; each rule can be left out by itself, so that a test can show what it is for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of docs/formats/remote.md, all of them kept."""

    # of pushing
    announces: bool = True
    """A pusher writes an intent before it looks."""
    announces_own: bool = True
    """An intent protects whatever bears its session's name."""
    looks_at_tombstones: bool = True
    looks_at_packs: bool = True
    looks_again: bool = True
    """A pusher looks once more when its commit is there."""
    reads_back: bool = True
    """It reads the commit once it is written."""
    uploads_first: bool = True
    """Packs come before the commit that pins them."""
    fresh_names: bool = True
    """The name of a pack is never used again."""
    doubts_strangers: bool = True
    """A push that has nothing to do looks at tombstones where it never saw the commit whole."""
    renews: bool = True
    """A push commits a root anew once a third of its retention is over, though everything is there."""

    # of collecting
    lists_intents_first: bool = True
    """A collector lists intents before commits."""
    lists_trash_last: bool = True
    looks_twice: bool = True
    """A collector lists everything again before it deletes what it doomed."""
    keeps_tombstones: bool = True
    """The tombstone of a living pack stays, also where somebody names the pack now."""
    deletes_packs_first: bool = True
    """A pack goes before its tombstone."""
    reads_at_once: bool = True
    """A collector reads what it has listed before it lists on."""

    hurries: bool = True
    """A collector begins again where listing and reading took longer than entries stay in the trash."""

    # of superseding commits: merging, retiring, compacting
    writes_first: bool = True
    """The commit with what stays is written before the old ones are retired."""
    announces_merged: bool = True
    """Who writes that commit announces it by an intent, and withdraws that when it has read it back."""
    copies_to_trash: bool = True
    """A commit that is retired is copied to the trash before it is deleted."""
    spares_pushes: bool = True
    """A commit whose session has an intent is left alone."""
    lists_commits_first: bool = True
    """Whoever supersedes commits lists them before the intents."""
    looks_at_moved: bool = True
    """Of a root that two commits pin to different packs one entry is kept, and its packs are looked at once more when
    the new commit is there."""
    keeps_youngest: bool = True
    """Of a root that two commits pin to the same packs, the later date is kept."""
    repeats: bool = True
    """What stays is committed anew also where another commit holds it."""
    leaves_packs: bool = True
    """Who has rewritten a pack leaves the old one to the collectors."""

    # of undoing
    pushes_anew: bool = True
    """What is in the trash is brought back by a push, and not by a copy."""

    # what is left open
    starts_over: bool = False
    """A collector begins again where something is gone when it reads it.  Then it may read whenever it likes."""
    pages: tuple[str, ...] = ()
    """Prefixes whose lists come in two pages."""

    def without(self, *rules: str) -> Rules:
        """Return the same rules but for some."""
        changes: dict[str, Any] = dict.fromkeys(rules, False)
        return dataclasses.replace(self, **changes)

    def paged(self, *prefixes: str) -> Rules:
        """Return the same rules for a store whose lists below these prefixes come in two pages."""
        return dataclasses.replace(self, pages=prefixes)


RULES = Rules()
FIRST_LINE_ONLY = RULES.without("looks_again")
"""Announcing and looking."""
LAST_LINE_ONLY = RULES.without("announces")
"""Looking once more."""
