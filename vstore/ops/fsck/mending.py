"""Mending files of the cache, and the state of the work tree."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from vstore.cache.inspection import NEWER, UNREADABLE, Flaw, verify_loose, verify_pack
from vstore.cache.loose import OBJECT_MODE
from vstore.cache.packs import PACK_SUFFIX
from vstore.cache.salvage import rebuild_pack
from vstore.durable import os_errors
from vstore.errors import VstoreError
from vstore.objects.pointer import Pointer
from vstore.ops.resolve import list_artifacts
from vstore.repo import Repo
from vstore.state import Placed


def mend_file(repo: Repo, flaw: Flaw) -> bool:
    """Keep what is good in a damaged file of the cache and set the rest aside; tell whether nothing bad is left there.

    What is of a newer version, or somebody else's and unreadable, is left alone.
    """
    path, cache = flaw.path, repo.cache
    if flaw.kind == NEWER or path.is_dir():
        return False
    if flaw.kind == UNREADABLE:
        with contextlib.suppress(OSError):
            path.chmod(cache.file_mode(OBJECT_MODE))
        if path.exists() and not os.access(path, os.R_OK):
            return False
    try:
        if path.suffix == PACK_SUFFIX:
            if verify_pack(path, None, repo.reporter.advance).flaw is not None:
                rebuild_pack(cache, path)
        else:
            (digest,) = flaw.digests
            # Another command may have replaced it meanwhile.
            if verify_loose(path, digest, repo.reporter.advance) is not None:
                cache.set_aside(digest)
    except VstoreError as error:
        repo.reporter.warn(error.message)
        return False
    return True


def make_read_only(repo: Repo, objects: Sequence[Path]) -> list[Path]:
    """Make loose objects read-only, and return those that do not become it."""
    left: list[Path] = []
    for path in objects:
        with contextlib.suppress(OSError):
            path.chmod(repo.cache.file_mode(OBJECT_MODE))
            if path.stat().st_mode & 0o222:
                left.append(path)
    return left


def rebuild_state(repo: Repo) -> None:
    """Set a damaged state aside and learn anew what lies in the work tree."""
    with os_errors(repo.state.path, "set aside"):
        repo.state.set_aside()
    for artifact in list_artifacts(repo):
        pointer = artifact.pointer
        if isinstance(pointer, Pointer):
            snapshot = repo.snapshotter().take(repo.work_tree / artifact.path, artifact.path)
            if snapshot.digest == pointer.digest:
                repo.state.save_placed(artifact.path, Placed(pointer.kind, pointer.digest))
