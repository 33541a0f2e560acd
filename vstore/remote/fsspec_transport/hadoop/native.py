"""HDFS by its own protocol: ``hdfs://namenode[:port]/directory``, through hdfs-native; no Java is needed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from fsspec.asyn import get_loop

from vstore.errors import InvalidError
from vstore.remote.fsspec_transport.driver import Driver, Place, import_driver
from vstore.remote.fsspec_transport.hadoop.files import RefusedError, Status
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
_BLOCK_BYTES = 8 * 1024 * 1024
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
        client = driver.AsyncClient(address, _TRIES, **place.options)
    except Exception as error:
        message = f"{place.public_url} names no cluster that the configuration of Hadoop knows"
        raise InvalidError(message, url=place.public_url) from error
    return HadoopTransport(_NativeFiles(driver, client, place.timeout_s), root, url=place.public_url)


class _NativeFiles:
    """The files of HDFS, by the driver's asynchronous client: only that can be given up."""

    def __init__(self, driver: Any, client: Any, timeout_s: float) -> None:
        self._client = client
        self._new_file = driver.WriteOptions(overwrite=False, create_parent=True)
        self._timeout_s = timeout_s
        # The thread that all asynchronous drivers share.
        self._loop = get_loop()

    def get_status(self, path: str) -> Status:
        return _status(self._ask(lambda: self._client.get_file_info(path)))

    def list(self, path: str) -> Sequence[Status]:
        return self._run(self._list(path))

    def read(self, path: str, start: int, length: int | None) -> bytes:
        return self._run(self._read(path, start, length))

    def create(self, path: str, data: memoryview) -> None:
        self._run(self._create(path, data))

    def replace(self, old: str, new: str) -> None:
        self._ask(lambda: self._client.rename(old, new, overwrite=True))

    def delete(self, path: str) -> None:
        self._ask(lambda: self._client.delete(path, recursive=False))

    def close(self) -> None:
        """The driver closes its connections when it is forgotten."""
        self._client = None

    async def _list(self, path: str) -> Sequence[Status]:
        found = []
        iterator = aiter(self._client.list_status(path))
        while (status := await self._wait(lambda: _next(iterator))) is not None:
            found.append(_status(status, folder=path))
        return found

    async def _read(self, path: str, start: int, length: int | None) -> bytes:
        reader = await self._wait(lambda: self._client.read(path))
        end = len(reader) if length is None else start + length
        # The driver breaks down where a range ends behind the file.
        if end > len(reader):
            return b""
        blocks = []
        stream = aiter(reader.read_range_stream(start, end - start))
        while (block := await self._wait(lambda: _next(stream))) is not None:
            blocks.append(block)
        return b"".join(blocks)

    async def _create(self, path: str, data: memoryview) -> None:
        writer = await self._wait(lambda: self._client.create(path, self._new_file))
        for start in range(0, len(data), _BLOCK_BYTES):
            block = bytes(data[start : start + _BLOCK_BYTES])
            await self._wait(lambda block=block: writer.write(block))  # type: ignore[misc]
        await self._wait(writer.close)

    def _ask(self, request: Callable[[], Awaitable[Result]]) -> Result:
        return self._run(self._wait(request))

    async def _wait(self, request: Callable[[], Awaitable[Result]]) -> Result:
        """Wait for a part of a request, and no longer than anything may be silent."""
        return await asyncio.wait_for(request(), self._timeout_s)

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
            return future.result()
        except RuntimeError as error:
            match = _REFUSAL.match(str(error))
            if match is None:
                raise
            raise RefusedError(match[1]) from error
        except FileExistsError as error:
            raise RefusedError("FileAlreadyExistsException") from error


async def _next(iterator: Any) -> Any:
    return await anext(iterator, None)


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
