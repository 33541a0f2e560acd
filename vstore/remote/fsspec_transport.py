"""Any store that fsspec speaks to, as a transport; the only door of remotes to fsspec and its drivers.

No driver is imported here before it is asked for, and none for the names of its exceptions: those are told
apart by type name, status and code.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vstore.durable import temporary_name
from vstore.errors import (
    InvalidError,
    KeyNotFoundError,
    NoSpaceError,
    RemoteDeniedError,
    RemoteExtraMissingError,
    RemoteUnavailableError,
    VstoreError,
)
from vstore.remote.transport import (
    Buffer,
    Key,
    Listed,
    Transport,
    check_covers,
    check_key,
    check_prefix,
    check_range,
    from_os_error,
    is_key,
    public_url,
)

# Which extra of ours brings the driver, and which options its remotes know.
_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "sftp": "ssh",
    "ssh": "ssh",
}
_OPTIONS = {
    "s3": {"anon", "endpoint_url", "key", "profile", "region", "secret", "token"},
    "gs": {"anon", "endpoint_url", "project", "token"},
    "azure": {"account_key", "account_name", "anon", "connection_string", "sas_token"},
    "ssh": {"key_filename", "password", "port", "username"},
}

# What drivers call the store's date, the date of the content before that of the name.
_DATES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")

_NO_PLACE = {"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"}
_DENIED_STATUS = {401, 403}
_DENIED_TYPES = {
    "AuthenticationException",
    "ClientAuthenticationError",
    "DefaultCredentialsError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "PermissionError",
    "RefreshError",
}
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}
_PASSING_TYPES = {
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionError",
    "FSTimeoutError",
    "HTTPClientError",
    "IncompleteRead",
    "IncompleteReadError",
    "SSHException",
    "ServiceRequestError",
    "ServiceResponseError",
    "TimeoutError",
}


def open_fsspec(url: str, options: Mapping[str, str]) -> Transport:
    """Open a place by its URL, with a driver of its own that remembers no listings.

    Raises RemoteExtraMissingError if the driver is not installed, InvalidError for a URL or options that make
    no sense, and what any transport raises if the driver connects at once.
    """
    scheme = url.partition("://")[0].lower()
    place = public_url(url)
    extra = _EXTRAS.get(scheme)
    if extra and (unknown := sorted(set(options) - _OPTIONS[extra])):
        raise InvalidError(f"{place} knows no option {unknown[0]}", url=place, option=unknown[0])
    kind = _find_driver(scheme, place, extra)
    root = kind._strip_protocol(url)
    if extra and extra != "ssh" and not root.strip("/"):
        raise InvalidError(f"{place} names no bucket", url=place)
    try:
        arguments = {**kind._get_kwargs_from_urls(url), **_driver_arguments(extra, options)}
        filesystem = kind(**arguments, skip_instance_cache=True)
    except Exception as error:
        raise _from_foreign(error, place, "connect", "") from error
    return FsspecTransport(filesystem, root, url=place, staged=extra == "ssh")


def check_protocol(url: str) -> None:
    """Raise InvalidError where a URL's protocol is known to no driver, installed or not; connects to nothing."""
    scheme = url.partition("://")[0].lower()
    if not scheme:
        raise InvalidError(f"{public_url(url)} names no protocol", url=public_url(url))
    with contextlib.suppress(RemoteExtraMissingError):
        _find_driver(scheme, public_url(url), _EXTRAS.get(scheme))


class FsspecTransport(Transport):
    """Objects below ``root`` of an fsspec filesystem.

    With ``staged``, for stores with folders, a file is written under a temporary name and moved into place;
    without, the filesystem's ``pipe_file`` must be all or nothing, as a PUT to a bucket is.
    ``write_if_absent`` is not promised: servers differ, and some ignore the condition silently.
    """

    def __init__(self, filesystem: Any, root: str, *, url: str, staged: bool = False) -> None:
        self.url = url
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._staged = staged

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        folders = [prefix]
        while folders:
            folder = folders.pop()
            for entry in self._scan(folder):
                key = folder + str(entry["name"]).rstrip("/").rpartition("/")[2]
                if not is_key(key):
                    continue
                if entry["type"] == "directory":
                    folders.append(key + "/")
                elif entry["type"] == "file":
                    yield Listed(key, int(entry["size"]), _modified_s(entry))

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        try:
            with self._foreign_errors(f"look for {key}", key):
                self._filesystem.invalidate_cache()
                info = self._filesystem.info(self._path(key))
                return int(info["size"]) if info["type"] == "file" else None
        except KeyNotFoundError:
            return None

    def read(self, key: Key) -> bytes:
        check_key(key)
        with self._foreign_errors(f"read {key}", key):
            return bytes(self._filesystem.cat_file(self._path(key)))

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        check_range(key, start, length)
        if not length:
            # HTTP has no empty range.
            self._check_covers(key, start, length)
            return b""
        try:
            with self._foreign_errors(f"read {key}", key):
                data = bytes(self._filesystem.cat_file(self._path(key), start=start, end=start + length))
        except RemoteUnavailableError as error:
            if not error.retryable:
                # Each driver has its own words for a range behind the end.
                self._check_covers(key, start, length)
            raise
        if len(data) != length:
            self._check_covers(key, start, length)
            message = f"{self.url} sent {len(data)} bytes of {key} instead of {length}"
            raise RemoteUnavailableError(message, url=self.url, retryable=True)
        return data

    def write(self, key: Key, data: Buffer) -> None:
        check_key(key)
        path = self._path(key)
        # Drivers take a bytearray for a list of numbers, and refuse a memoryview.
        content = bytes(data)
        try:
            with self._foreign_errors(f"write {key}", key):
                if self._staged:
                    self._write_staged(path, content)
                else:
                    self._filesystem.pipe_file(path, content)
        except KeyNotFoundError as error:
            raise _no_place(self.url) from error

    def delete(self, key: Key) -> None:
        check_key(key)
        with contextlib.suppress(KeyNotFoundError), self._foreign_errors(f"delete {key}", key):
            self._filesystem.rm_file(self._path(key))

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _scan(self, folder: str) -> Sequence[dict[str, Any]]:
        # Not find() or walk(): they pass over a folder that could not be listed, and what a listing
        # does not show is taken for gone.
        path = self._path(folder).rstrip("/") or "/"
        try:
            with self._foreign_errors(f"list {folder or 'everything'}", folder):
                self._filesystem.invalidate_cache()
                return [entry for entry in self._filesystem.ls(path, detail=True) if not _same(entry["name"], path)]
        except KeyNotFoundError:
            return []

    def _write_staged(self, path: str, content: bytes) -> None:
        folder = path.rpartition("/")[0]
        temporary = f"{folder}/{temporary_name()}"
        self._filesystem.makedirs(folder, exist_ok=True)
        try:
            self._filesystem.pipe_file(temporary, content)
            self._filesystem.mv(temporary, path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._filesystem.rm_file(temporary)
            raise

    def _check_covers(self, key: Key, start: int, length: int) -> None:
        size_bytes = self.find_size(key)
        if size_bytes is None:
            raise KeyNotFoundError(f"{self.url} has no {key}", key=key)
        check_covers(key, size_bytes, start, length)

    @contextlib.contextmanager
    def _foreign_errors(self, action: str, key: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise _from_foreign(error, self.url, action, key) from error


def _find_driver(scheme: str, place: str, extra: str | None) -> Any:
    try:
        if extra == "ssh":
            # By name: an installed sshfs takes the protocol over, with other options and without ranges.
            return importlib.import_module("fsspec.implementations.sftp").SFTPFileSystem
        # Of one protocol, not of a chain: simplecache::s3 would answer from its memory instead of the store.
        return importlib.import_module("fsspec").get_filesystem_class(scheme)
    except ImportError as error:
        message = f"the driver for {scheme}:// is not installed"
        raise RemoteExtraMissingError(message, url=place, extra=extra) from error
    except ValueError as error:
        raise InvalidError(f"no driver is known for {place}", url=place) from error


def _driver_arguments(extra: str | None, options: Mapping[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(options)
    if extra == "ssh":
        return arguments
    arguments["use_listings_cache"] = False
    anonymous = arguments.pop("anon", "false").lower() in {"1", "on", "true", "yes"}
    if extra == "gs":
        # Its small uploads are cut silently where the content holds their fixed boundary.
        arguments["consistency"] = "md5"
        if anonymous:
            arguments["token"] = "anon"
    elif extra is not None:
        arguments["anon"] = anonymous
    if extra == "s3":
        if region := arguments.pop("region", None):
            arguments["client_kwargs"] = {"region_name": region}
        arguments["config_kwargs"] = {
            # Over https botocore's own checksums are more than other servers understand.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "connect_timeout": 10,
            "read_timeout": 60,
            # RetryingTransport tries again: one who does is enough.
            "retries": {"total_max_attempts": 1},
        }
    return arguments


def _from_foreign(error: Exception, url: str, action: str, key: str) -> VstoreError:
    status, code = _answer(error)
    types = {kind.__name__ for kind in type(error).__mro__}
    if code in _NO_PLACE:
        return _no_place(url)
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) or status == 404:
        return KeyNotFoundError(f"{url} has no {key}", key=key)
    # The words of the error stay out: some drivers put signed URLs into them.
    message = f"could not {action} at {url}: {code or status or type(error).__name__}"
    if status == 507 or code == "QuotaExceeded":
        return NoSpaceError(message, path=url)
    if status in _DENIED_STATUS or types & _DENIED_TYPES:
        return RemoteDeniedError(message, url=url, action=action)
    retryable = status in _PASSING_STATUS or bool(types & _PASSING_TYPES)
    if status is None and not retryable and isinstance(error, OSError) and error.errno:
        return from_os_error(error, url, action)
    return RemoteUnavailableError(message, url=url, retryable=retryable)


def _no_place(url: str) -> RemoteUnavailableError:
    return RemoteUnavailableError(f"the bucket or directory of {url} does not exist", url=url)


def _same(name: str, path: str) -> bool:
    return name.strip("/") == path.strip("/")


def _modified_s(entry: Mapping[str, Any]) -> float:
    for name in _DATES:
        value = entry.get(name)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = datetime.datetime.fromisoformat(value)
        if isinstance(value, datetime.datetime):
            return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return math.inf


def _answer(error: BaseException | None) -> tuple[int | None, str]:
    """Find the HTTP status and the server's error code in an exception or its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        response = getattr(error, "response", None)
        if isinstance(response, Mapping):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return _failure(status), str(response.get("Error", {}).get("Code", ""))
        # azure, aiohttp, requests and gcsfs, in this order
        for holder, name in ((error, "status_code"), (error, "status"), (response, "status_code"), (error, "code")):
            if (status := _failure(getattr(holder, name, None))) is not None:
                return status, str(getattr(error, "error_code", None) or "")
        error = error.__cause__ or error.__context__
    return None, ""


def _failure(value: object) -> int | None:
    number = int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0
    return number if 400 <= number < 600 else None
