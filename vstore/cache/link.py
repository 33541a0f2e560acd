"""Link types: how a file of the work tree takes its bytes from a loose object.

reflink shares blocks until one side is written (btrfs, xfs, APFS); hardlink and symlink share the file, so it is
read-only; copy shares nothing and works everywhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vstore.durable import temporary_name
from vstore.errors import InvalidError

REFLINK = "reflink"
HARDLINK = "hardlink"
SYMLINK = "symlink"
COPY = "copy"
LINK_TYPES = (REFLINK, HARDLINK, SYMLINK, COPY)

_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_UNABLE = {
    errno.EXDEV,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EPERM,
    errno.EMLINK,
}


def try_reflink(source: int, target: int) -> bool:
    """Make an empty open file share the blocks of another; False where the file system cannot.  Raises OSError."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _UNABLE:
            return False
        raise
    return True


def probe_link_type(preferences: Sequence[str], cache: Path, work_tree: Path) -> tuple[str, list[str]]:
    """Return the first link type that works from ``cache`` into ``work_tree``, and those that did not.

    Both directories must exist; nothing is left in them.  Raises OSError, InvalidError for an unknown type.
    """
    failed: list[str] = []
    for kind in preferences:
        if kind not in LINK_TYPES:
            raise InvalidError(f"unknown link type {kind!r} (known: {', '.join(LINK_TYPES)})", type=kind)
        if kind == COPY or _works(kind, cache, work_tree):
            return kind, failed
        failed.append(kind)
    return COPY, failed


def _works(kind: str, cache: Path, work_tree: Path) -> bool:
    source, target = cache / temporary_name(), work_tree / temporary_name()
    try:
        source.write_bytes(b"vstore")
        if kind == HARDLINK:
            os.link(source, target)
        elif kind == SYMLINK:
            os.symlink(source, target)
        else:
            with open(source, "rb") as readable, open(target, "xb") as writable:
                return try_reflink(readable.fileno(), writable.fileno())
    except OSError as error:
        if error.errno in _UNABLE:
            return False
        raise
    finally:
        target.unlink(missing_ok=True)
        source.unlink(missing_ok=True)
    return True
