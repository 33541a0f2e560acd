"""Contents: what a repository's objects say, by id, as raw bytes; folders are parsed here.

A partial clone lacks objects until they are asked for, and libgit2 does not ask: git is made to.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Sequence

from vstore.errors import GitFailedError
from vstore.git.program import run_git
from vstore.git.store import Store

RelPath = str
"""A path inside the work tree, with slashes; bytes that are not UTF-8 are surrogates, as in ``os.fsdecode``."""

_TREE_ENTRY = {digits: re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % (digits // 2), re.DOTALL) for digits in (40, 64)}
"""What a folder holds, by the number of digits of the repository's ids: SHA-1 or SHA-256."""
_FOLDER = "40000"
_FILE = "100"  # the type; permissions follow it
# `git add --intent-to-add` names the empty content without storing it.
_EMPTY_BLOBS = {
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}


def is_file(mode: str) -> bool:
    """Tell whether a mode in git's octal digits is a file's: not a symbolic link's, folder's or submodule's."""
    return mode.startswith(_FILE)


class Contents:
    """The object store of one repository."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._git_dir = store.git_dir

    def read(self, oid: str) -> bytes:
        """Return the bytes of an object.  Raises GitFailedError where it is missing or damaged."""
        content = self._store.find(oid)
        if content is None and oid in _EMPTY_BLOBS:
            return b""
        if content is None and self._promisor is not None:
            self._fetch([oid])
            content = self._store.find(oid)
        if content is None:
            place = f"the {'shallow ' if self._store.is_shallow else ''}repository {self._git_dir}"
            raise GitFailedError(f"the object {oid} is missing from {place}", path=str(self._git_dir))
        return content

    def iter_read(self, files: Sequence[tuple[RelPath, str]]) -> Iterator[tuple[RelPath, bytes]]:
        """Yield each path with the bytes of its object; what a partial clone lacks is fetched in one go."""
        if self._promisor is not None:
            missing = self._store.list_missing(oid for _, oid in files)
            if missing:
                self._fetch(missing)
        for path, oid in files:
            yield path, self.read(oid)

    def find_entry(self, tree: str, path: RelPath) -> tuple[str, str] | None:
        """Return mode and id of what is at ``path`` ("" is the top) below the folder ``tree``."""
        entry = (_FOLDER, tree)
        for name in filter(None, path.split("/")):
            if entry[0] != _FOLDER:
                return None
            below = {name: (mode, oid) for mode, name, oid in self._iter_folder(entry[1])}
            if name not in below:
                return None
            entry = below[name]
        return entry

    def find_files(self, tree: str, prefix: RelPath, suffix: str) -> list[tuple[RelPath, str]]:
        """Return path and id of each file below ``tree`` that is ``prefix`` or below it and ends with ``suffix``.

        Sorted by path.
        """
        top = self.find_entry(tree, prefix)
        if top is None:
            return []
        found: list[tuple[RelPath, str]] = []
        folders = []
        if top[0] == _FOLDER:
            folders.append((prefix + "/" if prefix else "", top[1]))
        elif is_file(top[0]) and prefix.endswith(suffix):
            found.append((prefix, top[1]))
        while folders:
            above, folder = folders.pop()
            for mode, name, oid in self._iter_folder(folder):
                if mode == _FOLDER:
                    folders.append((f"{above}{name}/", oid))
                elif name.endswith(suffix) and is_file(mode):
                    found.append((above + name, oid))
        found.sort()
        return found

    def _iter_folder(self, oid: str) -> Iterator[tuple[str, str, str]]:
        content = self.read(oid)
        end = 0
        for match in _TREE_ENTRY[len(oid)].finditer(content):
            mode, name, raw = match.groups()
            if match.start() != end:
                break
            end = match.end()
            yield mode.decode(), os.fsdecode(name), raw.hex()
        if end != len(content):
            raise GitFailedError(f"the tree {oid} in {self._git_dir} is damaged", path=str(self._git_dir))

    @functools.cached_property
    def _promisor(self) -> str | None:
        """The remote that holds what this clone left out; None for a clone that is whole."""
        for name, _ in self._store.list_settings():
            if name.startswith("remote.") and name.endswith(".promisor"):
                return name.removeprefix("remote.").removesuffix(".promisor")
        return None

    def _fetch(self, oids: Sequence[str]) -> None:
        assert self._promisor is not None
        # The command that git itself runs for this; asking it for one object at a time costs a connection each.
        options = ["--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin"]
        command = ["-c", "fetch.negotiationAlgorithm=noop", "fetch", self._promisor, *options]
        run_git(self._git_dir, *command, stdin="".join(f"{oid}\n" for oid in oids).encode(), lazily=False)
