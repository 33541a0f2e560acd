"""Digests: what names a content, and how it is computed.

A digest is its text: ``xxh128:<32 hex>`` (XXH3-128, canonical big-endian) or ``blake3:<64 hex>``.
The algorithm is part of every digest and is always taken from it.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NewType, Protocol

import xxhash

from vstore.errors import InvalidError

Digest = NewType("Digest", str)
"""A content's name, as text; equal texts mean equal contents (see docs/formats/digest.md for how sure that is)."""

Buffer = bytes | bytearray | memoryview


class Algorithm(NamedTuple):
    """A hash algorithm: its name in digests, its number in binary formats, its raw length in bytes."""

    name: str
    code: int
    size_bytes: int
    proves_identity: bool
    """Whether nobody can construct two contents of one digest."""


XXH128 = Algorithm("xxh128", 1, 16, proves_identity=False)
BLAKE3 = Algorithm("blake3", 2, 32, proves_identity=True)
ALGORITHMS = {algorithm.name: algorithm for algorithm in (XXH128, BLAKE3)}
ALGORITHMS_BY_CODE = {algorithm.code: algorithm for algorithm in ALGORITHMS.values()}

DIGEST_PATTERN = r"(?:xxh128:[0-9a-f]{32}|blake3:[0-9a-f]{64})"
_DIGEST = re.compile(DIGEST_PATTERN)


class _HashState(Protocol):
    def update(self, data: Buffer, /) -> object: ...
    def hexdigest(self) -> str: ...


class Hasher:
    """Computes a digest piece by piece."""

    def __init__(self, algorithm: str) -> None:
        self._prefix = get_algorithm(algorithm).name + ":"
        self._state: _HashState = xxhash.xxh3_128() if algorithm == "xxh128" else _new_blake3()
        self.update = self._state.update

    def digest(self) -> Digest:
        """Return the digest of everything given so far."""
        return Digest(self._prefix + self._state.hexdigest())


def _new_blake3() -> _HashState:
    from blake3 import blake3  # only repositories that chose it pay for loading it

    state: _HashState = blake3()
    return state


def get_algorithm(name: str) -> Algorithm:
    """Return the algorithm of that name.  Raises InvalidError."""
    try:
        return ALGORITHMS[name]
    except KeyError:
        known = ", ".join(ALGORITHMS)
        raise InvalidError(f"unknown hash algorithm {name!r} (known: {known})", algorithm=name) from None


def hash_bytes(data: Buffer, algorithm: str) -> Digest:
    """Return the digest of ``data``."""
    if algorithm == "xxh128":
        return Digest("xxh128:" + xxhash.xxh3_128_hexdigest(data))
    hasher = Hasher(algorithm)
    hasher.update(data)
    return hasher.digest()


def has_digest(data: Buffer, digest: Digest) -> bool:
    """Tell whether ``data`` is what a digest names."""
    if digest.startswith("xxh128:"):  # for every small file that is read: without making a text of its own
        return xxhash.xxh3_128_hexdigest(data) == digest[7:]
    return hash_bytes(data, algorithm_of(digest).name) == digest


def parse_digest(text: object) -> Digest:
    """Return ``text`` as a digest.  Raises InvalidError if it is not one."""
    if not isinstance(text, str) or _DIGEST.fullmatch(text) is None:
        raise InvalidError(f"not a digest: {text!r}", digest=text)
    return Digest(text)


def algorithm_of(digest: Digest) -> Algorithm:
    """Return the algorithm that made a digest."""
    return ALGORITHMS[digest[:6]]  # both names have six letters


def to_raw(digest: Digest) -> bytes:
    """Return the raw bytes of a digest, without its algorithm."""
    return bytes.fromhex(digest[7:])


def from_raw(raw: bytes, algorithm: Algorithm) -> Digest:
    """Return the digest of an algorithm with those raw bytes."""
    return Digest(f"{algorithm.name}:{raw.hex()}")


def split_raw(column: Buffer, algorithm: Algorithm) -> list[Digest]:
    """Return the digests whose raw bytes stand side by side in ``column``; 0.15 us each."""
    prefix, text, width = algorithm.name + ":", bytes(column).hex(), 2 * algorithm.size_bytes
    return [Digest(prefix + text[i : i + width]) for i in range(0, len(text), width)]
