"""Taking stock of a cache: what lies in it, how large and how old, and what dead commands left."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.cache.cache import USERS, Cache
from vstore.cache.packs import PACK_SUFFIX, PackFile
from vstore.durable import TEMPORARY_PREFIX, is_temporary, os_errors
from vstore.errors import CorruptError, NewerFormatError, VstoreError
from vstore.objects.digest import DIGEST_PATTERN, Digest, split_raw
from vstore.objects.pack import FOOTER_BYTES, footer_from_bytes, parse_table
from vstore.objects.table import BLOB, RECORD_HEADER_BYTES, Table

_DIGEST = re.compile(DIGEST_PATTERN)
_PART = re.compile(r"(xxh128-[0-9a-f]{32}|blake3-[0-9a-f]{64})|(import-[0-9a-f]{32}(?:-held)?)")
_ASIDE = re.compile(
    rf"(?:(xxh128-[0-9a-f]{{32}}|blake3-[0-9a-f]{{64}})|.+(\{PACK_SUFFIX})|format)-{TEMPORARY_PREFIX}.*"
)


class LooseObject(NamedTuple):
    """A large content; ``links`` is how many names its file has, those in work trees included."""

    digest: Digest
    path: str
    size_bytes: int
    mtime_ns: int
    links: int


class HeldPack(NamedTuple):
    """A pack whose table is good."""

    path: Path
    size_bytes: int
    mtime_ns: int
    table: Table

    def iter_records(self) -> Iterator[tuple[Digest, int]]:
        """Yield the digest and the length of every record; 0.3 us each."""
        for section in self.table.sections:
            head_bytes = RECORD_HEADER_BYTES + section.algorithm.size_bytes
            digests = split_raw(section.ids, section.algorithm)
            yield from zip(digests, [head_bytes + stored for stored in section.stored], strict=True)


class Leftover(NamedTuple):
    """What a dead command left; ``digest`` is that of the content it should have become, where we know.

    ``is_import``: it is a part of an import, which a later one goes on with.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    digest: Digest | None
    is_import: bool = False


class SetAside(NamedTuple):
    """What a repair found damaged, and kept; ``digests`` are the contents it should hold, unless not ``tells_all``."""

    path: str
    size_bytes: int
    mtime_ns: int
    digests: frozenset[Digest]
    tells_all: bool


@dataclass(slots=True)
class Inventory:
    """Everything in a cache that has a name of ours.  ``damaged`` are packs whose table cannot be relied upon."""

    loose: list[LooseObject] = field(default_factory=list)
    packs: list[HeldPack] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)


def take_inventory(cache: Cache) -> Inventory:
    """Look at everything in a cache: 3 us a loose object, a read a pack.

    What has a strange name is left out.  Raises NewerFormatError for a pack of another version, UnavailableError.
    """
    found = Inventory()
    with os_errors(cache.path, "read"):
        for directory in (cache.path, cache.objects, cache.packs.directory, cache.path / USERS):
            found.leftovers += iter_leftovers(directory)
        found.leftovers += iter_leftovers(cache.path / "partial", of_contents=True)
        found.set_aside += list_set_aside(cache)
        for algorithm in _iter_directories(cache.objects):
            for first in _iter_directories(Path(algorithm.path)):
                _take_objects(f"{algorithm.name}:{first.name}", first.path, found)
        for entry in sorted(os.scandir(cache.packs.directory), key=lambda entry: entry.name):
            if entry.name.endswith(PACK_SUFFIX) and entry.is_file(follow_symlinks=False):
                _take_pack(Path(entry.path), found)
    return found


def _take_objects(prefix: str, directory: str, found: Inventory) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            digest = prefix + entry.name
            if is_temporary(entry.name) or not entry.is_file(follow_symlinks=False):
                continue
            if _DIGEST.fullmatch(digest):
                held = entry.stat(follow_symlinks=False)
                found.loose.append(
                    LooseObject(Digest(digest), entry.path, held.st_size, held.st_mtime_ns, held.st_nlink)
                )


def _take_pack(path: Path, found: Inventory) -> None:
    with open(path, "rb", buffering=0) as file:
        held = os.fstat(file.fileno())
        try:
            table = read_table(file.fileno(), held.st_size)
        except NewerFormatError:
            raise
        except CorruptError:
            found.damaged.append(path)
            return
    found.packs.append(HeldPack(path, held.st_size, held.st_mtime_ns, table))


def read_table(descriptor: int, size_bytes: int) -> Table:
    """Return the table of an open pack, which must be good.  Raises CorruptError, NewerFormatError, OSError."""
    if size_bytes < FOOTER_BYTES:
        raise CorruptError("a pack is shorter than its footer")
    footer = footer_from_bytes(os.pread(descriptor, FOOTER_BYTES, size_bytes - FOOTER_BYTES), size_bytes)
    return parse_table(os.pread(descriptor, footer.table_bytes, footer.table_offset), footer)


def iter_leftovers(directory: Path, *, of_contents: bool = False) -> Iterator[Leftover]:
    """Yield what commands that died left in a directory, also parts ``of_contents``."""
    if not directory.is_dir():
        return
    with os.scandir(directory) as entries:
        for entry in entries:
            match = _PART.fullmatch(entry.name) if of_contents else None
            if match or is_temporary(entry.name):
                held = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(held.st_mode):
                    digest = Digest(match[1].replace("-", ":")) if match and match[1] else None
                    is_import = match is not None and digest is None
                    yield Leftover(entry.path, held.st_size, held.st_mtime_ns, digest, is_import)


def list_set_aside(cache: Cache) -> list[SetAside]:
    """Return what repairs set aside as damaged; of a pack without a good end it is not sure what it held."""
    found: list[SetAside] = []
    directory = cache.path / "damaged"
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name) if directory.is_dir() else ():
        match = _ASIDE.fullmatch(entry.name)
        if match and entry.is_file(follow_symlinks=False):
            held = entry.stat(follow_symlinks=False)
            digests = [Digest(match[1].replace("-", ":"))] if match[1] else []
            tells_all = True
            if match[2]:
                tells_all = False
                with contextlib.suppress(OSError, VstoreError):
                    digests = list(PackFile(Path(entry.path)).table.digests(BLOB))
                with contextlib.suppress(OSError, VstoreError), open(entry.path, "rb", buffering=0) as file:
                    digests = [location.digest for location in read_table(file.fileno(), held.st_size).locations()]
                    tells_all = True
            found.append(SetAside(entry.path, held.st_size, held.st_mtime_ns, frozenset(digests), tells_all))
    return found


def _iter_directories(directory: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        yield from (entry for entry in entries if entry.is_dir(follow_symlinks=False))
