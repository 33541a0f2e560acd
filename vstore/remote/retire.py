"""Replacing commits of our project: what shall stay is committed anew first, and the old ones pin on from the trash.

Commits are retired when roots in them are given up, and when many are merged into one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from vstore.errors import Cause, KeyNotFoundError, RemoteUnavailableError
from vstore.objects.digest import Digest
from vstore.parallel import map_ordered
from vstore.remote.commits import Commit, CommittedRoot
from vstore.remote.layout import INTENTS, commit_key, find_intent_session, new_session, trash_key, trash_prefix
from vstore.remote.ledger import Site
from vstore.remote.survey import Held, PushedRoot, Survey
from vstore.remote.transport import Key


def join_roots(survey: Survey, entries: Iterable[PushedRoot]) -> tuple[CommittedRoot, ...]:
    """Return each root once: as it was pushed last or, where that is not whole at the remote, last of those that are.

    It keeps the date of its last push, so that to be committed anew makes nothing younger.
    """
    chosen: dict[Digest, PushedRoot] = {}
    pushed_s: dict[Digest, float] = {}
    for entry in entries:
        digest = entry.root.digest
        known = chosen.get(digest)
        if known is None or _rank(survey, entry) > _rank(survey, known):
            chosen[digest] = entry
        pushed_s[digest] = max(entry.pushed_s, pushed_s.get(digest, 0))
    return tuple(
        entry.root._replace(pushed_s=int(pushed_s[digest]) if pushed_s[digest] < float("inf") else None)
        for digest, entry in chosen.items()
    )


def _rank(survey: Survey, entry: PushedRoot) -> tuple[bool, float]:
    return survey.is_whole(entry.root), entry.pushed_s


def replace_commits(site: Site, old: Sequence[Held], left: Sequence[CommittedRoot]) -> Key | None:
    """Retire commits, after what is left of them was committed anew; return the key of that commit, if it is needed.

    They must be of our project.  Those whose push has not ended stay: whoever made them will read them back.  A death
    in between leaves commits that say the same twice.  Raises UnavailableError.
    """
    # Asked only now that the commits were seen: a push that began since intents were listed last has its own here.
    under_way = {find_intent_session(found.key) for found in site.transport.list(INTENTS)}
    old = [held for held in old if held.commit.session not in under_way]
    if not old:
        return None
    new = _commit(site, old, left) if left else None
    copies = dict(map_ordered(lambda held: _copy(site, held), old, workers=site.jobs))
    there = {found.key: found.size_bytes for found in site.transport.list(trash_prefix(site.project))}
    for key, size_bytes in copies.items():
        if size_bytes is not None and there.get(key) != size_bytes:
            raise _not_kept(site, key)
    for _ in map_ordered(lambda held: site.transport.delete(held.listed.key), old, workers=site.jobs):
        pass
    return new


def _commit(site: Site, old: Sequence[Held], left: Sequence[CommittedRoot]) -> Key:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    commit = Commit(
        site.project,
        new_session(),
        site.author,
        created,
        tuple(left),
        supersedes=tuple(held.listed.key for held in old),
    )
    key, data = commit_key(commit.project, commit.session), commit.to_bytes()
    site.transport.write(key, data)
    try:
        if site.transport.read(key) != data:
            raise _not_kept(site, key)
    except KeyNotFoundError as error:
        raise _not_kept(site, key) from error
    site.mirror.keep(key, data)
    return key


def _copy(site: Site, held: Held) -> tuple[Key, int | None]:
    """Copy a commit to the trash, byte for byte; None if somebody else has retired it meanwhile."""
    key = held.listed.key
    try:
        data = site.transport.read(key)
    except KeyNotFoundError:
        return trash_key(key), None
    site.transport.write(trash_key(key), data)
    return trash_key(key), len(data)


def _not_kept(site: Site, key: Key) -> RemoteUnavailableError:
    message = f"{site.transport.url} did not keep {key} as it was written"
    return RemoteUnavailableError(message, cause=Cause.STALE, url=site.transport.url)
