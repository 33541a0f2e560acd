"""Replacing commits of our project: what shall stay is committed anew first, and the old ones pin on from the trash.

Commits are retired when roots in them are given up, and when many are merged into one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vstore.errors import CorruptError, KeyNotFoundError
from vstore.objects.digest import Digest
from vstore.parallel import map_ordered
from vstore.progress import SILENT, Reporter
from vstore.remote.commits import CommittedRoot, commit_from_bytes
from vstore.remote.layout import PackRef, trash_key, trash_prefix
from vstore.remote.ledger import Ledger, Site
from vstore.remote.session import Session, not_kept, read_back
from vstore.remote.survey import Held, PushedRoot
from vstore.remote.transport import Key

MOST_GIT_COMMITS = 32
"""Of so many git commits, besides one, it is kept that a root was pushed for them: the last ones."""


def join_roots(entries: Iterable[PushedRoot], is_whole: Callable[[CommittedRoot], bool]) -> tuple[CommittedRoot, ...]:
    """Return each root once: as it was pushed last or, where that is not whole at the remote, last of those that are.

    Where one digest is that of a tree and of a file with the same bytes, the tree needs all that the file does.
    It keeps date and author of its last push, so that to be committed anew makes nothing younger, and the git commits
    that it was pushed for: one that a clone does not know protects the root from being retired there.
    """
    same: dict[Digest, list[PushedRoot]] = {}
    for entry in entries:
        same.setdefault(entry.root.digest, []).append(entry)
    return tuple(_join(pushes, is_whole) for pushes in same.values())


def _join(pushes: list[PushedRoot], is_whole: Callable[[CommittedRoot], bool]) -> CommittedRoot:
    chosen = pushes[0]
    for entry in pushes[1:]:
        if (entry.root.kind, entry.root.pins) != (chosen.root.kind, chosen.root.pins) and (
            (entry.root.kind == "tree", is_whole(entry.root), entry.pushed_s)
            > (chosen.root.kind == "tree", is_whole(chosen.root), chosen.pushed_s)
        ):
            chosen = entry
    last_first = sorted(pushes, key=lambda entry: -entry.pushed_s)
    others = dict.fromkeys(commit for entry in last_first for commit in entry.root.all_git_commits())
    others.pop(chosen.root.git_commit, None)
    pushed_s = last_first[0].pushed_s
    return chosen.root._replace(
        pushed_s=int(pushed_s) if pushed_s < float("inf") else None,
        author=last_first[0].author,
        git_commits=tuple(others)[:MOST_GIT_COMMITS],
    )


def replace_commits(
    site: Site, old: Sequence[Held], left: Sequence[CommittedRoot], *, reporter: Reporter = SILENT
) -> Key | None:
    """Retire commits, after what is left of them was committed anew; return the key of that commit, if it is needed.

    They must be of our project.  However long ago they were looked at, nothing is lost: those stay whose push has an
    intent now, and those that pin a root to other packs than the new commit does, unless that is seen to hold all of
    it once it is there.
    A death in between leaves commits that say the same twice.  Raises UnavailableError.
    """
    ledger = Ledger(site, SILENT)
    busy = ledger.list_sessions()
    old = [held for held in old if held.commit.session not in busy]
    if not old:
        return None
    new: list[Key] = []
    weak: dict[Digest, CommittedRoot] = {}
    if left:
        # One commit is enough, unless somebody lies: it says once what a pack is, and a truth must not become a lie.
        sessions = [(Session(site), group) for group in _split_contrary(left)]
        for session, group in sessions:
            session.announce({pack.key for root in group for pack in root.pins})
        commits = [session.put_commit(group, [held.listed.key for held in old]) for session, group in sessions]
        lost = ledger.find_lost(pack for root in left for pack in root.pins)
        weak = {root.digest: root for root in left if any(pack.key in lost for pack in root.pins)}
        new = [read_back(site, commit) for commit in commits]
        for session, _ in sessions:
            session.withdraw(reporter)
        if not lost:
            site.mirror.keep_whole(new, among={*new} | site.mirror.whole_commits())
    retire_commits(
        site, [held for held in old if all(weak.get(root.digest, root).pins == root.pins for root in held.commit.roots)]
    )
    return new[0] if new else None


def retire_commits(site: Site, old: Sequence[Held]) -> None:
    """Move commits to the trash, where they pin on: all that lives of them was seen to be held by another commit."""
    copies = dict(map_ordered(lambda held: _copy(site, held), old, workers=site.jobs))
    there = {found.key: found.size_bytes for found in site.transport.list(trash_prefix(site.project))}
    for key, size_bytes in copies.items():
        if size_bytes is not None and there.get(key) != size_bytes:
            raise not_kept(site, key)
    for _ in map_ordered(lambda held: site.transport.delete(held.listed.key), old, workers=site.jobs):
        pass


def _split_contrary(roots: Iterable[CommittedRoot]) -> list[list[CommittedRoot]]:
    """Return roots in groups that mean the same by the same key."""
    groups: list[list[CommittedRoot]] = []
    meant: list[dict[Key, PackRef]] = []
    for root in roots:
        fits = (
            number for number, packs in enumerate(meant) if all(packs.get(pack.key, pack) == pack for pack in root.pins)
        )
        number = next(fits, len(groups))
        if number == len(groups):
            groups.append([])
            meant.append({})
        groups[number].append(root)
        meant[number].update((pack.key, pack) for pack in root.pins)
    return groups


def _copy(site: Site, held: Held) -> tuple[Key, int | None]:
    """Copy a commit to the trash, byte for byte; None if somebody else has retired it meanwhile."""
    key = held.listed.key
    data = site.mirror.find(key)
    if data is None or not _is_same(data, held):
        try:
            data = site.transport.read(key)
        except KeyNotFoundError:
            return trash_key(key), None
    site.transport.write(trash_key(key), data)
    site.mirror.keep(trash_key(key), data)
    return trash_key(key), len(data)


def _is_same(data: bytes, held: Held) -> bool:
    try:
        return len(data) == held.listed.size_bytes and commit_from_bytes(data, held.listed.key) == held.commit
    except CorruptError:
        return False
