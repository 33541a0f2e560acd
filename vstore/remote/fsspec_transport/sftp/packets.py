"""The packets of SFTP, version 3 with OpenSSH's extensions: what goes into them and what comes out.

Numbers are big-endian, a string is its length and its bytes.  Whatever a server sends that is no packet of its kind
raises ValueError or struct.error.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

VERSION = 3

# Requests.
INIT, OPEN, CLOSE, READ, WRITE, FSTAT, OPENDIR, READDIR = 1, 3, 4, 5, 6, 8, 11, 12
REMOVE, MKDIR, STAT, RENAME, EXTENDED = 13, 14, 17, 18, 200
# Answers.
VERSION_IS, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY = 2, 101, 102, 103, 104, 105, 201

# Extensions.
FSYNC, LIMITS = b"fsync@openssh.com", b"limits@openssh.com"
POSIX_RENAME, STATVFS = b"posix-rename@openssh.com", b"statvfs@openssh.com"

TO_READ = struct.pack(">II", 0x01, 0)
TO_CREATE = struct.pack(">II", 0x02 | 0x08 | 0x20, 0)
"""How a file is opened, with no attributes of its own: to write one that must not be there yet."""
NO_ATTRIBUTES = struct.pack(">I", 0)

_OK, _EOF, _ABSENT, _DENIED = 0, 1, 2, 3
# OpenSSH says 4, "failure", for everything that has no code of its own: a full disk, a name that is taken.
_ERRNOS = {5: errno.EINVAL, 6: errno.ENOTCONN, 7: errno.ECONNRESET, 8: errno.ENOTSUP}


class _RefusedError(OSError):
    """The server answered, and the answer is no; ``errno`` is EIO where it gave no reason."""


class _AbsentError(_RefusedError, FileNotFoundError):
    """There is no such file or folder."""


class _DeniedError(_RefusedError, PermissionError):
    """We may not."""


class Attributes(NamedTuple):
    """What is told of a file: ``mode`` as in a stat, 0 where not told; infinity where no date is."""

    size_bytes: int
    mode: int
    modified_s: float


def uint32(number: int) -> bytes:
    """Return a number of four bytes."""
    return struct.pack(">I", number)


def uint64(number: int) -> bytes:
    """Return a number of eight bytes."""
    return struct.pack(">Q", number)


def string(data: bytes | memoryview) -> bytes:
    """Return bytes with their length before them."""
    return b"".join((struct.pack(">I", len(data)), data))


def path_string(path: str) -> bytes:
    """Return a path as a string."""
    return string(os.fsencode(path))


def check_status(body: bytes) -> None:
    """Pass over the answer that all is well.  Raises EOFError, _RefusedError."""
    (code,) = struct.unpack_from(">I", body)
    if code == _EOF:
        raise EOFError
    if code == _ABSENT:
        raise _AbsentError(errno.ENOENT, os.strerror(errno.ENOENT))
    if code == _DENIED:
        raise _DeniedError(errno.EACCES, os.strerror(errno.EACCES))
    if code != _OK:
        number = _ERRNOS.get(code, errno.EIO)
        raise _RefusedError(number, os.strerror(number))


def read_string(body: bytes, start: int = 0) -> tuple[bytes, int]:
    """Return the string at ``start``, and where it ends."""
    (length,) = struct.unpack_from(">I", body, start)
    end = start + 4 + length
    if end > len(body):
        raise ValueError("a string goes on behind the end of its packet")
    return body[start + 4 : end], end


def read_attributes(body: bytes, start: int = 0) -> tuple[Attributes, int]:
    """Return the attributes at ``start``, and where they end."""
    (flags,) = struct.unpack_from(">I", body, start)
    start += 4
    size_bytes, mode, modified_s = 0, 0, float("inf")
    if flags & 0x1:
        (size_bytes,) = struct.unpack_from(">Q", body, start)
        start += 8
    if flags & 0x2:
        start += 8  # user and group
    if flags & 0x4:
        (mode,) = struct.unpack_from(">I", body, start)
        start += 4
    if flags & 0x8:
        modified_s = float(struct.unpack_from(">II", body, start)[1])
        start += 8
    if flags & 0x80000000:
        (count,) = struct.unpack_from(">I", body, start)
        start += 4
        for _ in range(2 * count):
            _, start = read_string(body, start)
    return Attributes(size_bytes, mode, modified_s), start


def iter_names(body: bytes) -> Iterator[tuple[str, Attributes]]:
    """Yield the names of a folder with what is told of each."""
    (count,) = struct.unpack_from(">I", body)
    start = 4
    for _ in range(count):
        name, start = read_string(body, start)
        _, start = read_string(body, start)  # a line for a person to read
        attributes, start = read_attributes(body, start)
        yield os.fsdecode(name), attributes


def read_extensions(body: bytes) -> set[bytes]:
    """Return the extensions that a server names with its version."""
    names = set()
    start = 4
    while start < len(body):
        name, start = read_string(body, start)
        _, start = read_string(body, start)
        names.add(name)
    return names


def read_limits(body: bytes) -> tuple[int, int]:
    """Return how many bytes one READ and one WRITE may have; 0 where the server does not say."""
    _, read_bytes, write_bytes, _ = struct.unpack_from(">4Q", body)
    return read_bytes, write_bytes


def read_free_bytes(body: bytes) -> int:
    """Return how much room a file system has for us."""
    fields = struct.unpack_from(">11Q", body)
    return int(fields[1] * fields[4])
