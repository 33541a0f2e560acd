"""A proxy that understands HTTP: it counts requests, and spoils those that a test names.

Heads and bodies are passed on byte for byte, so that signatures stay valid.  Each connection of a client has one
connection to the server.  For https put it behind the TLS front; for a slow line put a TcpProxy before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.servers.background import listening
from tests.servers.http_message import Connection, Head, connect

Fault = Literal["answer", "reset", "lose-acknowledgement", "truncate", "corrupt", "corrupt-upload", "delay", "stall"]
_PIECE_BYTES = 64 * 1024
_EARLY_ANSWER_S = 1.0
_REASONS = {403: "Forbidden", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Slow Down"}


@dataclass(slots=True)
class Rule:
    """What to do with which requests; the first rule that matches counts."""

    do: Fault
    """answer: with ``status``, the server sees nothing · reset: the server sees nothing · lose-acknowledgement: the
    server does it, the client sees a reset · truncate: half of the answer's body, then the end · corrupt: one bit of
    the answer's body · corrupt-upload: one bit of the request's · delay: by ``delay_s`` · stall: taken, never answered
    """
    method: str = ""
    """Empty for every method."""
    path: str = ""
    """A regular expression that is found in path and query as they are sent."""
    times: int | None = None
    """How often; None for always.  It counts down."""
    after: int = 0
    """How many matching requests are spared first.  It counts down."""
    chance: float = 1.0
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of an answer, as ``{"Retry-After": "1"}``."""
    body: bytes = b""
    delay_s: float = 0.0


@dataclass(slots=True)
class Request:
    """A request as it came, and what became of it."""

    method: str
    path: str
    """Percent-encoded, as it was sent."""
    query: str
    fault: Fault | None = None
    status: int | None = None
    """What the client was told; None as long as it was told nothing."""
    came_s: float = 0.0
    """By time.monotonic()."""


class HttpProxy:
    """Listens on ``port``; ``rules`` and ``requests`` belong to the test, which may change and clear them."""

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self.sent_bytes = 0
        """How much the client sent in bodies."""
        self.received_bytes = 0
        """How much the client received in bodies."""
        self.random = random.Random(0)
        """Decides about the chances of rules."""
        self._upstream_port = upstream_port

    def count(self, method: str = "", path: str = "") -> int:
        """Return how many requests came with a method and, somewhere in path and query, a regular expression."""
        return sum(
            method in ("", request.method) and bool(re.search(path, f"{request.path}?{request.query}"))
            for request in self.requests
        )

    def _find_rule(self, request: Request) -> Rule | None:
        for rule in self.rules:
            if rule.method not in ("", request.method) or rule.times == 0:
                continue
            if not re.search(rule.path, f"{request.path}?{request.query}") or self.random.random() >= rule.chance:
                continue
            if rule.after:
                rule.after -= 1
                continue
            if rule.times is not None:
                rule.times -= 1
            return rule
        return None

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Connection(reader, writer)
        server: Connection | None = None
        try:
            while head := await client.read_head():
                if server is None or server.has_ended:
                    # The server ends connections that are idle; the client need not know.
                    if server:
                        await server.close()
                    server = await connect(self._upstream_port)
                if not await self._exchange(client, server, head):
                    break
        except OSError:
            client.reset()
        finally:
            try:
                await client.close()
            finally:  # also where the end of a test cancels the waiting for the client
                if server:
                    await server.close()

    async def _exchange(self, client: Connection, server: Connection, head: Head) -> bool:
        """Pass a request on, and its answer back.  Return whether both connections can be used again."""
        path, _, query = head.first[1].partition("?")
        request = Request(head.first[0], path, query, came_s=time.monotonic())
        self.requests.append(request)
        rule = self._find_rule(request)
        request.fault = rule.do if rule else None
        match request.fault:
            case "reset":
                raise ConnectionResetError
            case "stall":
                await client.wait_for_end()
                return False
            case "answer" if rule:
                return await self._answer(client, head, request, rule)
            case "delay" if rule:
                await asyncio.sleep(rule.delay_s)
        await server.write(head.raw)
        sending = asyncio.create_task(self._pass_up(client, server, head, request.fault))
        try:
            is_usable = await self._pass_down(client, server, request)
            if not sending.done():
                # An early answer, mostly a refusal: who still sends is heard out, or the answer would be lost.
                await asyncio.wait([sending], timeout=_EARLY_ANSWER_S)
            return is_usable and sending.done() and sending.result() and not head.is_last
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _answer(self, client: Connection, head: Head, request: Request, rule: Rule) -> bool:
        if "expect" in head.headers:
            await client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for piece, is_data in client.iter_body(head, until_end=False):
            self.sent_bytes += len(piece) * is_data
        headers = {"Content-Length": str(len(rule.body)), **rule.headers}
        lines = [f"HTTP/1.1 {rule.status} {_REASONS.get(rule.status, 'Because')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request.status = rule.status
        body = b"" if request.method == "HEAD" else rule.body
        await client.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return not head.is_last

    async def _pass_up(self, client: Connection, server: Connection, head: Head, fault: Fault | None) -> bool:
        """Pass the body of a request on.  Return whether the server took all of it."""
        is_whole = fault != "corrupt-upload"
        try:
            async for piece, is_data in client.iter_body(head, until_end=False):
                self.sent_bytes += len(piece) * is_data
                try:
                    await server.write(piece if is_whole or not is_data else _corrupt(piece))
                except OSError:
                    return False
                is_whole = is_whole or is_data
        except OSError:
            # The client is gone: the server need not wait for the rest, nor we for its answer.
            server.reset()
            return False
        return True

    async def _pass_down(self, client: Connection, server: Connection, request: Request) -> bool:
        """Pass the answer back.  Return whether another one can follow on the same connections."""
        head = await server.read_head()
        while head and head.first[1].startswith("1"):
            await client.write(head.raw)
            head = await server.read_head()
        if head is None:
            raise ConnectionResetError("the server said nothing")
        has_body = request.method != "HEAD" and head.first[1] not in ("204", "304")
        pieces = [server.iter_body(head, until_end=True)] if has_body else []
        if request.fault == "lose-acknowledgement":
            for body in pieces:
                async for _ in body:
                    pass
            raise ConnectionResetError("the acknowledgement is lost, as it should")
        request.status = int(head.first[1])
        await client.write(head.raw)
        for body in pieces:
            if not await self._pass_body_down(client, body, head, request.fault):
                return False
        return not head.is_last and (not has_body or head.is_chunked or head.length is not None)

    async def _pass_body_down(
        self, client: Connection, body: AsyncIterator[tuple[bytes, bool]], head: Head, fault: Fault | None
    ) -> bool:
        """Pass the body of an answer back.  Return whether all of it was passed."""
        most = (head.length or 2) // 2
        passed = 0
        async for piece, is_data in body:
            if fault == "corrupt" and is_data and not passed:
                piece = _corrupt(piece)
            if fault == "truncate" and is_data and passed + len(piece) > most:
                await client.write(piece[: most - passed])
                return False
            # Counted first: who has received it may ask at once.
            passed += len(piece) * is_data
            self.received_bytes += len(piece) * is_data
            await client.write(piece)
        return True


def _corrupt(piece: bytes) -> bytes:
    middle = len(piece) // 2
    return piece[:middle] + bytes([piece[middle] ^ 1]) + piece[middle + 1 :]


@contextlib.contextmanager
def running_http_proxy(upstream_port: int) -> Iterator[HttpProxy]:
    """Yield a proxy before the server on a port."""
    proxy = HttpProxy(upstream_port)
    with listening(proxy._handle) as proxy.port:
        yield proxy
