"""Keeping a remote small and fast: after a push what is worth it at once, and as a whole when asked to.

What many small pushes leave, small packs, commits and index objects, is merged by levels, so that a record, a root or
a row is written anew only a few times however many pushes follow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from vstore.errors import NeedsUnknownError, VstoreError
from vstore.objects.digest import Digest
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.commits import Commit
from vstore.remote.compaction import PACKS_SCALE, Compacted, Rewriting, find_read_bytes
from vstore.remote.content import Source
from vstore.remote.index import Index
from vstore.remote.layout import PackRef
from vstore.remote.ledger import Ledger, Site
from vstore.remote.levels import choose_groups, limit_group
from vstore.remote.merging import COMMITS_SCALE, INDEX_SCALE, OwnCommits, merge_commits, merge_indexes, read_indexes
from vstore.remote.packer import PACK_BYTES
from vstore.remote.transport import Key
from vstore.remote.usage import Usage, find_usage

_AT_LEAST_BYTES = 32 * 1024 * 1024
"""As much as this may be rewritten after any push, and after larger ones as much as they uploaded."""
_GROUP_BYTES = 1024 * 1024 * 1024
"""One commit tells of so much that was rewritten."""
_HOLLOW_BYTES = 1024 * 1024
"""Packs that are shorter are not worth looking at after a push, however little of them lives."""
_SEEN = "compacted.txt"
"""Where a mirror keeps of which commits nothing was found to be wasteful."""
_WASTE = 0.15
"""A pack is wasteful when more of it is dead: so at most 1.18 times what lives is pinned."""


def keep_up(site: Site, commits: Mapping[Key, Commit], source: Source, uploaded_bytes: int, reporter: Reporter) -> None:
    """Merge what pushes left, where there is enough of it; no request where there is not.

    ``commits`` are what the push that just ended knew.  That it does not work out is a warning: the push is complete.
    """
    packs = {pack.key: pack for commit in commits.values() for pack in commit.packs().values()}
    budget = max(_AT_LEAST_BYTES, uploaded_bytes)
    try:
        if _find_hollow(commits.values(), budget):
            done = _compact_hollow(OwnCommits(site, reporter), source, budget, reporter)
            if done.packs:
                reporter.note(f"packs at {site.transport.url} that were mostly dead were rewritten: {done.packs}")
        elif choose_groups(((pack, pack.size_bytes) for pack in packs.values()), PACKS_SCALE):
            done = _compact_small(OwnCommits(site, reporter), source, budget, reporter)
            if done.packs:
                reporter.note(f"{done.packs} small packs at {site.transport.url} were merged into {done.new_packs}")
        elif len(commits) > COMMITS_SCALE.most:
            merge_commits(OwnCommits(site, reporter), COMMITS_SCALE)
        elif len(site.mirror.index_keys()) > INDEX_SCALE.most:
            merge_indexes(Ledger(site, reporter), packs, INDEX_SCALE)
    except VstoreError as error:
        reporter.warn(f"the push is complete, but what many pushes left could not be merged: {error.message}")


def _compact_small(own: OwnCommits, source: Source, budget: int, reporter: Reporter) -> Compacted:
    groups = choose_groups(((pack, pack.size_bytes) for pack in _replaceable_packs(own)), PACKS_SCALE)
    sized = [(pack, pack.size_bytes) for group in groups for pack in group]
    victims = limit_group(sized, budget)
    return Rewriting(own, source, reporter).run(victims) if victims else Compacted()


def _find_hollow(commits: Iterable[Commit], budget: int) -> list[PackRef]:
    """Return packs that are more than twice as long as all together that is pinned to them, so mostly dead.

    That is seen without knowing what is in them.  No more are returned than may be looked at and rewritten.
    """
    roots: dict[PackRef, dict[Digest, int]] = {}
    for commit in commits:
        for root in commit.roots:
            for pack in root.pins:
                if pack.size_bytes >= _HOLLOW_BYTES:
                    roots.setdefault(pack, {})[root.digest] = root.size_bytes
    needs = {pack: sum(sizes.values()) for pack, sizes in roots.items()}
    return limit_group([(pack, need) for pack, need in needs.items() if 2 * need < pack.size_bytes], budget)


def _compact_hollow(own: OwnCommits, source: Source, budget: int, reporter: Reporter) -> Compacted:
    replaceable = set(_replaceable_packs(own))
    hollow = {pack.key: pack for pack in _find_hollow(own.commits.values(), budget) if pack in replaceable}
    if not hollow:
        return Compacted()
    usage = _find_usage(own, hollow, source, reporter)
    return Rewriting(own, source, reporter).run(list(hollow.values()), usage) if usage else Compacted()


def _replaceable_packs(own: OwnCommits) -> list[PackRef]:
    """Return the packs that commits pin which may be replaced, oldest first."""
    pinned = {pack for held in own.replaceable for pack in held.commit.packs().values()}
    return [pack for key, pack in own.packs.items() if pack in pinned and key not in own.lost]


def compact(site: Site, source: Source, reporter: Reporter) -> Compacted:
    """Rewrite all packs of our project that are wasteful, and merge all small ones, and commits and index objects.

    Takes as long as that takes; it may be stopped at any time, and what it did so far counts.
    Raises UnavailableError.
    """
    done = Compacted()
    refused: set[PackRef] = set()
    usage, analysed = None, set[Digest]()
    while True:
        own = OwnCommits(site, reporter)
        if _is_in_order(own):
            break
        roots = {root.digest for commit in own.commits.values() for root in commit.roots}
        if usage is None or not roots <= analysed:
            usage, analysed = _find_usage(own, own.packs, source, reporter), roots
            if usage is None:
                break
        packs = [pack for pack in _replaceable_packs(own) if pack not in refused]
        sized = [(pack, pack.size_bytes) for pack in _choose_wasteful(packs, usage)]
        victims = limit_group(sized, _GROUP_BYTES)
        if not victims:
            if not refused:
                site.mirror.keep(_SEEN, _names(own))
            break
        refused.update(victims)  # nothing is rewritten twice
        done = done.plus(Rewriting(own, source, reporter).run(victims, usage))
    if merge_commits(own, COMMITS_SCALE._replace(most=8)):
        own = OwnCommits(site, reporter)
    merge_indexes(own.ledger, own.packs, INDEX_SCALE._replace(most=8), prunes=True)
    return done


def _choose_wasteful(packs: Sequence[PackRef], usage: Usage) -> list[PackRef]:
    """Return packs of which much is dead, and small ones of which there are several of a size."""
    dead = usage.dead_bytes()
    wasteful = [pack for pack in packs if dead.get(pack, 0) > _WASTE * pack.size_bytes]
    others = ((pack, pack.size_bytes) for pack in packs if pack not in set(wasteful))
    small = [pack for group in choose_groups(others, PACKS_SCALE._replace(most=3)) for pack in group]
    return [*wasteful, *small]


def plan_compaction(site: Site, dead: Collection[Digest], source: Source, reporter: Reporter) -> Compacted:
    """Say about what ``compact`` would do when ``dead`` roots were retired; writes nothing to the remote.

    It looks at as much as that would to find out what lives.  Raises UnavailableError.
    """
    own = OwnCommits(site, reporter)
    if _is_in_order(own) and not dead:
        return Compacted()
    own.give_up(dead)
    usage = _find_usage(own, own.packs, source, reporter)
    if usage is None:
        return Compacted()
    victims = _choose_wasteful(_replaceable_packs(own), usage)
    dead_bytes = usage.dead_bytes()
    packs_bytes = sum(pack.size_bytes for pack in victims)
    new_bytes = packs_bytes - sum(dead_bytes.get(pack, 0) for pack in victims)
    new_packs = -(-new_bytes // PACK_BYTES)
    return Compacted(len(victims), packs_bytes, new_packs, new_bytes, find_read_bytes(victims, usage))


def _is_in_order(own: OwnCommits) -> bool:
    """Tell whether nothing was found to be wasteful in the same commits before: they never change."""
    return own.site.mirror.find(_SEEN) == _names(own)


def _names(own: OwnCommits) -> bytes:
    return "".join(sorted(f"{held.listed.key}\n" for held in own.replaceable)).encode()


def _find_usage(own: OwnCommits, packs: Mapping[Key, PackRef], source: Source, reporter: Reporter) -> Usage | None:
    """Find out what is needed of some packs; None where that cannot be told."""
    wanted = set(packs.values())
    roots = [root for commit in own.commits.values() for root in commit.roots if not wanted.isdisjoint(root.pins)]
    usage = Usage(_read_all_indexes(own.ledger, packs), packs, own.lost)
    try:
        return find_usage(usage, own.site, roots, source, reporter)
    except NeedsUnknownError as error:
        reporter.warn(f"nothing was compacted: {error.message}")
        return None


def _read_all_indexes(ledger: Ledger, packs: Mapping[Key, PackRef]) -> list[Index]:
    """Return what tells of all records in some packs: index objects and, where none does, the packs' own ends."""
    indexes = list(read_indexes(ledger, packs.keys()).values())
    told = {pack for index in indexes for pack in index.packs}
    untold = [pack for pack in packs.values() if pack not in told]
    ends = map_ordered(ledger.read_end, untold, workers=ledger.site.jobs)
    return [*indexes, *(end for end in ends if end is not None)]
