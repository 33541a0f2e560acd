"""Browsing a commit: the files and symbolic links that git itself keeps, without fetching what they hold."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from vstore.git.contents import RelPath
from vstore.git.program import run_git
from vstore.git.repo import GitRepo

_LISTED = re.compile(rb"([0-7]{6}) (?:blob|commit) ([0-9a-f]+)(?: +([0-9]+|-))?\t([^\0]+)\0")
_EXECUTABLE, _LINK, _SUBMODULE = b"100755", b"120000", b"160000"


class Kept(NamedTuple):
    """What git keeps at a path: a "file", an "executable", a "symlink" or a "submodule", with the object's id.

    ``size_bytes`` is None where it was not asked for, and in a partial clone, which may not have the file.
    """

    path: RelPath
    kind: str
    oid: str
    size_bytes: int | None = None


def list_kept(git: GitRepo, commit: str, below: RelPath = "", *, sizes: bool = False) -> list[Kept]:
    """Return what git keeps at or below a path of a commit, sorted as git sorts.

    Raises GitFailedError.  100,000 files take 0.3 s.
    """
    # Without the magic word one that begins with a colon would be read as one.
    chosen = ["--", f":(literal){below}"] if below else []
    # In a partial clone, asking for sizes would fetch every file, one by one.
    long = ["--long"] if sizes and not _is_partial(git) else []
    listed = run_git(git.git_dir, "ls-tree", "-r", "-z", "--full-tree", *long, commit, *chosen, lazily=False)
    return [
        Kept(os.fsdecode(path), _kind(mode), oid.decode(), int(size) if size.isdigit() else None)
        for mode, oid, size, path in _LISTED.findall(listed)
    ]


def _is_partial(git: GitRepo) -> bool:
    names = run_git(git.git_dir, "config", "--list", "--name-only", "-z")
    return re.search(rb"^remote\..*\.promisor$", names.replace(b"\0", b"\n"), re.MULTILINE) is not None


def _kind(mode: bytes) -> str:
    known = {_EXECUTABLE: "executable", _LINK: "symlink", _SUBMODULE: "submodule"}
    return known.get(mode, "file")
