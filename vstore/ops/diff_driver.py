"""``diff-driver``: what a pointer stands for, as lines that git compares in ``git diff`` and ``git log -p``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.durable import os_errors
from vstore.errors import VstoreError
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.names import RelPath
from vstore.objects.pointer import pointer_from_bytes
from vstore.objects.tree import Entry, Tree
from vstore.ops.trees import find_tree
from vstore.repo import open_repo

MOST_ROWS = 100_000
"""How many files are told one by one.  git compares as many lines in a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Row:
    """A file of a tree, or all those whose paths begin alike, where there are too many to tell each."""

    path: RelPath
    entry: Entry | None
    files: int
    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class DiffDriverResult:
    """A pointer file as it is, and what it stands for; no rows where that is a file, or its list is not here."""

    pointer: bytes
    rows: list[Row]


def diff_driver(start: Path, file: Path) -> DiffDriverResult:
    """Tell what a version of a pointer, in a file that git hands over, stands for, as far as the cache knows it.

    No remote is asked: git asks for every version of a long history.  Raises what reading ``file`` raises.
    """
    with os_errors(file, "read"):
        data = file.read_bytes()
    try:
        pointer = pointer_from_bytes(data, os.fspath(file))
        with open_repo(start) as repo:
            tree = find_tree(repo, pointer.digest) if pointer.is_tree else None
        entries = [] if tree is None else Tree.from_bytes(tree).entries
        return DiffDriverResult(data, list_rows(entries, algorithm_of(pointer.digest).name))
    except VstoreError:
        return DiffDriverResult(data, [])


def list_rows(entries: Sequence[Entry], algorithm: str, most: int = MOST_ROWS) -> list[Row]:
    """Return a row for each entry, or at most so many for those whose paths begin alike."""
    if len(entries) <= most:
        return [Row(entry.path, entry, int(entry.is_file), entry.size_bytes, entry.digest) for entry in entries]
    # The more characters of their paths, the more beginnings there are.
    fitting, too_long = 0, max(len(entry.path) for entry in entries) + 1
    while too_long - fitting > 1:
        length = (fitting + too_long) // 2
        if len({entry.path[:length] for entry in entries}) <= most:
            fitting = length
        else:
            too_long = length
    rows = []
    for beginning, alike in itertools.groupby(entries, lambda entry: entry.path[:fitting]):
        group = list(alike)
        digest = hash_bytes(Tree(group).to_bytes(), algorithm)
        files, size = sum(entry.is_file for entry in group), sum(entry.size_bytes for entry in group)
        rows.append(Row(beginning, None, files, size, digest))
    return rows
