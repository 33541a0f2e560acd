"""Chunking: two implementations with the same cuts, over whole contents and over streams."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore.objects.chunking import (
    MAX_CHUNK_BYTES,
    MIN_CHUNK_BYTES,
    SMALL_BYTES,
    cut,
    cut_slowly,
    iter_chunks,
)
from vstore.objects.gear import GEAR

_MIB = 1024 * 1024
_SIZES = [
    *(0, 1, 2),
    *(size + near for size in (MIN_CHUNK_BYTES, SMALL_BYTES, MAX_CHUNK_BYTES) for near in (-1, 0, 1, 2)),
    *(2 * _MIB + 1, 3 * _MIB - 1),
]


def _random(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def _window(size_bytes: int) -> bytes:
    return b"".join(_random(_MIB, seed) for seed in range(-(-size_bytes // _MIB)))[:size_bytes]


@pytest.fixture(autouse=True)
def _compiled_cutter_is_here() -> None:
    assert cut is not cut_slowly, "pyfastcdc is not installed: the tests would compare a function with itself"


@pytest.mark.parametrize("size_bytes", _SIZES)
@pytest.mark.parametrize("kind", ["random", "constant", "periodic"])
def test_twins_cut_alike(kind: str, size_bytes: int) -> None:
    """The pure-Python cutter and the compiled one agree on every kind and length of content."""
    data = {
        "random": _random(size_bytes),
        "constant": bytes(size_bytes),
        "periodic": (bytes(range(251)) * (size_bytes // 251 + 1))[:size_bytes],
    }[kind]
    lengths = cut_slowly(memoryview(data))
    assert cut(memoryview(data)) == lengths
    assert sum(lengths) == size_bytes
    assert all(MIN_CHUNK_BYTES <= length <= MAX_CHUNK_BYTES for length in lengths[:-1])


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(0, 700_000), st.integers(1, 5000))
def test_twins_cut_alike_anywhere(seed: int, size_bytes: int, period: int) -> None:
    """The twins agree on contents that are random for a while and then repeat."""
    head = _random(size_bytes // 2, seed)
    tail = (_random(period, seed) * (size_bytes // period + 1))[: size_bytes - len(head)]
    assert cut(memoryview(head + tail)) == cut_slowly(memoryview(head + tail))


def test_frozen_cuts() -> None:
    """The cuts of a known content are those of every release: other cuts would find nothing again."""
    data = memoryview(_random(2 * _MIB, 7))
    assert cut(data) == [264465, 320718, 125415, 137620, 285505, 407445, 280569, 275415]


def test_cuts_move_with_the_content() -> None:
    """A byte inserted in front moves the cuts along: all chunks but the first few are found again."""
    data = _window(8 * _MIB)

    def chunks(content: bytes) -> set[bytes]:
        return {bytes(chunk) for chunk in iter_chunks(io.BytesIO(content))}

    before, after = chunks(data), chunks(data[: 4 * _MIB] + b"x" + data[4 * _MIB :])
    assert len(after - before) <= 2


class _ShortReads(io.RawIOBase):
    """A file whose reads return fewer bytes than asked for."""

    def __init__(self, data: bytes, seed: int) -> None:
        self._file, self._chance = io.BytesIO(data), random.Random(seed)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        return self._file.readinto(buffer[: self._chance.randint(1, 3 * _MIB)])


@pytest.mark.parametrize("size_bytes", [0, 1, 8 * _MIB - 1, 8 * _MIB, 8 * _MIB + 1, 16 * _MIB, 21 * _MIB + 12345])
@pytest.mark.parametrize("constant", [False, True])
def test_stream_like_whole(size_bytes: int, constant: bool) -> None:
    """A stream that answers in pieces, many windows long, is cut like the whole content."""
    data = bytes(size_bytes) if constant else _window(size_bytes)
    at = 0
    lengths = []
    for chunk in iter_chunks(_ShortReads(data, size_bytes)):
        assert chunk == data[at : at + len(chunk)]
        lengths.append(len(chunk))
        at += len(chunk)
    assert lengths == cut(memoryview(data))


def test_stream_from_its_position() -> None:
    """A file is cut from where it stands, and a cutter may be given."""
    file = io.BytesIO(b"x" * 100)
    file.seek(60)
    assert [len(chunk) for chunk in iter_chunks(file, cut=cut_slowly)] == [40]


def test_gear_is_whole() -> None:
    """The gear table has one 64-bit number for each byte value."""
    assert len(set(GEAR)) == 256
    assert all(0 <= number < 2**64 for number in GEAR)
