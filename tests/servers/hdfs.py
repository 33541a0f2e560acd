"""HDFS: a real namenode and a real datanode, which speak hdfs:// and webhdfs://."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

from tests.servers.place import Place, new_name
from tests.servers.running import (
    HOST,
    ServerFailedError,
    ServerMissingError,
    Starting,
    free_ports,
    get_programs,
)

JARS_VARIABLE = "HDFS_TEST_JARS"
"""The environment variable that names the folder with Hadoop's jars; ``hdfs_jars.py`` fills one."""
USERNAME = "tester"
_SUPERUSER = "super"
_NAME = "HDFS"
_LOST = "hdfs:// and webhdfs:// on a real server"
_HOW = f"it needs Java, and {JARS_VARIABLE} names a folder that tests.servers.hdfs_jars has filled"
_JAVA = (
    # Hadoop 2 looks into what later versions of Java hide.
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in ("java.lang", "java.nio", "java.net", "java.util", "sun.nio.ch")
    ),
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Djava.net.preferIPv4Stack=true",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
)
_LOG4J = """\
log4j.rootLogger=INFO,A
log4j.appender.A=org.apache.log4j.ConsoleAppender
log4j.appender.A.target=System.err
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
"""
_WEB_APP = '<web-app version="2.4" xmlns="http://java.sun.com/xml/ns/j2ee"></web-app>'


@dataclass(frozen=True, slots=True)
class HdfsServer:
    """A file system of one namenode and one datanode, on which one user has a home, and nothing else."""

    label: str
    port: int
    """Of WebHDFS at the namenode."""
    rpc_port: int
    """Of hdfs:// at the namenode."""
    username: str = USERNAME

    def new_place(self, *, port: int | None = None, scheme: str = "webhdfs") -> Place:
        """Make an empty folder, for webhdfs:// or hdfs://.

        ``port`` is that of a proxy by which the test is to reach the namenode; the datanode is reached directly.
        """
        folder = f"/user/{self.username}/{new_name()}"
        request(self.port, "PUT", f"{folder}?op=MKDIRS&user.name={self.username}")
        own = self.rpc_port if scheme == "hdfs" else self.port
        url = f"{scheme}://{HOST}:{port or own}{folder}"
        return Place(url, {"user": self.username}, functools.partial(self._plant, folder))

    def _plant(self, folder: str, name: str, data: bytes) -> None:
        path = f"{folder}/{quote(name)}?op=CREATE&overwrite=true&user.name={self.username}"
        request(self.port, "PUT", path, data)


def request(port: int, method: str, what: str, data: bytes = b"") -> bytes:
    """Send a WebHDFS request, to the datanode if the namenode says so.  Raises ServerFailedError if it is refused."""
    place, path = f"{HOST}:{port}", f"/webhdfs/v1{what}"
    for body in (b"", data):
        with contextlib.closing(http.client.HTTPConnection(place, timeout=60)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= 400:
            raise ServerFailedError(f"{method} {what}: {answer.status} {text!r}")
        if answer.status != 307:
            break
        url = urlsplit(answer.headers["Location"])
        place, path = url.netloc, f"{url.path}?{url.query}"
    return text


def start_hdfs(starting: Starting) -> HdfsServer:
    """Start a namenode and a datanode; this takes some seconds and half a GB."""
    [java] = get_programs(_NAME, "java", lost=_LOST, how=_HOW)
    jars = Path(os.environ.get(JARS_VARIABLE, "nowhere")).absolute()
    if not jars.is_dir():
        raise ServerMissingError(_NAME, lost=_LOST, how=_HOW)
    folder = starting.folder
    port, rpc_port, *ports = free_ports(5)
    for part in ("conf", "name", "data", "tmp"):
        (folder / part).mkdir()
    (folder / "data").chmod(0o700)
    _write_settings(folder / "conf" / "core-site.xml", _core_settings(folder, rpc_port))
    _write_settings(folder / "conf" / "hdfs-site.xml", _hdfs_settings(folder, port, rpc_port, ports))
    (folder / "conf" / "log4j.properties").write_text(_LOG4J)
    for part in ("hdfs", "datanode"):
        web_app = folder / "conf" / "webapps" / part / "WEB-INF" / "web.xml"
        web_app.parent.mkdir(parents=True)
        web_app.write_text(_WEB_APP)
    env = {"HADOOP_USER_NAME": _SUPERUSER}
    run = (java, *_JAVA, f"-Dhadoop.log.dir={folder}", f"-Dhadoop.home.dir={folder}", "-cp", f"{folder}/conf:{jars}/*")
    node = "org.apache.hadoop.hdfs.server"
    starting.run(*run, f"{node}.namenode.NameNode", "-format", "-nonInteractive", env=env)
    namenode = starting.start("namenode", *run, f"{node}.namenode.NameNode", env=env)
    starting.start("datanode", *run, f"{node}.datanode.DataNode", env=env)
    namenode.wait_for_port(port)
    namenode.wait_until(functools.partial(_is_writable, port))
    home = f"/user/{USERNAME}"
    request(port, "PUT", f"{home}?op=MKDIRS&user.name={_SUPERUSER}")
    request(port, "PUT", f"{home}?op=SETOWNER&owner={USERNAME}&user.name={_SUPERUSER}")
    [version] = (path.stem.rpartition("-")[2] for path in jars.glob("hadoop-hdfs-*.jar"))
    return HdfsServer(f"HDFS {version} (real)", port, rpc_port)


def _is_writable(port: int) -> bool:
    """Tell whether the datanode has come, by writing a byte."""
    try:
        request(port, "PUT", f"/probe?op=CREATE&overwrite=true&user.name={_SUPERUSER}", b"x")
    except (OSError, ServerFailedError):
        return False
    return True


def _core_settings(folder: Path, rpc_port: int) -> dict[str, object]:
    return {
        "fs.defaultFS": f"hdfs://{HOST}:{rpc_port}",
        "hadoop.tmp.dir": folder / "tmp",
        "hadoop.http.staticuser.user": USERNAME,
    }


def _hdfs_settings(folder: Path, port: int, rpc_port: int, ports: list[int]) -> dict[str, object]:
    data_port, data_http_port, data_ipc_port = ports
    return {
        "dfs.namenode.name.dir": f"file://{folder}/name",
        "dfs.datanode.data.dir": f"file://{folder}/data",
        "dfs.namenode.http-address": f"{HOST}:{port}",
        "dfs.namenode.rpc-address": f"{HOST}:{rpc_port}",
        "dfs.namenode.rpc-bind-host": HOST,
        "dfs.datanode.address": f"{HOST}:{data_port}",
        "dfs.datanode.http.address": f"{HOST}:{data_http_port}",
        "dfs.datanode.ipc.address": f"{HOST}:{data_ipc_port}",
        # By this name the namenode sends clients on to the datanode.
        "dfs.datanode.hostname": "localhost",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.webhdfs.enabled": "true",
        "dfs.permissions.enabled": "true",
        "dfs.replication": 1,
        "dfs.namenode.replication.min": 1,
        "dfs.namenode.safemode.extension": 0,
        "dfs.namenode.safemode.threshold-pct": 0,
        "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": 5,
        "dfs.blocksize": 16 * 1024 * 1024,
        "dfs.namenode.fs-limits.min-block-size": 64 * 1024,
    }


def _write_settings(path: Path, settings: Mapping[str, object]) -> None:
    lines = [
        f"<property><name>{name}</name><value>{escape(str(value))}</value></property>"
        for name, value in settings.items()
    ]
    path.write_text("\n".join(["<configuration>", *lines, "</configuration>", ""]))
