"""Packs that no commit names: what is left where commits were lost, and what a repair may make of it.

Whoever can write to the bucket may have put them there, so nothing in them is believed that was not read: each
content that is wanted is put together, compared with its digest and, where this machine holds it, byte by byte.
What is not held here has only its digest for a witness, and with xxh128 that convinces nobody but the unlucky.
A pack that another project's commit names is never looked into.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import BinaryIO

from vstore.errors import CorruptError, KeyNotFoundError, NewerFormatError, ObjectMissingError
from vstore.objects.digest import Digest, Hasher, algorithm_of
from vstore.objects.pack import read_record
from vstore.objects.recipe import Chunk
from vstore.objects.table import BLOB, RECIPE, Table
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.catalog import Catalog, Place
from vstore.remote.content import Content, Root, Source
from vstore.remote.draft import Draft, PushPlan, Unnamed, plan_of
from vstore.remote.holdings import Holdings
from vstore.remote.index import Index, index_of_pack
from vstore.remote.layout import COMMITS, PACKS, PackRef, is_pack
from vstore.remote.ledger import Ledger, Site
from vstore.remote.reader import Reader
from vstore.remote.recipes import find_chunks, take_content
from vstore.remote.spans import Failure, read_places
from vstore.remote.transport import Key

_CHUNKS_AT_ONCE = 64
_NO_CHECKSUM = "0" * 32


def lacks_commits(site: Site) -> bool:
    """Tell whether packs are there and not one commit of anybody: then commits were lost.  Two requests."""
    if not site.transport.has_place() or any(True for _ in site.transport.list(COMMITS)):
        return False
    return any(is_pack(found.key) for found in site.transport.list(PACKS))


class Unpinned:
    """The packs that no commit and no trash entry of anybody names, as they tell themselves what they hold.

    Takes two or three requests a pack; one whose end is damaged is read whole.  Raises UnavailableError.
    """

    def __init__(self, site: Site, reporter: Reporter) -> None:
        self.remarks: list[str] = []
        """What was found wrong with them."""
        self.packs: dict[PackRef, Table] = {}
        """Those that may be relied upon, once what is wanted of them was read."""
        self.relied: set[PackRef] = set()
        """Those that the plans made so far rely upon."""
        self._site = site
        self._reporter = reporter
        self._ledger = Ledger(site, reporter)
        self._holdings = Holdings(site, reporter)
        self._spare: list[Index] = []
        self._verified: set[Digest] = set()
        if self._ledger.has_place():
            self._look()

    def _look(self) -> None:
        doomed, present = self._ledger.list_doomed(), self._ledger.list_packs()
        pinned = self._ledger.pinned_packs()
        alone = sorted(key for key in present if is_pack(key) and key not in pinned)
        known: list[PackRef] = []
        damaged: list[PackRef] = []
        for pack in map_ordered(functools.partial(self._identify, present), alone, workers=self._site.jobs):
            (damaged if pack.checksum == _NO_CHECKSUM else known).append(pack)
        self._holdings.read_ends(known)
        for pack in known:
            table = self._holdings.tables.get(pack)
            if table is None:
                damaged.append(pack)
            elif pack.key in doomed:
                self._spare.append(index_of_pack(pack, table))
            else:
                self.packs[pack] = table
        for pack in damaged:
            found = self._ledger.search(pack)
            if found is not None and len(found):
                self.remarks.append(f"{pack.key}: its end is damaged, and good records in it are copied")
                self._spare.append(found)

    def _identify(self, present: dict[Key, int], key: Key) -> PackRef:
        try:
            return self._ledger.identify(key, present[key])
        except (CorruptError, KeyNotFoundError, NewerFormatError):
            return PackRef(key, present[key], _NO_CHECKSUM)

    def catalog(self) -> Catalog:
        """Return where the records in them lie."""
        indexes = [*self._indexes(), *self._spare]
        catalog = Catalog(pack for index in indexes for pack in index.packs)
        for index in indexes:
            catalog.add(index)
        return catalog

    def open_reader(self) -> Reader:
        """Return what reads contents out of them, each verified."""
        return Reader(self._site, (), self._reporter, catalog=self.catalog())

    def find_content(self, digest: Digest) -> bytes | None:
        """Return a content of any size, verified as a whole, or None where it is not good in them."""
        try:
            return self.open_reader().read_content(digest)
        except ObjectMissingError:
            return None

    def plan_push(self, roots: Sequence[Root], source: Source) -> PushPlan:
        """Plan a push that relies upon those of them in which all that is wanted was read and found good.

        From the others, and from doomed and damaged ones, it copies what ``source`` does not hold.
        """
        while True:
            draft = Draft(self._site, roots, self._reporter, unnamed=Unnamed(self._indexes(), self._spare))
            chosen = set().union(draft.blobs.values(), *draft.large.values())
            if not self._find_bad(draft, chosen, source):
                break
        usable = [index for index in self._indexes() if index.packs[0].key in chosen]
        self.relied.update(index.packs[0] for index in usable)
        spare = [index for index in self._indexes() if index.packs[0].key not in chosen]
        return plan_of(Draft(self._site, roots, self._reporter, unnamed=Unnamed(usable, [*spare, *self._spare])), roots)

    def _indexes(self) -> list[Index]:
        return list(itertools.starmap(index_of_pack, self.packs.items()))

    # verifying

    def _find_bad(self, draft: Draft, chosen: Collection[Key], source: Source) -> bool:
        """Read what a draft would rely upon in packs of ours; tell whether any turned out bad, and do without it."""
        own = {pack.key: pack for pack in self.packs if pack.key in chosen}
        wanted = {content.digest: content for root in draft.new_roots() for content in root.contents}
        todo = [content for digest, content in wanted.items() if digest not in self._verified]
        total = sum(content.size_bytes for content in todo)
        self._reporter.begin("reading packs", total=total, unit="bytes")
        verifier = _Verifier(self._site, draft.catalog, source, own.keys(), self._reporter)
        try:
            verifier.read_small([content.digest for content in todo if content.digest in draft.blobs])
            for content in todo:
                pins = draft.large.get(content.digest, set())
                if not own.keys().isdisjoint(pins):
                    verifier.read_large(content)
        finally:
            self._reporter.end()
        self._verified |= verifier.good
        for key, reason in verifier.bad.items():
            self.remarks.append(f"{key}: {reason}")
            index = index_of_pack(own[key], self.packs.pop(own[key]))
            if key not in verifier.forged:
                self._spare.append(index)
        return bool(verifier.bad)


class _Verifier:
    """Reads contents out of packs of which nothing is known, and says which of these must not be relied upon."""

    def __init__(
        self, site: Site, catalog: Catalog, source: Source, suspects: Collection[Key], reporter: Reporter
    ) -> None:
        self.bad: dict[Key, str] = {}
        self.forged: set[Key] = set()
        self.good: set[Digest] = set()
        self._site = site
        self._catalog = catalog
        self._source = source
        self._suspects = suspects
        self._reporter = reporter

    def read_small(self, digests: Iterable[Digest]) -> None:
        """Read small contents, and compare them with what the source holds."""
        places = self._catalog.locate(BLOB, list(digests))
        suspect = [place for place in places.values() if place.pack.key in self._suspects]
        for digest, content in self._read(suspect):
            held = self._source.find_record(digest)
            if held is not None and read_record(held[1], held[0]) != content:
                self._call_forged(digest, places[digest].pack.key)
            else:
                self.good.add(digest)

    def read_large(self, content: Content) -> None:
        """Put a large content together, hash it, and compare it with what the source holds."""
        digest = content.digest
        recipes = self._catalog.locate(RECIPE, [digest])
        if digest not in recipes:
            return
        pack = recipes[digest].pack.key
        for _, recipe in self._read(recipes.values()):
            chunks = find_chunks(recipe, self._read_blobs)
            if chunks is None or sum(chunk.size_bytes for chunk in chunks) != content.size_bytes:
                self._blame(pack, f"it does not hold {digest} as it says")
                return
            with contextlib.ExitStack() as stack:
                file = self._source.open_large(digest)
                found, differs = self._put_together(digest, chunks, file and stack.enter_context(file))
            if found is None:
                return
            if differs and _is_held(self._source, digest):
                self._call_forged(digest, *{pack, *self._packs_of(chunks)})
            elif found != digest:
                self._blame(pack, f"the chunks of {digest} do not make it up")
            else:
                self.good.add(digest)

    def _put_together(
        self, digest: Digest, chunks: Sequence[Chunk], file: BinaryIO | None
    ) -> tuple[Digest | None, bool]:
        """Return the digest of what chunks make up, None if one is damaged, and whether a file is something else."""
        hasher, differs = Hasher(algorithm_of(digest).name), False
        for start in range(0, len(chunks), _CHUNKS_AT_ONCE):
            group = chunks[start : start + _CHUNKS_AT_ONCE]
            blobs = self._read_blobs([chunk.digest for chunk in group])
            for chunk in group:
                data = blobs.get(chunk.digest)
                if data is None:
                    return None, False
                hasher.update(data)
                differs = differs or (file is not None and file.read(len(data)) != data)
        return hasher.digest(), differs

    def _packs_of(self, chunks: Iterable[Chunk]) -> set[Key]:
        return set(self._catalog.locate_packs(BLOB, {chunk.digest for chunk in chunks}).values())

    def _read_blobs(self, digests: list[Digest]) -> dict[Digest, bytes]:
        return dict(self._read(self._catalog.locate(BLOB, digests).values()))

    def _read(self, places: Iterable[Place]) -> Iterator[tuple[Digest, bytes]]:
        """Yield the contents of records that are good; a pack with one that is not is bad."""
        for batch in read_places(self._site, places, take_content):
            for location, content in batch:
                if isinstance(content, Failure):
                    self._blame(content.pack, "a record in it is damaged")
                else:
                    self._reporter.advance(len(content))
                    yield location.digest, content

    def _call_forged(self, digest: Digest, *packs: Key) -> None:
        for key in packs:
            self._blame(key, f"it holds other bytes than this machine under {digest}, and is not relied upon")
            self.forged.add(key)

    def _blame(self, key: Key, reason: str) -> None:
        if key in self._suspects:
            self.bad.setdefault(key, reason)


def _is_held(source: Source, digest: Digest) -> bool:
    """Tell whether what a source has under a digest is that: it may be what is damaged."""
    file = source.open_large(digest)
    if file is None:
        return False
    hasher = Hasher(algorithm_of(digest).name)
    with file:
        while piece := file.read(1024 * 1024):
            hasher.update(piece)
    return hasher.digest() == digest
