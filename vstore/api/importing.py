"""Verbs that bring in data from elsewhere, and let it move on."""

from __future__ import annotations

from pathlib import Path

from vstore.api.opening import Directory, Paths, listed, opened
from vstore.ops import import_url as _import_url
from vstore.ops import update as _update
from vstore.ops.add import Labels
from vstore.ops.import_url import AWAIT, DOWNLOAD, TO_REMOTE, ImportUrlResult, Way
from vstore.ops.updated import UpdateResult
from vstore.progress import SILENT, Reporter


def import_url(
    url: str,
    out: str | Path | None = None,
    *,
    directory: Directory = None,
    no_download: bool = False,
    to_remote: bool = False,
    remote: str | None = None,
    force: bool = False,
    labels: Labels = Labels(),  # noqa: B008  frozen
    jobs: int | None = None,
    engine: str | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> ImportUrlResult:
    """Track what a URL names, a file or all files below a folder, and remember which version of it that was.

    With ``no_download`` nothing is read yet.  With ``to_remote`` the data goes to ``remote`` (or the default one), and
    nothing of it to this machine's disk.  Raises ConflictError where something is at ``out`` already, unless ``force``;
    AddRefusedError, InvalidError for a URL with a secret in it, KeyNotFoundError, ChangedWhileReadError,
    RemoteUnavailableError.

    >>> vstore.import_url("file:///home/ada/points.csv").path
    'points.csv'
    """
    way = Way(AWAIT if no_download else TO_REMOTE if to_remote else DOWNLOAD, remote, force)
    with opened(directory, reporter, jobs=jobs, engine=engine, scheduler=scheduler) as repo:
        return _import_url.import_url(repo, url, out, way=way, labels=labels, dry_run=dry_run)


def update(
    paths: Paths = (),
    *,
    directory: Directory = None,
    rev: str | None = None,
    to_remote: bool = False,
    remote: str | None = None,
    force: bool = False,
    jobs: int | None = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> UpdateResult:
    """Compare imports (all, without ``paths``) with their sources, and take over what changed there.

    >>> imported = vstore.import_url("file:///home/ada/points.csv")
    >>> [(each.path, each.change) for each in vstore.update().imports]
    [('points.csv', 'up-to-date')]

    Raises UnsavedError where somebody changed the files of an import, unless ``force``; NotTrackedError for what is no
    import.  Of several imports one that fails stops no other; its error is in the result.
    """
    way = Way(TO_REMOTE if to_remote else DOWNLOAD, remote, force)
    with opened(directory, reporter, jobs=jobs) as repo:
        return _update.update(repo, listed(paths), rev=rev, way=way, dry_run=dry_run)
