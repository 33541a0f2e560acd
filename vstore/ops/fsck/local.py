"""Verifying what is on this machine: the cache, what is known of the work tree, and what versions need of both.

Nothing is asked of a remote and nothing is written, unless a repair is wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from vstore.cache.inspection import Flaw, Inspected, inspect_cache
from vstore.cache.inventory import list_set_aside
from vstore.cache.salvage import find_format_flaw, mend_format
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.ops.fsck.holdings import Holdings, Lack
from vstore.ops.fsck.mending import make_read_only, mend_file, rebuild_state
from vstore.ops.fsck.report import Damage, FsckResult, Need, VerifiedCache, mark_repaired
from vstore.ops.fsck.restoring import Restoring
from vstore.ops.fsck.work_tree import Compared, compare, forget, relink
from vstore.ops.resolve import list_artifacts
from vstore.ops.transfer import Scope, Version, list_versions, list_wanted
from vstore.ops.trees import find_tree
from vstore.repo import Repo

_MOST_STRANGERS = 10
_FORMAT = "format"
_STATE = "state.db"


def fsck_cache(repo: Repo, paths: Sequence[str | Path], scope: Scope, *, repair: bool) -> FsckResult:
    """Verify the cache and this work tree, with the versions of the work tree, of branches and of tags.

    With paths or a scope, only what those versions need.  What was never here is no damage: it is counted in a remark.
    Raises NewerFormatError for a cache that a newer vstore wrote.
    """
    return _Run(repo, paths, scope, repair=repair).run()


class _Run:
    def __init__(self, repo: Repo, paths: Sequence[str | Path], scope: Scope, *, repair: bool) -> None:
        self._repo = repo
        self._repair = repair
        self._is_chosen = bool(paths) or scope != Scope()
        tips = [Scope(all_branches=True, all_tags=True)] if repo.git is not None and not self._is_chosen else []
        self._versions, self._broken = list_versions(repo, paths, scope, *tips)
        self._older: list[Version] = []
        # Before anything else opens it, for that throws away what is damaged.
        self._state_reason = repo.state.find_damage()
        self._inspected = self._inspect()
        self._compared = self._compare()
        self._holdings = Holdings(repo, self._inspected.flaws, knows_state=self._state_reason is None)
        self._fixed: set[str] = set()
        self._remarks: list[str] = []

    def run(self) -> FsckResult:
        damaged = self._holdings.damaged
        lacks = self._find_lacks(damaged)
        damages = list(self._list_damages(lacks, damaged))
        restoring = Restoring(self._repo)
        if self._repair:
            lacks = self._mend(lacks, restoring)
            left = list(self._list_damages(lacks, damaged))
            damages = mark_repaired(damages, left)
        self._remark(lacks, damaged)
        inspected = self._inspected
        broken = set(map(_name, (lack.version for lack in lacks)))
        verified = VerifiedCache(
            str(self._repo.cache.path),
            packs=inspected.packs,
            records=inspected.records,
            objects=inspected.objects,
            read_bytes=inspected.read_bytes,
            versions=len(self._versions),
            whole=sum(_name(version) not in broken for version in self._versions),
            files=sum(compared.files for compared in self._compared.values()),
            restored=restoring.restored,
        )
        return FsckResult([], damages, [(None, text) for text in self._remarks], self._broken, self._repair, verified)

    # looking

    def _inspect(self) -> Inspected:
        repo = self._repo
        wanted: set[Digest] | None = None
        if self._is_chosen:
            wanted = set()
            for version in self._versions:
                tree = find_tree(repo, version.pointer.digest) if version.pointer.is_tree else None
                wanted.add(version.pointer.digest)
                wanted.update(content.digest for content in list_wanted(version, tree))
        inspected = inspect_cache(repo.cache, wanted, jobs=min(4, repo.jobs), reporter=repo.reporter)
        if inspected.packs or inspected.objects:
            flaw = find_format_flaw(repo.cache)
            inspected.flaws[:0] = [] if flaw is None else [flaw]
        return inspected

    def _compare(self) -> dict[RelPath, Compared]:
        if self._state_reason is not None:
            return {}
        here = [artifact.path for artifact in list_artifacts(self._repo)]
        if self._is_chosen:
            chosen = {version.target.artifact.path for version in self._versions}
            here = [path for path in here if path in chosen]
        return {path: compare(self._repo, path, self._inspected) for path in here}

    def _find_lacks(self, damaged: Collection[Digest]) -> list[Lack]:
        lacks = self._holdings.find_lacks(self._versions, damaged)
        needed = {content.digest for lack in lacks for content in lack.contents}
        if not self._is_chosen and self._repo.git is not None and not needed.issuperset(damaged):
            # No branch and no tag needs it: older commits may.
            known = set(map(_name, self._versions))
            versions = list_versions(self._repo, (), Scope(all_commits=True))[0]
            older = [version for version in versions if _name(version) not in known]
            found = [_restrict(lack, damaged) for lack in self._holdings.find_lacks(older, damaged)]
            lacks += [lack for lack in found if lack.contents]
            self._older = [lack.version for lack in found if lack.contents]
        return lacks

    # naming

    def _list_damages(self, lacks: Sequence[Lack], damaged: Collection[Digest]) -> Iterator[Damage]:
        """Yield what is wrong and not fixed."""
        lost = {content.digest for lack in lacks for content in lack.contents}
        for flaw in self._inspected.flaws:
            key = self._key(flaw)
            harmed = flaw.digests.intersection(damaged, lost)
            if harmed or key not in self._fixed:
                needs = self._holdings.list_needs(lacks, harmed)
                yield Damage(None, key, flaw.kind, flaw.reason, needs, repaired=False)
        for compared in self._compared.values():
            for path, digest in compared.spoiled.items():
                if path not in self._fixed:
                    yield Damage(None, path, "damaged", f"it is a link to the damaged object {digest}", [], False)
            for path, reason in compared.unreadable:
                yield Damage(None, path, "unreadable", reason, [], repaired=False)
        wrong = [path for compared in self._compared.values() for path in compared.wrong]
        if (wrong or self._state_reason) and _STATE not in self._fixed:
            reason = (
                self._state_reason or "some files are not what it says, though nothing shows that they were touched"
            )
            yield Damage(None, _STATE, "damaged", reason, [Need(path, []) for path in wrong], repaired=False)
        missing = self._holdings.judge(lacks).lost.difference(damaged)
        if missing:
            reason = "what is in no file of the cache, and that no remote is known to hold"
            yield Damage(None, None, "missing", reason, self._holdings.list_needs(lacks, missing), repaired=False)

    def _key(self, flaw: Flaw) -> str:
        return flaw.path.relative_to(self._repo.cache.path).as_posix()

    def _remark(self, lacks: Sequence[Lack], damaged: Collection[Digest]) -> None:
        """Say what harms nobody."""
        judged = self._holdings.judge(lacks)
        for contents, where in (
            (judged.elsewhere, "which a remote holds, as far as is known here"),
            (judged.unknown, "which never were here, and which no remote names, as far as is known here"),
        ):
            number = len(contents.difference(damaged, judged.lost))
            if number:
                self._remarks.append(f"not in the cache are contents that versions need, {where}: {number:,}")
        listing = self._inspected.listing
        for path in listing.strangers[:_MOST_STRANGERS]:
            self._remarks.append(f"{path.relative_to(self._repo.cache.path)} is nothing of ours")
        if len(listing.strangers) > _MOST_STRANGERS:
            self._remarks.append(f"more files that are nothing of ours: {len(listing.strangers) - _MOST_STRANGERS:,}")
        if listing.leftovers:
            self._remarks.append(f"files of commands that died, or still run: {listing.leftovers:,}")
        set_aside = len(list_set_aside(self._repo.cache))
        if set_aside:
            self._remarks.append(f"files that were set aside as damaged: {set_aside:,}")
        writable = make_read_only(self._repo, self._inspected.writable) if self._repair else self._inspected.writable
        if writable:
            self._remarks.append(f"loose objects that are not read-only: {len(writable):,}")

    # mending

    def _mend(self, lacks: Sequence[Lack], restoring: Restoring) -> list[Lack]:
        """Set aside what is damaged, bring back what was here, and return what is still lacking."""
        repo = self._repo
        if any(self._key(flaw) == _FORMAT for flaw in self._inspected.flaws):
            mend_format(repo.cache)
            self._fixed.add(_FORMAT)
        with repo.writing():
            for flaw in self._inspected.flaws:
                if self._key(flaw) not in self._fixed and mend_file(repo, flaw):
                    self._fixed.add(self._key(flaw))
            restoring.bring_trees(self._choose(lacks))
            lacks = self._find_left()
            restoring.bring_contents(self._choose(lacks))
            self._mend_state()
            return self._find_left()

    def _find_left(self) -> list[Lack]:
        """Return what is still lacking, now that nothing damaged lies where it could be taken for good."""
        left_alone = {
            digest for flaw in self._inspected.flaws if self._key(flaw) not in self._fixed for digest in flaw.digests
        }
        bad = left_alone & self._holdings.damaged
        older = [_restrict(lack, self._holdings.flawed) for lack in self._holdings.find_lacks(self._older, bad)]
        return [*self._holdings.find_lacks(self._versions, bad), *(lack for lack in older if lack.contents)]

    def _choose(self, lacks: Sequence[Lack]) -> list[Lack]:
        """Return what is to be brought back: what was never here is left to ``fetch``."""
        wanted = self._holdings.judge(lacks).wanted
        chosen = [_restrict(lack, wanted) for lack in lacks]
        return [lack for lack in chosen if lack.contents]

    def _mend_state(self) -> None:
        for path, compared in self._compared.items():
            relinked, touched = relink(self._repo, path, compared.spoiled) if compared.spoiled else ([], [])
            self._fixed.update(relinked, touched)
            self._remarks += [f"{name} was a link, and was changed: it stays as it is" for name in touched]
            if compared.wrong or len(relinked) < len(compared.spoiled):
                forget(self._repo, path)
        if self._state_reason is not None:
            rebuild_state(self._repo)
        self._fixed.add(_STATE)


def _name(version: Version) -> tuple[RelPath, Digest]:
    return version.target.path, version.pointer.digest


def _restrict(lack: Lack, contents: Collection[Digest]) -> Lack:
    return lack._replace(contents=[content for content in lack.contents if content.digest in contents])
