"""Words for results: sizes, counts, quoted paths, aligned columns, and JSON."""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import click

from vstore.progress.words import duration as duration
from vstore.progress.words import size as size

_ODD = re.compile(r'[\0-\x1f\x7f-\x9f"\\\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]')
_WIDEST = 60
_WINDOW = 200
_PLAIN = frozenset({str, int, float, bool, type(None)})
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


def iter_columns(rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> Iterator[str]:
    """Yield rows as lines, as ``columns`` does, without holding more than a screen or two of them."""
    left = iter(rows)
    while window := list(itertools.islice(left, _WINDOW)):
        yield from columns(window, right=right)


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
        found = [(name, getattr(value, name)) for name in _field_names(type(value))]
        # Of a million files that differ every field is one of these: asking here halves the time.
        return {name: field if type(field) in _PLAIN else to_plain(field) for name, field in found}
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
    return "".join(iter_json(value, pretty=pretty))


def iter_json(value: Any, *, pretty: bool) -> Iterator[str]:
    """Yield a JSON document in pieces; of a sequence that is made as it is gone through, one item is held at a time."""
    return _iter_json(value, "\n" if pretty else "")


def _iter_json(value: Any, line: str) -> Iterator[str]:
    """Yield the pieces of a value; ``line`` begins a new line at its depth, or is empty."""
    below, comma = (line + "  ", ",") if line else ("", ", ")
    first = True
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name in _field_names(type(value)):
            yield f'{"{" if first else comma}{below}"{name}": '
            yield from _iter_json(getattr(value, name), below)
            first = False
        yield line + "}" if not first else "{}"
    elif isinstance(value, Sequence) and not isinstance(value, str | tuple | bytes | bytearray):
        is_flat = not isinstance(value, list)
        for item in value:
            yield ("[" if first else comma) + below
            if is_flat:
                yield _dump(item, below)
            else:
                yield from _iter_json(item, below)
            first = False
        yield line + "]" if not first else "[]"
    else:
        yield _dump(value, line)


def _dump(value: Any, line: str) -> str:
    plain = to_plain(value)
    text = _encoder(bool(line), False).encode(plain)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = _encoder(bool(line), True).encode(plain)
    return text.replace("\n", line) if line else text


@functools.cache
def _encoder(pretty: bool, escaped: bool) -> json.JSONEncoder:
    return json.JSONEncoder(indent=2 if pretty else None, ensure_ascii=escaped)


@functools.cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    known = _ESCAPES.get(character)
    # Half a character that no file name can hold may still stand in a document of a stranger's.
    errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return known or "".join(f"\\{byte:03o}" for byte in character.encode(errors=errors))


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    plain = click.unstyle(text)
    if plain.isascii():
        return len(plain)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in plain)
    return len(plain) + wide - sum(unicodedata.combining(character) > 0 for character in plain)
