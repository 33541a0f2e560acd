"""Starting servers once for all workers of a test run, and ending them when the last one is done.

A server is described by a frozen dataclass of texts and numbers, so that one worker can start it and tell the others
through a file.  Each user holds a shared lock, the lease; ``guard.py`` kills what nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

Server = TypeVar("Server")

_GUARD = Path(__file__).with_name("guard.py")
_SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_LOG_TAIL_BYTES = 3000
HOST = "127.0.0.1"
_PATIENCE_S = 120.0
"""How long a server may take to start: the machine is busy with the tests of other workers."""


class ServerMissingError(Exception):
    """A server is not installed: what was not tested therefore, and how to get it."""

    def __init__(self, name: str, *, lost: str, how: str) -> None:
        super().__init__(f"{name} is not installed: {lost} was not tested ({how})")


class ServerFailedError(Exception):
    """A server that is installed does not come up; the message shows the end of its logs."""


@dataclass(frozen=True, slots=True)
class Starting:
    """What a function that starts a server works with: an empty folder for its data, configuration and logs."""

    folder: Path
    lease: Path

    def start(self, name: str, *command: str | Path, env: Mapping[str, str] | None = None) -> Daemon:
        """Start one process, which must stay in the foreground; its output goes to ``NAME.log`` in the folder."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            subprocess.run(
                [sys.executable, "-I", "-S", _GUARD, self.lease, *command],
                cwd=self.folder,
                env=clean_environment(self.folder) | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                check=True,
            )
        return Daemon(name, self)

    def run(self, *command: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = _PATIENCE_S) -> str:
        """Run a command of the preparation and return what it printed.  Raises ServerFailedError if it fails."""
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=clean_environment(self.folder) | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=True,
                text=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise ServerFailedError(f"{error}\n{error.output}\n{logs(self.folder)}") from error
        return done.stdout


@dataclass(frozen=True, slots=True)
class Daemon:
    """A server process that was started."""

    name: str
    starting: Starting

    def wait_for_port(self, port: int, timeout_s: float = _PATIENCE_S) -> None:
        """Return once somebody listens.  Raises ServerFailedError if the process ends, or after the time."""

        def is_open() -> bool:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                return True
            return False

        self.wait_until(is_open, timeout_s)

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float = _PATIENCE_S) -> None:
        """Return once a question is answered with yes.  Raises ServerFailedError as wait_for_port does."""
        end_s = time.monotonic() + timeout_s
        while not is_ready():
            if not self.starting.lease.exists():
                raise ServerFailedError(f"{self.name} ended at once\n{logs(self.starting.folder)}")
            if time.monotonic() > end_s:
                raise ServerFailedError(f"{self.name} is not ready after {timeout_s} s\n{logs(self.starting.folder)}")
            time.sleep(0.05)


@contextlib.contextmanager
def running(start: Callable[[Starting], Server], kind: type[Server], folder: Path) -> Iterator[Server]:
    """Yield a server that runs in a folder: the one that another process runs there, else a new one.

    ``kind`` is the dataclass that ``start`` returns.  The server lives until the last who uses it leaves or dies.
    Raises ServerMissingError, ServerFailedError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "lock"):
        lease, facts = _find_running(folder) or _start_new(start, folder)
    with lease:
        yield kind(**facts)


def find_program(name: str) -> str | None:
    """Return the path of an installed program, also of those for administrators."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_PATHS]))


def get_programs(name: str, *programs: str, lost: str, how: str) -> list[str]:
    """Return the paths of all programs that a server needs.  Raises ServerMissingError if one is not installed."""
    paths = [find_program(program) for program in programs]
    if None in paths:
        raise ServerMissingError(name, lost=lost, how=how)
    return [path for path in paths if path is not None]


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens, all different; who needs one takes it soon."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment for servers, in which nothing of the user's settings is left."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_PATHS])
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def logs(folder: Path) -> str:
    """Return the end of every log in a folder."""
    tails = []
    for path in sorted(folder.rglob("*.log")):
        if tail := path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip():
            tails.append(f"--- {path.relative_to(folder)}\n{tail}")
    return "\n".join(tails)


def _find_running(folder: Path) -> tuple[IO[bytes], dict[str, Any]] | None:
    """Return a lease and the facts of the server of a folder, if it still runs."""
    try:
        told = json.loads((folder / "server.json").read_bytes())
        lease = Path(told["lease"]).open("rb")  # noqa: SIM115 - whoever asked for the server closes it
    except FileNotFoundError:
        return None
    try:
        # The guard takes the lock and removes the file before it kills the server.
        fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.path.exists(told["lease"]):
            return lease, told["facts"]
    except BlockingIOError:
        pass
    lease.close()
    return None


def _start_new(start: Callable[[Starting], Any], folder: Path) -> tuple[IO[bytes], dict[str, Any]]:
    own = Path(tempfile.mkdtemp(prefix="", dir=folder))
    starting = Starting(own, own.with_suffix(".lease"))
    starting.lease.touch()
    lease = starting.lease.open("rb")
    try:
        fcntl.flock(lease, fcntl.LOCK_SH)
        facts = asdict(start(starting))
    except BaseException:
        lease.close()
        raise
    (folder / "server.json").write_text(json.dumps({"lease": str(starting.lease), "facts": facts}))
    return lease, facts


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
