"""S3 and what speaks like it, through s3fs.

Credentials, regions and sessions are s3fs's.  The requests are made here with its client, one for each call, so that
they can be counted, verified, watched, and continued where they broke.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib
import math
import os
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fsspec.asyn import sync

from vstore.errors import CorruptError, KeyNotFoundError, RemoteUnavailableError
from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, get_bucket, make_filesystem
from vstore.remote.fsspec_transport.failures import is_passing, no_place
from vstore.remote.fsspec_transport.transport import SLOWEST_BYTES_PER_S, FsspecTransport
from vstore.remote.transport import (
    Buffer,
    Key,
    Listed,
    check_key,
    check_prefix,
    is_key,
)

_OPTIONS = {
    "addressing_style": "path, virtual or auto: whether the bucket is part of the path or of the host name",
    "anon": "true to send no credentials",
    "ca_bundle": "a file with the certificates of authorities to trust",
    "endpoint_url": "another address than Amazon's",
    "key": "the access key id",
    "profile": "which profile of ~/.aws holds the credentials",
    "region": "the region of the bucket",
    "requester_pays": "true to pay for requests to somebody else's bucket",
    "secret": "the secret access key",
    "sse": "how the server encrypts: AES256, aws:kms or aws:kms:dsse",
    "sse_kms_key_id": "the key of the key management service to encrypt with",
    "storage_class": "the storage class of packs, as STANDARD_IA",
    "token": "the session token of temporary credentials",
}
_MOST_CONNECTIONS = 64
_PIECE_BYTES = 256 * 1024
_MOST_HELD_BYTES = 8 * 1024 * 1024
"""Of an upload, so much may be in buffers of the system on its way when all of it was taken from us."""
_WORTH_GOING_ON_BYTES = 64 * 1024
"""A read that broke after less than this begins again, after a pause, as every request that failed."""
_MOST_WHOLE_BYTES = 512 * 1024 * 1024
"""Nothing that is read whole is longer; a server that says so is not believed."""


class S3Transport(FsspecTransport):
    """Objects below a folder of a bucket.

    The signature of an upload holds the SHA-256 of its bytes (or, without credentials, a header its CRC-32), so that a
    server refuses what was damaged on the way.  A write of which no byte is taken for ``timeout_s``, and a read of
    which none comes, is given up; a read that broke goes on where it stopped as long as it gets ahead.
    """

    def __init__(self, filesystem: Any, root: str, *, url: str, timeout_s: float, storage_class: str = "") -> None:
        super().__init__(filesystem, root, url=url, timeout_s=timeout_s)
        self._bucket, _, folder = self._root.partition("/")
        self._folder = f"{folder}/" if folder else ""
        self._pack_arguments = {"StorageClass": storage_class} if storage_class else {}

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        # Without a delimiter: one request for each thousand objects, in however many folders they are.
        page = {"IsTruncated": True}
        while page.get("IsTruncated"):
            more = {"ContinuationToken": page["NextContinuationToken"]} if "NextContinuationToken" in page else {}
            try:
                with self._foreign_errors(f"list {prefix or 'everything'}", prefix):
                    page = self._call("list_objects_v2", Prefix=self._folder + prefix, **more)
            except KeyNotFoundError as error:
                # A bucket that is not there is no empty one, in whatever words a server says so.
                raise no_place(self.url) from error
            for entry in page.get("Contents", ()):
                key = entry["Key"].removeprefix(self._folder)
                if is_key(key):
                    yield Listed(key, int(entry["Size"]), entry["LastModified"].timestamp())
            if page.get("IsTruncated") and page.get("NextContinuationToken") in (None, *more.values()):
                raise RemoteUnavailableError(f"{self.url} does not end its listing of {prefix}", url=self.url)

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        try:
            with self._foreign_errors(f"look for {key}", key):
                return int(self._call("head_object", Key=self._folder + key)["ContentLength"])
        except KeyNotFoundError:
            # The answer to HEAD has no body that could tell a missing object from a missing bucket.
            next(self.list(f"{key}/"), None)
            return None

    def close(self) -> None:
        if self._filesystem._s3 is not None:
            self._filesystem.close_session(self._filesystem.loop, self._filesystem._s3creator)

    def _call(self, method: str, **arguments: Any) -> Any:
        return sync(self._filesystem.loop, self._request, method, **arguments)

    async def _request(self, method: str, **arguments: Any) -> Any:
        return await self._filesystem._call_s3(method, Bucket=self._bucket, **arguments)

    def _read(self, key: Key) -> bytes:
        return bytes(sync(self._filesystem.loop, self._get, key, 0, None))

    def _read_range(self, key: Key, start: int, length: int) -> bytes:
        return bytes(sync(self._filesystem.loop, self._get, key, start, length))

    async def _get(self, key: Key, start: int, length: int | None) -> bytes:
        """Read a range, or all if ``length`` is None; what arrived before a connection broke is not asked for again."""
        pieces: list[bytes] = []
        got = 0
        while length is None or got < length:
            before = got
            wanted = {} if length is None else {"Range": f"bytes={start + got}-{start + length - 1}"}
            try:
                answer = await self._request("get_object", Key=self._folder + key, **wanted)
                with contextlib.closing(answer["Body"]) as body:
                    length = self._check_length(key, answer, got, length)
                    while got < length and (piece := await body.read(_PIECE_BYTES)):
                        pieces.append(piece)
                        got += len(piece)
            except Exception as error:
                if got - before < _WORTH_GOING_ON_BYTES or not is_passing(error):
                    raise
        return b"".join(pieces)

    def _check_length(self, key: Key, answer: Any, got: int, length: int | None) -> int:
        """Return how long the whole will be.  Raises where the answer is not what was asked for, before it is read."""
        told = answer["ContentLength"]
        if length is None:
            if told > _MOST_WHOLE_BYTES:
                raise CorruptError(f"{key} is too long to be what it should be", key=key)
            return int(told)
        if told != length - got:
            message = f"{self.url} sends {told} bytes of {key} instead of {length - got}"
            raise RemoteUnavailableError(message, url=self.url)
        return length

    def _write(self, key: Key, data: Buffer) -> None:
        checksum = base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()
        answer = sync(self._filesystem.loop, self._put, key, data, checksum)
        if answer.get("ChecksumCRC32", checksum) != checksum:
            message = f"{self.url} says that it wrote other bytes than were sent as {key}"
            raise RemoteUnavailableError(message, url=self.url, retryable=True)

    async def _put(self, key: Key, data: Buffer, checksum: str) -> Any:
        body = _Body(data)
        arguments = self._pack_arguments if key.startswith("packs/") else {}
        writing = asyncio.ensure_future(
            self._request("put_object", Key=self._folder + key, Body=body, ChecksumCRC32=checksum, **arguments)
        )
        try:
            # aiohttp watches only what it reads: once all is sent, it takes over.
            while not (await asyncio.wait([writing], timeout=self._timeout_s / 4))[0]:
                if body.idle_s() > self._timeout_s:
                    raise TimeoutError
            return writing.result()
        finally:
            writing.cancel()


class _Body:
    """The bytes of an upload: read by botocore to sign them, then taken piece by piece by aiohttp to send them."""

    def __init__(self, data: Buffer) -> None:
        self._view = memoryview(data)
        self._position = 0
        self._moved_s = math.inf

    def __len__(self) -> int:
        return len(self._view)

    def idle_s(self) -> float:
        """Return how long ago a piece was taken to be sent; less than nothing before the first and after the last."""
        return time.monotonic() - self._moved_s

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._position, len(self._view))[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> memoryview:
        end = len(self._view) if size < 0 else self._position + size
        piece = self._view[self._position : end]
        self._position += len(piece)
        return piece

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        self.seek(0)
        while piece := self.read(_PIECE_BYTES):
            self._moved_s = time.monotonic()
            yield piece
        self._moved_s = math.inf


def open_s3(place: Place) -> S3Transport:
    """Open a bucket.  Raises RemoteExtraMissingError, InvalidError."""
    kind = find_filesystem(place, extra=DRIVER.extra)
    root = get_bucket(place, kind)
    filesystem = make_filesystem(place, kind, _arguments(place))
    filesystem.retries = 1  # RetryingTransport tries again: one who does is enough
    return S3Transport(
        filesystem,
        root,
        url=place.public_url,
        timeout_s=place.timeout_s,
        storage_class=place.options.get("storage_class", ""),
    )


def _make_session(profile: str | None, timeout_s: float) -> Any:
    session = importlib.import_module("aiobotocore.session").AioSession(profile=profile)
    # It would ask before each upload whether it may go on, which costs a round trip, or hangs where nobody answers.
    session.unregister("before-call.s3", importlib.import_module("botocore.handlers").add_expect_header)

    def be_patient(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Let what the system took from us, and holds, be sent before the answer is missed."""
        if isinstance(params["body"], _Body):
            held_bytes = min(len(params["body"]), _MOST_HELD_BYTES)
            context["read_timeout"] = timeout_s + held_bytes / SLOWEST_BYTES_PER_S

    session.register("before-call.s3.PutObject", be_patient)
    return session


def _arguments(place: Place) -> dict[str, Any]:
    options = place.options
    arguments: dict[str, Any] = {
        name: options[name] for name in ("endpoint_url", "key", "secret", "token") if name in options
    }
    encryption = {"ServerSideEncryption": options.get("sse"), "SSEKMSKeyId": options.get("sse_kms_key_id")}
    client = {"region_name": options.get("region"), "verify": options.get("ca_bundle")}
    return {
        **arguments,
        "anon": place.is_on("anon"),
        "session": _make_session(options.get("profile"), place.timeout_s),
        "requester_pays": place.is_on("requester_pays"),
        "use_listings_cache": False,
        "client_kwargs": {name: value for name, value in client.items() if value},
        "s3_additional_kwargs": {name: value for name, value in encryption.items() if value},
        "config_kwargs": {
            # Over https botocore's own checksums are more than other servers understand.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "connect_timeout": min(10, place.timeout_s),
            "read_timeout": place.timeout_s,
            "max_pool_connections": _MOST_CONNECTIONS,
            "retries": {"total_max_attempts": 1},
            "s3": {"addressing_style": options.get("addressing_style", "auto")},
        },
    }


DRIVER = Driver("s3", _OPTIONS, open_s3)
