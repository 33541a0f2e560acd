"""Not losing bytes: atomic publication of files, flushing, and lock files.

A file is published by writing it under a temporary name on the same file system, flushing it to disk,
renaming it and flushing its directory.  After a crash or a power cut a published name holds either
its old content or its new content, whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from vstore.errors import LockedError, NoSpaceError, PermissionDeniedError, UnavailableError, VstoreError

TEMPORARY_PREFIX = ".vstore-tmp-"
"""Every temporary name of ours starts so; what a crash left behind is recognised by it."""

_TEMPORARY = re.compile(re.escape(TEMPORARY_PREFIX) + "[0-9a-f]{16}")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_LOCK_POLL_S = 0.05
_WORTH_SYNCFS = 8
_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2


def temporary_name() -> str:
    """Return a fresh name that no other process uses."""
    return TEMPORARY_PREFIX + secrets.token_hex(8)


def is_temporary(name: str) -> bool:
    """Tell whether a file name is one that ``temporary_name`` makes."""
    return _TEMPORARY.fullmatch(name) is not None if name.startswith(TEMPORARY_PREFIX) else False


def from_os_error(error: OSError, path: Path | str, doing: str) -> VstoreError:
    """Turn an operating system error into ours; ``doing`` completes "could not ... PATH"."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    message = f"could not {doing} {os.fspath(path)}: {reason}"
    if error.errno in _NO_SPACE:
        return NoSpaceError(message, path=os.fspath(path))
    if error.errno in _DENIED:
        return PermissionDeniedError(message, path=os.fspath(path))
    return UnavailableError(message, path=os.fspath(path))


@contextlib.contextmanager
def os_errors(path: Path | str, doing: str) -> Iterator[None]:
    """Turn an OSError that escapes the block into one of ours."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, path, doing) from error


def flush_directory(path: Path | str) -> None:
    """Flush a directory, so that the names in it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse to flush a directory; they have no better promise to give.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def flush_files(descriptors: Sequence[int]) -> None:
    """Flush open files of one file system to disk.  Raises OSError.

    Many are flushed by one call for the whole file system where its errors are reported (Linux 5.8): 10 us a file
    where a flush of each costs 250.
    """
    if len(descriptors) >= _WORTH_SYNCFS and _can_syncfs() and ctypes.CDLL(None).syncfs(descriptors[0]) == 0:
        return
    for descriptor in descriptors:
        os.fsync(descriptor)


def _can_syncfs() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return release is not None and (int(release[1]), int(release[2])) >= (5, 8)


@contextlib.contextmanager
def open_atomic(path: Path, *, mode: int = 0o644, replace: bool = True) -> Iterator[BinaryIO]:
    """Open a file that appears at ``path``, durably and whole, when the block ends without an error.

    With ``replace=False`` an existing file is kept and FileExistsError raised.  After an error nothing
    is left; after a crash, at most a temporary file in the same directory.
    """
    temporary = path.parent / temporary_name()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
            os.unlink(temporary)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    flush_directory(path.parent)


def exchange(one: Path, other: Path) -> bool:
    """Exchange what two names stand for, at once; returns False where the system cannot.  Raises OSError."""
    names = os.fsencode(one), os.fsencode(other)
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(*names, _RENAME_SWAP)
    elif hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    else:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False  # an old kernel, or a file system that only renames
    raise OSError(code, os.strerror(code), os.fspath(one))


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` at ``path``, durably and all or nothing.  Raises OSError."""
    with open_atomic(path, mode=mode) as file:
        file.write(data)


def open_alone(path: Path) -> BinaryIO | None:
    """Open a file, making it, as the only one who has it open so; None if another has.  Raises OSError."""
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0)  # noqa: SIM115 - handed out
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have published or removed it meanwhile.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        except OSError:
            file.close()
            return None
        file.close()


class FileLock:
    """An advisory lock on a file: many may share it, or one may hold it alone.

    The operating system frees it when the process dies, however it dies.  One object is one holder and
    is not for several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, *, shared: bool = False, wait_s: float = 0.0, on_wait: Callable[[], None] | None = None) -> bool:
        """Take the lock, waiting up to ``wait_s`` seconds; ``on_wait`` is called once if there is a wait.

        Returns False where the file system has no locks (the lock is then not held), True otherwise.
        Raises LockedError when the wait is over.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except PermissionError:  # another user's, as in a cache that several share
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        deadline = time.monotonic() + wait_s
        announced = False
        while True:
            try:
                fcntl.flock(descriptor, operation)
            except OSError as error:
                if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                    os.close(descriptor)
                    return False
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                    os.close(descriptor)
                    raise
            else:
                self._descriptor = descriptor
                return True
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise LockedError(f"another vstore command holds the lock {self.path}", path=str(self.path))
            if on_wait is not None and not announced:
                announced = True
                on_wait()
            time.sleep(_LOCK_POLL_S)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def file_system_time_ns(directory: Path) -> tuple[int, int]:
    """Return the time as the file system of ``directory`` sees it, and how coarse its times are, in ns.

    The clock of a network file system need not be ours.  Raises OSError.
    """
    path = directory / temporary_name()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        os.utime(directory)  # needs no room
        now_ns = os.stat(directory).st_mtime_ns
    else:
        try:
            now_ns = os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)
            os.unlink(path)
    # FAT counts in two seconds, HFS+ in one; the others count the kernel's ticks, at most 10 ms.
    return now_ns, (10_000_000 if now_ns % 1_000_000_000 else 2_000_000_000)
