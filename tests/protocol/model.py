"""The protocol of docs/formats/remote.md, small enough to be searched whole.

There is one record that everybody needs, and one pack holds it, or several do.  ``Rules`` switches each of the
precautions off by itself, so that a test can show that it is needed.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from tests.protocol.search import Bucket, Process, Request, delete, expire, list_keys, put, read, remark, then

Pins = frozenset[str]
Keys = tuple[str, ...]
MIDDLE = "m"
"""Where the first page of a list ends."""
OLD = "packs/old"
"""A pack that holds the record, and that nobody pins: garbage, until somebody relies upon it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the parties keep to."""

    announces: bool = True
    """A pusher writes an intent before it looks."""
    announces_own: bool = True
    """An intent protects whatever bears its session's name."""
    looks_at_tombstones: bool = True
    looks_at_packs: bool = True
    looks_again: bool = True
    """A pusher looks once more when its commit is there."""
    uploads_first: bool = True
    """Packs come before the commit that pins them."""
    fresh_names: bool = True
    """The name of a pack is never used again."""
    lists_intents_first: bool = True
    """A collector lists intents before commits."""
    lists_trash_last: bool = True
    looks_twice: bool = True
    """A collector lists everything again before it deletes what it doomed."""
    keeps_tombstones: bool = True
    """The tombstone of a living pack stays, also where somebody names the pack now."""
    deletes_packs_first: bool = True
    """A pack goes before its tombstone."""
    copies_to_trash: bool = True
    """A commit that is retired is copied to the trash before it is deleted."""
    merges_first: bool = True
    """The merged commit is written before the old ones are retired."""
    pages: bool = False
    """Lists of commits come in two pages."""
    starts_over: bool = True
    """A collector begins again where something that it listed is gone when it reads it."""


RULES = Rules()


def push(rules: Rules, root: str, believed: Pins = frozenset([OLD]), sessions: tuple[str, ...] = ("1", "2")) -> Process:
    """Push a root: rely upon packs that hold the record, or upload one.  Gives up when it is out of sessions."""
    if not sessions:
        return None
    session = f"{root}{sessions[0]}"
    if rules.announces:
        yield put(f"intents/{session}", believed)
    lacking = yield from _look(believed, rules)
    if lacking:
        return then(push, rules, root, believed - lacking, sessions)
    return then(upload, rules, root, believed, sessions)


def upload(rules: Rules, root: str, relied: Pins, sessions: tuple[str, ...]) -> Process:
    """Bring what is lacking, commit, and look once more."""
    session = f"{root}{sessions[0]}"
    own = f"packs/{session}" if rules.fresh_names else "packs/named-by-content"
    pins = relied or frozenset([own])
    if not relied and rules.uploads_first:
        yield put(own)
    yield put(f"commits/{session}", frozenset([(root, pins)]))
    if not relied and not rules.uploads_first:
        yield put(own)
    lacking = (yield from _look(pins, rules)) if rules.looks_again else frozenset()
    if lacking:
        # A new session relies upon what this one uploaded.
        return then(push, rules, root, pins - lacking, sessions[1:])
    for number in ("1", "2") if rules.announces else ():
        if number <= sessions[0]:
            yield delete(f"intents/{root}{number}")
    yield remark(f"reported {root}")
    return None


def _look(packs: Pins, rules: Rules) -> Generator[Request, Any, Pins]:
    """Return those of some packs that are doomed or absent: tombstones are listed first, for they go last."""
    lacking: Pins = frozenset()
    if rules.looks_at_tombstones:
        doomed = yield list_keys("doomed/")
        lacking |= {pack for pack in packs if pack.replace("packs/", "doomed/") in doomed}
    if rules.looks_at_packs:
        present = yield list_keys("packs/")
        lacking |= packs.difference(present)
    return lacking


def collect(rules: Rules, runs: int = 2) -> Process:
    """Doom what nobody names, and delete what was doomed and is still named by nobody."""
    if not runs:
        return None
    packs = yield list_keys("packs/")
    doomed = yield list_keys("doomed/")
    order = ("intents/", "commits/", "trash/")
    if not rules.lists_intents_first:
        order = ("commits/", "intents/", "trash/")
    if not rules.lists_trash_last:
        order = ("intents/", "trash/", "commits/")
    return then(gather, rules, runs, packs, doomed, order)


def gather(rules: Rules, runs: int, packs: Keys, doomed: Keys, order: Keys) -> Process:
    """Take what is named out of what could be deleted: ``packs`` and ``doomed`` are those left."""
    if not order:
        sweep = tuple(tombstone.replace("doomed/", "packs/") for tombstone in doomed)
        doom = tuple(pack for pack in packs if pack not in sweep)
        return then(judge, rules, runs, doom, sweep)
    if order[0] == "commits/" and rules.pages:
        # A long list comes in pages, and what is written meanwhile may be missing from both.
        keys = yield list_keys(order[0], last=MIDDLE)
        keys += yield list_keys(order[0], first=MIDDLE)
    else:
        keys = yield list_keys(order[0])
    contents = (yield read(keys)) if keys else ()
    if contents is None:
        if rules.starts_over:
            return then(collect, rules, runs)
        contents = ()
    named = _named_by(order[0], keys, contents, packs, rules)
    left = tuple(pack for pack in packs if pack not in named)
    kept = tuple(tombstone for tombstone in doomed if tombstone.replace("doomed/", "packs/") in named)
    if not rules.keeps_tombstones:
        for tombstone in kept:
            yield delete(tombstone)
    return then(gather, rules, runs, left, tuple(each for each in doomed if each not in kept), order[1:])


def judge(rules: Rules, runs: int, doom: Keys, sweep: Keys) -> Process:
    """Carry out what was found."""
    if sweep:
        yield from _delete(sweep[0], rules)
        return then(judge, rules, runs, doom, sweep[1:])
    if doom:
        yield put(doom[0].replace("packs/", "doomed/"))
        if not rules.looks_twice:
            yield from _delete(doom[0], rules)
        return then(judge, rules, runs, doom[1:], sweep)
    return then(collect, rules, runs - 1)


def _delete(pack: str, rules: Rules) -> Generator[Request, Any, None]:
    both = [pack, pack.replace("packs/", "doomed/")]
    for key in both if rules.deletes_packs_first else reversed(both):
        yield delete(key)


def _named_by(
    prefix: str, keys: tuple[str, ...], contents: tuple[Any, ...], packs: tuple[str, ...], rules: Rules
) -> set[str]:
    """Return the packs that intents, commits or trash entries protect."""
    named: set[str] = set()
    for key, content in zip(keys, contents, strict=bool(contents)):
        if prefix != "intents/":
            named.update(pack for _, pins in content for pack in pins)
            continue
        named.update(content)
        if rules.announces_own:
            named.update(pack for pack in packs if pack == key.replace("intents/", "packs/"))
    return named


def merge(rules: Rules, session: str) -> Process:
    """Write one commit that holds what all do, and retire those."""
    keys = yield list_keys("commits/")
    contents = (yield read(keys)) if keys else None
    if contents is None or len(keys) < 2:
        return None
    merged = put(f"commits/{session}", frozenset().union(*contents))
    if rules.merges_first:
        yield merged
    for key, content in zip(keys, contents, strict=True):
        yield from _retire(key, content, rules)
    if not rules.merges_first:
        yield merged
    return None


def retire(rules: Rules, root: str) -> Process:
    """Give up a root: of a commit that holds others as well, the others are committed anew first."""
    yield remark(f"retired {root}")
    keys = yield list_keys("commits/")
    contents = (yield read(keys)) if keys else ()
    for key, content in zip(keys, contents or (), strict=False):
        left = frozenset((other, pins) for other, pins in content if other != root)
        if left == content:
            continue
        if left and rules.merges_first:
            yield put(f"{key}-left", left)
        yield from _retire(key, content, rules)
        if left and not rules.merges_first:
            yield put(f"{key}-left", left)
    return None


def _retire(key: str, content: Any, rules: Rules) -> Generator[Request, Any, None]:
    if rules.copies_to_trash:
        yield put(key.replace("commits/", "trash/"), content)
    yield delete(key)


def pass_time(prefix: str) -> Process:
    """Let one object expire, at any moment."""
    yield expire(prefix)
    return None


def is_safe(bucket: Bucket, facts: frozenset[str]) -> bool:
    """Tell whether every root that a push reported can be read, unless its own project retired it."""
    objects = dict(bucket)
    readable = {
        root
        for key, content in bucket
        if key.startswith(("commits/", "trash/"))
        for root, pins in content
        if all(pack in objects for pack in pins)
    }
    for fact in facts:
        verb, root = fact.split()
        if verb == "reported" and f"retired {root}" not in facts and root not in readable:
            return False
    return True
