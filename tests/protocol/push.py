"""Pushing: plan, announce, look, upload, commit, look once more, read back, withdraw the intents, report.

Everybody needs the same record, and any one of some packs that are there holds it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from tests.protocol.bucket import (
    GONE,
    NOW,
    Keys,
    Phase,
    Pins,
    Process,
    Request,
    Root,
    ask_time,
    be_quick,
    delete,
    list_page,
    put,
    read,
    remark,
    then,
)
from tests.protocol.rules import Rules

OLD = "packs/old"
"""A pack that holds the record."""
MIDDLE = "m"
"""Where the first page of a list ends, if it has two."""
RENEW_AFTER = 1
"""In thirds of the retention."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a push is to bring, and what it may rely upon."""

    root: str
    relied: Pins = frozenset([OLD])
    """The packs that it means to pin."""
    others: Keys = ()
    """Packs that hold the record as well, and that it turns to one by one."""
    uploads: bool = False
    """Whether something has to be uploaded; also once what it relied upon is lost."""
    source: str = ""
    """The pack that the record has to be copied out of, where this machine does not hold it."""
    pushed: int = NOW
    """The date of the root; it is kept where the push only moves what was reported before."""
    sessions: Keys = ("1", "2")
    """The names of its rounds; when they are used up, the push fails."""
    used: int = 0
    """How many of them have begun."""
    ending: Phase | None = None
    """What comes after, instead of the report."""
    began: int = 0

    @property
    def session(self) -> str:
        """The session under way."""
        return f"{self.root}{self.sessions[self.used - 1]}"


def list_keys(rules: Rules, prefix: str) -> Generator[Request, Any, Keys]:
    """List keys, in one page or in two; what is written between them may be missing from both."""
    pages = [("", MIDDLE), (MIDDLE, "~")] if prefix in rules.pages else [("", "~")]
    keys: Keys = ()
    for first, last in pages:
        keys += yield list_page(prefix, first, last)
    return keys


def read_all(keys: Keys) -> Generator[Request, Any, list[tuple[str, Any]]]:
    """Read what was listed, and pass over what is gone."""
    contents = (yield read(keys)) if keys else ()
    return [(key, content) for key, content in zip(keys, contents, strict=True) if content != GONE]


def tombstone_of(pack: str) -> str:
    """Return the key of the tombstone that dooms a pack."""
    return pack.replace("packs/", "doomed/")


def find_lost(rules: Rules, packs: Pins, *, tombstones: bool = True) -> Generator[Request, Any, Pins]:
    """Return those of some packs that are doomed or absent: tombstones are listed first, for they go last."""
    lost: Pins = frozenset()
    if rules.looks_at_tombstones and tombstones:
        doomed = yield from list_keys(rules, "doomed/")
        lost |= {pack for pack in packs if tombstone_of(pack) in doomed}
    if rules.looks_at_packs:
        lost |= packs.difference((yield from list_keys(rules, "packs/")))
    return lost


def push(rules: Rules, task: Task) -> Process:
    """Begin a session, if there is one left."""
    if task.used == len(task.sessions):
        return None
    return (yield from announce(rules, replace(task, used=task.used + 1)))


def announce(rules: Rules, task: Task) -> Process:
    """Name what is relied upon, then look whether it is there; again with what is left, until it is."""
    if rules.announces:
        yield put(f"intents/{task.session}", task.relied if rules.fresh_names else task.relied | {OLD})
    lost = yield from find_lost(rules, task.relied)
    return then(announce, rules, do_without(task, lost)) if lost else then(upload, rules, task)


def do_without(task: Task, lost: Pins) -> Task:
    """Choose anew what to rely upon; where nothing else is left, the record is uploaded."""
    if task.others:
        return replace(task, relied=task.relied - lost | {task.others[0]}, others=task.others[1:])
    return replace(task, relied=task.relied - lost, uploads=True)


def upload(rules: Rules, task: Task) -> Process:
    """Bring what is lacking, and commit."""
    own = f"packs/{task.session}" if rules.fresh_names else OLD  # as a name by content would be
    pins = task.relied | {own} if task.uploads else task.relied
    if task.uploads and task.source and (yield read((task.source,))) == (GONE,):
        return None  # the record is nowhere: the push fails, and there is no commit
    commit = put(f"commits/{task.session}", frozenset([Root(task.root, pins, task.pushed)]))
    if not rules.uploads_first:
        yield commit
    if task.uploads:
        yield put(own)
    if rules.uploads_first:
        yield commit
    return then(finish, rules, replace(task, relied=pins))


def finish(rules: Rules, task: Task) -> Process:
    """Look once more, now that the commit is there, and read it back."""
    if rules.looks_again:
        lost = yield from find_lost(rules, task.relied)
        if lost:
            # A new session relies upon what is left, also of what this one uploaded.
            return then(push, rules, do_without(task, lost))
    if rules.reads_back and (yield read((f"commits/{task.session}",))) == (GONE,):
        yield remark("failed", f"the push of {task.root}")
        return None
    return then(withdraw, rules, task)


def withdraw(rules: Rules, task: Task) -> Process:
    """Delete the intents; only then is success reported."""
    for each in task.sessions[: task.used] if rules.announces else ():
        yield delete(f"intents/{task.root}{each}")
    return task.ending or then(report, task.root, task.began)


def report(root: str, began: int) -> Process:
    """Say that the push is complete.  A push is taken to be quicker than two thirds of the retention."""
    yield be_quick(began)
    yield remark("reported", root)
    return None


def push_again(rules: Rules, root: str, known: Keys = ()) -> Process:
    """Push what a commit may hold already: then there is nothing to do, unless the commit is to be renewed.

    ``known`` are commits that this machine saw whole once.
    """
    began = yield ask_time()
    commits = yield from read_all((yield from list_keys(rules, "commits/")))
    held = [(key, each) for key, roots in commits for each in roots if each.name == root]
    pins = frozenset().union(*(each.pins for _, each in held))
    doubted = rules.doubts_strangers and not {key for key, _ in held} <= set(known)
    lost = yield from find_lost(rules, pins, tombstones=doubted)
    whole = [each for _, each in held if not each.pins & lost]
    if any(began - each.pushed < RENEW_AFTER or not rules.renews for each in whole):
        return then(report, root, began)
    relied = max(whole, key=lambda each: each.pushed).pins if whole else frozenset()
    return then(push, rules, Task(root, relied, uploads=not whole, began=began))


def push_by_index(rules: Rules, root: str) -> Process:
    """Plan by an index object: it says what to rely upon, as long as it is there."""
    indexes = yield list_page("index/")
    return (yield from push(rules, Task(root) if indexes else Task(root, frozenset(), uploads=True)))


def undo(rules: Rules, root: str) -> Process:
    """Bring back a root from the trash; this machine holds nothing of it."""
    for key, roots in (yield from read_all((yield from list_keys(rules, "trash/")))):
        for each in roots:
            if each.name != root:
                continue
            if rules.pushes_anew:
                return then(push, rules, Task(root, each.pins, source=min(each.pins)))
            yield put(key.replace("trash/", "commits/"), roots)
            return then(report, root, 0)
    return None
