"""Workers, schedulers and clients that die in the middle: nothing is lost, and little is done twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.command import PROJECT
from tests.engine.cluster import Cluster, running_cluster
from tests.ops.source import know
from tests.project import Project
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.s3 import S3Server
from vstore import api
from vstore.errors import EngineUnavailableError
from vstore.progress import Reporter

_WAIT_S = 180.0


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    deadline_s = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.fixture
def target(project: Project, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
    """The remote, behind a proxy at which packs take a while."""
    proxy = http_proxy(moto.port)
    know(project, moto.new_place(port=proxy.port), "store")
    project.ok("remote", "default", "store")
    proxy.rules = [Rule("delay", method="PUT", path="packs/", delay_s=0.5)]
    return proxy


def count_sessions(proxy: HttpProxy, path: str) -> int:
    """Return how many sessions wrote such objects."""
    return len({request.path for request in proxy.requests if request.method == "PUT" and path in request.path})


def stored_bytes(server: S3Server, project: Project) -> int:
    """Return how long all objects of the project's remote are together."""
    [remote] = project.ok("remote", "list", "--json").json()["remotes"]
    listed = server.client().list_objects_v2(Bucket=remote["url"].removeprefix("s3://"))
    return sum(found["Size"] for found in listed["Contents"])


class Killing(Reporter):
    """Kills a worker when the first shard made progress."""

    def __init__(self, cluster: Cluster) -> None:
        self.done = 0
        self.total: int | None = None
        self._cluster = cluster
        self._is_dead = False

    def begin(self, task: str, *, total: int | None = None, unit: str = "files") -> None:
        """Count this task alone."""
        self.total, self.done = total, 0

    def advance(self, amount: int = 1) -> None:
        """Count, and kill once."""
        self.done += amount
        if not self._is_dead and self.total:
            self._is_dead = True
            self._cluster.kill(self._cluster.workers[0])


@contextlib.contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread; it is done when the block is left."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(action)
        yield
    done.result()


def test_import_survives_a_worker(project: Project, cluster: Cluster, data: Path, target: HttpProxy) -> None:
    """A worker that is killed while it uploads costs only its shard; the digest is that of a run without death."""

    def kill() -> None:
        # Both workers wait for the answer to a pack.
        wait_until(lambda: count_sessions(target, "packs/") >= 2)
        cluster.kill(cluster.workers[0])

    with meanwhile(kill):
        done = project.ok("import-url", data, "far", "--to-remote", *cluster.options, "--json").json()
    near = project.ok("import-url", data, "near", "--json").json()
    assert (done["digest"], done["files"]) == (near["digest"], 14)
    project.ok("push", "--check")
    assert target.count("PUT", "commits/") == 1
    # The client's session and one for each of seven shards, of which one was begun twice.
    begun = count_sessions(target, "intents/") - 1
    assert begun == 7 + 1
    # What was begun in vain has an intent that expires; all others are withdrawn.
    assert target.count("DELETE", "intents/") == 1 + 7
    written = [request.path for request in target.requests if request.method == "PUT" and "packs/" in request.path]
    assert len(written) == len(set(written)) <= begun + 1


@pytest.mark.parametrize("verb", ["add", "push", "fetch"])
def test_verbs_survive_a_worker(project: Project, cluster: Cluster, data: Path, verb: str) -> None:
    """Adding, pushing and fetching go on when a worker is killed, and count nothing twice."""
    project.add_remote()
    shutil.copytree(data, project.path / "data")
    where = {"directory": project.path, "engine": "dask", "scheduler": cluster.address}
    killing = Killing(cluster)
    if verb != "add":
        project.ok("add", "data")
    if verb == "add":
        api.add("data", **where, reporter=killing)
    elif verb == "push":
        api.push(**where, reporter=killing)
        assert killing.done == killing.total
    else:
        project.ok("push")
        project.drop_cache()
        assert not api.fetch(**where, reporter=killing).missing
        assert killing.done == killing.total
    assert len(cluster.workers) == 1
    shutil.copytree(data, project.path / "again")
    project.ok("add", "again")
    assert project.read("again.vstore") == project.read("data.vstore")
    project.ok("fsck")
    project.ok("push")
    project.ok("fsck", "--remote", "--read-data")


def test_all_workers_die(project: Project, cluster: Cluster, data: Path, target: HttpProxy, moto: S3Server) -> None:
    """Without workers a command ends with a clear error and commits nothing; the next goes on from what was done."""

    def kill() -> None:
        wait_until(lambda: count_sessions(target, "packs/") >= 3)
        cluster.kill(*list(cluster.workers))

    where = {"directory": project.path, "to_remote": True, "engine": "dask", "scheduler": cluster.address}
    # What was done and not yet taken is gone with them: that may be seen before nobody is left is.
    told = "no workers any more|did not keep what was done"
    with meanwhile(kill), pytest.raises(EngineUnavailableError, match=told) as caught:
        api.import_url(str(data), "far", **where)
    assert caught.value.fields["reason"] in ("no-workers", "died")
    assert not project.has("far.vstore") and target.count("PUT", "commits/") == 0
    before = stored_bytes(moto, project)
    cluster.add_workers(2)
    target.rules = []
    assert api.import_url(str(data), "far", **where).files == 14
    # At least one shard was done, with a large file: that is not uploaded once more.
    assert stored_bytes(moto, project) - before < 10_500_000 - 1_000_000
    project.ok("push", "--check")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_scheduler_dies(
    project: Project, data: Path, target: HttpProxy, tmp_path: Path, short: None, how: signal.Signals
) -> None:
    """A scheduler that dies, or stalls, ends the command soon, with a clear error, and nothing is committed."""

    class Ending(Reporter):
        """Stops the scheduler when the first shard made progress."""

        def advance(self, amount: int = 1) -> None:
            """More than once does no harm."""
            cluster.scheduler.send_signal(how)

    project.write("data/a.bin", (data / "large0.bin").read_bytes())
    project.write("data/b.bin", (data / "large1.bin").read_bytes())
    project.ok("add", "data")
    with running_cluster(tmp_path / "short-lived", 1) as cluster:
        with pytest.raises(EngineUnavailableError) as caught:
            api.push(directory=project.path, engine="dask", scheduler=cluster.address, reporter=Ending())
        assert caught.value.fields["reason"] == "died"
        assert target.count("PUT", "commits/") == 0
        cluster.kill(cluster.scheduler)
        done = project.run("push", *cluster.options)
    assert done.exit_code == 14
    assert "cannot be reached" in done.stderr and "Hint: see whether its scheduler runs" in done.stderr
    assert "CommClosedError" not in done.stderr


def test_scheduler_dies_under_command(project: Project, tmp_path: Path, data: Path, target: HttpProxy) -> None:
    """Of a scheduler that dies people are told what is lost and what to do, and nothing of how Dask finds it."""
    args = ["import-url", str(data), "far", "--to-remote"]
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with running_cluster(tmp_path / "short-lived", 1) as cluster:
        command = [sys.executable, "-m", "vstore", *args, *cluster.options]
        with subprocess.Popen(command, cwd=project.path, env=environ, stderr=subprocess.PIPE, text=True) as process:
            wait_until(lambda: target.count("PUT", "packs/") >= 1)
            cluster.scheduler.kill()
            _, said = process.communicate(timeout=_WAIT_S)
    assert process.returncode == 14
    assert "Traceback" not in said and "distributed" not in said and "Caused by" not in said
    assert "is gone" in said and "Hint: " in said


def test_interrupt(project: Project, cluster: Cluster, data: Path, target: HttpProxy) -> None:
    """Ctrl-C drops what was not begun, and what was begun ends soon; nothing is committed."""
    code = (
        "from vstore.engine import shards; shards.LEAST_BYTES = 1 << 21;"
        " import sys; from vstore.cli.main import main; sys.exit(main())"
    )
    args = ["import-url", str(data), "far", "--to-remote", *cluster.options]
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen([sys.executable, "-c", code, *args], cwd=project.path, env=environ) as process:
        wait_until(lambda: target.count("PUT", "packs/") >= 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(_WAIT_S) == 130
    begun = count_sessions(target, "intents/")
    time.sleep(1)
    assert count_sessions(target, "intents/") <= begun + 1 < 7
    assert target.count("PUT", "commits/") == 0 and not project.has("far.vstore")
