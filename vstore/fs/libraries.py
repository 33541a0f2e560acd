"""The versions that a file system has open."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from vstore.ops.reading.library import Library, open_library

_MOST_OPEN = 16
_Key = tuple[str | None, str | None, str | None]


class Libraries:
    """Opens versions when they are first asked for, and keeps the youngest open.  Thread-safe.

    A process that was forked opens its own: neither connections nor locks survive a fork.
    """

    def __init__(self, remote: str | None) -> None:
        self._remote = remote
        self._start_anew()

    def _start_anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._open: OrderedDict[_Key, Library] = OrderedDict()

    def get(self, location: str | None, rev: str | None, start: str) -> Library:
        """Return a version of a repository; None is the one at or above ``start``, where relative locations begin."""
        if self._process != os.getpid():
            self._left_behind = self._open  # not even closed: that would speak to connections of another process
            self._start_anew()
        key = (location, start, rev)
        with self._lock:
            library = self._open.get(key)
            if library is None:
                library = self._open[key] = open_library(location, rev, remote=self._remote, start=Path(start))
                if len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)  # closed as soon as no file of it is open
            self._open.move_to_end(key)
            return library

    def forget(self) -> None:
        """Look at everything anew from now on: a branch may have moved."""
        self._start_anew()
