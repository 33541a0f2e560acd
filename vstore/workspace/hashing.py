"""Workers that read files of a work tree which they share with the client, into a cache that they share, too."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.cache.offering import CacheTerms, open_offered_cache
from vstore.cache.writer import CacheWriter, open_writer
from vstore.engine.engine import Desk
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.names import RelPath
from vstore.workspace.scan import LINK, Scan, Stat, take_stat
from vstore.workspace.snapshot import UNKNOWN

# A pipe that took a file's place must not stop us.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unread(NamedTuple):
    """A file of a scan that is to be read: its numbers there, and where its digest belongs."""

    number: int
    """Of its directory in the scan."""
    row: int
    path: RelPath
    stat: Stat

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return self.stat[1]


@dataclass(frozen=True, slots=True)
class HashShard:
    """Some files of a directory; ``number`` tells which shard it is."""

    number: int
    root: str
    algorithm: str
    cache: CacheTerms
    files: Sequence[tuple[RelPath, Stat]] = field(repr=False)


class Hashed(NamedTuple):
    """The digests of the files of a shard, UNKNOWN where a worker sees another file than the client, or cannot read.

    All contents that have one are in the cache; so much of them was new.
    """

    number: int
    digests: list[Digest]
    added: int
    added_bytes: int


def list_unread(found: Scan, digests: Sequence[Sequence[Digest]]) -> list[Unread]:
    """Return the files of a scanned directory whose digests are not known; links are none."""
    return [
        Unread(number, row, directory.file_path(row), stat)
        for number, (directory, column) in enumerate(zip(found.directories, digests, strict=True))
        if UNKNOWN in column
        for row, digest in enumerate(column)
        if digest == UNKNOWN and (stat := directory.stat(row))[0] != LINK
    ]


def hash_shard(shard: HashShard, desk: Desk) -> Hashed:
    """Bring the files of a shard into the cache, on a worker; what is strange about a file the client will see."""
    with open_offered_cache(shard.cache) as cache, open_writer(cache) as writer:
        digests = [_read(Path(shard.root, path), stat, shard.algorithm, writer, desk) for path, stat in shard.files]
        writer.commit()
        return Hashed(shard.number, digests, writer.added, writer.added_bytes)


def _read(path: Path, expected: Stat, algorithm: str, writer: CacheWriter, desk: Desk) -> Digest:
    """Return the digest of a file that is now in the cache, if it is and stays the one that the client saw."""
    try:
        with _opened(path) as descriptor:
            if take_stat(os.fstat(descriptor)) != expected:
                return UNKNOWN
            if expected[1] > SMALL_BYTES:
                return _read_large(descriptor, expected, algorithm, writer, desk)
            data = os.read(descriptor, expected[1] + 1)
            if len(data) != expected[1] or take_stat(os.fstat(descriptor)) != expected:
                return UNKNOWN
    except OSError:
        return UNKNOWN
    digest = hash_bytes(data, algorithm)
    writer.add_small(digest, data)
    desk.advance(len(data))
    return digest


def _read_large(descriptor: int, expected: Stat, algorithm: str, writer: CacheWriter, desk: Desk) -> Digest:
    copy = writer.copy_large(descriptor, algorithm, desk.advance)
    if take_stat(os.fstat(descriptor)) != expected:
        writer.drop_large(copy)
        return UNKNOWN
    writer.add_large(copy)
    return copy.digest


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, _READ_FLAGS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
