"""The versions that a file system has open."""

from __future__ import annotations

import functools
import os
import threading
from collections import OrderedDict
from pathlib import Path

from vstore.ops.reading.library import Library, open_library

_MOST_OPEN = 16
_Key = tuple[str | None, str | None, str | None]


class _Version:
    """One that is open, or being opened by whoever holds its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.library: Library | None = None


class Libraries:
    """Opens versions when they are first asked for, and keeps the youngest open.  Thread-safe.

    A process that was forked opens its own: neither connections nor locks survive a fork.
    """

    def __init__(self, remote: str | None) -> None:
        self._remote = remote
        self._start_anew()

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._versions: OrderedDict[_Key, _Version] = OrderedDict()
        self._process = os.getpid()

    def get(self, location: str | None, rev: str | None, start: str) -> Library:
        """Return a version of a repository; None is the one at or above ``start``, where relative locations begin."""
        if self._process != os.getpid():
            self._left_behind = self._versions  # not even closed: that would speak to connections of another process
            self._start_anew()
        key = (location, start, rev)
        with self._lock:
            version = self._versions.setdefault(key, _Version())
            self._versions.move_to_end(key)
            if len(self._versions) > _MOST_OPEN:
                self._versions.popitem(last=False)  # closed as soon as no file of it is open
        with version.lock:  # who wants another version does not wait for this one, which may be cloned first
            if version.library is None:
                version.library = open_library(location, rev, remote=self._remote, start=Path(start))
            return version.library

    def forget(self) -> None:
        """Look at everything anew from now on: a branch may have moved."""
        with self._lock:
            self._versions.clear()


@functools.cache
def get_libraries(remote: str | None) -> Libraries:
    """Return the one with which all file systems of this process read: fsspec makes a file system for each thread."""
    return Libraries(remote)
