"""Dying on the way: a command in a forked process that is gone, at once, before its n-th change to the file system."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

DEAD = 77
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def run_dying(command: Callable[[], int], before: int, *, interrupt: bool = False) -> int:
    """Run a command in a child that dies before its change number ``before``; returns its exit code, or DEAD.

    Changes are counted where Python is about to make them; what another process does for it counts as one.
    ``interrupt``: it does not die, but somebody presses Ctrl-C.
    """
    child = os.fork()
    if child == 0:
        code = 99
        try:
            sys.addaudithook(_Executioner(before, interrupt))
            code = command()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class _Executioner:
    def __init__(self, before: int, interrupt: bool) -> None:
        self._left = before
        self._interrupt = interrupt

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        is_write = event == "open" and isinstance(args[2], int) and bool(args[2] & _WRITING)
        if event in _CHANGES or event == "subprocess.Popen" or event == "sqlite3.connect" or is_write:
            self._left -= 1
            if self._left < 0 and not self._interrupt:
                os._exit(DEAD)
            elif self._left == -1:
                os.kill(os.getpid(), signal.SIGINT)
