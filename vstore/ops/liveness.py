"""Liveness: what a repository needs of a cache, and why: whatever a pointer names that git keeps or that lies at work.

Whoever asks is going to remove the rest.  So what cannot be read is an error that names it, and goes on only when it
was said to be forgotten.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.cache.writer import open_writer
from vstore.errors import CorruptError, GitFailedError, LockedError, NeedsUnknownError, NotDownloadedError, VstoreError
from vstore.git.contents import is_file
from vstore.git.index import IndexEntry
from vstore.git.kept import REF, REFLOG, Blobs, KeptHistory, Tips
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import DIGEST_PATTERN, Digest
from vstore.objects.pointer import POINTER_SUFFIX, pointer_from_bytes
from vstore.objects.tree import find_digests
from vstore.ops.sharing import Sharer
from vstore.ops.trees import find_tree
from vstore.progress import SILENT
from vstore.remote.content import Content
from vstore.repo import Repo, open_repo
from vstore.workspace.uses import Uses, find_uses

WORK_TREE, UPSTREAM, ASKED = "work-tree", "git-remote", "keep-rev"
_DIGEST = re.compile(DIGEST_PATTERN.encode())
_MARKER = re.compile(rb"([<|=>])\1{6,}(?: |\r?\n|$)")
_MOST_LOOKS = 7
_MOST_PLACES = 10


@dataclass(frozen=True, slots=True)
class Retention:
    """Which versions of this repository keep their data: all that git keeps, unless less is asked for.

    ``tips_only``: what branches, tags, stashes and the like are at, and not what is behind; with ``newer_than_s``, also
    commits that are not older.  Files, indexes and ``keep_revs`` always do, and other repositories keep everything.
    """

    keep_revs: tuple[str, ...] = ()
    tips_only: bool = False
    newer_than_s: float | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether some versions that git keeps shall not keep their data."""
        return self.tips_only or self.newer_than_s is not None


class Needed(NamedTuple):
    """What pointers name: a digest, what it is, and the remote it belongs to if only one."""

    digest: Digest
    is_tree: bool
    remote: str | None
    size_bytes: int


@dataclass(slots=True)
class Needs:
    """What one repository needs: each root with the reason that tells most, and objects that its files are links to.

    ``narrowed`` are the roots that a narrower retention keeps (all of them if none was asked for), ``asked`` those of
    revisions that were named.
    """

    sharer: Sharer
    roots: dict[Needed, str] = field(default_factory=dict)
    narrowed: set[Needed] = field(default_factory=set)
    asked: set[Needed] = field(default_factory=set)
    links: set[Digest] = field(default_factory=set)
    origins: dict[Needed, str] = field(default_factory=dict)
    """A pointer of each root: the id of its blob, or its path in a work tree."""


class _View(NamedTuple):
    """What was seen of a repository in one look; equal where nothing happened in between."""

    tips: list[Tips]
    indexes: dict[Path, list[IndexEntry]]
    """The pointers in the index of each git directory."""
    uses: dict[Path, Uses]


def find_needs(sharer: Sharer, retention: Retention, forgotten: Collection[str]) -> Needs:
    """Find out what a repository needs.  ``forgotten`` are blobs and paths of pointers that need not be read.

    Raises NeedsUnknownError for pointers that cannot be read, GitFailedError, UnavailableError, and LockedError where
    it does not hold still.
    """
    view = _look(sharer)
    needs = Needs(sharer)
    failed: list[tuple[str, str, str]] = []
    for work_tree, uses in view.uses.items():
        needs.links |= uses.links
        index = view.indexes.get(sharer.work_trees[work_tree], [])
        in_conflict = {entry.path for entry in index if entry.stage}
        for path, data in uses.pointers.items():
            place = str(work_tree / path)
            try:
                _add(needs, data, place, WORK_TREE, narrowed=True)
            except VstoreError as error:
                # What was in conflict before git's or our merge, the index has.
                if path not in in_conflict and place not in forgotten:
                    failed.append((place, error.message, place))
    if sharer.history is not None:
        groups = _group_blobs(sharer.history, view, retention)
        failed += _read_blobs(needs, groups, _narrow(sharer.history, view, retention, groups), forgotten)
    if failed:
        number = f"{len(failed):,} pointers" if len(failed) > 1 else "a pointer"
        raise NeedsUnknownError(
            f"{number} of {sharer.name} cannot be read, so nothing was removed",
            failed=[(place, reason) for place, reason, _ in failed],
            keys=[key for _, _, key in failed],
        )
    return needs


def _look(sharer: Sharer) -> _View:
    """Look until nothing changes: what moves from a file to a stash, or back, could be overlooked at both places."""
    before: _View | None = None
    has_failed = False
    for _ in range(_MOST_LOOKS):
        try:
            now = _look_once(sharer)
        except GitFailedError:
            # What git was going to list may just be gone, as a stash that somebody took back.
            if has_failed:
                raise
            has_failed, before = True, None
            continue
        if now == before:
            return now
        before = now
    raise LockedError(f"the repository {sharer.name} kept changing while it was read", path=sharer.name)


def _look_once(sharer: Sharer) -> _View:
    uses = {work_tree: find_uses(work_tree) for work_tree in sharer.work_trees}
    history = sharer.history
    if history is None:
        return _View([], {}, uses)
    indexes = {
        git_dir: [
            entry
            for entry in history.list_index(git_dir)
            if entry.path.endswith(POINTER_SUFFIX) and is_file(entry.mode)
        ]
        for git_dir in history.list_git_dirs()
    }
    return _View([*history.list_tips(), Tips(UPSTREAM, sharer.upstream)], indexes, uses)


def _group_blobs(history: KeptHistory, view: _View, retention: Retention) -> dict[str, Blobs]:
    """Return the pointer blobs by reason; one may be there for several."""
    indexed = {entry.oid for index in view.indexes.values() for entry in index}
    groups = {WORK_TREE: Blobs(indexed, set())}
    seen: list[str] = []
    for reason, tips in view.tips:
        groups[reason] = history.find_blobs(tips, POINTER_SUFFIX, but=seen)
        seen += tips
    groups[REFLOG] = history.find_blobs([], POINTER_SUFFIX, but=seen, reflogs=True)
    groups[ASKED] = history.find_blobs(retention.keep_revs, POINTER_SUFFIX, behind=False)
    return groups


def _narrow(history: KeptHistory, view: _View, retention: Retention, groups: dict[str, Blobs]) -> set[str]:
    """Return the blobs that the retention keeps, besides those of revisions that were asked for."""
    if not retention.is_narrow:
        return set().union(*(blobs.named | blobs.bare for blobs in groups.values()))
    kept = [oid for tips in view.tips for oid in tips.objects]
    if retention.newer_than_s is not None:
        oldest_s = time.time() - retention.newer_than_s
        kept += [oid for time_s, oid in history.list_commits(view.tips) if time_s >= oldest_s]
    at_tips = history.find_blobs(list(dict.fromkeys(kept)), POINTER_SUFFIX, behind=False)
    return groups[WORK_TREE].named | at_tips.named | at_tips.bare


def _read_blobs(
    needs: Needs, groups: dict[str, Blobs], narrowed: set[str], forgotten: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Add the roots of pointers in git; yield place, reason and key of each that cannot be read."""
    history = needs.sharer.history
    assert history is not None
    wanted: dict[str, tuple[str, bool]] = {}
    for reason, blobs in groups.items():
        for blob in blobs.named:
            wanted.setdefault(blob, (reason, True))
    for blobs in groups.values():
        for blob in blobs.bare:
            wanted.setdefault(blob, (REF, False))
    for key in forgotten:
        wanted.pop(key, None)
    unreadable: list[tuple[str, str]] = []
    contents = dict(history.iter_blobs(wanted))
    for blob, (reason, is_named) in wanted.items():
        try:
            roots = _add(needs, contents[blob], blob, reason, narrowed=blob in narrowed)
            if blob in groups[ASKED].named:
                needs.asked |= roots
        except VstoreError as error:
            # What has no name may be anything; what is empty was only announced, by `git add --intent-to-add`.
            if is_named and contents[blob]:
                unreadable.append((blob, error.message))
    for number, (blob, message) in enumerate(unreadable):
        yield _name_blob(needs.sharer, blob) if number < _MOST_PLACES else f"the blob {blob}", message, blob


def _name_blob(sharer: Sharer, blob: str) -> str:
    found = None if sharer.history is None else sharer.history.find_place(blob, sharer.upstream)
    return f"the blob {blob} in an index" if found is None else f"{found[1]} at {found[0][:10]} (blob {blob})"


def _add(needs: Needs, data: bytes, origin: str, reason: str, *, narrowed: bool) -> set[Needed]:
    """Add, and return, what a pointer names; of one in conflict, what each side names.

    Raises VstoreError where it cannot be read, with all that could be added.
    """
    failure: VstoreError | None = None
    roots: set[Needed] = set()
    for side in iter_sides(data):
        try:
            pointer = pointer_from_bytes(side, "the pointer")
        except NotDownloadedError:
            continue  # it needs nothing yet
        except VstoreError as error:
            failure = error
            continue
        root = Needed(pointer.digest, pointer.is_tree, pointer.remote, pointer.size_bytes)
        roots.add(root)
        needs.roots.setdefault(root, reason)
        needs.origins.setdefault(root, origin)
        if narrowed:
            needs.narrowed.add(root)
    named = {root.digest.encode() for root in roots}
    if failure is not None and (not named or not named.issuperset(_DIGEST.findall(data))):
        raise failure
    return roots


def iter_sides(data: bytes) -> Iterator[bytes]:
    """Yield each side of a text with git's conflict markers, its common ancestor included; a text without, as it is."""
    lines = data.splitlines(keepends=True)
    sides = {line[:1] for line in lines if _MARKER.match(line)} - {b">"}
    if b"<" not in sides:
        yield data
        return
    for side in sorted(sides):
        at: bytes | None = None
        kept: list[bytes] = []
        for line in lines:
            if _MARKER.match(line):
                at = None if line[:1] == b">" else line[:1]
            elif at in (None, side):
                kept.append(line)
        yield b"".join(kept)


# Trees.


def list_contents(repo: Repo, tree: Digest) -> list[Digest] | None:
    """Return what a tree in the cache names; None where the cache does not hold it undamaged.

    Raises CorruptError, NewerFormatError where it is there, and is no tree that we can read.
    """
    data = find_tree(repo, tree)
    if data is None:
        return None
    found = find_digests(data)
    others = data.count(b"\nl\t") + data.count(b"\nd\t")
    if len(found) + others != data.count(b"\n") - 1:
        raise CorruptError(f"the tree {tree} has a line that is not an entry", digest=tree)
    return found


def bring_trees(
    repo: Repo, unknown: list[tuple[Needs, Needed]], damaged: Callable[[Digest], bool], *, forget_missing: bool
) -> set[Digest]:
    """Fetch trees that the cache lacks from the remotes of the repositories that need them; return those given up.

    Given up are those of which it is sure that they are nowhere: all remotes were asked and hold none, and they are not
    ``damaged`` here.  What they name cannot be kept: nobody can ever know it.  But it may be that somebody has them who
    will push yet, so it has to be versions that only reflogs know, or ``forget_missing``.
    Raises NeedsUnknownError naming the others.
    """
    groups: dict[str, set[Digest]] = {}
    for needs, root in unknown:
        groups.setdefault(_first(needs), set()).add(root.digest)
    reasons: dict[Digest, str] = {}
    """Why it is not sure of some that they are nowhere."""
    have_remotes: set[str] = set()
    for work_tree, trees in groups.items():
        try:
            have_remotes |= {work_tree} if _bring_from(repo, work_tree, trees, reasons) else set()
        except VstoreError as error:
            reasons |= dict.fromkeys(trees, error.message)
    lost = [(needs, root) for needs, root in unknown if find_tree(repo, root.digest) is None]
    reasons |= {root.digest: "is damaged in the cache" for _, root in lost if damaged(root.digest)}

    def may_go(needs: Needs, root: Needed) -> bool:
        is_past = needs.roots[root] == REFLOG and root not in needs.asked and _first(needs) in have_remotes
        return root.digest not in reasons and (is_past or forget_missing)

    stay = {root.digest for needs, root in lost if not may_go(needs, root)}
    if stay:
        raise _lack([pair for pair in lost if pair[1].digest in stay], reasons)
    return {root.digest for _, root in lost}


def _first(needs: Needs) -> str:
    return str(next(iter(needs.sharer.work_trees)))


def _lack(lost: Sequence[tuple[Needs, Needed]], reasons: Mapping[Digest, str]) -> NeedsUnknownError:
    """Return the error that names versions whose lists of files are not to be had."""
    failed: list[tuple[str, str]] = []
    for needs, root in sorted(lost, key=lambda pair: pair[1].digest):
        place = _name_root(needs, root) if len(failed) < _MOST_PLACES else str(root.digest)
        failed.append(
            (place, f"the list of its files {reasons.get(root.digest, 'is in no remote and not in the cache')}")
        )
    number = f"{len(failed):,} versions name" if len(failed) > 1 else "a version names"
    keys = sorted({root.digest for _, root in lost})
    is_missing = not reasons.keys() & set(keys)
    fact = f"what {number} is not known, so nothing was removed"
    return NeedsUnknownError(fact, failed=failed, keys=keys, missing=is_missing)


def _bring_from(repo: Repo, work_tree: str, trees: Collection[Digest], reasons: dict[Digest, str]) -> bool:
    """Fetch trees from the remotes of a work tree, the default one first; tells whether there are any.

    Adds to ``reasons`` why it is not sure of some trees that none holds them.
    """
    is_ours = Path(work_tree) == repo.work_tree
    left = set(trees)
    with open_repo(Path(work_tree), reporter=repo.reporter if is_ours else SILENT) as owner:
        for name in owner.remote_names():
            try:
                with owner.open_remote(name) as opened, open_writer(repo.cache, repo.warn_of_damage) as writer:
                    # How long a tree is, nobody said: what is no single record is put together from chunks.
                    for size_bytes in (0, SMALL_BYTES + 1) if left else ():
                        wanted = [Content(digest, size_bytes) for digest in sorted(left)]
                        report = opened.fetch(wanted, writer, roots=left, reporter=owner.reporter)
                        left &= set(report.missing)
                        spoiled = left.intersection(digest for digest, _ in report.damaged)
                        reasons |= dict.fromkeys(spoiled, f"is damaged at the remote {name}")
            except VstoreError as error:
                reasons |= dict.fromkeys(left, f"is not in the cache, and {error.message}")
        return bool(owner.config.remotes)


def _name_root(needs: Needs, root: Needed) -> str:
    origin, history = needs.origins[root], needs.sharer.history
    if history is None or "/" in origin:
        return f"{origin} ({root.digest})"
    found = history.find_place(origin, needs.sharer.upstream)
    return f"{root.digest} in an index" if found is None else f"{found[1]} at {found[0][:10]} ({root.digest})"
