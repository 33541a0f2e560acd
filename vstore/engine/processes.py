"""Processes of this machine, for work on so many small things that Python's threads would wait for each other.

They are programs of their own and not copies of this one: a copy would have its locks and its open files, and on some
systems would run the user's script once more.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, TypeVar

from vstore.engine.engine import Desk
from vstore.engine.tally import Tally
from vstore.errors import EngineUnavailableError, VstoreError
from vstore.progress import Reporter

Task = TypeVar("Task")
Result = TypeVar("Result")

_MOST_ATTEMPTS = 3
_LOOK_EVERY_S = 1.0
_TELL_EVERY_S = 0.1
_PROGRAM = "import sys; from vstore.engine.processes import serve; serve(int(sys.argv[1]))"
_ADVANCE, _NOTE, _WARN, _DONE, _FAILED = "advance", "note", "warn", "done", "failed"


def count_processors() -> int:
    """Return how many processors we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalProcesses:
    """Some processes, begun when they are first needed.  It is an ``Engine``."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._workers: list[_Worker] = []

    def count_places(self) -> int:
        """Return how many processes there are."""
        return self._number

    def run(
        self, function: Callable[[Task, Desk], Result], tasks: Sequence[Task], reporter: Reporter
    ) -> Generator[Result | None, None, None]:
        """Yield results as they come; see ``Engine``."""
        waiting = deque(enumerate(tasks))
        attempts = [0] * len(tasks)
        tally = Tally(reporter)
        busy: dict[Connection, tuple[_Worker, int, Task]] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self._number:
                    number, task = waiting.popleft()
                    attempts[number] += 1
                    if attempts[number] > _MOST_ATTEMPTS:
                        message = f"a part of the work was begun by {_MOST_ATTEMPTS} processes, and all of them died"
                        raise EngineUnavailableError(message, reason="died")
                    worker = self._find_idle({busy_one for busy_one, _, _ in busy.values()})
                    worker.send((function, task))
                    busy[worker.connection] = worker, number, task
                ready = wait(list(busy), _LOOK_EVERY_S)
                if not ready:
                    yield None
                for connection in ready:
                    assert isinstance(connection, Connection)
                    worker, number, task = busy[connection]
                    kind, value = worker.receive()
                    if kind == _ADVANCE:
                        tally.count(number, value)
                    elif kind == _NOTE:
                        reporter.note(value)
                    elif kind == _WARN:
                        reporter.warn(value)
                    elif kind == _FAILED:
                        raise value
                    else:
                        del busy[connection]
                        if kind == _DONE:
                            result, amount = value
                            tally.finish(number, amount)
                            yield result
                        else:
                            tally.count(number, 0)
                            self._workers.remove(worker)
                            waiting.append((number, task))
        finally:
            if busy:
                self.close()

    def _find_idle(self, busy: set[_Worker]) -> _Worker:
        for worker in self._workers:
            if worker not in busy:
                return worker
        self._workers.append(_Worker())
        return self._workers[-1]

    def close(self) -> None:
        """End the processes, also in the middle of what they do."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.stop()


class _Worker:
    """A process, and the line to it."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        number = str(theirs.fileno())
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, number],
            stdin=subprocess.DEVNULL,
            env=environ,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def send(self, job: object) -> None:
        """Give it something to do; that it died is seen when it is listened to."""
        with contextlib.suppress(OSError):
            self.connection.send(job)

    def receive(self) -> tuple[str, Any]:
        """Return what it says; nothing where it died."""
        try:
            told: tuple[str, Any] = self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self.stop()
            return "", None
        return told

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self.connection.close()


def serve(descriptor: int) -> None:
    """Do what is sent over a line, one job after another, until it is closed: all that a process of ours does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever began us hears of it, too, and ends us
    connection = Connection(descriptor)
    scratch = Path(tempfile.mkdtemp(prefix="vstore-"))
    try:
        while True:
            function, task = connection.recv()
            desk = _PipeDesk(scratch, connection)
            try:
                connection.send((_DONE, (function(task, desk), desk.done)))
            except VstoreError as error:
                connection.send((_FAILED, error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # nobody listens any more
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _PipeDesk(Desk):
    def __init__(self, scratch: Path, connection: Connection) -> None:
        super().__init__(scratch)
        self.done = 0
        self._connection = connection
        self._told_s = 0.0

    def advance(self, amount: int = 1) -> None:
        """Count; a few times a second it is told."""
        self.done += amount
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_EVERY_S:
            self._told_s = now_s
            self._connection.send((_ADVANCE, self.done))

    def note(self, message: str) -> None:
        """Pass it on."""
        self._connection.send((_NOTE, message))

    def warn(self, message: str) -> None:
        """Pass it on."""
        self._connection.send((_WARN, message))
