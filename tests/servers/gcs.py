"""A small Google Cloud Storage: the part of its JSON API that clients use for objects, in memory.

Uploads whole, in two parts or resumed; preconditions on generations; MD5 and CRC-32C verified; ranges; listings by
pages and folders; copies.  A private bucket asks for a token: 401 without a known one, 403 if it may only read.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import importlib
import itertools
import json
import re
import struct
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.servers.background import serving
from tests.servers.place import Place, new_name
from tests.servers.running import HOST, ServerMissingError

WRITER, READER = "writers-token", "readers-token"
_MOST_IN_A_PAGE = 1000


class _RefusedError(Exception):
    """An answer with an error, as the API words it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass
class _Object:
    facts: dict[str, Any]
    data: bytes


@dataclass
class _Bucket:
    is_private: bool
    objects: dict[str, _Object] = field(default_factory=dict)
    versions: dict[tuple[str, str], _Object] | None = None
    """By name and generation, where the bucket keeps versions."""

    def get(self, name: str, generation: str = "") -> _Object:
        found = self.objects.get(name)
        if generation and (found is None or found.facts["generation"] != generation):
            found = (self.versions or {}).get((name, generation))
        if found is None:
            raise _RefusedError(404, "notFound", f"No such object: {name}")
        return found

    def check(self, name: str, query: Mapping[str, str]) -> None:
        """Raise where an object is not of the generation that a request depends on; 0 means absent."""
        wanted = query.get("generation", "")
        found = self.get(name, wanted) if wanted else self.objects.get(name)
        generation = found.facts["generation"] if found else "0"
        if query.get("ifGenerationMatch", generation) != generation:
            raise _RefusedError(412, "conditionNotMet", "A precondition does not hold.")
        if query.get("ifGenerationNotMatch") == generation:
            raise _RefusedError(304, "notModified", "The object has not changed.")


@dataclass
class _Upload:
    bucket: str
    name: str
    facts: dict[str, Any]
    query: Mapping[str, str]
    data: bytearray = field(default_factory=bytearray)


class _Store:
    def __init__(self) -> None:
        self.buckets: dict[str, _Bucket] = {}
        self.uploads: dict[str, _Upload] = {}
        self._generations = itertools.count(time.time_ns() // 1000)

    def get(self, bucket: str) -> _Bucket:
        if bucket not in self.buckets:
            raise _RefusedError(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[bucket]

    def put(self, bucket: str, name: str, data: bytes, facts: Mapping[str, Any], query: Mapping[str, str]) -> Any:
        objects = self.get(bucket)
        objects.check(name, query)
        sums = _checksums(data)
        if any(facts.get(kind, sums[kind]) != sums[kind] for kind in sums):
            raise _RefusedError(400, "invalid", "Provided hash does not match the calculated one.")
        generation = str(next(self._generations))
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        whole = {
            "contentType": "application/octet-stream",
            "storageClass": "STANDARD",
            **facts,
            **sums,
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "size": str(len(data)),
            "etag": base64.b64encode(generation.encode()).decode(),
            "timeCreated": now,
            "updated": now,
        }
        objects.objects[name] = _Object(whole, data)
        if objects.versions is not None:
            objects.versions[name, generation] = objects.objects[name]
        return whole


def _checksums(data: bytes) -> dict[str, str]:
    sums = {"md5Hash": base64.b64encode(hashlib.md5(data).digest()).decode()}
    with contextlib.suppress(ImportError):
        value = importlib.import_module("google_crc32c").value(data)
        sums["crc32c"] = base64.b64encode(struct.pack(">I", value)).decode()
    return sums


@dataclass(frozen=True, slots=True)
class GcsServer:
    """A Google Cloud Storage in this process."""

    label: str
    port: int
    _store: _Store

    @property
    def endpoint_url(self) -> str:
        """What gcsfs takes, and STORAGE_EMULATOR_HOST."""
        return f"http://{HOST}:{self.port}"

    def new_place(self, *, port: int | None = None, is_private: bool = False) -> Place:
        """Make an empty bucket; ``port`` is that of a proxy by which the test is to reach it.

        A private bucket lets in who sends the token WRITER, or READER to read only.
        """
        name = new_name()
        self.make_bucket(name, is_private=is_private)
        options = {"endpoint_url": f"http://{HOST}:{port or self.port}", "token": "anon"}
        return Place(f"gs://{name}", options, functools.partial(self._plant, name))

    def make_bucket(self, name: str, *, is_private: bool = False) -> None:
        """Make an empty bucket of a certain name."""
        self._store.buckets[name] = _Bucket(is_private)

    def keep_versions(self, bucket: str) -> None:
        """Let a bucket keep what is replaced from now on."""
        self._store.buckets[bucket].versions = {}

    def delete(self, bucket: str, name: str) -> None:
        """Delete an object."""
        del self._store.buckets[bucket].objects[name]

    def service_account(self) -> dict[str, str]:
        """Make a service account, as its file holds it: it is given the token WRITER here."""
        serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
        rsa = importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.PrivateFormat.PKCS8
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode(),
            "client_email": "robot@project.iam.gserviceaccount.com",
            "token_uri": f"{self.endpoint_url}/token",
        }

    def _plant(self, bucket: str, name: str, data: bytes) -> None:
        self._store.put(bucket, name, data, {}, {})


@contextlib.contextmanager
def running_gcs() -> Iterator[GcsServer]:
    """Yield a server in a thread.  Raises ServerMissingError where aiohttp is not installed."""
    try:
        web = importlib.import_module("aiohttp.web")
    except ImportError as error:
        raise ServerMissingError("aiohttp", lost="gs://", how="pip install 'vstore[test]'") from error
    store = _Store()

    async def answer(request: Any) -> Any:
        try:
            return await _Answer(web, store, request).find()
        except _RefusedError as error:
            details = {"reason": error.reason, "message": str(error)}
            body = {"error": {"code": error.status, "message": str(error), "errors": [details]}}
            return web.json_response(body, status=error.status)

    app = web.Application(client_max_size=2**34)
    app.router.add_route("*", "/{path:.*}", answer)
    with serving(app) as port:
        yield GcsServer("our stand-in for Google Cloud Storage (fake)", port, store)


class _Answer:
    """The answer to one request."""

    def __init__(self, web: Any, store: _Store, request: Any) -> None:
        self._web = web
        self._store = store
        self._request = request
        self._query: dict[str, str] = dict(request.query)

    async def find(self) -> Any:
        # The raw path: an object's name may hold what separates the parts of a path.
        path = self._request.raw_path.partition("?")[0].rstrip("/")
        if found := re.fullmatch(r"(?:/resumable)?/upload/storage/v1/b/([^/]+)/o", path):
            return await self._upload(self._enter(found[1]), path)
        if found := re.fullmatch(r"/storage/v1/b/([^/]+)/o/([^/]+)/(rewriteTo|copyTo)/b/([^/]+)/o/([^/]+)", path):
            return self._copy(self._enter(found[1]), unquote(found[2]), self._enter(found[4]), unquote(found[5]))
        if found := re.fullmatch(r"(?:/download)?/storage/v1/b/([^/]+)/o/(.+)", path):
            return self._object(self._store.get(self._enter(found[1])), unquote(found[2]))
        if found := re.fullmatch(r"/storage/v1/b/([^/]+)/o", path):
            return self._list(self._store.get(self._enter(found[1])))
        if found := re.fullmatch(r"/storage/v1/b/([^/]+)", path):
            name = self._enter(found[1])
            self._store.get(name)
            return self._json({"kind": "storage#bucket", "id": name, "name": name, "location": "US"})
        if path == "/token":
            return self._json({"access_token": WRITER, "token_type": "Bearer", "expires_in": 3600})
        raise _RefusedError(404, "notFound", path)

    def _enter(self, quoted: str) -> str:
        """Return the name of a bucket if whoever asks may do what they ask for."""
        name = unquote(quoted)
        if name in self._store.buckets and self._store.buckets[name].is_private:
            token = self._request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token not in (WRITER, READER):
                raise _RefusedError(401, "authError", "Invalid Credentials")
            if token == READER and self._request.method not in ("GET", "HEAD"):
                raise _RefusedError(403, "forbidden", "Permission denied")
        return name

    def _json(self, value: Any) -> Any:
        return self._web.json_response(value)

    async def _upload(self, bucket: str, path: str) -> Any:
        self._store.get(bucket)
        body = await self._request.read()
        if "upload_id" in self._query:
            return self._resume(self._query["upload_id"], body)
        kind = self._query.get("uploadType")
        if kind == "resumable":
            facts = json.loads(body or b"{}")
            name = self._query.get("name") or facts["name"]
            self._store.get(bucket).check(name, self._query)
            key = uuid.uuid4().hex
            self._store.uploads[key] = _Upload(bucket, name, facts, self._query)
            where = f"http://{self._request.host}{path}?uploadType=resumable&upload_id={key}"
            return self._web.Response(headers={"Location": where})
        facts = {}
        if kind == "multipart":
            facts, body = _split_parts(self._request.headers["Content-Type"], body)
        name = self._query.get("name") or facts["name"]
        return self._json(self._store.put(bucket, name, body, facts, self._query))

    def _resume(self, key: str, body: bytes) -> Any:
        if key not in self._store.uploads:
            raise _RefusedError(404, "notFound", "No such upload.")
        upload = self._store.uploads[key]
        told = self._request.headers.get("Content-Range", f"bytes 0-{len(body) - 1}/{len(body)}")
        found = re.fullmatch(r"bytes (?:(\d+)-(-?\d+)|\*)/(\d+|\*)", told)
        if found is None:
            raise _RefusedError(400, "invalid", told)
        if found[1] is not None and int(found[1]) <= len(upload.data):
            upload.data[int(found[1]) :] = body
        if found[3] != "*" and len(upload.data) >= int(found[3]):
            del self._store.uploads[key]
            data = bytes(upload.data)
            return self._json(self._store.put(upload.bucket, upload.name, data, upload.facts, upload.query))
        headers = {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}
        return self._web.Response(status=308, headers=headers)

    def _copy(self, source: str, name: str, target: str, new_name: str) -> Any:
        found = self._store.get(source).get(name)
        kept: dict[str, Any] = {key: found.facts[key] for key in ("contentType", "metadata") if key in found.facts}
        facts = self._store.put(target, new_name, found.data, kept, self._query)
        return self._json({"kind": "storage#rewriteResponse", "done": True, "resource": facts})

    def _object(self, bucket: _Bucket, name: str) -> Any:
        found = bucket.get(name, self._query.get("generation", ""))
        if self._request.method == "DELETE":
            bucket.check(name, self._query)
            del bucket.objects[name]
            return self._web.Response(status=204)
        bucket.check(name, self._query)
        if self._query.get("alt") != "media":
            return self._json(found.facts)
        sums = ",".join(f"{kind.removesuffix('Hash')}={found.facts[kind]}" for kind in _checksums(b""))
        headers = {
            "ETag": found.facts["etag"],
            "X-Goog-Hash": sums,
            "X-Goog-Generation": found.facts["generation"],
            "Content-Type": found.facts["contentType"],
        }
        size = len(found.data)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self._request.headers.get("Range", ""))
        if wanted is None:
            return self._web.Response(body=found.data, headers=headers)
        start = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
        end = min(size, int(wanted[2]) + 1) if wanted[1] and wanted[2] else size
        if start >= size:
            return self._web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return self._web.Response(status=206, body=found.data[start:end], headers=headers)

    def _list(self, bucket: _Bucket) -> Any:
        prefix, delimiter = self._query.get("prefix", ""), self._query.get("delimiter", "")
        entries: dict[str, Any] = {}
        for name in sorted(bucket.objects):
            if not name.startswith(prefix) or name < self._query.get("startOffset", ""):
                continue
            folder, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            entries[prefix + folder + delimiter if found else name] = None if found else bucket.objects[name].facts
        start = int(self._query.get("pageToken", 0))
        most = min(_MOST_IN_A_PAGE, int(self._query.get("maxResults", _MOST_IN_A_PAGE)))
        page = list(entries.items())[start : start + most]
        answer = {
            "items": [facts for _, facts in page if facts],
            "prefixes": [name for name, facts in page if not facts],
            "nextPageToken": str(start + most) if start + most < len(entries) else "",
        }
        # What is empty is absent, as Google's clients expect.
        return self._json({"kind": "storage#objects", **{key: value for key, value in answer.items() if value}})


def _split_parts(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """Return facts and data of an upload in two parts; the data ends where the boundary stands for the first time."""
    found = re.search(r'boundary="?([^";]+)', content_type)
    if found is None:
        raise _RefusedError(400, "badRequest", "no boundary")
    boundary = b"--" + found[1].encode()
    line = b"\r\n" if body.startswith(boundary + b"\r\n") else b"\n"
    facts_start = body.index(line * 2) + 2 * len(line)
    facts_end = body.index(line + boundary, facts_start)
    data_start = body.index(line * 2, facts_end + len(line)) + 2 * len(line)
    data_end = body.index(line + boundary, data_start)
    return json.loads(body[facts_start:facts_end]), body[data_start:data_end]
