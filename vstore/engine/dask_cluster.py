"""The only door to Dask: parts of a job as tasks of a scheduler of ``distributed``.

The scheduler, and workers before they run a part, see nothing but texts and bytes, so that none has to know vstore: a
worker of Dask that cannot unpack what it is sent ends itself, whoever else it works for.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import queue
import secrets
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import distributed
from distributed.scheduler import KilledWorker

from vstore import __version__
from vstore.engine.engine import Desk
from vstore.engine.tally import Tally
from vstore.errors import EngineUnavailableError, VstoreError
from vstore.progress import Reporter

Task = TypeVar("Task")
Result = TypeVar("Result")

PATIENCE_S = 60.0
"""How long a scheduler may be silent, or without workers, before it is given up."""
_CONNECT_S = 10.0
_LOOK_EVERY_S = 1.0
_TELL_EVERY_S = 0.25
_CLIENT_LOG = logging.getLogger("distributed.client")
_OTHER_VERSION = "has workers without vstore, or with another version of it"


def open_cluster(scheduler: str) -> DaskCluster:
    """Return the cluster of the scheduler at an address."""
    return DaskCluster(scheduler, patience_s=PATIENCE_S)


class DaskCluster:
    """The workers of one scheduler.  It is an ``Engine``; ``patience_s`` is how long it waits for signs of life."""

    def __init__(self, scheduler: str, *, patience_s: float) -> None:
        self._scheduler = scheduler
        self._patience_s = patience_s
        self._client: Any = None

    def count_places(self) -> int:
        """Return how many threads the workers have together; waits a while for the first."""
        client = self._connect()
        deadline_s = time.monotonic() + self._patience_s
        while True:
            places = int(self._ask(client)["total_threads"])
            if places:
                return places
            if time.monotonic() > deadline_s:
                raise self._gone("no-workers", "has no workers")
            time.sleep(min(_LOOK_EVERY_S, self._patience_s))

    def run(
        self, function: Callable[[Task, Desk], Result], tasks: Sequence[Task], reporter: Reporter
    ) -> Generator[Result | None, None, None]:
        """Yield results as they come; see ``Engine``."""
        client = self._connect()
        topic = f"vstore-{secrets.token_hex(8)}"
        ear, visit = _Ear(reporter), _visitor()
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        client.subscribe_topic(topic, ear.hear)
        futures: dict[Any, int] = {}
        try:
            for number, task in enumerate(tasks):
                packed = pickle.dumps((function, task))
                key = f"{topic}-{number}"
                future = client.submit(visit, __version__, topic, number, packed, key=key, pure=False)
                futures[future] = number
                future.add_done_callback(done.put)
            yield from self._collect(client, futures, done, ear.tally)
            client.run(_cleaner(topic), wait=False)
        finally:
            if futures:
                client.cancel(list(futures), force=True)
            client.unsubscribe_topic(topic)

    def _collect(
        self, client: Any, futures: dict[Any, int], done: queue.SimpleQueue[Any], tally: Tally
    ) -> Iterator[Any]:
        """Yield results, and None where for a while there was none but the cluster is alive."""
        lonely_since_s = looked_s = time.monotonic()
        while futures:
            try:
                future = done.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                future = None
            now_s = time.monotonic()
            if client.status != "running":
                raise self._gone("died", "is gone")
            if future is not None and future in futures:
                result, amount = self._result_of(future)
                tally.finish(futures.pop(future), amount)
                lonely_since_s = now_s
                yield result
                continue
            if now_s - looked_s >= _LOOK_EVERY_S:
                if self._ask(client)["n_workers"]:
                    lonely_since_s = now_s
                elif now_s - lonely_since_s > self._patience_s:
                    raise self._gone("no-workers", "has no workers any more")
                looked_s = time.monotonic()
                yield None

    def _result_of(self, future: Any) -> tuple[Any, int]:
        try:
            packed = future.result(timeout=self._patience_s)
        except KilledWorker as error:
            raise self._gone(
                "died", "lost several workers, one after the other, that had begun the same part"
            ) from error
        except ImportError as error:
            raise self._gone("version", _OTHER_VERSION) from error
        except (distributed.CancelledError, distributed.TimeoutError, OSError) as error:
            raise self._gone("died", "did not keep what was done") from error
        try:
            result, amount = pickle.loads(packed)
        except (ImportError, AttributeError) as error:
            raise self._gone("version", _OTHER_VERSION) from error
        if isinstance(result, VstoreError):
            raise result
        return result, amount

    def close(self) -> None:
        """Disconnect; the cluster stays."""
        client, self._client = self._client, None
        if client is not None:
            client.close(timeout=self._patience_s)
        _CLIENT_LOG.removeFilter(_drop)

    def _connect(self) -> Any:
        if self._client is None:
            _CLIENT_LOG.addFilter(_drop)
            try:
                connect: Any = distributed.Client
                timeout_s = min(_CONNECT_S, self._patience_s)
                self._client = connect(self._scheduler, timeout=timeout_s, set_as_default=False, name="vstore")
            except (OSError, ValueError, distributed.TimeoutError) as error:
                raise self._gone("unreachable", "cannot be reached") from error
        return self._client

    def _ask(self, client: Any) -> Any:
        """Return what the scheduler says of itself.  Raises EngineUnavailableError where it says nothing."""
        try:
            return client.sync(client.scheduler.identity, n_workers=0, callback_timeout=self._patience_s)
        except (OSError, distributed.TimeoutError, RuntimeError) as error:
            raise self._gone("died", "does not answer any more") from error

    def _gone(self, reason: str, what: str) -> EngineUnavailableError:
        message = f"the cluster of {self._scheduler} {what}"
        return EngineUnavailableError(message, scheduler=self._scheduler, reason=reason)


# A function is sent by its name, which only those know who have vstore; one inside another is sent as it is.


def _visitor() -> Callable[..., bytes]:
    """Return what a worker runs for a part."""

    def visit(*part: Any) -> Any:
        return importlib.import_module("vstore.engine.dask_cluster").work(*part)

    return visit


def _cleaner(topic: str) -> Callable[..., Any]:
    """Return what a worker runs when all is done."""

    async def clean(dask_worker: Any) -> None:
        shutil.rmtree(os.path.join(dask_worker.local_directory, topic), ignore_errors=True)

    return clean


def _drop(record: logging.LogRecord) -> bool:
    """Keep from the log, which goes to the terminal, how a lost connection looks inside: we say that it is lost."""
    return False


class _Ear:
    """Hears what attempts at parts tell."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.tally = Tally(reporter)

    def hear(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take what a worker told; called in the thread of the client."""
        _, told = event
        if "note" in told:
            self._reporter.note(told["note"])
        elif "warn" in told:
            self._reporter.warn(told["warn"])
        else:
            self.tally.count(told["number"], told["done"])


def work(version: str, topic: str, number: int, packed: bytes) -> bytes:
    """Do a part; runs on workers.  Returns, packed, the result or what was raised, and how far its progress went."""
    worker: Any = distributed.get_worker()
    if version != __version__:
        message = f"the worker {worker.address} has vstore {__version__}, and this is {version}"
        return pickle.dumps((EngineUnavailableError(message, reason="version", worker=worker.address), 0))
    function, task = pickle.loads(packed)
    desk = _WorkerDesk(worker, topic, number)
    try:
        result = function(task, desk)
    except VstoreError as error:
        result = error
    return pickle.dumps((result, desk.done))


class _StoppedError(Exception):
    """Nobody waits for this part any more."""


class _WorkerDesk(Desk):
    """Tells the client, by the scheduler, how far a part is."""

    def __init__(self, worker: Any, topic: str, number: int) -> None:
        scratch = Path(worker.local_directory, topic)
        scratch.mkdir(parents=True, exist_ok=True)
        super().__init__(scratch)
        self.done = 0
        self._worker = worker
        self._topic = topic
        self._number = number
        self._told_s = 0.0

    def advance(self, amount: int = 1) -> None:
        """Count; a few times a second the client hears of it, and whether it still waits is seen."""
        self.done += amount
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_EVERY_S:
            self._told_s = now_s
            task = self._worker.state.tasks.get(f"{self._topic}-{self._number}")
            if task is None or task.state == "cancelled":
                raise _StoppedError
            self._worker.log_event(self._topic, {"number": self._number, "done": self.done})

    def note(self, message: str) -> None:
        """Let the client say it."""
        self._worker.log_event(self._topic, {"note": message})

    def warn(self, message: str) -> None:
        """Let the client say it."""
        self._worker.log_event(self._topic, {"warn": message})
