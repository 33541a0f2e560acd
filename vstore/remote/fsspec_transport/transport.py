"""The transport that works with every driver of fsspec, over what all of them have."""

from __future__ import annotations

import contextlib
import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fsspec.asyn import sync

from vstore.durable import temporary_name
from vstore.errors import Cause, KeyNotFoundError, RemoteUnavailableError, VstoreError
from vstore.remote.fsspec_transport.failures import from_foreign, no_place
from vstore.remote.transport import (
    Buffer,
    Key,
    Listed,
    Transport,
    check_covers,
    check_key,
    check_prefix,
    check_range,
    is_key,
)

# What drivers call the store's date, the date of the content before that of the name.
_DATES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")

SLOWEST_BYTES_PER_S = 64 * 1024
"""A line that is slower than this for the whole of a request counts as stalled."""


class FsspecTransport(Transport):
    """Objects below ``root`` of an fsspec filesystem.

    With ``staged``, for stores with folders, a file is written under a temporary name and moved into place;
    without, the filesystem's ``pipe_file`` must be all or nothing, as a PUT to a bucket is.
    ``write_if_absent`` is not promised: servers differ, and some ignore the condition silently.
    Where the driver is asynchronous, a request that takes longer than ``timeout_s``, and what its bytes would take at
    ``SLOWEST_BYTES_PER_S``, is given up.
    """

    def __init__(self, filesystem: Any, root: str, *, url: str, staged: bool = False, timeout_s: float = 30.0) -> None:
        self.url = url
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._staged = staged
        self._timeout_s = timeout_s

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
                    yield Listed(key, int(entry["size"]), modified_s(entry))

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        try:
            with self._foreign_errors(f"look for {key}", key):
                self._filesystem.invalidate_cache()
                info = self._ask("info", self._path(key))
                return int(info["size"]) if info["type"] == "file" else None
        except KeyNotFoundError:
            return None

    def read(self, key: Key) -> bytes:
        check_key(key)
        with self._foreign_errors(f"read {key}", key):
            return self._read(key)

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        check_range(key, start, length)
        if not length:
            # HTTP has no empty range.
            self._check_covers(key, start, length)
            return b""
        try:
            with self._foreign_errors(f"read {key}", key):
                data = self._read_range(key, start, length)
        except RemoteUnavailableError as error:
            if not error.retryable:
                # Each driver has its own words for a range behind the end.
                self._check_covers(key, start, length)
            raise
        if len(data) != length:
            self._check_covers(key, start, length)
            message = f"{self.url} sent {len(data)} bytes of {key} instead of {length}"
            raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)
        return data

    def write(self, key: Key, data: Buffer) -> None:
        check_key(key)
        try:
            with self._foreign_errors(f"write {key}", key):
                self._write(key, data)
        except KeyNotFoundError as error:
            raise no_place(self.url) from error

    def delete(self, key: Key) -> None:
        check_key(key)
        with contextlib.suppress(KeyNotFoundError), self._foreign_errors(f"delete {key}", key):
            self._ask("rm_file", self._path(key))

    def names(self) -> Sequence[str]:
        return [str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in self._scan("")]

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _ask(self, name: str, *args: Any, size_bytes: int = 0, **kwargs: Any) -> Any:
        """Call a method of the filesystem, and wait no longer than is sensible if it can be given up."""
        coroutine = getattr(self._filesystem, f"_{name}", None)
        if not self._filesystem.async_impl or coroutine is None:
            return getattr(self._filesystem, name)(*args, **kwargs)
        timeout_s = self._timeout_s + size_bytes / SLOWEST_BYTES_PER_S
        return sync(self._filesystem.loop, coroutine, *args, timeout=timeout_s, **kwargs)

    def _read(self, key: Key) -> bytes:
        return bytes(self._ask("cat_file", self._path(key)))

    def _read_range(self, key: Key, start: int, length: int) -> bytes:
        return bytes(self._ask("cat_file", self._path(key), start=start, end=start + length, size_bytes=length))

    def _write(self, key: Key, data: Buffer) -> None:
        # Drivers take a bytearray for a list of numbers, and refuse a memoryview.
        content = bytes(data)
        if self._staged:
            self._write_staged(self._path(key), content)
        else:
            self._ask("pipe_file", self._path(key), content, size_bytes=len(content))

    def _scan(self, folder: str) -> Sequence[dict[str, Any]]:
        # Not find() or walk(): they pass over a folder that could not be listed, and what a listing
        # does not show is taken for gone.
        path = self._path(folder).rstrip("/") or "/"
        try:
            with self._foreign_errors(f"list {folder or 'everything'}", folder):
                self._filesystem.invalidate_cache()
                return [entry for entry in self._ask("ls", path, detail=True) if not _same(entry["name"], path)]
        except KeyNotFoundError:
            return []

    def _write_staged(self, path: str, content: bytes) -> None:
        folder = path.rpartition("/")[0]
        temporary = f"{folder}/{temporary_name()}"
        self._ask("makedirs", folder, exist_ok=True)
        try:
            self._ask("pipe_file", temporary, content, size_bytes=len(content))
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
        except VstoreError:
            raise
        except Exception as error:
            raise from_foreign(error, self.url, action, key) from error


def _same(name: str, path: str) -> bool:
    return name.strip("/") == path.strip("/")


def modified_s(entry: Mapping[str, Any]) -> float:
    """Return the store's date of what a driver lists, in seconds since 1970; infinity where there is none."""
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
