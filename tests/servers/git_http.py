"""Git over HTTP: git's own program for web servers, behind the web server of the standard library."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.running import HOST, clean_environment

USERNAME, PASSWORD = "ada", "correct horse"


@dataclass(slots=True)
class GitServer:
    """A server for the bare repositories in a folder; ``sent_bytes`` counts what it answered.

    It is closed to others if ``is_private``, and as old as 2017 if ``is_old``; ``failure`` is the status with which it
    answers all, unless it is 0.
    """

    folder: Path
    port: int = 0
    is_private: bool = False
    is_old: bool = False
    failure: int = 0
    sent_bytes: int = 0
    requests: list[str] = field(default_factory=list)

    def url(self, name: str, user: str = "") -> str:
        """Return the URL of a repository."""
        return f"http://{user + '@' if user else ''}{HOST}:{self.port}/{name}"


class _Handler(http.server.BaseHTTPRequestHandler):
    """Passes requests on to ``git http-backend``, as a web server does with a CGI program."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, server_of: GitServer) -> None:
        self._server = server_of
        super().__init__(*args)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        body = self._read_body()
        self._server.requests.append(f"{self.command} {path}")
        if self._server.failure:
            self._send(self._server.failure, {}, b"")
            return
        login = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if self._server.is_private and self.headers.get("Authorization") != f"Basic {login}":
            self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            return
        environ = {
            **clean_environment(self._server.folder),
            "GIT_PROJECT_ROOT": str(self._server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROTOCOL": "" if self._server.is_old else self.headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environ, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        self._send(int(headers.pop("Status", "200")[:3]), headers, content)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().strip(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self._server.sent_bytes += len(content)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def running_git_http(folder: Path) -> Iterator[GitServer]:
    """Yield a server for the bare repositories in a folder."""
    told = GitServer(folder)
    with http.server.ThreadingHTTPServer((HOST, 0), functools.partial(_Handler, server_of=told)) as server:
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, name="git server", daemon=True)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


def count_objects(clone: Path) -> dict[str, int]:
    """Return how many objects of each type lie in a clone, without fetching any."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"]
    environ = {**os.environ, "GIT_NO_LAZY_FETCH": "1"}
    kinds = subprocess.run(command, cwd=clone, env=environ, capture_output=True, check=True).stdout.decode().split()
    return {kind: kinds.count(kind) for kind in set(kinds)}
