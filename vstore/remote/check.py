"""Looking whether a remote works, and whether it holds what it should: by what is there, never from memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from vstore.errors import CorruptError, KeyNotFoundError, RemoteDeniedError, VstoreError
from vstore.objects.digest import Digest
from vstore.objects.table import BLOB, RECIPE
from vstore.parallel import map_ordered
from vstore.progress import SILENT, Reporter
from vstore.remote.catalog import Catalog
from vstore.remote.commits import Commit
from vstore.remote.content import Root
from vstore.remote.index import Index, index_of_pack
from vstore.remote.layout import PROBES, PackRef, commits_prefix
from vstore.remote.ledger import Ledger, Site
from vstore.remote.recipes import find_chunks, read_contents
from vstore.remote.transport import Key


class Lack(NamedTuple):
    """Why a root is not safe at a remote: ``reason`` in one sentence, and the contents and packs it is about."""

    root: Digest
    path: str
    reason: str
    contents: tuple[Digest, ...] = ()
    packs: tuple[Key, ...] = ()


class ProbeStep(NamedTuple):
    """One thing that was tried; ``error`` is None where it worked."""

    action: str
    error: VstoreError | None


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
        _note_pins(commit, wanted, pinned)
    lost = ledger.find_lost({pack for pins in pinned.values() for pin in pins for pack in pin}) if pinned else set()
    lost |= site.mirror.distrusted_packs()
    lacks: list[Lack] = []
    for root in roots:
        choices = pinned.get(root.digest, [])
        whole = [pins for pins in choices if not any(pack.key in lost for pack in pins)]
        if whole:
            lacks += _check_contents(ledger, root, whole[0])
        elif choices:
            gone = tuple(sorted(pack.key for pack in choices[0] if pack.key in lost))
            reason = f"of the packs that it needs, {len(gone)} are gone, doomed or damaged"
            lacks.append(Lack(root.digest, root.path, reason, (), gone))
        else:
            lacks.append(Lack(root.digest, root.path, "no commit at the remote names it"))
    return lacks


def _note_pins(commit: Commit, wanted: set[Digest], pinned: dict[Digest, list[frozenset[PackRef]]]) -> None:
    for root in commit.roots:
        if root.digest in wanted:
            pinned.setdefault(root.digest, []).append(frozenset(root.pins))


def _check_contents(ledger: Ledger, root: Root, pins: frozenset[PackRef]) -> Iterator[Lack]:
    catalog = Catalog(pins)
    damaged: set[Key] = set()

    def read_end(pack: PackRef) -> Index | None:
        try:
            return index_of_pack(pack, ledger.read_table(pack))
        except (CorruptError, KeyNotFoundError):
            damaged.add(pack.key)
            return None

    def read_blobs(digests: list[Digest]) -> dict[Digest, bytes]:
        return read_contents(ledger.site, catalog.locate(BLOB, digests).values())

    for index in map_ordered(read_end, sorted(pins), workers=ledger.site.jobs):
        if index is not None:
            catalog.add(index)
    small = {content.digest for content in root.contents if content.is_small}
    large = {content.digest for content in root.contents if not content.is_small}
    lacking = small - catalog.locate(BLOB, small).keys()
    recipes = catalog.locate(RECIPE, large)
    good = read_contents(ledger.site, recipes.values())
    lacking |= large - good.keys()
    for digest, recipe in good.items():
        chunks = find_chunks(recipe, read_blobs)
        wanted = {chunk.digest for chunk in chunks or ()}
        if chunks is None or wanted - catalog.locate(BLOB, wanted).keys():
            lacking.add(digest)
    # The next push uploads anew what they hold.
    damaged.update(recipes[digest].pack.key for digest in lacking & recipes.keys())
    ledger.site.mirror.distrust(damaged)
    if lacking:
        reason = f"of its contents, {len(lacking)} are not where they should be"
        yield Lack(root.digest, root.path, reason, tuple(sorted(lacking)))


def probe(site: Site) -> list[ProbeStep]:
    """Try to list, write, read and delete, and say how each went; leaves nothing behind where it can delete."""
    transport, ledger = site.transport, Ledger(site, SILENT)
    key = f"{PROBES}{secrets.token_hex(16)}"
    data = secrets.token_bytes(64)

    def read_back() -> None:
        if transport.read(key) != data:
            raise CorruptError(f"{transport.url} gave back other bytes than were written", key=key)

    def delete() -> None:
        transport.delete(key)
        if transport.find_size(key) is not None:
            raise RemoteDeniedError(f"{transport.url} keeps what was deleted", url=transport.url, action="delete")

    def look() -> None:
        if ledger.has_place():
            list(transport.list(PROBES))

    def write() -> None:
        ledger.has_place()  # a write would make anew what is gone
        transport.write(key, data)

    steps = [_try("list", look), _try("write", write)]
    if steps[-1].error is None:
        steps += [_try("read", read_back), _try("delete", delete)]
    return steps


def _try(action: str, attempt: Callable[[], None]) -> ProbeStep:
    try:
        attempt()
    except VstoreError as error:
        return ProbeStep(action, error)
    return ProbeStep(action, None)
