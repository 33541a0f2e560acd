"""Files elsewhere as origins, known by date and size: over SSH, in HDFS, by whatever fsspec has a driver for."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from typing import Any

from vstore.errors import KeyNotFoundError
from vstore.remote.fsspec_transport.hadoop.files import Status
from vstore.remote.fsspec_transport.hadoop.transport import HadoopTransport
from vstore.remote.fsspec_transport.sftp.packets import Attributes
from vstore.remote.fsspec_transport.sftp.transport import SftpTransport
from vstore.remote.fsspec_transport.transport import FsspecTransport, modified_s
from vstore.remote.origin import Item, Origin, dated_lock, find_obstacle

_PIECE_BYTES = 1024 * 1024
_TAGS = ("ETag", "etag", "generation", "sha", "checksum", "hash")
"""What drivers call a version, if it is text or a number."""


class SftpOrigin(Origin):
    """What a path names on a host: a file, or the files of a directory.

    A symlink to a file is that file; one to a directory is not followed, as it could lead anywhere, also in circles.
    """

    is_watchful = True

    def __init__(self, transport: SftpTransport) -> None:
        self.url = transport.url
        self._transport = transport

    def look(self, path: str) -> Item | None:
        with self._transport._session(f"look for {path}" if path else "look", path) as session:
            found = session.find(self._path(path))
        return _sftp_item(path, found) if found is not None and stat.S_ISREG(found.mode) else None

    def list(self) -> Iterator[Item]:
        folders = [""]
        while folders:
            folder = folders.pop()
            with self._transport._session(f"list {folder or 'everything'}", folder) as session:
                try:
                    found = session.list(self._path(folder.rstrip("/")))
                except FileNotFoundError:
                    if folder:
                        raise
                    return
                links = [name for name, listed in found if stat.S_ISLNK(listed.mode)]
                targets = {name: session.find(self._path(folder + name)) for name in links}
            for name, listed in found:
                if name in (".", ".."):
                    continue
                if stat.S_ISDIR(listed.mode):
                    folders.append(f"{folder}{name}/")
                    continue
                what = targets.get(name, listed)
                obstacle = find_obstacle(None if what is None else what.mode, is_link=name in targets)
                if what is None or obstacle:
                    yield Item(folder + name, None, "", obstacle=obstacle)
                else:
                    yield _sftp_item(folder + name, what)

    def read(self, item: Item, start: int, length: int) -> bytes:
        with self._transport._session(f"read {item.path}".rstrip(), item.path) as session:
            try:
                what, data = session.read(self._path(item.path), start, length)
            except FileNotFoundError as error:
                raise self.changed(item) from error
        if _sftp_item(item.path, what).lock != item.lock or len(data) != length:
            raise self.changed(item)
        return data

    def close(self) -> None:
        self._transport.close()

    def _path(self, path: str) -> str:
        return self._transport._path(path) if path else self._transport._root


def _sftp_item(path: str, what: Attributes) -> Item:
    lock = dated_lock(what.modified_s, what.size_bytes)
    return Item(path, what.size_bytes, lock, executable=bool(what.mode & 0o100))


class HadoopOrigin(Origin):
    """What a path names in HDFS: a file, or the files of a directory."""

    def __init__(self, transport: HadoopTransport) -> None:
        self.url = transport.url
        self._transport = transport

    def look(self, path: str) -> Item | None:
        with self._transport._errors(f"look for {path}" if path else "look", path):
            try:
                status = self._transport._files.get_status(self._path(path))
            except FileNotFoundError:
                return None
            return None if status.is_folder else _hadoop_item(path, status)

    def list(self) -> Iterator[Item]:
        folders = [""]
        while folders:
            folder = folders.pop()
            with self._transport._errors(f"list {folder or 'everything'}", folder):
                try:
                    found = self._transport._files.list(self._path(folder.rstrip("/")))
                except FileNotFoundError:
                    return
            for status in found:
                if status.is_folder:
                    folders.append(f"{folder}{status.name}/")
                elif status.name:
                    yield _hadoop_item(folder + status.name, status)

    def read(self, item: Item, start: int, length: int) -> bytes:
        with self._transport._errors(f"read {item.path}".rstrip(), item.path):
            try:
                data = self._transport._files.read(self._path(item.path), start, length)
            except FileNotFoundError as error:
                raise self.changed(item) from error
        if len(data) != length:
            raise self.changed(item)
        return data

    def close(self) -> None:
        self._transport.close()

    def _path(self, path: str) -> str:
        return self._transport._path(path) if path else self._transport._root or "/"


def _hadoop_item(path: str, status: Status) -> Item:
    return Item(path, status.size_bytes, dated_lock(status.modified_s, status.size_bytes))


class FsspecOrigin(Origin):
    """What a URL names in a store of which nothing is known."""

    def __init__(self, transport: FsspecTransport) -> None:
        self.url = transport.url
        self._transport = transport

    def look(self, path: str) -> Item | None:
        try:
            with self._transport._foreign_errors(f"look for {path}" if path else "look", path):
                self._transport._filesystem.invalidate_cache()
                info = self._transport._ask("info", self._path(path))
        except KeyNotFoundError:
            return None
        return _fsspec_item(path, info) if info["type"] == "file" else None

    def list(self) -> Iterator[Item]:
        folders = [""]
        while folders:
            folder = folders.pop()
            for entry in self._transport._scan(folder):
                path = folder + str(entry["name"]).rstrip("/").rpartition("/")[2]
                if entry["type"] == "directory":
                    folders.append(path + "/")
                elif entry["type"] == "file":
                    yield _fsspec_item(path, entry)
                else:
                    yield Item(path, None, "", obstacle=f"is no file, but {entry['type']!r}")

    def read(self, item: Item, start: int, length: int) -> bytes:
        try:
            with self._transport._foreign_errors(f"read {item.path}".rstrip(), item.path):
                path = self._path(item.path)
                data = self._transport._ask("cat_file", path, start=start, end=start + length, size_bytes=length)
        except KeyNotFoundError as error:
            raise self.changed(item) from error
        if len(data) != length:
            raise self.changed(item)
        return bytes(data)

    def iter_whole(self, item: Item) -> Iterator[bytes]:
        with (
            self._transport._foreign_errors(f"read {item.path}".rstrip(), item.path),
            self._transport._filesystem.open(self._path(item.path), "rb") as file,
        ):
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def close(self) -> None:
        self._transport.close()

    def _path(self, path: str) -> str:
        return self._transport._path(path) if path else self._transport._root


def _fsspec_item(path: str, entry: Mapping[str, Any]) -> Item:
    size_bytes = None if entry.get("size") is None else int(entry["size"])
    tag = next((entry[name] for name in _TAGS if isinstance(entry.get(name), str | int) and entry[name] != ""), None)
    lock = dated_lock(modified_s(entry), size_bytes) if tag is None else f"tag:{tag}"
    return Item(path, size_bytes, lock, has_ranges=size_bytes is not None)
