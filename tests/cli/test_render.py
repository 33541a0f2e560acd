"""Words for results."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vstore.cli import render


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1449, "1.4 kB"),
        (99_949, "99.9 kB"),
        (123_456, "123 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_400_000_000, "1.4 GB"),
        (2**63, "9.2 EB"),
    ],
)
def test_sizes_have_three_digits_at_most(size_bytes: int, text: str) -> None:
    """A size is short, decimal, and never reads 1000 of something."""
    assert render.size(size_bytes) == text


def test_counts_have_their_plural() -> None:
    """One is singular, everything else is not, and thousands are grouped."""
    assert [render.count(n, "file") for n in (0, 1, 12345)] == ["0 files", "1 file", "12,345 files"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (65, "1 min 05 s"), (12_000, "3 h 20 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """A time span has two units at most."""
    assert render.duration(seconds) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data/plain name-é-🙂.csv", "data/plain name-é-🙂.csv"),
        ("a\nb", '"a\\nb"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("\x1b[31mred", '"\\033[31mred"'),
        (os.fsdecode(b"caf\xe9"), '"caf\\351"'),
        ("gpj.\u202eexe", '"gpj.\\342\\200\\256exe"'),
    ],
)
def test_odd_names_cannot_fool_a_terminal(name: str, text: str) -> None:
    """What controls a terminal is escaped as git does; all other names stay as they are."""
    assert render.path(name) == text


def test_columns_are_aligned() -> None:
    """Columns are as wide as their widest cell, and lines have no blanks at the end."""
    rows = [("a", "1 B", ""), ("long", "100 B", "x")]
    assert render.columns(rows, right=(1,)) == ["a       1 B", "long  100 B  x"]


class _Pair(NamedTuple):
    path: str
    size_bytes: int


def test_columns_count_what_a_terminal_shows() -> None:
    """Wide and combining characters, and colours, do not shift what stands behind them; long cells stand out."""
    names = ["abcd", "日本", "e\u0301bcd", "\x1b[31mabcd\x1b[0m", "x" * 100]
    lines = render.columns([(name, "|") for name in names])
    assert lines[-1] == "x" * 100 + "  |"
    assert {len(line) for line in lines[:1]} == {60 + 3}
    assert lines[1] == "日本" + " " * 58 + "|" and lines[2] == "e\u0301bcd" + " " * 58 + "|"


@dataclasses.dataclass(frozen=True, slots=True)
class _Result:
    paths: tuple[Path, ...]
    pairs: list[_Pair]
    counts: dict[str, int]
    names: frozenset[str]
    nothing: None = None


def test_json_has_the_names_of_fields() -> None:
    """Dataclasses and named tuples become objects, paths become text, sets become sorted lists."""
    result = _Result((Path("a/b"),), [_Pair("x", 1)], {"n": 2}, frozenset("ba"))
    assert json.loads(render.to_json(result, pretty=False)) == {
        "paths": ["a/b"],
        "pairs": [{"path": "x", "size_bytes": 1}],
        "counts": {"n": 2},
        "names": ["a", "b"],
        "nothing": None,
    }


@pytest.mark.parametrize("name", ["é🙂", os.fsdecode(b"caf\xe9"), "a\nb"])
def test_json_keeps_every_name(name: str) -> None:
    """Any file name survives, also one that is not UTF-8."""
    text = render.to_json({"path": name}, pretty=True)
    assert os.fsencode(json.loads(text.encode("utf-8"))["path"]) == os.fsencode(name)


class _Lazy(Sequence[Any]):
    """A sequence that is made as it is gone through."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]


@dataclasses.dataclass(frozen=True)
class _Nested:
    first: object
    second: object = None


@pytest.mark.parametrize("pretty", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        _Nested([], {}),
        _Nested([_Nested(1, "ä"), _Nested([_Nested(None)], [1, [2, {"a": [3]}]])], ("x", 1)),
        _Nested(_Lazy(_Nested(True, 1.5), _Nested("line\n", "\x1b"), {"a": [1]}), _Lazy()),
        _Nested([_Nested(_Lazy([1, 2], "x"))], {"k": _Nested(1)}),
        [1, 2],
        {"a": {"b": 1}},
        "text",
    ],
)
def test_json_in_pieces_is_that_of_the_whole(value: object, pretty: bool) -> None:
    """What is written piece by piece is, letter by letter, what the json module makes of the whole."""
    whole = json.dumps(render.to_plain(value), indent=2 if pretty else None, ensure_ascii=False)
    assert "".join(render.iter_json(value, pretty=pretty)) == whole


def test_json_of_names_that_are_not_text() -> None:
    """Names that are not UTF-8 keep their bytes as lone surrogates, wherever they stand."""
    value = _Nested(_Lazy(_Nested("\udcff")), "ä")
    text = "".join(render.iter_json(value, pretty=False))
    text.encode()
    assert json.loads(text) == {"first": [{"first": "\udcff", "second": None}], "second": "ä"}


def test_columns_of_many_rows() -> None:
    """Many rows are aligned a part at a time, and none is lost."""
    rows = [(str(number), "x") for number in range(1000)]
    assert [line.split() for line in render.iter_columns(iter(rows))] == [list(row) for row in rows]
