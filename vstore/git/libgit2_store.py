"""Reading a repository through libgit2: without starting a process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel, SortMode

from vstore.git.failures import git_errors
from vstore.git.store import Reference


def has_repository(path: Path) -> bool:
    """Tell whether a repository holds the directory ``path``."""
    with git_errors(path):
        return pygit2.discover_repository(os.fspath(path)) is not None


def user_directories() -> tuple[Path, Path]:
    """Return the user's home and directory of git settings, as libgit2 knows them."""
    search = pygit2.settings.search_path
    home, own = (search[level].partition(os.pathsep)[0] for level in (ConfigLevel.GLOBAL, ConfigLevel.XDG))
    return Path(home), Path(own)


class Libgit2Store:
    """The repository that holds the directory ``path``, as libgit2 sees it."""

    def __init__(self, path: str) -> None:
        with git_errors(Path(path)):
            self.repository = pygit2.Repository(path)
            self.git_dir = Path(self.repository.path)
            self.work_tree = None if self.repository.is_bare else Path(self.repository.workdir)

    @property
    def is_shallow(self) -> bool:
        """Whether the history is cut off somewhere."""
        return self.repository.is_shallow

    def find(self, oid: str) -> bytes | None:
        """Return the content of an object; None where it is missing."""
        with git_errors(self.git_dir):
            try:
                return self.repository.read(oid)[1]
            except KeyError:
                return None

    def list_missing(self, oids: Iterable[str]) -> list[str]:
        """Return the objects that are not here."""
        with git_errors(self.git_dir):
            return [oid for oid in oids if pygit2.Oid(hex=oid) not in self.repository]

    def find_commit(self, revision: str) -> str | None:
        """Return the id of the commit that a revision means; None where it means none."""
        if "\0" in revision:
            return None  # libgit2 would only see what is before it
        with git_errors(self.git_dir):
            try:
                return str(self.repository.revparse_single(revision).peel(pygit2.Commit).id)
            except (KeyError, ValueError):
                return None

    def head(self) -> str | None:
        """Return the id of the commit that is checked out; None before the first."""
        with git_errors(self.git_dir):
            return None if self.repository.head_is_unborn else str(self.repository.head.target)

    def list_references(self) -> list[Reference]:
        """Return all references but symbolic ones."""
        found = []
        with git_errors(self.git_dir):
            for reference in self.repository.listall_reference_objects():
                if isinstance(reference.target, pygit2.Oid):
                    commit = None
                    with contextlib.suppress(pygit2.InvalidSpecError):
                        commit = str(reference.peel(pygit2.Commit).id)
                    found.append(Reference(reference.name, commit))
        return found

    def iter_ids(self, tips: Iterable[str]) -> Iterator[str]:
        """Yield the id of each commit that is reachable from ``tips``, once, newest first."""
        with git_errors(self.git_dir):
            walker = self.repository.walk(None, SortMode.TIME)
            for tip in tips:
                walker.push(tip)
        while True:
            with git_errors(self.git_dir):
                commit = next(walker, None)
            if commit is None:
                return
            yield str(commit.id)

    def find_setting(self, name: str) -> str | None:
        """Return a setting of git's configuration."""
        with git_errors(self.git_dir):
            # A setting without a value, as git allows it, has the value None.
            return (self.repository.config[name] or "") if name in self.repository.config else None

    def list_settings(self) -> list[tuple[str, str]]:
        """Return name and value of every setting."""
        with git_errors(self.git_dir):
            return [(entry.name, entry.value or "") for entry in self.repository.config]

    def iter_index(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield path, stage, mode in octal digits and object of each entry of the index, for where git is missing."""
        with git_errors(self.git_dir):
            index = self.repository.index
            index.read()
            in_conflict = set()
            for sides in index.conflicts or ():
                for stage, entry in enumerate(sides, 1):
                    if entry is not None:
                        in_conflict.add(entry.path)
                        yield entry.path, stage, f"{entry.mode:o}", str(entry.id)
            for entry in index:
                if entry.path not in in_conflict:
                    yield entry.path, 0, f"{entry.mode:o}", str(entry.id)
