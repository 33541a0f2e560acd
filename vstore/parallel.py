"""Doing many things at once: a bounded pool of threads whose results come in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


_own = threading.local()


def pause(seconds: float) -> bool:
    """Sleep; tell whether to go on: not where the map that this call belongs to was stopped meanwhile."""
    stop: threading.Event | None = getattr(_own, "stop", None)
    if stop is None:
        time.sleep(seconds)
        return True
    return not stop.wait(seconds)


def map_ordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    ahead: int | None = None,
    weigh: Callable[[Item], int] = lambda item: 1,
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, with up to ``workers`` calls under way.

    ``items`` is drawn lazily: the next one only while those drawn and not yet yielded weigh less than ``ahead``
    (by default each weighs 1, and ``ahead`` is ``workers``), which bounds the memory in flight.  The first error stops
    everything: calls not begun are dropped, calls under way are awaited (but for their ``pause``), and the error is
    raised.
    """
    limit = max(1, ahead or workers)
    weight = 0
    stop = threading.Event()

    def adopt() -> None:
        _own.stop = stop

    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="vstore", initializer=adopt)
    pending: deque[tuple[int, Future[Result]]] = deque()
    try:
        for item in items:
            pending.append((weigh(item), pool.submit(function, item)))
            weight += pending[-1][0]
            del item  # so that it is not held while the next is made
            while weight >= limit:
                yield pending[0][1].result()
                weight -= pending.popleft()[0]
        while pending:
            yield pending.popleft()[1].result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
