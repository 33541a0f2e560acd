"""What each rule is for: without it something is lost, in a story that shows it.

Two lines of defence stand behind each other in a push.  It announces what it relies upon, and looks before it commits;
and it looks once more when its commit is there.  Either is enough, as long as no intent expires.  So what a rule is
for shows where the other line is down.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.protocol.rules import FIRST_LINE_ONLY, RULES, Rules
from tests.protocol.stories import (
    DOUBTING,
    INDEXED,
    MERGING_FAILED,
    MERGING_RENEWED,
    PAGED,
    Story,
    collectors,
    compacting,
    expiry,
    merging,
    merging_under_way,
    push_and_collect,
    pushers,
    renewing,
    retiring,
    retiring_two,
    undoing,
)


class Mutant(NamedTuple):
    """A rule that is left out, what that breaks, and where it shows."""

    rule: str
    breaks: str
    story: Story
    rules: Rules = RULES
    """The others."""


_COLLECTED = push_and_collect(1, collectors(2))
_EXPIRING = push_and_collect(1, collectors(2) | expiry("intents/"))
_MERGED = merging("c", collectors())

MUTANTS = [
    Mutant(
        "announces",
        "A collector that lists between the look and the commit sees nobody who needs the pack.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant(
        "announces_own",
        "What was uploaded and is not yet committed is taken for garbage.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant(
        "looks_at_tombstones",
        "A push relies upon a pack that a collector is about to delete, having looked for who needs it before.",
        _COLLECTED,
    ),
    Mutant("looks_at_packs", "A push relies upon a pack that is gone, and its tombstone with it.", _COLLECTED),
    Mutant("looks_at_packs", "An index object that names a pack which is gone is taken for proof.", INDEXED),
    Mutant(
        "looks_again",
        "A push that slept until its intent expired does not see that its packs were collected meanwhile.",
        _EXPIRING,
    ),
    Mutant(
        "fresh_names",
        "A delayed delete, meant for an older pack of that name, hits the new one.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant(
        "doubts_strangers",
        "A push with nothing to do believes the commit of another that died before it saw the tombstone.",
        DOUBTING,
    ),
    Mutant(
        "renews",
        "A push reports what its own project is retiring at that moment, since it has been there for so long.",
        renewing(collectors(runs=1)),
    ),
    Mutant(
        "lists_intents_first",
        "A push commits after the commits were listed and withdraws its intent before the intents are.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant(
        "lists_trash_last",
        "A commit is retired after the trash was listed, and its successor comes on a page that was listed before.",
        _MERGED,
        PAGED,
    ),
    Mutant(
        "reads_at_once",
        "What a collector lists and reads only later is gone by then, and what took its place was not listed.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant("reads_at_once", "The same with commits that are merged meanwhile.", _MERGED, PAGED),
    Mutant("looks_twice", "A pack is deleted that somebody came to need while it was being doomed.", _COLLECTED),
    Mutant(
        "keeps_tombstones",
        "A tombstone that is lifted hides from a later push that a slow collector still means to delete the pack.",
        _COLLECTED,
    ),
    Mutant("deletes_packs_first", "Between the two deletes a doomed pack looks like any other.", _COLLECTED),
    Mutant(
        "copies_to_trash",
        "A collector lists the page of the new commit before it is written and that of the old one when it is gone.",
        _MERGED,
        PAGED,
    ),
    Mutant("writes_first", "A merger that dies leaves roots in the trash alone.", _MERGED),
    Mutant("writes_first", "Who retires a root and dies leaves the others in the trash alone.", retiring(collectors())),
    Mutant("writes_first", "Who compacts and dies leaves the root in the trash alone.", compacting(collectors())),
    Mutant("spares_pushes", "A push does not find the commit again that it reads back.", merging_under_way({})),
    Mutant("lists_commits_first", "The same, where intents are listed before the commits.", merging_under_way({})),
    Mutant(
        "looks_at_moved",
        "Of two commits of one root the later is kept, whose push died when it saw that its pack was doomed.",
        MERGING_FAILED,
    ),
    Mutant(
        "keeps_youngest",
        "Merged with the commit that it renews, a root is as old as that one, and is retired.",
        MERGING_RENEWED,
    ),
    Mutant(
        "repeats",
        "Two clones each count on the commit that the other retires.",
        retiring_two(collectors()),
    ),
    Mutant("leaves_packs", "Another push relies upon the pack that was rewritten.", compacting(pushers())),
    Mutant(
        "pushes_anew",
        "A commit that comes back after commits were listed is in the trash no more.",
        undoing(collectors(2, runs=1)),
    ),
]
