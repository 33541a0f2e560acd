"""A line to a server, as slow and as bad as a test wants it: for any protocol, also through TLS."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from tests.servers.background import close, listening, reset
from tests.servers.running import HOST

_PIECE_BYTES = 64 * 1024
_MOST_PIECES_ON_THE_LINE = 1024
_WATCH_S = 0.02


class _Direction:
    """How one direction behaves, and what has passed."""

    def __init__(self) -> None:
        self.stall = False
        """Whether nothing passes; what was sent meanwhile passes afterwards."""
        self.cut_after_bytes: int | None = None
        """Each connection is reset once so much of it has passed."""
        self.passed_bytes = 0


class TcpProxy:
    """Listens on ``port`` and passes on to a server.  What a test sets counts from then on, for all connections.

    ``up`` is the direction to the server, ``down`` the one back.
    """

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self.rtt_ms = 0.0
        """How long a byte there and the answer back need in addition; a connection needs it once to be made."""
        self.bytes_per_s = 0.0
        """How much a connection passes in each direction; 0 means all it can."""
        self.refuse = False
        """Whether new connections are reset at once."""
        self.up = _Direction()
        self.down = _Direction()
        self.cuts_left: int | None = None
        """How many connections will still be cut; None means every one."""
        self.connections = 0
        self._upstream_port = upstream_port

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            reset(writer)
            return
        await asyncio.sleep(self.rtt_ms / 1000)
        try:
            up_reader, up_writer = await asyncio.open_connection(HOST, self._upstream_port)
        except OSError:
            reset(writer)
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(self.up, reader, up_writer))
                tasks.create_task(self._pass_on(self.down, up_reader, writer))
        except* OSError:
            # One end broke off, or we cut: the other end sees the same.
            reset(writer)
            reset(up_writer)
        finally:
            up_writer.close()
            await close(writer)
            await close(up_writer)

    async def _pass_on(self, way: _Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_PIECES_ON_THE_LINE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take(way, reader, line))
            tasks.create_task(self._give(way, line, writer))

    async def _take(
        self, way: _Direction, reader: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        """Put what comes onto the line, no faster than it passes: who sends more has to wait."""
        free_s = 0.0
        piece = b"first"
        while piece:
            piece = await reader.read(_PIECE_BYTES)
            while way.stall:
                await asyncio.sleep(_WATCH_S)
            if self.bytes_per_s:
                free_s = max(free_s, time.monotonic()) + len(piece) / self.bytes_per_s
                await asyncio.sleep(free_s - time.monotonic())
            await line.put((time.monotonic(), piece))

    async def _give(
        self, way: _Direction, line: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        passed = 0
        while True:
            came_s, piece = await line.get()
            await asyncio.sleep(max(0, came_s + self.rtt_ms / 2000 - time.monotonic()))
            if not piece:
                writer.write_eof()
                return
            is_cut = self._is_cut(way, passed + len(piece))
            if is_cut and way.cut_after_bytes is not None:
                piece = piece[: max(0, way.cut_after_bytes - passed)]
            # Counted first: who has received it may ask at once.
            passed += len(piece)
            way.passed_bytes += len(piece)
            writer.write(piece)
            await writer.drain()
            if is_cut:
                raise ConnectionResetError

    def _is_cut(self, way: _Direction, passed: int) -> bool:
        if way.cut_after_bytes is None or passed < way.cut_after_bytes or self.cuts_left == 0:
            return False
        if self.cuts_left is not None:
            self.cuts_left -= 1
        return True


@contextlib.contextmanager
def running_tcp_proxy(upstream_port: int) -> Iterator[TcpProxy]:
    """Yield a line to the server on a port."""
    proxy = TcpProxy(upstream_port)
    with listening(proxy._handle) as proxy.port:
        yield proxy
