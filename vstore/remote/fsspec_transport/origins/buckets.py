"""Objects of a bucket as an origin: each request asks for one version, by its tag or generation.

One that was replaced while it was read, or before, is read as what the bucket keeps of it, if it keeps versions.
"""

from __future__ import annotations

from collections.abc import Iterator

from vstore.errors import ChangedWhileReadError, KeyNotFoundError, RemoteDeniedError
from vstore.remote.fsspec_transport.flat import FlatTransport, Stored
from vstore.remote.origin import Item, Origin, dated_lock

_GENERATION = "generation:"


class BucketOrigin(Origin):
    """What a URL names in a bucket: an object, or the objects below a folder."""

    def __init__(self, transport: FlatTransport) -> None:
        self.url = transport.url
        self._transport = transport
        self._folder = transport.folder

    is_watchful = True

    def look(self, path: str) -> Item | None:
        name = self._name(path)
        stored = self._transport.find_stored(name) if name else None
        return None if stored is None else _item(path, stored)

    def find_version(self, lock: str, version: str) -> Item | None:
        if lock.startswith(_GENERATION):
            version = lock.removeprefix(_GENERATION)
        name = self._name("")
        try:
            stored = self._transport.find_stored(name, version) if version and name else None
        except RemoteDeniedError:  # who may read what is there may not always read what was
            return None
        return None if stored is None or stored.lock != lock else _item("", stored._replace(version=version))

    def list(self) -> Iterator[Item]:
        for stored in self._transport.iter_stored(self._folder):
            path = stored.name.removeprefix(self._folder)
            if path and not path.endswith("/"):  # that would be a folder, as the consoles of clouds draw it
                yield _item(path, stored)

    def read(self, item: Item, start: int, length: int) -> bytes:
        stored = Stored(self._name(item.path), item.size_bytes or 0, 0.0, _tag(item.lock))
        if stored.lock or not item.version:
            try:
                return self._transport.read_stored(stored, start, length)
            except (KeyNotFoundError, ChangedWhileReadError) as error:
                if not item.version:
                    raise self.changed(item) from error
        try:
            return self._transport.read_stored(stored._replace(version=item.version), start, length)
        except (KeyNotFoundError, ChangedWhileReadError, RemoteDeniedError) as error:
            raise self.changed(item) from error

    def close(self) -> None:
        self._transport.close()

    def _name(self, path: str) -> str:
        return self._folder + path if path else self._folder[:-1]


def _item(path: str, stored: Stored) -> Item:
    lock = stored.lock or dated_lock(stored.modified_s, stored.size_bytes)
    return Item(path, stored.size_bytes, lock, stored.md5, version=stored.version)


def _tag(lock: str) -> str:
    """Return what a request can ask for: a date is nothing of that kind."""
    return lock if lock.startswith(("etag:", _GENERATION)) else ""
