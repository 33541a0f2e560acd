"""Many objects of a repository at once, by the git program, which reads every format."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vstore.errors import GitFailedError
from vstore.git.program import run_git

_AT_ONCE = 1000


class GitObject(NamedTuple):
    """One object: its id, what it is ("blob", "tree", "commit", "tag"), and its content."""

    oid: str
    kind: str
    data: bytes


def find_sizes(directory: Path, oids: Iterable[str]) -> dict[str, int]:
    """Return the size of each blob among some objects, in bytes; what is no blob, or not here, is left out."""
    sizes = {}
    for line in run_git(directory, "cat-file", "--batch-check", stdin=_lines(oids)).splitlines():
        words = line.decode().split()
        if len(words) == 3 and words[1] == "blob":
            sizes[words[0]] = int(words[2])
    return sizes


def iter_objects(directory: Path, oids: Iterable[str]) -> Iterator[GitObject]:
    """Yield objects in the order in which they are named.  Raises GitFailedError where one is missing."""
    remaining = iter(oids)
    while some := list(itertools.islice(remaining, _AT_ONCE)):
        output = run_git(directory, "cat-file", "--batch", stdin=_lines(some))
        start = 0
        for oid in some:
            end = output.find(b"\n", start)
            words = output[start:end].decode(errors="replace").split()
            if end < 0 or len(words) != 3:
                raise GitFailedError(f"{directory} lacks the object {oid}", path=str(directory))
            start = end + 1 + int(words[2])
            yield GitObject(words[0], words[1], output[end + 1 : start])
            start += 1


def _lines(oids: Iterable[str]) -> bytes:
    return "".join(f"{oid}\n" for oid in oids).encode()
