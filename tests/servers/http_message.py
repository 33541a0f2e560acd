"""HTTP/1.1 as it stands on a connection: heads and bodies, kept byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.servers.background import close, reset
from tests.servers.running import HOST

_PIECE_BYTES = 64 * 1024
_MOST_HEAD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or an answer."""

    raw: bytes
    first: tuple[str, str, str]
    """The three words of the first line."""
    headers: dict[str, str]
    """By lower-case names; of what comes twice the last."""

    @property
    def length(self) -> int | None:
        """How long the body is, if the head says so."""
        return int(self.headers["content-length"]) if "content-length" in self.headers else None

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks that tell their length."""
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def is_last(self) -> bool:
        """Whether the connection ends after this message."""
        return "close" in self.headers.get("connection", "").lower() or self.raw.startswith(b"HTTP/1.0")


def parse_head(raw: bytes) -> Head:
    """Take the head of a message apart."""
    lines = raw.decode("latin-1").split("\r\n")
    one, two, three = (*lines[0].split(" ", 2), "", "")[:3]
    pairs = (line.partition(":") for line in lines[1:] if line)
    return Head(raw, (one, two, three), {name.strip().lower(): value.strip() for name, _, value in pairs})


class Connection:
    """One end of a connection that speaks HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def has_ended(self) -> bool:
        """Whether the other side has closed the connection."""
        return self._reader.at_eof()

    async def read_head(self) -> Head | None:
        """Return the next head; None if the connection ended before it."""
        try:
            return parse_head(await self._reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                raise ConnectionResetError from error
            return None

    async def iter_body(self, head: Head, *, until_end: bool) -> AsyncIterator[tuple[bytes, bool]]:
        """Yield a body piece by piece, and whether each is data: the lengths of chunks are not.

        ``until_end`` tells that a body of which the head says nothing lasts until the connection ends, as that of an
        answer; a request has none then.  Raises ConnectionResetError where the other side ends it too early.
        """
        if head.is_chunked:
            while True:
                line = await self._reader.readline()
                yield line, False
                if not line.endswith(b"\n"):
                    raise ConnectionResetError("the other side ended in the middle")
                size = int(line.partition(b";")[0], 16)
                async for piece in self._iter_exactly(size):
                    yield piece, True
                if not size:
                    # After the last chunk come other headers, if any, and an empty line.
                    while line.strip():
                        line = await self._reader.readline()
                        yield line, False
                    return
                yield await self._reader.readline(), False
        elif head.length is not None:
            async for piece in self._iter_exactly(head.length):
                yield piece, True
        elif until_end:
            while piece := await self._reader.read(_PIECE_BYTES):
                yield piece, True

    async def _iter_exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self._reader.read(min(size, _PIECE_BYTES))
            if not piece:
                raise ConnectionResetError("the other side ended in the middle")
            size -= len(piece)
            yield piece

    async def write(self, data: bytes) -> None:
        """Send, and wait while the other side takes nothing."""
        self._writer.write(data)
        await self._writer.drain()

    async def wait_for_end(self) -> None:
        """Take what comes, and return when the other side has closed the connection."""
        while await self._reader.read(_PIECE_BYTES):
            pass

    def reset(self) -> None:
        """Break the connection off, so that the other side sees it reset."""
        reset(self._writer)

    async def close(self) -> None:
        """End the connection once all is sent; that it broke meanwhile is no news."""
        await close(self._writer)


async def connect(port: int) -> Connection:
    """Connect to a server."""
    return Connection(*await asyncio.open_connection(HOST, port, limit=_MOST_HEAD_BYTES))
