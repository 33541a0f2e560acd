"""Recipes: one encoding, any number of levels, and no more memory than a hostile one deserves."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.strategies import Damage, damages, recipes
from vstore.errors import CorruptError, NewerFormatError, VstoreError
from vstore.objects.chunking import MAX_CHUNK_BYTES, SMALL_BYTES
from vstore.objects.digest import ALGORITHMS, Digest, hash_bytes
from vstore.objects.recipe import (
    Chunk,
    Recipe,
    build_recipe,
    recipe_from_bytes,
    recipe_to_bytes,
    resolve_recipe,
)


def _chunks(count: int, algorithm: str = "xxh128") -> list[Chunk]:
    return [Chunk(hash_bytes(b"%d" % i, algorithm), 1 + i % MAX_CHUNK_BYTES) for i in range(count)]


_GOOD = recipe_to_bytes(Recipe(0, _chunks(3)))


@given(recipes())
def test_round_trip(recipe: Recipe) -> None:
    """What is written is read, from any kind of buffer."""
    assert recipe_from_bytes(recipe_to_bytes(recipe)) == recipe
    assert recipe_from_bytes(memoryview(bytearray(recipe_to_bytes(recipe)))) == recipe


@given(recipes(), damages)
def test_what_is_read_is_canonical(recipe: Recipe, damage: Damage) -> None:
    """Spoilt bytes are refused by an error of ours, or are the one encoding of what they say."""
    data = damage.of(recipe_to_bytes(recipe))
    try:
        found = recipe_from_bytes(data)
    except VstoreError:
        return
    assert recipe_to_bytes(found) == data


@given(st.binary())
def test_noise(data: bytes) -> None:
    """Noise never raises anything but our errors."""
    for noise in (data, _GOOD[:8] + data, _GOOD[:10] + data):
        try:
            recipe_from_bytes(noise)
        except VstoreError:
            pass


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("count", "level"), [(1, 0), (7_000, 0), (14_000, 1), (100_000, 1)])
def test_levels(count: int, level: int, algorithm: str) -> None:
    """A recipe never passes the length of a small record: levels carry the rest, and resolve to the same chunks."""
    chunks = _chunks(count, algorithm)
    blobs: dict[Digest, bytes] = {}
    data = build_recipe(chunks, blobs.__setitem__)
    assert len(data) <= SMALL_BYTES
    assert recipe_from_bytes(data).level == level
    assert all(hash_bytes(blob, algorithm) == digest for digest, blob in blobs.items())
    assert resolve_recipe(data, blobs.__getitem__) == chunks


def test_many_levels() -> None:
    """Recipes of recipes of recipes resolve too: only terabytes would need them, so the pieces are tiny here."""
    blobs: dict[Digest, bytes] = {}

    chunks = _chunks(2_000)
    lower = recipe_to_bytes(Recipe(0, chunks))
    for level in (1, 2):
        pieces = []
        for start in range(0, len(lower), 60):
            piece = lower[start : start + 60]
            digest = hash_bytes(piece, "xxh128")
            blobs[digest] = piece
            pieces.append(Chunk(digest, len(piece)))
        lower = recipe_to_bytes(Recipe(level, pieces))
    assert resolve_recipe(lower, blobs.__getitem__) == chunks


@pytest.mark.parametrize(
    "data",
    [
        b"",
        _GOOD[:23],
        _GOOD[:-1],
        _GOOD + b"\0",
        b"X" + _GOOD[1:],
        recipe_to_bytes(Recipe(5, _chunks(1))),
        _GOOD[:11] + b"\x03" + _GOOD[12:],  # no such algorithm
        _GOOD[:12] + b"\xff\xff\xff\xff" + _GOOD[16:],  # would need 80 GiB
        _GOOD[:16] + b"\xff" * 8 + _GOOD[24:],  # describes more than its chunks
        _GOOD[:12] + bytes(12),  # no chunks at all
        _GOOD[:-4] + bytes(4),  # an empty chunk
        recipe_to_bytes(Recipe(0, [Chunk(_chunks(1)[0].digest, MAX_CHUNK_BYTES + 1)])),
    ],
)
def test_malformed(data: bytes) -> None:
    """What is not the encoding of a recipe is refused."""
    with pytest.raises(CorruptError) as caught:
        recipe_from_bytes(data)
    assert not isinstance(caught.value, NewerFormatError)


def test_newer_version() -> None:
    """A recipe of a version to come is refused as such, with its number."""
    with pytest.raises(NewerFormatError) as caught:
        recipe_from_bytes(_GOOD[:8] + b"\x02\0" + _GOOD[10:])
    assert caught.value.fields["version"] == 2


def test_levels_that_do_not_fit() -> None:
    """A recipe whose lower level is of another level, or of another length than it says, is refused."""
    for lower, length in ((_GOOD, len(_GOOD) - 1), (recipe_to_bytes(Recipe(1, _chunks(1))), 44), (b"junk", 4)):
        data = recipe_to_bytes(Recipe(1, [Chunk(hash_bytes(lower, "xxh128"), length)]))
        with pytest.raises(CorruptError):
            resolve_recipe(data, {hash_bytes(lower, "xxh128"): lower}.__getitem__)


def test_small_recipe_that_asks_for_much() -> None:
    """A recipe that names one chunk ten thousand times as its lower level is refused before anything is read."""
    data = recipe_to_bytes(Recipe(1, [Chunk(_chunks(1)[0].digest, MAX_CHUNK_BYTES)] * 10_000))

    def read(digest: Digest) -> bytes:
        raise AssertionError(digest)

    with pytest.raises(CorruptError):
        resolve_recipe(data, read)


def test_a_changed_chunk_changes_little_of_a_big_recipe() -> None:
    """Lower levels are cut by content too: after one changed chunk most of their pieces are found again."""
    chance = random.Random(3)
    chunks = [Chunk(hash_bytes(chance.randbytes(8), "xxh128"), chance.randint(2**16, 2**20)) for _ in range(200_000)]
    before: dict[Digest, bytes] = {}
    build_recipe(chunks, before.__setitem__)
    chunks[100_000] = Chunk(hash_bytes(b"other", "xxh128"), chunks[100_000].size_bytes)
    after: dict[Digest, bytes] = {}
    build_recipe(chunks, after.__setitem__)
    assert len(after.keys() - before.keys()) <= 2
    assert len(after) >= 8
