"""A directory on another machine, over SSH, as a transport."""

from __future__ import annotations

import contextlib
import errno
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vstore.durable import temporary_name
from vstore.errors import Cause, KeyNotFoundError, NoSpaceError, RemoteUnavailableError, VstoreError
from vstore.remote.fsspec_transport.failures import from_foreign, no_place
from vstore.remote.fsspec_transport.sftp.packets import Attributes, _AbsentError, _RefusedError
from vstore.remote.fsspec_transport.sftp.session import Session
from vstore.remote.fsspec_transport.sftp.sessions import Sessions
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
    is_leftover,
)

# With less room than this a server that only says "failure" is taken to be full.
_FULL_BYTES = 1024 * 1024


class SftpTransport(Transport):
    """Objects as files below ``root``, a path on the server; one that is not absolute starts at the user's home.

    A file is written under a temporary name that no listing shows, flushed where the server can (OpenSSH can), and
    moved into place; a crash leaves at most such temporaries.  A missing root is made by the first write, but only if
    its parent exists.  ``connect`` returns a connection, as paramiko's client; there is one at a time, made when it is
    needed and again when it broke, with a session for each thread that asks.
    """

    def __init__(self, connect: Callable[[], Any], root: str, *, url: str, timeout_s: float) -> None:
        self.url = url
        self._root = root.rstrip("/") or "/"
        self._sessions = Sessions(connect, timeout_s)

    def has_place(self) -> bool:
        with self._session("look", "") as session:
            return self._is_place(session)

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        for key, what in self._iter_files(prefix):
            if is_key(key):
                yield Listed(key, what.size_bytes, what.modified_s)

    def _iter_files(self, prefix: str) -> Iterator[tuple[str, Attributes]]:
        """Yield objects, and what is left of writers that died."""
        folders = [prefix]
        while folders:
            folder = folders.pop()
            with self._session(f"list {folder or 'everything'}", folder) as session:
                found = self._scan(session, folder)
            for key, what in found:
                if stat.S_ISREG(what.mode):
                    yield key, what
                elif stat.S_ISDIR(what.mode) and is_key(key):
                    folders.append(key + "/")

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        with self._session(f"look for {key}", key) as session:
            what = session.find(self._path(key))
            if what is None:
                self._check_place(session)
            return what.size_bytes if what is not None and stat.S_ISREG(what.mode) else None

    def read(self, key: Key) -> bytes:
        check_key(key)
        what, content = self._read(key, 0, None)
        self._check_length(key, content, what.size_bytes)
        return content

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        check_range(key, start, length)
        what, content = self._read(key, start, length)
        check_covers(key, what.size_bytes, start, length)
        self._check_length(key, content, length)
        return content

    def write(self, key: Key, data: Buffer) -> None:
        check_key(key)
        path = self._path(key)
        folder = path.rpartition("/")[0]
        with self._session(f"write {key}", key) as session:
            temporary = f"{folder}/{temporary_name()}"
            try:
                try:
                    session.write(path, data, temporary=temporary)
                except _AbsentError:
                    self._make_folders(session, key)
                    session.write(path, data, temporary=temporary)
            except _RefusedError as refusal:
                full = self._is_full(session, refusal, len(data))
                with contextlib.suppress(_RefusedError):
                    session.remove(temporary)
                if full:
                    message = f"could not write {key} at {self.url}: no space is left"
                    raise NoSpaceError(message, path=self.url) from refusal
                raise

    def delete(self, key: Key) -> None:
        check_key(key)
        self._delete(key)

    def sweep(self, before_s: float) -> int:
        old = [name for name, what in self._iter_files("") if is_leftover(name) and what.modified_s < before_s]
        for name in old:
            self._delete(name)
        return len(old)

    def _delete(self, key: str) -> None:
        with self._session(f"delete {key}", key) as session:
            try:
                session.remove(self._path(key))
            except _AbsentError:
                self._check_place(session)

    def close(self) -> None:
        self._sessions.close()

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    def _read(self, key: Key, start: int, length: int | None) -> tuple[Attributes, bytes]:
        with self._session(f"read {key}", key) as session:
            try:
                return session.read(self._path(key), start, length)
            except _RefusedError as refused:
                # That a folder is no file some tell like any failure.
                if not isinstance(refused, _AbsentError) and not self._is_folder(session, self._path(key)):
                    raise
                self._check_place(session)
                raise KeyNotFoundError(f"{self.url} has no {key}", key=key) from refused

    def _check_length(self, key: Key, content: bytes, size_bytes: int) -> None:
        if len(content) != size_bytes:
            message = f"{self.url} sent {len(content)} bytes of {key} instead of {size_bytes}"
            raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)

    def _scan(self, session: Session, folder: str) -> Sequence[tuple[str, Attributes]]:
        try:
            entries = session.list(self._path(folder).rstrip("/") or "/")
        except _RefusedError as refused:
            # And so they do with a file that is no folder.
            if not isinstance(refused, _AbsentError) and self._is_folder(session, self._path(folder)):
                raise
            self._check_place(session)
            return []
        found = []
        for name, listed in entries:
            if is_key(key := folder + name) or is_leftover(key):
                what = session.find(self._path(key)) if stat.S_ISLNK(listed.mode) else listed
                if what is not None:  # not a symlink that leads nowhere
                    found.append((key, what))
        return found

    def _make_folders(self, session: Session, key: Key) -> None:
        """Make the folders of a key, and the root if its parent is there."""
        if not self._is_place(session):
            try:
                session.make_folder(self._root)
            except _AbsentError as absent:
                message = f"neither the directory of {self.url} nor its parent exists"
                raise RemoteUnavailableError(message, cause=Cause.NO_PLACE, url=self.url) from absent
        folders = key.split("/")[:-1]
        for depth in range(len(folders)):
            path = self._path("/".join(folders[: depth + 1]))
            try:
                session.make_folder(path)
            except _RefusedError:
                if session.find(path) is None:
                    raise

    def _is_place(self, session: Session) -> bool:
        return self._is_folder(session, self._root)

    def _is_folder(self, session: Session, path: str) -> bool:
        what = session.find(path)
        return what is not None and stat.S_ISDIR(what.mode)

    def _check_place(self, session: Session) -> None:
        if not self._is_place(session):
            raise no_place(self.url)

    def _is_full(self, session: Session, refusal: _RefusedError, wanted_bytes: int) -> bool:
        if refusal.errno != errno.EIO:
            return False
        with contextlib.suppress(_RefusedError):
            free_bytes = session.find_free_bytes(self._root)
            return free_bytes is not None and free_bytes < max(wanted_bytes, _FULL_BYTES)
        return False

    @contextlib.contextmanager
    def _session(self, action: str, key: str) -> Iterator[Session]:
        try:
            with self._sessions.one() as session:
                yield session
        except VstoreError:
            raise
        except Exception as error:
            raise from_foreign(error, self.url, action, key) from error
