"""The files of many commits at once: each folder is read once, however many commits have it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from vstore.errors import GitFailedError
from vstore.git.objects import iter_objects

_ENTRY = re.compile(rb"(\d+) ([^\0]+)\0", re.DOTALL)
_FOLDER = "40000"
_FILE_MODES = {"100644", "100755", "100664"}


class GitFile(NamedTuple):
    """A file of a commit; its path is relative to the folder that was asked about."""

    path: str
    mode: str
    oid: str


class Folders:
    """Finds files below folders; ``is_wanted`` tells by name and object id which ones.

    Symbolic links and submodules are no files.
    """

    def __init__(self, directory: Path, is_wanted: Callable[[str, str], bool]) -> None:
        self._directory = directory
        self._is_wanted = is_wanted
        self._files: dict[str, list[GitFile]] = {}
        self._folders: dict[str, list[tuple[str, str]]] = {}
        self._below: dict[str, tuple[GitFile, ...]] = {}

    def load(self, trees: Iterable[str]) -> None:
        """Read trees and all folders below them.  Raises GitFailedError where one is missing."""
        pending = set(trees) - self._folders.keys()
        while pending:
            below: set[str] = set()
            for found in iter_objects(self._directory, sorted(pending)):
                self._take(found.oid, found.data)
                below.update(oid for _, oid in self._folders[found.oid])
            pending = below - self._folders.keys()

    def list(self, tree: str) -> tuple[GitFile, ...]:
        """Return the wanted files below a tree that was loaded."""
        known = self._below.get(tree)
        if known is None:
            files = list(self._files[tree])
            for name, oid in self._folders[tree]:
                files += [file._replace(path=f"{name}/{file.path}") for file in self.list(oid)]
            known = self._below[tree] = tuple(files)
        return known

    def _take(self, tree: str, data: bytes) -> None:
        width = len(tree) // 2
        files, folders = [], []
        start = 0
        while start < len(data):
            match = _ENTRY.match(data, start)
            end = match.end() + width if match else len(data) + 1
            if match is None or end > len(data):
                raise GitFailedError(f"the tree {tree} in {self._directory} is damaged", path=str(self._directory))
            mode, name, oid = match[1].decode(), os.fsdecode(match[2]), data[match.end() : end].hex()
            if mode == _FOLDER:
                folders.append((name, oid))
            elif mode in _FILE_MODES and self._is_wanted(name, oid):
                files.append(GitFile(name, mode, oid))
            start = end
        self._files[tree], self._folders[tree] = files, folders
