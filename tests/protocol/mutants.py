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
    merging_two,
    merging_under_way,
    push_and_collect,
    pushers,
    renewing,
    retiring,
    retiring_two,
    undoing,
)


class Mutant(NamedTuple):
    """A rule that is not kept, what is done instead, what that breaks, and where it shows."""

    rule: str
    instead: str
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
        "no intents",
        "A collector that lists between the look and the commit sees nobody who needs the pack.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant(
        "announces_own",
        "an intent does not protect what bears its session's name",
        "What was uploaded and is not yet committed is taken for garbage.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant(
        "looks_at_tombstones",
        "a push does not list tombstones",
        "It relies upon a pack that a collector is about to delete, who looked before for those that need it.",
        _COLLECTED,
    ),
    Mutant(
        "looks_at_packs",
        "a push does not list packs",
        "It relies upon a pack that is gone, and its tombstone with it.",
        _COLLECTED,
    ),
    Mutant(
        "looks_at_packs",
        "a push takes an index object for proof",
        "It relies upon a pack that is gone, and its tombstone with it.",
        INDEXED,
    ),
    Mutant(
        "looks_again",
        "a push does not look once more when its commit is there",
        "Where it slept until its intent expired, its packs were collected meanwhile.",
        _EXPIRING,
    ),
    Mutant(
        "fresh_names",
        "packs are named by content, so that a name comes back",
        "A delayed delete, meant for an older pack of that name, hits the new one.",
        _COLLECTED,
    ),
    Mutant(
        "doubts_strangers",
        "a push with nothing to do does not list tombstones, though it never saw the commit whole",
        "It believes the commit of another, which died before it saw the tombstone.",
        DOUBTING,
    ),
    Mutant(
        "renews",
        "a push with nothing to do commits nothing anew, however old the commit is",
        "It reports what its own project is retiring at that moment.",
        renewing(collectors(runs=1)),
    ),
    Mutant(
        "lists_intents_first",
        "a collector lists commits before intents",
        "A push commits when the commits were listed, and withdraws its intent before the intents are.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant(
        "lists_trash_last",
        "a collector lists the trash before commits",
        "A commit is retired when the trash was listed, and its successor comes on a page that was listed before.",
        _MERGED,
        PAGED,
    ),
    Mutant(
        "reads_at_once",
        "a collector lists everything before it reads, and passes over what is gone by then",
        "A push has ended meanwhile: its intent is gone, and its commit came when commits were listed.",
        _COLLECTED,
        FIRST_LINE_ONLY,
    ),
    Mutant(
        "reads_at_once",
        "the same, and a commit is gone",
        "It was merged meanwhile, and the new commit came on a page that was listed before.",
        _MERGED,
        PAGED,
    ),
    Mutant(
        "hurries",
        "a collector goes on though it slept for longer than entries stay in the trash",
        "A commit was retired when commits were listed, and its entry expired before the trash is.",
        retiring(collectors() | expiry("trash/")),
    ),
    Mutant(
        "looks_twice",
        "a collector deletes what it dooms at once, without listing anew",
        "Somebody came to need the pack while it was being doomed.",
        _COLLECTED,
    ),
    Mutant(
        "keeps_tombstones",
        "a collector lifts the tombstone of a pack that is needed",
        "A later push does not see that a slow collector still means to delete the pack.",
        _COLLECTED,
    ),
    Mutant(
        "deletes_packs_first",
        "a collector deletes tombstones before packs",
        "In between a doomed pack looks like any other.",
        _COLLECTED,
    ),
    Mutant(
        "copies_to_trash",
        "a commit that is merged is not copied to the trash",
        "A collector listed the page of the new commit before it came, and lists that of the old one when it is gone.",
        _MERGED,
        PAGED,
    ),
    Mutant(
        "writes_first",
        "old commits go before the merged one comes",
        "A merger that dies leaves roots in the trash alone.",
        _MERGED,
    ),
    Mutant(
        "writes_first",
        "the same in retiring",
        "Who dies leaves the other roots of a commit in the trash alone.",
        retiring(collectors()),
    ),
    Mutant(
        "writes_first",
        "the same in compacting",
        "Who dies leaves the root in the trash alone.",
        compacting(collectors()),
    ),
    Mutant(
        "spares_pushes",
        "commits are merged under pushes that have not ended",
        "A push does not find its commit when it reads it back, and fails.",
        merging_under_way({}),
    ),
    Mutant(
        "announces_merged",
        "a commit that takes the place of others is written without an intent",
        "Another who merges takes it away before it is read back, and the merge fails.",
        merging_two({}),
    ),
    Mutant(
        "lists_commits_first",
        "who merges lists intents before commits",
        "The same: the intent came when intents were listed, and the commit before commits were.",
        merging_under_way({}),
    ),
    Mutant(
        "looks_at_moved",
        "who keeps of two entries of a root the later does not look at its packs when the new commit is there",
        "The later one is of a push that died when it saw that its pack was doomed.",
        MERGING_FAILED,
    ),
    Mutant(
        "keeps_youngest",
        "a root that was renewed is merged with its older date",
        "It is retired at once.",
        MERGING_RENEWED,
    ),
    Mutant(
        "repeats",
        "what stays is not committed anew where another commit holds it",
        "Two clones each count on the commit that the other retires.",
        retiring_two(collectors()),
    ),
    Mutant(
        "leaves_packs",
        "who compacts deletes the old pack at once",
        "Another push relies upon it.",
        compacting(pushers()),
    ),
    Mutant(
        "pushes_anew",
        "undoing copies the commit back from the trash",
        "It comes when commits were listed, and the trash entry expires before the trash is.",
        undoing(collectors(2, runs=1)),
    ),
]
