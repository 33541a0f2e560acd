"""Pointers: the small TOML files in git that stand for data.

``data/images.vstore`` stands for ``data/images``; the path is implied by the name, so ``git mv`` works.
One value a line in a fixed order, so that diffs are readable; whatever else a person writes into a
pointer (comments, keys of their own) survives rewriting.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vstore.errors import InvalidError, NewerFormatError, NotDownloadedError, PointerInvalidError
from vstore.objects.digest import DIGEST_PATTERN, Digest, parse_digest

POINTER_SUFFIX = ".vstore"
POINTER_VERSION = 1
MAX_POINTER_BYTES = 1024 * 1024
# Not "=======", which underlines a heading in many a description.
_CONFLICT = re.compile(rb"^(<{7,}|>{7,}|\|{7,})( |$|\r)", re.MULTILINE)
_SIZE_LIMIT = 2**63
AWAITED = Digest("")
"""The digest of what was not downloaded yet."""
# What we write where a person added nothing: nearly all pointers, and ten times faster to read than TOML at large.
_PLAIN = re.compile(
    rb'version = 1\nkind = "(?:file|(tree))"\ndigest = "(%b)"\nsize = (0|[1-9][0-9]{0,17})\n'
    rb"(?(1)files = (0|[1-9][0-9]{0,17})|executable = (true|false))\n" % DIGEST_PATTERN.encode()
)
_KINDS = {int: "a whole number", str: "a string", bool: "true or false", list: "a list of strings", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer file says.  ``files`` counts a tree's files and is 1 for a file.

    ``remote`` routes the data to that remote only; ``source`` tells where imported data came from.
    """

    kind: str
    """"file" or "tree"."""
    digest: Digest
    size_bytes: int
    files: int = 1
    executable: bool = False
    type: str | None = None
    description: str | None = None
    labels: tuple[str, ...] = ()
    remote: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_tree(self) -> bool:
        """Whether this stands for a directory."""
        return self.kind == "tree"

    @property
    def is_awaited(self) -> bool:
        """Whether this stands for an import that was not downloaded yet."""
        return not self.digest

    @property
    def stays_elsewhere(self) -> bool:
        """Whether this is an import whose data is not copied to a remote of ours."""
        return self.source.get("copy") is False and isinstance(self.source.get("repo"), str)


def pointer_to_bytes(pointer: Pointer, old: bytes | None = None) -> bytes:
    """Return the bytes of a pointer file.

    With ``old``, the present bytes of the file, its comments, order and unknown keys are kept, and an equal
    pointer gives equal bytes.  Raises InvalidError for values that TOML cannot hold, and what
    ``pointer_from_bytes`` raises for ``old``.
    """
    lines = [f"{key} = {_value(value)}" for key, value in _settings(pointer).items()]
    for name in ("meta", "source"):
        table: Mapping[str, Any] = getattr(pointer, name)
        if table:
            lines += ["", f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]
    fresh = ("\n".join(lines) + "\n").encode()
    if old is None:
        return fresh
    present = awaited_from_bytes(old, "the pointer to rewrite")
    if pointer_to_bytes(_ordered(present)) == pointer_to_bytes(_ordered(pointer)):
        return old
    return _rewrite(pointer, old)


def _ordered(pointer: Pointer) -> Pointer:
    """Return a pointer whose free tables are in the order of their keys, which means nothing."""
    return dataclasses.replace(pointer, meta=_sorted(pointer.meta), source=_sorted(pointer.source))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(item) for key, item in sorted(value.items())}
    return [_sorted(item) for item in value] if isinstance(value, (list, tuple)) else value


def pointer_from_bytes(data: bytes, path: str) -> Pointer:
    """Parse a pointer file; ``path`` names it in errors.

    Raises PointerInvalidError with ``path`` and ``line``, NewerFormatError, NotDownloadedError.
    """
    pointer = awaited_from_bytes(data, path)
    if pointer.is_awaited:
        fact = f"{path} is of an import that was not downloaded yet"
        raise NotDownloadedError(fact, path=path, url=str(pointer.source["url"]))
    return pointer


def awaited_from_bytes(data: bytes, path: str) -> Pointer:
    """Parse a pointer file, also that of an import that was not downloaded yet: its digest is then empty.

    Raises PointerInvalidError, NewerFormatError.
    """
    plain = _PLAIN.fullmatch(data)
    if plain is not None:
        tree, digest, size, files, executable = plain.groups()
        return Pointer(
            "file" if tree is None else "tree",
            Digest(digest.decode()),
            int(size),
            1 if files is None else int(files),
            executable == b"true",
        )
    if len(data) > MAX_POINTER_BYTES:
        raise PointerInvalidError(f"{path} is too large for a pointer file", path=path, line=1)
    conflict = _CONFLICT.search(data)
    if conflict:
        line = data.count(b"\n", 0, conflict.start()) + 1
        fact = f"{path}, line {line}: a git merge conflict is not resolved"
        raise PointerInvalidError(fact, path=path, line=line, conflict=True)
    try:
        values = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PointerInvalidError(f"{path}, line {line}: not UTF-8", path=path, line=line) from error
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: a number of 5,000 digits
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else data.count(b"\n") + 1
        reason = re.sub(r" \(at .*\)", "", str(error))
        raise PointerInvalidError(f"{path}, line {line}: {reason}", path=path, line=line) from error
    return _Fields(values, data, path).pointer()


class _Fields:
    """Takes the values of a parsed pointer one by one, checking each."""

    def __init__(self, values: dict[str, Any], data: bytes, path: str) -> None:
        self.values, self.data, self.path = values, data, path

    def pointer(self) -> Pointer:
        version = self.take("version", int)
        if version < POINTER_VERSION:
            raise self.wrong("version", "is not a format version")
        if version > POINTER_VERSION:
            raise NewerFormatError(
                f"{self.path} has format version {version}, which this vstore does not know",
                path=self.path,
                version=version,
            )
        kind = self.take("kind", str)
        if kind not in ("file", "tree"):
            raise self.wrong("kind", f'must be "file" or "tree", not {kind!r}')
        source = self.take("source", dict, {})
        is_awaited = "digest" not in self.values and isinstance(source.get("url"), str)
        try:
            digest = AWAITED if is_awaited else parse_digest(self.take("digest", str))
        except InvalidError as error:
            raise self.wrong("digest", "is not a digest") from error
        is_sized = not is_awaited or "size" in self.values
        return Pointer(
            kind=kind,
            digest=digest,
            size_bytes=self.count("size") if is_sized else 0,
            files=self.count("files") if kind == "tree" else 1,
            executable=self.take("executable", bool, False) if kind == "file" else False,
            type=self.take("type", str, None),
            description=self.take("description", str, None),
            labels=self.labels(),
            remote=self.take("remote", str, None),
            meta=self.take("meta", dict, {}),
            source=source,
        )

    def take(self, name: str, kind: type, default: Any = ...) -> Any:
        value = self.values.get(name, default)
        if value is ...:
            raise PointerInvalidError(f"{self.path} has no {name}", path=self.path, line=1)
        if value is default or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            return value
        raise self.wrong(name, f"must be {_KINDS[kind]}")

    def count(self, name: str) -> int:
        value: int = self.take(name, int)
        if not 0 <= value < _SIZE_LIMIT:
            raise self.wrong(name, "is out of range")
        return value

    def labels(self) -> tuple[str, ...]:
        values = self.take("labels", list, [])
        if not all(isinstance(value, str) for value in values):
            raise self.wrong("labels", f"must be {_KINDS[list]}")
        return tuple(values)

    def wrong(self, name: str, what: str) -> PointerInvalidError:
        found = re.search(rb"^\s*" + name.encode() + rb"\s*=", self.data, re.MULTILINE)
        line = self.data.count(b"\n", 0, found.end()) + 1 if found else 1
        return PointerInvalidError(f"{self.path}, line {line}: {name} {what}", path=self.path, line=line)


def _settings(pointer: Pointer) -> dict[str, Any]:
    settings: dict[str, Any] = {"version": POINTER_VERSION, "kind": pointer.kind}
    if not pointer.is_awaited:
        settings["digest"] = str(pointer.digest)
    if pointer.size_bytes or not pointer.is_awaited:
        settings["size"] = pointer.size_bytes
    if pointer.is_tree:
        settings["files"] = pointer.files
    else:
        settings["executable"] = pointer.executable
    for name in ("type", "description", "remote"):
        if getattr(pointer, name) is not None:
            settings[name] = getattr(pointer, name)
    if pointer.labels:
        settings["labels"] = list(pointer.labels)
    return settings


OWNED_KEYS = ("version", "kind", "digest", "size", "files", "executable", "type", "description", "remote", "labels")
"""The keys that this version knows, besides the tables ``meta`` and ``source``."""


def _rewrite(pointer: Pointer, old: bytes) -> bytes:
    import tomlkit  # 28 ms, and only where a pointer that exists changes

    document = tomlkit.parse(_with_digest(old, pointer.digest))
    _update(document, _settings(pointer), OWNED_KEYS)
    for name in ("meta", "source"):
        table: Mapping[str, Any] = getattr(pointer, name)
        if not table:
            document.pop(name, None)
        elif name in document:
            _update(document[name], table, list(document[name]))
        else:
            document[name] = dict(table)
    return tomlkit.dumps(document).encode()


def _with_digest(old: bytes, digest: Digest) -> bytes:
    """Return a pointer with the digest in its place behind the kind, if it has none and that place is found."""
    before = tomllib.loads(old.decode())
    if "digest" in before or not digest:
        return old
    new = re.sub(rb"^(kind[ \t]*=[^\r\n]*)", rb'\1\ndigest = "%s"' % digest.encode(), old, count=1, flags=re.MULTILINE)
    try:
        return new if tomllib.loads(new.decode()) == {**before, "digest": digest} else old
    except ValueError:
        return old


def _update(table: Any, wanted: Mapping[str, Any], owned: Iterable[str]) -> None:
    """Give a table of tomlkit the wanted values, touching only what differs; owned keys not wanted are removed."""
    present = table.unwrap()
    for name in owned:
        if name in present and name not in wanted:
            del table[name]
    for name, value in wanted.items():
        if name not in present or _value(present[name]) != _value(value):  # in Python 1 == True
            table[name] = value


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _string(text: str) -> str:
    """Return a TOML string: JSON's are TOML's, bar one control character."""
    if re.search("[\ud800-\udfff]", text):
        raise InvalidError(f"a pointer cannot hold {text!r}, which is not UTF-8")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    """Return a TOML value."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)  # also inf and nan, which TOML knows and JSON does not
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    raise InvalidError(f"a pointer cannot hold a {type(value).__name__}")
