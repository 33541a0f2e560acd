"""The local cache: remove what nobody needs, and what a remote holds where that was asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.cache.compaction import PackUse, choose_packs, find_use, rewrite_packs
from vstore.cache.inventory import Inventory, Leftover, LooseObject, iter_leftovers, take_inventory
from vstore.cache.users import User, forget
from vstore.durable import file_system_time_ns, flush_directory, os_errors
from vstore.errors import NeedsUnknownError, VstoreError
from vstore.objects.digest import Digest
from vstore.objects.table import BLOB
from vstore.ops.liveness import Needed, Needs, Retention, bring_trees, find_needs, list_contents
from vstore.ops.proof import find_held
from vstore.ops.resolve import get_git
from vstore.ops.sharing import Sharers, find_sharers
from vstore.repo import Repo

YOUNG_NS = 24 * 3600 * 1_000_000_000
"""Nothing younger is removed, whatever anybody needs."""

YOUNG, LINKED, UNPUSHED, PACKED = "young", "linked", "unpushed", "packed"
UNUSED, PUSHED, HISTORY = "unused", "pushed", "history"


class Reason(NamedTuple):
    """Why something is kept; with the repository where it is not the one that asks."""

    word: str
    repository: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for one reason: the first that applies, in the order of this list."""

    reason: str
    """"work-tree" (files and indexes), "branch", "tag", "remote-branch", "stash", "ref" (any other), "operation" (a
    merge, rebase or the like under way), "reflog", "keep-rev" (asked for), "repository" (another one), "unpushed",
    "linked" (a file is a link to it), "young" (for a day) or "packed" (nobody needs it; it goes when its pack is worth
    rewriting)."""
    repository: str | None
    """The other repository."""
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Collected:
    """What is removed for one reason."""

    reason: str
    """"unused" (nobody needs it), "pushed" (a remote holds it) or "history" (needed by versions that were given up)."""
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GcResult:
    """What was, or in a dry run would be, kept and removed.  Sizes are those in the cache, compressed."""

    cache: str
    kept: list[Kept]
    removed: list[Collected]
    leftovers: int
    """Files that dead commands had left."""
    leftover_bytes: int
    rewritten_packs: int
    deleted_packs: int
    freed_bytes: int
    """What the disk gets back: nothing for a content that files of a work tree are hardlinks to."""
    repositories: list[str]
    """Those whose needs were looked at."""
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a collection goes on without: repositories by their paths; pointers (blob or path) and trees (digest)."""

    repositories: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    """Which needed contents go all the same: those that a remote (None: the default one) holds, of all versions.

    ``force`` lets the contents of versions that are not to be retained go, pushed or not.
    """

    pushed: bool = False
    remote: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done."""

    loose: list[LooseObject]
    packs: list[PackUse]
    leftovers: list[Leftover]
    stale: list[User]
    result: GcResult


def gc(
    repo: Repo,
    *,
    retention: Retention = Retention(),  # noqa: B008 - frozen
    release: Release = Release(),
    forgotten: Forgotten = Forgotten(),
    dry_run: bool = False,
) -> GcResult:
    """Remove from the cache what no pointer needs that git keeps or that lies in a work tree of any repository.

    Waits for others to leave the cache, and keeps them out meanwhile.  Stops before anything is removed where it is
    not sure: raises NeedsUnknownError, GitFailedError, LockedError, UnavailableError, CorruptError.
    """
    if release.pushed or release.remote is not None:
        repo.remote_name(release.remote)
    git = get_git(repo) if retention.keep_revs else repo.git
    revs = tuple(git.resolve(rev) for rev in retention.keep_revs) if git is not None else ()
    retention = dataclasses.replace(retention, keep_revs=revs)
    with contextlib.nullcontext() if dry_run else repo.collecting():
        repo.cache.create()
        plan = _Collection(repo, retention, release, forgotten).plan(dry_run=dry_run)
        return plan.result if dry_run else _apply(repo, plan)


class _Collection:
    """One collection: what is needed, and what of the cache is not."""

    def __init__(self, repo: Repo, retention: Retention, release: Release, forgotten: Forgotten) -> None:
        self._repo = repo
        self._retention = retention
        self._release = release
        self._forgotten = forgotten
        self._live: dict[Digest, Reason] = {}
        """Everything that is kept, with the first reason for it."""
        self._given_up: dict[Digest, str] = {}
        """Everything that some version needs which is given up, with the reason for that."""
        self._loaded: set[Digest] = set()
        self._absent: set[Digest] = set()

    def plan(self, *, dry_run: bool) -> _Plan:
        repo = self._repo
        repo.reporter.begin("finding what is needed", unit="objects")
        try:
            sharers = find_sharers(repo, self._forgotten.repositories)
            everybody = self._find_needs(sharers)
            inventory = take_inventory(repo.cache)
            for directory in {repo.directory, repo.private, repo.shared, repo.shared / "imports"}:
                inventory.leftovers += iter_leftovers(directory)
            with os_errors(repo.cache.path, "write to"):
                oldest_ns = file_system_time_ns(repo.cache.path)[0] - YOUNG_NS
            unknown = self._keep(everybody)
            if unknown and self._has_candidates(inventory, oldest_ns):
                # A clone that never brought old versions need not learn about them, until something would go.
                bring_trees(repo, unknown)
                self._keep(everybody)
            if self._has_candidates(inventory, oldest_ns):
                self._give_up(everybody[0])
        finally:
            repo.reporter.end()
        for needs in everybody:
            for digest in needs.links:
                self._live.setdefault(digest, Reason(LINKED))
        return self._sort(inventory, oldest_ns, sharers, dry_run=dry_run)

    def _find_needs(self, sharers: Sharers) -> list[Needs]:
        """Return what each repository needs, ours first; only of ours less may be retained than git keeps."""
        keys = self._forgotten.keys
        ours, *others = sharers.found
        return [find_needs(ours, self._retention, keys), *(find_needs(other, Retention(), keys) for other in others)]

    # what is kept

    def _keep(self, everybody: Sequence[Needs]) -> list[tuple[Needs, Needed]]:
        """Note what has to stay whatever remotes hold; returns the trees that are not here."""
        unknown: list[tuple[Needs, Needed]] = []
        for needs in everybody:
            for root, word in needs.roots.items():
                reason = Reason(word) if needs is everybody[0] else Reason("repository", needs.sharer.name)
                if root.is_tree:
                    # The list of files stays in any case: by it we know the next time what is needed.
                    self._live.setdefault(root.digest, reason)
                stays = needs is not everybody[0] or not self._may_go(needs, root)
                if not self._add_contents(root, reason if stays else None):
                    unknown.append((needs, root))
        return unknown

    def _may_go(self, needs: Needs, root: Needed) -> bool:
        return root not in needs.asked and (self._release.pushed or root not in needs.narrowed)

    def _add_contents(self, root: Needed, reason: Reason | None) -> bool:
        """Keep what a root needs, unless there is no reason; False if that is not known."""
        if not root.is_tree:
            if reason is not None:
                self._live.setdefault(root.digest, reason)
            return True
        if root.digest in self._loaded:
            return True
        contents = self._list_contents(root.digest)
        if contents is not None and reason is not None:
            self._loaded.add(root.digest)
            for digest in set(contents).difference(self._live):
                self._live[digest] = reason
        return contents is not None

    def _list_contents(self, tree: Digest) -> list[Digest] | None:
        if tree in self._forgotten.keys:
            return []
        try:
            return list_contents(self._repo, tree)
        except VstoreError as error:
            fact = "what a version needs cannot be read, so nothing was removed"
            raise NeedsUnknownError(fact, failed=[(str(tree), error.message)], keys=[tree]) from error

    def _has_candidates(self, inventory: Inventory, oldest_ns: int) -> bool:
        """Tell whether anything is old enough to go and, as far as is known, not needed."""
        loose = (held.digest for held in inventory.loose if held.mtime_ns <= oldest_ns)
        packed = (pack.table.digests(BLOB) for pack in inventory.packs if pack.mtime_ns <= oldest_ns)
        return any(digest not in self._live for digest in itertools.chain(loose, *packed))

    def _give_up(self, ours: Needs) -> None:
        """Decide about the contents of versions that may go: what only they need goes if it is safe, or by force."""
        going = [root for root in ours.roots if self._may_go(ours, root) and root.digest not in self._forgotten.keys]
        forced = [root for root in going if self._release.force and root not in ours.narrowed]
        asked = [root for root in going if root not in forced]
        held = find_held(self._repo, asked, self._release.remote, strict=self._release.pushed)
        for root in set(asked).difference(held):
            for digest in self._contents_of(root):
                self._live.setdefault(digest, Reason(UNPUSHED))
        for roots, word in ((held, PUSHED), (forced, HISTORY)):
            for root in roots:
                self._given_up.update((digest, word) for digest in self._contents_of(root))

    def _contents_of(self, root: Needed) -> list[Digest]:
        return (self._list_contents(root.digest) or []) if root.is_tree else [root.digest]

    # what goes

    def _sort(self, inventory: Inventory, oldest_ns: int, sharers: Sharers, *, dry_run: bool) -> _Plan:
        """Decide about everything in the cache."""
        kept, removed = _Sums(), _Sums()
        loose: list[LooseObject] = []
        freed_bytes = 0
        for held in inventory.loose:
            reason = self._live.get(held.digest)
            if reason is None and held.mtime_ns > oldest_ns:
                reason = Reason(YOUNG)
            if reason is None:
                loose.append(held)
                removed.add(Reason(self._given_up.get(held.digest, UNUSED)), held.size_bytes)
                freed_bytes += held.size_bytes if held.links == 1 else 0
            else:
                kept.add(reason, held.size_bytes)
        uses = {
            use.pack.path: use
            for pack in inventory.packs
            if pack.mtime_ns <= oldest_ns
            for use in [find_use(pack, self._live)]
        }
        chosen = choose_packs(list(uses.values()))
        going = {use.pack.path for use in chosen}
        for pack in inventory.packs:
            goes = pack.path in going
            otherwise = Reason(PACKED if pack.path in uses else YOUNG)
            for digest, record_bytes in pack.iter_records():
                reason = self._live.get(digest)
                if reason is None and goes:
                    removed.add(Reason(self._given_up.get(digest, UNUSED)), record_bytes)
                    freed_bytes += record_bytes
                else:
                    kept.add(reason or otherwise, record_bytes)
        leftovers = [held for held in inventory.leftovers if held.mtime_ns <= oldest_ns and self._is_useless(held)]
        leftover_bytes = sum(held.size_bytes for held in leftovers)
        for path in inventory.damaged:
            self._repo.reporter.warn(f"{path} is damaged and was left as it is")
        result = GcResult(
            cache=str(self._repo.cache.path),
            kept=[Kept(*reason, *sums) for reason, sums in kept.sorted(self._order())],
            removed=[Collected(reason.word, *sums) for reason, sums in removed.sorted([])],
            leftovers=len(leftovers),
            leftover_bytes=leftover_bytes,
            rewritten_packs=sum(bool(use.records) for use in chosen),
            deleted_packs=sum(not use.records for use in chosen),
            freed_bytes=freed_bytes + leftover_bytes,
            repositories=[sharer.name for sharer in sharers.found],
            dry_run=dry_run,
        )
        return _Plan(loose, chosen, leftovers, sharers.stale, result)

    def _order(self) -> list[Reason]:
        return list(dict.fromkeys(self._live.values()))

    def _is_useless(self, leftover: Leftover) -> bool:
        """Tell whether what was left is of no use: part of a content that nobody needs, or that is here."""
        digest = leftover.digest
        return digest is None or digest not in self._live or self._repo.cache.has(digest)


@dataclass(slots=True)
class _Sums:
    """Numbers and sizes of objects, by reason."""

    objects: Counter[Reason] = field(default_factory=Counter)
    sizes: Counter[Reason] = field(default_factory=Counter)

    def add(self, reason: Reason, size_bytes: int) -> None:
        """Count one object."""
        self.objects[reason] += 1
        self.sizes[reason] += size_bytes

    def sorted(self, order: Sequence[Reason]) -> Iterator[tuple[Reason, tuple[int, int]]]:
        """Yield reasons with number and size, those in ``order`` first."""
        for reason in dict.fromkeys([*order, *self.objects]):
            if reason in self.objects:
                yield reason, (self.objects[reason], self.sizes[reason])


def _apply(repo: Repo, plan: _Plan) -> GcResult:
    """Carry out a plan; a death in between leaves less to do for the next time."""
    reporter = repo.reporter
    reporter.begin("removing", total=len(plan.loose) + len(plan.packs), unit="objects")
    try:
        with os_errors(repo.cache.path, "delete from"):
            for directory in _unlink(plan.loose, reporter.advance):
                flush_directory(directory)
        if plan.packs:
            left = len(plan.packs) - len(rewrite_packs(repo.cache, plan.packs))
            if left:
                reporter.warn(f"{left} packs hold damaged records that are needed, and were left as they are")
        for leftover in plan.leftovers:
            with contextlib.suppress(OSError):
                os.unlink(leftover.path)
        for user in plan.stale:
            forget(repo.cache, user)
    finally:
        reporter.end()
    return plan.result


def _unlink(loose: Iterable[LooseObject], advance: Callable[[int], None]) -> set[Path]:
    """Delete objects and return the directories they were in."""
    directories: set[Path] = set()
    for held in loose:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(held.path)
        directories.add(Path(held.path).parent)
        advance(1)
    return directories
