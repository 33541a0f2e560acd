"""Fills a folder with what a real HDFS needs: ``python -m tests.servers.hdfs_jars FOLDER``.

The source package of pyspark 2.4.8 holds Hadoop 2.7.3 whole, also its servers; later ones hold only clients.  Jersey 1,
without which there is no WebHDFS, is Debian's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

_PACKAGE = "pyspark==2.4.8"
_DEBIAN_FOLDER = Path("/usr/share/java")
_DEBIAN_PACKAGES = "libjersey1-json-java libjersey1-server-java libjersey1-servlet-java"
_FROM_DEBIAN = ("jersey1-core", "jersey1-json", "jersey1-server", "jersey1-servlet", "jsr311-api")
_FROM_SPARK = [
    "activation-1.1.1",
    "commons-beanutils-1.9.4",
    "commons-cli-1.2",
    "commons-codec-1.10",
    "commons-collections-3.2.2",
    "commons-configuration-1.6",
    "commons-digester-1.8",
    "commons-io-2.4",
    "commons-lang-2.6",
    "commons-logging-1.1.3",
    "guava-14.0.1",
    "hadoop-annotations-2.7.3",
    "hadoop-auth-2.7.3",
    "hadoop-common-2.7.3",
    "hadoop-hdfs-2.7.3",
    "htrace-core-3.1.0-incubating",
    "httpclient-4.5.6",
    "httpcore-4.4.10",
    "jackson-core-asl-1.9.13",
    "jackson-jaxrs-1.9.13",
    "jackson-mapper-asl-1.9.13",
    "jackson-xc-1.9.13",
    "javax.servlet-api-3.1.0",
    "jaxb-api-2.2.2",
    "jetty-6.1.26",
    "jetty-util-6.1.26",
    "leveldbjni-all-1.8",
    "log4j-1.2.17",
    "netty-3.9.9.Final",
    "netty-all-4.1.47.Final",
    "protobuf-java-2.5.0",
    "slf4j-api-1.7.16",
    "slf4j-log4j12-1.7.16",
    "stax-api-1.0.1",
    "xercesImpl-2.9.1",
    "xmlenc-0.52",
]


def fill(folder: Path) -> None:
    """Put the jars into a folder: 220 MB are fetched and 29 MB kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FROM_DEBIAN:
        source = _DEBIAN_FOLDER / f"{name}.jar"
        if not source.exists():
            sys.exit(f"{source} is missing: apt-get install {_DEBIAN_PACKAGES}")
        shutil.copyfile(source, folder / source.name)
    with tempfile.TemporaryDirectory() as temporary:
        archive = _fetch(Path(temporary))
        with tarfile.open(archive) as file:
            for name in _FROM_SPARK:
                jar = file.extractfile(f"{archive.name.removesuffix('.tar.gz')}/deps/jars/{name}.jar")
                assert jar is not None
                with jar, (folder / f"{name}.jar").open("wb") as target:
                    shutil.copyfileobj(jar, target)


def _fetch(folder: Path) -> Path:
    # pip asks a source package who it is by running its setup.py, and this one knows only the setuptools of its time.
    environment = folder / "env"
    venv.create(environment, with_pip=True)
    pip = (environment / "bin" / "pip", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "install", "setuptools<81", "wheel"], check=True)
    subprocess.run([*pip, "download", "--no-deps", "--no-build-isolation", "-d", folder, _PACKAGE], check=True)
    [archive] = folder.glob("*.tar.gz")
    return archive


if __name__ == "__main__":
    fill(Path(sys.argv[1]).absolute())
