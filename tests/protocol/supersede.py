"""Merging, retiring, compacting: what is to stay is committed anew, and only then the old commits go to the trash."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from tests.protocol.bucket import Keys, Pins, Process, Request, Root, Roots, delete, put, remark, then
from tests.protocol.push import OLD, Task, list_keys, push, read_all, tombstone_of
from tests.protocol.rules import Rules

OVER = 2
"""The retention, in the steps in which roots grow old: young, old enough to be renewed, old enough to be retired."""
FOR_EVER = 99
Commits = tuple[tuple[str, Roots], ...]


def _list_settled(rules: Rules) -> Generator[Request, Any, Commits]:
    """Return the commits that nobody is about to read back."""
    intents: Keys = ()
    if not rules.lists_commits_first:
        intents = yield from list_keys(rules, "intents/")
    commits = yield from list_keys(rules, "commits/")
    if rules.lists_commits_first and rules.spares_pushes:
        intents = yield from list_keys(rules, "intents/")
    if rules.spares_pushes:
        commits = tuple(key for key in commits if key.replace("commits/", "intents/") not in intents)
    return tuple((yield from read_all(commits)))


def merge(rules: Rules, session: str) -> Process:
    """Write one commit that holds what several do, and retire those."""
    if not rules.keeps_all_pins:
        return then(choose, rules, session)
    old = yield from _list_settled(rules)
    if len(old) < 2:
        return None
    return then(supersede, rules, session, combine(rules, old), old)


def choose(rules: Rules, session: str) -> Process:
    """Merge, but keep of each root only one entry: the last of those whose packs seem to be there."""
    packs = yield from list_keys(rules, "packs/")
    doomed = yield from list_keys(rules, "doomed/")
    old = yield from _list_settled(rules)
    if len(old) < 2:
        return None
    chosen: dict[str, Root] = {}
    for root in sorted((root for _, roots in old for root in roots), key=lambda root: root.pushed):
        if all(pack in packs and tombstone_of(pack) not in doomed for pack in root.pins) or root.name not in chosen:
            chosen[root.name] = root
    return then(supersede, rules, session, frozenset(chosen.values()), old)


def combine(rules: Rules, old: Commits, dead: frozenset[str] = frozenset()) -> Roots:
    """Return all roots of some commits but the dead, with all their pins, each with the date of its last push."""
    dates: dict[tuple[str, Pins], int] = {}
    for _, roots in old:
        for name, pins, pushed in roots:
            known = dates.get((name, pins), pushed)
            if name not in dead:
                dates[name, pins] = max(known, pushed) if rules.keeps_youngest else min(known, pushed)
    return frozenset(Root(name, pins, pushed) for (name, pins), pushed in dates.items())


def retire(rules: Rules, session: str, root: str) -> Process:
    """Give up a root, whatever its age, since its project says so."""
    yield remark("retired", root, FOR_EVER)
    old = yield from _list_settled(rules)
    return then(drop, rules, session, frozenset([root]), old)


def retire_old(rules: Rules, session: str) -> Process:
    """Give up the roots whose retention is over; an intent that comes first tells the time."""
    now = yield put(f"intents/{session}", frozenset())
    old = yield from _list_settled(rules)
    youngest: dict[str, int] = {}
    for name, _, pushed in (root for _, roots in old for root in roots):
        youngest[name] = max(pushed, youngest.get(name, pushed))
    dead = frozenset(name for name, pushed in youngest.items() if now - pushed >= OVER)
    for name in sorted(dead):
        yield remark("retired", name, now)
    return then(drop, rules, session, dead, old)


def drop(rules: Rules, session: str, dead: frozenset[str], old: Commits) -> Process:
    """Commit anew what else there is in the commits that hold dead roots, and retire those."""
    held = tuple((key, roots) for key, roots in old if any(root.name in dead for root in roots))
    if not rules.repeats:
        dead |= {root.name for key, roots in old if (key, roots) not in held for root in roots}
    return (yield from supersede(rules, session, combine(rules, held, dead), held))


def supersede(rules: Rules, session: str, left: Roots, old: Commits) -> Process:
    """Write what is left, and retire the old commits, in this order."""
    if left and rules.writes_first:
        yield put(f"commits/{session}", left)
    for key, roots in old:
        yield from _bury(rules, key, roots)
    if left and not rules.writes_first:
        yield put(f"commits/{session}", left)
    yield delete(f"intents/{session}")
    return None


def _bury(rules: Rules, key: str, roots: Roots) -> Generator[Request, Any, None]:
    if rules.copies_to_trash:
        yield put(key.replace("commits/", "trash/"), roots)
    yield delete(key)


def compact(rules: Rules, session: str, name: str) -> Process:
    """Rewrite a wasteful pack: push a root that needs it without relying on it, then retire the old commits."""
    old = yield from _list_settled(rules)
    held = tuple((key, roots) for key, roots in old if any(root.name == name for root in roots))
    root = next((root for _, roots in held for root in roots if root.name == name), None)
    if root is None:
        return None
    bury = then(clear, rules, held)
    task = Task(name, root.pins - {OLD}, uploads=True, source=OLD, pushed=root.pushed, sessions=(session,))
    if rules.writes_first:
        return then(push, rules, replace(task, ending=bury))
    for key, roots in held:
        yield from _bury(rules, key, roots)
    return then(push, rules, replace(task, ending=then(clear, rules, ())))


def clear(rules: Rules, old: Commits) -> Process:
    """Retire what was rewritten, now that the push is complete."""
    for key, roots in old:
        yield from _bury(rules, key, roots)
    if not rules.leaves_packs:
        yield delete(OLD)
    return None
