"""A file of a web server as an origin: any URL that answers GET, with a query or without; and folders that it lists."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from vstore.errors import Cause, InvalidError, KeyNotFoundError, RemoteUnavailableError, VstoreError
from vstore.parallel import map_ordered
from vstore.remote.fsspec_transport.driver import Place, import_driver
from vstore.remote.fsspec_transport.failures import from_foreign
from vstore.remote.fsspec_transport.http.address import Address, find_address
from vstore.remote.fsspec_transport.http.pages import parse_date, parse_folder, parse_listing
from vstore.remote.fsspec_transport.http.static import CONNECTIONS
from vstore.remote.fsspec_transport.http.transport import Found, parse_range
from vstore.remote.fsspec_transport.http.webdav import WebdavTransport, open_webdav
from vstore.remote.origin import Item, Origin, dated_lock, join_url

if TYPE_CHECKING:
    from vstore.remote.fsspec_transport.http.connections import Answer, Connections

_FIRST_BYTE = {"Range": "bytes=0-0"}
_WORTH_GOING_ON_BYTES = 64 * 1024
_MOST_PAGE_BYTES = 64 * 1024 * 1024
_MOST_FOLDERS = 100_000
"""A link of the server's that leads upwards would make more and more of them."""
_PAGES = ("text/html", "application/xhtml", "application/json")
_MOST_AT_ONCE = 4
"""Web servers are often simple ones, or count who comes how often."""


class _WebAddress(Address):
    """The address of a file, with its query, or of a folder, by whatever it ends with."""

    __slots__ = ()

    def url_of(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{quote(path.lstrip('/'))}" if path else self.url


class WebOrigin(Origin):
    """One file; or the files below a folder, where the server answers with a page that calls itself a listing.

    A part is asked for with ``If-Range``, which a server answers with the whole where the file changed.
    """

    is_watchful = True
    most_at_once = _MOST_AT_ONCE

    def __init__(self, connections: Connections) -> None:
        self.url = connections.address.shown
        self._connections = connections

    def look(self, path: str) -> Item | None:
        if not path and self._connections.address.url.endswith("/") and self._find_page("/") is not None:
            return None
        try:
            with self._ask(path, _FIRST_BYTE, expected=(416,)) as answer:
                if answer.status == 206 or answer.status == 416:
                    size_bytes = parse_range(answer.headers.get("Content-Range", ""))[2]
                else:
                    size_bytes = answer.size_bytes
                lock = _find_lock(answer.headers, size_bytes)
                has_ranges = answer.status == 206 and size_bytes is not None
                md5 = answer.headers.get("Content-MD5", "") if answer.status == 200 else ""
                return Item(path, size_bytes, lock, md5, has_ranges=has_ranges)
        except KeyNotFoundError:
            return None

    def list(self) -> Iterator[Item]:
        """Yield what pages list: each file is asked about, since few pages tell sizes to the byte, and none a tag."""
        if "?" in self._connections.address.url:
            return iter(())
        return map_ordered(self._look_at, self._iter_paths(), workers=_MOST_AT_ONCE)

    def _iter_paths(self) -> Iterator[str]:
        folders, asked = ["/"], 0
        while folders:
            folder = folders.pop()
            asked += 1
            if asked > _MOST_FOLDERS:
                message = f"{self.url} has more than {_MOST_FOLDERS:,} folders: perhaps one leads round in circles"
                raise InvalidError(message, url=self.url)
            found = self._find_page(folder)
            if found is None:
                if asked == 1 and not self._answers(folder):
                    return
                name = join_url(self.url, folder.strip("/"))
                message = f"{name} is a folder, and its server does not list what is in it"
                raise RemoteUnavailableError(message, cause=Cause.STRANGE_ANSWER, url=self.url)
            for each in found:
                path = folder.lstrip("/") + each.name
                if each.is_folder:
                    folders.append(path + "/")
                else:
                    yield path

    def _look_at(self, path: str) -> Item:
        return self.look(path) or Item(path, None, "", obstacle="is listed, but not there")

    def _find_page(self, folder: str) -> Sequence[Found] | None:
        """Return what the page of a folder lists; None where it is none."""
        try:
            with self._ask(folder, {}) as answer:
                is_page = answer.headers.get("Content-Type", "").lower().startswith(_PAGES)
                page = answer.read_all(_MOST_PAGE_BYTES) if is_page else None
                # Of what is below a listing it is known that it is a folder.
                parse = parse_folder if folder == "/" else parse_listing
                return None if page is None else parse(page, answer.url)
        except KeyNotFoundError:
            return None

    def _answers(self, path: str) -> bool:
        try:
            with self._ask(path, _FIRST_BYTE, expected=(416,)):
                return True
        except KeyNotFoundError:
            return False

    def read(self, item: Item, start: int, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            before = len(data)
            try:
                self._read_into(data, item, start, length)
            except RemoteUnavailableError as error:
                if len(data) - before < _WORTH_GOING_ON_BYTES or not error.retryable:
                    raise
        return bytes(data)

    def _read_into(self, data: bytearray, item: Item, start: int, length: int) -> None:
        first = start + len(data)
        headers = {"Range": f"bytes={first}-{start + length - 1}", **_if_range(item)}
        with self._ask(item.path, headers, expected=(416,)) as answer:
            found, _, total = parse_range(answer.headers.get("Content-Range", ""))
            if answer.status != 206 or not _may_be_of(item, answer.headers, total):
                raise self.changed(item)
            if found != first:
                raise RemoteUnavailableError(f"{self.url} sends another part than was asked for", url=self.url)
            for piece in answer.iter_pieces():
                data += piece
                if len(data) > length:
                    raise RemoteUnavailableError(f"{self.url} sends more than was asked for", url=self.url)
        if len(data) < length:
            raise self._short(len(data), length)

    def iter_whole(self, item: Item) -> Iterator[bytes]:
        got = 0
        with self._ask(item.path, {}) as answer:
            size_bytes = answer.size_bytes
            if _find_lock(answer.headers, size_bytes) != item.lock:
                raise self.changed(item)
            for piece in answer.iter_pieces():
                got += len(piece)
                yield piece
        if size_bytes is not None and got != size_bytes:
            raise self._short(got, size_bytes)

    def close(self) -> None:
        self._connections.close()

    def _short(self, got: int, wanted: int) -> RemoteUnavailableError:
        message = f"{self.url} sent {got} bytes instead of {wanted}"
        return RemoteUnavailableError(message, cause=Cause.BROKEN, url=self.url)

    @contextlib.contextmanager
    def _ask(self, path: str, headers: Mapping[str, str], *, expected: tuple[int, ...] = ()) -> Iterator[Answer]:
        try:
            with self._connections.ask("GET", path, headers, expected=expected) as answer:
                yield answer
        except VstoreError:
            raise
        except Exception as error:
            raise from_foreign(error, self.url, f"read {path.strip('/') or 'the file'}", "such file") from error


def _find_lock(headers: Mapping[str, str], size_bytes: int | None) -> str:
    tag = headers.get("ETag")
    return f"etag:{tag}" if tag else dated_lock(parse_date(headers.get("Last-Modified")), size_bytes)


def _may_be_of(item: Item, headers: Mapping[str, str], size_bytes: int | None) -> bool:
    """Tell whether a part can be one of a version.

    Who does not know If-Range sends a part of whatever is there; who knows it need not repeat what was asked for.
    """
    if size_bytes not in (None, item.size_bytes):
        return False
    if item.lock.startswith("etag:"):
        return headers.get("ETag") is None or _find_lock(headers, size_bytes) == item.lock
    return headers.get("Last-Modified") is None or _find_lock({**headers, "ETag": ""}, item.size_bytes) == item.lock


def _if_range(item: Item) -> Mapping[str, str]:
    """Return the header that makes a server send no part of another version; weak tags are no use for it."""
    kind, _, value = item.lock.partition(":")
    if kind == "etag":
        return {} if value.startswith("W/") else {"If-Range": value}
    if kind != "modified":
        return {}
    moment = datetime.datetime.fromisoformat(value.partition(" ")[0])
    return {"If-Range": email.utils.format_datetime(moment.astimezone(datetime.UTC), usegmt=True)}


def open_web(place: Place) -> WebOrigin:
    """Open a file or folder of a web server.  Raises RemoteExtraMissingError, InvalidError."""
    url, _, fragment = place.url.partition("#")
    bare, mark, query = url.partition("?")
    if fragment:
        raise InvalidError(f"{place.public_url} is followed by a fragment, which no file has", url=place.public_url)
    kind = import_driver(place, CONNECTIONS, "http").Connections
    address = find_address(place._replace(url=bare), place.scheme)
    end = "/" if bare.endswith("/") else ""
    # What is quoted already stays as it is.
    exact = _WebAddress(
        address.url + end + mark + quote(query, safe="/%:@!$&'()*+,;=~?"), address.shown, address.authorization
    )
    return WebOrigin(kind(exact, ca_bundle=place.options.get("ca_bundle", ""), timeout_s=place.timeout_s))


class WebdavOrigin(Origin):
    """What a URL names at a WebDAV server: a file or a folder, known by date and size.

    ``transport`` is at the folder above, since the addresses of files do not end as those of folders do; ``name`` is ""
    where there is none.
    """

    most_at_once = _MOST_AT_ONCE

    def __init__(self, transport: WebdavTransport, name: str) -> None:
        self.url = join_url(transport.url, name)
        self._transport = transport
        self._name = name

    def look(self, path: str) -> Item | None:
        where = self._path(path)
        found = self._transport._find(where, action=f"look for {where}") if where else None
        if found is None or found.is_folder:
            return None
        return Item(path, found.size_bytes, dated_lock(found.modified_s, found.size_bytes))

    def list(self) -> Iterator[Item]:
        folders = [""]
        while folders:
            folder = folders.pop()
            for found in self._transport._scan(f"{self._path(folder)}/".removeprefix("/")):
                if found.is_folder:
                    folders.append(folder + found.name + "/")
                else:
                    lock = dated_lock(found.modified_s, found.size_bytes)
                    yield Item(folder + found.name, found.size_bytes, lock)

    def read(self, item: Item, start: int, length: int) -> bytes:
        try:
            return self._transport._get(self._path(item.path), start, length)
        except KeyNotFoundError as error:
            raise self.changed(item) from error

    def close(self) -> None:
        self._transport.close()

    def _path(self, path: str) -> str:
        return f"{self._name}/{path}".strip("/")


def open_webdav_origin(place: Place) -> WebdavOrigin:
    """Open a file or folder of a WebDAV server.  Raises RemoteExtraMissingError, InvalidError."""
    scheme, mark, rest = place.url.rstrip("/").partition("://")
    above, _, name = rest.rpartition("/")
    if not above:
        return WebdavOrigin(open_webdav(place), "")
    return WebdavOrigin(open_webdav(place._replace(url=f"{scheme}{mark}{above}")), unquote(name))
