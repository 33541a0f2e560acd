"""Merging what many pushes leave: commits into fewer commits, index objects into fewer index objects.

Nothing moves in the packs.  A commit is replaced by one that holds the same roots with the same pins, and pins on from
the trash; an index object is only a hint.  So a death anywhere leaves things told twice, and nothing untold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from vstore.errors import CorruptError, KeyNotFoundError
from vstore.objects.digest import Digest
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.commits import Commit, CommittedRoot
from vstore.remote.index import MOST_RECORDS, Index, join_indexes
from vstore.remote.layout import find_session, index_key, new_session
from vstore.remote.ledger import Ledger, Site
from vstore.remote.levels import Scale, choose_groups
from vstore.remote.retire import join_roots, replace_commits
from vstore.remote.survey import Held, list_pushed
from vstore.remote.transport import Key, Listed

COMMITS_SCALE = Scale(most=32, unit_bytes=1024, full_bytes=64 * 1024 * 1024)
INDEX_SCALE = Scale(most=16, unit_bytes=4096, full_bytes=32 * 1024 * 1024)


class OwnCommits:
    """Our project's commits, as they are now; raises UnavailableError.

    ``replaceable``, newest first, are those whose pushes have ended, and that say nothing that we do not know: intents
    are listed after the commits, so a commit without one was read back by who wrote it, or never will be.
    """

    def __init__(self, site: Site, reporter: Reporter) -> None:
        self.site = site
        self.reporter = reporter
        self.ledger = Ledger(site, reporter)
        self.commits = dict(self.ledger.iter_commits())
        busy = self.ledger.list_sessions()
        self.replaceable = [
            Held(listed, commit)
            for key, commit in self.commits.items()
            if commit.session not in busy and len(commit.to_bytes()) == (listed := self.ledger.listed[key]).size_bytes
        ]

        self.packs = {pack.key: pack for commit in reversed(self.commits.values()) for pack in commit.packs().values()}
        """Every pack that any of the commits pins, oldest commits first."""
        self._lost: set[Key] | None = None

    @property
    def lost(self) -> set[Key]:
        """Those of the packs that are gone, doomed or damaged; two requests when it is first asked for."""
        # No cached property: until Python 3.12 all objects of a class share its lock, here while requests are made.
        if self._lost is None:
            self._lost = self.ledger.find_lost(self.packs.values()) | self.site.mirror.distrusted_packs()
        return self._lost

    def give_up(self, dead: Collection[Digest]) -> None:
        """Take some roots for retired, in order to say what would be done when they are."""

        def without(commit: Commit) -> Commit:
            return dataclasses.replace(commit, roots=tuple(each for each in commit.roots if each.digest not in dead))

        self.commits = {key: without(commit) for key, commit in self.commits.items()}
        self.replaceable = [Held(held.listed, without(held.commit)) for held in self.replaceable]
        left = {key for commit in self.commits.values() for key in commit.packs()}
        self.packs = {key: pack for key, pack in self.packs.items() if key in left}

    def supersede(self, touched: Iterable[Held]) -> tuple[list[Held], tuple[CommittedRoot, ...]]:
        """Return those of some commits that one may take the place of, and what that has to name.

        Each root is as the newest commit in which it is whole says.  What is whole nowhere stays where it is, in the
        hope of a repair.
        """
        touched = list(touched)
        named = {root.digest for held in touched for root in held.commit.roots}
        entries = [entry for entry in list_pushed(self.replaceable) if entry.root.digest in named]
        roots = {root.digest: root for root in join_roots(entries, self.is_whole)}
        broken = {digest for digest, root in roots.items() if not self.is_whole(root)}
        touched = [held for held in touched if broken.isdisjoint(root.digest for root in held.commit.roots)]
        left = {root.digest for held in touched for root in held.commit.roots}
        return touched, tuple(root for digest, root in roots.items() if digest in left)

    def is_whole(self, root: CommittedRoot) -> bool:
        """Tell whether all that a root is pinned to is there."""
        return all(pack.key not in self.lost and self.packs.get(pack.key) == pack for pack in root.pins)


def merge_commits(own: OwnCommits, scale: Scale) -> int:
    """Merge commits of our project where there are too many; return how many were.  Raises UnavailableError.

    So are those that pin what is gone, doomed or damaged though other commits say where all of their roots are whole:
    else that would stay for ever, for nothing.
    """
    merged = 0
    whole, _ = own.supersede(own.replaceable)
    groups = choose_groups(((held, held.listed.size_bytes) for held in whole), scale)
    chosen = {held.listed.key for group in groups for held in group}
    useless = [
        held
        for held in whole
        if held.listed.key not in chosen
        and not own.lost.isdisjoint(pack.key for root in held.commit.roots for pack in root.pins)
    ]
    for group in [*groups, *([useless] if useless else [])]:
        new = replace_commits(own.site, group, own.supersede(group)[1], reporter=own.reporter)
        if new is not None:
            merged += len(group)
    return merged


def merge_indexes(ledger: Ledger, packs: Collection[Key], scale: Scale, *, prunes: bool = False) -> int:
    """Merge the index objects that tell of any of some packs, where there are too many; return how many were.

    With ``prunes`` those are written anew, too, that tell mostly of packs that are gone.
    """
    site, own = ledger.site, read_indexes(ledger, packs)
    present = ledger.find_present({pack.key for index in own.values() for pack in index.packs})
    groups = choose_groups(((found, found.size_bytes) for found in own), scale)
    if prunes:
        merged = {found for group in groups for found in group}
        groups += [[found] for found in own if found not in merged and _is_mostly_gone(own[found], present)]
    for group in groups:
        put_index(site, new_session(), [own[found] for found in group], present)
        delete_indexes(site, group)
    return sum(map(len, groups))


def read_indexes(ledger: Ledger, packs: Collection[Key]) -> dict[Listed, Index]:
    """Return the index objects that tell of any of some packs, newest first, as far as that is known without reading
    those that bear the name of a strange session."""
    mirror, sessions = ledger.site.mirror, {find_session(key) for key in packs}

    def read(found: Listed) -> tuple[Listed, Index | None]:
        try:
            if find_session(found.key) in sessions:
                return found, ledger.read_index(found)
        except (CorruptError, KeyNotFoundError):
            return found, None
        return found, mirror.find_index(found.key)

    newest_first = sorted(ledger.list_indexes(), key=lambda found: (-found.modified_s, found.key))
    return {
        found: index
        for found, index in map_ordered(read, newest_first, workers=ledger.site.jobs)
        if index is not None and len(index) < MOST_RECORDS and any(pack.key in packs for pack in index.packs)
    }


def _is_mostly_gone(index: Index, present: Collection[Key]) -> bool:
    gone = {number for number, pack in enumerate(index.packs) if pack.key not in present}
    return bool(gone) and 2 * sum(number in gone for part in index.sections for number in part.packs) > len(index)


def put_index(site: Site, session: str, indexes: Iterable[Index], present: Collection[Key]) -> None:
    """Write one index object in the place of some, of those packs that are present."""
    key, data = index_key(session, 0), join_indexes(indexes, lambda pack: pack.key in present)
    site.transport.write(key, data)
    site.mirror.keep(key, data)


def delete_indexes(site: Site, merged: Iterable[Listed]) -> None:
    """Delete index objects that another takes the place of."""
    for _ in map_ordered(lambda found: site.transport.delete(found.key), merged, workers=site.jobs):
        pass
