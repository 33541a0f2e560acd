"""What a commit holds: every file, with its size, in one go."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from vstore.git.contents import RelPath
from vstore.git.program import run_git
from vstore.git.repo import GitRepo

_LISTED = re.compile(rb"(?<![^\0])100([0-7]{3}) blob ([0-9a-f]+)(?: +([0-9]+))?\t([^\0]+)\0")


class CommittedFile(NamedTuple):
    """A file of a commit; ``size_bytes`` is None in a partial clone, which may not have the file."""

    path: RelPath
    oid: str
    size_bytes: int | None
    executable: bool


def list_files(git: GitRepo, commit: str) -> list[CommittedFile]:
    """Return the files of a commit, sorted as git sorts; symbolic links and submodules are no files.

    Raises GitFailedError.  100,000 files take 0.3 s.
    """
    names = run_git(git.git_dir, "config", "--list", "--name-only", "-z")
    # In a partial clone, asking for sizes would fetch every file, one by one.
    sizes = [] if re.search(rb"^remote\..*\.promisor$", names.replace(b"\0", b"\n"), re.MULTILINE) else ["--long"]
    listed = run_git(git.git_dir, "ls-tree", "-r", "-z", "--full-tree", *sizes, commit)
    return [
        CommittedFile(os.fsdecode(path), oid.decode(), int(size) if size else None, mode == b"755")
        for mode, oid, size, path in _LISTED.findall(listed)
    ]
