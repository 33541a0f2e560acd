"""What of the packs that a project pins is still of use: the records that any of its roots needs.

Roots are read, tree by tree, and what they need is marked where it lies.  Trees are compared with the one before, so
that of many versions of a directory only what changed is looked at.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Set

from vstore.errors import CorruptError, NeedsUnknownError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.pack import read_record
from vstore.objects.recipe import Chunk
from vstore.objects.table import BLOB, RECIPE, Location
from vstore.objects.tree import Tree, find_contents_in, iter_differing
from vstore.progress import Reporter
from vstore.remote.commits import CommittedRoot
from vstore.remote.content import Source
from vstore.remote.index import (
    ROWS_A_LOOKUP_IS_WORTH,
    Index,
    IndexSection,
    index_from_bytes,
    iter_id_blocks,
    join_indexes,
)
from vstore.remote.layout import PackRef
from vstore.remote.ledger import Site
from vstore.remote.reader import Reader
from vstore.remote.recipes import find_chunks, take_content
from vstore.remote.transport import Key

_RECIPES_AT_ONCE = 256
_SMALL_AT_ONCE = 262_144
_NO_TREE = Tree([]).to_bytes()


class Usage:
    """Which records of some packs are needed, as far as index objects tell of records.

    What they do not tell of is never dead.  What lies in several packs lives in one of them: the longest of those that
    are not ``lost``; so what was uploaded twice is not kept twice.
    A byte of memory for each record beside the indexes themselves.
    """

    def __init__(self, indexes: Iterable[Index], packs: Mapping[Key, PackRef], lost: Collection[Key] = ()) -> None:
        self._lost = lost
        first, *others = indexes = list(indexes) or [Index([], [])]
        if not others and all(packs.get(pack.key) == pack for pack in first.packs):
            self._index = first
        else:
            self._index = index_from_bytes(join_indexes(indexes, lambda pack: packs.get(pack.key) == pack), "index")
        self._marks = [bytearray(len(part.packs)) for part in self._index.sections]

    def mark(self, kind: int, digest: Digest) -> None:
        """Take a record for needed."""
        for part, marks in zip(self._index.sections, self._marks, strict=True):
            if part.section.kind == kind and digest.startswith(part.section.algorithm.name):
                self._mark_home(part, marks, digest)

    def _mark_home(self, part: IndexSection, marks: bytearray, digest: Digest) -> None:
        rows = list(part.rows(digest))
        for row in rows:
            marks[row] = 0
        if rows:
            marks[max(rows, key=functools.partial(self._rank, part)) if len(rows) > 1 else rows[0]] = 1

    def mark_all(self, kind: int, digests: Set[Digest]) -> None:
        """Take records for needed: many are looked for in one go, 0.25 us for each that there is."""
        if len(digests) * ROWS_A_LOOKUP_IS_WORTH < len(self._index):
            for digest in digests:
                self.mark(kind, digest)
            return
        for part, marks in zip(self._index.sections, self._marks, strict=True):
            if part.section.kind != kind:
                continue
            last = None
            for start, block in iter_id_blocks(part.section):
                found = int.from_bytes(map(digests.__contains__, block))
                end = start + len(block)
                marks[start:end] = (int.from_bytes(marks[start:end]) | found).to_bytes(len(block))
                # Ids are sorted: what lies in several packs has rows side by side.
                if block[0] == last or len(set(block)) < len(block):
                    twice = {one for one, other in itertools.pairwise([last, *block]) if one == other}
                    for digest in digests & twice:
                        self._mark_home(part, marks, digest)
                last = block[-1]

    def _rank(self, part: IndexSection, row: int) -> tuple[bool, int, Key, int]:
        pack = self._index.packs[part.packs[row]]
        return pack.key not in self._lost, pack.size_bytes, pack.key, row

    def find_home(self, pack: PackRef, location: Location) -> PackRef | None:
        """Return in which pack a record of a pack lives; None if no root needs it."""
        for part, marks in zip(self._index.sections, self._marks, strict=True):
            if part.section.kind == location.kind and location.digest.startswith(part.section.algorithm.name):
                found = {self._index.packs[part.packs[row]]: marks[row] for row in part.rows(location.digest)}
                if pack in found:
                    return next((home for home, mark in found.items() if mark), None)
        return pack

    def iter_elsewhere(self, packs: Collection[PackRef]) -> Iterator[tuple[PackRef, Location]]:
        """Yield where records of some packs lie that live in none of these, with the pack in which they live."""
        wanted = {number for number, pack in enumerate(self._index.packs) if pack in packs}
        for part, marks in zip(self._index.sections, self._marks, strict=True):
            for row, mark in enumerate(marks):
                if not mark and part.packs[row] in wanted:
                    location = part.section.location(row)
                    homes = {part.packs[other] for other in part.rows(location.digest) if marks[other]}
                    yield from ((self._index.packs[home], location) for home in homes - wanted)

    def dead_bytes(self) -> dict[PackRef, int]:
        """Return how many bytes of each pack are in records that no root needs, or that live in another pack."""
        dead = [0] * len(self._index.packs)
        for part, marks in zip(self._index.sections, self._marks, strict=True):
            overhead = part.section.location(0).record_bytes - part.section.stored[0] if marks else 0
            for row, mark in enumerate(marks):
                if not mark:
                    dead[part.packs[row]] += part.section.stored[row] + overhead
        return dict(zip(self._index.packs, dead, strict=True))


def find_usage(usage: Usage, site: Site, roots: Collection[CommittedRoot], source: Source, reporter: Reporter) -> Usage:
    """Mark all that some roots need.

    Trees are taken from ``source`` where it holds them.  Raises NeedsUnknownError, UnavailableError.
    """
    reader = Reader(site, {root.digest for root in roots}, reporter)
    large: set[Digest] = set()
    small: set[Digest] = set()

    def need(contents: Iterable[tuple[Digest, int]]) -> None:
        for digest, size_bytes in contents:
            (large if size_bytes > SMALL_BYTES else small).add(digest)
        if len(small) >= _SMALL_AT_ONCE:
            usage.mark_all(BLOB, small)
            small.clear()

    trees = {root.digest for root in roots if root.kind == "tree"}
    need((root.digest, root.size_bytes) for root in roots if root.kind == "file")
    reporter.begin("looking at versions", total=len(trees), unit="objects")
    try:
        before, seen = _NO_TREE, 0
        for digest, tree in _iter_trees(trees, source, reader):
            need([(digest, len(tree))])
            for _, lines in iter_differing(before, tree):
                need(find_contents_in(lines))
            before, seen = tree, seen + 1
            reporter.advance()
        if seen < len(trees):
            raise _unknown(f"{len(trees) - seen} directories")
        usage.mark_all(BLOB, small)
        _mark_large(usage, large, reader)
    except CorruptError as error:
        raise _unknown(error.message) from error
    finally:
        reporter.end()
    return usage


def _iter_trees(trees: Collection[Digest], source: Source, reader: Reader) -> Iterator[tuple[Digest, bytes]]:
    lacking = []
    for digest in sorted(trees):
        tree = _find_tree(digest, source)
        if tree is None:
            lacking.append(digest)
        else:
            yield digest, tree
    if lacking:
        yield from reader.read_contents(lacking)


def _find_tree(digest: Digest, source: Source) -> bytes | None:
    found = source.find_record(digest)
    if found is not None:
        return read_record(found[1], found[0])
    file = source.open_large(digest)
    if file is None:
        return None
    with file:
        data = file.read()
    return data if hash_bytes(data, algorithm_of(digest).name) == digest else None


def _mark_large(usage: Usage, large: Collection[Digest], reader: Reader) -> None:
    """Mark the recipes of large contents, and all that they list, several read at once."""
    digests = iter(sorted(large))
    while group := list(itertools.islice(digests, _RECIPES_AT_ONCE)):
        recipes = {location.digest: recipe for location, recipe in reader.read(RECIPE, group, take_content)}
        if len(recipes) < len(group):
            raise _unknown(f"{len(group) - len(recipes)} large files")
        for digest, recipe in recipes.items():
            usage.mark(RECIPE, digest)
            chunks = find_chunks(recipe, functools.partial(_read_lower, usage, reader))
            if chunks is None:
                raise _unknown(f"the recipe of {digest}")
            _mark_chunks(usage, chunks)


def _read_lower(usage: Usage, reader: Reader, digests: list[Digest]) -> dict[Digest, bytes]:
    for digest in digests:
        usage.mark(BLOB, digest)
    return reader.read_blobs(digests)


def _mark_chunks(usage: Usage, chunks: Iterable[Chunk]) -> None:
    for chunk in chunks:
        usage.mark(BLOB, chunk.digest)


def _unknown(what: str) -> NeedsUnknownError:
    return NeedsUnknownError(f"what is needed is not known, for it cannot be read: {what}")
