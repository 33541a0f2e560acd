"""Plain HTTP: a copy of a remote, or the remote itself, that any web server shows.  It can only be read.

What is there is told by ``listing.json``, where whoever pushes keeps one, or else by the server's own pages that list
folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from vstore.errors import Cause, CorruptError, KeyNotFoundError, RemoteDeniedError, RemoteUnavailableError
from vstore.parallel import map_ordered
from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem
from vstore.remote.fsspec_transport.http.address import OPTIONS, find_address
from vstore.remote.fsspec_transport.http.pages import parse_date, parse_listing
from vstore.remote.fsspec_transport.http.transport import Found, HttpTransport
from vstore.remote.layout import FORMAT, LISTING
from vstore.remote.listing import MAX_LISTING_BYTES, listing_from_bytes
from vstore.remote.transport import Buffer, Key, Listed, check_key, check_prefix

_MOST_PAGE_BYTES = 64 * 1024 * 1024
_FRESH = {"Cache-Control": "no-cache"}
"""Whoever answers in place of the server asks it whether that is still true."""
_FORBIDDEN = 403
"""So many servers, S3 among them, say that something is not there."""
_ASKED_AT_ONCE = 4
"""Servers that hide sizes are simple ones: Python's drops the connection of a sixth who comes at once."""


class StaticTransport(HttpTransport):
    """Objects that a web server shows.

    ``listing.json`` is asked for anew by every listing; one that has not changed since the last time is not sent again.
    A page that lists a folder often hides how long files are: then each is asked about, several at once.
    """

    def __init__(self, connections: Any) -> None:
        super().__init__(connections)
        self._listing: tuple[str, tuple[Listed, ...]] | None = None
        """The last listing.json and its entity tag."""
        self._is_place_seen = False

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        try:
            listing = self._read_listing()
        except CorruptError as damaged:
            # It is a hint: what the server shows itself is better.
            return iter(self._list_pages(prefix, damaged))
        if listing is not None:
            return (entry for entry in listing if entry.key.startswith(prefix))
        return super().list(prefix)

    def find_size(self, key: Key) -> int | None:
        found = self._find(key)
        return None if found is None else found.size_bytes

    def write(self, key: Key, data: Buffer) -> None:
        check_key(key)
        raise self._read_only("write")

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        check_key(key)
        raise self._read_only("write")

    def delete(self, key: Key) -> None:
        check_key(key)
        raise self._read_only("delete")

    def _read_only(self, action: str) -> RemoteDeniedError:
        message = f"{self.url} is plain HTTP, which is read-only: cannot {action} there"
        return RemoteDeniedError(message, url=self.url, action=action, cause=Cause.READ_ONLY, by_design=True)

    def _read_listing(self) -> tuple[Listed, ...] | None:
        """Return what listing.json says, or None where there is none.  Raises CorruptError, NewerFormatError."""
        known = self._listing
        headers = {**_FRESH, **({"If-None-Match": known[0]} if known else {})}
        try:
            with self._ask("GET", LISTING, headers, action="read the listing", expected=(304, _FORBIDDEN)) as answer:
                if answer.status == 304 and known:
                    return known[1]
                if answer.status != 200:
                    return None
                data = answer.read_all(MAX_LISTING_BYTES)
                tag = answer.headers.get("ETag")
        except KeyNotFoundError:
            return None
        if data is None:
            raise CorruptError(f"{LISTING} is too long to be what it should be", key=LISTING)
        listing = listing_from_bytes(data)
        self._listing = (tag, listing) if tag else None
        return listing

    def _list_pages(self, prefix: str, damaged: CorruptError) -> Sequence[Listed]:
        try:
            return tuple(super().list(prefix))
        except RemoteUnavailableError as error:
            if error.retryable:
                raise
            raise damaged from error

    def _scan(self, folder: str) -> Iterable[Found]:
        try:
            action = f"list {folder or 'everything'}"
            with self._ask("GET", folder, _FRESH, action=action, expected=(_FORBIDDEN,)) as answer:
                page = answer.read_all(_MOST_PAGE_BYTES) if answer.status == 200 else None
                url = answer.url
        except KeyNotFoundError:
            self._check_place()
            return ()
        found = None if page is None else parse_listing(page, url)
        if found is None:
            message = f"{self.url} has no {LISTING} and does not list what is in {folder or 'it'}"
            raise RemoteUnavailableError(message, url=self.url, missing=LISTING)
        return found

    def _complete(self, folder: str, files: Sequence[Found]) -> Iterator[Listed]:
        def complete(file: Found) -> Listed | None:
            key = folder + file.name
            return self._find(key) if file.size_bytes is None else Listed(key, file.size_bytes, file.modified_s)

        return (listed for listed in map_ordered(complete, files, workers=_ASKED_AT_ONCE) if listed is not None)

    def _find(self, key: Key) -> Listed | None:
        check_key(key)
        try:
            with self._ask("HEAD", key, action=f"look for {key}") as answer:
                size_bytes = answer.size_bytes
                modified_s = parse_date(answer.headers.get("Last-Modified"))
            if size_bytes is None:  # as of empty files at Apache's
                size_bytes = self._probe_size(key)
            return Listed(key, size_bytes, modified_s)
        except KeyNotFoundError:
            return None

    def _check_place(self) -> None:
        """Raise RemoteUnavailableError unless the folder is a remote: a wrong address is no empty remote."""
        if not self._is_place_seen:
            if self._find(FORMAT) is None:
                message = f"there is no remote at {self.url}"
                raise RemoteUnavailableError(message, cause=Cause.NO_PLACE, url=self.url)
            self._is_place_seen = True


def open_static(place: Place) -> StaticTransport:
    """Open a folder of a web server.  Raises RemoteExtraMissingError, InvalidError."""
    connections = find_filesystem(place, extra=DRIVER.extra, module=CONNECTIONS, name="Connections")
    address, ca_bundle = find_address(place, place.scheme), place.options.get("ca_bundle", "")
    return StaticTransport(connections(address, ca_bundle=ca_bundle, timeout_s=place.timeout_s))


CONNECTIONS = "vstore.remote.fsspec_transport.http.connections"
"""The room that needs the extra."""
DRIVER = Driver("http", OPTIONS, open_static)
