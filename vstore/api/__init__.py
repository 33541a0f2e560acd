"""The public Python face: one function for each verb, saying the same as the command line.

Each takes ``directory``, where one stands (the working directory unless given): paths are relative to it, and the
repository at or above it is opened for the call.  ``reporter`` hears what goes on.  Results are the frozen
dataclasses that ``--json`` prints.  What goes wrong is a VstoreError.

Each name is imported when it is first used: all of them together take longer than most verbs run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vstore.api.adopting import remote_adopt
    from vstore.api.changing import add, checkout, init, install, mv, rm, unlock
    from vstore.api.cleaning import gc, gc_remote, gc_status, gc_undo
    from vstore.api.driving import diff_driver, merge_driver, run_hook
    from vstore.api.fetching import cat, path
    from vstore.api.importing import import_url, update
    from vstore.api.looking import (
        diff,
        du,
        find_work_tree,
        list_remote_names,
        list_revisions,
        list_tracked,
        log,
        ls,
        split_repository,
        split_revisions,
        status,
    )
    from vstore.api.migrating import migrate_dvc, migrate_lfs
    from vstore.api.reading import exists, open, read, url
    from vstore.api.settings import config_get, config_list, config_set, config_unset, doctor
    from vstore.api.sources import get, import_
    from vstore.api.syncing import (
        fetch,
        fsck,
        pull,
        push,
        remote_add,
        remote_check,
        remote_default,
        remote_list,
        remote_remove,
        remote_rename,
        remote_set,
        remote_unset,
    )
    from vstore.api.watching import live_progress
    from vstore.config import Layer
    from vstore.ops.add import Added, AddResult, Labels
    from vstore.ops.adopt import AdoptedPath, AdoptResult, ProjectInfo, PushedPath
    from vstore.ops.cat import CatResult
    from vstore.ops.checkout import CheckedOut, CheckoutResult
    from vstore.ops.config import ConfigResult, SettingShown
    from vstore.ops.diff import ArtifactDiff, DiffResult, DiffTotals, FileDiff
    from vstore.ops.diff_driver import DiffDriverResult, Row
    from vstore.ops.doctor import DoctorResult, RemoteHealth, RepositoryHealth
    from vstore.ops.du import DuResult, Usage
    from vstore.ops.fetch import Fetched, FetchResult
    from vstore.ops.fsck import Damage, FsckResult, Need, Verified, VerifiedCache
    from vstore.ops.gc import (
        Collected,
        DoomedPack,
        GcRemoteResult,
        GcResult,
        GcStatus,
        GcUndoResult,
        Kept,
        KeptAtRemote,
        RemoteVersion,
        RetiredCommit,
        RunningPush,
    )
    from vstore.ops.get import GetResult
    from vstore.ops.hooks import HookResult
    from vstore.ops.import_ import ImportResult
    from vstore.ops.import_url import ImportUrlResult
    from vstore.ops.init import InitResult
    from vstore.ops.install import InstalledHook, InstallResult
    from vstore.ops.log import LoggedVersion, LogResult
    from vstore.ops.ls import Listed, LsResult
    from vstore.ops.merge_driver import MergeDriverResult
    from vstore.ops.migrate.result import How, MigrateResult, MovedIn, Rewritten
    from vstore.ops.mv import Moved, MvResult
    from vstore.ops.needs import Revision
    from vstore.ops.pull import PullResult
    from vstore.ops.push import Pushed, PushResult
    from vstore.ops.remote import CheckResult, RemoteInfo, RemotesResult, Step
    from vstore.ops.rm import Removed, RmResult
    from vstore.ops.status import ArtifactStatus, StatusResult
    from vstore.ops.transfer import Scope
    from vstore.ops.unlock import UnlockResult
    from vstore.ops.updated import FileChange, Updated, UpdateResult
    from vstore.repo import Repo, open_repo

__all__ = [
    "AddResult",
    "Added",
    "AdoptResult",
    "AdoptedPath",
    "ArtifactDiff",
    "ArtifactStatus",
    "CatResult",
    "CheckResult",
    "CheckedOut",
    "CheckoutResult",
    "Collected",
    "ConfigResult",
    "Damage",
    "DiffDriverResult",
    "DiffResult",
    "DiffTotals",
    "DoctorResult",
    "DoomedPack",
    "DuResult",
    "FetchResult",
    "Fetched",
    "FileChange",
    "FileDiff",
    "FsckResult",
    "GcRemoteResult",
    "GcResult",
    "GcStatus",
    "GcUndoResult",
    "GetResult",
    "HookResult",
    "How",
    "ImportResult",
    "ImportUrlResult",
    "InitResult",
    "InstallResult",
    "InstalledHook",
    "Kept",
    "KeptAtRemote",
    "Labels",
    "Layer",
    "Listed",
    "LogResult",
    "LoggedVersion",
    "LsResult",
    "MergeDriverResult",
    "MigrateResult",
    "Moved",
    "MovedIn",
    "MvResult",
    "Need",
    "ProjectInfo",
    "PullResult",
    "PushResult",
    "Pushed",
    "PushedPath",
    "RemoteHealth",
    "RemoteInfo",
    "RemoteVersion",
    "RemotesResult",
    "Removed",
    "Repo",
    "RepositoryHealth",
    "RetiredCommit",
    "Revision",
    "Rewritten",
    "RmResult",
    "Row",
    "RunningPush",
    "Scope",
    "SettingShown",
    "StatusResult",
    "Step",
    "UnlockResult",
    "UpdateResult",
    "Updated",
    "Usage",
    "Verified",
    "VerifiedCache",
    "add",
    "cat",
    "checkout",
    "config_get",
    "config_list",
    "config_set",
    "config_unset",
    "diff",
    "diff_driver",
    "doctor",
    "du",
    "exists",
    "fetch",
    "find_work_tree",
    "fsck",
    "gc",
    "gc_remote",
    "gc_status",
    "gc_undo",
    "get",
    "import_",
    "import_url",
    "init",
    "install",
    "list_remote_names",
    "list_revisions",
    "list_tracked",
    "live_progress",
    "log",
    "ls",
    "merge_driver",
    "migrate_dvc",
    "migrate_lfs",
    "mv",
    "open",
    "open_repo",
    "path",
    "pull",
    "push",
    "read",
    "remote_add",
    "remote_adopt",
    "remote_check",
    "remote_default",
    "remote_list",
    "remote_remove",
    "remote_rename",
    "remote_set",
    "remote_unset",
    "rm",
    "run_hook",
    "split_repository",
    "split_revisions",
    "status",
    "unlock",
    "update",
    "url",
]

_HOMES = {
    "vstore.api.adopting": "remote_adopt",
    "vstore.api.changing": "add checkout init install mv rm unlock",
    "vstore.api.cleaning": "gc gc_remote gc_status gc_undo",
    "vstore.api.driving": "diff_driver merge_driver run_hook",
    "vstore.api.fetching": "cat path",
    "vstore.api.importing": "import_url update",
    "vstore.api.looking": (
        "diff du find_work_tree list_remote_names list_revisions list_tracked log ls "
        "split_repository split_revisions status"
    ),
    "vstore.api.migrating": "migrate_dvc migrate_lfs",
    "vstore.api.reading": "exists open read url",
    "vstore.api.settings": "config_get config_list config_set config_unset doctor",
    "vstore.api.sources": "get import_",
    "vstore.api.syncing": (
        "fetch fsck pull push remote_add remote_check remote_default remote_list remote_remove remote_rename remote_set"
        " remote_unset"
    ),
    "vstore.api.watching": "live_progress",
    "vstore.config": "Layer",
    "vstore.ops.add": "Added AddResult Labels",
    "vstore.ops.adopt": "AdoptedPath AdoptResult ProjectInfo PushedPath",
    "vstore.ops.cat": "CatResult",
    "vstore.ops.checkout": "CheckedOut CheckoutResult",
    "vstore.ops.config": "ConfigResult SettingShown",
    "vstore.ops.diff": "ArtifactDiff DiffResult DiffTotals FileDiff",
    "vstore.ops.diff_driver": "DiffDriverResult Row",
    "vstore.ops.doctor": "DoctorResult RemoteHealth RepositoryHealth",
    "vstore.ops.du": "DuResult Usage",
    "vstore.ops.fetch": "Fetched FetchResult",
    "vstore.ops.fsck": "Damage FsckResult Need Verified VerifiedCache",
    "vstore.ops.gc": (
        "Collected DoomedPack GcRemoteResult GcResult GcStatus GcUndoResult Kept KeptAtRemote RemoteVersion "
        "RetiredCommit RunningPush"
    ),
    "vstore.ops.get": "GetResult",
    "vstore.ops.hooks": "HookResult",
    "vstore.ops.import_": "ImportResult",
    "vstore.ops.import_url": "ImportUrlResult",
    "vstore.ops.init": "InitResult",
    "vstore.ops.install": "InstalledHook InstallResult",
    "vstore.ops.log": "LoggedVersion LogResult",
    "vstore.ops.ls": "Listed LsResult",
    "vstore.ops.merge_driver": "MergeDriverResult",
    "vstore.ops.migrate.result": "How MigrateResult MovedIn Rewritten",
    "vstore.ops.mv": "Moved MvResult",
    "vstore.ops.needs": "Revision",
    "vstore.ops.pull": "PullResult",
    "vstore.ops.push": "Pushed PushResult",
    "vstore.ops.remote": "CheckResult RemoteInfo RemotesResult Step",
    "vstore.ops.rm": "Removed RmResult",
    "vstore.ops.status": "ArtifactStatus StatusResult",
    "vstore.ops.transfer": "Scope",
    "vstore.ops.unlock": "UnlockResult",
    "vstore.ops.updated": "FileChange Updated UpdateResult",
    "vstore.repo": "Repo open_repo",
}
"""Where each name comes from."""


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names.split():
            found = globals()[name] = getattr(importlib.import_module(home), name)
            return found
    raise AttributeError(f"module 'vstore.api' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
