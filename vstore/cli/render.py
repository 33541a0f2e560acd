"""Words for results: sizes, counts, quoted paths, aligned columns, and JSON."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import click

from vstore.progress.words import duration as duration
from vstore.progress.words import size as size

_ODD = re.compile(r'[\0-\x1f\x7f-\x9f"\\\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]')
_WIDEST = 60
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def growth(size_bytes: int) -> str:
    """Return by how much something grew or shrank: ``+1.4 GB``."""
    return ("-" if size_bytes < 0 else "+") + size(abs(size_bytes))


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 file``, ``12,345 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def changes(added: int, modified: int, deleted: int) -> str:
    """Return how many files were added, modified and deleted: ``+3 ~1 -2``, without what is zero."""
    return " ".join(f"{sign}{number:,}" for sign, number in (("+", added), ("~", modified), ("-", deleted)) if number)


def path(name: str) -> str:
    """Return a path as one line that cannot do harm to a terminal: quoted as git does where it holds odd characters."""
    if not _ODD.search(name):
        return name
    return '"' + _ODD.sub(_escape, name) + '"'


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Return rows as lines with aligned columns; those numbered in ``right`` are aligned to the right.

    A cell that is very long stands out, and does not push all others aside.
    """
    widths = [min(_WIDEST, max(map(_width, cells))) for cells in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            " " * (width - _width(cell)) + cell if number in right else cell + " " * (width - _width(cell))
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return text in a colour if the stream (standard output) is a terminal that wants it."""
    return click.style(text, fg=colour) if has_colour(stream or sys.stdout) else text


def has_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that wants colours; NO_COLOR and TERM=dumb say no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def to_plain(value: Any) -> Any:
    """Return what JSON can hold: dataclasses and named tuples become objects with the names of their fields."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return to_plain(value._asdict())
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [to_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(to_plain, value))
    return str(value)


def to_json(value: Any, *, pretty: bool) -> str:
    """Return a JSON document; names that are not UTF-8 keep their bytes as lone surrogates, as Python reads them."""
    indent, plain = (2 if pretty else None), to_plain(value)
    text = json.dumps(plain, indent=indent, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(plain, indent=indent)
    return text


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    known = _ESCAPES.get(character)
    return known or "".join(f"\\{byte:03o}" for byte in character.encode(errors="surrogateescape"))


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    plain = click.unstyle(text)
    if plain.isascii():
        return len(plain)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in plain)
    return len(plain) + wide - sum(unicodedata.combining(character) > 0 for character in plain)
