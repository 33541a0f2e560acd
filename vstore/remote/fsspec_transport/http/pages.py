"""Pages that list a folder, as web servers make them: nginx (HTML and JSON), Apache, Python's http.server and others.

A page is written by a stranger: only links to direct children count, and only nginx is believed about sizes, which
tells them to the byte; others round them.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from vstore.remote.fsspec_transport.http.transport import Found

_LINK = re.compile(r"<a\s([^<>]*+)>", re.IGNORECASE)
_TARGET = re.compile(r"""href\s?=\s?(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""", re.IGNORECASE)
_MOST_ATTRIBUTES = 8192
# nginx: <a href="name">shown</a>      27-Nov-2026 18:45      1234; of long files it may tell 12M or 3G.
_ROW = re.compile(r"[^<>]{0,1000}</a> {1,100}(\d\d)-([A-Z][a-z][a-z])-(\d{4}) (\d\d):(\d\d) {1,40}(\d{1,18})\r?\n")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TITLE = re.compile(r"<(?:title|h1)>\s*+(?:index of|directory listing)", re.IGNORECASE)


def parse_listing(data: bytes, url: str) -> list[Found] | None:
    """Return what a page lists of the folder at ``url``; None for a page that is no listing, such as a greeting."""
    text = data.decode("utf-8", "replace")
    if text.lstrip()[:1] == "[":
        return _parse_json(text)
    is_listing = _TITLE.search(text) is not None
    found = []
    for name, row in _iter_children(text, url):
        is_listing = True
        if name:
            found.append(Found(unquote(name.rstrip("/")), name.endswith("/"), *_parse_row(row)))
    return found if is_listing else None


def parse_folder(data: bytes, url: str) -> list[Found] | None:
    """Return what a page lists, as ``parse_listing``, of a server that nobody said is there for this.

    Pages of all kinds have links: it has to call itself a listing, or be nginx's in JSON.
    """
    text = data.decode("utf-8", "replace")
    if text.lstrip()[:1] == "[":
        return _parse_json(text, needed=("mtime",)) or None
    return parse_listing(data, url) if _TITLE.search(text) else None


def parse_date(text: object) -> float:
    """Return the seconds since 1970 of a date as HTTP writes it; infinity where it is none."""
    try:
        return parsedate_to_datetime(str(text)).timestamp()
    except (ValueError, OverflowError):
        return math.inf


def _iter_children(text: str, url: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """Yield the name of each direct child that a page links to, and its row; "" for a link to the parent folder."""
    place = urlsplit(url)
    for link in _LINK.finditer(text):
        target = _TARGET.search(link[1]) if len(link[1]) <= _MOST_ATTRIBUTES else None
        if target is None:
            continue
        reference = html.unescape(target[1] or target[2] or target[3] or "").strip()
        if reference in ("../", ".."):
            yield "", None
            continue
        try:
            parts = urlsplit(urljoin(url, reference))
        except ValueError:
            continue
        name = parts.path.removeprefix(place.path)
        is_child = (parts.scheme, parts.netloc) == (place.scheme, place.netloc) and parts.path.startswith(place.path)
        if is_child and not parts.query and not parts.fragment and name and "/" not in name[:-1] and name != "/":
            yield name, _ROW.match(text, link.end())


def _parse_row(row: re.Match[str] | None) -> tuple[int | None, float]:
    if row is None:
        return None, math.inf
    day, month, year, hour, minute, size = row.groups()
    try:
        date = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), tzinfo=UTC)
    except ValueError:
        return int(size), math.inf
    return int(size), date.timestamp()


def _parse_json(text: str, needed: Sequence[str] = ()) -> list[Found] | None:
    """Parse the list that nginx makes with ``autoindex_format json``."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return None
    names = ("name", *needed)
    if not all(
        isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in names) for entry in entries
    ):
        return None
    return [_parse_entry(entry) for entry in entries if entry.get("type") in ("file", "directory")]


def _parse_entry(entry: dict[str, Any]) -> Found:
    size = entry.get("size")
    is_exact = type(size) is int and 0 <= size <= 2**48
    is_folder = entry["type"] == "directory"
    return Found(entry["name"], is_folder, size if is_exact else None, parse_date(entry.get("mtime")))
