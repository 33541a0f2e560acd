"""S3 and what speaks like it, through s3fs.

Credentials, regions and sessions are s3fs's.  The requests are made here with its client.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import importlib
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from vstore.errors import Cause, RemoteUnavailableError, UnavailableError
from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, get_bucket, make_filesystem
from vstore.remote.fsspec_transport.flat import CONNECT_S, Body, Content, FlatTransport, Page, Stored
from vstore.remote.transport import Buffer, Key, public_url

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


class S3Transport(FlatTransport):
    """Objects below a folder of a bucket.

    The signature of an upload holds the SHA-256 of its bytes (or, without credentials, a header its CRC-32), so that a
    server refuses what was damaged on the way.
    """

    def __init__(self, filesystem: Any, root: str, *, url: str, timeout_s: float, storage_class: str = "") -> None:
        super().__init__(filesystem, root, url=url, timeout_s=timeout_s)
        self._pack_arguments = {"StorageClass": storage_class} if storage_class else {}

    def find_size(self, key: Key) -> int | None:
        try:
            size_bytes = super().find_size(key)
        except UnavailableError as error:
            if not error.retryable:
                next(self.list(f"{key}/"), None)  # the answer to HEAD does not say why it is one
            raise
        if size_bytes is None:
            # The answer to HEAD has no body that could tell a missing object from a missing bucket.
            next(self.list(f"{key}/"), None)
        return size_bytes

    def facts(self) -> Mapping[str, str]:
        client = self._filesystem._s3
        if client is None:  # nothing was asked yet
            return {}
        facts = {"endpoint": public_url(client.meta.endpoint_url), "region": client.meta.region_name}
        credentials = client._request_signer._credentials
        # Those that are renewed by themselves refuse to tell their key, and have none before their first use.
        known = {} if credentials is None else vars(credentials)
        if access_key := known.get("_access_key") or known.get("access_key"):
            # It is public, but whoever reads over a shoulder need not learn it.
            facts["access key"] = f"{access_key[:4]}...{access_key[-2:]}"
            facts["credentials from"] = credentials.method
        return facts

    def close(self) -> None:
        if self._filesystem._s3 is not None:
            self._filesystem.close_session(self._filesystem.loop, self._filesystem._s3creator)

    async def _request(self, method: str, **arguments: Any) -> Any:
        return await self._filesystem._call_s3(method, Bucket=self._bucket, **arguments)

    async def _get_page(self, prefix: str, page: str | None) -> Page:
        more = {} if page is None else {"ContinuationToken": page}
        answer = await self._request("list_objects_v2", Prefix=prefix, **more)
        if "IsTruncated" not in answer:
            message = f"what answers at {self.url} is no S3 server"
            raise RemoteUnavailableError(message, cause=Cause.STRANGE_ANSWER, url=self.url)
        objects = [
            _stored(entry["Key"], int(entry["Size"]), entry["LastModified"], entry.get("ETag", ""))
            for entry in answer.get("Contents", ())
        ]
        return Page(objects, answer.get("NextContinuationToken", "") if answer.get("IsTruncated") else None)

    async def _look(self, name: str, version: str = "") -> Stored:
        answer = await self._request("head_object", Key=name, **_version(version))
        found = _stored(name, int(answer["ContentLength"]), answer["LastModified"], answer.get("ETag", ""))
        # "null" is what was written while the bucket kept no versions, and is replaced as ever.
        found = found._replace(version=answer.get("VersionId", "").removeprefix("null"))
        encryption = str(answer.get("ServerSideEncryption", ""))
        # With keys that others manage the tag is that of what is stored.
        is_sum = "SSECustomerAlgorithm" not in answer and not encryption.startswith("aws:kms")
        return found if is_sum else found._replace(md5="")

    @contextlib.asynccontextmanager
    async def _open(self, name: str, wanted: str | None, lock: str = "", version: str = "") -> AsyncIterator[Content]:
        more = {**_version(version), **({"Range": wanted} if wanted else {})}
        if tag := lock.removeprefix("etag:"):
            more["IfMatch"] = tag
        answer = await self._request("get_object", Key=name, **more)
        with contextlib.closing(answer["Body"]) as body:
            tag = answer.get("ETag", "")
            pieces = body.iter_chunks(_PIECE_BYTES)
            yield Content(answer["ContentLength"], pieces, lock=f"etag:{tag}" if tag and lock else "")

    def _checksum(self, data: Buffer) -> str:
        return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()

    async def _put(self, key: Key, body: Body, checksum: str) -> str:
        arguments = self._pack_arguments if key.startswith("packs/") else {}
        name = self._folder + key
        answer = await self._request("put_object", Key=name, Body=body, ChecksumCRC32=checksum, **arguments)
        return str(answer.get("ChecksumCRC32", ""))

    async def _remove(self, name: str) -> None:
        await self._request("delete_object", Key=name)


def _version(version: str) -> Mapping[str, str]:
    return {"VersionId": version} if version else {}


def _stored(name: str, size_bytes: int, modified: datetime.datetime, tag: str) -> Stored:
    """Return what an object is.  Of one that was not uploaded in parts, nor encrypted by a key, the tag is its MD5."""
    found = re.fullmatch('"?([0-9a-f]{32})"?', tag)
    md5 = base64.b64encode(bytes.fromhex(found[1])).decode() if found else ""
    return Stored(name, size_bytes, modified.timestamp(), f"etag:{tag}" if tag else "", md5)


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
        if isinstance(params["body"], Body):
            context["read_timeout"] = timeout_s + params["body"].held_s

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
            "connect_timeout": min(CONNECT_S, place.timeout_s),
            "read_timeout": place.timeout_s,
            "max_pool_connections": _MOST_CONNECTIONS,
            "retries": {"total_max_attempts": 1},
            "s3": {"addressing_style": options.get("addressing_style", "auto")},
        },
    }


DRIVER = Driver("s3", _OPTIONS, open_s3)
