"""Azure Blob Storage, through adlfs.

Credentials, signatures and connections are those of adlfs and of Microsoft's own client; the requests are made here.
The client would cut packs into blocks and downloads into ranges, and try again by itself, for minutes.
"""

from __future__ import annotations

import contextlib
import email.utils
import importlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from vstore.errors import InvalidError, RemoteUnavailableError
from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, keep_quiet, make_filesystem
from vstore.remote.fsspec_transport.flat import CONNECT_S, Body, Content, FlatTransport, Page, Stored, read_all
from vstore.remote.transport import Key

_OPTIONS = {
    "access_tier": "the access tier of packs, as Cool",
    "account_key": "the key of the storage account",
    "account_name": "the storage account",
    "anon": "true to send no credentials",
    "client_id": "the application that logs in, with client_secret and tenant_id",
    "client_secret": "the secret of the application",
    "connection_string": "account, key and address in one",
    "endpoint_url": "another address than that of the account in Azure's public cloud",
    "sas_token": "a shared access signature",
    "tenant_id": "the tenant of the application",
}
_MOST_ANSWER_BYTES = 64 * 1024 * 1024
_MOST_IN_A_PAGE = 5000


class AzureTransport(FlatTransport):
    """Blobs below a folder of a container.

    The MD5 of an upload goes with it, so that Azure refuses what was damaged on the way.  Folders, which accounts with
    a hierarchical namespace show among the blobs, are none of them.
    """

    def __init__(self, filesystem: Any, root: str, *, url: str, timeout_s: float, access_tier: str = "") -> None:
        super().__init__(filesystem, root, url=url, timeout_s=timeout_s)
        self._request_kind = importlib.import_module("azure.core.rest").HttpRequest
        self._service = filesystem.service_client
        self._pack_headers = {"x-ms-access-tier": access_tier} if access_tier else {}

    def close(self) -> None:
        self._wait(self._service.close)
        if close := getattr(self._filesystem.credential, "close", None):
            self._wait(close)

    async def _get_page(self, prefix: str, page: str | None) -> Page:
        query = {"restype": "container", "comp": "list", "include": "metadata", "maxresults": str(_MOST_IN_A_PAGE)}
        more = {} if page is None else {"marker": page}
        async with self._exchange("GET", query={**query, "prefix": prefix, **more}) as answer:
            told = ElementTree.fromstring(await read_all(answer.iter_raw(), _MOST_ANSWER_BYTES))
        return Page(list(_iter_blobs(told)), told.findtext("NextMarker") or None)

    async def _look(self, name: str, version: str = "") -> Stored:
        async with self._exchange("HEAD", name, query=_version(version)) as answer:
            _check_blob(answer)
            told = answer.headers
            modified_s = email.utils.parsedate_to_datetime(told["Last-Modified"]).timestamp()
            facts = (_lock(told["ETag"]), told.get("Content-MD5", ""), told.get("x-ms-version-id", ""))
            return Stored(name, int(told["Content-Length"]), modified_s, *facts)

    @contextlib.asynccontextmanager
    async def _open(self, name: str, wanted: str | None, lock: str = "", version: str = "") -> AsyncIterator[Content]:
        headers = {"x-ms-range": wanted} if wanted else {}
        if lock:
            headers["If-Match"] = lock.removeprefix("etag:")
        async with self._exchange("GET", name, query=_version(version), headers=headers) as answer:
            _check_blob(answer)
            told = answer.headers
            found = _lock(told["ETag"]) if lock else ""
            yield Content(int(told["Content-Length"]), answer.iter_raw(), told.get("Content-MD5", ""), found)

    async def _put(self, key: Key, body: Body, checksum: str) -> str:
        headers = {
            "Content-Length": str(len(body)),
            "Content-MD5": checksum,
            "Content-Type": "application/octet-stream",
            "x-ms-blob-type": "BlockBlob",
        }
        if key.startswith("packs/"):
            headers |= self._pack_headers
        async with self._exchange("PUT", self._folder + key, headers=headers, body=body) as answer:
            return str(answer.headers.get("Content-MD5", ""))

    async def _remove(self, name: str) -> None:
        async with self._exchange("DELETE", name, headers={"x-ms-delete-snapshots": "include"}):
            pass

    @contextlib.asynccontextmanager
    async def _exchange(self, method: str, name: str = "", **details: Any) -> AsyncIterator[Any]:
        """Yield the answer to one request.  Raises HttpResponseError where it is an error."""
        # The address of the service carries the shared access signature, if there is one.
        place, _, signature = self._service.url.partition("?")
        path = quote(f"{self._bucket}/{name}" if name else self._bucket)
        query = "&".join(filter(None, [urlencode(details.get("query", {}), quote_via=quote), signature]))
        body = details.get("body")
        headers = {"x-ms-version": self._service.api_version, **details.get("headers", {})}
        request = self._request_kind(
            method, f"{place.rstrip('/')}/{path}?{query}".rstrip("?"), headers=headers, content=body
        )
        done = await self._service._pipeline.run(
            request,
            stream=True,
            retry_total=0,
            connection_timeout=min(CONNECT_S, self._timeout_s),
            read_timeout=self._timeout_s + (body.held_s if body is not None else 0.0),
        )
        answer = done.http_response
        try:
            if answer.status_code >= 300:
                raise await _refusal(answer)
            yield answer
        finally:
            await answer.close()


def _version(version: str) -> dict[str, str]:
    return {"versionid": version} if version else {}


def _lock(tag: str) -> str:
    """Return the lock of a version; in listings its tag stands without quotes."""
    quoted = tag if tag.startswith('"') else f'"{tag}"'
    return f"etag:{quoted}"


def _iter_blobs(told: ElementTree.Element) -> Iterator[Stored]:
    for blob in told.iterfind("Blobs/Blob"):
        marks = [blob.findtext("Properties/ResourceType", ""), blob.findtext("Metadata/hdi_isfolder", "")]
        if "directory" not in marks and "true" not in marks:
            modified = email.utils.parsedate_to_datetime(blob.findtext("Properties/Last-Modified", ""))
            size_bytes = int(blob.findtext("Properties/Content-Length", ""))
            lock, md5 = _lock(blob.findtext("Properties/Etag", "")), blob.findtext("Properties/Content-MD5", "")
            yield Stored(blob.findtext("Name", ""), size_bytes, modified.timestamp(), lock, md5)


def _check_blob(answer: Any) -> None:
    """Raise FileNotFoundError where an answer is about a folder."""
    headers = answer.headers
    if headers.get("x-ms-resource-type") == "directory" or headers.get("x-ms-meta-hdi_isfolder") == "true":
        raise FileNotFoundError


async def _refusal(answer: Any) -> Exception:
    """Read why a request was refused: Azure's own exception for it, with the code of the service."""
    words = (await read_all(answer.iter_raw(), _MOST_ANSWER_BYTES)).decode(errors="replace")
    code = answer.headers.get("x-ms-error-code") or ""
    if not code and (found := re.search("<Code>([A-Za-z0-9]+)</Code>", words)):
        code = found[1]
    if answer.status_code == 400 and "MD5" in words:
        code = "Md5Mismatch"  # an emulator has another code for it
    kind = importlib.import_module("azure.core.exceptions").HttpResponseError
    refusal: Exception = kind(message=words, response=answer)
    refusal.error_code = code  # type: ignore[attr-defined]
    return refusal


class _Address(NamedTuple):
    """What a URL says: ``host`` is "" where it names only the container and what follows it."""

    host: str
    root: str


def _parse(url: str) -> _Address:
    """Read the forms that are in use: az://container/path, abfs://container@host/path and az://host/container/path."""
    place, _, path = re.split("[?#]", url.partition("://")[2], maxsplit=1)[0].partition("/")
    container, at, host = place.rpartition("@")
    if at:
        return _Address(host, f"{container}/{path}")
    # No container has a dot in its name.
    return _Address(host, path) if "." in host or ":" in host else _Address("", f"{host}/{path}")


def open_azure(place: Place) -> AzureTransport:
    """Open a container.  Raises RemoteExtraMissingError, InvalidError."""
    kind = find_filesystem(place, extra=DRIVER.extra)
    keep_quiet("azure")
    address = _parse(place.url)
    if not address.root.strip("/") or address.root.startswith("/"):
        raise InvalidError(f"{place.public_url} names no container", url=place.public_url)
    try:
        filesystem = make_filesystem(place, kind, _arguments(place, address))
    except RemoteUnavailableError as error:
        if isinstance(error.__cause__, ValueError):
            message = f"{place.public_url} cannot be opened: its options name no storage account, or make no sense"
            raise InvalidError(message, url=place.public_url) from error.__cause__
        raise
    _check_account(place, address, filesystem)
    return AzureTransport(
        filesystem,
        address.root,
        url=place.public_url,
        timeout_s=place.timeout_s,
        access_tier=place.options.get("access_tier", ""),
    )


def _arguments(place: Place, address: _Address) -> dict[str, Any]:
    """Return what adlfs takes.

    Where the account and how to log in are given, they are put into a connection string: nothing of the environment
    can then be mixed with them.
    """
    options = place.options
    endpoint = options.get("endpoint_url") or (address.host and f"https://{address.host.replace('.dfs.', '.blob.')}")
    account = options.get("account_name") or _account_of(endpoint)
    arguments: dict[str, Any] = {"use_listings_cache": False, "anon": place.is_on("anon")}
    arguments |= {name: options[name] for name in ("client_id", "client_secret", "tenant_id") if name in options}
    key, signature = options.get("account_key"), options.get("sas_token", "").lstrip("?")
    if given := options.get("connection_string"):
        return {**arguments, "connection_string": given}
    if account and (key or signature or place.is_on("anon")):
        parts = {"BlobEndpoint": endpoint or f"https://{account}.blob.core.windows.net", "AccountName": account}
        parts |= {"AccountKey": key} if key else {"SharedAccessSignature": signature} if signature else {}
        return {**arguments, "connection_string": ";".join(f"{name}={value}" for name, value in parts.items())}
    arguments |= {name: options[name] for name in ("account_key", "sas_token") if name in options}
    if account:
        arguments["account_name"] = account
    if endpoint:
        arguments["account_host"] = urlsplit(endpoint).netloc
    return arguments


def _account_of(endpoint: str) -> str:
    """Return the account that an address names: its first label, or its path at an emulator."""
    parts = urlsplit(endpoint)
    return parts.path.strip("/").partition("/")[0] or (parts.hostname or "").partition(".")[0]


def _check_account(place: Place, address: _Address, filesystem: Any) -> None:
    """Raise InvalidError where the environment, or a connection string, leads to another account than was named."""
    service = filesystem.service_client
    wanted = place.options.get("account_name") or _account_of(f"https://{address.host}")
    if wanted and service.account_name and wanted != service.account_name:
        message = f"{place.public_url} is of the account {wanted}, but the connection string of {service.account_name}"
        raise InvalidError(message, url=place.public_url)
    if place.options.get("endpoint_url", "").startswith("http:") and service.url.startswith("https:"):
        message = (
            f"{place.public_url} has an address without TLS, where only account_key, sas_token or anon can be used"
        )
        raise InvalidError(message, url=place.public_url, option="endpoint_url")


DRIVER = Driver("azure", _OPTIONS, open_azure)
