"""``du``: how large artifacts are, and how much of them is on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.errors import VstoreError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.ops.resolve import Target, find_targets
from vstore.ops.trees import load_entries
from vstore.repo import Repo


@dataclass(frozen=True, slots=True)
class Usage:
    """One artifact, or path inside one: its size, its number of files, and how much of it the cache holds."""

    path: RelPath
    size_bytes: int
    files: int
    cached_bytes: int


@dataclass(frozen=True, slots=True)
class DuResult:
    """Each artifact, and all together: contents that several share count once in ``unique_bytes``."""

    artifacts: list[Usage]
    size_bytes: int
    files: int
    unique_bytes: int
    cached_bytes: int
    """Of the unique bytes, those in the cache."""


def du(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    rev: str | None = None,
) -> DuResult:
    """Add up sizes of artifacts, or of paths inside them.  Raises as ``find_targets``.

    Broken pointers, and trees that are nowhere to be found, are warned of and left out.
    """
    sizes: dict[Digest, int] = {}
    contents: list[tuple[RelPath, list[Digest]]] = []
    for target in find_targets(repo, paths, rev=rev):
        try:
            digests = _contents(repo, target, sizes)
        except VstoreError as error:
            repo.reporter.warn(f"{target.path} was left out: {error.message}")
            continue
        contents.append((target.path, digests))
    missing = repo.cache.find_missing(sizes)
    artifacts = [
        Usage(
            path,
            sum(sizes[digest] for digest in digests),
            len(digests),
            sum(sizes[digest] for digest in digests if digest not in missing),
        )
        for path, digests in contents
    ]
    return DuResult(
        artifacts,
        sum(usage.size_bytes for usage in artifacts),
        sum(usage.files for usage in artifacts),
        sum(sizes.values()),
        sum(size for digest, size in sizes.items() if digest not in missing),
    )


def _contents(repo: Repo, target: Target, sizes: dict[Digest, int]) -> list[Digest]:
    """Return the digest of every file at a target, noting its size."""
    entries = load_entries(repo, target.pointer, target.artifact.path, target.inner)
    sizes.update((entry.digest, entry.size_bytes) for entry in entries if entry.is_file)
    return [entry.digest for entry in entries if entry.is_file]
