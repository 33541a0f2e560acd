"""Conflicts: what git could not merge."""

from __future__ import annotations

import os
from pathlib import Path

from vstore.git.contents import RelPath
from vstore.git.program import has_git, run_git


def find_unmerged(work_tree: Path, suffix: str) -> set[RelPath]:
    """Return the files whose names end so of which the index holds several sides, until somebody chooses.

    Nothing where git is not installed.  Raises GitFailedError.
    """
    if not has_git():
        return set()
    listed = run_git(work_tree, "ls-files", "--unmerged", "-z", "--", f":(top)*{suffix}")
    return {os.fsdecode(line.partition(b"\t")[2]) for line in listed.split(b"\0") if line}
