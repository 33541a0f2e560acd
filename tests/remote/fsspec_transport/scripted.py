"""A web server that answers as a test wants: rightly, wrongly, or never."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Any, NamedTuple

HOST = "127.0.0.1"


class Request(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    headers: Message


class Scripted:
    """What arrived at a server, and how it answers: ``answer`` gets the handler of each request."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.answer: Callable[[Handler], None] = lambda handler: handler.reply(404)
        self.port = 0
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """The address of a folder on the server."""
        return f"http://{HOST}:{self.port}/folder"

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Methods and paths, in the order in which they came."""
        return [(request.method, request.path) for request in self.requests]


class Handler(http.server.BaseHTTPRequestHandler):
    """Hands each request to the script of the server."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    script: Scripted

    def setup(self) -> None:
        self.script.connections += 1
        super().setup()

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _answer(self) -> None:
        self.script.requests.append(Request(self.command, self.path, self.headers))
        self.script.answer(self)

    do_GET = do_HEAD = do_PUT = do_MOVE = do_MKCOL = do_DELETE = do_PROPFIND = do_CONNECT = _answer  # noqa: N815

    def read_body(self) -> bytes:
        """Return what the client sends."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send an answer; underscores in names of headers are dashes, and a length that is given may be a lie."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **names}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_without_end(self, status: int, **headers: str) -> int:
        """Send headers and then zeros until the client goes away; return how many bytes were taken."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            while not self.script.closing.is_set():
                sent += self.wfile.write(bytes(64 * 1024))
        self.close_connection = True
        return sent

    def break_off(self, body: bytes, length: int, status: int = 200, **headers: str) -> None:
        """Promise ``length`` bytes, send fewer, and close the connection."""
        self.reply(status, body, **{"Content_Length": str(length), **headers})
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def running_script() -> Iterator[Scripted]:
    """Yield a server in a thread."""
    script = Scripted()
    handler = type("Handler", (Handler,), {"script": script})
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        script.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield script
        finally:
            script.closing.set()
            server.shutdown()
            thread.join()
