"""Inspecting a remote: whether everything that some roots need is there and good, and what exactly is not.

Nothing is believed that is not seen now, but for packs that this machine read whole not long ago.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vstore.errors import CorruptError
from vstore.objects.digest import Digest
from vstore.objects.pack import FOOTER_BYTES
from vstore.objects.table import Table
from vstore.objects.tree import find_contents
from vstore.progress import Reporter
from vstore.remote.commits import CommittedRoot
from vstore.remote.content import Content
from vstore.remote.documents import Documents, FoundCommits, FoundIndexes
from vstore.remote.holdings import DAMAGED, MISSING, Holdings, Problem
from vstore.remote.layout import INDEX, PackRef, find_session, is_pack
from vstore.remote.ledger import Ledger, Site
from vstore.remote.whole import choose_packs, read_whole

_TREES_AT_ONCE = 32
_REMEMBER_EVERY_S = 2.0


class ReadData(NamedTuple):
    """How much to read: ``share`` of the bytes of all packs (0 to 1), ``again`` also what was read recently."""

    share: float = 0.0
    again: bool = False


class Examined(NamedTuple):
    """What was found out about a root.

    ``pins`` are those it relies upon: of the newest commit whose pins are good or, where none is, least bad.
    ``bad`` are those of them that something is wrong with.  ``lacking`` are the contents that are good in no pack
    that any commit pins the root to; where no commit names it, the root itself.
    """

    root: CommittedRoot
    pins: tuple[PackRef, ...]
    bad: frozenset[PackRef]
    lacking: frozenset[Digest]

    @property
    def is_whole(self) -> bool:
        """Whether nothing that it needs is missing or in danger."""
        return not self.bad and not self.lacking


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an inspection found.

    ``problems`` are about objects that a root needs, or that anybody should be able to read; ``remarks`` harm nobody.
    ``read_packs`` and ``read_bytes`` were read whole this time; ``read_whole_s`` is when the least recently read of the
    packs that are needed was, but for ``never_read`` of them.  ``tables`` are the ends of packs that could be read.
    ``gone`` are the roots that only commits named which are not there any more.
    """

    examined: tuple[Examined, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]
    packs: int
    size_bytes: int
    read_packs: int
    read_bytes: int
    read_whole_s: int | None
    never_read: int
    commits: FoundCommits
    indexes: FoundIndexes
    tables: Mapping[PackRef, Table] = field(repr=False)
    gone: tuple[CommittedRoot, ...] = ()


class Inspection:
    """One inspection.  ``find_tree`` returns a verified tree that is held elsewhere, for naming what it lists."""

    def __init__(self, site: Site, find_tree: Callable[[Digest], bytes | None], reporter: Reporter) -> None:
        self._site = site
        self._find_tree = find_tree
        self._reporter = reporter
        self._documents = Documents(site)
        self._holdings = Holdings(site, reporter)
        self._choices: dict[Digest, list[tuple[PackRef, ...]]] = {}
        self._claims: dict[Digest, list[CommittedRoot]] = {}
        self._readings = site.mirror.readings()
        self._read: set[PackRef] = set()
        self._trees: dict[tuple[Digest, tuple[PackRef, ...]], bytes] = {}

    def run(self, wanted: Sequence[CommittedRoot] | None, read_data: ReadData) -> Verdict:
        """Inspect what some roots need, or all roots that the project's commits name.

        Raises UnavailableError, and NewerFormatError where the whole remote is of a newer format.
        """
        commits = FoundCommits({}, {}, (), {})
        if Ledger(self._site, self._reporter).has_place():
            commits = self._documents.read_commits()
            self._documents.check_format(is_needed=any(commits[:3]))
        named = [root for commit in commits.readable.values() for root in commit.roots]
        recalled = [root for commit in commits.recalled.values() for root in commit.roots]
        roots = {root.digest: root for root in reversed(wanted if wanted is not None else [*named, *recalled])}
        if wanted is None:
            self._note_claims(named)
        for root in named:
            if root.digest in roots:
                choices = self._choices.setdefault(root.digest, [])
                pins = tuple(sorted(set(root.pins)))
                if pins not in choices:
                    choices.append(pins)
        pinned = {pack for choices in self._choices.values() for pins in choices for pack in pins}
        if pinned:
            self._holdings.compare_listing(pinned)
            self._holdings.read_ends(pinned)
            self._documents.note_strangers([key for key in self._holdings.present if not is_pack(key)])
        examined = self._examine(list(roots.values()), read_data)
        indexes = FoundIndexes(frozenset(), (), ())
        if pinned:
            sessions = {find_session(pack.key) for pack in pinned} | {c.session for c in commits.readable.values()}
            indexes = self._documents.read_indexes(sessions, self._holdings.tables)
        known = {root.digest for root in [*named, *recalled]}
        gone = {root.digest: root for commit in commits.gone.values() for root in commit.roots}
        return self._judge(
            examined, commits, indexes, tuple(root for digest, root in gone.items() if digest not in known)
        )

    # roots

    def _note_claims(self, named: Sequence[CommittedRoot]) -> None:
        """Note what else some commits say that a root is: one of them is wrong."""
        for root in named:
            claims = self._claims.setdefault(root.digest, [])
            if not any((root.kind, root.size_bytes) == (known.kind, known.size_bytes) for known in claims):
                claims.append(root)

    def _examine(self, roots: Sequence[CommittedRoot], read_data: ReadData) -> list[Examined]:
        """Examine roots, reading whole what was asked for of what they need, and what is distrusted."""
        examined = self._examine_contents(roots)
        while todo := self._choose_packs({pack for found in examined for pack in found.pins}, read_data):
            if self._read_whole(todo):
                examined = self._examine_contents(roots)  # they may have to rely upon other packs now
        return examined

    def _examine_contents(self, roots: Sequence[CommittedRoot]) -> list[Examined]:
        """Examine roots; again where damage was met on the way, until no judgement is older than what is known."""
        while True:
            known = dict(self._holdings.problems)
            self._reporter.begin("looking at versions", total=len(roots), unit="objects")
            try:
                examined = list(self._iter_examined(roots))
            finally:
                self._reporter.end()
            if self._holdings.problems == known:
                return examined

    def _iter_examined(self, roots: Sequence[CommittedRoot]) -> Iterator[Examined]:
        for start in range(0, len(roots), _TREES_AT_ONCE):
            group = roots[start : start + _TREES_AT_ONCE]
            firsts = {root.digest: self._list_choices(root)[0] for root in group if root.digest in self._choices}
            trees = self._holdings.read_small_trees(firsts.items())
            self._trees = {(digest, firsts[digest]): tree for digest, tree in trees.items()}
            for root in group:
                found = self._examine_root(root)
                for claim in self._claims.get(root.digest, ())[1:]:
                    found = found if found.is_whole else self._examine_root(claim)
                yield found
                self._reporter.advance()

    def _list_choices(self, root: CommittedRoot) -> list[tuple[PackRef, ...]]:
        """Return the pins that commits give a root, those without problems first, then the newest."""
        return sorted(self._choices.get(root.digest, ()), key=self._holdings.is_bad)

    def _examine_root(self, root: CommittedRoot) -> Examined:
        best: Examined | None = None
        lacking: frozenset[Digest] | None = None
        for pins in self._list_choices(root):
            found = self._find_lacking(root, pins)
            bad = frozenset(pack for pack in pins if pack in self._holdings.problems)
            lacking = found if lacking is None else lacking & found
            best = best if best is not None and len(best.bad) <= len(bad) else Examined(root, pins, bad, lacking)
            if not bad and not found:
                return Examined(root, pins, bad, found)
        if best is None or lacking is None:
            return Examined(root, (), frozenset(), frozenset([root.digest]))
        return best._replace(lacking=lacking)

    def _find_lacking(self, root: CommittedRoot, pins: tuple[PackRef, ...]) -> frozenset[Digest]:
        if root.kind == "file":
            return frozenset(self._holdings.find_lacking([Content(root.digest, root.size_bytes)], pins))
        lacking: frozenset[Digest] = frozenset()
        tree = self._trees.get((root.digest, pins)) or self._holdings.read_tree(root.digest, pins)
        if tree is None:
            lacking = frozenset([root.digest])
            tree = self._find_tree(root.digest)
        try:
            contents = find_contents(tree or b"")
        except CorruptError:
            return lacking | {root.digest}  # what a digest names need not be a tree
        return lacking.union(self._holdings.find_lacking((Content(*content) for content in contents), pins))

    # reading

    def _choose_packs(self, needed: Collection[PackRef], read_data: ReadData) -> list[PackRef]:
        unread = {pack for pack in needed if pack in self._holdings.tables} - self._read
        distrusted = self._site.mirror.distrusted_packs()
        chosen = [pack for pack in sorted(unread) if pack.key in distrusted]
        if read_data.share == 1 or not self._read:  # of a sample there is no second part
            rest = unread.difference(chosen)
            chosen += choose_packs(rest, self._readings, time.time(), share=read_data.share, again=read_data.again)
        return chosen

    def _read_whole(self, packs: Sequence[PackRef]) -> bool:
        """Read packs and remember what was good; tell whether anything was not."""
        tables, is_all_good, saved_s = self._holdings.tables, True, time.monotonic()
        total = sum(pack.size_bytes - FOOTER_BYTES for pack in packs)
        self._reporter.begin("reading packs", total=total, unit="bytes")
        try:
            for found in read_whole(self._site, ((pack, tables[pack]) for pack in packs), self._reporter):
                self._read.add(found.pack)
                is_all_good = is_all_good and found.is_good
                if found.is_good:
                    self._readings[found.pack] = int(time.time())
                elif found.records:
                    self._holdings.blame_records(found.pack.key, found.records)
                else:
                    self._holdings.blame(found.pack, DAMAGED, found.reason)
                if time.monotonic() - saved_s > _REMEMBER_EVERY_S:
                    self._remember()
                    saved_s = time.monotonic()
        finally:
            self._reporter.end()
            self._remember()
        return not is_all_good

    def _remember(self) -> None:
        """Note what was read, so that an inspection that is interrupted goes on from here."""
        self._site.mirror.keep_readings(self._readings, among=self._holdings.present)
        self._site.mirror.trust({pack.key for pack in self._read if pack not in self._holdings.problems})

    # the verdict

    def _judge(
        self,
        examined: Sequence[Examined],
        commits: FoundCommits,
        indexes: FoundIndexes,
        gone: tuple[CommittedRoot, ...],
    ) -> Verdict:
        found = self._holdings.problems
        self._holdings.distrust()
        problems = {found[pack].key: found[pack] for root in examined for pack in root.bad}
        remarks = [*self._documents.remarks]
        for problem in found.values():
            if problem.key not in problems:
                remarks.append(f"{problem.key}: {problem.reason}, but nothing needs it any more")
        for key, problem in self._documents.problems.items():
            if key.startswith(INDEX) and key not in indexes.broken:
                remarks.append(f"{key}: {problem.reason}; an index is only a hint")
            else:
                problems[key] = problem
        if indexes.untold:
            number = f"{len(indexes.untold):,} packs" if len(indexes.untold) > 1 else "a pack"
            problems[INDEX] = Problem(INDEX, MISSING, f"no index tells what is in {number}")
        packs = {pack for root in examined for pack in root.pins}
        read = [self._readings.get(pack) if pack not in found else None for pack in packs]
        return Verdict(
            tuple(examined),
            tuple(problems.values()),
            tuple(remarks),
            packs=len(packs),
            size_bytes=sum(pack.size_bytes for pack in packs),
            read_packs=len(self._read),
            read_bytes=sum(pack.size_bytes for pack in self._read),
            read_whole_s=min((when for when in read if when is not None), default=None),
            never_read=read.count(None),
            commits=commits,
            indexes=indexes,
            tables=self._holdings.tables,
            gone=gone,
        )
