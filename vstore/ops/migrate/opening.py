"""The repository that data moves into: it is made where there is none yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vstore.cache.link import COPY, HARDLINK, REFLINK, SYMLINK
from vstore.config import load_config, set_value
from vstore.git import get_git_repo
from vstore.ops.init import init
from vstore.ops.migrate.dvc_settings import load_settings
from vstore.ops.staging import stage
from vstore.progress import Reporter
from vstore.repo import VSTORE_DIRECTORY, Repo, find_root, open_repo

_LINK_TYPES = (REFLINK, HARDLINK, SYMLINK, COPY)


def open_or_make(start: Path, environ: Mapping[str, str], *, dry_run: bool, reporter: Reporter) -> Repo:
    """Open the repository at or above ``start``; where there is none, make it as ``init`` does, unless ``dry_run``.

    A new one links files as DVC's configuration says.  Raises GitRepositoryNotFoundError, InvalidError.
    """
    if find_root(start) is None:
        git = get_git_repo(start)
        directory = git.work_tree / VSTORE_DIRECTORY
        settings = load_settings(git.work_tree, environ)
        if dry_run:
            return Repo(git.work_tree, git, load_config(directory, environ), start=start, reporter=reporter)
        init(start, reporter=reporter)
        kinds = [kind for kind in settings.cache_type.replace(" ", "").split(",") if kind in _LINK_TYPES]
        if kinds:
            set_value(directory / "config", "cache.type", ",".join(kinds))
    if not dry_run:
        with open_repo(start, environ=environ) as repo, repo.writing():
            if repo.git is not None and not repo.git.has_tracked(f"{VSTORE_DIRECTORY}/config"):
                # Files that git does not know would stand in the way of a branch that has them.
                stage(repo, [f"{VSTORE_DIRECTORY}/config", f"{VSTORE_DIRECTORY}/.gitignore"])
    return open_repo(start, environ=environ, reporter=reporter)
