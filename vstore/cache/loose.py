"""Loose objects: large contents as files of exactly their bytes, so that they can be linked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from vstore.cache.link import try_reflink
from vstore.objects.digest import Digest, Hasher

COPY_BYTES = 1024 * 1024
OBJECT_MODE = 0o444
_ZEROS = bytes(COPY_BYTES)
Advance = Callable[[int], object]
"""Hears how many bytes more were dealt with."""


def _ignore(_: int) -> None:
    """Watch nothing."""


def object_path(directory: Path, digest: Digest) -> str:
    """Return where a loose object lies below ``objects``: ``<algorithm>/<2 hex>/<rest>``."""
    # Text, for it is asked a hundred thousand times: a Path costs 15 us.
    algorithm, _, text = digest.partition(":")
    return f"{directory}/{algorithm}/{text[:2]}/{text[2:]}"


def find_digest(directory: Path, target: str) -> str | None:
    """Return the digest text of the loose object that an absolute path names, or None if it names none."""
    with contextlib.suppress(ValueError):
        algorithm, first, rest = Path(target).relative_to(directory).parts
        return f"{algorithm}:{first}{rest}"
    return None


def copy_hashing(source: int, target: int, algorithm: str, advance: Advance = _ignore) -> tuple[Digest, int]:
    """Copy one open file into another, empty one, and return the digest and length of what was copied.

    Where the file system can, the target shares the source's blocks and is hashed itself, so the digest is
    that of the copy even if the source changes meanwhile.  Stretches of zeros become holes.
    Raises OSError.
    """
    hasher = Hasher(algorithm)
    if try_reflink(source, target):
        return _hash_file(target, hasher, advance)
    buffer = bytearray(COPY_BYTES)
    view = memoryview(buffer)
    size = 0
    while count := os.readv(source, [buffer]):
        piece = view[:count]
        hasher.update(piece)
        write_sparsely(target, piece, size)
        size += count
        advance(count)
    os.ftruncate(target, size)
    return hasher.digest(), size


def write_sparsely(target: int, piece: memoryview, offset: int) -> None:
    """Write ``piece`` at ``offset``, unless it is a whole block of zeros, which stays a hole."""
    if len(piece) == COPY_BYTES and piece[:64] == _ZEROS[:64] and piece == _ZEROS:
        return
    written = 0
    while written < len(piece):
        written += os.pwrite(target, piece[written:], offset + written)


def hash_file(descriptor: int, algorithm: str, advance: Advance = _ignore) -> tuple[Digest, int]:
    """Return digest and length of an open file; ``advance`` hears of bytes as they are read.  Raises OSError."""
    return _hash_file(descriptor, Hasher(algorithm), advance)


def _hash_file(descriptor: int, hasher: Hasher, advance: Advance) -> tuple[Digest, int]:
    buffer = bytearray(COPY_BYTES)
    view = memoryview(buffer)
    size = 0
    while count := os.preadv(descriptor, [buffer], size):
        hasher.update(view[:count])
        size += count
        advance(count)
    return hasher.digest(), size


def same_content(a: Path, b: Path) -> bool:
    """Tell whether two files hold the same bytes.  Raises OSError."""
    with open(a, "rb", buffering=0) as first, open(b, "rb", buffering=0) as second:
        if os.fstat(first.fileno()).st_size != os.fstat(second.fileno()).st_size:
            return False
        while True:
            left, right = first.read(COPY_BYTES), second.read(COPY_BYTES)
            if left != right:
                return False
            if not left:
                return True
