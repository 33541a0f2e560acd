"""Linking files that were just added, where the configuration prefers links to copies."""

from __future__ import annotations

import os
import stat

from vstore.cache.link import HARDLINK, SYMLINK
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.names import RelPath
from vstore.objects.tree import FILE, Entry
from vstore.ops.placing import Edits, place
from vstore.repo import Repo
from vstore.workspace.snapshot import Snapshot


def relink(repo: Repo, path: RelPath, snapshot: Snapshot) -> int:
    """Replace large files that are copies by links to the cache; returns how many.

    Does nothing unless ``cache.type`` asks for hardlinks or symlinks.  A file that was touched since the snapshot
    is left alone.
    """
    if not {HARDLINK, SYMLINK} & set(repo.config.cache_type) or snapshot.kind == "absent":
        return 0
    if snapshot.kind == "file":
        candidates = [Entry("", FILE, snapshot.size_bytes, snapshot.digest)] if not snapshot.executable else []
    else:
        candidates = [entry for entry in snapshot.iter_entries() if entry.kind == FILE]
    link_type = repo.link_type
    write = [
        entry
        for entry in candidates
        if entry.size_bytes > SMALL_BYTES and not _is_linked(repo, f"{path}/{entry.path}".rstrip("/"), entry, link_type)
    ]
    if not write or link_type not in (HARDLINK, SYMLINK):
        return 0
    result = place(repo, path, Edits(write, []), before=snapshot, after=snapshot)
    return len(result.written)


def _is_linked(repo: Repo, path: RelPath, entry: Entry, link_type: str) -> bool:
    held = repo.cache.loose_path(entry.digest)
    found = os.lstat(repo.work_tree / path)
    if stat.S_ISLNK(found.st_mode):
        return link_type == SYMLINK and os.readlink(repo.work_tree / path) == str(held)
    return link_type == HARDLINK and held.exists() and os.path.samestat(found, held.stat())
