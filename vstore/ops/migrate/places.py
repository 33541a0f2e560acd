"""Where contents of another tool may be: in its store on this machine, in its remote, in the work tree."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import stat
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from vstore.durable import os_errors
from vstore.errors import (
    ChangedWhileReadError,
    KeyNotFoundError,
    RemoteDeniedError,
    RemoteUnavailableError,
    VstoreError,
)
from vstore.objects.chunking import SMALL_BYTES
from vstore.ops.migrate.foreign import MD5, ForeignName
from vstore.remote.origin import Item, Origin
from vstore.remote.transport import Transport

Answer = TypeVar("Answer")
_RANGE_BYTES = 16 * 1024 * 1024
# A pipe in an object's place must not stop us.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Content(NamedTuple):
    """A content as it was found, unverified: the bytes of a small one, an open file of a large one."""

    data: bytes
    file: BinaryIO | None


class Place(ABC):
    """Somewhere contents may be; used by several threads.

    ``label`` names it in messages; ``is_store`` is False where a content that is not the wanted one is nobody's fault.
    """

    label: str
    is_store = True

    @abstractmethod
    def has(self, name: ForeignName) -> bool:
        """Tell whether something is there under this name, unread.  Raises as ``find``."""

    @abstractmethod
    def find(self, name: ForeignName) -> Content | None:
        """Return what is there under this name; None if nothing is.

        Raises RemoteUnavailableError, RemoteDeniedError, UnavailableError, PermissionDeniedError.
        """


class StorePlace(Place):
    """A store on this machine: objects as files, at their keys below a directory."""

    def __init__(self, directory: Path, label: str) -> None:
        self.directory = directory
        self.label = label

    def has(self, name: ForeignName) -> bool:
        return os.path.isfile(f"{self.directory}/{name.key}")

    def find(self, name: ForeignName) -> Content | None:
        return _open(f"{self.directory}/{name.key}")


class FilePlace(Place):
    """A file of the work tree, which may hold the content, or have been changed."""

    label = "the work tree"
    is_store = False

    def __init__(self, path: str) -> None:
        self._path = path.rstrip("/")  # joined with "", which an artifact calls itself

    def has(self, name: ForeignName) -> bool:
        return False  # that would have to be read to be known

    def find(self, name: ForeignName) -> Content | None:
        return _open(self._path)


class RemotePlace(Place):
    """A remote of another tool, over a transport of ours; large contents are put into ``temporary`` first."""

    def __init__(self, transport: Transport, label: str, temporary: Path) -> None:
        self.label = label
        self._transport = transport
        self._temporary = temporary
        self._broken: VstoreError | None = None

    def has(self, name: ForeignName) -> bool:
        return self._find_size(name) is not None

    def find(self, name: ForeignName) -> Content | None:
        size_bytes = self._find_size(name)
        if size_bytes is None:
            return None
        with contextlib.suppress(KeyNotFoundError):
            if size_bytes <= SMALL_BYTES:
                return Content(self._transport.read(name.key), None)
            return Content(b"", _download(self._temporary, size_bytes, partial(self._transport.read_range, name.key)))
        return None

    def _find_size(self, name: ForeignName) -> int | None:
        # One that cannot be reached would be waited for again for every single object.
        if self._broken is not None:
            raise self._broken
        try:
            return self._transport.find_size(name.key)
        except (RemoteUnavailableError, RemoteDeniedError) as error:
            self._broken = error
            raise


class VersionsPlace(Place):
    """A remote of another tool that keeps files by their own names, in the versions that a bucket remembers.

    ``note`` tells it which files those are; until then it has nothing.  Old versions are asked for in buckets of S3;
    elsewhere there is the newest.
    """

    def __init__(self, origin: Origin, label: str, temporary: Path) -> None:
        self.label = label
        self._has_old = origin.url.startswith("s3://")
        self._origin = origin
        self._temporary = temporary
        self._items: dict[ForeignName, dict[Item, None]] = {}
        self._broken: VstoreError | None = None

    def note(self, name: ForeignName, item: Item) -> None:
        """Learn where a content is; an item without a version is what the newest may be."""
        if self._has_old or not item.version:
            self._items.setdefault(name, {})[item] = None

    def has(self, name: ForeignName) -> bool:
        return any(item.version or self._look(item) for item in self._items.get(name, ()))

    def find(self, name: ForeignName) -> Content | None:
        for noted in self._items.get(name, ()):
            item = noted if noted.version else self._look(noted)
            if item is None or (item.md5 and name.algorithm == MD5 and item.md5 != _md5_base64(name)):
                continue
            size_bytes = item.size_bytes or 0
            with contextlib.suppress(ChangedWhileReadError):
                if size_bytes > SMALL_BYTES:
                    return Content(b"", _download(self._temporary, size_bytes, partial(self._read, item)))
                return Content(self._read(item, 0, size_bytes) if size_bytes else b"", None)
        return None

    def _look(self, item: Item) -> Item | None:
        return self._ask(lambda: self._origin.look(item.path))

    def _read(self, item: Item, start: int, length: int) -> bytes:
        return self._ask(lambda: self._origin.read(item, start, length))

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        if self._broken is not None:
            raise self._broken
        try:
            return request()
        except (RemoteUnavailableError, RemoteDeniedError) as error:
            self._broken = error
            raise


def _md5_base64(name: ForeignName) -> str:
    return base64.b64encode(bytes.fromhex(name.hex)).decode()


def _download(temporary: Path, size_bytes: int, read_range: Callable[[int, int], bytes]) -> BinaryIO:
    with os_errors(temporary, "write to"):
        file = tempfile.TemporaryFile(dir=temporary, buffering=0)  # noqa: SIM115 - handed out
        try:
            for start in range(0, size_bytes, _RANGE_BYTES):
                view = memoryview(read_range(start, min(_RANGE_BYTES, size_bytes - start)))
                while view:
                    view = view[file.write(view) :]
            file.seek(0)
        except BaseException:
            file.close()
            raise
    return file


def _open(path: str) -> Content | None:
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link into a store, where it is looked for anyway
            return None
        with os_errors(path, "read"):
            raise error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        return None
    file = open(descriptor, "rb", buffering=0)  # noqa: SIM115 - handed out
    if found.st_size > SMALL_BYTES:
        return Content(b"", file)
    with file, os_errors(path, "read"):
        return Content(file.read(SMALL_BYTES + 1), None)
