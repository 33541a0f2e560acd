"""A bucket as large as one likes: packs are made up when they are asked for, commits and indexes are real.

Nothing of a pack is kept: the same number gives the same pack again.  A pack is short here, so that it is made quickly;
requests and indexes depend on how many there are and how many records they hold, not on how long they are.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash

from tests.remote.world import PROJECT, Machine
from vstore.errors import KeyNotFoundError
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.pack import FOOTER_BYTES, footer_from_bytes, pack_to_bytes, parse_table
from vstore.objects.table import BLOB, Table
from vstore.remote.commits import Commit, CommittedRoot, format_to_bytes
from vstore.remote.content import Content, Root
from vstore.remote.index import index_to_bytes
from vstore.remote.layout import FORMAT, PACKS, PackRef, commit_key, find_session, index_key, number_of, pack_key
from vstore.remote.ledger import Policy
from vstore.remote.transport import Key, Listed, Transport, check_covers
from vstore.remote.wrappers import LoggedTransport, Request, Wrapper

PAGE = 1000
"""How many keys S3 lists at once."""
_SLICE_PACKS = 10
_DATE_S = 1_700_000_000.0


class Shape(NamedTuple):
    """How large the bucket is.  Every root is pinned to as many packs, which one session pushed.

    Commits and index objects were merged, as those of years are, and so bear the names of later sessions.
    """

    packs: int
    packs_of_root: int = 1000
    files_in_pack: int = 100
    commits: int = 4
    indexes: int = 10


class SyntheticTransport(Wrapper):
    """What is written to ``inner``, and the packs of a shape."""

    def __init__(self, inner: Transport, shape: Shape) -> None:
        super().__init__(inner)
        self.shape = shape
        self.lists_beginnings = True
        self._first = {_session(f"root {first}"): first for first in range(0, shape.packs, shape.packs_of_root)}
        self._size_bytes = len(self._pack(0))

    def list(self, prefix: str) -> Iterator[Listed]:
        made_up = PACKS.startswith(prefix) or prefix.startswith(PACKS)
        return itertools.chain(self.inner.list(prefix), self._list_packs() if made_up else ())

    def list_beginning(self, start: str) -> Iterator[Listed]:
        first = self._first.get(start.removeprefix(PACKS).removesuffix("-"))
        numbers = range(0) if first is None else range(first, min(first + self.shape.packs_of_root, self.shape.packs))
        return itertools.chain(self.inner.list_beginning(start), map(self._listed, numbers))

    def _listed(self, number: int) -> Listed:
        return Listed(self.key(number), self._size_bytes, _DATE_S)

    def _list_packs(self) -> Iterator[Listed]:
        return map(self._listed, range(self.shape.packs))

    def find_size(self, key: Key) -> int | None:
        return self.inner.find_size(key) if self._number(key) is None else self._size_bytes

    def read(self, key: Key) -> bytes:
        number = self._number(key)
        return self.inner.read(key) if number is None else self._pack(number)

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        if self._number(key) is None:
            return self.inner.read_range(key, start, length)
        data = self.read(key)
        check_covers(key, len(data), start, length)
        return data[start : start + length]

    def _number(self, key: Key) -> int | None:
        first = self._first.get(find_session(key) or "") if key.startswith(PACKS) else None
        if first is None:
            return None
        if number_of(key) >= self.shape.packs_of_root:
            raise KeyNotFoundError(f"{self.url} has no {key}", key=key)
        return first + number_of(key)

    def key(self, number: int) -> Key:
        """Return the key of a pack."""
        place = number % self.shape.packs_of_root
        return pack_key(_session(f"root {number - place}"), place)

    def _pack(self, number: int) -> bytes:
        return _make_pack(number * self.shape.files_in_pack, self.shape.files_in_pack)

    def pack(self, number: int) -> tuple[PackRef, Table]:
        """Return a pack as commits name it, and its table."""
        data = self._pack(number)
        footer = footer_from_bytes(data[-FOOTER_BYTES:], len(data))
        table = parse_table(data[footer.table_offset : -FOOTER_BYTES], footer)
        return PackRef(self.key(number), len(data), footer.pack_checksum), table

    def fill(self) -> None:
        """Write format, commits and indexes; takes about 6 us for each record.

        Beside its large roots, each commit holds a small one, pinned to the first packs of its first large root.
        """
        shape = self.shape
        self.inner.write(FORMAT, format_to_bytes("a test"))
        refs: list[PackRef] = []
        for number, numbers in enumerate(_split(range(shape.packs), shape.indexes)):
            tables = [self.pack(pack) for pack in numbers]
            refs += [ref for ref, _ in tables]
            self.inner.write(index_key(_session(f"index {number}"), 0), index_to_bytes(tables))
        for number, numbers in enumerate(_split(range(shape.packs), shape.commits)):
            roots = [_slice(numbers.start, refs)]
            roots += [
                _root(f"root {first}", refs[first : first + shape.packs_of_root])
                for first in range(numbers.start, numbers.stop, shape.packs_of_root)
            ]
            session = _session(f"commit {number}")
            commit = Commit(PROJECT, session, "ada@host", "2026-11-28T00:00:00+00:00", tuple(roots))
            self.inner.write(commit_key(PROJECT, session), commit.to_bytes())


class PagedLog(LoggedTransport):
    """Counts each page of a listing as a request, as a store does."""

    def list(self, prefix: str) -> Iterator[Listed]:
        return self._count_pages("list", prefix, self.inner.list(prefix))

    def list_beginning(self, start: str) -> Iterator[Listed]:
        return self._count_pages("list_beginning", start, self.inner.list_beginning(start))

    def _count_pages(self, operation: str, start: str, listing: Iterator[Listed]) -> Iterator[Listed]:
        self.requests.append(Request(operation, start, 0))
        for number, listed in enumerate(listing):
            if number and number % PAGE == 0:
                self.requests.append(Request(operation, start, 0))
            yield listed

    @property
    def read_bytes(self) -> int:
        """How much was read."""
        return sum(request.size_bytes for request in self.requests if request.operation.startswith("read"))


def quiet_machine(path: Path, transport: Transport) -> Machine:
    """Return a machine that does not rewrite packs after a push: ours are short only to be made quickly."""
    machine = Machine(path, transport)
    machine.site = dataclasses.replace(machine.site, policy=Policy(compacts=False))
    return machine


def files_of(shape: Shape, first_pack: int, count: int) -> list[Content]:
    """Return the first files in a pack and those behind it."""
    start = first_pack * shape.files_in_pack
    return [Content(hash_bytes(data, "xxh128"), len(data)) for data in map(_content, range(start, start + count))]


def slice_of(shape: Shape, first_pack: int = 0) -> Root:
    """Return the small root of the commit that begins with a pack: all files of ten packs."""
    contents = files_of(shape, first_pack, _SLICE_PACKS * shape.files_in_pack)
    return Root(_digest(f"slice {first_pack}"), "tree", contents, f"slice-{first_pack}")


def large_root(first_pack: int) -> Digest:
    """Return the large root whose packs begin there."""
    return _digest(f"root {first_pack}")


@functools.lru_cache(maxsize=32)
def _make_pack(first: int, count: int) -> bytes:
    contents = map(_content, range(first, first + count))
    return pack_to_bytes([(BLOB, hash_bytes(data, "xxh128"), data) for data in contents])


def _content(number: int) -> bytes:
    """Return the content of a file, which does not compress."""
    return b"".join([xxhash.xxh3_128_digest(b"%d" % number, seed) for seed in range(4)])


def _slice(first: int, refs: list[PackRef]) -> CommittedRoot:
    return _root(f"slice {first}", refs[first : first + _SLICE_PACKS])


def _root(name: str, pins: list[PackRef]) -> CommittedRoot:
    return CommittedRoot(
        _digest(name), "tree", name.replace(" ", "-"), sum(pin.size_bytes for pin in pins), None, tuple(pins)
    )


def _digest(name: str) -> Digest:
    return hash_bytes(name.encode(), "xxh128")


def _session(name: str) -> str:
    return xxhash.xxh3_128_hexdigest(name.encode())


def _split(numbers: range, parts: int) -> Iterator[range]:
    size = -(-len(numbers) // parts)
    return (numbers[start : start + size] for start in range(0, len(numbers), size))
