"""The verb that gives back disk space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vstore.api.opening import Directory, opened
from vstore.ops import gc as _gc
from vstore.ops.gc import Forgotten, GcResult, Release
from vstore.ops.liveness import Retention
from vstore.progress import SILENT, Reporter


def gc(
    *,
    directory: Directory = None,
    keep_revs: Sequence[str] = (),
    tips_only: bool = False,
    keep_newer_than_s: float | None = None,
    pushed: bool = False,
    remote: str | None = None,
    force: bool = False,
    forget_repos: Sequence[str | Path] = (),
    forget: Sequence[str] = (),
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> GcResult:
    """Remove from the cache what no pointer needs, in anything that git keeps, in any repository that uses the cache.

    ``tips_only`` and ``keep_newer_than_s`` say that older versions of this repository need not stay: their contents go
    where a remote holds them, or with ``force``.  ``pushed`` frees the contents of all versions that a remote holds.
    Lists of files always stay, and whatever is younger than a day.  ``forget_repos`` and ``forget`` name what cannot be
    read and is to be done without.

    Raises NeedsUnknownError where it is not sure what is needed; then nothing was removed.
    """
    with opened(directory, reporter) as repo:
        return _gc.gc(
            repo,
            retention=Retention(tuple(keep_revs), tips_only, keep_newer_than_s),
            release=Release(pushed, remote, force),
            forgotten=Forgotten(tuple(map(str, forget_repos)), tuple(forget)),
            dry_run=dry_run,
        )
