"""An open file behaves as Python's own, and is not deceived."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.errors import CorruptError
from vstore.objects.chunking import cut
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.recipe import Chunk
from vstore.ops.reading.file import ReadFile
from vstore.ops.reading.node import FILE, Node
from vstore.ops.reading.stretches import ChunkStretches

_CONTENT = random.Random(2).randbytes(3_000_000)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(0, 3_100_000)),
        st.tuples(st.just("read"), st.integers(0, 400_000)),
        st.tuples(st.just("readline"), st.integers(0, 1000)),
        st.tuples(st.just("tail"), st.integers(0, 3_000_000)),
    ),
    max_size=12,
)


def _chunks(content: bytes) -> dict[Digest, bytes]:
    pieces, start = {}, 0
    for length in cut(memoryview(content)):
        piece = content[start : start + length]
        pieces[hash_bytes(piece, "xxh128")] = piece
        start += length
    return pieces


def _open(content: bytes, pieces: Mapping[Digest, bytes], asked: list[Digest] | None = None) -> ReadFile:
    def read(digests: Sequence[Digest]) -> Mapping[Digest, bytes]:
        if asked is not None:
            asked.extend(digests)
        return {digest: pieces[digest] for digest in digests}

    chunks = [Chunk(digest, len(piece)) for digest, piece in pieces.items()]
    node = Node("x", FILE, len(content), hash_bytes(content, "xxh128"))
    return ReadFile(node, ChunkStretches(len(content), chunks, read), prove=True, close=lambda: None)


@given(_STEPS)
def test_same_as_a_file_in_memory(steps: list[tuple[str, int]]) -> None:
    """Whatever order of seeking and reading, the bytes are those of the content."""
    file, model = _open(_CONTENT, _PIECES), io.BytesIO(_CONTENT)
    for step, number in steps:
        if step == "seek":
            assert file.seek(number) == model.seek(number)
        elif step == "tail":
            assert file.seek(-number, io.SEEK_END) == model.seek(-number, io.SEEK_END)
        elif step == "readline":
            assert file.readline(number) == model.readline(number)
        else:
            assert file.read(number) == model.read(number)
        assert file.tell() == model.tell()


_PIECES = _chunks(_CONTENT)


def test_only_what_is_needed() -> None:
    """A short stretch asks for the chunks that it lies in."""
    asked: list[Digest] = []
    file = _open(_CONTENT, _PIECES, asked)
    file.seek(1_500_000)
    assert file.read(10) == _CONTENT[1_500_000:1_500_010]
    assert len(set(asked)) <= 3 < len(_PIECES)


def test_chunks_that_do_not_make_up_the_whole() -> None:
    """Good chunks of a wrong recipe are noticed by who reads all of it, at the latest with its last byte."""
    swapped = dict(reversed(_PIECES.items()))
    with pytest.raises(CorruptError, match="do not make it up"):
        _open(_CONTENT, swapped).read()
    file = _open(_CONTENT, swapped)
    with pytest.raises(CorruptError, match="do not make it up"):
        list(iter(lambda: file.read(100_000), b""))


def test_recipe_of_another_size() -> None:
    """A recipe that makes up more or less than was promised is refused before anything is read."""
    with pytest.raises(CorruptError, match="another size"):
        _open(_CONTENT + b"!", _PIECES)


def test_chunk_of_another_size() -> None:
    """A chunk that is not as long as its recipe says shifts nothing."""
    chunks = [Chunk(digest, len(piece)) for digest, piece in _PIECES.items()]
    chunks[0], chunks[1] = (
        Chunk(chunks[0].digest, chunks[0].size_bytes + 1),
        Chunk(chunks[1].digest, chunks[1].size_bytes - 1),
    )
    stretches = ChunkStretches(len(_CONTENT), chunks, lambda digests: {digest: _PIECES[digest] for digest in digests})
    with pytest.raises(CorruptError, match="another length"):
        stretches.read(0, 10)


def test_closed_and_odd() -> None:
    """A closed file cannot be read, and what makes no sense is refused as Python does."""
    file = _open(_CONTENT, _PIECES)
    assert file.readable() and file.seekable() and not file.writable()
    assert file.name == "x" and file.size == len(_CONTENT)
    with pytest.raises(ValueError, match="no position"):
        file.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        file.seek(0, 9)
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()
