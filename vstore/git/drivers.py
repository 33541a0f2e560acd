"""Drivers: telling git to merge and to compare pointers with our help.

The settings are of this clone, and so are the attributes: git's defaults hold for whoever has no vstore.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from vstore.durable import flush_directory, os_errors, write_atomic
from vstore.git.hooks import LAUNCHER_IN_SHELL
from vstore.git.locks import OnWait, change_with_git
from vstore.git.program import run_git
from vstore.git.repo import GitRepo

# Where somebody deleted the launcher git goes on, too.  No name is taken for an option.
_MERGE = "if test -f {launcher}; then sh {launcher} merge-driver %O %A %B %L ./%P{more}; else {merge_file}; fi".format
_MERGE_FILE = "git merge-file --marker-size=%L -L ours -L base -L theirs %A %O %B"
_DIFF = f'show() {{ sh {LAUNCHER_IN_SHELL} diff-driver -- "$1" 2>/dev/null || cat -- "$1"; }}; show'

SETTINGS = {
    "merge.vstore.name": "vstore: merge pointers, and the directories they stand for file by file",
    "merge.vstore.driver": _MERGE(launcher=LAUNCHER_IN_SHELL, more="", merge_file=_MERGE_FILE),
    # Of several common ancestors git makes one, and what is in conflict among them was not decided by anybody.
    "merge.vstore.recursive": "vstore-ancestor",
    "merge.vstore-ancestor.name": "vstore: merge the common ancestors of pointers",
    "merge.vstore-ancestor.driver": _MERGE(launcher=LAUNCHER_IN_SHELL, more=" --ancestor", merge_file=_MERGE_FILE),
    "diff.vstore.textconv": _DIFF,
}
"""What git's configuration says."""

# At the top, so that what anybody else says there of these files wins.
_ATTRIBUTES = b"""\
# >>> vstore install
*.vstore merge=vstore diff=vstore
.gitignore merge=union
# <<< vstore install
"""
_BLOCK = re.compile(rb"# >>> vstore install\n.*?# <<< vstore install\n", re.DOTALL)


def find_settings_to_change(git: GitRepo, wanted: dict[str, str]) -> dict[str, str | None]:
    """Return which of our settings are not as wanted, with the value to give them; None is for not at all."""
    listed = run_git(git.work_tree, "config", "--local", "--null", "--list").split(b"\0")
    present = dict(os.fsdecode(line).partition("\n")[::2] for line in listed)
    changes: dict[str, str | None] = {}
    for name in SETTINGS:
        if present.get(name) != wanted.get(name):
            changes[name] = wanted.get(name)
    return changes


def change_settings(git: GitRepo, changes: dict[str, str | None], wait_s: float, on_wait: OnWait) -> None:
    """Give settings of this repository other values.  Raises what ``change_with_git`` raises."""
    for name, value in changes.items():
        how = ["--unset-all", name] if value is None else ["--replace-all", name, value]
        arguments = ["config", "--local", *how]
        change_with_git(git.work_tree, arguments, git.common_dir / "config.lock", wait_s, on_wait)


def attributes_path(git: GitRepo) -> Path:
    """Return the file with the attributes that all work trees of this clone have."""
    return git.common_dir / "info/attributes"


def attributes_to_change(git: GitRepo, *, wanted: bool) -> bytes | None:
    """Return what the file of attributes has to say with our lines, or without; None if it says it."""
    path = attributes_path(git)
    with os_errors(path, "read"):
        present = path.read_bytes() if path.exists() else b""
    rest = _BLOCK.sub(b"", present)
    changed = _ATTRIBUTES + rest if wanted else rest
    return None if changed == present else changed


def change_attributes(git: GitRepo, content: bytes) -> None:
    """Write the file of attributes, durably; it goes when it says nothing."""
    path = attributes_path(git)
    with os_errors(path, "write"):
        path.parent.mkdir(exist_ok=True)
        if content:
            write_atomic(path, content, mode=0o666)
        else:
            path.unlink()
            flush_directory(path.parent)
