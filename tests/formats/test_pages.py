"""The pages in docs/formats say what the code does."""

from __future__ import annotations

import re

from tests.command import PROJECT
from vstore.objects import chunking
from vstore.objects.digest import ALGORITHMS, hash_bytes
from vstore.objects.pack import FOOTER_BYTES, MAX_RECORD_BYTES, PACK_HEADER
from vstore.objects.pointer import MAX_POINTER_BYTES, pointer_from_bytes, pointer_to_bytes
from vstore.objects.table import RECORD_HEADER_BYTES
from vstore.objects.tree import Tree

_PAGES = PROJECT / "docs/formats"


def _page(name: str) -> str:
    return (_PAGES / f"{name}.md").read_text("utf-8")


def _example(page: str) -> str:
    """Return the first indented block of a page."""
    found = re.search(r"(?:^    .*\n|^\n(?=    ))+", page, re.MULTILINE)
    assert found is not None
    return re.sub(r"^    ", "", found[0], flags=re.MULTILINE).lstrip("\n")


def test_pointer_example() -> None:
    """The pointer that the page shows is one, as vstore writes it."""
    data = _example(_page("pointer")).encode()
    assert pointer_to_bytes(pointer_from_bytes(data, "example")) == data
    assert MAX_POINTER_BYTES == 1024 * 1024


def test_tree_example() -> None:
    """The tree that the page shows is one."""
    data = _example(_page("tree")).replace("→", "\t").encode()
    assert Tree.from_bytes(data).to_bytes() == data


def test_digests() -> None:
    """The page names all algorithms, and the digests of the empty content."""
    for name, algorithm in ALGORITHMS.items():
        assert hash_bytes(b"", name) in _page("digest")
        assert re.search(rf"\| `{name}:` .*\| {algorithm.size_bytes} \| {algorithm.code} \|", _page("digest"))


def test_numbers() -> None:
    """Lengths and cutting parameters stand in the pages as they stand in the code."""
    assert (len(PACK_HEADER), RECORD_HEADER_BYTES, FOOTER_BYTES, MAX_RECORD_BYTES) == (16, 24, 64, 4 << 20)
    numbers = re.findall(r"`(?:min|avg|max)` = ([0-9,]+)", _page("recipe"))
    limits = [chunking.MIN_CHUNK_BYTES, chunking.AVERAGE_CHUNK_BYTES, chunking.MAX_CHUNK_BYTES]
    assert [int(number.replace(",", "")) for number in numbers] == limits
    assert re.findall("0x[0-9A-F]{16}", _page("recipe")) == [
        f"0x{mask:016X}" for mask in (chunking._MASK_BEFORE_AVERAGE, chunking._MASK_AFTER_AVERAGE)
    ]
