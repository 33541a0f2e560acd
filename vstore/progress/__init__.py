"""Telling a watcher what is going on, without knowing who watches."""

from __future__ import annotations


class Reporter:
    """Receives progress and remarks; this one ignores them all.

    One task runs at a time.  Methods may be called from several threads.
    """

    def begin(self, task: str, *, total: int | None = None, unit: str = "files") -> None:
        """A task starts; ``unit`` is "files", "bytes" or "objects"; ``total`` is None where it is not known."""

    def advance(self, amount: int = 1) -> None:
        """``amount`` more units of the task are done."""

    def end(self) -> None:
        """The task is over, done or not."""

    def note(self, message: str) -> None:
        """Something worth knowing happened, in one sentence."""

    def warn(self, message: str) -> None:
        """Something happened that the user may have to act upon, in one sentence."""


SILENT = Reporter()
"""The reporter of callers who do not watch."""
