"""What an engine is, and what a part of a job has where it is worked on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from vstore.progress import Reporter

Task = TypeVar("Task")
Result = TypeVar("Result")


class Desk(Reporter):
    """Where a worker does its part: who watches at the client hears of its progress and its remarks.

    ``scratch`` is a directory of this worker and this job, for hints.  That tasks begin and end is not told.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch


class Engine(Protocol):
    """Other processes that take over parts of a job; a part whose worker dies is begun anew by another."""

    def count_places(self) -> int:
        """Return how many parts can be worked on at once.  Raises EngineUnavailableError where that is none."""

    def run(
        self, function: Callable[[Task, Desk], Result], tasks: Sequence[Task], reporter: Reporter
    ) -> Generator[Result | None, None, None]:
        """Yield ``function(task, desk)`` for each task, in no certain order, and now and then None while all is well.

        ``function`` is one of a module of vstore, tasks and results are plain data.  A task may be begun several times,
        also while an earlier attempt still runs: what it writes must have names of its own.  The first error stops
        everything, and so does closing the iterator.  Raises EngineUnavailableError, and what ``function`` raises.
        """

    def close(self) -> None:
        """Leave the workers to others."""
