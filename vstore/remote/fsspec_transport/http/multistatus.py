"""What a WebDAV server lists: a 207 answer, read as it comes, from a stranger."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from vstore.remote.fsspec_transport.http.pages import parse_date

_RESPONSE, _COLLECTION = "DAV: response", "DAV: collection"
_TEXTS = {"DAV: href": "href", "DAV: getcontentlength": "size", "DAV: getlastmodified": "modified"}
_MOST_BYTES = 256 * 1024 * 1024
_MOST_TEXT = 8192
_DEEPEST = 50


class Member(NamedTuple):
    """A file or folder that is told about; ``path`` is that of its URL, without a slash at its end."""

    path: str
    is_folder: bool
    size_bytes: int | None
    modified_s: float


def parse_multistatus(pieces: Iterator[bytes]) -> list[Member]:
    """Return what an answer tells about.  Raises ValueError where it is none, and what reading the pieces raises."""
    reader = _Reader()
    read_bytes = 0
    for piece in pieces:
        read_bytes += len(piece)
        if read_bytes > _MOST_BYTES:
            raise ValueError
        reader.feed(piece)
    reader.feed(b"", is_final=True)
    return reader.members


class _Reader:
    def __init__(self) -> None:
        self.members: list[Member] = []
        self._depth = 0
        self._field: str | None = None
        self._fields: dict[str, str] = {}
        self._is_folder = False
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        # Entities can be made to grow without end, and no answer of WebDAV has any.
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes, *, is_final: bool = False) -> None:
        try:
            self._parser.Parse(data, is_final)
        except expat.ExpatError as error:
            raise ValueError from error

    def _refuse(self, *_: object) -> None:
        raise ValueError

    def _start(self, name: str, _: object) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError
        if name == _RESPONSE:
            self._fields, self._is_folder = {}, False
        elif name == _COLLECTION:
            self._is_folder = True
        field = _TEXTS.get(name)
        self._field = None if field in self._fields else field

    def _text(self, text: str) -> None:
        if self._field is not None:
            whole = self._fields.get(self._field, "") + text
            if len(whole) > _MOST_TEXT:
                raise ValueError
            self._fields[self._field] = whole

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._field = None
        if name == _RESPONSE:
            self.members.append(_make_member(self._fields, self._is_folder))


def _make_member(fields: dict[str, str], is_folder: bool) -> Member:
    path = unquote(urlsplit(fields.get("href", "").strip()).path)
    size = fields.get("size", "").strip()
    size_bytes = int(size) if size.isascii() and size.isdecimal() and len(size) < 18 else None
    modified = fields.get("modified")
    return Member(path.rstrip("/"), is_folder, size_bytes, parse_date(modified) if modified else math.inf)
