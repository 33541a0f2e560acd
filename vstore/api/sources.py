"""Other repositories: taking data out of them."""

from __future__ import annotations

import os
from pathlib import Path

from vstore.api.opening import Directory, standing
from vstore.ops import get as _get
from vstore.ops.get import Destination, GetResult
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
    """
    environ = None if jobs is None else {**os.environ, "VSTORE_TRANSFER_JOBS": str(jobs)}
    to = Destination(standing(directory), out, force)
    return _get.get(Wanted(repo, path, rev), to, dry_run=dry_run, environ=environ, reporter=reporter)
