"""Collecting a remote in two phases: what nothing names is doomed, and deleted when that was long ago.

docs/formats/remote.md says why that needs no locks.  In short: a doomed pack gains no users, what protects a pack
is looked for in the order in which it moves, and names are never reused; so a plan may be carried out at any time
after it was made, or in part, by any number of collectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from vstore.errors import CorruptError, KeyNotFoundError, NewerFormatError
from vstore.objects.digest import Digest
from vstore.parallel import map_ordered
from vstore.progress import SILENT, Reporter
from vstore.remote.commits import CommittedRoot, author_of_tombstone, tombstone_to_bytes
from vstore.remote.index import packs_from_head
from vstore.remote.layout import INDEX, LISTING, find_session, is_index, tombstone_key, trash_key
from vstore.remote.ledger import Ledger, Site
from vstore.remote.listing import refresh_listing
from vstore.remote.retire import join_roots, replace_commits
from vstore.remote.survey import Held, Survey, find_new_names
from vstore.remote.transport import Key, Listed

DOOM_HOLD_S = 24 * 3600
"""A doomed pack is deleted at the earliest so long after its tombstone was written."""

Item = TypeVar("Item")
Result = TypeVar("Result")

OWN, OTHERS, TRASH, INTENT = "own", "other-project", "trash", "intent"


class Doomed(NamedTuple):
    """A doomed pack: its length (0 if it is gone), how long it has been doomed at least, and by whom (empty: unknown).

    ``is_named``: something names it, so it stays, though nothing relies upon it anew.
    """

    pack: Key
    size_bytes: int
    age_s: float
    author: str
    is_named: bool


@dataclass(frozen=True, slots=True)
class CollectPlan:
    """What a collection does to a remote.

    ``named`` are the packs that stay because something names them, with the first of these that does: "own" commits,
    those of an "other-project", the "trash", an "intent".  ``released`` are those of them that only the trash names
    once the roots are retired.  ``doomed`` get a tombstone, ``waiting`` have one that is not old enough, ``deleted``
    go (those that are gone already but for their tombstone have no length).
    """

    dead: frozenset[Digest]
    retired: tuple[Held, ...]
    """Commits to be retired."""
    left: tuple[CommittedRoot, ...]
    """What of them has to be committed anew."""
    named: dict[Key, str]
    released: tuple[Listed, ...]
    doomed: tuple[Listed, ...]
    waiting: tuple[Listed, ...]
    deleted: tuple[Listed, ...]
    expired: tuple[Key, ...]
    """Intents and trash entries that protect nothing any more."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.retired or self.doomed or self.deleted or self.expired)


class Collected(NamedTuple):
    """What a collection wrote and deleted besides what was planned: a commit, and index objects."""

    commit: Key | None
    indexes: int


def plan_collection(survey: Survey, dead: Collection[Digest]) -> CollectPlan:
    """Return what is to be done where ``dead`` are the roots of our project that are given up; no requests.

    A root stays in commits whose push has not ended.
    """
    own = survey.own_commits()
    dead = frozenset(dead)
    retired = [
        held
        for held in own
        if survey.is_settled(held)
        # What is in the trash as well somebody was about to retire who died.
        and (trash_key(held.listed.key) in survey.trash or any(root.digest in dead for root in held.commit.roots))
    ]
    left = _find_left(survey, dead, retired)
    named = _find_named(survey)
    kept = {pack.key for root in left for pack in root.pins}
    going = {held.listed.key for held in retired}
    for key, held in survey.commits.items():
        if key not in going:
            kept |= held.commit.packs().keys()
    waiting: list[Listed] = []
    deleted: list[Listed] = []
    for key, tombstone in survey.doomed.items():
        if key not in named:
            pack = survey.packs.get(key, Listed(key, 0, math.inf))
            (deleted if survey.age_s(tombstone) > DOOM_HOLD_S else waiting).append(pack)
    return CollectPlan(
        dead=dead,
        retired=tuple(retired),
        left=left,
        named=named,
        released=tuple(
            survey.packs[key]
            for key, word in named.items()
            if word in (OWN, OTHERS) and key not in kept and key in survey.packs
        ),
        doomed=tuple(survey.packs[key] for key in survey.packs if key not in named and key not in survey.doomed),
        waiting=tuple(waiting),
        deleted=tuple(deleted),
        expired=(
            *(intent.listed.key for intent in survey.intents.values() if survey.is_expired(intent)),
            *(held.listed.key for held in survey.trash.values() if survey.is_expired(held)),
        ),
    )


def _find_left(survey: Survey, dead: frozenset[Digest], retired: Collection[Held]) -> tuple[CommittedRoot, ...]:
    """Return the roots of retired commits that live on.

    Also those that another commit holds as well: somebody else, to whom other roots are dead, may retire that one now.
    """
    going = {held.listed.key for held in retired}
    return join_roots(
        (entry for entry in survey.list_roots() if entry.held.listed.key in going and entry.root.digest not in dead),
        survey.is_whole,
    )


def _find_named(survey: Survey) -> dict[Key, str]:
    """Return every pack that is protected, by what protects it."""
    named: dict[Key, str] = {}
    for held in survey.commits.values():
        word = OWN if held.commit.project == survey.project else OTHERS
        for key in held.commit.packs():
            if named.get(key) != OWN:
                named[key] = word
    for held in survey.trash.values():
        if not survey.is_expired(held):
            named |= dict.fromkeys(held.commit.packs().keys() - named.keys(), TRASH)
    living = {session: intent for session, intent in survey.intents.items() if not survey.is_expired(intent)}
    for intent in living.values():
        named |= dict.fromkeys(intent.packs - named.keys(), INTENT)
    for key in (*survey.packs, *survey.doomed):
        if find_session(key) in living:
            named.setdefault(key, INTENT)
    return named


def collect(site: Site, survey: Survey, plan: CollectPlan, reporter: Reporter) -> Collected:
    """Carry out a plan; a death in between leaves less to do for the next time.  Raises UnavailableError."""
    commit = None
    reporter.begin("collecting", total=len(plan.retired) + len(plan.doomed) + len(plan.deleted), unit="objects")
    try:
        if plan.retired:
            commit = replace_commits(site, plan.retired, plan.left, reporter=reporter)
            reporter.advance(len(plan.retired))
        if not plan.is_empty and site.transport.find_size(LISTING) is not None:
            refresh_listing(site.transport)  # readers who believe it do not look for what goes now
        for _ in _do_all(site, plan.expired, site.transport.delete):
            pass
        if survey.packs:
            site.transport.sweep(survey.now_s - DOOM_HOLD_S)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        tombstone = tombstone_to_bytes(site.project, site.author, created)
        # What somebody has begun to name since would be safe, but doomed for ever.
        named = find_new_names(site, survey) if plan.doomed else set()
        doomed = [pack for pack in plan.doomed if pack.key not in named and find_session(pack.key) not in named]
        for _ in _do_all(site, doomed, lambda pack: site.transport.write(tombstone_key(pack.key), tombstone)):
            reporter.advance()
        # A pack goes before its tombstone: who lists tombstones, then packs, sees that it goes.  Index objects go
        # between: where we die before they are gone, the tombstones let the next collection look for them again.
        for _ in _do_all(site, plan.deleted, lambda pack: site.transport.delete(pack.key)):
            reporter.advance()
        indexes = _delete_indexes(site, survey, plan) if plan.deleted else 0
        for _ in _do_all(site, plan.deleted, lambda pack: site.transport.delete(tombstone_key(pack.key))):
            pass
        return Collected(commit, indexes)
    finally:
        reporter.end()


def _do_all(site: Site, items: Iterable[Item], act: Callable[[Item], Result]) -> Iterator[Result]:
    return map_ordered(act, items, workers=site.jobs)


def _delete_indexes(site: Site, survey: Survey, plan: CollectPlan) -> int:
    """Delete the index objects of which no pack is left; return their number."""
    ledger = Ledger(site, SILENT)
    left = survey.packs.keys() - {pack.key for pack in plan.deleted}
    # A young one may tell of packs that were not there when packs were listed.
    old = [
        listed for listed in site.transport.list(INDEX) if is_index(listed.key) and survey.age_s(listed) > DOOM_HOLD_S
    ]
    useless = [
        listed.key
        for listed, packs in _do_all(site, old, lambda listed: _read_packs(ledger, listed))
        if packs is not None and packs.isdisjoint(left)
    ]
    return sum(1 for _ in _do_all(site, useless, site.transport.delete))


def _read_packs(ledger: Ledger, listed: Listed) -> tuple[Listed, set[Key] | None]:
    """Return the packs that an index object tells of: none if it is damaged, None if only a newer vstore can tell."""
    known = ledger.site.mirror.find_index(listed.key)
    if known is not None:
        return listed, {pack.key for pack in known.packs}
    try:
        head = ledger.read_head(listed)
        return listed, {pack.key for pack in packs_from_head(head, listed.key)}
    except NewerFormatError:
        return listed, None
    except (CorruptError, KeyNotFoundError):
        return listed, set()


def list_doomed(site: Site, survey: Survey) -> list[Doomed]:
    """Return all doomed packs, those doomed first first; a request for each tombstone."""
    named = _find_named(survey)

    def read(item: tuple[Key, Listed]) -> Doomed:
        key, tombstone = item
        try:
            author = author_of_tombstone(site.transport.read(tombstone.key), tombstone.key)
        except KeyNotFoundError:
            author = ""
        pack = survey.packs.get(key)
        return Doomed(key, pack.size_bytes if pack else 0, survey.age_s(tombstone), author, key in named)

    return sorted(_do_all(site, survey.doomed.items(), read), key=lambda found: -found.age_s)
