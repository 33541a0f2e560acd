"""nginx: a static site, WebDAV behind a password, and TLS before another server."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.place import Place, new_name
from tests.servers.running import HOST, ServerMissingError, Starting, free_ports, get_programs
from tests.servers.sftp import plant_file

USERNAME, PASSWORD = "user", "correct horse"
_MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")
_HOW = "apt-get install nginx-light libnginx-mod-http-dav-ext"
_DAV_MODULE = "ngx_http_dav_ext_module.so"
_CONFIG = """\
{before}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    client_body_temp_path {folder}/tmp;
    proxy_temp_path {folder}/tmp-proxy;
    fastcgi_temp_path {folder}/tmp-fastcgi;
    uwsgi_temp_path {folder}/tmp-uwsgi;
    scgi_temp_path {folder}/tmp-scgi;
    client_max_body_size 0;
    # Who comes again on a connection that was just ended for its age sees it broken.
    keepalive_requests 1000000;
    keepalive_timeout 1h;
    {server}
}}
"""
_STATIC = """
    server {{
        listen {host}:{port};
        root {folder}/files;
        autoindex on;
        location /json/ {{ alias {folder}/files/; autoindex on; autoindex_format json; }}
    }}
"""
_DAV = """
    dav_ext_lock_zone zone=locks:1m;
    server {{
        listen {host}:{port};
        root {folder}/files;
        location / {{
            auth_basic dav;
            auth_basic_user_file {folder}/passwords;
            dav_methods PUT DELETE MKCOL COPY MOVE;
            dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;
            dav_ext_lock zone=locks;
            dav_access user:rw group:rw all:r;
        }}
    }}
"""
_TLS = """
    server {{
        listen {host}:{port} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        location / {{
            proxy_pass http://{host}:{upstream};
            proxy_set_header Host $http_host;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
"""


@dataclass(frozen=True, slots=True)
class FileServer:
    """A web server that shows the files of a folder; with a username also one that takes them."""

    label: str
    port: int
    folder: str
    username: str = ""
    password: str = ""

    def new_place(self, *, port: int | None = None) -> Place:
        """Make an empty folder; ``port`` is that of a proxy by which the test is to reach it."""
        name = new_name()
        folder = Path(self.folder, name)
        folder.mkdir()
        folder.chmod(0o777)
        options = {"username": self.username, "password": self.password} if self.username else {}
        url = f"http://{HOST}:{port or self.port}/{name}"
        return Place(url, options, lambda name, data: plant_file(folder, name, data))


@dataclass(frozen=True, slots=True)
class TlsFront:
    """TLS before another server.  Its certificate is for localhost and signed by nobody."""

    label: str
    port: int
    ca_file: str


def start_static(starting: Starting) -> FileServer:
    """Start a static site with listings: as pages, and below ``/json/`` as nginx's JSON."""
    nginx, version = _get_nginx("http://")
    port = _start(starting, nginx, _STATIC)
    return FileServer(f"nginx {version} (real)", port, str(starting.folder / "files"))


def start_webdav(starting: Starting) -> FileServer:
    """Start WebDAV with locks and a password."""
    nginx, version = _get_nginx("WebDAV")
    module = next((path for folder in _MODULES if (path := Path(folder, _DAV_MODULE)).exists()), None)
    if module is None:
        raise ServerMissingError("nginx's module for WebDAV", lost="WebDAV", how=_HOW)
    (starting.folder / "passwords").write_text(f"{USERNAME}:{{PLAIN}}{PASSWORD}\n")
    port = _start(starting, nginx, _DAV, before=f"load_module {module};")
    return FileServer(f"nginx {version} with WebDAV (real)", port, str(starting.folder / "files"), USERNAME, PASSWORD)


def start_tls_front(starting: Starting, upstream_port: int) -> TlsFront:
    """Start TLS before the server on a port."""
    nginx, version = _get_nginx("TLS")
    [openssl] = get_programs("openssl", "openssl", lost="TLS", how="apt-get install openssl")
    starting.run(
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
        *("-keyout", "key.pem", "-out", "certificate.pem"),
        *("-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"),
    )
    port = _start(starting, nginx, _TLS.replace("{upstream}", str(upstream_port)))
    return TlsFront(f"nginx {version} with TLS (real)", port, str(starting.folder / "certificate.pem"))


def _get_nginx(lost: str) -> tuple[str, str]:
    """Return the path of the program and its version."""
    [nginx] = get_programs("nginx", "nginx", lost=lost, how=_HOW)
    told = subprocess.run([nginx, "-v"], capture_output=True, check=False).stderr.decode()
    return nginx, told.partition("/")[2].split()[0]


def _start(starting: Starting, nginx: str, server: str, *, before: str = "") -> int:
    """Start one server and return its port."""
    folder = starting.folder
    (folder / "files").mkdir()
    [port] = free_ports(1)
    text = _CONFIG.format(
        before=before,
        folder=folder,
        # Else root's nginx gives its work to a user who may not read here.
        user=f"user {folder.owner()} {folder.group()};" if os.geteuid() == 0 else "",
        server=server.format(host=HOST, port=port, folder=folder),
    )
    (folder / "nginx.conf").write_text(text)
    starting.start("nginx", nginx, "-e", "stderr", "-c", folder / "nginx.conf").wait_for_port(port)
    return port
