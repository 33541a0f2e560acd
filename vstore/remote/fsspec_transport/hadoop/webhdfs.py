"""HDFS over HTTP: ``webhdfs://[user@]host[:port]/directory``, encrypted as ``swebhdfs``; through requests.

fsspec's driver waits for ever, sends a file in pieces that anybody may read meanwhile, and cannot replace one.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from vstore.errors import InvalidError
from vstore.remote.fsspec_transport.driver import Driver, Place, import_driver
from vstore.remote.fsspec_transport.hadoop.files import Status, _RefusedError
from vstore.remote.fsspec_transport.hadoop.transport import HadoopTransport

_OPTIONS = {
    "ca_bundle": "a file with the certificates of authorities to trust",
    "kerberos": "true to log in with the ticket of kinit (needs the package requests-kerberos)",
    "password": "the password, where a gateway asks for one",
    "token": "a delegation token, instead of a user",
    "user": "who asks; whoever runs vstore if it is not given",
}

# Where Hadoop 3 listens.
_PORTS = {"webhdfs": 9870, "swebhdfs": 9871}
_BLOCK_BYTES = 128 * 1024
_CONNECTIONS = 64
_CONNECT_S = 10.0


def open_webhdfs(place: Place) -> HadoopTransport:
    """Open a directory; nothing is asked yet.  Raises RemoteExtraMissingError, InvalidError."""
    requests = import_driver(place, "requests", DRIVER.extra)
    try:
        parts = urlsplit(place.url)
        port = parts.port or _PORTS[place.scheme]
    except ValueError as error:
        raise InvalidError(f"{place.public_url} names no port", url=place.public_url) from error
    root = unquote(parts.path)
    if not parts.hostname or not root.startswith("/") or parts.query or parts.fragment:
        raise InvalidError(f"{place.public_url} names no directory of a server", url=place.public_url)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    protocol = "https" if place.scheme == "swebhdfs" else "http"
    session = requests.Session()
    for prefix in ("http://", "https://"):
        adapter = requests.adapters.HTTPAdapter(max_retries=0)  # RetryingTransport tries again
        adapter.init_poolmanager(_CONNECTIONS, _CONNECTIONS, blocksize=_BLOCK_BYTES)
        session.mount(prefix, adapter)
    if "ca_bundle" in place.options:
        session.verify = os.path.expanduser(place.options["ca_bundle"])
    user = place.options.get("user") or (unquote(parts.username) if parts.username else None)
    password = place.options.get("password") or (unquote(parts.password) if parts.password else None)
    who: dict[str, str] = {}
    if "token" in place.options:
        who["delegation"] = place.options["token"]
    elif place.is_on("kerberos"):
        session.auth = import_driver(place, "requests_kerberos", None).HTTPKerberosAuth()
    elif password is not None:
        session.auth = (user or _user_name(), password)
    else:
        who["user.name"] = user or _user_name()
    address = f"{protocol}://{host}:{port}"
    return HadoopTransport(_WebFiles(session, address, who, place.timeout_s), root, url=place.public_url)


class _WebFiles:
    """The files of HDFS, asked of the server at ``address``, which sends us on to others for their content.

    ``who`` is what every request says about us.
    """

    def __init__(self, session: Any, address: str, who: dict[str, str], timeout_s: float) -> None:
        self._session = session
        self._address = address
        self._who = who
        self._timeouts_s = (min(_CONNECT_S, timeout_s), timeout_s)

    def get_status(self, path: str) -> Status:
        return _status(self._ask("GET", "GETFILESTATUS", path).json()["FileStatus"])

    def list(self, path: str) -> Sequence[Status]:
        # The server puts the pages together.
        found = self._ask("GET", "LISTSTATUS", path).json()["FileStatuses"]["FileStatus"]
        return [_status(each) for each in found]

    def read(self, path: str, start: int, length: int | None) -> bytes:
        span = {} if length is None else {"offset": start, "length": length}
        with self._ask("GET", "OPEN", path, stream=True, **span) as response:
            if 300 <= response.status_code < 400:
                response.close()
                response = self._go_on("GET", response, stream=True)
            # Not more than was asked for, whatever comes.
            with response:
                return bytes(response.raw.read(None if length is None else length))

    def create(self, path: str, data: memoryview) -> None:
        # The first request has no content: it is sent once, to whoever keeps it.
        sent_on = self._ask("PUT", "CREATE", path, overwrite="false")
        self._go_on("PUT", sent_on, data=_Body(data), headers={"Content-Type": "application/octet-stream"})

    def replace(self, old: str, new: str) -> None:
        # This option is not documented, but Hadoop's own client uses it: a name is given in one step, taken or not.
        answer = self._ask("PUT", "RENAME", old, destination=new, renameoptions="OVERWRITE")
        if not answer.content:
            return
        # A gateway (HttpFS) that does not know the option: it answers whether it renamed, and never replaces.
        if answer.json()["boolean"]:
            return
        aside = f"{old}-old"
        self._move(new, aside)
        try:
            self._move(old, new)
        except _RefusedError:
            self._move(aside, new)
            raise
        self.delete(aside)

    def delete(self, path: str) -> None:
        self._ask("DELETE", "DELETE", path, recursive="false")

    def close(self) -> None:
        self._session.close()

    def _move(self, old: str, new: str) -> None:
        if not self._ask("PUT", "RENAME", old, destination=new).json()["boolean"]:
            raise _RefusedError("rename")

    def _ask(self, method: str, operation: str, path: str, *, stream: bool = False, **fields: Any) -> Any:
        url = f"{self._address}/webhdfs/v1{quote(path)}"
        response = self._session.request(
            method,
            url,
            params={"op": operation, **self._who, **fields},
            timeout=self._timeouts_s,
            allow_redirects=False,
            stream=stream,
        )
        return _checked(response)

    def _go_on(self, method: str, response: Any, **rest: Any) -> Any:
        """Ask whom an answer names.  Our password is only for the server that we know."""
        location = str(response.headers.get("Location") or "")
        if not location and response.content:
            location = str(response.json()["Location"])
        target, own = urlsplit(location), urlsplit(self._address)
        if target.scheme != own.scheme:
            raise _RefusedError(f"sent on from {own.scheme} to {target.scheme or 'nowhere'}")
        if target.netloc != own.netloc:
            rest["auth"] = _anonymous
        return _checked(
            self._session.request(method, location, timeout=self._timeouts_s, allow_redirects=False, **rest)
        )


class _Body:
    """Content that is sent block by block, so that a line may be slow but not silent."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_BLOCK_BYTES):
            yield block

    def read(self, size_bytes: int = -1) -> bytes:
        end = len(self._data) if size_bytes < 0 else self._at + size_bytes
        block = bytes(self._data[self._at : end])
        self._at += len(block)
        return block


def _checked(response: Any) -> Any:
    """Return an answer that is not a refusal.  Raises _RefusedError, FileNotFoundError, and HTTPError of requests."""
    if response.status_code < 400:
        return response
    try:
        name = str(response.json()["RemoteException"]["exception"])
    except (ValueError, KeyError, TypeError):
        response.raise_for_status()
        raise
    if name == "FileNotFoundException":
        raise FileNotFoundError
    raise _RefusedError(name)


def _anonymous(request: Any) -> Any:
    return request


def _status(answer: dict[str, Any]) -> Status:
    return Status(
        name=str(answer["pathSuffix"]),
        is_folder=answer["type"] == "DIRECTORY",
        size_bytes=int(answer["length"]),
        modified_s=int(answer["modificationTime"]) / 1000,
    )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


DRIVER = Driver("hdfs", _OPTIONS, open_webhdfs)
