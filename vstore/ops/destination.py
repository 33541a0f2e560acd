"""Where an import goes: what may be there already, and what of an older pointer stays."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vstore.errors import AddRefusedError, ConflictError
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.ops.admission import check_admission
from vstore.repo import Repo
from vstore.workspace.pointers import find_owner, load_awaited

_SOURCE_KEYS = {"url", "lock", "version", "repo", "path", "rev", "commit", "copy"}
"""What importing writes; all other keys belong to people."""


def find_path(repo: Repo, out: str | Path | None, find_name: Callable[[], str]) -> RelPath:
    """Return where the data goes: into a directory that is there and not tracked, or else exactly there."""
    path = repo.relative(os.curdir if out is None else out)
    is_tracked = find_owner(repo.work_tree, path) is not None if path else False
    is_folder = str(out).endswith("/") or (repo.work_tree / path).is_dir()
    if out is None or (is_folder and not is_tracked):
        return f"{path}/{find_name()}".lstrip("/")
    return path


def check_free(repo: Repo, path: RelPath, pointer: Pointer | Mapping[str, Any], *, force: bool) -> None:
    """Raise ConflictError if something is at a path, AddRefusedError if nothing may be.

    ``pointer`` is what shall be there, or what it will say of its source: an import that was stopped when there was a
    pointer, and not yet the files, may go on.
    """
    owner = find_owner(repo.work_tree, path)
    if owner is not None and owner.path != path:
        raise AddRefusedError(f"{path} is in {owner.path}, which is tracked as a whole", path=path, reason="inside")
    if not force and owner is not None:
        if not _is_stopped(repo, path, pointer):
            raise ConflictError(f"{path} is tracked already", path=path, tracked=True)
    elif not force and os.path.lexists(repo.work_tree / path):
        raise ConflictError(f"{path} is there already", path=path, tracked=False)
    check_admission(repo, path, force=force)


def _is_stopped(repo: Repo, path: RelPath, pointer: Pointer | Mapping[str, Any]) -> bool:
    if repo.state.find_placed(path) is not None:
        return False
    found = load_awaited(repo.work_tree, path)
    if isinstance(pointer, Pointer):
        return found == pointer
    return all(found.source.get(key) == value for key, value in pointer.items())


def find_old(repo: Repo, path: RelPath) -> Pointer | None:
    """Return what the pointer at a path says now, also of an import that was not downloaded yet."""
    owner = find_owner(repo.work_tree, path)
    return None if owner is None else load_awaited(repo.work_tree, path)


def inherit(fresh: Pointer, old: Pointer | None) -> Pointer:
    """Return the new pointer of an import; what a person said of an old one stays."""
    if old is None:
        return fresh
    own = {key: value for key, value in old.source.items() if key not in _SOURCE_KEYS}
    return dataclasses.replace(
        old,
        kind=fresh.kind,
        digest=fresh.digest,
        size_bytes=fresh.size_bytes,
        files=fresh.files,
        executable=fresh.executable,
        source={**fresh.source, **own},
    )
