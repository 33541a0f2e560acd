"""What stands in for nginx where it is not installed: a static site and WebDAV in this process."""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib
import importlib.metadata
import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tests.servers.nginx import PASSWORD, USERNAME, FileServer
from tests.servers.running import HOST, ServerMissingError


class _Site(http.server.SimpleHTTPRequestHandler):
    """The static site of the standard library, and ranges, which it has not."""

    protocol_version = "HTTP/1.1"

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        path = Path(self.translate_path(self.path))
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted is None or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        first, last = wanted[1], wanted[2]
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        self.send_response(206)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        return io.BytesIO(path.read_bytes()[start:end])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def running_site(folder: Path) -> Iterator[FileServer]:
    """Yield the web server of the standard library."""
    handler = functools.partial(_Site, directory=str(folder))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="web server", daemon=True)
        thread.start()
        try:
            yield FileServer("http.server (in place of nginx)", server.server_port, str(folder))
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def running_wsgidav(folder: Path) -> Iterator[FileServer]:
    """Yield WsgiDAV.  Raises ServerMissingError where it is not installed."""
    try:
        wsgi = importlib.import_module("cheroot.wsgi")
        dav = importlib.import_module("wsgidav.wsgidav_app")
    except ImportError as error:
        raise ServerMissingError("wsgidav", lost="WebDAV", how="pip install 'vstore[test]'") from error
    config = {
        "provider_mapping": {"/": str(folder)},
        "simple_dc": {"user_mapping": {"*": {USERNAME: {"password": PASSWORD}}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "logging": {"enable": False},
        "verbose": 0,
    }
    server = wsgi.Server((HOST, 0), dav.WsgiDAVApp(config))
    server.prepare()
    thread = threading.Thread(target=server.serve, name="webdav", daemon=True)
    thread.start()
    label = f"WsgiDAV {importlib.metadata.version('wsgidav')} (in place of nginx)"
    try:
        yield FileServer(label, server.bind_addr[1], str(folder), USERNAME, PASSWORD)
    finally:
        server.stop()
        thread.join()
