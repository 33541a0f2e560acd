"""``gc``: remove what nobody needs any more, from the local cache or from a remote."""

from __future__ import annotations

from vstore.ops.gc.local import Collected, Forgotten, GcResult, Kept, Release, gc

__all__ = ["Collected", "Forgotten", "GcResult", "Kept", "Release", "gc"]
