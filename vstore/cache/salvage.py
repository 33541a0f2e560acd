"""Mending a cache: good records of damaged packs move on, what is damaged is set aside, nothing is deleted."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from vstore.cache.cache import Cache
from vstore.cache.inspection import DAMAGED, Flaw, PackReading
from vstore.cache.loose import OBJECT_MODE
from vstore.cache.packs import PackFile, new_pack_name
from vstore.durable import open_atomic, os_errors
from vstore.errors import CorruptError, NewerFormatError, VstoreError
from vstore.objects.digest import Digest
from vstore.objects.pack import PackWriter
from vstore.objects.table import BLOB

_LOOSE_NAME = re.compile(r"(xxh128-[0-9a-f]{32}|blake3-[0-9a-f]{64})-.*")


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


def iter_set_aside(cache: Cache) -> Iterator[Digest]:
    """Yield what is known to have been in files that were set aside: it was here, and may not be any more."""
    damaged = cache.path / "damaged"
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(damaged)):
            match = _LOOSE_NAME.fullmatch(name)
            if match:
                yield Digest(match[1].replace("-", ":", 1))
                continue
            with contextlib.suppress(OSError, VstoreError):
                yield from PackFile(damaged / name).table.digests(BLOB)


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
