"""How records become packs, and how long those become."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.remote.world import noise
from vstore.objects.digest import hash_bytes
from vstore.objects.pack import encode_record
from vstore.objects.table import BLOB
from vstore.remote.layout import new_session
from vstore.remote.packer import PACK_BYTES, BuiltPack, Packer

_MIB = 1024 * 1024


def iter_packs(packer: Packer) -> Iterator[BuiltPack]:
    """Fill packs with noise, for ever."""
    content = noise(_MIB, 1)
    record = encode_record(BLOB, hash_bytes(content, "xxh128"), content)
    while True:
        packer.add(*record)
        if packer.is_full:
            pack = packer.take_pack()
            assert pack is not None
            yield pack


def sizes_mib(packs: Iterator[BuiltPack], count: int) -> list[int]:
    """Return the sizes of the next packs."""
    return [pack.ref.size_bytes // _MIB for pack in itertools.islice(packs, count)]


def test_packs_grow_to_their_length() -> None:
    """The first is short, so that its upload begins soon; soon they are as long as they become."""
    assert sizes_mib(iter_packs(Packer(new_session())), 5) == [8, 16, 32, 64, 64]


def test_slow_line_gets_short_packs() -> None:
    """What takes too long to upload is made shorter until it does not, and longer again when the line is better."""
    packer = Packer(new_session())
    packs = iter_packs(packer)
    sizes_mib(packs, 3)
    packer.note_upload(PACK_BYTES, 100)
    assert sizes_mib(packs, 2) == [64, 32]  # the first was begun before
    packer.note_upload(32 * _MIB, 50)
    packer.note_upload(8 * _MIB, 500)
    assert sizes_mib(packs, 3) == [32, 8, 8]
    packer.note_upload(8 * _MIB, 20)
    assert sizes_mib(packs, 2) == [8, 8]
    packer.note_upload(8 * _MIB, 2)
    assert sizes_mib(packs, 4) == [8, 16, 32, 64]
