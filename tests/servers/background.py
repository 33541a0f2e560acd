"""An event loop in a thread, for servers and proxies that live in the process of the tests."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import struct
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from tests.servers.running import HOST


@contextlib.contextmanager
def background_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield a loop that runs in a thread of its own; at the end whatever still runs on it is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test server", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Transports say goodbye only at the next turns of the loop.
    await asyncio.sleep(0.01)
    await asyncio.get_running_loop().shutdown_asyncgens()


@contextlib.contextmanager
def listening(handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Iterator[int]:
    """Handle connections in a thread; yield the port."""
    writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
        writers.add(writer)
        return handle(reader, writer)

    def end() -> None:
        server.close()
        # Whoever is cancelled before the first step never gets to close anything.
        for writer in list(writers):
            writer.transport.abort()

    with background_loop() as loop:
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(begin, HOST, 0), loop).result()
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            loop.call_soon_threadsafe(end)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection once all is sent; that it has broken meanwhile is no news."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off at once, so that the other end sees it reset."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve an aiohttp application from a thread; yield its port."""
    web = importlib.import_module("aiohttp.web")

    async def set_up() -> tuple[Any, int]:
        # A body arrives as it was sent, even where its headers say that it is compressed.
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        return runner, runner.addresses[0][1]

    with background_loop() as loop:
        runner, port = asyncio.run_coroutine_threadsafe(set_up(), loop).result()
        try:
            yield port
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
