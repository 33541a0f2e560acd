"""The verb that gives back disk space, here and at remotes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from vstore.api.opening import Directory, Paths, listed, opened
from vstore.ops import gc as _gc
from vstore.ops.gc import (
    Forgotten,
    GcRemoteResult,
    GcResult,
    GcStatus,
    GcUndoResult,
    Release,
    RemoteRetention,
)
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
    forget_missing: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> GcResult:
    """Remove from the cache what no pointer needs, in anything that git keeps, in any repository that uses the cache.

    ``tips_only`` and ``keep_newer_than_s`` say that older versions of this repository need not stay: their contents go
    where a remote holds them, or with ``force``.  ``pushed`` frees the contents of all versions that a remote holds.
    Lists of files always stay, and whatever is younger than a day.  ``forget_repos`` and ``forget`` name what cannot be
    read and is to be done without; ``forget_missing`` means all versions whose lists of files are neither here nor at a
    remote, as is done anyway with those that only reflogs know.

    >>> vstore.gc(dry_run=True).freed_bytes
    0

    Raises NeedsUnknownError where it is not sure what is needed; then nothing was removed.
    """
    with opened(directory, reporter) as repo:
        return _gc.gc(
            repo,
            retention=Retention(tuple(keep_revs), tips_only, keep_newer_than_s),
            release=Release(pushed, remote, force),
            forgotten=Forgotten(tuple(map(str, forget_repos)), tuple(forget), forget_missing),
            dry_run=dry_run,
        )


def gc_remote(
    remote: str | None = None,
    *,
    directory: Directory = None,
    keep_revs: Sequence[str] = (),
    keep_newer_than_s: float | None = None,
    tips_only: bool = False,
    retire_unknown: bool | Collection[str] = False,
    forget_repos: Sequence[str | Path] = (),
    forget: Sequence[str] = (),
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> GcRemoteResult:
    """Collect a remote (None: the default one): retire versions that nobody needs, delete in two steps what they took.

    Needed is what a commit names that any ref leads to, here or at a git remote, all of which are fetched from first;
    what was pushed for a commit that is not known here; what was pushed within ``keep_newer_than_s`` seconds, by
    default the remote's ``retention_days``; and ``keep_revs``.  ``tips_only`` gives up what only older commits name.
    ``retire_unknown`` gives up versions whose commit is not known: all, or those whose digests it has.

    What is retired can be brought back for 14 days with ``gc_undo``; what nothing names any more is doomed by the next
    collection, and deleted by one at least 24 hours later.  Other projects in the same place lose nothing.
    Packs that are mostly dead, or small, are compacted.

    >>> pushed = vstore.push()
    >>> vstore.gc_remote(dry_run=True).retired
    []

    Raises NeedsUnknownError where it is not sure what is needed; then nothing was removed.
    """
    with opened(directory, reporter) as repo:
        return _gc.gc_remote(
            repo,
            remote,
            retention=RemoteRetention(
                tuple(keep_revs),
                keep_newer_than_s,
                tips_only,
                retire_unknown if isinstance(retire_unknown, bool) else frozenset(retire_unknown),
            ),
            forgotten=Forgotten(tuple(map(str, forget_repos)), tuple(forget)),
            dry_run=dry_run,
        )


def gc_status(
    remote: str | None = None,
    *,
    directory: Directory = None,
    forget: Sequence[str] = (),
    reporter: Reporter = SILENT,
) -> GcStatus:
    """Tell what waits at a remote to be deleted, since when, by whom, until when, and which pushes are under way.

    >>> pushed = vstore.push()
    >>> vstore.gc_status().doomed
    []
    """
    with opened(directory, reporter) as repo:
        return _gc.gc_status(repo, remote, forgotten=forget)


def gc_undo(
    paths: Paths = (),
    *,
    directory: Directory = None,
    remote: str | None = None,
    forget: Sequence[str] = (),
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> GcUndoResult:
    """Bring back what was retired at a remote: all, or what was at ``paths``, which may also be digests.

    It counts as pushed today.  Raises NotFoundError where nothing such was retired.

    >>> pushed = vstore.push()
    >>> vstore.gc_undo().restored
    []
    """
    with opened(directory, reporter) as repo:
        return _gc.gc_undo(repo, listed(paths), remote=remote, forgotten=forget, dry_run=dry_run)
