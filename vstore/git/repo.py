"""One git repository: its places, what it tracks and ignores, and its history.

Reading takes no lock and writes nothing, except that git fetches what a partial clone left out.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vstore.durable import os_errors
from vstore.errors import GitFailedError, GitRepositoryNotFoundError, RevisionNotFoundError
from vstore.git.commit import Commit, commit_from_bytes, tree_of
from vstore.git.contents import Contents, RelPath, is_file
from vstore.git.ignore_match import IgnoreMatcher
from vstore.git.index import Index
from vstore.git.libgit2_store import Libgit2Store, has_repository, user_directories
from vstore.git.locks import OnWait
from vstore.git.program import has_git, run_git
from vstore.git.program_store import ProgramStore
from vstore.git.store import Store


def find_git_repo(path: Path) -> GitRepo | None:
    """Return the repository whose work tree holds the directory ``path``; None where there is none, or a bare one.

    Raises GitFailedError for one that cannot be opened: of an unsupported format, broken, or owned by someone else.
    """
    store = _find(path)
    return None if store is None or store.work_tree is None else GitRepo(store.work_tree, store)


def get_git_repo(path: Path) -> GitRepo:
    """Return the repository whose work tree holds the directory ``path``.

    Raises GitRepositoryNotFoundError where there is none, or a bare one; else as ``find_git_repo``.
    """
    store = _find(path)
    if store is None:
        raise GitRepositoryNotFoundError(f"no git repository holds {path}", path=str(path))
    if store.work_tree is None:
        fact = f"the git repository {store.git_dir} is bare: it has no work tree"
        raise GitRepositoryNotFoundError(fact, path=str(path))
    return GitRepo(store.work_tree, store)


class GitRepo:
    """A git repository with a work tree.  Not for several threads at once."""

    def __init__(self, work_tree: Path, store: Store) -> None:
        self._store = store
        self._contents = Contents(store)
        self._index = Index(work_tree, store)
        self.work_tree = work_tree
        """The root of the work tree; no part of it is a symbolic link."""
        self.git_dir = store.git_dir
        """What belongs to this work tree alone: its HEAD, its index."""
        self.common_dir = _common_dir(self.git_dir)
        """What all work trees of the repository share: objects, branches, hooks."""
        self._ignore = _ignore_matcher(work_tree, store, self.common_dir)

    @property
    def is_shallow(self) -> bool:
        """Whether the history is cut off somewhere."""
        return self._store.is_shallow

    def with_index(self, path: Path) -> GitRepo:
        """Return the same repository with another index, such as the one that git is about to commit."""
        other = copy.copy(self)
        other._index = Index(self.work_tree, self._store, path)
        return other

    # The index and the work tree.

    def has_tracked(self, path: RelPath) -> bool:
        """Tell whether the index holds ``path`` or anything below it."""
        return next(self._index.iter_below(path), None) is not None

    def is_left_out(self, path: RelPath) -> bool:
        """Tell whether the index holds a file that a sparse checkout does not bring to the work tree."""
        return run_git(self.work_tree, "ls-files", "-t", "--", f":(top,literal){path}").startswith(b"S ")

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

    def stage(self, paths: Sequence[RelPath], wait_s: float, on_wait: OnWait = lambda _: None) -> None:
        """Put each path into the index as it is in the work tree, or take it out where it is gone there.

        All or nothing, in one write; other entries stay.  Waits up to ``wait_s`` seconds for git's own lock, of which
        ``on_wait`` hears, then raises LockedError; raises GitFailedError where git refuses, or is not installed.
        """
        self._index.stage(paths, wait_s, on_wait)

    def unstage(self, paths: Sequence[RelPath], wait_s: float, on_wait: OnWait = lambda _: None) -> None:
        """Take each path out of the index; the files stay.  Otherwise as ``stage``."""
        self._index.remove(paths, wait_s, on_wait)

    # History.

    def resolve(self, revision: str) -> str:
        """Return the id of the commit that ``revision`` means: a branch, a tag, HEAD~2, a short id ...

        Raises RevisionNotFoundError.
        """
        commit = self._store.find_commit(revision)
        if commit is None:
            raise RevisionNotFoundError(f"no commit is called {revision!r}", revision=revision)
        return commit

    def head(self) -> str | None:
        """Return the id of the commit that is checked out; None before the first commit."""
        return self._store.head()

    def commit(self, revision: str) -> Commit:
        """Return what is known of a commit.  Raises RevisionNotFoundError."""
        return self._read_commit(self.resolve(revision))

    def branch_tips(self) -> dict[str, str]:
        """Return the commit of each local and remote-tracking branch, by full name (refs/heads/main)."""
        return self._tips("refs/heads/", "refs/remotes/")

    def tag_tips(self) -> dict[str, str]:
        """Return the commit of each tag, by full name (refs/tags/v1); a tag of something else is left out."""
        return self._tips("refs/tags/")

    def _tips(self, *prefixes: str) -> dict[str, str]:
        references = self._store.list_references()
        return {name: commit for name, commit in references if name.startswith(prefixes) and commit is not None}

    def iter_commits(self, tips: Iterable[str]) -> Iterator[Commit]:
        """Yield each commit that is reachable from the commit ids ``tips``, once, newest first.

        Raises GitFailedError where one is missing, except behind the edge of a shallow clone.
        """
        return map(self._read_commit, self._store.iter_ids(tips))

    def _read_commit(self, oid: str) -> Commit:
        return commit_from_bytes(oid, self._contents.read(oid))

    # Files of a revision or of the index.  Symbolic links and submodules are no files.

    def find_file(self, revision: str, path: RelPath) -> bytes | None:
        """Return the content of a file of a revision; None where it has no such file.  Raises as ``iter_files``."""
        entry = self._contents.find_entry(self._get_tree(revision), path)
        return self._contents.read(entry[1]) if entry and is_file(entry[0]) else None

    def read(self, oid: str) -> bytes:
        """Return the content of an object, by its id.  Raises GitFailedError where it is missing or damaged."""
        return self._contents.read(oid)

    def iter_files(self, revision: str, suffix: str, prefix: RelPath = "") -> Iterator[tuple[RelPath, bytes]]:
        """Yield path and content of each file of a revision that is ``prefix`` or below it and ends with ``suffix``.

        Sorted by path.  Raises RevisionNotFoundError, and GitFailedError where an object is missing or damaged.
        """
        files = self._contents.find_files(self._get_tree(revision), prefix, suffix)
        return self._contents.iter_read(files)

    def iter_contents(self, oids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each object id with the bytes of the object, in the order given; what a partial clone lacks is fetched.

        Raises GitFailedError where one is missing or damaged.
        """
        return self._contents.iter_read([(oid, oid) for oid in oids])

    def find_staged(self, path: RelPath) -> bytes | None:
        """Return the content of a file as the next commit will hold it; None where it will hold none."""
        found = (entry for entry in self._index.iter_below(path) if entry.path == path and entry.stage == 0)
        return next((self.read(entry.oid) for entry in found), None)

    def is_unmerged(self, path: RelPath) -> bool:
        """Tell whether the index holds several sides of a file, until somebody chooses."""
        return any(entry.stage for entry in self._index.iter_below(path) if entry.path == path)

    def iter_index_files(self, suffix: str, stage: int = 0) -> Iterator[tuple[RelPath, bytes]]:
        """Yield path and content of each file of the index that ends with ``suffix``, sorted by path.

        ``stage`` is 0 for what the next commit will hold; 1, 2 and 3 for the ancestor, our side and their side
        of conflicts.  Raises GitFailedError where an object is missing or damaged.
        """
        entries = (entry for entry in self._index.iter_below("") if entry.stage == stage and is_file(entry.mode))
        return self._contents.iter_read([(entry.path, entry.oid) for entry in entries if entry.path.endswith(suffix)])

    def _get_tree(self, revision: str) -> str:
        commit = self.resolve(revision)
        return tree_of(commit, self._contents.read(commit))


def _find(path: Path) -> Store | None:
    try:
        # A git directory that lies elsewhere (git init --separate-git-dir) does not know its work tree.
        return Libgit2Store(os.fspath(path)) if has_repository(path) else None
    except GitFailedError:
        # Perhaps only libgit2 cannot: it knows neither SHA-256 nor reftables, nor what git will think of next.
        if not has_git():
            raise
        return ProgramStore(path)


def _common_dir(git_dir: Path) -> Path:
    link = git_dir / "commondir"
    with os_errors(link, "read"):
        try:
            return Path(os.path.realpath(git_dir / os.fsdecode(link.read_bytes().rstrip(b"\r\n"))))
        except FileNotFoundError:
            return git_dir


def _ignore_matcher(work_tree: Path, store: Store, common_dir: Path) -> IgnoreMatcher:
    home, own = user_directories()
    named = store.find_setting("core.excludesfile")
    everywhere = own / "ignore" if named is None else home / named.removeprefix("~/")
    ignore_case = store.find_setting("core.ignorecase") in ("true", "yes", "on", "1", "")
    return IgnoreMatcher(work_tree, [everywhere, common_dir / "info/exclude"], ignore_case=ignore_case)
