"""What of some packs is needed: marked one by one, or many in one go, in as many packs as hold it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.remote.test_index import blob, make
from vstore.objects.table import BLOB
from vstore.remote import index as indexes
from vstore.remote import usage as module
from vstore.remote.index import index_from_bytes, index_to_bytes
from vstore.remote.usage import Usage

_LETTERS = "abcdefghijklmnop"


@given(
    packs=st.lists(st.sets(st.sampled_from(_LETTERS), min_size=1), min_size=1, max_size=4),
    needed=st.sets(st.sampled_from(_LETTERS)),
    lost=st.sets(st.integers(0, 3)),
    block=st.integers(1, 5),
)
def test_many_are_marked_as_one_by_one(packs: list[set[str]], needed: set[str], lost: set[int], block: int) -> None:
    """Looking for many records in one go marks the same rows, one for each record, wherever blocks end."""
    tables = [make(number, *map(blob, sorted(letters))) for number, letters in enumerate(packs)]
    index = index_from_bytes(index_to_bytes(tables), "index")
    wanted = {pack.key: pack for pack, _ in tables}
    gone = {pack.key for number, (pack, _) in enumerate(tables) if number in lost}
    digests = {blob(letter)[1] for letter in needed}
    one_by_one, in_one_go = Usage([index], wanted, gone), Usage([index], wanted, gone)
    for digest in digests:
        one_by_one.mark(BLOB, digest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexes, "_BLOCK_ROWS", block)
        patch.setattr(module, "ROWS_A_LOOKUP_IS_WORTH", 10_000)
        for _ in range(2):
            in_one_go.mark_all(BLOB, digests)
    assert in_one_go.dead_bytes() == one_by_one.dead_bytes()
    there = {letter for letters in packs for letter in letters} & needed
    assert sum(map(sum, in_one_go._marks)) == len(there)
