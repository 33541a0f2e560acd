"""Who shares a cache: the work trees that noted themselves in it, found again wherever they are now."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vstore.cache.cache import USERS
from vstore.cache.users import User, is_there, list_users
from vstore.errors import GitFailedError, NeedsUnknownError, NotFoundError
from vstore.git.kept import KeptHistory, find_work_tree
from vstore.repo import ID_FILE, Repo


@dataclass(slots=True)
class Sharer:
    """One repository: its history (None without git), and its work trees that have files to look at.

    Each work tree comes with its git directory; the first is the one that was asked for.  ``upstream`` is what the refs
    of its git remotes lead to, where they were asked.
    """

    name: str
    history: KeptHistory | None
    work_trees: dict[Path, Path]
    upstream: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sharers:
    """All repositories that share a cache, the one that asks first; ``stale`` are notes that are of no use any more."""

    found: list[Sharer]
    stale: list[str]


def find_sharers(repo: Repo, forgotten: Collection[str | Path] = (), keys: Collection[str] = ()) -> Sharers:
    """Find every repository that uses the cache of ``repo``, but for the forgotten, and the notes among ``keys``.

    Raises NeedsUnknownError where one cannot be found or read: it may only be away.  NotFoundError if one to be
    forgotten is not known.
    """
    us = repo.as_user()
    users = {user.name: user for user in list_users(repo.cache, keys)}
    stale = _find_forgotten(repo, users.values(), forgotten)
    if us.owns_cache:
        # Notes that were copied, or moved, with the cache: of whoever else owns it, it is not the cache.
        stale += [user for user in users.values() if user.owns_cache and _owner(user) != _owner(us)]
    known = [user for user in users.values() if user not in stale and user != us]
    lost = {user: reason for user in known if (reason := _why_lost(user))}
    there = [us, *(user for user in known if user not in lost)]
    moved = [user for user in lost if _has_moved(user, there)]
    failed = [(user.work_tree, reason) for user, reason in lost.items() if user not in moved]
    found: dict[str, Sharer] = {}
    for user in there:
        try:
            _add(user, found)
        except (GitFailedError, OSError) as error:
            failed.append((user.work_tree, str(error)))
    absent = [path for sharer in found.values() for path in sharer.work_trees if not path.is_dir()]
    failed += [(str(path), "it is not there, though its git directory is") for path in absent]
    if failed:
        number = f"{len(failed):,} repositories use" if len(failed) > 1 else "a repository uses"
        raise NeedsUnknownError(
            f"{number} the cache {repo.cache.path} and cannot be looked at, so nothing was removed",
            failed=failed,
            repositories=[path for path, _ in failed],
            worktrees=[str(path) for path in absent],
        )
    given_up = [os.path.basename(key) for key in keys if Path(key).parent == repo.cache.path / USERS]
    return Sharers(list(found.values()), [*given_up, *(user.name for user in (*stale, *moved))])


def _find_forgotten(repo: Repo, users: Collection[User], forgotten: Collection[str | Path]) -> list[User]:
    """Return the notes of work trees to be forgotten; where a note is of another than what is there now, only that."""
    found: list[User] = []
    for path in forgotten:
        named = os.path.normpath(repo.start / path)
        here = [user for user in users if user.work_tree in (named, os.path.realpath(named))]
        here = [user for user in here if _why_lost(user)] or here
        if not here:
            known = sorted({user.work_tree for user in users})
            raise NotFoundError(f"no repository at {named} uses the cache {repo.cache.path}", path=named, known=known)
        found += here
    return found


def _why_lost(user: User) -> str | None:
    """Return why a work tree cannot be looked at where it was; None where it can."""
    private = Path(user.home, "private" if user.shared is None else "vstore")
    try:
        if is_there(user, id_file=private / ID_FILE):
            return None
        return "another repository is there now" if os.path.lexists(user.work_tree) else "it is not there"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _has_moved(user: User, there: Collection[User]) -> bool:
    """Tell whether a work tree that is not where it was is no more, or is known at its new place."""
    if user.is_linked and user.shared is not None and _find_inode(user.shared) == user.shared_inode:
        return True  # `git worktree remove` takes its git directory away, and a disk that is not there does not
    # Disks that were made alike have the same numbers for other repositories: the id has to be the same, too.
    return any((other.inode, other.id) == (user.inode, user.id) for other in there)


def _owner(user: User) -> str:
    return os.path.realpath(user.shared or user.home)


def _find_inode(directory: str) -> int | None:
    with contextlib.suppress(OSError):
        return os.stat(directory).st_ino
    return None


def _add(user: User, found: dict[str, Sharer]) -> None:
    """Add a work tree to its repository.  Raises GitFailedError, OSError where it cannot be read."""
    work_tree = Path(user.work_tree)
    if user.shared is None:
        os.stat(work_tree)
        found[user.work_tree] = Sharer(user.work_tree, None, {work_tree: Path(user.home)})
        return
    if user.is_linked:
        # Where git says it is now: it may have been moved.
        work_tree = find_work_tree(Path(user.home)) or work_tree
    shared = os.path.realpath(user.shared)
    sharer = found.get(shared)
    if sharer is None:
        history = KeptHistory(work_tree if work_tree.is_dir() else Path(shared))
        if str(history.common_dir) != shared:
            raise GitFailedError(f"{work_tree} belongs to another git repository now", path=str(work_tree))
        sharer = found[shared] = Sharer(user.work_tree, history, {work_tree: Path(os.path.realpath(user.home))})
        # Those that never used vstore, too: a stash that was made in one may be applied in another.
        for git_dir in history.list_git_dirs():
            path = find_work_tree(git_dir)
            if path is not None and path.is_dir():
                sharer.work_trees.setdefault(path, git_dir)
    sharer.work_trees.setdefault(work_tree, Path(os.path.realpath(user.home)))
