"""Dying on the way: a command in a forked process that is gone, at once, before its n-th change to the file system."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable

DEAD = 77
_GROWING = {"os.mkdir", "os.link", "os.symlink"}
_CHANGES = _GROWING | {"os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
DIE, INTERRUPT, FULL, PAUSE = "die", "interrupt", "full", "pause"


def run_dying(command: Callable[[], int], before: int, how: str = DIE) -> int:
    """Run a command in a child that dies before its change number ``before``; returns its exit code, or DEAD.

    Changes are counted where Python is about to make them; what another process does for it counts as one.
    INTERRUPT: it does not die, but somebody presses Ctrl-C.  FULL: from then on the disk has no room for new files.
    """
    child = os.fork()
    if child == 0:
        code = 99
        try:
            sys.addaudithook(Executioner(before, how))
            code = command()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_pausing(command: Callable[[], int], before: int, meanwhile: Callable[[], object]) -> int | None:
    """Run a command in a child that stops before its change number ``before``, and goes on when ``meanwhile`` is over.

    Returns its exit code; None if it makes fewer changes.
    """
    child = os.fork()
    if child == 0:
        code = 99
        try:
            sys.addaudithook(Executioner(before, PAUSE))
            code = command()
        finally:
            os._exit(code)
    status = os.waitpid(child, os.WUNTRACED)[1]
    has_paused = os.WIFSTOPPED(status)
    if has_paused:
        try:
            meanwhile()
        finally:
            os.kill(child, signal.SIGCONT)
            status = os.waitpid(child, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    return code if has_paused or code else None


class Executioner:
    """An audit hook that counts changes."""

    def __init__(self, before: int, how: str = DIE) -> None:
        self._left = before
        self._how = how

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        is_write = event == "open" and isinstance(args[2], int) and bool(args[2] & _WRITING)
        if event in _CHANGES or event == "subprocess.Popen" or event == "sqlite3.connect" or is_write:
            self._left -= 1
            if self._left >= 0:
                return
            if self._how == DIE:
                os._exit(DEAD)
            elif self._how == FULL and (event in _GROWING or (is_write and not _exists(args[0]))):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            elif self._how == INTERRUPT and self._left == -1:
                os.kill(os.getpid(), signal.SIGINT)
            elif self._how == PAUSE and self._left == -1:
                os.kill(os.getpid(), signal.SIGSTOP)


def _exists(path: object) -> bool:
    return isinstance(path, int) or (isinstance(path, str | bytes | os.PathLike) and os.path.lexists(path))
