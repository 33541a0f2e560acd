"""What commits brought in: which are new to another repository, and which files they changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vstore.git.contents import RelPath, is_file
from vstore.git.program import run_git
from vstore.git.repo import GitRepo

_NO_COMMIT = re.compile("0+")


class NewCommits(NamedTuple):
    """Commits that another repository does not have.

    ``ends`` are those of them at an end: with no other of them above, or with one below that is known there.
    """

    commits: list[str]
    ends: list[str]


def find_new_commits(git: GitRepo, updates: str, remote: str | None) -> NewCommits:
    """Return the commits that a push to a git remote brings there; with None those that no remote is known to have.

    ``updates`` are the lines that git tells its hook: local name and commit, remote name and commit; where nothing is,
    the commit is all zeros.  Raises GitFailedError.
    """
    wanted: list[str] = []
    for line in updates.splitlines():
        _, local, _, there = line.rsplit(" ", 3)
        wanted += [] if _NO_COMMIT.fullmatch(local) else [local]
        wanted += [] if _NO_COMMIT.fullmatch(there) else [f"^{there}"]
    if not any(not name.startswith("^") for name in wanted):
        return NewCommits([], [])
    # What somebody else pushed there need not be here.
    known_there = "--remotes" if remote is None else f"--remotes={remote}"
    options = ["--parents", "--ignore-missing", "--not", known_there, "--not", "--stdin"]
    listed = run_git(git.work_tree, "rev-list", *options, stdin="".join(f"{name}\n" for name in wanted).encode())
    parents = {commit: above for commit, *above in (line.split() for line in listed.decode().splitlines())}
    known = {parent for above in parents.values() for parent in above}
    ends = [c for c, above in parents.items() if c not in known or not all(parent in parents for parent in above)]
    return NewCommits(list(parents), ends)


def iter_introduced(git: GitRepo, commits: Sequence[str], suffix: str) -> Iterator[tuple[str, RelPath, bytes]]:
    """Yield commit, path and content of each file ending with ``suffix`` that commits added or changed.

    Raises GitFailedError.
    """
    if not commits:
        return
    options = ["--stdin", "-r", "-m", "--root", "-z", "--no-renames", "--diff-filter=AMT"]
    pathspec = f":(glob,top)**/*{suffix}"
    listed = run_git(
        git.work_tree, "diff-tree", *options, "--", pathspec, stdin="".join(f"{c}\n" for c in commits).encode()
    )
    found: dict[tuple[RelPath, str], str] = {}
    commit = ""
    fields = iter(listed.split(b"\0"))
    for field in fields:
        if not field.startswith(b":"):
            commit = field.decode().strip() or commit
            continue
        _, mode, _, oid, _ = field.decode().split(" ")
        path = os.fsdecode(next(fields))
        if is_file(mode):
            found.setdefault((path, oid), commit)
    contents = _read_blobs(git, list(dict.fromkeys(oid for _, oid in found)))
    for (path, oid), commit in found.items():
        yield commit, path, contents[oid]


def has_changed(git: GitRepo, old: str, new: str, suffix: str) -> bool:
    """Tell whether any file ending with ``suffix`` differs between two commits.  Raises GitFailedError."""
    return bool(run_git(git.work_tree, "diff-tree", "-r", "--name-only", old, new, "--", f":(glob,top)**/*{suffix}"))


def _read_blobs(git: GitRepo, oids: Sequence[str]) -> dict[str, bytes]:
    answer = run_git(git.work_tree, "cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode())
    contents: dict[str, bytes] = {}
    at = 0
    for oid in oids:
        end = answer.index(b"\n", at)
        size = int(answer[at:end].rpartition(b" ")[2])
        contents[oid] = answer[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return contents
