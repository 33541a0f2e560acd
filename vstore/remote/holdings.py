"""What the packs of some roots hold, by the packs' own ends, and whether it is all that the roots need.

Indexes and memories are not asked: each pack's end is read once, recipes and trees are read and verified, and
what was found damaged counts as not there.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, TypeVar

from vstore.errors import CorruptError, KeyNotFoundError, NewerFormatError
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.pack import MAX_RECORD_BYTES
from vstore.objects.recipe import Chunk
from vstore.objects.table import BLOB, RECIPE, RECORD_HEADER_BYTES, Section, Table, check_table
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.catalog import Catalog, Place
from vstore.remote.content import Content
from vstore.remote.index import Index, index_of_pack
from vstore.remote.layout import PackRef
from vstore.remote.ledger import Ledger, Site
from vstore.remote.recipes import find_chunks, read_contents, take_content
from vstore.remote.spans import Failure, read_places
from vstore.remote.transport import Key

MAX_TREE_BYTES = 1024 * 1024 * 1024
"""No tree is longer (ten million entries): a hostile one takes no more memory than this."""

MISSING = "missing"
DAMAGED = "damaged"
DOOMED = "doomed"
NEWER = "newer"

_RECIPES_AT_ONCE = 64

Item = TypeVar("Item")


class Problem(NamedTuple):
    """What is wrong with an object of a remote.

    ``kind`` is "missing", "damaged", "doomed" or "newer" (of a format that a newer vstore wrote).  ``records`` are
    those of a pack that are damaged, where the rest of it is not.
    """

    key: Key
    kind: str
    reason: str
    records: frozenset[tuple[int, Digest]] = frozenset()


_NO_PROBLEM = Problem("", "", "")


class Holdings:
    """The packs that were looked at, what is wrong with them, and what is good in them."""

    def __init__(self, site: Site, reporter: Reporter) -> None:
        self.site = site
        self.problems: dict[PackRef, Problem] = {}
        """What is wrong with packs.  A commit may mean another pack by a key than the others do, and be wrong."""
        self.tables: dict[PackRef, Table] = {}
        """Packs whose own end was read."""
        self.present: dict[Key, int] = {}
        """Every pack that is listed, with its length."""
        self._ledger = Ledger(site, reporter)
        self._reporter = reporter
        self._read_packs: dict[Key, PackRef] = {}
        self._indexes: dict[PackRef, Index] = {}
        self._damaged: dict[Key, set[tuple[int, Digest]]] = {}
        self._small: dict[Digest, Key] = {}
        self._large: dict[Digest, set[Key]] = {}

    # packs

    def compare_listing(self, packs: Iterable[PackRef]) -> None:
        """See whether packs are listed with exactly their length, and not doomed.  Raises UnavailableError."""
        doomed = self._ledger.list_doomed()
        self.present = self._ledger.list_packs()
        for pack in packs:
            size_bytes = self.present.get(pack.key)
            if size_bytes is None:
                self.blame(pack, MISSING, "it is gone")
            elif size_bytes != pack.size_bytes:
                self.blame(pack, DAMAGED, f"it has {size_bytes:,} bytes and should have {pack.size_bytes:,}")
            elif pack.key in doomed:
                self.blame(pack, DOOMED, "it has a tombstone, so it may be collected")

    def read_ends(self, packs: Iterable[PackRef]) -> None:
        """Read the ends of those packs that are there and whose ends were not read.  Raises UnavailableError."""
        there = sorted(
            pack
            for pack in set(packs).difference(self.tables)
            if self.problems.get(pack, _NO_PROBLEM).kind in ("", DOOMED)
        )
        self._reporter.begin("looking at packs", total=len(there), unit="objects")
        try:
            for pack, found in map_ordered(self._read_end, there, workers=self.site.jobs):
                self._reporter.advance()
                if isinstance(found, Problem):
                    self.blame(pack, found.kind, found.reason)
                else:
                    self.tables[pack] = found
                    self._read_packs[pack.key] = pack  # only one of a key has the checksum that its end says
                    self._indexes[pack] = index_of_pack(pack, found)
        finally:
            self._reporter.end()

    def _read_end(self, pack: PackRef) -> tuple[PackRef, Table | Problem]:
        for again in (True, True, False):  # once more for the footer and for the table: bytes are damaged on the way
            try:
                table = self._ledger.read_table(pack)
                check_table(table, pack.size_bytes, MAX_RECORD_BYTES)
                if sum(_size(section) for section in table.sections) > pack.size_bytes:
                    raise CorruptError("its table names more than it holds", key=pack.key)
            except KeyNotFoundError:
                return pack, Problem(pack.key, MISSING, "it is gone")
            except NewerFormatError as error:
                if not again:
                    return pack, Problem(pack.key, NEWER, f"its end is of a newer version: {error.message}")
            except CorruptError as error:
                if not again:
                    return pack, Problem(pack.key, DAMAGED, f"its end is damaged: {error.message}")
            else:
                return pack, table
        raise AssertionError

    def blame(self, pack: PackRef, kind: str, reason: str) -> None:
        """Take a pack for bad, unless that is known already."""
        self.problems.setdefault(pack, Problem(pack.key, kind, reason))

    def blame_records(self, key: Key, records: Collection[tuple[int, Digest]]) -> None:
        """Take records in a pack for damaged: they count as not there."""
        damaged = self._damaged.setdefault(key, set())
        damaged.update(records)
        reason = f"{len(damaged):,} records in it are damaged" if len(damaged) > 1 else "a record in it is damaged"
        pack = self._read_packs[key]
        if self.problems.get(pack, _NO_PROBLEM).kind != DOOMED:
            self.problems[pack] = Problem(key, DAMAGED, reason, frozenset(damaged))
        for kind, digest in records:
            if kind == BLOB and self._small.get(digest) == key:
                del self._small[digest]
        self._large.clear()

    def is_bad(self, packs: Iterable[PackRef]) -> bool:
        """Tell whether anything is wrong with any of some packs."""
        return any(pack in self.problems for pack in packs)

    def distrust(self) -> None:
        """Remember which packs are damaged, so that the next push uploads anew what they held."""
        damaged = {problem.key for problem in self.problems.values() if problem.kind in (DAMAGED, NEWER)}
        good = {pack.key for pack in self.tables if pack not in self.problems}
        self.site.mirror.distrust(damaged - good)  # a commit may be wrong about a pack that is good

    # contents

    def find_lacking(self, contents: Iterable[Content], pins: Collection[PackRef]) -> set[Digest]:
        """Return the contents that are not good, with all that they are made of, in packs that a root is pinned to.

        Raises UnavailableError.
        """
        catalog = self._open(pins)
        keys = catalog.packs.keys()
        small: set[Digest] = set()
        large: dict[Digest, int] = {}
        for digest, size_bytes in contents:
            if not Content(digest, size_bytes).is_small:
                if not self._large.get(digest, {""}) <= keys:
                    large[digest] = size_bytes
            elif self._small.get(digest) not in keys:
                small.add(digest)
        found = self._locate(catalog, BLOB, small)
        self._small.update((digest, place.pack.key) for digest, place in found.items())
        lacking = small - found.keys()
        for group in _split(large, _RECIPES_AT_ONCE):
            for digest, chunks, packs in self._read_recipes(catalog, group):
                if chunks is None or sum(chunk.size_bytes for chunk in chunks) != large[digest]:
                    lacking.add(digest)
                else:
                    self._large[digest] = packs
            lacking.update(digest for digest in group if not self._large.get(digest, {""}) <= keys)
        return lacking

    def read_small_trees(self, roots: Iterable[tuple[Digest, Collection[PackRef]]]) -> dict[Digest, bytes]:
        """Return those trees that are one good record, several read at once."""
        places: dict[Digest, Place] = {}
        for digest, pins in roots:
            places.update(self._locate(self._open(pins), BLOB, [digest]))
        return read_contents(self.site, places.values())

    def read_tree(self, digest: Digest, pins: Collection[PackRef]) -> bytes | None:
        """Return a verified tree from packs that its root is pinned to, or None where it is not good in them."""
        catalog = self._open(pins)
        small = self._read(catalog, BLOB, [digest])
        if digest in small:
            return small[digest]
        for _, chunks, _ in self._read_recipes(catalog, [digest]):
            if chunks is None or sum(chunk.size_bytes for chunk in chunks) > MAX_TREE_BYTES:
                return None
            blobs = self._read(catalog, BLOB, [chunk.digest for chunk in chunks])
            data = b"".join([blobs.get(chunk.digest, b"") for chunk in chunks])
            return data if hash_bytes(data, algorithm_of(digest).name) == digest else None
        return None

    def _open(self, pins: Collection[PackRef]) -> Catalog:
        """Return where the records lie in those packs that are there and whose end is good."""
        good = [
            pack
            for pack in sorted(pins)
            if pack in self._indexes and self.problems.get(pack, _NO_PROBLEM).kind != DOOMED
        ]
        catalog = Catalog(good)
        for pack in good:
            catalog.add(self._indexes[pack])
        return catalog

    def _locate(self, catalog: Catalog, kind: int, digests: Collection[Digest]) -> dict[Digest, Place]:
        found = catalog.locate(kind, digests)
        if self._damaged:
            for digest, place in list(found.items()):
                if self._is_damaged(kind, digest, place):
                    others = catalog.find_anywhere(kind, digest)
                    other = next((place for place in others if not self._is_damaged(kind, digest, place)), None)
                    if other is None:
                        del found[digest]
                    else:
                        found[digest] = other
        return found

    def _is_damaged(self, kind: int, digest: Digest, place: Place) -> bool:
        return (kind, digest) in self._damaged.get(place.pack.key, ())

    def _read(self, catalog: Catalog, kind: int, digests: Collection[Digest]) -> dict[Digest, bytes]:
        """Return the contents of records that are good somewhere; what is not becomes a problem of its pack."""
        contents: dict[Digest, bytes] = {}
        pending = set(digests)
        while pending:
            failures: dict[Key, set[tuple[int, Digest]]] = {}
            found = self._locate(catalog, kind, pending)
            read = itertools.chain.from_iterable(read_places(self.site, found.values(), take_content))
            for location, content in read:
                if isinstance(content, Failure):
                    failures.setdefault(content.pack, set()).add((kind, location.digest))
                else:
                    contents[location.digest] = content
            for pack, records in failures.items():
                self.blame_records(pack, records)
            pending = {digest for records in failures.values() for _, digest in records}
        return contents

    def _read_recipes(
        self, catalog: Catalog, digests: Collection[Digest]
    ) -> Iterator[tuple[Digest, list[Chunk] | None, set[Key]]]:
        """Yield of each content whose recipe is good its chunks, or None if not all are there; and their packs."""
        for digest, recipe in self._read(catalog, RECIPE, digests).items():
            packs = {place.pack.key for place in self._locate(catalog, RECIPE, [digest]).values()}
            chunks = find_chunks(recipe, functools.partial(self._read_lower, catalog, packs))
            located = self._locate(catalog, BLOB, {chunk.digest for chunk in chunks or ()})
            packs.update(place.pack.key for place in located.values())
            is_whole = chunks is not None and all(chunk.digest in located for chunk in chunks)
            yield digest, chunks if is_whole else None, packs

    def _read_lower(self, catalog: Catalog, packs: set[Key], digests: list[Digest]) -> dict[Digest, bytes]:
        packs.update(place.pack.key for place in self._locate(catalog, BLOB, digests).values())
        return self._read(catalog, BLOB, digests)


def _size(section: Section) -> int:
    """Return how many bytes the records of a section take."""
    return sum(section.stored) + section.records * (RECORD_HEADER_BYTES + section.algorithm.size_bytes)


def _split(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group


def find_scapegoat(pins: Iterable[PackRef]) -> Key:
    """Return which pack to distrust where a root lacks something though nothing is wrong with its packs.

    The commit was wrong, and a push would believe it.  It is the smallest: what it holds goes up again.
    """
    return min(pins, key=lambda pack: pack.size_bytes).key
