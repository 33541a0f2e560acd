"""What git runs: the merge driver, the diff driver, and what is done in its hooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vstore.api.opening import Directory, opened, standing
from vstore.errors import RepositoryNotFoundError
from vstore.objects.merge import Sides
from vstore.ops import diff_driver as _diff_driver
from vstore.ops import hooks as _hooks
from vstore.ops import merge_driver as _merge_driver
from vstore.ops.diff_driver import DiffDriverResult
from vstore.ops.hooks import HookResult
from vstore.ops.merge_driver import MergeDriverResult
from vstore.progress import SILENT, Reporter


def merge_driver(
    base: Path,
    ours: Path,
    theirs: Path,
    path: str,
    *,
    directory: Directory = None,
    marker_characters: int = 7,
    for_ancestor: bool = False,
) -> MergeDriverResult:
    """Merge three files, versions of the pointer at ``path``, into the one of our side.  Raises what reading does."""
    return _merge_driver.merge_driver(
        standing(directory),
        Sides(base, ours, theirs),
        path,
        marker_characters=marker_characters,
        for_ancestor=for_ancestor,
    )


def diff_driver(file: Path, *, directory: Directory = None) -> DiffDriverResult:
    """Tell what a file with a version of a pointer stands for.  Raises what reading it does."""
    return _diff_driver.diff_driver(standing(directory), file)


def run_hook(
    name: str,
    arguments: Sequence[str] = (),
    updates: str = "",
    *,
    directory: Directory = None,
    reporter: Reporter = SILENT,
    index: Path | None = None,
) -> HookResult:
    """Do what is to be done in one of git's hooks.

    ``updates`` is what git tells a ``pre-push``, ``index`` the one that it is about to commit, if that is another.
    """
    try:
        with opened(directory, reporter) as repo:
            return _hooks.run_hook(repo, name, arguments, updates, index=index)
    except RepositoryNotFoundError:
        if name == "pre-push":
            _hooks.check_push_without_repository(standing(directory), updates)
        raise
