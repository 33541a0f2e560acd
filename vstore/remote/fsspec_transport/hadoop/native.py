"""HDFS by its own protocol: ``hdfs://namenode[:port]/directory``, through hdfs-native; no Java is needed."""

from __future__ import annotations

import errno
import functools
import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from vstore.errors import InvalidError
from vstore.remote.fsspec_transport.driver import Driver, Place, import_driver
from vstore.remote.fsspec_transport.hadoop.files import Status, _RefusedError
from vstore.remote.fsspec_transport.hadoop.transport import HadoopTransport

Result = TypeVar("Result")

_OPTIONS = {
    "config_dir": "the directory with core-site.xml and hdfs-site.xml, instead of that in HADOOP_CONF_DIR",
    "kerberos_keytab": "a file with the principal's keys, instead of the ticket of kinit",
    "kerberos_principal": "who asks, in a cluster that uses Kerberos",
}

# How often the driver itself tries, all namenodes of a cluster included; its 15 times may take minutes.
_TRIES = {
    "dfs.client.failover.max.attempts": "3",
    "dfs.client.failover.sleep.base.millis": "200",
    "dfs.client.failover.sleep.max.millis": "1000",
}
# What has to pass before a request counts as silent.
_BLOCK_BYTES = 4 * 1024 * 1024
_NUMBER = re.compile(r"\(os error ([0-9]+)\)")
_REFUSAL = re.compile(r'RPCError\("(?:[\w$]+\.)*([\w$]+)"')


def open_hdfs(place: Place) -> HadoopTransport:
    """Open a directory; nothing is asked yet.  Raises RemoteExtraMissingError, InvalidError.

    A host without a port is a cluster that the configuration of Hadoop names.
    """
    driver = import_driver(place, "hdfs_native", DRIVER.extra)
    try:
        parts = urlsplit(place.url)
        address = f"hdfs://{parts.hostname}:{parts.port}" if parts.port else f"hdfs://{parts.hostname}"
    except ValueError as error:
        raise InvalidError(f"{place.public_url} names no port", url=place.public_url) from error
    root = unquote(parts.path)
    if not parts.hostname or not root.startswith("/") or parts.username or parts.query or parts.fragment:
        raise InvalidError(f"{place.public_url} names no directory of a cluster", url=place.public_url)
    try:
        files = _NativeFiles(driver, lambda: driver.Client(address, _TRIES, **place.options), place.timeout_s)
    except Exception as error:
        message = f"{place.public_url} names no cluster that the configuration of Hadoop knows"
        raise InvalidError(message, url=place.public_url) from error
    return HadoopTransport(files, root, url=place.public_url)


class _NativeFiles:
    """The files of HDFS.

    The driver cannot be told to give up, and its asynchronous client breaks down where it turns to another namenode
    (0.14): so each request runs in a thread that is left alone when it takes too long.  ``connect`` makes a client.
    """

    def __init__(self, driver: Any, connect: Callable[[], Any], timeout_s: float) -> None:
        self._connect = connect
        self._client = connect()
        self._new_file = driver.WriteOptions(overwrite=False, create_parent=True)
        self._timeout_s = timeout_s

    def get_status(self, path: str) -> Status:
        return _status(self._ask(lambda: self._client.get_file_info(path)))

    def list(self, path: str) -> Sequence[Status]:
        return self._ask(lambda: [_status(each, folder=path) for each in self._client.list_status(path)])

    def read(self, path: str, start: int, length: int | None) -> bytes:
        reader = self._ask(lambda: self._client.read(path))
        end = len(reader) if length is None else start + length
        # The driver breaks down where a range ends behind the file.
        if end > len(reader):
            return b""
        return b"".join(
            self._ask(functools.partial(reader.read_range, at, min(_BLOCK_BYTES, end - at)))
            for at in range(start, end, _BLOCK_BYTES)
        )

    def create(self, path: str, data: memoryview) -> None:
        writer = self._ask(lambda: self._client.create(path, self._new_file))
        for start in range(0, len(data), _BLOCK_BYTES):
            self._ask(functools.partial(writer.write, bytes(data[start : start + _BLOCK_BYTES])))
        self._ask(writer.close)

    def replace(self, old: str, new: str) -> None:
        self._ask(lambda: self._client.rename(old, new, overwrite=True))

    def delete(self, path: str) -> None:
        self._ask(lambda: self._client.delete(path, recursive=False))

    def close(self) -> None:
        """The driver closes its connections when it is forgotten."""
        self._client = None

    def _ask(self, request: Callable[[], Result]) -> Result:
        answer: Future[Result] = Future()
        threading.Thread(target=_resolve, args=(answer, request), name="vstore hdfs", daemon=True).start()
        try:
            return answer.result(self._timeout_s)
        except TimeoutError:
            # Not over the same connection again.
            self._client = self._connect()
            raise
        except RuntimeError as error:
            match = _REFUSAL.match(str(error))
            if match is None:
                raise
            raise _RefusedError(match[1]) from error
        except FileExistsError as error:
            raise _RefusedError("FileAlreadyExistsException") from error
        except OSError as error:
            if type(error) is not OSError or "lookup" in str(error):
                raise
            # A connection failed; the driver gives the system's number only in words.
            match = _NUMBER.search(str(error))
            number = int(match[1]) if match else errno.ECONNRESET
            raise OSError(number, os.strerror(number)) from error


def _resolve(answer: Future[Result], request: Callable[[], Result]) -> None:
    try:
        answer.set_result(request())
    except BaseException as error:  # noqa: BLE001 (the one who waits raises it)
        answer.set_exception(error)


def _status(status: Any, folder: str | None = None) -> Status:
    name = status.path.rpartition("/")[2]
    return Status(
        # A file that is listed tells of itself, under its own name.
        name="" if status.path == folder else name,
        is_folder=status.isdir,
        size_bytes=status.length,
        modified_s=status.modification_time / 1000,
    )


DRIVER = Driver("hdfs", _OPTIONS, open_hdfs)
