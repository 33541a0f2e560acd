"""Staging: what git's next commit will hold of pointers and ignore rules."""

from __future__ import annotations

from collections.abc import Sequence

from vstore.errors import VstoreError
from vstore.git.ignore_rules import has_rule, read_rules
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, pointer_from_bytes
from vstore.objects.tree import Entry, Tree
from vstore.ops.trees import find_tree
from vstore.repo import Repo
from vstore.workspace.leftovers import remove_leftovers


def stage(repo: Repo, paths: Sequence[RelPath], *, leaving: Sequence[RelPath] = ()) -> None:
    """Stage files that were written or removed, unless the configuration says not to.

    Files that are ``leaving`` are taken out though they are still there: who deletes them last can be run again
    wherever it died.  For callers that hold the lock: what commands that died left beside all of them goes.
    Waits for git's own lock; raises LockedError, GitFailedError.
    """
    for directory in {path.rpartition("/")[0] for path in paths}:
        remove_leftovers(repo.work_tree, directory)
    if repo.git is not None and repo.config.autostage:
        repo.git.stage(paths, repo.config.lock_wait_s, repo.reporter.note)
        repo.git.unstage(leaving, repo.config.lock_wait_s, repo.reporter.note)


def find_rules_to_stage(repo: Repo, path: RelPath, *, wanted: bool) -> list[RelPath]:
    """Return the .gitignore beside ``path`` if the rule for that is as ``wanted`` there, and not in what is staged.

    Not only after a change that was made now: whoever made it may have died before it was staged.  One that is in
    conflict is for somebody to decide.
    """
    if repo.git is None:
        return []
    directory, _, name = path.rpartition("/")
    rules = f"{directory}/.gitignore".lstrip("/")
    if has_rule(read_rules(repo.work_tree / directory), name) != wanted or repo.git.is_unmerged(rules):
        return []
    return [rules] if has_rule(repo.git.find_staged(rules) or b"", name) != wanted else []


def list_staged_entries(repo: Repo, root: RelPath, inner: RelPath) -> list[Entry]:
    """Return what the staged pointer of a directory has at ``inner`` or below, as far as the cache tells it.

    A command that changed the pointer and died before it was staged is recognised by it.
    """
    staged = repo.git.find_staged(root + POINTER_SUFFIX) if repo.git is not None else None
    if staged is None:
        return []
    try:
        pointer = pointer_from_bytes(staged, root + POINTER_SUFFIX)
        tree = find_tree(repo, pointer.digest) if pointer.is_tree else None
        return [] if tree is None else list(Tree.from_bytes(tree).iter_below(inner))
    except VstoreError:
        return []
