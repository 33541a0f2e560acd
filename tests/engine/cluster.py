"""A real cluster for tests: a scheduler and workers, each a process of its own that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.command import PROJECT
from tests.servers.running import HOST, free_ports

_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key-of-the-workers", "AWS_SECRET_ACCESS_KEY": "secret-of-the-workers"}
"""The emulator lets everybody in who has some."""
_START_S = 30.0


class Cluster:
    """A scheduler at ``address``, and its workers, in the order in which they were started."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        [port] = free_ports(1)
        self.address = f"tcp://{HOST}:{port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.options = ("--engine", "dask", "--scheduler", self.address)
        self._folder = folder
        self._environ = environ
        self._number = 0
        self.scheduler = self._start("scheduler", "--host", HOST, "--port", str(port), "--no-dashboard", "--no-jupyter")

    def _start(self, *args: str, before: Sequence[str] = (), modules: str = "") -> subprocess.Popen[bytes]:
        self._number += 1
        scratch = {"DASK_TEMPORARY_DIRECTORY": str(self._folder), "PYTHONPATH": f"{modules}:{PROJECT}".lstrip(":")}
        with open(self._folder / f"{self._number}.log", "wb") as log:
            return subprocess.Popen(
                [*before, sys.executable, "-m", "distributed.cli.dask_" + args[0], *args[1:]],
                cwd=self._folder,
                env={**os.environ, **self._environ, **scratch},
                stdout=log,
                stderr=log,
            )

    def add_workers(
        self, count: int = 1, *, before: Sequence[str] = (), modules: str = ""
    ) -> list[subprocess.Popen[bytes]]:
        """Start workers of one thread each, whom nobody starts again; returns when the scheduler knows them.

        ``before`` is a command that runs them, ``modules`` a directory that comes first where they import from.
        """
        known = self.log.count("Register worker")
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", HOST, "--death-timeout", "60"]
        new = [self._start("worker", self.address, *options, before=before, modules=modules) for _ in range(count)]
        self.workers += new
        deadline_s = time.monotonic() + _START_S
        while self.log.count("Register worker") < known + count:
            assert time.monotonic() < deadline_s, self.log + self.logs_of_workers()
            time.sleep(0.05)
        return new

    @property
    def log(self) -> str:
        """What the scheduler said."""
        return (self._folder / "1.log").read_text()

    def logs_of_workers(self) -> str:
        """Return what all workers said."""
        return "".join((self._folder / f"{number}.log").read_text() for number in range(2, self._number + 1))

    def find_scratch(self) -> list[Path]:
        """Return what workers keep of commands."""
        return list(self._folder.rglob("worker-*/vstore-*"))

    def kill(self, *processes: subprocess.Popen[bytes]) -> None:
        """Kill processes as a power cut would."""
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process in self.workers:
                self.workers.remove(process)

    def close(self) -> None:
        """End all processes."""
        self.kill(*list(self.workers), self.scheduler)


@contextlib.contextmanager
def running_cluster(folder: Path, workers: int = 2, *, environ: Mapping[str, str] = _CREDENTIALS) -> Iterator[Cluster]:
    """Start a cluster; it is killed in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, environ)
    try:
        cluster.add_workers(workers)
        yield cluster
    finally:
        cluster.close()
