"""Parts of jobs for the tests of engines: functions that workers can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from vstore.engine.engine import Desk
from vstore.errors import PathNotFoundError


def double(number: int, desk: Desk) -> int:
    """Return twice a number, and advance by it."""
    desk.advance(number)
    return 2 * number


def double_or_die(task: tuple[int, str], desk: Desk) -> int:
    """Do the same, but die at the first attempts: as often as there are lines in a file, and one is added."""
    number, path = task
    with open(path, "a+") as file:
        file.seek(0)
        attempts = len(file.readlines())
        file.write("attempt\n")
    desk.advance(number)
    if number == 3 and attempts < int(Path(path + ".deaths").read_text()):
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def fail(number: int, desk: Desk) -> int:
    """Raise an error of ours where the number is 1; say something."""
    desk.note(f"note {number}")
    desk.warn(f"warning {number}")
    if number == 1:
        raise PathNotFoundError("there is no 1", path="1")
    return number


def tell_process(number: int, desk: Desk) -> tuple[int, bool]:
    """Return which process this is, and whether there is a place for hints."""
    return os.getpid(), desk.scratch.is_dir()
