"""Content-defined chunking of big contents: FastCDC (Xia et al., 2020), whose cuts move with the content.

The parameters and the gear table are part of the remote format: other cuts would still restore, but
nothing would be found again.  ``pyfastcdc`` cuts at 3 GB/s; ``cut_slowly`` is the same in pure Python, for
machines without a wheel and as the reference in the tests.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

from vstore.objects.gear import GEAR

try:
    from pyfastcdc.cy import FastCDC
except ImportError:  # no wheel and no compiler
    FastCDC = None

SMALL_BYTES = 256 * 1024
"""Contents up to this size are one record; larger ones are cut into chunks."""
MIN_CHUNK_BYTES = 64 * 1024
AVERAGE_CHUNK_BYTES = 256 * 1024
MAX_CHUNK_BYTES = 1024 * 1024
_MASK_BEFORE_AVERAGE = 0x0000D91707537000
_MASK_AFTER_AVERAGE = 0x0000D90703537000
_WINDOW_BYTES = 8 * 1024 * 1024

Cutter = Callable[[memoryview], list[int]]
"""Takes a content and returns the lengths of its chunks, in order."""


def cut_slowly(data: memoryview) -> list[int]:
    """Return the lengths of the chunks of ``data``, in pure Python (about 10 MB/s)."""
    lengths = []
    start = 0
    while start < len(data):
        length = _find_cut(data[start : start + MAX_CHUNK_BYTES])
        lengths.append(length)
        start += length
    return lengths


def _find_cut(data: memoryview) -> int:
    size = len(data)
    if size <= MIN_CHUNK_BYTES:
        return size
    fingerprint = 0
    even = size & ~1  # the reference rolls two bytes at a time and leaves an odd last one out
    centre = min(AVERAGE_CHUNK_BYTES, even)
    for mask, first, last in (
        (_MASK_BEFORE_AVERAGE, MIN_CHUNK_BYTES, centre),
        (_MASK_AFTER_AVERAGE, centre, even),
    ):
        for i in range(first, last):
            fingerprint = ((fingerprint << 1) + GEAR[data[i]]) & 0xFFFFFFFFFFFFFFFF
            if not fingerprint & mask:
                return i
    return size


def _cut_fast(data: memoryview) -> list[int]:
    cutter = FastCDC(
        AVERAGE_CHUNK_BYTES,
        min_size=MIN_CHUNK_BYTES,
        max_size=MAX_CHUNK_BYTES,
        normalized_chunking=1,
        seed=0,
    )
    return [chunk.length for chunk in cutter.cut_buf(data)]


cut: Cutter = cut_slowly if FastCDC is None else _cut_fast


def iter_chunks(file: BinaryIO | io.RawIOBase, *, cut: Cutter = cut) -> Iterator[memoryview]:
    """Yield the chunks of a file from its position to its end; 8 MiB of memory whatever its size.

    A chunk is valid until the next one is drawn.  Raises OSError.
    """
    buffer = bytearray(_WINDOW_BYTES)
    view = memoryview(buffer)
    held = 0
    while True:
        count = file.readinto(view[held:]) if held < len(buffer) else 0  # type: ignore[union-attr]
        if not count:
            break
        held += count
        if held < len(buffer):
            continue
        start = 0
        # The last cut may only be the end of the window, so its bytes wait for what follows.
        for length in cut(view[:held])[:-1]:
            yield view[start : start + length]
            start += length
        held -= start
        buffer[:held] = buffer[start : start + held]
    start = 0
    for length in cut(view[:held]):
        yield view[start : start + length]
        start += length
