"""Whole files of any version, which are fetched if they are not here yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vstore.api.opening import Directory, Repository, opened, standing
from vstore.ops import cat as _cat
from vstore.ops import path as _path
from vstore.ops.cat import CatResult
from vstore.ops.reading.library import open_library
from vstore.progress import SILENT, Reporter


def path(
    name: str | Path,
    *,
    rev: str | None = None,
    repo: Repository = None,
    remote: str | None = None,
    directory: Directory = None,
    reporter: Reporter = SILENT,
) -> Path:
    """Return a local path at which a file, or a tracked directory, is exactly what a version holds.

    For programs that open files themselves.  It is the place in the work tree, if that is unmodified.  Else what the
    cache lacks is fetched, and the file or directory is written, read-only, into a directory of vstore's own.
    It is the same path each time, and stays there until nobody has asked for it during a week: copy what you want to
    keep.

    >>> vstore.path("data/train.csv", rev="v1.0").read_text()
    'x,y\\n1,2\\n'

    Raises as ``open``, and InvalidError for a directory that is not tracked.
    """
    with open_library(repo, rev, remote=remote, start=standing(directory), reporter=reporter) as library:
        return _path.path(library, library.repo.relative(name))


def cat(
    path: str | Path,
    write: Callable[[bytes], object],
    *,
    directory: Directory = None,
    rev: str | None = None,
    reporter: Reporter = SILENT,
) -> CatResult:
    """Give the verified bytes of a tracked file to ``write``, piece by piece.

    >>> vstore.cat("data/train.csv", print).size_bytes
    b'x,y\\n1,2\\n3,4\\n'
    12

    Raises NotTrackedError, PathNotFoundError, ObjectMissingError.
    """
    with opened(directory, reporter) as repo:
        return _cat.cat(repo, path, write, rev=rev)
