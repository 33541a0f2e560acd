"""nginx: a static site, WebDAV behind a password, and TLS before another server."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.place import Place, new_name
from tests.servers.running import HOST, ServerFailedError, Starting, find_program, free_ports, get_programs
from tests.servers.sftp import plant_file

USERNAME, PASSWORD = "user", "correct horse"
_MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")
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
    version = _version("http://")
    port = _start(starting, _STATIC)
    return FileServer(f"nginx {version} (real)", port, str(starting.folder / "files"))


def start_webdav(starting: Starting) -> FileServer:
    """Start WebDAV with locks and a password."""
    how = "apt-get install nginx-light libnginx-mod-http-dav-ext"
    version = _version("WebDAV")
    module = next((path for folder in _MODULES if (path := Path(folder, _DAV_MODULE)).exists()), None)
    if module is None:
        get_programs("nginx's module dav-ext", _DAV_MODULE, lost="WebDAV", how=how)
    (starting.folder / "passwords").write_text(f"{USERNAME}:{{PLAIN}}{PASSWORD}\n")
    port = _start(starting, _DAV, before=f"load_module {module};")
    return FileServer(f"nginx {version} with WebDAV (real)", port, str(starting.folder / "files"), USERNAME, PASSWORD)


def start_tls_front(starting: Starting, upstream_port: int) -> TlsFront:
    """Start TLS before the server on a port."""
    version = _version("TLS")
    [openssl] = get_programs("openssl", "openssl", lost="TLS", how="apt-get install openssl")
    starting.run(
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
        *("-keyout", "key.pem", "-out", "certificate.pem"),
        *("-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}"),
    )
    port = _start(starting, _TLS.replace("{upstream}", str(upstream_port)))
    return TlsFront(f"nginx {version} with TLS (real)", port, str(starting.folder / "certificate.pem"))


def _version(lost: str) -> str:
    how = "apt-get install nginx-light libnginx-mod-http-dav-ext"
    [nginx] = get_programs("nginx", "nginx", lost=lost, how=how)
    told = subprocess.run([nginx, "-v"], capture_output=True, check=False).stderr.decode()
    return told.partition("/")[2].split()[0]


def _start(starting: Starting, server: str, before: str = "") -> int:
    folder = starting.folder
    (folder / "files").mkdir()
    nginx = find_program("nginx")
    if nginx is None:
        raise ServerFailedError("nginx went away")
    [port] = free_ports(1)
    # The workers of a master that root has started belong to nobody else unless told so.
    user = f"user {_owner(folder)};"
    text = _CONFIG.format(
        before=before, folder=folder, user=user, server=server.format(host=HOST, port=port, folder=folder)
    )
    (folder / "nginx.conf").write_text(text)
    starting.start("nginx", nginx, "-e", "stderr", "-c", folder / "nginx.conf").wait_for_port(port)
    return port


def _owner(folder: Path) -> str:
    return f"{folder.owner()} {folder.group()}"
