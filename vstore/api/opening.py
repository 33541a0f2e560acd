"""Where one stands, and the repository around it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.engine.opening import open_engine
from vstore.progress import SILENT, Reporter
from vstore.repo import Repo, open_repo

Paths = str | Path | Sequence[str | Path]
"""Paths as a user names them, or a single one: relative to where one stands."""

Directory = str | Path | None
"""Where one stands; None is the working directory."""

Repository = str | Path | None
"""A repository: a directory of this machine or the URL of a git repository.  None is the one where one stands."""


def listed(paths: Paths) -> Sequence[str | Path]:
    """Return paths as a list; a text is one path, and not one of each of its letters."""
    return [paths] if isinstance(paths, str | Path) else paths


def standing(directory: Directory) -> Path:
    """Return where one stands, as an absolute path."""
    return Path(os.path.abspath(directory or os.curdir))


def opened(
    directory: Directory,
    reporter: Reporter = SILENT,
    *,
    jobs: int | None = None,
    engine: str | None = None,
    scheduler: str | None = None,
) -> Repo:
    """Open the repository at or above ``directory``; ``jobs`` overrides the setting.

    ``engine`` names what runs the workers that ``scheduler`` is the address of.
    Raises RepositoryNotFoundError, ConfigInvalidError, InvalidError, RemoteExtraMissingError.
    """
    cluster = open_engine(engine, scheduler)
    repo = open_repo(standing(directory), environ=environment(jobs), reporter=reporter)
    repo.engine = cluster
    return repo


def environment(jobs: int | None) -> Mapping[str, str]:
    """Return the environment, in which ``jobs`` overrides the setting."""
    return os.environ if jobs is None else {**os.environ, "VSTORE_TRANSFER_JOBS": str(jobs)}
