"""Other repositories: taking data out of them, once or to follow them."""

from __future__ import annotations

import os
from pathlib import Path

from vstore.api.opening import Directory, opened, standing
from vstore.ops import get as _get
from vstore.ops import import_ as _import
from vstore.ops.add import Labels
from vstore.ops.get import Destination, GetResult
from vstore.ops.import_ import Importing, ImportResult
from vstore.ops.picking import Wanted
from vstore.progress import SILENT, Reporter


def get(
    repo: str | Path,
    path: str | Path,
    *,
    directory: Directory = None,
    out: str | Path | None = None,
    rev: str | None = None,
    force: bool = False,
    jobs: int | None = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> GetResult:
    """Copy a file or directory out of another repository: a directory on this machine, or a URL that git clones.

    It need not be tracked by vstore.  Raises ConflictError where something is in the way, unless ``force`` replaces
    files; PathNotFoundError, RevisionNotFoundError, ObjectMissingError, SourceUnavailableError.

    >>> vstore.get("/home/ada/project", "data/train.csv", rev="v1.0", out="old.csv").size_bytes
    8
    """
    environ = None if jobs is None else {**os.environ, "VSTORE_TRANSFER_JOBS": str(jobs)}
    to = Destination(standing(directory), out, force)
    return _get.get(Wanted(repo, path, rev), to, dry_run=dry_run, environ=environ, reporter=reporter)


def import_(
    repo: str | Path,
    path: str | Path,
    *,
    directory: Directory = None,
    out: str | Path | None = None,
    rev: str | None = None,
    download: bool = True,
    copy: bool = True,
    force: bool = False,
    labels: Labels = Labels(),  # noqa: B008  frozen
    jobs: int | None = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> ImportResult:
    """Track what is at a path of another repository, and remember where it came from; ``update`` lets it move on.

    Without ``download`` only the pointer is written.  Without ``copy`` a push passes it over, and whoever fetches it
    gets it from that repository.  Raises as ``get``, and AddRefusedError, InvalidError for a URL with a password.

    >>> imported = vstore.import_("/home/ada/project", "data/train.csv", rev="v1.0", out="old.csv")
    >>> imported.source_path, imported.change
    ('data/train.csv', 'new')
    """
    how = Importing(download, copy, force)
    with opened(directory, reporter, jobs=jobs) as ours:
        return _import.import_(ours, Wanted(repo, path, rev), out=out, how=how, labels=labels, dry_run=dry_run)
