"""``cat``: the bytes of one file, of any version."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vstore.cache.loose import hash_file
from vstore.errors import CorruptError, InvalidError, ObjectMissingError, PathNotFoundError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, algorithm_of
from vstore.objects.names import RelPath
from vstore.objects.tree import Entry
from vstore.ops.fetch import fetch
from vstore.ops.gathering import is_imported
from vstore.ops.resolve import Target, find_targets
from vstore.ops.transfer import Scope
from vstore.ops.trees import load_entries
from vstore.repo import Repo

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CatResult:
    """The file whose bytes were written."""

    path: RelPath
    digest: Digest
    size_bytes: int


def cat(
    repo: Repo,
    path: str | Path,
    write: Callable[[bytes], object],
    *,
    rev: str | None = None,
) -> CatResult:
    """Give the bytes of a tracked file, verified before the first of them, to ``write``, piece by piece.

    They come from the cache, else from the work tree if the file is unmodified there, else from a remote.
    Raises ObjectMissingError, PathNotFoundError, InvalidError for a directory.
    """
    targets = find_targets(repo, [path], rev=rev)
    if len(targets) != 1 or targets[0].path != repo.relative(path):
        raise InvalidError(f"{path} is not one file", path=str(path))
    entry = _find_file(repo, targets[0])
    file = targets[0].path
    written = _write_cached(repo, entry, write) or _write_from(repo.work_tree / file, entry, write)
    if not written and (repo.config.remotes or is_imported(targets[0].artifact.pointer)):
        if entry.size_bytes > SMALL_BYTES:
            repo.cache.set_aside(entry.digest)  # what is there is damaged
        fetch(repo, [path], scope=Scope(rev=rev))
        written = _write_cached(repo, entry, write)
    if not written:
        raise ObjectMissingError(
            f"the contents of {file} are neither in the cache nor in a remote",
            digests=[entry.digest],
            paths=[file],
            no_remote=not repo.config.remotes,
        )
    return CatResult(file, entry.digest, entry.size_bytes)


def _find_file(repo: Repo, target: Target) -> Entry:
    entries = load_entries(repo, target.pointer, target.artifact.path, target.inner)
    if not entries and target.inner:
        raise PathNotFoundError(f"there is no {target.inner} in {target.artifact.path}", path=target.path)
    if len(entries) != 1 or entries[0].path != target.inner or not entries[0].is_file:
        raise InvalidError(f"{target.path} is not a file", path=target.path)
    return entries[0]


def _write_cached(repo: Repo, entry: Entry, write: Callable[[bytes], object]) -> bool:
    if entry.size_bytes <= SMALL_BYTES:
        with contextlib.suppress(ObjectMissingError, CorruptError):
            write(repo.cache.read(entry.digest))
            return True
        return False
    source = repo.cache.open_large(entry.digest)
    if source is None:
        return False
    with source:
        return _write_verified(source, entry, write)


def _write_from(path: Path, entry: Entry, write: Callable[[bytes], object]) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(descriptor, "rb", buffering=0) as source:
        return os.fstat(descriptor).st_size == entry.size_bytes and _write_verified(source, entry, write)


def _write_verified(source: BinaryIO, entry: Entry, write: Callable[[bytes], object]) -> bool:
    if hash_file(source.fileno(), algorithm_of(entry.digest).name)[0] != entry.digest:
        return False
    source.seek(0)
    while piece := source.read(_PIECE_BYTES):
        write(piece)
    return True
