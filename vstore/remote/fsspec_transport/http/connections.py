"""Speaking HTTP: connections that are used again, TLS, proxies, redirections, and how long silence is borne."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import Collection, Iterator, Mapping
from threading import Lock
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions

from vstore import __version__
from vstore.errors import InvalidError, RemoteUnavailableError
from vstore.remote.fsspec_transport.causes import iter_chain
from vstore.remote.fsspec_transport.http.address import Address
from vstore.remote.fsspec_transport.transport import SLOWEST_BYTES_PER_S
from vstore.remote.transport import Buffer, public_url

_MOST_CONNECTIONS = 64
_MOST_REDIRECTIONS = 5
_CONNECT_S = 10.0
_PIECE_BYTES = 256 * 1024
_SENT_AT_ONCE_BYTES = 64 * 1024
"""A piece of this length must be taken within the time-out: the system counts it from the first byte to the last."""
_WORTH_READING_BYTES = 64 * 1024
"""A longer rest of an answer costs more to read than a new connection."""
_REDIRECTIONS = {301, 302, 303, 307, 308}
_FOLLOWED = {"GET", "HEAD"}
_NO_HEADERS: Mapping[str, str] = {}


class _StatusError(Exception):
    """The server answered with a status that was not hoped for."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class Answer:
    """What a server answered: a status, headers, and a body that is read piece by piece."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, timeout_s: float) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url = url
        """Where the answer came from in the end."""
        self._response = response
        self._timeout_s = timeout_s

    @property
    def size_bytes(self) -> int | None:
        """How long the body is, if the server says so."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdecimal() else None

    def iter_pieces(self) -> Iterator[bytes]:
        """Yield the body.  Raises TimeoutError if it comes so slowly that the connection counts as stalled."""
        began_s, got = time.monotonic(), 0
        while piece := self._response.read1(_PIECE_BYTES, decode_content=False):
            got += len(piece)
            yield piece
            if time.monotonic() - began_s > self._timeout_s + got / SLOWEST_BYTES_PER_S:
                raise TimeoutError

    def read_all(self, most_bytes: int) -> bytes | None:
        """Return the whole body, or None if it is longer than ``most_bytes``."""
        pieces, got = [], 0
        for piece in self.iter_pieces():
            got += len(piece)
            if got > most_bytes:
                return None
            pieces.append(piece)
        return b"".join(pieces)

    def finish(self) -> None:
        """Let the connection be used again if little is left to read, else close it."""
        if self._response.closed:  # all of it was read
            self._response.release_conn()
            return
        is_read = False
        if self.size_bytes is not None and self.size_bytes <= _WORTH_READING_BYTES:
            with contextlib.suppress(exceptions.HTTPError, OSError):
                is_read = self.read_all(_WORTH_READING_BYTES) is not None
        if is_read:
            self._response.release_conn()
        else:
            self.close()

    def close(self) -> None:
        """Close the connection: what is left to read of it is of no use."""
        self._response.close()
        self._response.release_conn()


class Connections:
    """Connections to the server at an address; may be used by several threads at once.

    What logs in goes to that server alone, wherever it redirects.  Certificates are those that the machine trusts, or
    those in ``ca_bundle``; proxies are those that the environment names.  Raises InvalidError where these are no use.
    """

    def __init__(self, address: Address, *, ca_bundle: str, timeout_s: float) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._headers = {"Accept-Encoding": "identity", "User-Agent": f"vstore/{__version__}"}
        self._proxies = getproxies()
        self._tls = _make_tls(ca_bundle)
        self._lock = Lock()
        self._managers: dict[str, urllib3.PoolManager] = {}

    @contextlib.contextmanager
    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        *,
        body: Buffer | None = None,
        expected: Collection[int] = (),
    ) -> Iterator[Answer]:
        """Send a request about what lies at a path, and yield the answer.

        Raises an exception that ``from_foreign`` understands where no answer comes, where it breaks off (inside the
        block too), and for a status of failure that is not ``expected``.
        """
        try:
            answer = self._follow(method, self.address.url_of(path), headers, body)
            if answer.status >= 300 and answer.status not in expected:
                answer.finish()
                raise _StatusError(answer.status, answer.headers)
            try:
                encoding = answer.headers.get("Content-Encoding", "identity")
                if encoding != "identity":
                    raise self._unavailable(f"{self.address.shown} sends {path} in the encoding {encoding} unasked")
                yield answer
            except BaseException:
                answer.close()
                raise
            answer.finish()
        except exceptions.HTTPError as error:
            raise _find_reason(error) from error

    def close(self) -> None:
        """Close all connections."""
        for manager in self._managers.values():
            manager.clear()

    def _follow(self, method: str, url: str, headers: Mapping[str, str], body: Buffer | None) -> Answer:
        """Send a request, and again to wherever the server says that the object is."""
        for _ in range(_MOST_REDIRECTIONS + 1):
            answer = Answer(self._send(method, url, headers, body), url, self._timeout_s)
            location = answer.headers.get("Location")
            if location is None or answer.status not in _REDIRECTIONS:
                return answer
            answer.finish()
            target = urljoin(url, location)
            if urlsplit(target).path == urlsplit(url).path + "/":
                # The server has a folder of that name, and no object.
                raise _StatusError(404, answer.headers)
            self._check_target(method, url, target)
            url = target
        raise self._unavailable(f"{self.address.shown} redirects without end")

    def _check_target(self, method: str, url: str, target: str) -> None:
        scheme = urlsplit(target).scheme
        if method not in _FOLLOWED or scheme not in ("http", "https"):
            raise self._unavailable(f"{self.address.shown} says that it is elsewhere: {public_url(target)}")
        if url.startswith("https:") and scheme == "http":
            raise self._unavailable(f"{self.address.shown} redirects to {public_url(target)}, which is not encrypted")

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Buffer | None) -> urllib3.BaseHTTPResponse:
        sent = {**self._headers, **headers}
        if self.address.authorization and _origin(url) == _origin(self.address.url):
            sent["Authorization"] = self.address.authorization
        connect_s = min(_CONNECT_S, self._timeout_s)
        if body is not None:
            sent["Content-Length"] = str(len(body))
            connect_s = self._timeout_s  # which urllib3 allows for sending, too
        return self._manager(url).urlopen(
            method,
            url,
            redirect=False,
            retries=False,
            body=None if body is None else _iter_sent(body),
            headers=sent,
            timeout=urllib3.Timeout(connect=connect_s, read=self._timeout_s),
            preload_content=False,
            decode_content=False,
        )

    def _manager(self, url: str) -> urllib3.PoolManager:
        """Return what keeps the connections by the proxy that leads to a URL, if any."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all") or ""
        if proxy and proxy_bypass(parts.netloc.rpartition("@")[2]):
            proxy = ""
        with self._lock:
            if proxy not in self._managers:
                self._managers[proxy] = self._make_manager(proxy)
            return self._managers[proxy]

    def _make_manager(self, proxy: str) -> urllib3.PoolManager:
        if not proxy:
            return urllib3.PoolManager(maxsize=_MOST_CONNECTIONS, ssl_context=self._tls)
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if parts.username else None
        if parts.scheme not in ("http", "https"):
            raise InvalidError(
                f"the proxy {public_url(proxy)} is of a kind that is not supported", url=public_url(proxy)
            )
        return urllib3.ProxyManager(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            maxsize=_MOST_CONNECTIONS,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=login),
            ssl_context=self._tls,
        )

    def _unavailable(self, message: str) -> RemoteUnavailableError:
        return RemoteUnavailableError(message, url=self.address.shown)


def _make_tls(ca_bundle: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=os.path.expanduser(ca_bundle) or None)
    except OSError as error:
        raise InvalidError(f"{ca_bundle} holds no certificates that can be read", path=ca_bundle) from error


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _iter_sent(body: Buffer) -> Iterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(view), _SENT_AT_ONCE_BYTES):
        yield view[start : start + _SENT_AT_ONCE_BYTES]


def _find_reason(error: exceptions.HTTPError) -> BaseException:
    """Return what tells most of all that urllib3 has wrapped into each other."""
    for each in iter_chain(error):
        if isinstance(each, exceptions.ProxyError | exceptions.NameResolutionError | TimeoutError | ssl.SSLError):
            return each
        if isinstance(each, OSError) and each.errno:
            return each
    return error
