"""Reading recipes at a remote: the lower levels of a long one are read together, not piece by piece."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

from vstore.errors import CorruptError
from vstore.objects.digest import Digest
from vstore.objects.recipe import Chunk, recipe_from_bytes, resolve_recipe
from vstore.objects.table import Location
from vstore.remote.catalog import Place
from vstore.remote.ledger import Site
from vstore.remote.spans import Failure, read_places


def find_chunks(recipe: bytes, read_blobs: Callable[[list[Digest]], Mapping[Digest, bytes]]) -> list[Chunk] | None:
    """Return the chunks that a recipe lists, or None if it or a lower level of it is damaged or missing.

    ``read_blobs`` returns the verified contents of those blobs that are good.
    """
    blobs: dict[Digest, bytes] = {}

    def read_blob(digest: Digest) -> bytes:
        if digest not in blobs:
            blobs.update(read_blobs([digest]))
        return blobs[digest]

    try:
        top = recipe_from_bytes(recipe)
        if top.level:
            blobs.update(read_blobs([chunk.digest for chunk in top.chunks]))
        return resolve_recipe(recipe, read_blob)
    except (CorruptError, KeyError):
        return None


def read_contents(site: Site, places: Iterable[Place]) -> dict[Digest, bytes]:
    """Return the verified contents of those records that are good where they should be."""
    read = itertools.chain.from_iterable(read_places(site, places, take_content))
    return {location.digest: content for location, content in read if not isinstance(content, Failure)}


def take_content(_location: Location, _record: memoryview, content: bytes) -> bytes:
    """Take the content of a record, and nothing else."""
    return content
