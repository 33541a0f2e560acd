"""Entries, pointers, recipes and records, drawn by hypothesis as oddly as the formats allow."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from hypothesis import strategies as st

from vstore.errors import NameRefusedError
from vstore.objects.chunking import MAX_CHUNK_BYTES
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.names import find_refusal
from vstore.objects.pointer import Pointer
from vstore.objects.recipe import Chunk, Recipe
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, SYMLINK, Entry, Tree, find_target_refusal

HURTFUL_NAMES = (
    "café",  # NFC
    "cafe\u0301",  # NFD
    "😀.bin",
    "line\nbreak",
    "tab\tulator",
    "carriage\rreturn",
    "next\x85line\u2028and\u2029more",
    "-rf",
    " leading and trailing ",
    "\"quotes\" and 'apostrophes'",
    "#not a comment",
    "[section]",
    "100%",
    "!important",
    "é" * 127 + "x",  # 255 bytes
    "...",
    ".gitignore",
    "vstore",
    "data.vstore",
    "12:30:00",
    "tilde~",
)
"""Names of files that hurt careless programs; a tree may hold them all."""

digests = st.one_of(
    st.binary(min_size=16, max_size=16).map(lambda raw: Digest("xxh128:" + raw.hex())),
    st.binary(min_size=32, max_size=32).map(lambda raw: Digest("blake3:" + raw.hex())),
)
algorithms = st.sampled_from(["xxh128", "blake3"])

_texts = st.text(st.characters(codec="utf-8"))
_components = st.one_of(
    st.sampled_from(["a", "b", "a.b", "a-b", *HURTFUL_NAMES]),
    st.text(st.characters(codec="utf-8", exclude_characters="/\0\\"), min_size=1, max_size=8),
)
paths = st.lists(_components, min_size=1, max_size=4).map("/".join).filter(lambda path: find_refusal(path) is None)


def _is_lawful(entry: Entry) -> bool:
    return entry.kind != SYMLINK or find_target_refusal(entry) is None


_sizes = st.integers(0, 10**18 - 1)
_targets = paths | paths.map(lambda path: f"../{path}")
entries = st.one_of(
    st.builds(Entry, paths, st.sampled_from([FILE, EXECUTABLE]), _sizes, digests, st.just("")),
    st.builds(Entry, paths, st.just(EMPTY_DIRECTORY), st.just(0), st.just(""), st.just("")),
    st.builds(Entry, paths, st.just(SYMLINK), st.just(0), st.just(""), _targets),
).filter(_is_lawful)


def without_conflicts(drawn: list[Entry]) -> list[Entry]:
    """Return those entries of a list that fit into one tree with the ones before them."""
    kept: dict[str, Entry] = {}
    for entry in drawn:
        try:
            Tree([*kept.values(), entry])
        except NameRefusedError:
            continue
        kept[entry.path] = entry
    return list(kept.values())


entry_lists = st.lists(entries, max_size=12).map(without_conflicts)
"""Lists of entries in any order that fit into one tree."""

_scalars = st.one_of(
    _texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.dates(datetime.date(1, 1, 1)),
    st.datetimes().map(lambda time: time.replace(fold=0)),
    st.datetimes(timezones=st.just(datetime.UTC)).map(lambda time: time.replace(fold=0)),
)
values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3), max_leaves=5
)
tables = st.dictionaries(_texts, values, max_size=4)

_optional_texts = st.none() | _texts
pointers = st.one_of(
    st.builds(
        Pointer,
        kind=st.just("file"),
        digest=digests,
        size_bytes=st.integers(0, 2**63 - 1),
        executable=st.booleans(),
        type=_optional_texts,
        description=_optional_texts,
        labels=st.lists(_texts, max_size=3).map(tuple),
        remote=_optional_texts,
        meta=tables,
        source=tables,
    ),
    st.builds(
        Pointer,
        kind=st.just("tree"),
        digest=digests,
        size_bytes=st.integers(0, 2**63 - 1),
        files=st.integers(0, 2**63 - 1),
        meta=tables,
        labels=st.lists(_texts, max_size=3).map(tuple),
    ),
)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Recipes whose chunks are all of one algorithm."""
    algorithm = draw(algorithms)
    lengths = draw(st.lists(st.integers(1, MAX_CHUNK_BYTES), min_size=1, max_size=20))
    chunks = [Chunk(hash_bytes(b"%d" % i, algorithm), length) for i, length in enumerate(lengths)]
    return Recipe(draw(st.integers(0, 4)), chunks)


@dataclass(frozen=True)
class Damage:
    """One way to spoil good bytes."""

    at: int
    cut: int
    put: bytes

    def of(self, data: bytes) -> bytes:
        """Return ``data``, spoilt."""
        at = self.at % (len(data) + 1)
        return data[:at] + self.put + data[at + self.cut :]


damages = st.builds(Damage, st.integers(0, 10_000), st.sampled_from([0, 1, 2, 4, 8, 1000]), st.binary(max_size=8))
