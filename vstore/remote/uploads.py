"""Step 4 of a push: taking what the remote lacks from the cache, in the order of the paths, in batches for packs.

Small contents are copied as they are stored.  Large ones are cut, and only the chunks that the remote lacks are
taken.  Recipes are kept together at the end, so that they are read with few requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from vstore.durable import os_errors
from vstore.errors import CorruptError, ObjectMissingError
from vstore.objects.chunking import iter_chunks
from vstore.objects.digest import Digest, Hasher, algorithm_of, hash_bytes
from vstore.objects.recipe import Chunk, build_recipe, resolve_recipe
from vstore.objects.table import BLOB, RECIPE, Location
from vstore.remote.content import Content, Source
from vstore.remote.draft import Draft
from vstore.remote.packer import Batch, Packer
from vstore.remote.spans import Failure, read_places
from vstore.remote.transport import Key

_RECIPES_BYTES = 8 * 1024 * 1024


class _Salvaged(NamedTuple):
    location: Location
    record: bytes
    content: bytes


class Uploads:
    """Fills packs of one session with what a draft lacks, and notes in the draft where everything will be."""

    def __init__(self, draft: Draft, source: Source, session: str) -> None:
        self.missing: set[Digest] = set()
        """Contents that are neither in the source nor anywhere at the remote."""
        self._draft = draft
        self._source = source
        self._packer = Packer(session)
        self._recipes: list[tuple[int, Digest, bytes, set[Key]]] = []
        self._recipes_bytes = 0
        self._progress = 0

    def take_progress(self) -> int:
        """Return how many bytes of content were dealt with since the last call."""
        taken, self._progress = self._progress, 0
        return taken

    def iter_batches(self) -> Iterator[Batch]:
        """Yield the batches, full ones first."""
        blobs, large = self._draft.blobs, self._draft.large
        for root in self._draft.new_roots():
            for content in root.contents:
                if content.is_small:
                    if content.digest not in blobs:
                        self._add_small(content)
                elif content.digest not in large:
                    yield from self._add_large(content)
                if self._packer.is_full:
                    yield from self._take()
        self._add_recipes()
        yield from self._take()

    def _take(self) -> Iterator[Batch]:
        batch = self._packer.take_batch()
        if batch is not None:
            yield batch

    def _add_small(self, content: Content) -> None:
        found = self._source.find_record(content.digest)
        if found is None:
            salvaged = self._salvage(BLOB, content.digest)
            if salvaged is None:
                self.missing.add(content.digest)
                return
            found = salvaged.location, salvaged.record
        location, record = found
        self._draft.blobs[content.digest] = self._packer.add_record(record, location)
        self._progress += content.size_bytes

    def _salvage(self, kind: int, digest: Digest) -> _Salvaged | None:
        """Return a verified record from any pack that is still there, also one that may not be relied upon."""
        for place in self._draft.catalog.find_anywhere(kind, digest):
            for _, result in read_places(self._draft.site, [place], _salvaged):
                if not isinstance(result, Failure):
                    return result
        return None

    def _add_large(self, content: Content) -> Iterator[Batch]:
        file = self._source.open_large(content.digest)
        if file is None:
            yield from self._copy_large(content)
            return
        pins: set[Key] = set()
        chunks: list[Chunk] = []
        algorithm = algorithm_of(content.digest).name
        hasher = Hasher(algorithm)
        with file:
            for piece in _iter_pieces(file, content.digest):
                hasher.update(piece)
                chunk = Chunk(hash_bytes(piece, algorithm), len(piece))
                chunks.append(chunk)
                key = self._find_chunk(chunk.digest)
                if key is None:
                    key = self._draft.blobs[chunk.digest] = self._packer.add(
                        BLOB, chunk.digest, bytes(piece), chunk.digest
                    )
                pins.add(key)
                self._progress += len(piece)
                if self._packer.is_full:
                    yield from self._take()
        if hasher.digest() != content.digest:
            raise CorruptError(f"the cached object {content.digest} is damaged", digest=content.digest)
        recipe = build_recipe(chunks, lambda lower, data: self._keep_recipe(BLOB, lower, data, pins))
        self._keep_recipe(RECIPE, content.digest, recipe, pins)
        self._draft.large[content.digest] = pins
        if self._recipes_bytes > _RECIPES_BYTES:
            self._add_recipes()

    def _find_chunk(self, digest: Digest) -> Key | None:
        key = self._draft.blobs.get(digest)
        if key is None and (place := self._draft.catalog.find(BLOB, digest)) is not None:
            key = self._draft.blobs[digest] = place.pack.key
        return key

    def _keep_recipe(self, kind: int, digest: Digest, data: bytes, pins: set[Key]) -> None:
        self._recipes.append((kind, digest, data, pins))
        self._recipes_bytes += len(data)

    def _add_recipes(self) -> None:
        for kind, digest, data, pins in self._recipes:
            key = self._find_chunk(digest) if kind == BLOB else None
            if key is None:
                key = self._packer.add(kind, digest, data, hash_bytes(data, algorithm_of(digest).name))
                if kind == BLOB:
                    self._draft.blobs[digest] = key
            pins.add(key)
        self._recipes.clear()
        self._recipes_bytes = 0

    def _copy_large(self, content: Content) -> Iterator[Batch]:
        """Bring what is not held here from packs that may no longer be relied upon to where it is safe."""
        pins: set[Key] = set()

        def read_lower(digest: Digest) -> bytes:
            pins.add(self._bring_chunk(digest))
            return self._need(BLOB, digest).content

        try:
            recipe = self._need(RECIPE, content.digest)
            for chunk in resolve_recipe(recipe.content, read_lower):
                pins.add(self._bring_chunk(chunk.digest))
                self._progress += chunk.size_bytes
                if self._packer.is_full:
                    yield from self._take()
        except (CorruptError, ObjectMissingError):
            self.missing.add(content.digest)
            return
        pins.add(self._packer.add_record(recipe.record, recipe.location))
        self._draft.large[content.digest] = pins

    def _bring_chunk(self, digest: Digest) -> Key:
        key = self._find_chunk(digest)
        if key is None:
            found = self._need(BLOB, digest)
            key = self._draft.blobs[digest] = self._packer.add_record(found.record, found.location)
        return key

    def _need(self, kind: int, digest: Digest) -> _Salvaged:
        found = self._salvage(kind, digest)
        if found is None:
            raise ObjectMissingError(f"nothing holds {digest}", digests=[digest])
        return found


def _iter_pieces(file: BinaryIO, digest: Digest) -> Iterator[memoryview]:
    with os_errors(digest, "read the cached object"):
        yield from iter_chunks(file)


def _salvaged(location: Location, record: memoryview, content: bytes) -> _Salvaged:
    return _Salvaged(location, bytes(record), content)
