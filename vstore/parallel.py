"""Doing many things at once: a bounded pool of threads whose results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int | None = None
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, with up to ``workers`` calls under way.

    ``items`` is drawn lazily: at most ``ahead`` items (default: ``workers``) are drawn and not yet yielded,
    which bounds the memory in flight.  The first error stops everything: calls not begun are dropped, calls
    under way are awaited, and the error is raised.
    """
    limit = max(1, ahead or workers)
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="vstore")
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= limit:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
