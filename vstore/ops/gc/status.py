"""What waits at a remote to be deleted: doomed packs, retired versions, and the pushes that both respect."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator

from vstore.ops.gc.report import (
    DoomedPack,
    GcStatus,
    RetiredCommit,
    RunningPush,
    naming_remote,
    to_date,
    to_iso,
    to_version,
)
from vstore.ops.gc.trash import list_given_up
from vstore.remote.collect import DOOM_HOLD_S, TRASH, Doomed, plan_collection
from vstore.remote.layout import find_session
from vstore.remote.survey import INTENT_LIFE_S, TRASH_HOLD_S, Survey
from vstore.repo import Repo


def gc_status(repo: Repo, remote: str | None = None, *, forgotten: Collection[str] = ()) -> GcStatus:
    """Tell what waits at a remote; changes nothing.  Raises NeedsUnknownError, UnavailableError, CorruptError."""
    name = repo.remote_name(remote)
    with repo.open_remote(name) as opened, naming_remote(name, "status"):
        with opened.survey(forgotten=forgotten, announced=False, reporter=repo.reporter) as survey:
            doomed = opened.list_doomed(survey)
        named = plan_collection(survey, ()).named
        in_trash = {
            key: survey.packs[key].size_bytes for key, word in named.items() if word == TRASH and key in survey.packs
        }
        given_up = {held.listed.key for held, _ in list_given_up(survey)}
        replaced = [held for held in survey.own_trash() if held.listed.key not in given_up]
        spared = {key for held in replaced for key in held.commit.packs() if key in in_trash}
        due_s = max((held.listed.modified_s + TRASH_HOLD_S for held in replaced), default=math.inf)
        return GcStatus(
            remote=name,
            url=opened.url,
            packs=len(survey.packs),
            size_bytes=sum(listed.size_bytes for listed in survey.packs.values()),
            doomed=[_to_doomed(survey, found) for found in doomed],
            trash=list(_iter_retired(survey)),
            trash_bytes=sum(in_trash.values()),
            replaced=len(replaced),
            replaced_bytes=sum(in_trash[key] for key in spared),
            replaced_due=to_iso(due_s),
            pushes=list(_iter_pushes(survey)),
        )


def _to_doomed(survey: Survey, found: Doomed) -> DoomedPack:
    since_s = survey.doomed[found.pack].modified_s
    due = None if found.is_named else to_iso(since_s + DOOM_HOLD_S)
    return DoomedPack(found.pack, found.size_bytes, to_iso(since_s), found.author, found.is_named, due)


def _iter_retired(survey: Survey) -> Iterator[RetiredCommit]:
    for held, roots in list_given_up(survey):
        since_s = held.listed.modified_s
        packs = {pack.key: pack.size_bytes for root in roots for pack in root.pins}
        versions = [to_version(root, to_date(root), held.commit.author) for root in roots]
        yield RetiredCommit(
            held.listed.key, versions, sum(packs.values()), to_iso(since_s), to_iso(since_s + TRASH_HOLD_S)
        )


def _iter_pushes(survey: Survey) -> Iterator[RunningPush]:
    own = Counter(map(find_session, survey.packs))
    for session, intent in sorted(survey.intents.items(), key=lambda item: item[1].listed.modified_s):
        since_s = intent.listed.modified_s
        packs = own[session] + sum(find_session(key) != session for key in intent.packs)
        yield RunningPush(intent.listed.key, packs, to_iso(since_s), to_iso(since_s + INTENT_LIFE_S))
