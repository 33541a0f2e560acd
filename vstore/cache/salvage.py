"""Mending a cache: good records of damaged packs move on, what is damaged is set aside, nothing is deleted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from vstore.cache.cache import Cache
from vstore.cache.inspection import DAMAGED, Flaw, PackReading
from vstore.cache.loose import OBJECT_MODE
from vstore.cache.packs import new_pack_name
from vstore.durable import open_atomic, os_errors
from vstore.errors import CorruptError, NewerFormatError, VstoreError
from vstore.objects.digest import Digest
from vstore.objects.pack import PackWriter, read_record
from vstore.objects.recipe import resolve_recipe
from vstore.objects.table import RECIPE


def rebuild_pack(cache: Cache, path: Path) -> None:
    """Write what is good in a damaged pack to a new one, durably, then set the damaged one aside.

    Dying in between leaves both, which harms nobody.  Raises UnavailableError.
    """
    with os_errors(path, "mend"):
        with contextlib.suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:
            good = PackReading(file)
            final = path.parent / new_pack_name()
            records = iter(good)
            first = next(records, None)
            if first is not None:
                with open_atomic(final, mode=cache.file_mode(OBJECT_MODE)) as target:
                    writer = PackWriter(target.write)
                    seen = {first[0][:2]}
                    writer.add_record(first[1], first[0])
                    for location, record in records:
                        if location[:2] not in seen:
                            seen.add(location[:2])
                            writer.add_record(record, location)
                    writer.finish()
        cache.set_file_aside(path, path.name)
    cache.packs.reload()


class Parts(NamedTuple):
    """What a large content is put together from: its chunks, in order, and the contents that only list chunks."""

    chunks: list[Digest]
    lists: list[Digest]


def find_parts(cache: Cache, digest: Digest) -> Parts | None:
    """Return the parts of a large content where packs of a remote, copied into the cache, tell them; else None."""
    for pack in cache.packs.iter_packs():
        location = pack.table.find(RECIPE, digest)
        if location is not None:
            parts = Parts([], [])

            def read(part: Digest, lists: list[Digest] = parts.lists) -> bytes:
                lists.append(part)
                return cache.read(part)

            with contextlib.suppress(VstoreError, OSError):
                recipe = read_record(cache.packs.read(pack, location), location)
                parts.chunks.extend(chunk.digest for chunk in resolve_recipe(recipe, read))
                return parts
    return None


def find_format_flaw(cache: Cache) -> Flaw | None:
    """Return what is wrong with the line that tells a cache's version.  Raises NewerFormatError for another one."""
    try:
        if cache.has_format():
            return None
        reason = "it is not there"
    except NewerFormatError:
        raise
    except CorruptError:
        reason = "it tells no version"
    return Flaw(cache.path / "format", DAMAGED, reason, frozenset())


def mend_format(cache: Cache) -> None:
    """Write the line anew that tells a cache's version."""
    cache.set_file_aside(cache.path / "format", "format")
    cache.create()
