"""Every server as a fixture for all tests.

A server is started when the first test asks for it; those that are processes serve all workers of the run.  Each
fixture has ``new_place()`` for an empty place of the test's own.  Where a server is not installed its tests skip.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.servers import report
from tests.servers.azurite import AzureServer, start_azurite
from tests.servers.ceph import start_ceph
from tests.servers.gcs import GcsServer, running_gcs
from tests.servers.hdfs import HdfsServer, start_hdfs
from tests.servers.http_proxy import HttpProxy, running_http_proxy
from tests.servers.nginx import FileServer, TlsFront, start_static, start_tls_front, start_webdav
from tests.servers.running import ServerMissingError, running
from tests.servers.s3 import MotoWithUsers, S3Server, running_moto, start_moto_with_users
from tests.servers.sftp import SftpServer, running_asyncssh, start_openssh
from tests.servers.swift import start_swift
from tests.servers.tcp_proxy import TcpProxy, running_tcp_proxy
from tests.servers.web import running_site, running_wsgidav
from tests.servers.webhdfs import WebHdfsServer, running_webhdfs


class _Labelled(Protocol):
    """What all servers have."""

    @property
    def label(self) -> str: ...


Server = TypeVar("Server", bound=_Labelled)


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers run: one folder for all workers."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "servers"
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def _present(request: pytest.FixtureRequest, *ways: AbstractContextManager[Server]) -> Iterator[Server]:
    """Enter the first way to a server for which everything is installed; skip where there is none."""
    with contextlib.ExitStack() as stack:
        missing: list[str] = []
        for way in ways:
            try:
                server = stack.enter_context(way)
                break
            except ServerMissingError as error:
                missing.append(str(error))
        else:
            pytest.skip(missing[0])
        report.note(request, server.label, missing)
        yield server


@pytest.fixture(autouse=True)
def _servers_used(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the report of every test say which servers it used."""
    yield
    report.tell(request)


@pytest.fixture(scope="session")
def moto(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """An S3 emulator in this process that lets everybody in."""
    with _present(request, running_moto()) as server:
        yield server


@pytest.fixture(scope="session")
def moto_with_users(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[MotoWithUsers]:
    """An S3 emulator that checks who asks and what they may do."""
    way = running(start_moto_with_users, MotoWithUsers, servers_folder / "moto")
    with _present(request, way) as server:
        yield server


@pytest.fixture(scope="session")
def ceph(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[S3Server]:
    """A real S3 server."""
    with _present(request, running(start_ceph, S3Server, servers_folder / "ceph")) as server:
        yield server


@pytest.fixture(scope="session")
def swift(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[S3Server]:
    """Another real S3 server, which refuses more."""
    with _present(request, running(start_swift, S3Server, servers_folder / "swift")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_tls(
    request: pytest.FixtureRequest, moto: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """The emulator behind TLS; ``ca_file`` has the certificate to trust."""
    with _present(request, _tls_before(moto, tmp_path_factory.mktemp("tls"))) as server:
        yield server


@pytest.fixture(scope="session")
def ceph_tls(request: pytest.FixtureRequest, ceph: S3Server, servers_folder: Path) -> Iterator[S3Server]:
    """The real S3 server behind TLS."""
    with _present(request, _tls_before(ceph, servers_folder / "ceph-tls")) as server:
        yield server


@contextlib.contextmanager
def _tls_before(server: S3Server, folder: Path) -> Iterator[S3Server]:
    start = functools.partial(start_tls_front, upstream_port=server.port)
    with running(start, TlsFront, folder) as front:
        label = f"{server.label} behind {front.label}"
        yield dataclasses.replace(server, label=label, port=front.port, ca_file=front.ca_file)


@pytest.fixture(scope="session")
def azurite(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[AzureServer]:
    """Azure Blob Storage."""
    with _present(request, running(start_azurite, AzureServer, servers_folder / "azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs(request: pytest.FixtureRequest) -> Iterator[GcsServer]:
    """Google Cloud Storage, as a fake."""
    with _present(request, running_gcs()) as server:
        yield server


@pytest.fixture(scope="session")
def sftp(
    request: pytest.FixtureRequest, servers_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SftpServer]:
    """An SSH server with SFTP."""
    ways = (
        running(start_openssh, SftpServer, servers_folder / "sshd"),
        running_asyncssh(tmp_path_factory.mktemp("asyncssh")),
    )
    with _present(request, *ways) as server:
        yield server


@pytest.fixture(scope="session")
def static_site(
    request: pytest.FixtureRequest, servers_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FileServer]:
    """A read-only web server with listings."""
    ways = (
        running(start_static, FileServer, servers_folder / "static"),
        running_site(tmp_path_factory.mktemp("site")),
    )
    with _present(request, *ways) as server:
        yield server


@pytest.fixture(scope="session")
def webdav(
    request: pytest.FixtureRequest, servers_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FileServer]:
    """A WebDAV server with a password."""
    ways = (
        running(start_webdav, FileServer, servers_folder / "webdav"),
        running_wsgidav(tmp_path_factory.mktemp("webdav")),
    )
    with _present(request, *ways) as server:
        yield server


@pytest.fixture(scope="session")
def webhdfs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHdfsServer]:
    """WebHDFS, as a fake."""
    with _present(request, running_webhdfs(tmp_path_factory.mktemp("webhdfs"))) as server:
        yield server


@pytest.fixture(scope="session")
def hdfs(request: pytest.FixtureRequest, servers_folder: Path) -> Iterator[HdfsServer]:
    """A real HDFS, also as WebHDFS."""
    with _present(request, running(start_hdfs, HdfsServer, servers_folder / "hdfs")) as server:
        yield server


@pytest.fixture
def tcp_proxy() -> Iterator[Callable[[int], TcpProxy]]:
    """Make a line to the server on a port, as bad as the test wants it."""
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(running_tcp_proxy(port))


@pytest.fixture
def http_proxy() -> Iterator[Callable[[int], HttpProxy]]:
    """Make a proxy before the HTTP server on a port, that counts requests and spoils some."""
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(running_http_proxy(port))
