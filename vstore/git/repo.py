"""One git repository: its places, what it tracks and ignores, and its history.

Reading takes no lock and writes nothing, except that git fetches what a partial clone left out.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel, SortMode

from vstore.durable import os_errors
from vstore.errors import GitRepositoryNotFoundError, RevisionNotFoundError
from vstore.git.contents import Contents, RelPath, is_file
from vstore.git.failures import git_errors
from vstore.git.ignore_match import IgnoreMatcher
from vstore.git.index import Index


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; ``time_s`` is when it was committed, in seconds since 1970, ``subject`` its first paragraph."""

    id: str
    parents: tuple[str, ...]
    author: str
    email: str
    time_s: int
    subject: str


def find_git_repo(path: Path) -> GitRepo | None:
    """Return the repository whose work tree holds the directory ``path``; None where there is none, or a bare one.

    Raises GitFailedError for one that cannot be opened: of an unsupported format, broken, or owned by someone else.
    """
    repository = _find(path)
    return None if repository is None or repository.is_bare else GitRepo(repository)


def get_git_repo(path: Path) -> GitRepo:
    """Return the repository whose work tree holds the directory ``path``.

    Raises GitRepositoryNotFoundError where there is none, or a bare one; else as ``find_git_repo``.
    """
    repository = _find(path)
    if repository is None:
        raise GitRepositoryNotFoundError(f"no git repository holds {path}", path=str(path))
    if repository.is_bare:
        place = repository.path.rstrip("/")
        raise GitRepositoryNotFoundError(f"the git repository {place} is bare: it has no work tree", path=str(path))
    return GitRepo(repository)


class GitRepo:
    """A git repository with a work tree.  Not for several threads at once."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._contents = Contents(repository)
        self._index = Index(repository)
        self.work_tree = Path(repository.workdir)
        """The root of the work tree; no part of it is a symbolic link."""
        self.git_dir = Path(repository.path)
        """What belongs to this work tree alone: its HEAD, its index."""
        self.common_dir = _common_dir(self.git_dir)
        """What all work trees of the repository share: objects, branches, hooks."""
        self._ignore = _ignore_matcher(repository, self.common_dir)

    @property
    def is_shallow(self) -> bool:
        """Whether the history is cut off somewhere."""
        return self._repository.is_shallow

    # The index and the work tree.

    def has_tracked(self, path: RelPath) -> bool:
        """Tell whether the index holds ``path`` or anything below it."""
        return next(self._index.iter_below(path), None) is not None

    def iter_tracked(self, prefix: RelPath = "", suffix: str = "") -> Iterator[RelPath]:
        """Yield each path in the index that is ``prefix`` or below it and ends with ``suffix``, once, sorted."""
        for path, _ in itertools.groupby(entry.path for entry in self._index.iter_below(prefix)):
            if path.endswith(suffix):
                yield path

    def is_ignored(self, path: RelPath, *, directory: bool = False) -> bool:
        """Tell whether the ignore rules cover a path, tracked or not; it need not exist.

        ``directory`` tells what it is, or is going to be.  Costs some 10 µs.
        """
        return self._ignore.is_ignored(os.fsencode(path), directory=directory)

    def stage(self, paths: Sequence[RelPath], wait_s: float) -> None:
        """Put each path into the index as it is in the work tree, or take it out where it is gone there.

        All or nothing, in one write; other entries stay.  Waits up to ``wait_s`` seconds for git's own lock, then
        raises LockedError; raises GitFailedError where git refuses, or is not installed.
        """
        self._index.stage(paths, wait_s)

    # History.

    def resolve(self, revision: str) -> str:
        """Return the id of the commit that ``revision`` means: a branch, a tag, HEAD~2, a short id ...

        Raises RevisionNotFoundError.
        """
        return str(self._get_commit(revision).id)

    def head(self) -> str | None:
        """Return the id of the commit that is checked out; None before the first commit."""
        with git_errors(self.git_dir):
            return None if self._repository.head_is_unborn else str(self._repository.head.target)

    def commit(self, revision: str) -> Commit:
        """Return what is known of a commit.  Raises RevisionNotFoundError."""
        return _facts_of(self._get_commit(revision))

    def branch_tips(self) -> dict[str, str]:
        """Return the commit of each local and remote-tracking branch, by full name (refs/heads/main)."""
        with git_errors(self.git_dir):
            return {
                reference.name: str(reference.target)
                for reference in self._repository.listall_reference_objects()
                if reference.name.startswith(("refs/heads/", "refs/remotes/"))
                # A symbolic one (origin/HEAD) repeats another branch, or names one that is gone.
                and isinstance(reference.target, pygit2.Oid)
            }

    def tag_tips(self) -> dict[str, str]:
        """Return the commit of each tag, by full name (refs/tags/v1); a tag of something else is left out."""
        tips = {}
        with git_errors(self.git_dir):
            for reference in self._repository.listall_reference_objects():
                if reference.name.startswith("refs/tags/"):
                    with contextlib.suppress(pygit2.InvalidSpecError):
                        tips[reference.name] = str(reference.peel(pygit2.Commit).id)
        return tips

    def iter_commits(self, tips: Iterable[str]) -> Iterator[Commit]:
        """Yield each commit that is reachable from the commit ids ``tips``, once, newest first.

        Raises GitFailedError where one is missing, except behind the edge of a shallow clone.
        """
        with git_errors(self.git_dir):
            walker = self._repository.walk(None, SortMode.TIME)
            for tip in tips:
                walker.push(tip)
        while True:
            with git_errors(self.git_dir):
                commit = next(walker, None)
            if commit is None:
                return
            yield _facts_of(commit)

    # Files of a revision or of the index.  Symbolic links and submodules are no files.

    def find_file(self, revision: str, path: RelPath) -> bytes | None:
        """Return the content of a file of a revision; None where it has no such file.  Raises as ``iter_files``."""
        entry = self._contents.find_entry(self._get_tree(revision), path)
        return self._contents.read(entry[1]) if entry and is_file(entry[0]) else None

    def iter_files(self, revision: str, suffix: str, prefix: RelPath = "") -> Iterator[tuple[RelPath, bytes]]:
        """Yield path and content of each file of a revision that is ``prefix`` or below it and ends with ``suffix``.

        Sorted by path.  Raises RevisionNotFoundError, and GitFailedError where an object is missing or damaged.
        """
        files = self._contents.find_files(self._get_tree(revision), prefix, suffix)
        return self._contents.iter_read(files)

    def iter_index_files(self, suffix: str, stage: int = 0) -> Iterator[tuple[RelPath, bytes]]:
        """Yield path and content of each file of the index that ends with ``suffix``, sorted by path.

        ``stage`` is 0 for what the next commit will hold; 1, 2 and 3 for the ancestor, our side and their side
        of conflicts.  Raises GitFailedError where an object is missing or damaged.
        """
        entries = (entry for entry in self._index.iter_below("") if entry.stage == stage and is_file(entry.mode))
        return self._contents.iter_read([(entry.path, entry.oid) for entry in entries if entry.path.endswith(suffix)])

    def _get_tree(self, revision: str) -> str:
        return str(self._get_commit(revision).tree_id)

    def _get_commit(self, revision: str) -> pygit2.Commit:
        with git_errors(self.git_dir):
            try:
                if "\0" in revision:
                    raise ValueError("libgit2 would only see what is before the NUL")
                return self._repository.revparse_single(revision).peel(pygit2.Commit)
            except (KeyError, ValueError) as error:
                raise RevisionNotFoundError(f"no commit is called {revision!r}", revision=revision) from error


def _find(path: Path) -> pygit2.Repository | None:
    with git_errors(path):
        found = pygit2.discover_repository(os.fspath(path))
        return None if found is None else pygit2.Repository(found)


def _common_dir(git_dir: Path) -> Path:
    link = git_dir / "commondir"
    with os_errors(link, "read"):
        try:
            return Path(os.path.realpath(git_dir / os.fsdecode(link.read_bytes().rstrip(b"\r\n"))))
        except FileNotFoundError:
            return git_dir


def _ignore_matcher(repository: pygit2.Repository, common_dir: Path) -> IgnoreMatcher:
    with git_errors(Path(repository.path)):
        search = pygit2.settings.search_path
        home = Path(search[ConfigLevel.GLOBAL].partition(os.pathsep)[0])
        if "core.excludesfile" in repository.config:
            everywhere = home / (repository.config["core.excludesfile"] or "").removeprefix("~/")
        else:
            everywhere = Path(search[ConfigLevel.XDG].partition(os.pathsep)[0], "ignore")
        ignore_case = "core.ignorecase" in repository.config and repository.config.get_bool("core.ignorecase")
    return IgnoreMatcher(Path(repository.workdir), [everywhere, common_dir / "info/exclude"], ignore_case=ignore_case)


def _facts_of(commit: pygit2.Commit) -> Commit:
    # A commit may claim any encoding, and be wrong.
    paragraph = commit.raw_message.decode(errors="replace").lstrip("\n").partition("\n\n")[0]
    return Commit(
        id=str(commit.id),
        parents=tuple(map(str, commit.parent_ids)),
        author=commit.author.raw_name.decode(errors="replace"),
        email=commit.author.raw_email.decode(errors="replace"),
        time_s=commit.commit_time,
        subject=" ".join(paragraph.split()),
    )
