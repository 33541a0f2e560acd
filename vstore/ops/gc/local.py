"""The local cache: remove what nobody needs, and what a remote holds where that was asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.cache.compaction import PackUse, choose_packs, find_use, rewrite_packs
from vstore.cache.inventory import (
    HeldPack,
    Inventory,
    Leftover,
    LooseObject,
    SetAside,
    iter_leftovers,
    take_inventory,
)
from vstore.cache.salvage import find_parts
from vstore.cache.users import forget
from vstore.durable import file_system_time_ns, flush_directory, os_errors
from vstore.errors import NeedsUnknownError, NoSpaceError, VstoreError
from vstore.objects.digest import Digest
from vstore.objects.table import BLOB, RECIPE
from vstore.ops.gc.totals import (
    HISTORY,
    LINKED,
    PACKED,
    PUSHED,
    SET_ASIDE,
    UNPUSHED,
    UNUSED,
    YOUNG,
    Collected,
    GcResult,
    Kept,
    Reason,
    Sums,
)
from vstore.ops.liveness import Needed, Needs, Retention, bring_trees, find_needs, list_contents
from vstore.ops.proof import find_held
from vstore.ops.resolve import get_git
from vstore.ops.sharing import Sharers, find_sharers
from vstore.repo import Repo

YOUNG_NS = 24 * 3600 * 1_000_000_000
"""Nothing younger is removed, whatever anybody needs."""
_IMPORT_NS = 7 * YOUNG_NS
"""Parts of an import that was interrupted stay for so long."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a collection goes on without: repositories by their paths; pointers (blob or path) and trees (digest).

    ``missing``: also all trees that are nowhere.
    """

    repositories: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    missing: bool = False


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
    """What is there, and what of it is to go: packs are rewritten without what is not needed, or deleted."""

    inventory: Inventory
    oldest_ns: int
    """What was written after this is young."""
    sharers: Sharers
    loose: list[LooseObject]
    packs: list[PackUse]
    leftovers: list[Leftover]
    set_aside: list[SetAside]


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
        collection = _Collection(repo, retention, release, forgotten)
        plan = collection.plan()
        left = [] if dry_run else _apply(repo, plan)
        return collection.tell(plan, left=left, dry_run=dry_run)


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
        self._nowhere: set[Digest] = set()
        """Trees that nobody has, so that nothing can be kept for them."""

    def plan(self) -> _Plan:
        """Find out what is to be done."""
        repo = self._repo
        repo.reporter.begin("finding what is needed", unit="objects")
        try:
            sharers = find_sharers(repo, self._forgotten.repositories, self._forgotten.keys)
            everybody = self._find_needs(sharers)
            inventory = take_inventory(repo.cache)
            for directory in {repo.directory, repo.private, repo.shared, repo.shared / "imports"}:
                inventory.leftovers += iter_leftovers(directory)
            with os_errors(repo.cache.path, "write to"):
                oldest_ns = file_system_time_ns(repo.cache.path)[0] - YOUNG_NS
            unknown = self._keep(everybody)
            if unknown and self._has_candidates(inventory, oldest_ns):
                # A clone that never brought old versions need not learn about them, until something would go.
                self._nowhere = bring_trees(
                    repo,
                    unknown,
                    lambda tree: self._may_be_damaged(tree, inventory),
                    forget_missing=self._forgotten.missing,
                )
                self._keep(everybody)
            self._keep_chunks(inventory.packs)
            if self._has_candidates(inventory, oldest_ns):
                self._give_up(everybody[0])
        finally:
            repo.reporter.end()
        for needs in everybody:
            for digest in needs.links:
                self._live.setdefault(digest, Reason(LINKED))
        return self._decide(inventory, oldest_ns, sharers)

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
        if self._is_forgotten(tree):
            return []
        try:
            return list_contents(self._repo, tree)
        except VstoreError as error:
            fact = "what a version needs cannot be read, so nothing was removed"
            raise NeedsUnknownError(fact, failed=[(str(tree), error.message)], keys=[tree]) from error

    def _is_forgotten(self, digest: Digest) -> bool:
        return digest in self._forgotten.keys or digest in self._nowhere

    def _may_be_damaged(self, digest: Digest, inventory: Inventory) -> bool:
        """Tell whether a content that cannot be read is here, or may be, so that a repair may bring it back."""
        return (
            self._repo.cache.has(digest)
            or bool(inventory.damaged)
            or any(digest in aside.digests or not aside.tells_all for aside in inventory.set_aside)
        )

    def _keep_chunks(self, packs: Iterable[HeldPack]) -> None:
        """Keep the chunks of what is needed and here only in packs of a remote, as somebody copied them in to recover.

        A repair puts it together.  Raises NeedsUnknownError where it cannot be told which chunks those are.
        """
        cache = self._repo.cache
        described = {digest for pack in packs for digest in pack.table.digests(RECIPE)}
        unknown: list[Digest] = []
        for large in sorted(described.intersection(self._live).difference(self._forgotten.keys)):
            if cache.has(large):
                continue
            parts = find_parts(cache, large)
            if parts is None:
                unknown.append(large)
                continue
            for digest in (*parts.chunks, *parts.lists):
                self._live.setdefault(digest, self._live[large])
        if unknown:
            fact = "of which chunks a content consists cannot be read, so nothing was removed"
            failed = [(str(large), "what lists its chunks is damaged") for large in unknown]
            raise NeedsUnknownError(fact, failed=failed, keys=unknown)

    def _has_candidates(self, inventory: Inventory, oldest_ns: int) -> bool:
        """Tell whether anything is old enough to go and, as far as is known, not needed."""
        loose = (held.digest for held in inventory.loose if held.mtime_ns <= oldest_ns)
        packed = (pack.table.digests(BLOB) for pack in inventory.packs if pack.mtime_ns <= oldest_ns)
        return any(digest not in self._live for digest in itertools.chain(loose, *packed))

    def _give_up(self, ours: Needs) -> None:
        """Decide about the contents of versions that may go: what only they need goes if it is safe, or by force."""
        going = [root for root in ours.roots if self._may_go(ours, root) and not self._is_forgotten(root.digest)]
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

    def _decide(self, inventory: Inventory, oldest_ns: int, sharers: Sharers) -> _Plan:
        """Decide about everything in the cache."""
        for path in inventory.damaged:
            self._repo.reporter.warn(f"{path} is damaged and was left as it is")
        loose = [held for held in inventory.loose if held.mtime_ns <= oldest_ns and held.digest not in self._live]
        uses = [find_use(pack, self._live) for pack in inventory.packs if pack.mtime_ns <= oldest_ns]
        leftovers = [held for held in inventory.leftovers if self._is_useless(held, oldest_ns)]
        set_aside = [held for held in inventory.set_aside if held.mtime_ns <= oldest_ns and not self._is_of_use(held)]
        return _Plan(inventory, oldest_ns, sharers, loose, choose_packs(uses), leftovers, set_aside)

    def tell(self, plan: _Plan, *, left: Collection[Path] = (), dry_run: bool) -> GcResult:
        """Return what a plan does, or did but for packs that were ``left`` as they are."""
        kept, removed = Sums(), Sums()
        going = {use.pack.path for use in plan.packs if use.pack.path not in left}
        freed_bytes = 0
        for held in plan.inventory.loose:
            reason = self._live.get(held.digest) or (Reason(YOUNG) if held.mtime_ns > plan.oldest_ns else None)
            if reason is not None:
                kept.add(reason, held.size_bytes)
                continue
            removed.add(self._reason_to_go(held.digest), held.size_bytes)
            freed_bytes += held.size_bytes if held.links == 1 else 0
        for pack in plan.inventory.packs:
            goes = pack.path in going
            otherwise = Reason(PACKED if pack.mtime_ns <= plan.oldest_ns else YOUNG)
            for digest, record_bytes in pack.iter_records():
                reason = self._live.get(digest)
                if reason is None and goes:
                    removed.add(self._reason_to_go(digest), record_bytes)
                    freed_bytes += record_bytes
                else:
                    kept.add(reason or otherwise, record_bytes)
        for aside in plan.inventory.set_aside:
            if aside in plan.set_aside:
                removed.add(Reason(SET_ASIDE), aside.size_bytes)
                freed_bytes += aside.size_bytes
            else:
                kept.add(Reason(SET_ASIDE), aside.size_bytes)
        leftover_bytes = sum(held.size_bytes for held in plan.leftovers)
        rewritten = sum(bool(use.records) for use in plan.packs if use.pack.path in going)
        return GcResult(
            cache=str(self._repo.cache.path),
            kept=[Kept(*reason, *sums) for reason, sums in kept.sorted(self._order())],
            removed=[Collected(reason.word, *sums) for reason, sums in removed.sorted([])],
            leftovers=len(plan.leftovers),
            leftover_bytes=leftover_bytes,
            rewritten_packs=rewritten,
            deleted_packs=len(going) - rewritten,
            freed_bytes=freed_bytes + leftover_bytes,
            nowhere=sorted(self._nowhere),
            repositories=[sharer.name for sharer in plan.sharers.found],
            dry_run=dry_run,
        )

    def _reason_to_go(self, digest: Digest) -> Reason:
        return Reason(self._given_up.get(digest, UNUSED))

    def _order(self) -> list[Reason]:
        return list(dict.fromkeys(self._live.values()))

    def _is_useless(self, leftover: Leftover, oldest_ns: int) -> bool:
        """Tell whether what was left is old and of no use: part of a content that nobody needs, or that is here."""
        digest = leftover.digest
        if leftover.mtime_ns > (oldest_ns + YOUNG_NS - _IMPORT_NS if leftover.is_import else oldest_ns):
            return False
        return digest is None or digest not in self._live or self._repo.cache.has(digest)

    def _is_of_use(self, aside: SetAside) -> bool:
        """Tell whether what was set aside is all there is of something that is needed, as far as is known."""
        has = self._repo.cache.has
        return not aside.tells_all or any(digest in self._live and not has(digest) for digest in aside.digests)


def _apply(repo: Repo, plan: _Plan) -> list[Path]:
    """Carry out a plan; a death in between leaves less to do for the next time.  Returns packs that had to stay."""
    reporter = repo.reporter
    reporter.begin("removing", total=len(plan.loose) + len(plan.packs), unit="objects")
    try:
        with os_errors(repo.cache.path, "delete from"):
            for directory in _unlink(plan.loose, reporter.advance):
                flush_directory(directory)
        for path in (*(held.path for held in plan.leftovers), *(held.path for held in plan.set_aside)):
            with contextlib.suppress(OSError):
                os.unlink(path)
        for name in plan.sharers.stale:
            forget(repo.cache, name)
        # Last, for only this needs room.
        left = _rewrite(repo, plan.packs)
        if left:
            reporter.warn(f"{len(left)} packs hold damaged records that are needed, and were left as they are")
        return left
    finally:
        reporter.end()


def _rewrite(repo: Repo, packs: Sequence[PackUse]) -> list[Path]:
    """Rewrite packs, and return those that had to stay.  Raises NoSpaceError, when all else is done."""
    try:
        deleted = set(rewrite_packs(repo.cache, packs)) if packs else set()
    except NoSpaceError as error:
        directory = repo.cache.packs.directory
        fact = f"there is no room to write packs anew in {directory}; whatever needs none was removed"
        raise NoSpaceError(fact, path=str(directory)) from error
    return [use.pack.path for use in packs if use.pack.path not in deleted]


def _unlink(loose: Iterable[LooseObject], advance: Callable[[int], None]) -> set[Path]:
    """Delete objects and return the directories they were in."""
    directories: set[Path] = set()
    for held in loose:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(held.path)
        directories.add(Path(held.path).parent)
        advance(1)
    return directories
