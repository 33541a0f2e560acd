"""A model of damage at a remote: what may happen to its objects, and which paths that harms.

The model knows the undamaged bytes.  It looks only at which records of which packs were changed, and so says
independently of any reading which contents are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from vstore.errors import VstoreError
from vstore.objects.digest import Digest
from vstore.objects.pack import iter_records, read_record
from vstore.objects.recipe import resolve_recipe
from vstore.objects.table import BLOB, RECIPE, Location
from vstore.objects.tree import Tree
from vstore.remote.commits import Commit, commit_from_bytes

_HARMLESS = [*range(4, 12), 15]
"""Bytes of a record that its digest does not need: the fast checksum, and what is always zero."""

Objects = dict[str, bytes]


def load(store: Path) -> Objects:
    """Return all objects of a directory remote."""
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def save(store: Path, objects: Mapping[str, bytes]) -> None:
    """Make a directory remote hold exactly some objects; what is as it should be is not touched."""
    for key in load(store).keys() - objects.keys():
        (store / key).unlink()
    for key, data in objects.items():
        path = store / key
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(data)


# What may happen.  Each takes the objects, a key and a number, and changes the objects.


def flip(objects: Objects, key: str, number: int) -> None:
    """Change one bit."""
    data = bytearray(objects[key])
    data[number % len(data)] ^= 1 << number % 8
    objects[key] = bytes(data)


def cut(objects: Objects, key: str, number: int) -> None:
    """Leave only a beginning."""
    objects[key] = objects[key][: number % len(objects[key])]


def delete(objects: Objects, key: str, number: int) -> None:
    """Lose the object."""
    del objects[key]


def garble(objects: Objects, key: str, number: int) -> None:
    """Replace everything by something as long."""
    objects[key] = bytes((number + at) % 251 for at in range(len(objects[key])))


def swap(objects: Objects, key: str, number: int) -> None:
    """Exchange the object with another one of the same folder."""
    others = sorted(other for other in objects if other.partition("/")[0] == key.partition("/")[0])
    other = others[number % len(others)]
    objects[key], objects[other] = objects[other], objects[key]


def make_newer(objects: Objects, key: str, number: int) -> None:
    """Let a newer version have written the object, if it is one that says its version."""
    data = objects[key]
    if key.startswith("commits/"):
        objects[key] = data.replace(b'"version":1', b'"version":2')
    elif key.startswith("packs/"):
        objects[key] = data[:-16] + b"\2" + data[-15:]
    elif key.startswith("index/"):
        objects[key] = data[:12] + b"\2" + data[13:]


def plant(objects: Objects, key: str, number: int) -> None:
    """Put strangers among the objects."""
    folder = key.rpartition("/")[0]
    for name in ("readme.txt", "0123-0.vpack", "zz.json", "0.vidx"):
        objects[f"{folder}/{name}" if folder else f"packs/{name}"] = b"\0" * (number % 1000)


def damage(objects: Objects, happened: Iterable[tuple[Damage, int, int]]) -> Objects:
    """Return objects to which something happened, each time to one of them: the same whatever they are called."""
    objects = dict(objects)
    for happens, which, number in happened:
        keys = sorted((key for key in objects if objects[key]), key=lambda key: (key.partition("/")[0], objects[key]))
        happens(objects, keys[which % len(keys)], number)
    return objects


Damage = Callable[[Objects, str, int], None]
DAMAGES: list[Damage] = [flip, cut, delete, garble, swap, make_newer, plant]


# What that harms.


class Model:
    """What an undamaged remote holds."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        commits = {key: data for key, data in objects.items() if key.startswith("commits/")}
        self.commits = {key: commit_from_bytes(data, key) for key, data in commits.items()}
        self._records: dict[str, dict[tuple[int, Digest], Location]] = {
            key: {(location.kind, location.digest): location for location, _ in iter_records(data)}
            for key, data in objects.items()
            if key.startswith("packs/")
        }

        roots = {root.digest for commit in self.commits.values() for root in commit.roots if root.kind == "tree"}
        recipes = {name for records in self._records.values() for name in records if name[0] == RECIPE}
        self._always_read = recipes.union(*map(self._needed, roots))

    def read(self, kind: int, digest: Digest) -> bytes | None:
        """Return the undamaged content of a record."""
        for key, records in self._records.items():
            location = records.get((kind, digest))
            if location is not None:
                return read_record(self.objects[key][location.offset :][: location.record_bytes], location)
        return None

    def content(self, digest: Digest) -> bytes:
        """Return an undamaged content of any size."""
        whole = self.read(BLOB, digest)
        if whole is None:
            whole = b"".join(self._blob(chunk) for chunk in self._chunks(digest))
        return whole

    def _blob(self, digest: Digest) -> bytes:
        data = self.read(BLOB, digest)
        assert data is not None
        return data

    def _chunks(self, digest: Digest) -> list[Digest]:
        recipe = self.read(RECIPE, digest)
        assert recipe is not None
        return [chunk.digest for chunk in resolve_recipe(recipe, self._blob)]

    def _needed(self, digest: Digest) -> list[tuple[int, Digest]]:
        """Return the records that a content is made of."""
        if self.read(BLOB, digest) is not None:
            return [(BLOB, digest)]
        return [(RECIPE, digest), *((BLOB, chunk) for chunk in self._chunks(digest))]

    def good_records(self, key: str, damaged: Objects, *, is_read: bool) -> set[tuple[int, Digest]]:
        """Return the records of a pack that can be relied upon; where it was not read, its end says what."""
        before, now = self.objects[key], damaged.get(key, b"")
        records = self._records[key]
        last = max(location.offset + location.record_bytes for location in records.values())
        if len(now) != len(before) or now[last:] != before[last:] or f"doomed/{key[6:-6]}" in damaged:
            return set()
        return {
            name
            for name, location in records.items()
            if is_same(before, now, location) or not (is_read or name in self._always_read)
        }

    def is_flawless(self, key: str, damaged: Objects) -> bool:
        """Tell whether a pack is untouched."""
        return damaged.get(key) == self.objects[key] and f"doomed/{key[6:-6]}" not in damaged

    def readable_commits(self, damaged: Objects) -> dict[str, Commit]:
        """Return the commits that can still be read."""
        found = {}
        for key, commit in self.commits.items():
            try:
                if commit_from_bytes(damaged.get(key, b""), key) == commit:
                    found[key] = commit
            except VstoreError:
                continue
        return found

    def harmed(self, damaged: Objects, *, forgotten: Collection[str] = (), is_read: bool = True) -> set[str]:
        """Return the paths that need what is lost; of ``forgotten`` commits nobody knows that they were there."""
        readable = self.readable_commits(damaged)
        known = [commit for key, commit in self.commits.items() if key not in forgotten]
        paths: set[str] = set()
        for root in {root.digest: root for commit in known for root in commit.roots}.values():
            choices = [r.pins for commit in readable.values() for r in commit.roots if r.digest == root.digest]
            if not choices:
                paths.add(root.path)
                continue
            for path, digest in self._contents(root.digest, root.kind, root.path):
                needed = set(self._needed(digest))
                if not any(
                    needed <= set().union(*(self.good_records(p.key, damaged, is_read=is_read) for p in pins))
                    for pins in choices
                ):
                    paths.add(path)
        return paths

    def _contents(self, digest: Digest, kind: str, path: str) -> Iterator[tuple[str, Digest]]:
        yield path, digest
        if kind == "tree":
            for entry in Tree.from_bytes(self.content(digest)).entries:
                if entry.is_file:
                    yield f"{path}/{entry.path}", entry.digest


def is_same(before: bytes, now: bytes, location: Location) -> bool:
    """Tell whether a record still is what it was, but for bytes that its digest does not need."""
    start, end = location.offset, location.offset + location.record_bytes
    one, other = bytearray(before[start:end]), bytearray(now[start:end])
    for at in _HARMLESS:
        one[at] = other[at] = 0
    return one == other
