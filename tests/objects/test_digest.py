"""Digests: what they look like, and that they are the published algorithms'."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.strategies import algorithms, digests
from vstore.errors import InvalidError
from vstore.objects.digest import (
    ALGORITHMS,
    BLAKE3,
    XXH128,
    Digest,
    Hasher,
    algorithm_of,
    from_raw,
    hash_bytes,
    parse_digest,
    split_raw,
    to_raw,
)

_HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        # The first from xxHash's own test vectors, the other two from BLAKE3's.
        (b"", "xxh128:99aa06d3014798d86001c324468d497f"),
        (b"", "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (b"\0", "blake3:2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
    ],
)
def test_published_vectors(data: bytes, digest: str) -> None:
    """The digests are those that the authors of the algorithms publish."""
    assert hash_bytes(data, digest[:6]) == digest


@given(st.lists(st.binary(max_size=100)), algorithms)
def test_pieces_hash_like_the_whole(pieces: list[bytes], algorithm: str) -> None:
    """A content has one digest however it is cut, and whatever kind of buffer holds it."""
    hasher = Hasher(algorithm)
    for piece in pieces:
        hasher.update(memoryview(bytearray(piece)))
    assert hasher.digest() == hash_bytes(b"".join(pieces), algorithm)


@given(digests)
def test_raw_round_trip(digest: Digest) -> None:
    """Raw bytes and algorithm give the digest back, also from a column of many."""
    algorithm = algorithm_of(digest)
    assert len(to_raw(digest)) == algorithm.size_bytes
    assert from_raw(to_raw(digest), algorithm) == parse_digest(digest) == digest
    assert split_raw(memoryview(to_raw(digest) * 3), algorithm) == [digest] * 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xxh128",
        f"xxh128:{_HEX[:-1]}",
        f"xxh128:{_HEX}0",
        f"xxh128:{_HEX}\n",
        f"xxh128:{_HEX.upper()}",
        f"blake3:{_HEX}",
        f"md5:{_HEX}",
        f" xxh128:{_HEX}",
        f"xxh128:{'٣' * 32}",
        None,
        5,
        b"xxh128:" + _HEX.encode(),
    ],
)
def test_what_is_no_digest(text: object) -> None:
    """Whatever is not exactly a digest is refused."""
    with pytest.raises(InvalidError):
        parse_digest(text)


def test_unknown_algorithm() -> None:
    """An algorithm that vstore does not know is named, with those that it does."""
    with pytest.raises(InvalidError, match=r"'md5'.*xxh128, blake3"):
        hash_bytes(b"", "md5")


def test_names_are_of_one_length() -> None:
    """All algorithms have names of six letters: the code cuts digests there."""
    assert {len(name) for name in ALGORITHMS} == {6}
    assert BLAKE3.proves_identity
    assert not XXH128.proves_identity
