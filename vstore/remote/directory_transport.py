"""A directory as a remote: it may be somebody's only backup, so every write is durable."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

from vstore.durable import flush_directory, open_atomic
from vstore.errors import Cause, KeyNotFoundError, RemoteDeniedError, RemoteUnavailableError
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
    is_leftover,
)

# A FIFO that somebody planted must not stop us.
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

# How the system says that no file can be at a path.
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}

# Linux reads at most 2 GiB at once, and macOS refuses to read more.
_MOST_AT_ONCE = 1 << 30


class DirectoryTransport(Transport):
    """Objects as files below ``root``, an absolute path; what is not a file is as if absent.

    Files are published through a temporary file in the same folder, which listings never show; a crash
    leaves at most such temporaries.  A power cut may bring back what was deleted, but loses nothing that
    was written.  A missing root is made by the first write, but only if its parent exists: an unmounted
    disk is not quietly built anew on the disk below it.  Symlinks are followed for reading, but nothing
    below the root is written or deleted through one.
    """

    can_write_if_absent = True

    def __init__(self, root: Path) -> None:
        self.url = str(root)
        self._root = root
        self._lock = Lock()
        self._flushed: set[Path] = set()

    def has_place(self) -> bool:
        with self._os_errors("look"):
            try:
                return stat.S_ISDIR(os.stat(self._root).st_mode)
            except FileNotFoundError:
                return False

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        for key, status in self._iter_files(prefix):
            if is_key(key):
                yield Listed(key, status.st_size, status.st_mtime)

    def _iter_files(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield objects, and what is left of writers that died."""
        folders = [prefix]
        while folders:
            folder = folders.pop()
            with self._os_errors(f"list {folder or 'everything'}"):
                found = self._scan(folder)
            for key, status in found:
                if stat.S_ISREG(status.st_mode):
                    yield key, status
                elif stat.S_ISDIR(status.st_mode) and is_key(key):
                    folders.append(key + "/")

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        with self._os_errors(f"look for {key}"), self._absences():
            status = os.stat(self._root / key)
            return status.st_size if stat.S_ISREG(status.st_mode) else None
        return None

    def read(self, key: Key) -> bytes:
        check_key(key)
        with (
            self._os_errors(f"read {key}"),
            self._open(key) as (descriptor, _),
            open(descriptor, "rb", buffering=0, closefd=False) as file,
        ):
            return file.readall()

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        check_range(key, start, length)
        with self._os_errors(f"read {key}"), self._open(key) as (descriptor, size_bytes):
            # Before a buffer of that length is made: the length may come from a hostile index.
            check_covers(key, size_bytes, start, length)
            data = os.pread(descriptor, min(length, _MOST_AT_ONCE), start)
            while len(data) < length:
                more = os.pread(descriptor, min(length - len(data), _MOST_AT_ONCE), start + len(data))
                if not more:
                    check_covers(key, start + len(data), start, length)
                data += more
        return data

    def write(self, key: Key, data: Buffer) -> None:
        self._publish(key, data, replace=True)

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        return self._publish(key, data, replace=False)

    def delete(self, key: Key) -> None:
        check_key(key)
        self._delete(key)

    def sweep(self, before_s: float) -> int:
        old = [name for name, status in self._iter_files("") if is_leftover(name) and status.st_mtime < before_s]
        for name in old:
            self._delete(name)
        return len(old)

    def _delete(self, key: str) -> None:
        path = self._root / key
        with self._os_errors(f"delete {key}"), self._absences():
            folder = path.parent
            while folder != self._root:
                self._check_plain(folder, "delete")
                folder = folder.parent
            os.unlink(path)

    def names(self) -> Sequence[str]:
        with self._os_errors("list everything"), self._absences():
            return sorted(os.listdir(self._root))
        return ()

    def _publish(self, key: Key, data: Buffer, *, replace: bool) -> bool:
        check_key(key)
        path = self._root / key
        with self._os_errors(f"write {key}"):
            self._make_folder(path.parent)
            try:
                with open_atomic(path, replace=replace) as file:
                    file.write(data)
            except FileExistsError:
                return False
        return True

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, up to the root, and flush all of their names once."""
        if folder == self._root:
            self._make_place()
            return
        self._make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        self._check_plain(folder, "write")
        # Another process may have made the folder and not flushed it yet.
        self._flush_name(folder)

    def _make_place(self) -> None:
        try:
            os.mkdir(self._root)
        except FileExistsError:
            return
        except FileNotFoundError as error:
            raise self._missing(f"neither the remote directory {self._root} nor its parent exists") from error
        self._flush_name(self._root)

    def _flush_name(self, folder: Path) -> None:
        with self._lock:
            if folder not in self._flushed:
                flush_directory(folder.parent)
                self._flushed.add(folder)

    def _check_plain(self, folder: Path, action: str) -> None:
        if stat.S_ISLNK(os.lstat(folder).st_mode):
            message = f"{folder} is a symlink: vstore does not {action} through it"
            raise RemoteDeniedError(message, cause=Cause.DENIED, url=self.url, action=action)

    def _scan(self, folder: str) -> Sequence[tuple[str, os.stat_result]]:
        found = []
        with self._absences(), os.scandir(self._root / folder) as entries:
            for entry in entries:
                # What is deleted meanwhile is absent, and so is where a dangling symlink leads.
                if is_key(key := folder + entry.name) or is_leftover(key):
                    with self._absences():
                        found.append((key, entry.stat()))
        return found

    @contextlib.contextmanager
    def _open(self, key: Key) -> Iterator[tuple[int, int]]:
        """Open a plain file; yields its descriptor and size.  Raises KeyNotFoundError."""
        descriptor = self._descriptor(key)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise self._no_key(key)
            yield descriptor, status.st_size
        finally:
            os.close(descriptor)

    def _descriptor(self, key: Key) -> int:
        with self._absences():
            return os.open(self._root / key, _READ_FLAGS)
        raise self._no_key(key)

    def _no_key(self, key: Key) -> KeyNotFoundError:
        return KeyNotFoundError(f"{self.url} has no {key}", key=key)

    @contextlib.contextmanager
    def _absences(self) -> Iterator[None]:
        """Pass over what is absent, as long as the root is there."""
        try:
            yield
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            self._check_place()

    def _check_place(self) -> None:
        if not self.has_place():
            raise self._missing(f"the remote directory {self._root} does not exist")

    def _missing(self, message: str) -> RemoteUnavailableError:
        return RemoteUnavailableError(message, cause=Cause.NO_PLACE, url=self.url)

    @contextlib.contextmanager
    def _os_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise from_os_error(error, self.url, action) from error
