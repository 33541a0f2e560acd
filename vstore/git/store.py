"""What a repository is read through: libgit2, or the git program for forms of repository that libgit2 does not know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol


class Reference(NamedTuple):
    """A branch, a tag or the like; ``commit`` is None where it leads to something else, as a tag of a folder does."""

    name: str
    commit: str | None


class Store(Protocol):
    """The objects, references and settings of one repository.

    Object ids are lower-case hex text of the repository's own length.  All methods raise GitFailedError where the
    repository cannot be read.  Not for several threads at once.
    """

    git_dir: Path
    """What belongs to this work tree alone: its HEAD, its index."""
    work_tree: Path | None
    """The root of the work tree, with no symbolic link in it; None for a bare repository."""

    @property
    def is_shallow(self) -> bool:
        """Whether the history is cut off somewhere."""

    def find(self, oid: str) -> bytes | None:
        """Return the content of an object; None where it is missing."""

    def list_missing(self, oids: Iterable[str]) -> list[str]:
        """Return the objects that are not here, of a repository that may fetch them."""

    def find_commit(self, revision: str) -> str | None:
        """Return the id of the commit that a revision means; None where it means none."""

    def head(self) -> str | None:
        """Return the id of the commit that is checked out; None before the first."""

    def list_references(self) -> list[Reference]:
        """Return all references but symbolic ones, which repeat others or lead nowhere."""

    def iter_ids(self, tips: Iterable[str]) -> Iterator[str]:
        """Yield the id of each commit that is reachable from ``tips``, once, newest first.

        Raises GitFailedError where one is missing, except behind the edge of a shallow clone.
        """

    def find_setting(self, name: str) -> str | None:
        """Return a setting of git's configuration, by its name in lower case."""

    def list_settings(self) -> list[tuple[str, str]]:
        """Return name, in lower case but for a middle part, and value of every setting."""
