"""The store's clock, which leaps: holds of days and weeks pass in seconds.

An S3 server of ours is told another time.  The files of a directory grow old at one stroke instead, so there no leap
may come while a collector compares dates: it would take the present from before and the ages from after.
What must not take longer than the protocol allows (to publish in git what was pushed, to read what is still named, to
collect what git does not know any more) opens a span, and no leap makes that longer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HOUR_S = 3600
DAY_S = 24 * HOUR_S
SPAN_S = 13 * DAY_S
"""How long a span may be: shorter than the 14 days of the trash, and the 20 for which a push without news holds."""


class Clock:
    """How far the store's clock leapt in all, shared by processes through a folder."""

    def __init__(self, folder: Path) -> None:
        self._total = folder / "total"
        self._lock = folder / "lock"
        self._spans = folder / "spans"

    def make(self) -> Clock:
        """Begin with a clock that goes right."""
        self._spans.mkdir(parents=True)
        self._total.write_text("0")
        self._lock.touch()
        return self

    def total_s(self) -> int:
        """Return how far it leapt."""
        return int(self._total.read_text())

    @contextlib.contextmanager
    def span(self, name: str, most_s: int = SPAN_S) -> Iterator[None]:
        """Let the clock leap at most so far in the block; where a process dies in it, until ``close``."""
        path = self._spans / name
        with self._locked():
            if not path.exists():  # else it was opened by one that died, and what it began is yet to be ended
                temporary = self._total.with_suffix(f".{name}")
                temporary.write_text(f"{self.total_s()} {most_s}")
                os.replace(temporary, path)  # nobody dies half-way
        yield
        self.close(name)

    def close(self, name: str) -> None:
        """End a span: of one that died, and that is not taken up again."""
        (self._spans / name).unlink(missing_ok=True)

    def leap(self, by_s: int, leap: Callable[[int], object], *, patience_s: float = 3.0) -> bool:
        """Leap, unless some span becomes too long by it; tell whether it was done.  Nobody opens one meanwhile."""
        with self._locked():
            end_s = time.monotonic() + patience_s
            while not self._may_leap(by_s):
                if time.monotonic() > end_s:
                    return False
                time.sleep(0.01)
            leap(by_s)
            temporary = self._total.with_suffix(".new")
            temporary.write_text(str(self.total_s() + by_s))
            os.replace(temporary, self._total)
        return True

    def _may_leap(self, by_s: int) -> bool:
        then_s = self.total_s() + by_s
        for path in self._spans.iterdir():
            with contextlib.suppress(FileNotFoundError):
                began_s, most_s = map(int, path.read_text().split())
                if then_s > began_s + most_s:
                    return False
        return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def age_directory(root: Path, by_s: int) -> None:
    """Make every object of a directory older."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - by_s * 1_000_000_000))
