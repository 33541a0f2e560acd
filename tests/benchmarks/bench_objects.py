"""What a million entries and a hundred thousand records cost."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.command import PROJECT
from vstore.objects.digest import hash_bytes
from vstore.objects.pack import FOOTER_BYTES, PackWriter, footer_from_bytes, parse_table, read_record
from vstore.objects.table import BLOB
from vstore.objects.tree import TREE_HEADER, Tree, diff_trees, find_contents

_ENTRIES = 1_000_000
_RECORDS = 20_000
_DECODE = """
import resource, sys, time
from pathlib import Path
from vstore.objects.tree import Tree
data = Path(sys.argv[1]).read_bytes()
start = time.perf_counter()
Tree.from_bytes(data)
# ru_maxrss is in KiB on Linux, in bytes on macOS.
unit = 1 if sys.platform == "darwin" else 1024
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def _seconds(work: Callable[[], object], *, best_of: int = 3) -> float:
    times = []
    for _ in range(best_of):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _encoding() -> bytes:
    rows = bytearray(TREE_HEADER, "ascii")
    for i in range(_ENTRIES):
        digest = hash_bytes(b"%d" % i, "xxh128")
        rows += f"f\t{i * 7}\t{digest}\timages/train/{i // 1000:04}/sample_{i:07}.jpg\n".encode()
    return bytes(rows)


def test_tree(tmp_path: Path) -> None:
    """A million entries are encoded and decoded in about two seconds, within 450 MB."""
    data = _encoding()
    path = tmp_path / "tree"
    path.write_bytes(data)
    # First, while this process is small: a child's peak begins with its parent's.
    command = [sys.executable, "-c", _DECODE, str(path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    decode_s, peak_bytes = map(float, done.stdout.split())
    entries = Tree.from_bytes(data).entries
    encode_s = _seconds(lambda: Tree(entries).to_bytes())
    contents_s = _seconds(lambda: find_contents(data))
    changed = Tree([entry._replace(size_bytes=1) if i % 100 == 0 else entry for i, entry in enumerate(entries)])
    new = changed.to_bytes()
    diff_s = _seconds(lambda: diff_trees(data, new))
    print(f"\ncheck and encode {encode_s:.2f} s, decode {decode_s:.2f} s with {peak_bytes / 2**20:.0f} MiB")
    print(f"contents {contents_s:.2f} s, diff of 1 % {diff_s:.2f} s")
    assert encode_s < 3
    assert decode_s < 3
    assert peak_bytes < 450 * 2**20


@pytest.mark.parametrize("kind", ["random", "text"])
def test_pack(kind: str) -> None:
    """A record of 4 KiB is added and read in microseconds."""
    chance = random.Random(1)
    words = [f"{chance.randrange(10**5):05}" for _ in range(2000)]
    contents = [
        chance.randbytes(4096) if kind == "random" else " ".join(chance.choices(words, k=683)).encode()[:4096]
        for _ in range(_RECORDS)
    ]
    digests = [hash_bytes(content, "xxh128") for content in contents]

    def write() -> bytes:
        parts: list[bytes] = []
        writer = PackWriter(parts.append)
        for digest, content in zip(digests, contents, strict=True):
            writer.add(BLOB, digest, content)
        writer.finish()
        return b"".join(parts)

    pack = write()
    footer = footer_from_bytes(pack[-FOOTER_BYTES:], len(pack))
    locations = list(parse_table(pack[footer.table_offset : -FOOTER_BYTES], footer).locations())
    view = memoryview(pack)

    def read() -> Iterable[bytes]:
        for location in locations:
            read_record(view[location.offset : location.offset + location.record_bytes], location)
        return ()

    add_us, read_us = _seconds(write) / _RECORDS * 1e6, _seconds(read) / _RECORDS * 1e6
    print(f"\n{kind}: add {add_us:.1f} us, read {read_us:.1f} us")
    assert add_us < 60
    assert read_us < 30
