"""Verbs that change what is tracked and what lies in the work tree."""

from __future__ import annotations

from pathlib import Path

from vstore.api.opening import Directory, Paths, listed, opened, standing
from vstore.ops import add as _add
from vstore.ops import checkout as _checkout
from vstore.ops import dereference as _dereference
from vstore.ops import init as _init
from vstore.ops import install as _install
from vstore.ops import mv as _mv
from vstore.ops import rm as _rm
from vstore.ops import settle as _settle
from vstore.ops import unlock as _unlock
from vstore.ops.add import AddResult, Labels
from vstore.ops.checkout import CheckoutResult
from vstore.ops.init import InitResult
from vstore.ops.install import InstallResult
from vstore.ops.mv import MvResult
from vstore.ops.rm import RmResult
from vstore.ops.unlock import UnlockResult
from vstore.progress import SILENT, Reporter


def init(
    directory: Directory = None,
    *,
    hash: str = "xxh128",
    cache_dir: str | None = None,
    no_git: bool = False,
    reporter: Reporter = SILENT,
) -> InitResult:
    """Make a repository; again, it is harmless.  Raises GitRepositoryNotFoundError, InvalidError.

    >>> vstore.init().created
    False
    """
    return _init.init(standing(directory), hash=hash, cache_dir=cache_dir, no_git=no_git, reporter=reporter)


def add(
    paths: Paths = (),
    *,
    directory: Directory = None,
    update: bool = False,
    force: bool = False,
    dereference: bool = False,
    labels: Labels = Labels(),  # noqa: B008  frozen
    jobs: int | None = None,
    engine: str | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> AddResult:
    """Track paths, or with ``update`` take over what changed in those (or all) that are tracked.

    ``dereference`` first replaces links that lead out of what is added by copies of what they lead to; with ``dry_run``
    it does not.

    >>> [(added.path, added.change) for added in vstore.add("model.bin").artifacts]
    [('model.bin', 'new')]

    Raises AddRefusedError, PathNotFoundError, NameRefusedError, PartialError naming files that cannot be read.
    """
    with opened(directory, reporter, jobs=jobs, engine=engine, scheduler=scheduler) as repo:
        if dereference and not dry_run:
            _dereference.dereference(repo, listed(paths), force=force)
        return _add.add(repo, listed(paths), update=update, force=force, labels=labels, dry_run=dry_run)


def checkout(
    paths: Paths = (),
    *,
    directory: Directory = None,
    rev: str | None = None,
    force: bool = False,
    relink: bool = False,
    dry_run: bool = False,
    side: str | None = None,
    reporter: Reporter = SILENT,
) -> CheckoutResult:
    """Make the data at ``paths`` (all, if none) equal their pointers, or those of ``rev``.

    Unsaved files are neither overwritten nor deleted without ``force``; what is missing is listed in the result.
    With ``side`` ("ours" or "theirs") what a merge left in conflict at ``paths`` is decided first, and staged.

    >>> [done.written for done in vstore.checkout("data", rev="v1.0").artifacts]
    [1]
    """
    with opened(directory, reporter) as repo:
        if side is not None:
            return _settle.settle(repo, listed(paths), side, force=force, dry_run=dry_run)
        return _checkout.checkout(repo, listed(paths), rev=rev, force=force, relink=relink, dry_run=dry_run)


def install(
    *, directory: Directory = None, uninstall: bool = False, dry_run: bool = False, reporter: Reporter = SILENT
) -> InstallResult:
    """Let git run vstore in its hooks, and to merge and compare pointers; or leave all as it was before.

    Hooks that are there stay, and run first.  Raises GitRepositoryNotFoundError, GitFailedError.

    >>> [hook.name for hook in vstore.install(dry_run=True).hooks][:2]
    ['pre-commit', 'pre-push']
    """
    with opened(directory, reporter) as repo:
        return _install.install(repo, uninstall=uninstall, dry_run=dry_run)


def rm(
    paths: Paths,
    *,
    directory: Directory = None,
    data: bool = False,
    force: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> RmResult:
    """Stop tracking; the data of artifacts stays, unless ``data``.  Raises NotTrackedError, UnsavedError.

    >>> [removed.path for removed in vstore.rm("data").removed]
    ['data']
    """
    with opened(directory, reporter) as repo:
        return _rm.rm(repo, listed(paths), data=data, force=force, dry_run=dry_run)


def mv(
    sources: Paths,
    destination: str | Path,
    *,
    directory: Directory = None,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> MvResult:
    """Move data with its pointer and ignore rule; nothing is overwritten.  Raises NotTrackedError, ConflictError.

    >>> [(moved.source, moved.destination) for moved in vstore.mv("data", "inputs").moved]
    [('data', 'inputs')]
    """
    with opened(directory, reporter) as repo:
        return _mv.mv(repo, listed(sources), destination, dry_run=dry_run)


def unlock(paths: Paths, *, directory: Directory = None, reporter: Reporter = SILENT) -> UnlockResult:
    """Replace links to the cache by writable copies.  Raises NotTrackedError, PartialError.

    >>> vstore.unlock("data").files
    []
    """
    with opened(directory, reporter) as repo:
        return _unlock.unlock(repo, listed(paths))
