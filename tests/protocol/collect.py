"""Collecting: doom what nobody names, and delete what was doomed and is still named by nobody.

Nobody waits here: a tombstone holds for no time at all, and whatever expires does so at any moment.  So what is safe
here is safe with any holds, however wrong the clocks are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.protocol.bucket import GONE, Keys, Process, ask_haste, begin_survey, delete, expire, put, read, then, tick
from tests.protocol.push import list_keys, tombstone_of
from tests.protocol.rules import Rules


class Run(NamedTuple):
    """How many runs of a collector are left, its own intent, and the number of its survey."""

    left: int
    own: str = ""
    survey: int = 0


Left = tuple[Keys, Keys]
"""Packs and tombstones."""


def collect(rules: Rules, runs: int = 2, own: str = "") -> Process:
    """List everything, in the order in which protection moves.

    A collector of name ``own`` begins with an intent that names nothing: its date is what the store calls now.
    """
    if not runs:
        return None
    if own:
        yield put(f"intents/{own}", frozenset())
    began = yield begin_survey()
    packs = yield from list_keys(rules, "packs/")
    doomed = yield from list_keys(rules, "doomed/")
    order = ("intents/", "commits/", "trash/")
    if not rules.lists_intents_first:
        order = ("commits/", "intents/", "trash/")
    if not rules.lists_trash_last:
        order = ("intents/", "trash/", "commits/")
    return then(survey, rules, Run(runs, own, began), (packs, doomed), order)


def survey(rules: Rules, run: Run, left: Left, order: Keys, unread: Keys = ()) -> Process:
    """List what may name packs, and keep those that nothing names: ``left`` are packs and tombstones."""
    if not order:
        return then(look_into, rules, run, left, (), unread)
    keys = yield from list_keys(rules, order[0])
    if not rules.reads_at_once:
        return then(survey, rules, run, left, order[1:], unread + keys)
    return then(look_into, rules, run, left, order[1:], keys)


def look_into(rules: Rules, run: Run, left: Left, order: Keys, unread: Keys) -> Process:
    """Read what was listed, one by one, and pass over what is gone: what it protected is protected elsewhere."""
    if not unread:
        return then(survey if order else decide, rules, run, left, *[order] * bool(order))
    key = unread[0]
    (content,) = yield read((key,))
    if content == GONE and rules.starts_over:
        return then(collect, rules, run.left, run.own)
    named = _named_by(rules, key, content) if content != GONE else set()
    packs, doomed = left
    kept = {tombstone_of(pack) for pack in named}.intersection(doomed)
    if not rules.keeps_tombstones:
        for tombstone in sorted(kept):
            yield delete(tombstone)
    left = tuple(each for each in packs if each not in named), tuple(each for each in doomed if each not in kept)
    return then(look_into, rules, run, left, order, unread[1:])


def _named_by(rules: Rules, key: str, content: Any) -> set[str]:
    """Return the packs that an intent, a commit or an entry of the trash protects."""
    if not key.startswith("intents/"):
        return {pack for root in content for pack in root.pins}
    return {*content, key.replace("intents/", "packs/")} if rules.announces_own else set(content)


def decide(rules: Rules, run: Run, left: Left) -> Process:
    """Doom what nothing names, and delete what was doomed before: all packs, and only then their tombstones."""
    if not (yield ask_haste(run.survey)) and rules.hurries:
        return then(collect, rules, run.left, run.own)
    packs, doomed = left
    sweep = tuple(tombstone.replace("doomed/", "packs/") for tombstone in doomed)
    doom = tuple(pack for pack in packs if pack not in sweep)
    if not rules.looks_twice:
        sweep, doomed = sweep + doom, doomed + tuple(map(tombstone_of, doom))
    return (yield from carry_out(rules, run, doom, sweep + doomed if rules.deletes_packs_first else doomed + sweep))


def carry_out(rules: Rules, run: Run, doom: Keys, going: Keys) -> Process:
    """Write tombstones, then delete what goes: also packs that are gone already, for their tombstones are not."""
    if doom:
        yield put(tombstone_of(doom[0]))
        return then(carry_out, rules, run, doom[1:], going)
    if going:
        yield delete(going[0])
        return then(carry_out, rules, run, (), going[1:])
    if run.own:
        yield delete(f"intents/{run.own}")
    return then(collect, rules, run.left - 1, run.own)


def pass_time(_: Rules, prefix: str) -> Process:
    """Let one object expire, at any moment; that somebody has to delete it changes nothing."""
    yield expire(prefix)
    return None


def grow_old(_: Rules, thirds: int) -> Process:
    """Let time pass, at any moment."""
    while thirds:
        yield tick()
        thirds -= 1
    return None
