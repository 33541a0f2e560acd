"""WebDAV: a folder of a web server that can be written to.

Servers differ in what a PUT leaves when it breaks off or is read meanwhile (nginx and Apache write aside and rename,
others straight into the file), so every object is written under a temporary name, looked at, and moved into place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit

from vstore.durable import temporary_name
from vstore.errors import Cause, KeyNotFoundError, RemoteDeniedError, RemoteUnavailableError, VstoreError
from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem
from vstore.remote.fsspec_transport.failures import no_place
from vstore.remote.fsspec_transport.http.address import OPTIONS, find_address
from vstore.remote.fsspec_transport.http.multistatus import Member, parse_multistatus
from vstore.remote.fsspec_transport.http.static import CONNECTIONS
from vstore.remote.fsspec_transport.http.transport import Found, HttpTransport
from vstore.remote.transport import Buffer, Key, check_key, is_leftover

_ASKED = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/>'
    b"<getlastmodified/></prop></propfind>"
)
_MADE, _EXISTS, _NO_PARENT = {200, 201, 204}, 405, {404, 409}


class WebdavTransport(HttpTransport):
    """Objects below a folder of a WebDAV server.

    The folder itself is made by the first write, but only if the one above it exists; ``has_place`` asks for it once.
    Some servers delete the old object before they move the new one into its place, so what is replaced, which are only
    intents and listings, may be absent for a moment, but is never half a thing.
    """

    def __init__(self, connections: Any) -> None:
        super().__init__(connections)
        self._path = unquote(urlsplit(connections.address.url).path)
        self._lock = Lock()
        self._folders: set[str] = set()
        """Those that are known to exist; "" is the one that holds all others."""

    def has_place(self) -> bool:
        if "" not in self._folders:
            if self._find("", action="look at the folder") is None:
                return False
            self._folders.add("")
        return True

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        return self._find_size(key)

    def write(self, key: Key, data: Buffer) -> None:
        check_key(key)
        folder = key.rpartition("/")[0]
        temporary = f"{folder}/{temporary_name()}".lstrip("/")
        with self._lock:
            self._make_folder(folder)
        try:
            self._put(key, temporary, data)
            self._move(key, temporary)
        except BaseException:
            with self._lock:
                self._folders.clear()  # one may be gone, and not every server says so
            with contextlib.suppress(VstoreError):
                self._delete(temporary)
            raise

    def delete(self, key: Key) -> None:
        check_key(key)
        self._delete(key)

    def sweep(self, before_s: float) -> int:
        old = [
            name
            for folder, files in self._iter_folders("")
            for file in files
            if is_leftover(name := folder + file.name) and file.modified_s < before_s
        ]
        for name in old:
            self._delete(name)
        return len(old)

    def _scan(self, folder: str) -> Iterator[Found]:
        members = self._find_all(folder, "1", action=f"list {folder or 'everything'}")
        own = f"{self._path}/{folder}".rstrip("/")
        this = next((member for member in members if member.path == own), None)
        if this is None and members:
            # What it says of others is then of no use either, and what is not listed would be taken for gone.
            raise RemoteUnavailableError(f"{self.url} lists another folder than {folder or 'its own'}", url=self.url)
        if this is None and self._find("", action="look at the folder") is None:
            self._folders.clear()  # it may have been there before
            raise no_place(self.url)
        for member in members if this is not None and this.is_folder else ():
            parent, _, name = member.path.rpartition("/")
            if parent == own and member is not this:
                yield Found(name, member.is_folder, member.size_bytes, member.modified_s)

    def _find_size(self, path: str) -> int | None:
        member = self._find(path, action=f"look for {path}")
        if member is None or member.is_folder:
            return None
        if member.size_bytes is None:
            raise RemoteUnavailableError(f"{self.url} does not tell how long {path} is", url=self.url)
        return member.size_bytes

    def _find(self, path: str, *, action: str) -> Member | None:
        own = f"{self._path}/{path}".rstrip("/")
        return next((member for member in self._find_all(path, "0", action=action) if member.path == own), None)

    def _find_all(self, path: str, depth: str, *, action: str) -> list[Member]:
        """Return what the server tells about a file or folder and, with depth 1, what is in it; empty if absent."""
        headers = {"Depth": depth, "Content-Type": "application/xml; charset=utf-8"}
        try:
            with self._ask("PROPFIND", path, headers, action=action, body=_ASKED, expected=(405, 501)) as answer:
                if answer.status != 207:
                    raise RemoteUnavailableError(f"{self.url} does not speak WebDAV", url=self.url)
                try:
                    return parse_multistatus(answer.iter_pieces())
                except ValueError as error:
                    message = f"{self.url} answers in no WebDAV that we understand"
                    raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url) from error
        except KeyNotFoundError:
            return []

    def _make_folder(self, folder: str) -> None:
        """Make a folder, and those above it, unless they are known to exist."""
        if folder in self._folders:
            return
        status = self._make_one(folder)
        if status in _NO_PARENT:
            if not folder:
                raise no_place(self.url)
            self._make_folder(folder.rpartition("/")[0])
            status = self._make_one(folder)
        if status in _NO_PARENT:
            raise RemoteUnavailableError(f"{self.url} does not keep its folders", url=self.url, retryable=True)
        self._folders.add(folder)

    def _make_one(self, folder: str) -> int:
        path = f"{folder}/" if folder else ""
        try:
            return self._change("MKCOL", path, action=f"make {folder or 'the folder'}", expected=(_EXISTS, *_NO_PARENT))
        except RemoteDeniedError:
            # Who may only write into a folder is also refused to make it again.
            if self._find(path, action=f"look for {path}") is None:
                raise
            return _EXISTS

    def _put(self, key: Key, temporary: str, data: Buffer) -> None:
        status = self._change("PUT", temporary, body=data, action=f"write {key}", expected=(405, 413, *_NO_PARENT))
        if status == 405:
            message = f"{self.url} is not for writing: it knows no PUT"
            raise RemoteDeniedError(message, url=self.url, action=f"write {key}")
        if status == 413:
            message = f"{self.url} takes no {len(data):,} bytes at once: its limit for uploads is lower"
            raise RemoteUnavailableError(message, url=self.url, size_bytes=len(data))
        if status in _NO_PARENT:
            message = f"the folder of {key} at {self.url} is gone"
            raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)
        if self._find_size(temporary) != len(data):
            message = f"{self.url} did not keep {key} as it was sent"
            raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)

    def _move(self, key: Key, temporary: str) -> None:
        headers = {"Destination": self._connections.address.url_of(key), "Overwrite": "T"}
        status = self._change("MOVE", temporary, headers, action=f"write {key}")
        if status not in _MADE:
            raise RemoteUnavailableError(f"{self.url} did not move {key} into place", url=self.url)

    def _delete(self, path: str) -> None:
        with contextlib.suppress(KeyNotFoundError):
            # With this depth servers do not delete a folder and all that is in it.
            self._change("DELETE", path, {"Depth": "0"}, action=f"delete {path}")

    def _change(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, *, action: str, **more: Any
    ) -> int:
        """Send a request that changes something; return the status of the answer."""
        expected = (423, *more.pop("expected", ()))
        with self._ask(method, path, headers or {}, action=action, expected=expected, **more) as answer:
            if answer.status == 423:
                message = f"could not {action} at {self.url}: somebody has locked it"
                raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)
            return answer.status


def open_webdav(place: Place) -> WebdavTransport:
    """Open a folder of a WebDAV server.  Raises RemoteExtraMissingError, InvalidError."""
    connections = find_filesystem(place, extra=DRIVER.extra, module=CONNECTIONS, name="Connections")
    address = find_address(place, "https" if place.scheme == "webdavs" else "http")
    ca_bundle = place.options.get("ca_bundle", "")
    return WebdavTransport(connections(address, ca_bundle=ca_bundle, timeout_s=place.timeout_s))


DRIVER = Driver("http", OPTIONS, open_webdav)
