"""Recipes: which chunks, in which order, make up a content too big for one record.

A recipe that is itself too big for one record is cut like any content, and a recipe one level higher lists
its pieces.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vstore.errors import CorruptError, NewerFormatError
from vstore.objects.chunking import MAX_CHUNK_BYTES, SMALL_BYTES, Cutter, cut
from vstore.objects.digest import ALGORITHMS_BY_CODE, Buffer, Digest, algorithm_of, hash_bytes, split_raw, to_raw

RECIPE_VERSION = 1
_HEADER = struct.Struct("<8sHBBIQ")  # magic, version, level, algorithm, count, bytes described
_MAGIC = b"vst-recp"
_MAX_LEVEL = 4
_MAX_LOWER_BYTES = 1024 * 1024 * 1024  # the chunks of 13 TB: a small hostile recipe cannot ask for more memory


class Chunk(NamedTuple):
    """A stretch of a content."""

    digest: Digest
    size_bytes: int


class Recipe(NamedTuple):
    """The chunks of a content (level 0) or of a recipe one level lower."""

    level: int
    chunks: list[Chunk]

    @property
    def size_bytes(self) -> int:
        """The length of what the chunks make up."""
        return sum(chunk.size_bytes for chunk in self.chunks)


def recipe_to_bytes(recipe: Recipe) -> bytes:
    """Return the one encoding of a recipe; it has at least one chunk, all of one algorithm."""
    lengths = array("I", [chunk.size_bytes for chunk in recipe.chunks])
    if sys.byteorder == "big":
        lengths.byteswap()
    algorithm = algorithm_of(recipe.chunks[0].digest)
    header = _HEADER.pack(_MAGIC, RECIPE_VERSION, recipe.level, algorithm.code, len(recipe.chunks), recipe.size_bytes)
    return header + b"".join([to_raw(chunk.digest) for chunk in recipe.chunks]) + lengths.tobytes()


def recipe_from_bytes(data: Buffer) -> Recipe:
    """Parse a recipe.  Raises CorruptError, NewerFormatError."""
    if len(data) < _HEADER.size:
        raise CorruptError("a recipe is too short")
    magic, version, level, code, count, size_bytes = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise CorruptError("not a recipe")
    if version != RECIPE_VERSION:
        raise NewerFormatError(f"a recipe has format version {version}", version=version)
    algorithm = ALGORITHMS_BY_CODE.get(code)
    if algorithm is None or level > _MAX_LEVEL or len(data) != _HEADER.size + count * (algorithm.size_bytes + 4):
        raise CorruptError("a recipe does not have the length it says")
    ids_end = _HEADER.size + count * algorithm.size_bytes
    lengths = array("I")
    lengths.frombytes(bytes(data[ids_end:]))
    if sys.byteorder == "big":
        lengths.byteswap()
    if not count or not 0 < min(lengths) <= max(lengths) <= MAX_CHUNK_BYTES or sum(lengths) != size_bytes:
        raise CorruptError("a recipe has chunks of impossible lengths")
    return Recipe(level, list(map(Chunk, split_raw(data[_HEADER.size : ids_end], algorithm), lengths)))


def build_recipe(chunks: Sequence[Chunk], emit: Callable[[Digest, bytes], None], *, cut: Cutter = cut) -> bytes:
    """Return the bytes of the recipe record for ``chunks``, at most 256 KiB.

    Where levels are needed, the pieces of the lower ones are given to ``emit`` as blobs.
    """
    algorithm = algorithm_of(chunks[0].digest).name
    level = 0
    while len(data := recipe_to_bytes(Recipe(level, list(chunks)))) > SMALL_BYTES:
        pieces, start = [], 0
        for length in cut(memoryview(data)):
            piece = data[start : start + length]
            digest = hash_bytes(piece, algorithm)
            emit(digest, piece)
            pieces.append(Chunk(digest, length))
            start += length
        chunks = pieces
        level += 1
    return data


def resolve_recipe(data: bytes, read_blob: Callable[[Digest], bytes]) -> list[Chunk]:
    """Return the chunks of the content that a recipe record describes, reading lower levels by ``read_blob``.

    ``read_blob`` returns verified bytes.  Raises CorruptError, and what ``read_blob`` raises.
    """
    recipe = recipe_from_bytes(data)
    while recipe.level:
        if recipe.size_bytes > _MAX_LOWER_BYTES:
            raise CorruptError("a recipe describes a recipe of impossible length")
        lower = b"".join([read_blob(chunk.digest) for chunk in recipe.chunks])
        below = recipe_from_bytes(lower)
        if below.level != recipe.level - 1 or len(lower) != recipe.size_bytes:
            raise CorruptError("the levels of a recipe do not fit each other")
        recipe = below
    return recipe.chunks
