"""A directory of HDFS, as a transport."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from vstore.durable import temporary_name
from vstore.errors import Cause, KeyNotFoundError, RemoteUnavailableError, VstoreError
from vstore.remote.fsspec_transport.failures import from_foreign, no_place
from vstore.remote.fsspec_transport.hadoop.files import Files, Status, _RefusedError, from_refusal
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


class HadoopTransport(Transport):
    """Objects as files below ``root``, an absolute path in HDFS.

    A file is written under a temporary name that no listing shows, its size is compared, and it is moved into place,
    which HDFS does in one step; a crash leaves at most such temporaries.  The first write makes the root.
    """

    def __init__(self, files: Files, root: str, *, url: str) -> None:
        self.url = url
        self._files = files
        self._root = root.rstrip("/")

    def has_place(self) -> bool:
        with self._errors("look", ""):
            return self._is_place()

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        for key, status in self._iter_files(prefix):
            if is_key(key):
                yield Listed(key, status.size_bytes, status.modified_s)

    def _iter_files(self, prefix: str) -> Iterator[tuple[str, Status]]:
        """Yield objects, and what is left of writers that died."""
        folders = [prefix]
        while folders:
            folder = folders.pop()
            with self._errors(f"list {folder or 'everything'}", folder):
                found = self._scan(folder)
            for status in found:
                key = folder + status.name
                if status.is_folder and is_key(key):
                    folders.append(key + "/")
                elif not status.is_folder and (is_key(key) or is_leftover(key)):
                    yield key, status

    def find_size(self, key: Key) -> int | None:
        check_key(key)
        with self._errors(f"look for {key}", key):
            return self._find_size(key)

    def read(self, key: Key) -> bytes:
        check_key(key)
        with self._errors(f"read {key}", key), self._absences(key):
            return self._files.read(self._path(key), 0, None)

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        check_range(key, start, length)
        with self._errors(f"read {key}", key):
            data = b""
            refusal: _RefusedError | None = None
            if length:
                try:
                    with self._absences(key):
                        data = self._files.read(self._path(key), start, length)
                except _RefusedError as refused:
                    refusal = refused  # perhaps of a range behind the end, which has no name of its own
            if length and len(data) == length:
                return data
            self._check_covers(key, start, length)
            if refusal is not None:
                raise refusal
            if length:
                message = f"{self.url} sent {len(data)} bytes of {key} instead of {length}"
                raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)
            return b""

    def write(self, key: Key, data: Buffer) -> None:
        check_key(key)
        path = self._path(key)
        temporary = f"{path.rpartition('/')[0]}/{temporary_name()}"
        content = memoryview(data).cast("B")
        with self._errors(f"write {key}", key):
            try:
                self._files.create(temporary, content)
                size_bytes = self._files.get_status(temporary).size_bytes
                if size_bytes != len(content):
                    message = f"{size_bytes} bytes of {key} arrived at {self.url} instead of {len(content)}"
                    raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url)
                self._files.replace(temporary, path)
            except FileNotFoundError as error:
                # Somebody deleted it, or the folder, meanwhile.
                message = f"what was written of {key} at {self.url} is gone"
                raise RemoteUnavailableError(message, cause=Cause.DAMAGED, url=self.url) from error
            except BaseException:
                with contextlib.suppress(Exception):
                    self._files.delete(temporary)
                raise

    def delete(self, key: Key) -> None:
        check_key(key)
        with self._errors(f"delete {key}", key):
            if self._find_size(key) is not None:
                self._files.delete(self._path(key))

    def sweep(self, before_s: float) -> int:
        old = [name for name, status in self._iter_files("") if is_leftover(name) and status.modified_s < before_s]
        for name in old:
            with self._errors(f"delete {name}", name), contextlib.suppress(FileNotFoundError):
                self._files.delete(self._path(name))
        return len(old)

    def close(self) -> None:
        self._files.close()

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _find_size(self, key: Key) -> int | None:
        try:
            with self._absences(key):
                status = self._files.get_status(self._path(key))
        except KeyNotFoundError:
            return None
        return None if status.is_folder else status.size_bytes

    def _scan(self, folder: str) -> Sequence[Status]:
        try:
            # A file that is listed tells of itself, without a name.
            return [status for status in self._files.list(self._path(folder).rstrip("/") or "/") if status.name]
        except FileNotFoundError:
            self._check_place()
            return []

    def _check_covers(self, key: Key, start: int, length: int) -> None:
        size_bytes = self._find_size(key)
        if size_bytes is None:
            raise KeyNotFoundError(f"{self.url} has no {key}", key=key)
        check_covers(key, size_bytes, start, length)

    @contextlib.contextmanager
    def _absences(self, key: Key) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, _RefusedError) as error:
            # A path that leads through a file is refused to whom may not execute that.
            if isinstance(error, _RefusedError) and not self._is_below_file(key):
                raise
            self._check_place()
            raise KeyNotFoundError(f"{self.url} has no {key}", key=key) from error

    def _is_below_file(self, key: Key) -> bool:
        names = key.split("/")
        for depth in range(1, len(names)):
            with contextlib.suppress(FileNotFoundError, _RefusedError):
                if not self._files.get_status(self._path("/".join(names[:depth]))).is_folder:
                    return True
        return False

    def _is_place(self) -> bool:
        try:
            return self._files.get_status(self._root or "/").is_folder
        except FileNotFoundError:
            return False

    def _check_place(self) -> None:
        if not self._is_place():
            raise no_place(self.url)

    @contextlib.contextmanager
    def _errors(self, action: str, key: str) -> Iterator[None]:
        try:
            yield
        except VstoreError:
            raise
        except _RefusedError as refused:
            raise from_refusal(refused, self.url, action) from refused
        except Exception as error:
            raise from_foreign(error, self.url, action, key) from error
