"""Looking whether a remote holds what it should: by what is there, never from memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from vstore.objects.digest import Digest
from vstore.progress import Reporter
from vstore.remote.content import Root
from vstore.remote.holdings import Holdings, find_scapegoat
from vstore.remote.layout import PackRef, commits_prefix
from vstore.remote.ledger import Ledger, Site
from vstore.remote.transport import Key


class Lack(NamedTuple):
    """Why a root is not safe at a remote: ``reason`` in one sentence, and the contents and packs it is about."""

    root: Digest
    path: str
    reason: str
    contents: tuple[Digest, ...] = ()
    packs: tuple[Key, ...] = ()


def check_roots(site: Site, roots: Sequence[Root], reporter: Reporter) -> list[Lack]:
    """Return what the remote lacks of some roots.

    Packs count when they are listed now, records when the pack's own end names them; recipes are read.
    Raises UnavailableError.
    """
    ledger = Ledger(site, reporter)
    ledger.has_place()  # asked while the mirror still knows whether it should be there
    site.mirror.forget(commits_prefix(site.project))
    wanted = {root.digest for root in roots}
    pinned: dict[Digest, list[frozenset[PackRef]]] = {}
    for _, commit in ledger.iter_commits():
        for named in commit.roots:
            if named.digest in wanted:
                pinned.setdefault(named.digest, []).append(frozenset(named.pins))
    holdings = Holdings(site, reporter)
    if pinned:
        holdings.compare_listing({pack for choices in pinned.values() for pins in choices for pack in pins})
    distrusted = site.mirror.distrusted_packs()
    lacks = [lack for root in roots if (lack := _check_root(holdings, root, pinned.get(root.digest, []), distrusted))]
    holdings.distrust()
    return lacks


def _check_root(
    holdings: Holdings, root: Root, choices: Sequence[frozenset[PackRef]], distrusted: Collection[Key]
) -> Lack | None:
    """Return what is wrong with a root, unless it is whole by any of its ``choices``."""
    if not choices:
        return Lack(root.digest, root.path, "no commit at the remote names it")
    first: Lack | None = None
    scapegoats: set[Key] = set()
    for pins in choices:
        gone = tuple(sorted(pack.key for pack in pins if pack in holdings.problems or pack.key in distrusted))
        if gone:
            reason = f"of the packs that it needs, {len(gone)} are gone, doomed or damaged"
            first = first or Lack(root.digest, root.path, reason, (), gone)
            continue
        holdings.read_ends(pins)
        lacking = holdings.find_lacking(root.contents, pins)
        if not lacking:
            return None
        reason = f"of its contents, {len(lacking)} are not where they should be"
        first = first or Lack(root.digest, root.path, reason, tuple(sorted(lacking)))
        if pins and not holdings.is_bad(pins):
            scapegoats.add(find_scapegoat(pins))
    holdings.site.mirror.distrust(scapegoats)
    return first
