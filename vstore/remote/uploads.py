"""Step 4 of a push: taking what the remote lacks from the cache, in the order of the paths, as packs.

Small contents are copied as they are stored.  Large ones are cut, and only the chunks that the remote lacks are
taken.  Recipes are kept together at the end, so that they are read with few requests.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from vstore.durable import os_errors
from vstore.errors import CorruptError, ObjectMissingError
from vstore.objects.chunking import iter_chunks
from vstore.objects.digest import Digest, Hasher, algorithm_of, hash_bytes
from vstore.objects.pack import encode_record
from vstore.objects.recipe import Chunk, build_recipe, resolve_recipe
from vstore.objects.table import BLOB, RECIPE, Location
from vstore.parallel import map_ordered
from vstore.remote.content import Arriving, Content, Source
from vstore.remote.draft import Draft
from vstore.remote.packer import BuiltPack, Packer
from vstore.remote.spans import Failure, read_places
from vstore.remote.transport import Key

_RECIPES_BYTES = 8 * 1024 * 1024
_WINDOW_BYTES = 4 * 1024 * 1024
_ENCODERS = 2


class _Salvaged(NamedTuple):
    location: Location
    record: bytes
    content: bytes


class _Window(NamedTuple):
    """Some neighbouring chunks of a large content; ``pieces`` is None where the source does not hold it.

    Only the last of a content has its digest: the others have one of the same algorithm that means nothing.
    """

    content: Content
    pieces: list[bytes] | None
    is_last: bool


class _Piece(NamedTuple):
    """A chunk: in which pack it is known to be, or the record to add."""

    chunk: Chunk
    pack: Key | None
    record: tuple[bytes, Location] | None


_Encoded = tuple[Content, "list[_Piece] | None", bool]


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
        self._pins: set[Key] = set()
        """The packs of the large content that is being cut, as far as it is."""
        self._chunks: list[Chunk] = []

    def note_upload(self, size_bytes: int, seconds: float) -> None:
        """Learn how long the upload of a pack took; called in worker threads."""
        self._packer.note_upload(size_bytes, seconds)

    def take_progress(self) -> int:
        """Return how many bytes of content were dealt with since the last call."""
        taken, self._progress = self._progress, 0
        return taken

    def iter_packs(self) -> Iterator[BuiltPack]:
        """Yield the packs, full ones first."""
        for root in self._draft.new_roots():
            for is_small, run in itertools.groupby(root.contents, key=operator.attrgetter("is_small")):
                if is_small:
                    yield from self._add_small(run)
                else:
                    yield from self._add_large(run)
        yield from self._add_recipes()
        yield from self._take()

    def _take(self) -> Iterator[BuiltPack]:
        pack = self._packer.take_pack()
        if pack is not None:
            yield pack

    def _add_small(self, run: Iterable[Content]) -> Iterator[BuiltPack]:
        blobs, packer = self._draft.blobs, self._packer
        for digest, size_bytes in run:
            if digest in blobs or digest in self.missing:
                continue
            found = self._source.find_record(digest)
            if found is None:
                salvaged = self._salvage(BLOB, digest)
                if salvaged is None:
                    self.missing.add(digest)
                    continue
                found = salvaged.location, salvaged.record
            blobs[digest] = packer.add(found[1], found[0])
            self._progress += size_bytes
            if packer.is_full:
                yield from self._take()

    def _salvage(self, kind: int, digest: Digest) -> _Salvaged | None:
        """Return a verified record from any pack that is still there, also one that may not be relied upon."""
        for place in self._draft.catalog.find_anywhere(kind, digest):
            for ((_, result),) in read_places(self._draft.site, [place], _salvaged):
                if not isinstance(result, Failure):
                    return result
        return None

    def add_incoming(self, incoming: Arriving) -> Iterator[BuiltPack]:
        """Yield packs with what comes from elsewhere, as it comes; it is then in the draft, like all that is there."""
        for file in incoming:
            if isinstance(file, bytes):
                digest = hash_bytes(file, incoming.algorithm)
                if self._find_chunk(digest) is None:
                    self._draft.blobs[digest] = self._packer.add(*encode_record(BLOB, digest, file))
                content = Content(digest, len(file))
                self._progress += len(file)
                if self._packer.is_full:
                    yield from self._take()
            else:
                content = Content(no_digest(incoming.algorithm), 0)
                for window in self._encoded(_iter_stream(file, incoming.algorithm)):
                    content = window[0]
                    yield from self._add_window(window)
            incoming.note(content)

    def _add_large(self, run: Iterable[Content]) -> Iterator[BuiltPack]:
        """Cut contents; their chunks are hashed and compressed a few windows ahead."""
        for window in self._encoded(self._iter_windows(run)):
            yield from self._add_window(window)

    def _encoded(self, windows: Iterable[_Window]) -> Iterator[_Encoded]:
        return map_ordered(self._encode, windows, workers=_ENCODERS, ahead=2 * _ENCODERS)

    def _add_window(self, window: _Encoded) -> Iterator[BuiltPack]:
        content, pieces, is_last = window
        if pieces is None:
            yield from self._copy_large(content)
            return
        for chunk, known, record in pieces:
            key = known or self._draft.blobs.get(chunk.digest)
            if key is None and record is not None:
                key = self._draft.blobs[chunk.digest] = self._packer.add(*record)
            assert key is not None
            self._pins.add(key)
            self._chunks.append(chunk)
            self._progress += chunk.size_bytes
            if self._packer.is_full:
                yield from self._take()
        if is_last:
            pins, chunks = self._pins, self._chunks
            self._pins, self._chunks = set(), []
            recipe = build_recipe(chunks, functools.partial(self._keep_recipe, BLOB, pins=pins))
            self._keep_recipe(RECIPE, content.digest, recipe, pins)
            self._draft.large[content.digest] = pins
            if self._recipes_bytes > _RECIPES_BYTES:
                yield from self._add_recipes()

    def _iter_windows(self, run: Iterable[Content]) -> Iterator[_Window]:
        begun: set[Digest] = set()
        for content in run:
            if content.digest in self._draft.large or content.digest in begun:
                continue
            begun.add(content.digest)
            file = self._source.open_large(content.digest)
            if file is None:
                yield _Window(content, None, is_last=True)
                continue
            with file:
                for window in _iter_stream(file, algorithm_of(content.digest).name, content.digest):
                    if window.is_last and window.content.digest != content.digest:
                        raise CorruptError(f"the cached object {content.digest} is damaged", digest=content.digest)
                    yield window

    def _encode(self, window: _Window) -> _Encoded:
        """Hash the chunks of a window and encode those that the remote lacks; called in worker threads."""
        content, pieces, is_last = window
        if pieces is None:
            return content, None, is_last
        algorithm = algorithm_of(content.digest).name
        encoded = []
        for data in pieces:
            chunk = Chunk(hash_bytes(data, algorithm), len(data))
            key = self._find_chunk(chunk.digest)
            encoded.append(_Piece(chunk, key, None if key else encode_record(BLOB, chunk.digest, data)))
        return content, encoded, is_last

    def _find_chunk(self, digest: Digest) -> Key | None:
        """Return the pack that holds, or will hold, a chunk.  Thread-safe."""
        key = self._draft.blobs.get(digest)
        if key is None and (place := self._draft.catalog.find(BLOB, digest)) is not None:
            key = self._draft.blobs[digest] = place.pack.key
        return key

    def _keep_recipe(self, kind: int, digest: Digest, data: bytes, pins: set[Key]) -> None:
        self._recipes.append((kind, digest, data, pins))
        self._recipes_bytes += len(data)

    def _add_recipes(self) -> Iterator[BuiltPack]:
        for kind, digest, data, pins in self._recipes:
            key = self._find_chunk(digest) if kind == BLOB else None
            if key is None:
                check = hash_bytes(data, algorithm_of(digest).name)
                key = self._packer.add(*encode_record(kind, digest, data, check=check))
                if kind == BLOB:
                    self._draft.blobs[digest] = key
            pins.add(key)
            if self._packer.is_full:
                yield from self._take()
        self._recipes.clear()
        self._recipes_bytes = 0

    def _copy_large(self, content: Content) -> Iterator[BuiltPack]:
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
        pins.add(self._packer.add(recipe.record, recipe.location))
        self._draft.large[content.digest] = pins

    def _bring_chunk(self, digest: Digest) -> Key:
        key = self._find_chunk(digest)
        if key is None:
            found = self._need(BLOB, digest)
            key = self._draft.blobs[digest] = self._packer.add(found.record, found.location)
        return key

    def _need(self, kind: int, digest: Digest) -> _Salvaged:
        found = self._salvage(kind, digest)
        if found is None:
            raise ObjectMissingError(f"nothing holds {digest}", digests=[digest])
        return found


def _iter_stream(file: BinaryIO, algorithm: str, name: str = "what is pushed") -> Iterator[_Window]:
    """Cut a large content, hashing it as a whole; ``name`` is for errors."""
    hasher = Hasher(algorithm)
    unknown = Content(no_digest(algorithm), 0)
    pieces: list[bytes] = []
    size_bytes = held_bytes = 0
    with os_errors(name, "read"):
        for piece in iter_chunks(file):
            hasher.update(piece)
            if held_bytes >= _WINDOW_BYTES:
                yield _Window(unknown, pieces, is_last=False)
                pieces, held_bytes = [], 0
            pieces.append(bytes(piece))
            held_bytes += len(piece)
            size_bytes += len(piece)
    yield _Window(Content(hasher.digest(), size_bytes), pieces, is_last=True)


def no_digest(algorithm: str) -> Digest:
    """Return what stands for a digest of an algorithm that is not known, and is that of nothing."""
    return Digest(f"{algorithm}:")


def _salvaged(location: Location, record: memoryview, content: bytes) -> _Salvaged:
    return _Salvaged(location, bytes(record), content)
