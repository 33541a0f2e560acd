"""``init``: make a repository."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from vstore.config import set_value
from vstore.durable import os_errors, write_atomic
from vstore.git import get_git_repo
from vstore.objects.digest import get_algorithm
from vstore.progress import SILENT, Reporter
from vstore.repo import VSTORE_DIRECTORY, no_repository, open_repo

_IGNORED = "/config.local\n/cache\n/private\n/.vstore-tmp-*\n"
_STAGE_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class InitResult:
    """The repository: where it and its cache lie, and whether this call made it."""

    path: str
    cache: str
    hash: str
    git: bool
    created: bool


def init(
    start: Path,
    *,
    hash: str = "xxh128",
    cache_dir: str | None = None,
    no_git: bool = False,
    reporter: Reporter = SILENT,
) -> InitResult:
    """Make a repository of the git work tree that holds ``start`` (of ``start`` itself without git).

    Again: harmless; it only ends what was stopped.  Raises GitRepositoryNotFoundError, InvalidError,
    RepositoryNotFoundError where git has one that is not in the work tree.
    """
    get_algorithm(hash)
    root = Path(os.path.realpath(start))
    with os_errors(root, "read"):
        root.stat()
    if not no_git:
        root = Path(os.path.realpath(get_git_repo(root).work_tree))
    directory = root / VSTORE_DIRECTORY
    config = directory / "config"
    created = not config.exists()
    if created and not no_git and "sparse" in (kept := no_repository(root)).fields:
        raise kept  # a new one would be another project
    if created:
        with os_errors(directory, "create"):
            directory.mkdir(exist_ok=True)
            write_atomic(directory / ".gitignore", _IGNORED.encode())
            # The config comes last and whole: it is what makes this a repository.
            draft = directory / "config.new"
            draft.unlink(missing_ok=True)
            set_value(draft, "core.project", secrets.token_hex(16))
            set_value(draft, "core.hash", hash)
            if no_git:
                set_value(draft, "core.git", "false")
            if cache_dir is not None:
                set_value(draft, "cache.dir", cache_dir)
            os.rename(draft, config)
    with open_repo(root) as repo:
        repo.cache.create()
        if repo.git is not None and repo.config.autostage and not repo.git.has_tracked(f"{VSTORE_DIRECTORY}/config"):
            written = [f"{VSTORE_DIRECTORY}/config", f"{VSTORE_DIRECTORY}/.gitignore"]
            repo.git.stage(written, _STAGE_WAIT_S, reporter.note)
        if not created and repo.algorithm != hash and hash != "xxh128":
            reporter.warn(f"this repository already exists and uses {repo.algorithm}")
        return InitResult(str(root), str(repo.cache.path), repo.algorithm, repo.git is not None, created)
