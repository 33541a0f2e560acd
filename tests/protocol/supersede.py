"""Merging, retiring, compacting: what is to stay is committed anew, and only then the old commits go to the trash."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any, NamedTuple

from tests.protocol.bucket import GONE, Keys, Process, Request, Root, Roots, delete, put, read, remark, then
from tests.protocol.push import OLD, Task, find_lost, list_keys, push, read_all, tombstone_of
from tests.protocol.rules import Rules

OVER = 2
"""The retention, in the steps in which roots grow old: young, old enough to be renewed, old enough to be retired."""
FOR_EVER = 99
Commits = tuple[tuple[str, Roots], ...]


class Survey(NamedTuple):
    """What whoever supersedes commits knows: those that nobody is about to read back, and what seemed to be there."""

    commits: Commits
    packs: Keys
    doomed: Keys

    def seems_whole(self, root: Root) -> bool:
        """Tell whether packs were there, and without a tombstone, when they were listed; that may be long ago."""
        return all(pack in self.packs and tombstone_of(pack) not in self.doomed for pack in root.pins)


def survey(rules: Rules) -> Generator[Request, Any, Survey]:
    """List packs and tombstones, then the commits, and only then the intents of pushes that have not ended."""
    packs = yield from list_keys(rules, "packs/")
    doomed = yield from list_keys(rules, "doomed/")
    intents: Keys = ()
    if not rules.lists_commits_first:
        intents = yield from list_keys(rules, "intents/")
    commits = yield from list_keys(rules, "commits/")
    if rules.lists_commits_first and rules.spares_pushes:
        intents = yield from list_keys(rules, "intents/")
    settled = tuple(key for key in commits if key.replace("commits/", "intents/") not in intents)
    return Survey(tuple((yield from read_all(settled))), packs, doomed)


def join(rules: Rules, seen: Survey, old: Commits, dead: frozenset[str] = frozenset()) -> Roots:
    """Return each living root of some commits once: as it was pushed last of those that seem whole, if any does.

    It keeps the date of its last push, so that to be committed anew makes it neither younger nor older.
    """
    entries = [root for _, roots in old for root in roots if root.name not in dead]
    joined = set()
    for name in {root.name for root in entries}:
        same = [root for root in entries if root.name == name]
        dates = [root.pushed for root in same]
        best = max(same, key=lambda root: (seen.seems_whole(root), root.pushed, sorted(root.pins)))
        joined.add(best._replace(pushed=max(dates) if rules.keeps_youngest else min(dates)))
    return frozenset(joined)


def merge(rules: Rules, session: str) -> Process:
    """Write one commit that holds what several do, and retire those."""
    seen = yield from survey(rules)
    if len(seen.commits) < 2:
        return None
    return then(supersede, rules, session, join(rules, seen, seen.commits), seen.commits)


def retire(rules: Rules, session: str, root: str) -> Process:
    """Give up a root, whatever its age, since its project says so."""
    yield remark("retired", root, FOR_EVER)
    return then(drop, rules, session, frozenset([root]), (yield from survey(rules)))


def retire_old(rules: Rules, session: str) -> Process:
    """Give up the roots whose retention is over; an intent that comes first tells the time."""
    now = yield put(f"intents/{session}", frozenset())
    seen = yield from survey(rules)
    youngest: dict[str, int] = {}
    for name, _, pushed in (root for _, roots in seen.commits for root in roots):
        youngest[name] = max(pushed, youngest.get(name, pushed))
    dead = frozenset(name for name, pushed in youngest.items() if now - pushed >= OVER)
    for name in sorted(dead):
        yield remark("retired", name, now)
    return then(drop, rules, session, dead, seen)


def drop(rules: Rules, session: str, dead: frozenset[str], seen: Survey) -> Process:
    """Commit anew what else there is in the commits that hold dead roots, and retire those."""
    old = tuple((key, roots) for key, roots in seen.commits if any(root.name in dead for root in roots))
    if not rules.repeats:
        dead |= {root.name for key, roots in seen.commits if (key, roots) not in old for root in roots}
    return (yield from supersede(rules, session, join(rules, seen, old, dead), old))


def supersede(rules: Rules, session: str, left: Roots, old: Commits) -> Process:
    """Commit what is left as a push does, and retire the old commits, in this order."""
    commit = put(f"commits/{session}", left)
    if left and rules.writes_first:
        if rules.announces_merged:
            yield put(f"intents/{session}", frozenset().union(*(root.pins for root in left)))
        yield commit
        old = yield from _leave_doubtful(rules, left, old)
        if (yield read((f"commits/{session}",))) == (GONE,):
            yield remark("failed", f"merging into {session}")
            return None
    yield delete(f"intents/{session}")
    return then(bury_all, rules, commit if left and not rules.writes_first else None, old)


def bury_all(rules: Rules, commit: Request | None, old: Commits) -> Process:
    """Retire commits, now that what is left of them is told by another one; or will be, by ``commit``."""
    for key, roots in old:
        yield from _bury(rules, key, roots)
    if commit is not None:
        yield commit
    return None


def _leave_doubtful(rules: Rules, left: Roots, old: Commits) -> Generator[Request, Any, Commits]:
    """Return those of some commits that may go.

    Where the new one pins a root to other packs, these have to be seen, now that it is there, as a push does it.
    """
    moved = {
        new for new in left for _, roots in old for root in roots if root.name == new.name and root.pins != new.pins
    }
    if not moved or not rules.looks_at_moved:
        return old
    lost = yield from find_lost(rules, frozenset().union(*(root.pins for root in moved)))
    doubtful = {root.name for root in moved if root.pins & lost}
    return tuple((key, roots) for key, roots in old if doubtful.isdisjoint(root.name for root in roots))


def _bury(rules: Rules, key: str, roots: Roots) -> Generator[Request, Any, None]:
    if rules.copies_to_trash:
        yield put(key.replace("commits/", "trash/"), roots)
    yield delete(key)


def compact(rules: Rules, session: str, name: str) -> Process:
    """Rewrite a wasteful pack: push a root that needs it without relying on it, then retire the old commits."""
    seen = yield from survey(rules)
    held = tuple((key, roots) for key, roots in seen.commits if any(root.name == name for root in roots))
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
