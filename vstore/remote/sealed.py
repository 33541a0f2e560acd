"""Sealed documents: JSON objects at a remote that say their version and carry a checksum of themselves.

A torn, altered or newer document is recognised as such.  Fields are taken out one by one and checked, because
whoever may write to a bucket may write anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import xxhash

from vstore.errors import CorruptError, NewerFormatError
from vstore.remote.transport import Key

VERSION = 1
MAX_COUNT = 2**48
"""No number in a document is larger: more bytes than any pack, file or bucket has."""


def seal(fields: Mapping[str, object]) -> bytes:
    """Return the one encoding of a document: sorted keys, no spaces, ASCII, one line."""
    document = {**fields, "version": VERSION}
    return _canonical({**document, "checksum": _checksum(document)}) + b"\n"


def unseal(data: bytes, key: Key) -> Fields:
    """Return the fields of the document at ``key``.  Raises CorruptError, NewerFormatError."""
    try:
        document = json.loads(data)
        checksum = document.pop("checksum", None) if isinstance(document, dict) else None
        right = _checksum(document)  # here, too: what can just be read may be too deep to be written
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{key} is damaged: it is not JSON", key=key) from error
    if not isinstance(document, dict):
        raise CorruptError(f"{key} is damaged: it is not a JSON object", key=key)
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise NewerFormatError(f"{key} has format version {version}", key=key, version=version)
    if version != VERSION or checksum != right:
        raise CorruptError(f"{key} is damaged: it fails its checksum", key=key)
    return Fields(document, key)


class Fields:
    """The fields of one JSON object; a field that is missing or of another type raises CorruptError."""

    def __init__(self, document: object, key: Key) -> None:
        self._key = key
        if not isinstance(document, dict):
            raise self._wrong("an object is not one")
        self._document: dict[str, Any] = document

    def _wrong(self, what: str) -> CorruptError:
        return CorruptError(f"{self._key} is damaged: {what}", key=self._key)

    def text(self, name: str, pattern: str = r"(?s:.*)") -> str:
        """Return a string that matches ``pattern`` as a whole."""
        value = self._document.get(name)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self._wrong(f"{name!r} is not what it should be")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None where there is none or null."""
        return None if self._document.get(name) is None else self.text(name)

    def count(self, name: str) -> int:
        """Return a whole number from 0 to 2**48."""
        return self._count(name, self._document.get(name))

    def optional_count(self, name: str) -> int | None:
        """Return a whole number from 0 to 2**48, or None where there is none or null."""
        return None if self._document.get(name) is None else self.count(name)

    def _count(self, name: str, value: object) -> int:
        if type(value) is not int or not 0 <= value <= MAX_COUNT:
            raise self._wrong(f"{name!r} is not a count")
        return value

    def _list(self, name: str) -> list[Any]:
        value = self._document.get(name)
        if not isinstance(value, list):
            raise self._wrong(f"{name!r} is not a list")
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of strings."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(f"{name!r} is not a list of strings")
        return values

    def optional_texts(self, name: str) -> list[str | None]:
        """Return a list of strings and nulls; empty where there is none."""
        values = self._list(name) if self._document.get(name) is not None else []
        if not all(value is None or isinstance(value, str) for value in values):
            raise self._wrong(f"{name!r} is not a list of strings")
        return values

    def counts(self, name: str, below: int) -> list[int]:
        """Return a list of whole numbers from 0 up to, not including, ``below``."""
        values = [self._count(name, value) for value in self._list(name)]
        if values and max(values) >= below:
            raise self._wrong(f"{name!r} points at nothing")
        return values

    def objects(self, name: str) -> Iterator[Fields]:
        """Yield the fields of each object in a list."""
        for value in self._list(name):
            yield Fields(value, self._key)


def _checksum(document: Mapping[str, object]) -> str:
    return "xxh128:" + xxhash.xxh3_128_hexdigest(_canonical(document))


def _canonical(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
