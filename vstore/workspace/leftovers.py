"""Removing what commands that died left in a work tree: files and directories under temporary names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from vstore.durable import is_temporary
from vstore.objects.names import RelPath
from vstore.workspace.cursor import Cursor


def remove_leftovers(work_tree: Path, directory: RelPath, known: Iterable[RelPath] = ()) -> None:
    """Remove the temporaries in a directory, and those ``known`` ones that a scan came across.

    For callers that hold the work tree's lock: then nobody is going to give them their names any more.  Best effort.
    """
    with Cursor(work_tree) as cursor:
        found = list(known)
        with contextlib.suppress(OSError):
            cursor.open_existing(directory)
            names = filter(is_temporary, os.listdir(cursor.descriptor))
            found += [f"{directory}/{name}".lstrip("/") for name in names]
        for path in found:
            parent, _, name = path.rpartition("/")
            if is_temporary(name):
                with contextlib.suppress(OSError):
                    cursor.open_existing(parent)
                    _remove(name, cursor)


def _remove(name: str, cursor: Cursor) -> None:
    try:
        os.unlink(name, dir_fd=cursor.descriptor)
    except (IsADirectoryError, PermissionError):  # macOS refuses with EPERM
        above = cursor.descriptor
        cursor.enter_child(name)
        for below in os.listdir(cursor.descriptor):
            _remove(below, cursor)
        cursor.leave_child()
        os.rmdir(name, dir_fd=above)
