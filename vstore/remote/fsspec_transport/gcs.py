"""Google Cloud Storage, through gcsfs.

Credentials and connections are gcsfs's.  The requests are made here: gcsfs sends uploads between boundaries that are
always the same, and cuts a content that holds one; and it asks for the kind of a bucket by gRPC first, which takes a
minute where nobody understands it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import importlib
import json
import secrets
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vstore.errors import InvalidError
from vstore.remote.fsspec_transport.driver import (
    Driver,
    Place,
    find_filesystem,
    get_bucket,
    keep_quiet,
    make_filesystem,
)
from vstore.remote.fsspec_transport.flat import CONNECT_S, Body, Content, FlatTransport, Page, Stored, read_all
from vstore.remote.transport import Key

_OPTIONS = {
    "anon": "true to send no credentials",
    "endpoint_url": "another address than Google's",
    "project": "the project that pays, with requester_pays; by default that of the credentials",
    "requester_pays": "true to pay for requests to somebody else's bucket",
    "storage_class": "the storage class of packs, as NEARLINE",
    "token": "where credentials come from: google_default, cloud, the file of a service account, or an access token",
}
_SOURCES = {"anon", "cache", "cloud", "google_default"}
_PIECE_BYTES = 256 * 1024
_MOST_ANSWER_BYTES = 64 * 1024 * 1024
_FACTS = "name,size,updated,generation,md5Hash"
_GENERATION = "generation:"
_TOO_OFTEN = {"rateLimitExceeded", "userRateLimitExceeded"}
"""What Google also answers with 403, and means as 429."""


class GcsTransport(FlatTransport):
    """Objects below a folder of a bucket.

    The MD5 of an upload goes with it, so that Google refuses what was damaged on the way.
    """

    def __init__(self, filesystem: Any, root: str, *, url: str, timeout_s: float, storage_class: str = "") -> None:
        super().__init__(filesystem, root, url=url, timeout_s=timeout_s)
        self._pack_facts = {"storageClass": storage_class} if storage_class else {}

    def close(self) -> None:
        if self._filesystem._session is not None:
            self._wait(self._filesystem._session.close)

    async def _get_page(self, prefix: str, page: str | None) -> Page:
        query = {"prefix": prefix, "fields": f"nextPageToken,items({_FACTS})"}
        more = {} if page is None else {"pageToken": page}
        async with self._request("GET", self._objects(), query={**query, **more}) as answer:
            told = json.loads(await read_all(_pieces(answer), _MOST_ANSWER_BYTES))
        return Page([_stored(each) for each in told.get("items", ())], told.get("nextPageToken"))

    async def _look(self, name: str, version: str = "") -> Stored:
        query = {"fields": _FACTS, **_version(version)}
        async with self._request("GET", self._objects(name), query=query) as answer:
            return _stored(json.loads(await read_all(_pieces(answer), _MOST_ANSWER_BYTES)))

    @contextlib.asynccontextmanager
    async def _open(self, name: str, wanted: str | None, lock: str = "", version: str = "") -> AsyncIterator[Content]:
        headers = {"Accept-Encoding": "identity", **({"Range": wanted} if wanted else {})}
        query = {"alt": "media", **_version(version)}
        if lock:
            query["ifGenerationMatch"] = lock.removeprefix(_GENERATION)
        async with self._request("GET", self._objects(name), query=query, headers=headers) as answer:
            sums = dict(each.strip().split("=", 1) for each in answer.headers.get("X-Goog-Hash", "").split(",") if each)
            yield Content(int(answer.headers["Content-Length"]), _pieces(answer), sums.get("md5", ""))

    async def _put(self, key: Key, body: Body, checksum: str) -> str:
        facts = {"name": self._folder + key, "md5Hash": checksum}
        if key.startswith("packs/"):
            facts |= self._pack_facts
        # No content was made to hold what is chosen only now.
        boundary = secrets.token_hex(32)
        first = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(facts)}\r\n"
        second = f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        head, tail = (first + second).encode(), f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f'multipart/related; boundary="{boundary}"',
            "Content-Length": str(len(head) + len(body) + len(tail)),
        }
        async with self._request(
            "POST",
            self._objects(kind="upload/"),
            query={"uploadType": "multipart", "fields": "md5Hash"},
            headers=headers,
            data=body.between(head, tail),
            held_s=body.held_s,
        ) as answer:
            return str(json.loads(await read_all(_pieces(answer), _MOST_ANSWER_BYTES)).get("md5Hash", ""))

    async def _remove(self, name: str) -> None:
        async with self._request("DELETE", self._objects(name)):
            pass

    def _objects(self, name: str = "", *, kind: str = "") -> str:
        place = f"{self._filesystem._location}/{kind}storage/v1/b/{quote(self._bucket, safe='')}/o"
        return f"{place}/{quote(name, safe='')}" if name else place

    @contextlib.asynccontextmanager
    async def _request(self, method: str, url: str, **details: Any) -> AsyncIterator[Any]:
        """Yield the answer to one request.  Raises ClientResponseError where it is an error."""
        filesystem = self._filesystem
        await filesystem._set_session()
        async with filesystem.session.request(
            method,
            url,
            params=filesystem._get_params(details.get("query", {})),
            headers=await self._sign(details.get("headers", {})),
            data=details.get("data"),
            timeout=_timeout(self._timeout_s, details.get("held_s", 0.0)),
            allow_redirects=False,
        ) as answer:
            if answer.status >= 300:
                raise await _refusal(answer)
            yield answer

    async def _sign(self, headers: dict[str, str]) -> dict[str, str]:
        """Add the token to headers.  A new one is asked for now and then, beside the loop, which it would stop."""
        errors = importlib.import_module("google.auth.exceptions")
        try:
            signed: dict[str, str] = await asyncio.to_thread(self._filesystem._get_headers, headers)
        except errors.GoogleAuthError as error:
            if isinstance(error, errors.TransportError) or error.retryable:
                raise ConnectionError from error
            raise
        return signed


def _version(version: str) -> dict[str, str]:
    return {"generation": version} if version else {}


def _stored(facts: dict[str, Any]) -> Stored:
    modified_s = datetime.datetime.fromisoformat(facts["updated"]).timestamp()
    version = str(facts.get("generation", ""))
    lock = f"{_GENERATION}{version}" if version else ""
    return Stored(facts["name"], int(facts["size"]), modified_s, lock, facts.get("md5Hash", ""), version)


def _timeout(timeout_s: float, held_s: float) -> Any:
    kind = importlib.import_module("aiohttp").ClientTimeout
    return kind(sock_connect=min(CONNECT_S, timeout_s), sock_read=timeout_s + held_s)


def _pieces(answer: Any) -> AsyncIterable[bytes]:
    pieces: AsyncIterable[bytes] = answer.content.iter_chunked(_PIECE_BYTES)
    return pieces


async def _refusal(answer: Any) -> Exception:
    """Read why a request was refused: aiohttp's exception for it, with Google's code."""
    words = (await read_all(_pieces(answer), _MOST_ANSWER_BYTES)).decode(errors="replace")
    status, code = int(answer.status), ""
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        told = json.loads(words)["error"]
        words = str(told["message"])
        code = str(told["errors"][0]["reason"])
    if code in _TOO_OFTEN:
        status = 429
    if status == 400 and "hash" in words and "match" in words:
        code = "BadDigest"
    if status == 404 and "bucket" in words and "bject" not in words:
        code = "NoSuchBucket"
    kind = importlib.import_module("aiohttp").ClientResponseError
    refusal: Exception = kind(answer.request_info, (), status=status, message=words, headers=answer.headers)
    refusal.error_code = code  # type: ignore[attr-defined]
    return refusal


def open_gcs(place: Place) -> GcsTransport:
    """Open a bucket.  Raises RemoteExtraMissingError, InvalidError."""
    # By name: the class that gcsfs takes by default is the one that asks by gRPC.
    kind = find_filesystem(place, extra=DRIVER.extra, module="gcsfs.core", name="GCSFileSystem")
    for library in ("gcsfs", "google"):
        keep_quiet(library)
    root = get_bucket(place, kind)
    options = place.options
    arguments = {
        "endpoint_url": options.get("endpoint_url", "").rstrip("/") or None,
        "requester_pays": place.is_on("requester_pays") and (options.get("project") or True),
        "session_kwargs": {"trust_env": True},
        "token": "anon" if place.is_on("anon") else _find_token(place),
        "use_listings_cache": False,
    }
    filesystem = make_filesystem(place, kind, arguments)
    if filesystem.requester_pays is True and not filesystem.project:
        message = f"{place.public_url} needs the option project: the credentials name none that pays"
        raise InvalidError(message, url=place.public_url, option="project")
    return GcsTransport(
        filesystem,
        root,
        url=place.public_url,
        timeout_s=place.timeout_s,
        storage_class=options.get("storage_class", ""),
    )


def _find_token(place: Place) -> Any:
    """Return what gcsfs takes for a token: how to find credentials, a file, or credentials."""
    token = place.options.get("token")
    if token is None or token in _SOURCES:
        return token
    path = Path(token).expanduser()
    if path.is_file():
        return str(path)
    if token.endswith(".json") or token.startswith(("/", "~", ".")):
        raise InvalidError(f"the file of credentials {token} does not exist", url=place.public_url, option="token")
    # gcsfs would ask Google about it, and in the address of a request at that.
    return importlib.import_module("google.oauth2.credentials").Credentials(token)


DRIVER = Driver("gs", _OPTIONS, open_gcs)
