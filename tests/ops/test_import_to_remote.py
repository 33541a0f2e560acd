"""``import-url --to-remote``: from the source to the remote, never by way of the local disk, nor whole in memory."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import PROJECT
from tests.ops.source import FOLDER, SOURCE, cached_bytes, has_files, know, leftovers, plant, try_again_soon
from tests.project import Project
from tests.servers.gcs import GcsServer
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.place import Place
from tests.servers.s3 import S3Server

_MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    try_again_soon(monkeypatch)


@pytest.fixture
def source(project: Project, gcs: GcsServer) -> Place:
    """Where the data is."""
    place = gcs.new_place()
    know(project, place)
    return place


@pytest.fixture
def target(project: Project, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
    """The default remote, behind a proxy."""
    proxy = http_proxy(moto.port)
    know(project, moto.new_place(port=proxy.port), "store")
    project.ok("remote", "default", "store")
    return proxy


def clone_of(project: Project, name: str = "clone") -> Project:
    """Clone a project that committed its remotes; secrets are not in git."""
    project.git("add", "-A")
    project.commit()
    clone = project.clone(name)
    (clone.path / ".vstore/config.local").write_bytes((project.path / ".vstore/config.local").read_bytes())
    return clone


def test_folder(project: Project, source: Place, target: HttpProxy) -> None:
    """A folder is at the remote afterwards, whole, and here are only the pointer and the list of files."""
    plant(source)
    done = project.ok("import-url", f"{SOURCE}/folder", "data", "--to-remote", "--json").json()
    assert (done["way"], done["remote"], done["files"]) == ("to-remote", "store", len(FOLDER))
    assert not project.has("data")
    assert cached_bytes(project) < 10_000
    assert "everything is there" in project.ok("push").stdout
    project.ok("push", "--check")
    clone = clone_of(project)
    clone.ok("pull")
    assert has_files(clone, "data", FOLDER)
    project.ok("pull")
    assert has_files(project, "data", FOLDER)


@pytest.mark.parametrize("size_bytes", [0, 1, 256 * 1024, 256 * 1024 + 1, 3_000_000])
def test_file(project: Project, source: Place, target: HttpProxy, size_bytes: int) -> None:
    """A file has the digest that it would have had if it had come by way of this machine."""
    data = random.Random(size_bytes).randbytes(size_bytes)
    source.plant("x.bin", data)
    streamed = project.ok("import-url", f"{SOURCE}/x.bin", "a.bin", "--to-remote", "--json").json()
    by_way = project.ok("import-url", f"{SOURCE}/x.bin", "b.bin", "--json").json()
    assert streamed["digest"] == by_way["digest"]
    project.drop_cache()
    project.ok("pull", "a.bin")
    assert project.read("a.bin") == data


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how much memory was used")
def test_neither_disk_nor_memory_grow(project: Project, moto: S3Server, tmp_path: Path) -> None:
    """Where no file may be longer than 1 MiB, hundreds pass through, and they take no more memory than fewer do."""
    know(project, moto.new_place(), "store")
    project.ok("config", "set", "transfer.in_flight", "16M")
    used = []
    for mib in (130, 260):
        random_ = random.Random(mib)
        origin = tmp_path / f"{mib}.bin"
        origin.write_bytes(b"".join(random_.randbytes(_MIB) for _ in range(mib)))
        used.append(run_limited(project, "import-url", str(origin), "--to-remote", "-j", "2"))
    # Packs are up to 64 MiB long: one is built while another is sent.
    assert used[1] - used[0] < 100 * _MIB
    assert cached_bytes(project) < 100_000
    project.ok("pull", "260.bin")
    assert project.read("260.bin") == origin.read_bytes()


def run_limited(project: Project, *args: str) -> int:
    """Run vstore in a process that may write no long file; return how much memory it took at most."""
    code = (
        "import sys; from vstore.cli.main import main; code = main();"
        " print(*[line for line in open('/proc/self/status') if 'VmHWM' in line], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=project.path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (_MIB, _MIB)),
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-2]) * 1024


def test_what_the_remote_has_is_not_sent_again(project: Project, source: Place, target: HttpProxy) -> None:
    """Contents and chunks that the remote holds are found while they come."""
    plant(source)
    project.ok("import-url", f"{SOURCE}/folder", "data", "--to-remote")
    sent = target.sent_bytes
    source.plant("folder/large.bin", FOLDER["large.bin"] + b"more")
    project.ok("import-url", f"{SOURCE}/folder", "again", "--to-remote")
    assert target.sent_bytes - sent < 2_000_000


def test_update(project: Project, source: Place, target: HttpProxy, http_proxy: Callable[[int], HttpProxy]) -> None:
    """An update brings only what changed, and the remote has the whole of the new version."""
    plant(source)
    project.ok("import-url", f"{SOURCE}/folder", "data", "--to-remote")
    source.plant("folder/new", b"new")
    done = project.ok("update", "data", "--to-remote", "--json").json()
    [change] = done["imports"][0]["changes"]
    assert (change["path"], change["change"]) == ("new", "added")
    assert not project.has("data")
    clone = clone_of(project)
    clone.ok("pull")
    assert has_files(clone, "data", {**FOLDER, "new": b"new"})


def test_source_that_fails_leaves_no_commit(
    project: Project, gcs: GcsServer, target: HttpProxy, http_proxy: Callable[[int], HttpProxy]
) -> None:
    """What stops in the middle is no import; the next attempt finds what was uploaded."""
    proxy = http_proxy(gcs.port)
    place = gcs.new_place(port=proxy.port)
    know(project, place)
    data = random.Random(6).randbytes(40_000_000)
    place.plant("x.bin", data)
    proxy.rules = [Rule("answer", method="GET", path="alt=media", after=4, status=403)]
    refused = project.run("import-url", f"{SOURCE}/x.bin", "--to-remote", "-j", "1")
    assert refused.exit_code == 14
    assert not leftovers(project, "x.bin")
    assert target.count("PUT", "commits/") == 0
    sent = target.sent_bytes
    assert sent > 5_000_000
    proxy.rules = []
    project.ok("import-url", f"{SOURCE}/x.bin", "--to-remote")
    assert target.sent_bytes - sent < len(data) - 5_000_000
    project.ok("pull")
    assert project.read("x.bin") == data


@pytest.mark.parametrize("fault", ["corrupt", "reset", "truncate"])
def test_bad_line_from_the_source(
    fault: str, project: Project, gcs: GcsServer, target: HttpProxy, http_proxy: Callable[[int], HttpProxy]
) -> None:
    """A line that breaks is gone on with; what it damages never becomes a commit."""
    proxy = http_proxy(gcs.port)
    place = gcs.new_place(port=proxy.port)
    know(project, place)
    place.plant("x.bin", FOLDER["large.bin"])
    proxy.rules = [Rule(fault, method="GET", path="alt=media", times=1)]  # type: ignore[arg-type]
    done = project.run("import-url", f"{SOURCE}/x.bin", "--to-remote")
    if fault == "corrupt":
        assert "MD5 differ" in done.stderr
        assert target.count("PUT", "commits/") == 0
        done = project.run("import-url", f"{SOURCE}/x.bin", "--to-remote")
    done.ok()
    project.ok("pull")
    assert project.read("x.bin") == FOLDER["large.bin"]


def test_to_a_directory(project: Project, source: Place, tmp_path: Path) -> None:
    """Any remote will do, and -r names one, to which the pointer is routed."""
    plant(source)
    project.add_remote()
    project.ok("import-url", f"{SOURCE}/folder", "data", "--to-remote", "-r", "store")
    assert 'remote = "store"' in project.read("data.vstore").decode()
    project.ok("pull", "data")
    assert has_files(project, "data", FOLDER)


def test_without_a_remote(project: Project, tmp_path: Path) -> None:
    """Without a remote it is refused before anything is read."""
    (tmp_path / "x").write_bytes(b"x")
    refused = project.run("import-url", tmp_path / "x", "--to-remote")
    assert "no remote is configured" in refused.stderr
    assert not leftovers(project, "x")
