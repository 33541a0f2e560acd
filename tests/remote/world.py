"""A world for the tests of pushing and fetching: contents in memory, and machines that share a remote."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from vstore.errors import CorruptError
from vstore.objects.digest import Buffer, Digest, algorithm_of, hash_bytes
from vstore.objects.pack import iter_records, pack_to_bytes, read_record
from vstore.objects.table import BLOB, Location
from vstore.objects.tree import FILE, Entry, Tree
from vstore.remote.content import Content, Root
from vstore.remote.fetch import FetchReport
from vstore.remote.ledger import Site
from vstore.remote.mirror import Mirror
from vstore.remote.push import PushReport
from vstore.remote.remote import Remote
from vstore.remote.transport import Transport

PROJECT = "p1"


def noise(size_bytes: int, seed: int = 0) -> bytes:
    """Bytes that do not compress and are always the same."""
    return random.Random(seed).randbytes(size_bytes)


class Shelf:
    """A cache in memory: what a machine pushes from and fetches into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.contents: dict[Digest, bytes] = {}
        self.damaged: set[Digest] = set()

    def put(self, data: bytes, algorithm: str = "xxh128") -> Content:
        """Take a content and return its name."""
        digest = hash_bytes(data, algorithm)
        self.contents[digest] = data
        return Content(digest, len(data))

    def find_record(self, digest: Digest) -> tuple[Location, bytes] | None:
        if digest not in self.contents:
            return None
        pack = pack_to_bytes([(BLOB, digest, self.contents[digest])])
        location, record = next(iter_records(pack))
        return location, bytes(record)

    def open_large(self, digest: Digest) -> BinaryIO | None:
        data = self.contents.get(digest)
        if data is None:
            return None
        return io.BytesIO(data[:-1] + b"?" if digest in self.damaged else data)

    def add_records(self, records: Iterable[tuple[Location, Buffer]]) -> None:
        self.contents.update((location.digest, read_record(record, location)) for location, record in records)

    def open_partial(self, digest: Digest) -> BinaryIO:
        path = self.path / digest
        self.path.mkdir(parents=True, exist_ok=True)
        path.touch()
        return open(path, "r+b", buffering=0)

    def finish_partial(self, digest: Digest, file: BinaryIO) -> None:
        file.close()
        data = (self.path / digest).read_bytes()
        (self.path / digest).unlink()
        if hash_bytes(data, algorithm_of(digest).name) != digest:
            raise CorruptError(f"not {digest}", digest=digest)
        self.contents[digest] = data


class Machine:
    """A machine with a cache and a mirror of its own, that shares a remote with others."""

    def __init__(
        self,
        path: Path,
        transport: Transport,
        project: str = PROJECT,
        algorithm: str = "xxh128",
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.algorithm = algorithm
        self.shelf = Shelf(path / "shelf")
        self.mirror = Mirror(path / "mirror")
        self.transport = transport
        self.site = Site(transport, self.mirror, project, "ada@host", 2, 32 * 1024 * 1024, clock=clock)

    @property
    def remote(self) -> Remote:
        """The remote, opened anew."""
        return Remote(self.site, name="origin")

    def add(self, files: Mapping[str, bytes], path: str = "data") -> Root:
        """Put the files of a directory on the shelf."""
        contents = {name: self.shelf.put(data, self.algorithm) for name, data in files.items()}
        tree = Tree([Entry(name, FILE, c.size_bytes, c.digest) for name, c in contents.items()])
        own = self.shelf.put(tree.to_bytes(), self.algorithm)
        return Root(own.digest, "tree", [*(contents[entry.path] for entry in tree.entries), own], path)

    def push(self, *roots: Root) -> PushReport:
        """Push roots from the shelf."""
        remote = self.remote
        return remote.push(remote.plan_push(roots), self.shelf)

    def fetch(self, *roots: Root, bases: Mapping[Digest, Digest] | None = None) -> FetchReport:
        """Fetch all that some roots need onto the shelf."""
        wanted = [content for root in roots for content in root.contents]
        return self.remote.fetch(wanted, self.shelf, roots=[root.digest for root in roots], bases=bases or {})

    def holds(self, *roots: Root) -> bool:
        """Tell whether the shelf holds all that some roots need, undamaged."""
        return all(
            hash_bytes(self.shelf.contents.get(content.digest, b""), self.algorithm) == content.digest
            for root in roots
            for content in root.contents
        )


def small_files(count: int = 40, seed: int = 0) -> dict[str, bytes]:
    """A directory of small files, some of them equal, one of them empty."""
    files = {f"d{i % 3}/file{i:03}.txt": (b"%d line\n" % (seed * 1000 + i)) * (1 + i * 7 % 50) for i in range(count)}
    return {**files, "empty": b"", "again": next(iter(files.values()))}
