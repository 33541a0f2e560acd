"""Verbs that bring contents to a remote and back, and the names of remotes."""

from __future__ import annotations

import os

from vstore.api.opening import Directory, Paths, listed, opened
from vstore.config import Layer
from vstore.ops import fetch as _fetch
from vstore.ops import fsck as _fsck
from vstore.ops import pull as _pull
from vstore.ops import push as _push
from vstore.ops import remote as _remote
from vstore.ops.fetch import FetchResult
from vstore.ops.fsck import FsckResult
from vstore.ops.pull import PullResult
from vstore.ops.push import PushResult
from vstore.ops.remote import CheckResult, RemotesResult
from vstore.ops.transfer import Scope
from vstore.progress import SILENT, Reporter
from vstore.remote.inspection import ReadData


def push(
    paths: Paths = (),
    *,
    directory: Directory = None,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008  frozen
    jobs: int | None = None,
    engine: str | None = None,
    scheduler: str | None = None,
    check: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> PushResult:
    """Bring artifacts to a remote; with ``check`` only see whether it holds everything.

    >>> [pushed.roots for pushed in vstore.push().remotes]
    [['data']]

    Raises ObjectMissingError, RemoteNotFoundError, RemoteUnavailableError, RemoteDeniedError.
    """
    with opened(directory, reporter, jobs=jobs, engine=engine, scheduler=scheduler) as repo:
        return _push.push(repo, listed(paths), remote=remote, scope=scope, check=check, dry_run=dry_run)


def fetch(
    paths: Paths = (),
    *,
    directory: Directory = None,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008  frozen
    jobs: int | None = None,
    engine: str | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> FetchResult:
    """Bring what the cache lacks of artifacts from a remote; what is missing there is listed in the result.

    >>> vstore.fetch(scope=vstore.Scope(all_tags=True)).missing
    []

    Raises RemoteNotFoundError, RemoteUnavailableError, RemoteDeniedError.
    """
    with opened(directory, reporter, jobs=jobs, engine=engine, scheduler=scheduler) as repo:
        return _fetch.fetch(repo, listed(paths), remote=remote, scope=scope, dry_run=dry_run)


def pull(
    paths: Paths = (),
    *,
    directory: Directory = None,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008  frozen
    jobs: int | None = None,
    engine: str | None = None,
    scheduler: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> PullResult:
    """Fetch, then checkout.

    >>> vstore.pull().checkout.missing
    []
    """
    with opened(directory, reporter, jobs=jobs, engine=engine, scheduler=scheduler) as repo:
        return _pull.pull(repo, listed(paths), remote=remote, scope=scope, force=force, dry_run=dry_run)


def fsck(
    paths: Paths = (),
    *,
    directory: Directory = None,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008  frozen
    read_data: float = 0.0,
    again: bool = False,
    repair: bool = False,
    jobs: int | None = None,
    reporter: Reporter = SILENT,
) -> FsckResult:
    """Verify the cache or a remote (a name, or "" for the default), and with ``repair`` mend it; deletes nothing.

    Of the cache every byte is read, and no remote is asked unless a repair needs one.  ``read_data`` is the share of a
    remote's packs to read whole, from 0 to 1; without ``again`` not those read less than seven days ago.  Raises
    NewerFormatError, RemoteNotFoundError, RemoteUnavailableError, RemoteDeniedError.

    >>> vstore.fsck().damages
    []
    """
    with opened(directory, reporter, jobs=jobs) as repo:
        return _fsck.fsck(
            repo, listed(paths), remote=remote, scope=scope, read_data=ReadData(read_data, again), repair=repair
        )


def remote_list(*, directory: Directory = None) -> RemotesResult:
    """Return the remotes, by name.

    >>> [(remote.name, remote.default) for remote in vstore.remote_list().remotes]
    [('store', True)]
    """
    with opened(directory) as repo:
        return _remote.list_remotes(repo)


def remote_add(
    name: str, url: str, *, directory: Directory = None, default: bool = False, layer: Layer | None = None
) -> RemotesResult:
    """Name a place that contents are pushed to and fetched from.  Raises ConflictError, InvalidError.

    >>> [remote.url for remote in vstore.remote_add("backup", "s3://bucket/project").remotes]
    ['s3://bucket/project', '/home/ada/store']
    """
    with opened(directory) as repo:
        _remote.add_remote(repo, os.environ, name, url, default=default, layer=layer)
    return remote_list(directory=directory)


def remote_set(
    name: str, key: str, value: str, *, directory: Directory = None, layer: Layer | None = None
) -> RemotesResult:
    """Set an option of a remote; secrets stay local.  Raises RemoteNotFoundError, ConfigInvalidError.

    >>> vstore.remote_set("store", "read_only", "true").remotes[0].read_only
    True
    """
    with opened(directory) as repo:
        _remote.set_remote(repo, os.environ, name, key, value, layer=layer)
    return remote_list(directory=directory)


def remote_unset(name: str, key: str, *, directory: Directory = None, layer: Layer | None = None) -> RemotesResult:
    """Remove an option of a remote, so that its default counts again.  Raises RemoteNotFoundError, NotFoundError.

    >>> changed = vstore.remote_set("store", "read_only", "true")
    >>> vstore.remote_unset("store", "read_only").remotes[0].read_only
    False
    """
    with opened(directory) as repo:
        _remote.unset_remote(repo, os.environ, name, key, layer=layer)
    return remote_list(directory=directory)


def remote_rename(old: str, new: str, *, directory: Directory = None, reporter: Reporter = SILENT) -> RemotesResult:
    """Rename a remote, also in the pointers that are routed to it.  Raises RemoteNotFoundError, ConflictError.

    >>> [remote.name for remote in vstore.remote_rename("store", "archive").remotes]
    ['archive']
    """
    with opened(directory, reporter) as repo:
        _remote.rename_remote(repo, os.environ, old, new)
    return remote_list(directory=directory)


def remote_remove(name: str, *, directory: Directory = None) -> RemotesResult:
    """Forget a remote; what it holds stays.  Raises RemoteNotFoundError, ConflictError if pointers need it.

    >>> vstore.remote_remove("store").remotes
    []
    """
    with opened(directory) as repo:
        _remote.remove_remote(repo, os.environ, name)
    return remote_list(directory=directory)


def remote_default(
    name: str | None = None, *, directory: Directory = None, layer: Layer | None = None
) -> RemotesResult:
    """Make a remote the default; without a name only tell which it is.  Raises RemoteNotFoundError.

    >>> [remote.name for remote in vstore.remote_default().remotes if remote.default]
    ['store']
    """
    with opened(directory) as repo:
        chosen = repo.remote_name(name)
        if name is not None:
            _remote.set_default(repo, os.environ, chosen, layer=layer)
    return remote_list(directory=directory)


def remote_check(name: str | None = None, *, directory: Directory = None) -> CheckResult:
    """Try to list, write, read and delete at a remote.  Raises RemoteNotFoundError, RemoteExtraMissingError.

    >>> [step.action for step in vstore.remote_check().steps]
    ['list', 'write', 'read', 'list-new', 'delete']
    """
    with opened(directory) as repo:
        return _remote.check_remote(repo, name)
