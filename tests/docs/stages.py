"""Stages: the servers that pages about remotes need, and the other tools that pages about moving in need.

A page shows addresses that its reader would have; on its stage others stand for them.  ``STAGES`` has a stage for each
page that needs one, which is made in the home directory of the page before its first command.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from tests.engine.cluster import running_cluster
from tests.servers.azurite import AzureServer, start_azurite
from tests.servers.gcs import running_gcs
from tests.servers.git_http import running_git_http
from tests.servers.nginx import FileServer, start_static, start_webdav
from tests.servers.running import HOST, ServerMissingError, running
from tests.servers.s3 import running_moto
from tests.servers.sftp import SftpServer, running_asyncssh, start_openssh
from tests.servers.web import running_site, running_wsgidav
from tests.servers.webhdfs import running_webhdfs
from tests.tools import find_dvc, find_git_lfs

_HOW = "pip install -e '.[test-integrations]'"
_NOTHING: Mapping[str, str] = {}


class Stage(NamedTuple):
    """What is different when a page is run: text that is shown → text that is used, and more of an environment.

    The texts are replaced in commands, and back in what they print.
    """

    stands_for: Mapping[str, str] = _NOTHING
    environ: Mapping[str, str] = _NOTHING

    def to_real(self, text: str) -> str:
        """Return a command as it is run."""
        for shown, real in self.stands_for.items():
            text = text.replace(shown, real)
        return text

    def to_shown(self, text: str) -> str:
        """Return what was printed as the page shows it."""
        for shown, real in self.stands_for.items():
            text = text.replace(real, shown)
        return text


@contextlib.contextmanager
def s3_stage(_home: Path) -> Iterator[Stage]:
    """An S3 server that stands for Amazon's, and for another one, with the bucket of the page."""
    with running_moto() as server:
        server.client().create_bucket(Bucket="datasets")
        environ = {
            "AWS_ACCESS_KEY_ID": server.key,
            "AWS_SECRET_ACCESS_KEY": server.secret,
            "AWS_DEFAULT_REGION": server.region,
            "AWS_ENDPOINT_URL": server.endpoint_url,
        }
        yield Stage({"https://s3.example.org": server.endpoint_url}, environ)


@contextlib.contextmanager
def ssh_stage(home: Path) -> Iterator[Stage]:
    """Make a host that the configuration of SSH knows by name, and whose key is not known yet."""
    folder = home.parent / "host"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running(start_openssh, SftpServer, folder / "sshd"))
        except ServerMissingError:
            server = stack.enter_context(running_asyncssh(folder))
        _, kind, key = Path(server.known_hosts_file).read_text("utf-8").split()
        digest = hashlib.sha256(base64.b64decode(key)).digest()
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh/config").write_text(
            f"Host data.example.org\n  HostName {HOST}\n  Port {server.port}\n  User {server.username}\n"
            f"  IdentityFile {server.key_file}\n  HostKeyAlias data.example.org\n"
        )
        yield Stage(
            {
                "/srv/vstore": f"{server.folder}/vstore",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDbNsEZVUj1hHSuHhzOBcjSVUqSC3JJKCMCFeELoGl0B": f"{kind} {key}",
                "SHA256:ZkrZmcnDDxbFLqFvt3vTEkSNVVQnVMqG5jCm5EkHNuk": "SHA256:"
                + base64.b64encode(digest).decode().rstrip("="),
            }
        )


@contextlib.contextmanager
def hdfs_stage(home: Path) -> Iterator[Stage]:
    """Make a WebHDFS."""
    folder = home.parent / "hdfs"
    folder.mkdir()
    with running_webhdfs(folder) as server:
        yield Stage({"namenode.example.org:9870": f"{HOST}:{server.port}"})


@contextlib.contextmanager
def web_stage(home: Path) -> Iterator[Stage]:
    """A static site that shows ``~/www``, and a WebDAV server with a folder ``team``."""
    site_folder, dav_folder = home.parent / "site", home.parent / "dav"
    site_folder.mkdir()
    dav_folder.mkdir()
    with contextlib.ExitStack() as stack:
        try:
            site = stack.enter_context(running(start_static, FileServer, site_folder))
            dav = stack.enter_context(running(start_webdav, FileServer, dav_folder))
        except ServerMissingError:
            site = stack.enter_context(running_site(site_folder))
            dav = stack.enter_context(running_wsgidav(dav_folder))
        (home / "www").symlink_to(site.folder)
        Path(dav.folder, "team").mkdir()
        yield Stage(
            {
                "https://data.example.org": f"http://{HOST}:{site.port}",
                "webdavs://dav.example.org": f"webdav://{HOST}:{dav.port}",
            },
            {"DAV_USER": dav.username, "DAV_PASSWORD": dav.password},
        )


@contextlib.contextmanager
def import_stage(home: Path) -> Iterator[Stage]:
    """A static site that shows ``~/www``, and an S3 server with a bucket in which somebody publishes data."""
    folder = home.parent / "site"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        try:
            site = stack.enter_context(running(start_static, FileServer, folder))
        except ServerMissingError:
            site = stack.enter_context(running_site(folder))
        (home / "www").symlink_to(site.folder)
        server = stack.enter_context(running_moto())
        client = server.client()
        client.create_bucket(Bucket="open-data")
        for name in ("2023.csv", "2024.csv"):
            client.put_object(Bucket="open-data", Key=f"lake/weather/{name}", Body=b"1,2,3,4\n" * 70)
        environ = {"AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret}
        real = {"https://data.example.org": f"http://{HOST}:{site.port}", "https://s3.example.org": server.endpoint_url}
        yield Stage(real, environ)


@contextlib.contextmanager
def gcs_stage(home: Path) -> Iterator[Stage]:
    """A stand-in for Google Cloud Storage, with the bucket of the page and the file of a service account."""
    with running_gcs() as server:
        server.make_bucket("datasets", is_private=True)
        (home / "robot.json").write_text(json.dumps(server.service_account()))
        environ = {"STORAGE_EMULATOR_HOST": server.endpoint_url}
        yield Stage({"http://localhost:4443": server.endpoint_url}, environ)


@contextlib.contextmanager
def azure_stage(home: Path) -> Iterator[Stage]:
    """Azurite, which stands for Azure and for itself, with the container of the page."""
    with running(start_azurite, AzureServer, home / ".azurite") as server:
        server.make_container("datasets")
        address = f"http://{HOST}:{server.port}/{server.account}"
        real = {"http://127.0.0.1:10000/devstoreaccount1": address, "KEY": server.account_key}
        yield Stage(real, {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string()})


@contextlib.contextmanager
def dvc_stage(home: Path) -> Iterator[Stage]:
    """DVC as a program that the page finds."""
    (home.parent / "bin/dvc").symlink_to(find_dvc().program)
    yield Stage(environ={"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(home.parent / "dvc-site")})


@contextlib.contextmanager
def lfs_stage(_home: Path) -> Iterator[Stage]:
    """Make sure that git-lfs is installed."""
    find_git_lfs()
    yield Stage()


@contextlib.contextmanager
def people_stage(home: Path) -> Iterator[Stage]:
    """Make a folder for git repositories; whoever runs the page stands for Ada, at a machine of hers."""
    (home / "git").mkdir()
    yield Stage({"ada@laptop": f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"})


@contextlib.contextmanager
def git_stage(home: Path) -> Iterator[Stage]:
    """Make a web server for the git repositories in ``~/git``."""
    (home / "git").mkdir()
    with running_git_http(home / "git") as server:
        yield Stage({"https://git.example.org": f"http://{HOST}:{server.port}"})


@contextlib.contextmanager
def libraries_stage(_home: Path) -> Iterator[Stage]:
    """The libraries that read through vstore, which has to be installed for them to know of it."""
    for name in ("pandas", "dask", "pyarrow", "duckdb", "polars", "upath"):
        if importlib.util.find_spec(name) is None:
            library = "universal-pathlib" if name == "upath" else name
            raise ServerMissingError(f"the library {library}", lost="the guide to it", how=_HOW)
    if "vstore" not in importlib.metadata.entry_points(group="fsspec.specs").names:
        raise ServerMissingError("an entry point of this checkout", lost="what libraries find by it", how=_HOW)
    yield Stage()


@contextlib.contextmanager
def cluster_stage(home: Path) -> Iterator[Stage]:
    """A cluster of two workers, and an S3 server with a bucket that is published and one to push to."""
    if importlib.util.find_spec("distributed") is None:
        raise ServerMissingError("Dask", lost="the guide to clusters", how="pip install -e '.[test]'")
    with running_moto() as server:
        client = server.client()
        client.create_bucket(Bucket="datasets")
        client.create_bucket(Bucket="open-data")
        for name in ("2023.csv", "2024.csv"):
            client.put_object(Bucket="open-data", Key=f"lake/weather/{name}", Body=b"1,2,3,4\n" * 70)
        environ = {
            "AWS_ACCESS_KEY_ID": server.key,
            "AWS_SECRET_ACCESS_KEY": server.secret,
            "AWS_DEFAULT_REGION": server.region,
            "AWS_ENDPOINT_URL": server.endpoint_url,
        }
        with running_cluster(home.parent / "cluster", environ=environ) as cluster:
            yield Stage({"tcp://scheduler.example.org:8786": cluster.address}, environ)


STAGES: Mapping[str, Callable[[Path], AbstractContextManager[Stage]]] = {
    "docs/guides/cleaning-up.md": people_stage,
    "docs/guides/clusters.md": cluster_stage,
    "docs/guides/from-dvc.md": dvc_stage,
    "docs/guides/from-git-lfs.md": lfs_stage,
    "docs/guides/import-url.md": import_stage,
    "docs/guides/pandas-and-friends.md": libraries_stage,
    "docs/guides/remote-azure.md": azure_stage,
    "docs/guides/remote-gcs.md": gcs_stage,
    "docs/guides/remote-hdfs.md": hdfs_stage,
    "docs/guides/remote-http.md": web_stage,
    "docs/guides/remote-s3.md": s3_stage,
    "docs/guides/remote-ssh.md": ssh_stage,
    "docs/guides/shared-buckets.md": people_stage,
    "docs/guides/sharing.md": git_stage,
}
"""Name of a page → how to make its stage in a home directory.  Raises ServerMissingError."""


def open_stage(page: str, home: Path) -> AbstractContextManager[Stage]:
    """Make the stage of a page, if it has one.  Raises ServerMissingError where what it needs is not installed."""
    make = STAGES.get(page)
    return contextlib.nullcontext(Stage()) if make is None else make(home)
