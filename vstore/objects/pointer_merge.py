"""Merging pointers: their descriptions key by key, and the form of a pointer that is in conflict.

A pointer in conflict is the text of a pointer with git's markers around the lines that differ.  All above the
``=======`` together with what stands outside of markers is a whole pointer, and so is all below: taking one side by
hand, by deleting the other, gives what ``vstore checkout --ours`` (or ``--theirs``) gives.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vstore.objects.digest import Digest
from vstore.objects.merge import Sides, settle
from vstore.objects.names import RelPath
from vstore.objects.pointer import OWNED_KEYS, Pointer, pointer_from_bytes, pointer_to_bytes

MARKER_CHARACTERS = 7
"""How long git's conflict markers are, unless the attribute ``conflict-marker-size`` says otherwise."""

_MARKER = re.compile(rb"([<|=>])\1{6,}(?: .*)?\r?\n?")
_HEAD = "# Merged by vstore, but for what differs below.\n"
_FILES = "# Files that both sides changed, each in its own way:\n"
_HEADER = re.compile(re.escape(_HEAD.encode()) + rb"(?:" + re.escape(_FILES.encode()) + rb"(?:#   .*\n)*)?")
_MOST_NAMED = 20
_PARTS = ("meta", "source")
_ABSENT = object()


class Contents(NamedTuple):
    """What a pointer stands for."""

    kind: str
    digest: Digest
    size_bytes: int
    files: int

    @classmethod
    def of(cls, pointer: Pointer | None) -> Contents | None:
        """Return the contents of a pointer, if there is one."""
        if pointer is None:
            return None
        return cls(pointer.kind, pointer.digest, pointer.size_bytes, pointer.files)


def merge_pointers(base: bytes | None, ours: bytes, theirs: bytes, contents: Sides[Contents]) -> Sides[bytes]:
    """Merge pointer files, whose contents are merged already; returns the file with conflicts decided for each side.

    ``type``, ``description``, ``remote``, the executable bit and each key of ``[meta]`` are merged by themselves,
    labels as a set, ``[source]`` as a whole; keys that we do not know like those of ``[meta]``.  Comments of both
    sides stay.  Raises what ``pointer_from_bytes`` raises.
    """
    present = [None if data is None else pointer_from_bytes(data, "a pointer") for data in (base, ours, theirs)]
    strangers = _merge_tables(*map(_find_strangers, (base, ours, theirs)))
    text = _with_comments(ours, base, theirs)
    return Sides(
        *(
            _write(text, _merge_values(present, contents, side), strangers[side])  # one after the other, by number
            for side in range(3)
        )
    )


def _merge_values(present: Sequence[Pointer | None], contents: Sides[Contents], side: int) -> Pointer:
    def merged(name: str, default: Any = None) -> Any:
        return settle(*(getattr(pointer, name) if pointer is not None else default for pointer in present))[side]

    chosen = contents[side]
    return Pointer(
        kind=chosen.kind,
        digest=chosen.digest,
        size_bytes=chosen.size_bytes,
        files=chosen.files,
        executable=chosen.kind == "file" and merged("executable", False),
        type=merged("type"),
        description=merged("description"),
        labels=_merge_labels(*(pointer.labels if pointer is not None else () for pointer in present)),
        remote=merged("remote"),
        meta=_merge_tables(*(pointer.meta if pointer is not None else {} for pointer in present))[side],
        source=merged("source", {}),
    )


def _merge_labels(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    kept = [label for label in ours if label in theirs or label not in base]
    return (*kept, *(label for label in theirs if label not in base and label not in ours))


def _merge_tables(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Sides[dict[str, Any]]:
    """Merge tables key by key, in the order of ours; tables in them, too."""
    merged = Sides[dict[str, Any]]({}, {}, {})
    for key in dict.fromkeys([*ours, *theirs]):
        values = [table.get(key, _ABSENT) for table in (base, ours, theirs)]
        if isinstance(values[1], Mapping) and isinstance(values[2], Mapping):
            had_table = isinstance(values[0], Mapping)
            value: Sides[Any] = _merge_tables(values[0] if had_table else {}, values[1], values[2])
            if not had_table and not value.base:
                value = value._replace(base=_ABSENT)
        else:
            value = settle(*values)
        for table, chosen in zip(merged, value, strict=True):
            if chosen is not _ABSENT:
                table[key] = chosen
    return merged


def _find_strangers(data: bytes | None) -> dict[str, Any]:
    """Return the values of a pointer file that are not ours."""
    values = {} if data is None else tomllib.loads(data.decode())
    return {key: value for key, value in values.items() if key not in (*OWNED_KEYS, *_PARTS)}


def _write(text: bytes, pointer: Pointer, strangers: Mapping[str, Any]) -> bytes:
    if _find_strangers(text) != strangers:
        import tomlkit  # 28 ms, and only here

        document = tomlkit.parse(text)
        for key in _find_strangers(text).keys() - strangers.keys():
            del document[key]
        for key, value in strangers.items():
            if key not in document or document[key].unwrap() != value:
                document[key] = value
        text = tomlkit.dumps(document).encode()
    return pointer_to_bytes(pointer, text)


def _with_comments(ours: bytes, base: bytes | None, theirs: bytes) -> bytes:
    """Return our file with the comments that they added, at the top: where they stood, something else may stand now."""
    known = {*_iter_comments(ours), *(_iter_comments(base) if base is not None else ())}
    fresh = [comment for comment in dict.fromkeys(_iter_comments(theirs)) if comment not in known]
    return "".join(comment + "\n" for comment in fresh).encode() + ours


def _iter_comments(data: bytes) -> Iterator[str]:
    if b"#" not in data:
        return
    import tomlkit
    from tomlkit.items import AoT, Item, Table, Whitespace

    pending: list[Any] = [tomlkit.parse(data)]
    while pending:
        for _, item in pending.pop(0).body:
            if isinstance(item, Item) and not isinstance(item, Whitespace) and item.trivia.comment:
                yield item.trivia.comment.strip()
            if isinstance(item, Table):
                pending.append(item.value)
            elif isinstance(item, AoT):
                pending += [table.value for table in item.body]


# The form of a conflict.


def conflict_to_bytes(
    ours: bytes, theirs: bytes, paths: Sequence[RelPath] | None, marker_characters: int = MARKER_CHARACTERS
) -> bytes:
    """Return the file of a pointer that is in conflict.

    ``paths`` are the files of its tree that both sides changed, each in its own way; None says that nothing was merged.
    """
    header = "" if paths is None else _HEAD
    if paths:
        named = [json.dumps(path) if not path.isprintable() else path for path in paths[:_MOST_NAMED]]
        if len(paths) > _MOST_NAMED:
            named.append(f"... and {len(paths) - _MOST_NAMED:,} more")
        header += _FILES + "".join(f"#   {name}\n" for name in named)
    lines, others = _end_line(ours).splitlines(keepends=True), _end_line(theirs).splitlines(keepends=True)
    start = _count_common(lines, others)
    end = _count_common(lines[start:][::-1], others[start:][::-1])
    differing, other = lines[start : len(lines) - end], others[start : len(others) - end]
    if differing or other:
        differing = [_marker("<", marker_characters, "ours"), *differing, _marker("=", marker_characters)]
        differing += [*other, _marker(">", marker_characters, "theirs")]
    return b"".join([header.encode(), *lines[:start], *differing, *lines[len(lines) - end :]])


def _count_common(lines: Sequence[bytes], others: Sequence[bytes]) -> int:
    """Return how many lines are the same at the beginning."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(lines, others, strict=False)))


def split_conflict(data: bytes) -> Sides[bytes] | None:
    """Return the two whole pointers in one that is in conflict, also if git merged it as text; None if it is in none.

    What the ancestor had is as our side where nothing tells it.
    """
    sides: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
    order = {b"<": (1,), b"|": (0,), b"=": (2,), b">": (0, 1, 2)}
    before = {b"<": [b">"], b"|": [b"<"], b"=": [b"<", b"|"], b">": [b"="]}
    last, found, has_base = b">", False, False
    for line in data[_header_bytes(data) :].splitlines(keepends=True):
        marker = _MARKER.fullmatch(line)
        if marker and last in before[marker[1]]:
            last, found = marker[1], True
            has_base = has_base or last == b"|"
            continue
        for number in order[last]:
            sides[number].append(line)
    if not found or last != b">":
        return None
    ours, theirs = b"".join(sides[1]), b"".join(sides[2])
    return Sides(b"".join(sides[0]) if has_base else ours, ours, theirs)


def is_merged(data: bytes) -> bool:
    """Tell whether a pointer in conflict is merged but for what differs: then each of its sides is, too."""
    return _header_bytes(data) > 0


def _header_bytes(data: bytes) -> int:
    header = _HEADER.match(data)
    return header.end() if header else 0


def _end_line(data: bytes) -> bytes:
    return data if data.endswith(b"\n") or not data else data + b"\n"


def _marker(character: str, length: int, label: str = "") -> bytes:
    return f"{character * length} {label}".rstrip().encode() + b"\n"


def with_contents(pointer: bytes, contents: Contents) -> bytes:
    """Return a pointer file that stands for other contents.  Raises what ``pointer_from_bytes`` raises."""
    present = pointer_from_bytes(pointer, "a pointer")
    fields = contents._asdict()
    executable = present.executable and contents.kind == "file"
    return pointer_to_bytes(dataclasses.replace(present, **fields, executable=executable), pointer)
