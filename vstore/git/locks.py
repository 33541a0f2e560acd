"""Git's own locks: files beside what a git command is changing.  One that died leaves its lock behind."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from vstore.errors import GitFailedError, LockedError
from vstore.git.program import run_git
from vstore.progress.words import duration

OnWait = Callable[[str], object]
"""Hears, in one sentence, what is waited for."""

_IS_LOCKED = re.compile(r"\.lock': File exists|could not lock config file .*: File exists")
_POLL_S = 0.05
_WORTH_TELLING_S = 1.0


def change_with_git(
    directory: Path, arguments: list[str], lock: Path, wait_s: float, on_wait: OnWait, *, stdin: bytes = b""
) -> None:
    """Run a git that changes what ``lock`` guards, once no other git does.

    Waits up to ``wait_s`` seconds; ``on_wait`` hears of it once the lock is a second old.  Then raises LockedError,
    with the lock's path and age; otherwise as ``run_git``.
    """
    start, announced = time.monotonic(), False
    while True:
        try:
            run_git(directory, *arguments, stdin=stdin)
            return
        except GitFailedError as error:
            if not _IS_LOCKED.search(error.message):
                raise
            waited_s = time.monotonic() - start
            age_s = max(waited_s, _find_age(lock))
            if waited_s >= wait_s:
                fact = f"another git command has held the lock {lock} for {duration(age_s)}"
                raise LockedError(fact, path=str(lock), age_s=round(age_s)) from error
        if age_s >= _WORTH_TELLING_S and not announced:
            announced = True
            on_wait(f"waiting for another git command, which has held {lock} for {duration(age_s)}")
        time.sleep(_POLL_S)


def _find_age(lock: Path) -> float:
    """Return for how many seconds a lock has been there, by the clock of this machine."""
    try:
        return time.time() - lock.stat().st_mtime
    except OSError:
        return 0.0  # it is gone by now
