"""Browsing a commit: the files and symbolic links that git itself keeps, without fetching what they hold."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from vstore.git.contents import RelPath
from vstore.git.program import run_git
from vstore.git.repo import GitRepo

_LISTED = re.compile(rb"([0-7]{6}) (?:blob|commit) ([0-9a-f]+)\t([^\0]+)\0")
_EXECUTABLE, _LINK, _SUBMODULE = b"100755", b"120000", b"160000"


class Kept(NamedTuple):
    """What git keeps at a path: a "file", an "executable", a "symlink" or a "submodule", with the object's id."""

    path: RelPath
    kind: str
    oid: str


def list_kept(git: GitRepo, commit: str, below: RelPath = "") -> list[Kept]:
    """Return what git keeps at or below a path of a commit, sorted as git sorts.  Raises GitFailedError."""
    # Without the magic word one that begins with a colon would be read as one.
    chosen = ["--", f":(literal){below}"] if below else []
    listed = run_git(git.git_dir, "ls-tree", "-r", "-z", "--full-tree", commit, *chosen, lazily=False)
    return [Kept(os.fsdecode(path), _kind(mode), oid.decode()) for mode, oid, path in _LISTED.findall(listed)]


def _kind(mode: bytes) -> str:
    known = {_EXECUTABLE: "executable", _LINK: "symlink", _SUBMODULE: "submodule"}
    return known.get(mode, "file")
