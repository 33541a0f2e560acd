"""Differences: which files of artifacts were added, deleted, modified or renamed.

They are kept as lines of trees, with whole paths, and parsed when somebody looks: a million differences take little
more memory than the trees that differ.
"""

from __future__ import annotations

import heapq
import itertools
import operator
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from vstore.objects.digest import DIGEST_PATTERN, Buffer, Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import (
    EXECUTABLE,
    FILE,
    TREE_HEADER,
    Entry,
    diff_trees,
    escape,
    iter_differing,
    iter_entries,
    parse_lines,
    unescape,
)

NO_ENTRIES = TREE_HEADER.encode()
_LINE = re.compile(rb"^([fxld])\t([0-9]+)\t(" + DIGEST_PATTERN.encode() + rb"|[^\t\n]*)\t([^\n]+)$", re.MULTILINE)
_NONE = -1
_OFFSET_BITS = 40


class Change(NamedTuple):
    """One file that differs, as it was and as it is: None on the side where it is not.  Paths are whole.

    Where the paths differ it was renamed.
    """

    old: Entry | None
    new: Entry | None


def encode_file(pointer: Pointer) -> bytes:
    """Return the pointer of a file as if it were a tree, in which it has no name."""
    kind = EXECUTABLE if pointer.executable else FILE
    return NO_ENTRIES + f"{kind}\t{pointer.size_bytes}\t{pointer.digest}\t\n".encode()


class FileChanges:
    """The files of one artifact that differ.  Iterating yields each Change, by path.

    ``wanted`` are the paths to look at, all if there are none; those in ``without`` are left out.
    """

    def __init__(self, *, wanted: Sequence[RelPath] = (), without: Sequence[RelPath] = ()) -> None:
        self.growth_bytes = 0
        """By how much all files together grew."""
        self.modified = 0
        self._wanted, self._without = wanted, without
        self._added, self._deleted = bytearray(), bytearray()
        self._modified = bytearray(), bytearray()
        self._away = bytearray()
        """Of each deleted file whether it is told as the source of a renamed one."""
        self._sources = array("q")
        """Of each added file where the one is that it was: the number of its changes, and where its line begins."""
        self._all: Sequence[FileChanges] = ()

    def compare(self, path: RelPath, old: Buffer, new: Buffer) -> None:
        """Add what differs between two trees (or what ``encode_file`` returns) at a path.

        Raises CorruptError, NewerFormatError.  Names are not checked.
        """
        prefix = escape(path).encode()
        for lines in iter_differing(old, new):
            before, after = (self._place(prefix, side) for side in lines)
            for name, (size, line) in after.items():
                self.growth_bytes += size
                if name in before:
                    self.modified += 1
                    self._modified[0].extend(before[name][1])
                    self._modified[1].extend(line)
                else:
                    self._sources.append(_NONE)
                    self._added += line
            for name, (size, line) in before.items():
                self.growth_bytes -= size
                if name not in after:
                    self._away.append(0)
                    self._deleted += line

    def _place(self, prefix: bytes, lines: list[bytes]) -> dict[RelPath, tuple[int, bytes]]:
        """Return size and line by path, in the order of the lines; the lines now have whole paths."""
        placed = []
        for line in lines:
            facts, tab, inner = line.rpartition(b"\t")
            placed.append(facts + tab + (prefix + b"/" + inner if inner else prefix))
        return {
            entry.path: (entry.size_bytes, line + b"\n")
            for entry, line in zip(parse_lines(placed), placed, strict=True)
            if (not self._wanted or _is_inside(entry.path, self._wanted)) and not _is_inside(entry.path, self._without)
        }

    @property
    def renamed(self) -> int:
        """How many files were another file of the same content."""
        return len(self._sources) - self.added

    @property
    def added(self) -> int:
        """How many files are new."""
        return self._sources.count(_NONE)

    @property
    def deleted(self) -> int:
        """How many files are gone, and not renamed to any."""
        return self._away.count(0)

    def __len__(self) -> int:
        return len(self._sources) + self.deleted + self.modified

    def __iter__(self) -> Iterator[Change]:
        deleted = itertools.compress(iter_entries(self._deleted), (not away for away in self._away))
        streams = [
            ((entry.path, Change(entry, None)) for entry in deleted),
            (
                (entry.path, Change(None if source == _NONE else self._read_source(source), entry))
                for entry, source in zip(iter_entries(self._added), self._sources, strict=True)
            ),
            ((new.path, Change(old, new)) for old, new in zip(*map(iter_entries, self._modified), strict=True)),
        ]
        return map(operator.itemgetter(1), heapq.merge(*streams, key=operator.itemgetter(0)))

    def _read_source(self, source: int) -> Entry:
        lines = self._all[source >> _OFFSET_BITS]._deleted
        start = source & ((1 << _OFFSET_BITS) - 1)
        # It was parsed before: what is on it is good.
        kind, size, digest, path = lines[start : lines.index(b"\n", start)].decode().split("\t")
        return Entry(unescape(path), kind, int(size), Digest(digest))


def find_renames(changes: Sequence[FileChanges]) -> None:
    """Tell as renamed what was deleted and came back, with the same content, under another name, in any artifact.

    Each deleted file is found again once at most: further copies are added.  Of several with one content those with
    the same last name belong together; else they are taken in their order.  Empty files are the same only if their
    last names are.
    """
    gone = _Gone(changes)
    for key in (_content_and_name, _content):
        gone.match(key)


def _content_and_name(line: re.Match[bytes]) -> bytes | None:
    return line[3] + b"\t" + line[4].rpartition(b"/")[2] if line[1] in b"fx" else None


def _content(line: re.Match[bytes]) -> bytes | None:
    return line[3] if line[1] in b"fx" and line[2] != b"0" else None


def _is_inside(path: RelPath, directories: Sequence[RelPath]) -> bool:
    return any(path == directory or path.startswith(directory + "/") for directory in directories)


class _Gone:
    """All deleted files, numbered: of each the number of its changes, its row there, and where its line begins."""

    def __init__(self, changes: Sequence[FileChanges]) -> None:
        self._changes = changes
        self._numbers, self._rows, self._offsets = array("q"), array("q"), array("q")

    def match(self, key: Callable[[re.Match[bytes]], bytes | None]) -> None:
        """Join each added file that has no source to the first deleted one of the same key that is still free."""
        if not any(changes.added for changes in self._changes):
            return
        first = self._list_by(key)
        if not first:
            return
        for changes in self._changes:
            changes._all = self._changes
            for row, line in enumerate(_LINE.finditer(changes._added)):
                if changes._sources[row] != _NONE or (found := key(line)) not in first:
                    continue
                assert found is not None
                chosen = first[found]
                if self._following[chosen] == _NONE:
                    del first[found]
                else:
                    first[found] = self._following[chosen]
                number = self._numbers[chosen]
                changes._sources[row] = number << _OFFSET_BITS | self._offsets[chosen]
                self._changes[number]._away[self._rows[chosen]] = 1

    def _list_by(self, key: Callable[[re.Match[bytes]], bytes | None]) -> dict[bytes, int]:
        """Return the first free file of each key; ``_following`` has, for each file, the next one of its key."""
        self._numbers, self._rows, self._offsets = array("q"), array("q"), array("q")
        self._following, last = array("q"), array("q")
        first: dict[bytes, int] = {}
        for number, changes in enumerate(self._changes):
            for row, line in enumerate(_LINE.finditer(changes._deleted)):
                found = None if changes._away[row] else key(line)
                if found is None:
                    continue
                me = len(self._following)
                head = first.setdefault(found, me)
                self._following.append(_NONE)
                last.append(me)
                if head != me:
                    self._following[last[head]] = me
                    last[head] = me
                self._numbers.append(number)
                self._rows.append(row)
                self._offsets.append(line.start())
        return first


def is_between(now: Buffer, one: Buffer, other: Buffer) -> bool:
    """Tell whether each path in a tree is as in one of two others, be it that it is in neither.

    Raises as ``diff_trees``.
    """
    differ, differ_too = (
        {entry.path for entry in (*added, *deleted, *(new for _, new in modified))}
        for added, deleted, modified in (diff_trees(one, now), diff_trees(other, now))
    )
    return differ.isdisjoint(differ_too)
