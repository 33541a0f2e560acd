"""``gc``: remove what nobody needs any more, from the local cache or from a remote."""

from __future__ import annotations

from vstore.ops.gc.local import Forgotten, Release, gc
from vstore.ops.gc.remote import RemoteRetention, gc_remote
from vstore.ops.gc.report import (
    DoomedPack,
    GcRemoteResult,
    GcStatus,
    GcUndoResult,
    KeptAtRemote,
    RemoteVersion,
    RetiredCommit,
    RunningPush,
)
from vstore.ops.gc.status import gc_status
from vstore.ops.gc.totals import Collected, GcResult, Kept
from vstore.ops.gc.trash import gc_undo

__all__ = [
    "Collected",
    "DoomedPack",
    "Forgotten",
    "GcRemoteResult",
    "GcResult",
    "GcStatus",
    "GcUndoResult",
    "Kept",
    "KeptAtRemote",
    "Release",
    "RemoteRetention",
    "RemoteVersion",
    "RetiredCommit",
    "RunningPush",
    "gc",
    "gc_remote",
    "gc_status",
    "gc_undo",
]
