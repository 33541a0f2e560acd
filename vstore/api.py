"""The public Python face: one function for each verb, saying the same as the command line.

Each takes ``directory``, where one stands (the working directory unless given): paths are relative to it, and the
repository at or above it is opened for the call.  ``reporter`` hears what goes on.  Results are the frozen
dataclasses that ``--json`` prints.  What goes wrong is a VstoreError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from vstore.config import Layer
from vstore.objects.names import RelPath
from vstore.ops import add as _add
from vstore.ops import cat as _cat
from vstore.ops import checkout as _checkout
from vstore.ops import config as _config
from vstore.ops import diff as _diff
from vstore.ops import doctor as _doctor
from vstore.ops import du as _du
from vstore.ops import fetch as _fetch
from vstore.ops import init as _init
from vstore.ops import ls as _ls
from vstore.ops import mv as _mv
from vstore.ops import pull as _pull
from vstore.ops import push as _push
from vstore.ops import remote as _remote
from vstore.ops import resolve
from vstore.ops import rm as _rm
from vstore.ops import status as _status
from vstore.ops import unlock as _unlock
from vstore.ops.add import Added, AddResult, Labels
from vstore.ops.cat import CatResult
from vstore.ops.checkout import CheckedOut, CheckoutResult
from vstore.ops.config import ConfigResult, SettingShown
from vstore.ops.diff import ArtifactDiff, DiffResult, FileDiff
from vstore.ops.doctor import DoctorResult, RemoteHealth, RepositoryHealth
from vstore.ops.du import DuResult, Usage
from vstore.ops.fetch import Fetched, FetchResult
from vstore.ops.init import InitResult
from vstore.ops.ls import Listed, LsResult
from vstore.ops.mv import Moved, MvResult
from vstore.ops.pull import PullResult
from vstore.ops.push import Pushed, PushResult
from vstore.ops.remote import CheckResult, RemoteInfo, RemotesResult, Step
from vstore.ops.rm import Removed, RmResult
from vstore.ops.status import ArtifactStatus, StatusResult
from vstore.ops.transfer import Scope
from vstore.ops.unlock import UnlockResult
from vstore.progress import SILENT, Reporter
from vstore.repo import Repo, find_root, open_repo

Paths = Sequence[str | Path]
Directory = str | Path | None


def _standing(directory: Directory) -> Path:
    return Path(os.path.abspath(directory or os.curdir))


def _open(directory: Directory, reporter: Reporter = SILENT, *, jobs: int | None = None) -> Repo:
    environ = None if jobs is None else {**os.environ, "VSTORE_TRANSFER_JOBS": str(jobs)}
    return open_repo(_standing(directory), environ=environ, reporter=reporter)


# Start


def init(
    directory: Directory = None,
    *,
    hash: str = "xxh128",
    cache_dir: str | None = None,
    no_git: bool = False,
    reporter: Reporter = SILENT,
) -> InitResult:
    """Make a repository; again, it is harmless.  Raises GitRepositoryNotFoundError, InvalidError."""
    return _init.init(_standing(directory), hash=hash, cache_dir=cache_dir, no_git=no_git, reporter=reporter)


# Look


def status(
    paths: Paths = (), *, directory: Directory = None, remote: str | None = None, reporter: Reporter = SILENT
) -> StatusResult:
    """Compare artifacts with their files; with ``remote`` (a name, or "" for the default) also with a remote."""
    with _open(directory, reporter) as repo:
        return _status.status(repo, paths, remote=remote)


def diff(
    old: str | None = None,
    new: str | None = None,
    *,
    paths: Paths = (),
    directory: Directory = None,
    reporter: Reporter = SILENT,
) -> DiffResult:
    """Compare revision ``old`` (default: HEAD) with ``new`` (default: the files), by artifact and by file.

    Raises RevisionNotFoundError, NotTrackedError.
    """
    with _open(directory, reporter) as repo:
        return _diff.diff(repo, paths, old=old, new=new)


def ls(
    paths: Paths = (),
    *,
    directory: Directory = None,
    rev: str | None = None,
    recursive: bool = False,
    reporter: Reporter = SILENT,
) -> LsResult:
    """List what is tracked, and what is inside of what is named.  Raises NotTrackedError, RevisionNotFoundError."""
    with _open(directory, reporter) as repo:
        return _ls.ls(repo, paths, rev=rev, recursive=recursive)


def du(
    paths: Paths = (), *, directory: Directory = None, rev: str | None = None, reporter: Reporter = SILENT
) -> DuResult:
    """Add up the sizes of artifacts, and of what the cache holds of them.  Raises NotTrackedError."""
    with _open(directory, reporter) as repo:
        return _du.du(repo, paths, rev=rev)


def cat(
    path: str | Path,
    write: Callable[[bytes], object],
    *,
    directory: Directory = None,
    rev: str | None = None,
    reporter: Reporter = SILENT,
) -> CatResult:
    """Give the verified bytes of a tracked file to ``write``, piece by piece.

    Raises NotTrackedError, PathNotFoundError, ObjectMissingError.
    """
    with _open(directory, reporter) as repo:
        return _cat.cat(repo, path, write, rev=rev)


# Change


def add(
    paths: Paths = (),
    *,
    directory: Directory = None,
    update: bool = False,
    force: bool = False,
    labels: Labels = Labels(),  # noqa: B008  frozen
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> AddResult:
    """Track paths, or with ``update`` take over what changed in those (or all) that are tracked.

    Raises AddRefusedError, PathNotFoundError, NameRefusedError, PartialError naming files that cannot be read.
    """
    with _open(directory, reporter) as repo:
        return _add.add(repo, paths, update=update, force=force, labels=labels, dry_run=dry_run)


def checkout(
    paths: Paths = (),
    *,
    directory: Directory = None,
    rev: str | None = None,
    force: bool = False,
    relink: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> CheckoutResult:
    """Make the data at ``paths`` (all, if none) equal their pointers, or those of ``rev``.

    Unsaved files are neither overwritten nor deleted without ``force``; what is missing is listed in the result.
    """
    with _open(directory, reporter) as repo:
        return _checkout.checkout(repo, paths, rev=rev, force=force, relink=relink, dry_run=dry_run)


def rm(
    paths: Paths,
    *,
    directory: Directory = None,
    data: bool = False,
    force: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> RmResult:
    """Stop tracking; the data of artifacts stays, unless ``data``.  Raises NotTrackedError, UnsavedError."""
    with _open(directory, reporter) as repo:
        return _rm.rm(repo, paths, data=data, force=force, dry_run=dry_run)


def mv(
    sources: Paths,
    destination: str | Path,
    *,
    directory: Directory = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> MvResult:
    """Move data with its pointer and ignore rule; nothing is overwritten.  Raises NotTrackedError, ConflictError."""
    with _open(directory, reporter) as repo:
        return _mv.mv(repo, sources, destination, dry_run=dry_run)


def unlock(paths: Paths, *, directory: Directory = None, reporter: Reporter = SILENT) -> UnlockResult:
    """Replace links to the cache by writable copies.  Raises NotTrackedError, PartialError."""
    with _open(directory, reporter) as repo:
        return _unlock.unlock(repo, paths)


# Sync


def push(
    paths: Paths = (),
    *,
    directory: Directory = None,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008  frozen
    jobs: int | None = None,
    check: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> PushResult:
    """Bring artifacts to a remote; with ``check`` only see whether it holds everything.

    Raises ObjectMissingError, RemoteNotFoundError, RemoteUnavailableError, RemoteDeniedError.
    """
    with _open(directory, reporter, jobs=jobs) as repo:
        return _push.push(repo, paths, remote=remote, scope=scope, check=check, dry_run=dry_run)


def fetch(
    paths: Paths = (),
    *,
    directory: Directory = None,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008  frozen
    jobs: int | None = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> FetchResult:
    """Bring what the cache lacks of artifacts from a remote; what is missing there is listed in the result.

    Raises RemoteNotFoundError, RemoteUnavailableError, RemoteDeniedError.
    """
    with _open(directory, reporter, jobs=jobs) as repo:
        return _fetch.fetch(repo, paths, remote=remote, scope=scope, dry_run=dry_run)


def pull(
    paths: Paths = (),
    *,
    directory: Directory = None,
    remote: str | None = None,
    rev: str | None = None,
    jobs: int | None = None,
    force: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> PullResult:
    """Fetch, then checkout."""
    with _open(directory, reporter, jobs=jobs) as repo:
        return _pull.pull(repo, paths, remote=remote, rev=rev, force=force, dry_run=dry_run)


def remote_list(*, directory: Directory = None) -> RemotesResult:
    """Return the remotes, by name."""
    with _open(directory) as repo:
        return _remote.list_remotes(repo)


def remote_add(
    name: str, url: str, *, directory: Directory = None, default: bool = False, layer: Layer | None = None
) -> RemotesResult:
    """Name a place that contents are pushed to and fetched from.  Raises ConflictError, InvalidError."""
    with _open(directory) as repo:
        _remote.add_remote(repo, os.environ, name, url, default=default, layer=layer)
    return remote_list(directory=directory)


def remote_set(
    name: str, key: str, value: str, *, directory: Directory = None, layer: Layer | None = None
) -> RemotesResult:
    """Set an option of a remote; secrets stay local.  Raises RemoteNotFoundError, ConfigInvalidError."""
    with _open(directory) as repo:
        _remote.set_remote(repo, os.environ, name, key, value, layer=layer)
    return remote_list(directory=directory)


def remote_rename(old: str, new: str, *, directory: Directory = None, reporter: Reporter = SILENT) -> RemotesResult:
    """Rename a remote, also in the pointers that are routed to it.  Raises RemoteNotFoundError, ConflictError."""
    with _open(directory, reporter) as repo:
        _remote.rename_remote(repo, os.environ, old, new)
    return remote_list(directory=directory)


def remote_remove(name: str, *, directory: Directory = None) -> RemotesResult:
    """Forget a remote; what it holds stays.  Raises RemoteNotFoundError, ConflictError if pointers need it."""
    with _open(directory) as repo:
        _remote.remove_remote(repo, os.environ, name)
    return remote_list(directory=directory)


def remote_default(
    name: str | None = None, *, directory: Directory = None, layer: Layer | None = None
) -> RemotesResult:
    """Make a remote the default; without a name only tell which it is.  Raises RemoteNotFoundError."""
    with _open(directory) as repo:
        chosen = repo.remote_name(name)
        if name is not None:
            _remote.set_default(repo, os.environ, chosen, layer=layer)
    return remote_list(directory=directory)


def remote_check(name: str | None = None, *, directory: Directory = None) -> CheckResult:
    """Try to list, write, read and delete at a remote.  Raises RemoteNotFoundError, RemoteExtraMissingError."""
    with _open(directory) as repo:
        return _remote.check_remote(repo, name)


# Settings


def config_get(name: str, *, directory: Directory = None) -> ConfigResult:
    """Return the value of a setting that is in force.  Raises SettingNotFoundError."""
    return _config.get_setting(_standing(directory), os.environ, name)


def config_list(*, directory: Directory = None, layer: Layer | None = None) -> ConfigResult:
    """Return the settings in force, or those of one layer."""
    return _config.list_settings(_standing(directory), os.environ, layer)


def config_set(name: str, value: str, *, directory: Directory = None, layer: Layer | None = None) -> ConfigResult:
    """Set a value in the project's layer, or another one; secrets stay local.  Raises ConfigInvalidError."""
    return _config.set_setting(_standing(directory), os.environ, name, value, layer=layer)


def config_unset(name: str, *, directory: Directory = None, layer: Layer | None = None) -> ConfigResult:
    """Remove a value.  Raises SettingNotFoundError."""
    return _config.unset_setting(_standing(directory), os.environ, name, layer=layer)


def doctor(*, directory: Directory = None, reporter: Reporter = SILENT) -> DoctorResult:
    """Tell what works on this machine and in the repository one stands in, if any."""
    return _doctor.doctor(_standing(directory), reporter=reporter)


# What a surface asks besides


def find_work_tree(directory: Directory = None) -> Path | None:
    """Return the root of the repository at or above ``directory``; paths in results are relative to it."""
    return find_root(_standing(directory))


def split_revisions(arguments: Sequence[str], *, directory: Directory = None) -> tuple[list[str], list[str]]:
    """Tell leading revisions (``A``, ``A B`` or ``A..B``) from the paths behind them, as git does."""
    with _open(directory) as repo:
        return _diff.split_revisions(repo, arguments)


def list_tracked(*, directory: Directory = None) -> list[RelPath]:
    """Return the paths of all artifacts, relative to ``directory``."""
    with _open(directory) as repo:
        return [os.path.relpath(repo.work_tree / found.path, repo.start) for found in resolve.list_artifacts(repo)]


def list_remote_names(*, directory: Directory = None) -> list[str]:
    """Return the names of the configured remotes."""
    with _open(directory) as repo:
        return sorted(repo.config.remotes)


def list_revisions(*, directory: Directory = None) -> list[str]:
    """Return the names of branches and tags."""
    with _open(directory) as repo:
        names = [] if repo.git is None else [*repo.git.branch_tips(), *repo.git.tag_tips()]
        return [name.split("/", 2)[2] for name in names]


__all__ = [
    "AddResult",
    "Added",
    "ArtifactDiff",
    "ArtifactStatus",
    "CatResult",
    "CheckResult",
    "CheckedOut",
    "CheckoutResult",
    "ConfigResult",
    "DiffResult",
    "DoctorResult",
    "DuResult",
    "FetchResult",
    "Fetched",
    "FileDiff",
    "InitResult",
    "Labels",
    "Layer",
    "Listed",
    "LsResult",
    "Moved",
    "MvResult",
    "PullResult",
    "PushResult",
    "Pushed",
    "RemoteHealth",
    "RemoteInfo",
    "RemotesResult",
    "Removed",
    "Repo",
    "RepositoryHealth",
    "RmResult",
    "Scope",
    "SettingShown",
    "StatusResult",
    "Step",
    "UnlockResult",
    "Usage",
    "add",
    "cat",
    "checkout",
    "config_get",
    "config_list",
    "config_set",
    "config_unset",
    "diff",
    "doctor",
    "du",
    "fetch",
    "init",
    "ls",
    "mv",
    "open_repo",
    "pull",
    "push",
    "remote_add",
    "remote_check",
    "remote_default",
    "remote_list",
    "remote_remove",
    "remote_rename",
    "remote_set",
    "rm",
    "status",
    "unlock",
]
