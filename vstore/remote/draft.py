"""Step 1 of a push: what is there already, what is known to be there, and what must be uploaded."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vstore.errors import CorruptError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest
from vstore.objects.table import BLOB, RECIPE, Table
from vstore.progress import Reporter
from vstore.remote.catalog import Catalog, has_proof
from vstore.remote.commits import Commit, CommittedRoot
from vstore.remote.content import Content, Root
from vstore.remote.index import Index, index_of_pack
from vstore.remote.layout import PackRef
from vstore.remote.learning import learn, learn_foreign
from vstore.remote.ledger import Ledger, Site
from vstore.remote.recipes import find_chunks, read_contents
from vstore.remote.transport import Key


class Presence:
    """Which roots the remote holds whole: a commit of our project names them, and all their pins are there."""

    def __init__(
        self, site: Site, wanted: Collection[Digest], reporter: Reporter, *, trees: Collection[Digest] = ()
    ) -> None:
        self.wanted = wanted
        self._trees = trees
        """Those that are trees: a file with the bytes of one is committed without what the tree needs."""
        self.ledger = Ledger(site, reporter)
        self.commits: dict[Key, Commit] = dict(self.ledger.iter_commits() if self.ledger.has_place() else ())
        pinned = (pack for commit in self.commits.values() for pack in commit.packs().values())
        self.catalog = Catalog(self.ledger.settle(pinned).values())
        self.catalog.drop(site.mirror.distrusted_packs())
        self.ledger.expect_packs(len(self.catalog.packs))
        self.kept: dict[Digest, CommittedRoot] = {}
        """Those roots, as they are committed."""
        self.stale: set[Digest] = set()
        """Those of them that were pushed so long ago that they are to be committed anew."""
        named = [key for key, commit in self.commits.items() if any(root.digest in wanted for root in commit.roots)]
        if named:
            # Of a commit whose push was seen to end nothing can be doomed; the push of another may have died.
            whole = site.mirror.whole_commits()
            looked = self._choose(named)
            lost = self.ledger.find_lost(looked.values(), doomed=not whole.issuperset(named))
            self.catalog.drop(lost)
            self.judge()
            seen = looked.keys() - lost
            site.mirror.keep_whole(
                [key for key in named if seen >= self.commits[key].packs().keys()], among=self.commits
            )

    def _choose(self, named: Iterable[Key]) -> dict[Key, PackRef]:
        """Return the packs to look for: all that are known, or what is wanted where that takes fewer requests."""
        roots = [root for key in named for root in self.commits[key].roots if root.digest in self.wanted]
        pins = {pack.key: pack for root in roots for pack in root.pins}
        return pins if self.ledger.plan_look(pins) else self.catalog.packs

    def judge(self) -> None:
        """Find the roots of which no pin was dropped from the catalog."""
        usable = self.catalog.usable()
        self.kept = {}
        pushed_s: dict[Digest, float] = {}
        for key, commit in reversed(self.commits.items()):  # so that the newest has the last word
            dated_s = self.ledger.listed[key].modified_s
            for root in commit.roots:
                if root.kind == "file" and root.digest in self._trees:
                    continue
                # A commit that pins a root to nothing is none of ours: every root needs something.
                if root.digest in self.wanted and root.pins and all(usable.get(pack.key) == pack for pack in root.pins):
                    self.kept[root.digest] = root
                    root_s = dated_s if root.pushed_s is None else float(root.pushed_s)
                    pushed_s[root.digest] = max(root_s, pushed_s.get(root.digest, 0.0))
        retention_s = self.ledger.site.policy.retention_s
        young_s = self._find_now() - retention_s / 3
        # Where nothing is kept for its age, pushing anew keeps nothing either.
        self.stale = {digest for digest, root_s in pushed_s.items() if retention_s > 0 and root_s < young_s}

    def _find_now(self) -> float:
        """Return the time: what the store says of it is known, without a request, only by what it dated last."""
        dates = [found.modified_s for found in self.ledger.listed.values() if math.isfinite(found.modified_s)]
        return max([self.ledger.site.clock(), *dates])


class Unnamed(NamedTuple):
    """What lies in packs that no commit names: in such as may be relied upon, and in such as may only be copied from.

    Each index is that of one pack.
    """

    usable: Sequence[Index]
    spare: Sequence[Index]


class Draft:
    """What a push may rely upon.  It learns while the push goes on: packs turn out lost, others are uploaded."""

    def __init__(
        self,
        site: Site,
        roots: Sequence[Root],
        reporter: Reporter,
        *,
        revives: bool = False,
        unnamed: Unnamed | None = None,
    ) -> None:
        self.site = site
        # A tree needs all that a file with the same bytes does.
        self.roots = {root.digest: root for root in sorted(roots, key=operator.attrgetter("kind"))}
        trees = {digest for digest, root in self.roots.items() if root.kind == "tree"}
        self._presence = Presence(site, self.roots, reporter, trees=trees)
        self.ledger = self._presence.ledger
        self.catalog = self._presence.catalog
        if revives:
            # What is in the trash may expire at any moment; like all else, it is looked for when it was announced.
            known = self.catalog.packs.keys() | site.mirror.distrusted_packs()
            for _, commit in self.ledger.iter_retired():
                for pack in commit.packs().values():
                    if pack.key not in known:
                        self.catalog.allow(pack)
        self.unindexed: dict[Key, tuple[PackRef, Table]] = {}
        """Packs that no index object names yet: of this push, and of sessions of this machine that died."""
        self.blobs: dict[Digest, Key] = {}
        """The pack of each blob that is at the remote or about to be."""
        self.large: dict[Digest, set[Key]] = {}
        """All packs of each large content that is at the remote."""
        self._shipped: dict[Digest, frozenset[Key]] = {}
        self._small: dict[Digest, int] = {}
        self._large: dict[Digest, int] = {}
        self.unfinished = site.mirror.unfinished_sessions()
        self._is_open = False
        self._is_learned = False
        if self.new_roots():
            self._learn()
            if unnamed is not None:
                self._take(unnamed)
            self._locate()

    @property
    def kept(self) -> dict[Digest, CommittedRoot]:
        """The roots that a commit holds."""
        return self._presence.kept

    @property
    def stale(self) -> set[Digest]:
        """Those of them that are to be committed anew, since they were pushed long ago."""
        return self._presence.stale

    @property
    def commits(self) -> dict[Key, Commit]:
        """Our project's commits, newest first."""
        return self._presence.commits

    def _learn(self) -> None:
        """Find out what lies in the packs that we may rely upon."""
        self._is_learned = True
        if not self.ledger.has_place():
            return
        learn(self.ledger, self.catalog, {commit.session for commit in self.commits.values()})
        for packs in self.unfinished.values():
            for pack in packs:
                if pack.key not in self.catalog.packs and pack.key not in self.site.mirror.distrusted_packs():
                    self.adopt(pack)
        if has_proof(content.digest for root in self.new_roots() for content in root.contents):
            learn_foreign(self.ledger, self.catalog)

    def _take(self, unnamed: Unnamed) -> None:
        for index in (*unnamed.usable, *unnamed.spare):
            self.catalog.allow(index.packs[0])
            self.catalog.add(index)
        self.catalog.drop(index.packs[0].key for index in unnamed.spare)

    def adopt(self, pack: PackRef) -> None:
        """Let a pack that a dead session of ours uploaded be relied upon, if it is there and whole."""
        try:
            table = self.ledger.read_table(pack)
        except (CorruptError, LookupError):
            return
        self.learn_pack(pack, table)

    def learn_pack(self, pack: PackRef, table: Table) -> None:
        """Let a pack of ours that no index object names yet be relied upon."""
        self.unindexed[pack.key] = (pack, table)
        self.catalog.allow(pack)
        self.catalog.add(index_of_pack(pack, table))

    def learn_shipped(self, contents: Mapping[Digest, Collection[Key]]) -> None:
        """Learn in which packs other machines put large contents for us."""
        self._shipped.update({digest: frozenset(keys) for digest, keys in contents.items()})

    def expect_root(self) -> None:
        """Prepare for a root of which nothing is known before its contents were uploaded."""
        self._learn()
        self._is_open = True

    def add_root(self, root: Root) -> None:
        """Take in that root, now that most of its contents are at the remote or about to be."""
        uploaded, uploaded_large = self.blobs, self.large
        self.roots[root.digest] = root
        self._is_open = False
        self.rethink(())
        self.blobs = {**self.blobs, **uploaded}
        self.large = {**self.large, **uploaded_large}

    def finished_sessions(self) -> list[str]:
        """Return those sessions of ours that died of which nothing is left to adopt."""
        return [
            session
            for session, packs in self.unfinished.items()
            if not any(pack.key in self.unindexed for pack in packs)
        ]

    def rethink(self, lost: Iterable[Key]) -> None:
        """Choose anew what to rely upon, now that some packs turned out lost."""
        self.catalog.drop(lost)
        self._presence.judge()
        if self.new_roots() and not self._is_learned:
            self._learn()
        self._locate()

    def _locate(self) -> None:
        small: dict[Digest, int] = {}
        large: dict[Digest, int] = {}
        for root in self.new_roots():
            for digest, size_bytes in root.contents:
                (small if size_bytes <= SMALL_BYTES else large)[digest] = size_bytes
        self._small, self._large = small, large
        self.blobs = self.catalog.locate_packs(BLOB, small)
        self.large = self._locate_large(large)

    def _locate_large(self, contents: Collection[Digest]) -> dict[Digest, set[Key]]:
        """Return all packs of each large content whose recipe and chunks are all known to be there."""
        remembered = {**self.site.mirror.large_contents(), **self._shipped}
        found = {
            digest: set(remembered[digest])
            for digest in contents
            if digest in remembered and self.catalog.may_rely(digest, remembered[digest])
        }
        places = self.catalog.locate(RECIPE, [digest for digest in contents if digest not in found])
        for digest, recipe in read_contents(self.site, places.values()).items():
            pins = {places[digest].pack.key}
            chunks = find_chunks(recipe, functools.partial(self._read_blobs, pins=pins))
            if chunks is not None:
                located = self.catalog.locate(BLOB, {chunk.digest for chunk in chunks})
                if all(chunk.digest in located for chunk in chunks):
                    found[digest] = pins.union(place.pack.key for place in located.values())
        return found

    def _read_blobs(self, digests: list[Digest], pins: set[Key]) -> dict[Digest, bytes]:
        places = self.catalog.locate(BLOB, digests)
        pins.update(place.pack.key for place in places.values())
        return read_contents(self.site, places.values())

    def new_roots(self) -> list[Root]:
        """Return the roots that no commit holds."""
        return [root for digest, root in self.roots.items() if digest not in self.kept]

    def new_contents(self) -> list[Content]:
        """Return what must be uploaded, as far as is known before large contents are cut."""
        return [Content(d, size) for d, size in self._small.items() if d not in self.blobs] + [
            Content(d, size) for d, size in self._large.items() if d not in self.large
        ]

    def relied(self) -> set[Key]:
        """Return the packs that the push relies upon.

        Where large contents must be cut, or come only later, which of their chunks are there is seen then: all may be
        needed.
        """
        if self._is_open or not self._large.keys() <= self.large.keys():
            return set(self.catalog.usable())
        kept = [pack.key for root in self.kept.values() for pack in root.pins]
        return set().union(kept, self.blobs.values(), *self.large.values())


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push would do.

    ``present`` are the roots that the remote holds whole, ``stale`` those of them that are to be committed anew, since
    they were pushed long ago.  ``new_records`` and ``new_bytes`` (before compression)
    are what would be uploaded at most: of large contents, chunks that the remote holds already are found only
    when they are cut.  ``relied`` are the packs already there that would be relied upon.
    """

    roots: tuple[Root, ...]
    present: tuple[Digest, ...]
    stale: tuple[Digest, ...]
    new_records: int
    new_bytes: int
    relied: frozenset[Key]
    draft: Draft = field(repr=False, compare=False)

    @property
    def is_empty(self) -> bool:
        """Whether the remote holds everything, and nothing has to be committed anew."""
        return len(self.present) == len(self.draft.roots) and not self.stale


def plan_push(site: Site, roots: Sequence[Root], reporter: Reporter, *, revives: bool = False) -> PushPlan:
    """Find out what a push of ``roots`` would do; changes nothing.  With ``revives`` it relies upon the trash as well.

    Two requests where the remote holds everything.  Raises UnavailableError.
    """
    return plan_of(Draft(site, roots, reporter, revives=revives), roots)


def plan_of(draft: Draft, roots: Sequence[Root]) -> PushPlan:
    """Return the plan that a draft amounts to."""
    new = draft.new_contents()
    return PushPlan(
        roots=tuple(roots),
        present=tuple(draft.kept),
        stale=tuple(draft.stale),
        new_records=len(new),
        new_bytes=sum(content.size_bytes for content in new),
        relied=frozenset(draft.relied()),
        draft=draft,
    )


def find_missing_roots(site: Site, roots: Collection[Digest], reporter: Reporter) -> set[Digest]:
    """Return the roots that the remote does not hold whole.  Two requests; raises UnavailableError."""
    return set(roots) - Presence(site, roots, reporter).kept.keys()
