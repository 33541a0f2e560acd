"""The public Python face: one function for each verb, saying the same as the command line.

Each takes ``directory``, where one stands (the working directory unless given): paths are relative to it, and the
repository at or above it is opened for the call.  ``reporter`` hears what goes on.  Results are the frozen
dataclasses that ``--json`` prints.  What goes wrong is a VstoreError.
"""

from __future__ import annotations

from vstore.api.adopting import remote_adopt
from vstore.api.changing import add, checkout, init, install, mv, rm, unlock
from vstore.api.cleaning import gc, gc_remote, gc_status, gc_undo
from vstore.api.driving import diff_driver, merge_driver, run_hook
from vstore.api.importing import import_url, update
from vstore.api.looking import (
    cat,
    diff,
    doctor,
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
from vstore.api.reading import exists, open, path, read, url
from vstore.api.settings import config_get, config_list, config_set, config_unset
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
