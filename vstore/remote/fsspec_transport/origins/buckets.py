"""Objects of a bucket as an origin: each request asks for one version, by its tag or generation."""

from __future__ import annotations

from collections.abc import Iterator

from vstore.errors import ChangedWhileReadError, KeyNotFoundError
from vstore.remote.fsspec_transport.flat import FlatTransport, Stored
from vstore.remote.origin import Item, Origin, dated_lock


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

    def list(self) -> Iterator[Item]:
        for stored in self._transport.iter_stored(self._folder):
            path = stored.name.removeprefix(self._folder)
            if path and not path.endswith("/"):  # that would be a folder, as the consoles of clouds draw it
                yield _item(path, stored)

    def read(self, item: Item, start: int, length: int) -> bytes:
        stored = Stored(self._name(item.path), item.size_bytes or 0, 0.0, _tag(item.lock))
        try:
            data = self._transport.read_stored(stored, start, length)
        except (KeyNotFoundError, ChangedWhileReadError) as error:
            raise self.changed(item) from error
        return data

    def close(self) -> None:
        self._transport.close()

    def _name(self, path: str) -> str:
        return self._folder + path if path else self._folder[:-1]


def _item(path: str, stored: Stored) -> Item:
    lock = stored.lock or dated_lock(stored.modified_s, stored.size_bytes)
    return Item(path, stored.size_bytes, lock, stored.md5)


def _tag(lock: str) -> str:
    """Return what a request can ask for: a date is nothing of that kind."""
    return lock if lock.startswith(("etag:", "generation:")) else ""
