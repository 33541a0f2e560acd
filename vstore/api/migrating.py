"""Moving in from other tools."""

from __future__ import annotations

from vstore.api.opening import Directory, Paths, environment, listed, standing
from vstore.ops.migrate import dvc as _dvc
from vstore.ops.migrate import lfs as _lfs
from vstore.ops.migrate.opening import open_or_make
from vstore.ops.migrate.result import How, MigrateResult
from vstore.ops.transfer import Scope
from vstore.progress import SILENT, Reporter


def migrate_dvc(
    paths: Paths = (),
    *,
    directory: Directory = None,
    scope: Scope = Scope(),  # noqa: B008  frozen
    how: How = How(),  # noqa: B008
    jobs: int | None = None,
    reporter: Reporter = SILENT,
) -> MigrateResult:
    """Track what DVC tracks; contents come from its cache, the work tree or its remote, each proven by its hash.

    Makes a repository where there is none.  Nothing of DVC's is deleted, unless ``how`` asks for it.  With a ``scope``
    of many commits these are written anew, in branches and tags below ``vstore/``.

    >>> [moved.path for moved in vstore.migrate_dvc(directory="/home/ada/legacy").artifacts]
    ['old.csv']

    Raises NotTrackedError, GitRepositoryNotFoundError, RemoteExtraMissingError.
    """
    environ = environment(jobs)
    with open_or_make(standing(directory), environ, dry_run=how.dry_run, reporter=reporter) as repo:
        return _dvc.migrate_dvc(repo, environ, listed(paths), scope=scope, how=how)


def migrate_lfs(
    paths: Paths = (),
    *,
    directory: Directory = None,
    as_tree: Paths = (),
    scope: Scope = Scope(),  # noqa: B008  frozen
    how: How = How(),  # noqa: B008
    jobs: int | None = None,
    reporter: Reporter = SILENT,
) -> MigrateResult:
    """Track the files that git-lfs keeps; they leave git's index, and stay in the work tree.

    Files below a directory ``as_tree`` become one artifact, every other one by itself.  Makes a repository where there
    is none.  With a ``scope`` of many commits these are written anew, in branches and tags below ``vstore/``.

    >>> [moved.path for moved in vstore.migrate_lfs(directory="/home/ada/legacy").artifacts]
    ['old.bin']

    Raises NotTrackedError, InvalidError, GitRepositoryNotFoundError.
    """
    with open_or_make(standing(directory), environment(jobs), dry_run=how.dry_run, reporter=reporter) as repo:
        return _lfs.migrate_lfs(repo, listed(paths), as_tree=listed(as_tree), scope=scope, how=how)
