"""Finding out what packs hold when nothing says any more what was pushed: trees first, and files that no tree names.

Which of them somebody's pointer once named cannot be known.  A tree says so in its first line; what is neither a
tree, nor in one, nor a chunk, was a file by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Set
from typing import NamedTuple

from vstore.errors import VstoreError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest
from vstore.objects.table import BLOB, RECIPE, Location
from vstore.objects.tree import TREE_HEADER, Entry, Tree, find_digests
from vstore.progress import Reporter
from vstore.remote.catalog import Catalog
from vstore.remote.reader import Reader
from vstore.remote.recipes import find_chunks, take_content
from vstore.remote.unpinned import Unpinned

_MAGIC = TREE_HEADER.encode()


class Recovered(NamedTuple):
    """A tree or file that is there with all that it needs; ``files`` counts those in a tree."""

    digest: Digest
    kind: str
    size_bytes: int
    files: int


class Recovery(NamedTuple):
    """What was found: the largest first, trees before files; ``torn`` counts trees of which something is missing."""

    found: list[Recovered]
    torn: int


def recover(unpinned: Unpinned, reporter: Reporter) -> Recovery:
    """Read all packs that no commit names, and say what they hold whole.

    Every byte in them is read; of what is found only names and lengths are kept.  Raises UnavailableError.
    """
    return _Search(unpinned, reporter).run()


class _Search:
    def __init__(self, unpinned: Unpinned, reporter: Reporter) -> None:
        self._catalog: Catalog = unpinned.catalog()
        self._reader: Reader = unpinned.open_reader()
        self._reporter = reporter
        self._lengths = self._catalog.lengths(BLOB)
        self._large: dict[Digest, int] = {}
        self._parts: set[Digest] = set()
        """Blobs that are a piece of something larger."""
        self._trees: dict[Digest, Recovered] = {}
        self._named: set[Digest] = set()
        """What is in a tree."""
        self._torn: set[Digest] = set()

    def run(self) -> Recovery:
        for digest in self._read_recipes():
            self._take_tree(digest, next((tree for _, tree in self._reader.read_contents([digest])), b""))
        alone = self._lengths.keys() - self._parts
        damaged = alone - self._read_blobs(alone)
        for digest in [digest for digest in self._trees if damaged and self._needs(digest, damaged)]:
            del self._trees[digest]
            self._torn.add(digest)
        files = {**{digest: self._lengths[digest] for digest in alone - damaged}, **self._large}
        found = list(self._trees.values())
        found += [
            Recovered(d, "file", files[d], 1) for d in files.keys() - self._named - self._trees.keys() - self._torn
        ]
        found.sort(key=lambda one: (one.kind != "tree", -one.size_bytes, one.digest))
        return Recovery(found, len(self._torn))

    def _read_recipes(self) -> list[Digest]:
        """Learn which large contents are there, and return those that may be trees."""
        trees: list[Digest] = []
        for location, recipe in self._reader.read(RECIPE, self._catalog.lengths(RECIPE), take_content):
            lower: set[Digest] = set()
            chunks = find_chunks(recipe, functools.partial(self._read_lower, lower))
            self._parts |= lower
            if chunks is None:
                continue
            digests = {chunk.digest for chunk in chunks}
            self._parts |= digests
            if digests <= self._lengths.keys():
                self._large[location.digest] = sum(chunk.size_bytes for chunk in chunks)
                first = chunks[0].digest
                if self._reader.read_blobs([first]).get(first, b"").startswith(_MAGIC):
                    trees.append(location.digest)
        return trees

    def _read_lower(self, lower: set[Digest], digests: list[Digest]) -> dict[Digest, bytes]:
        lower.update(digests)
        return self._reader.read_blobs(digests)

    def _read_blobs(self, digests: Set[Digest]) -> set[Digest]:
        """Read blobs, look for trees in them, and return those that are good."""
        good: set[Digest] = set()
        self._reporter.begin("reading packs", total=len(digests), unit="objects")
        try:
            for location, tree in self._reader.read(BLOB, digests, _take_tree):
                good.add(location.digest)
                if tree is not None:
                    self._take_tree(location.digest, tree)
                self._reporter.advance()
        finally:
            self._reporter.end()
        return good

    def _take_tree(self, digest: Digest, data: bytes) -> None:
        try:
            tree = Tree.from_bytes(data)
        except VstoreError:
            return  # a file that only begins like one
        contents = [entry for entry in tree.entries if entry.is_file]
        self._named.update(entry.digest for entry in contents)
        if all(self._holds(entry) for entry in contents):
            self._trees[digest] = Recovered(digest, "tree", tree.size_bytes, tree.files)
        else:
            self._torn.add(digest)

    def _holds(self, entry: Entry) -> bool:
        is_small = entry.size_bytes <= SMALL_BYTES
        return (self._lengths if is_small else self._large).get(entry.digest) == entry.size_bytes

    def _needs(self, digest: Digest, contents: Set[Digest]) -> bool:
        """Tell whether a tree needs some of what is damaged."""
        trees = self._reader.read_contents([digest])
        return any(not contents.isdisjoint(find_digests(tree)) for _, tree in trees)


def _take_tree(_location: Location, _record: memoryview, content: bytes) -> bytes | None:
    """Take what may be a tree, and of all else nothing."""
    return content if content.startswith(_MAGIC) else None
