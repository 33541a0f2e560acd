"""``doctor``: what works here, what does not, and what is slow."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vstore import __version__
from vstore.cache.link import LINK_TYPES, probe_link_type
from vstore.config import masked_url
from vstore.durable import FileLock
from vstore.errors import RepositoryNotFoundError, VstoreError
from vstore.ops.install import find_installed
from vstore.ops.remote import check_remote
from vstore.ops.resolve import list_artifacts
from vstore.progress import SILENT, Reporter
from vstore.repo import Repo, open_repo

_PACKAGES = ("click", "xxhash", "pygit2", "fsspec", "zstandard", "pyfastcdc", "blake3", "s3fs", "gcsfs", "adlfs")
_MANY_PACKS = 200


@dataclass(frozen=True, slots=True)
class RemoteHealth:
    """One remote; ``error`` is the first that a check of it met, and None where everything works."""

    name: str
    url: str
    error: str | None
    code: str | None = None
    """Of which kind the error is, as in the list of errors."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The facts of the error, as its ``cause``."""


@dataclass(frozen=True, slots=True)
class RepositoryHealth:
    """One repository: its places, the link types that work from cache to work tree, and its numbers."""

    path: str
    cache: str
    hash: str
    git: bool
    link_types: list[str]
    packs: int
    artifacts: int
    broken: list[str]
    """Pointers that cannot be read."""
    remotes: list[RemoteHealth]
    installed: Mapping[str, bool]
    """For each hook, and for ``drivers``, whether git runs vstore there; nothing without git."""


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """The machine, the repository one stands in (None outside of one), and remarks, each a sentence."""

    versions: Mapping[str, str]
    platform: str
    repository: RepositoryHealth | None
    remarks: list[str]


def doctor(start: Path, *, reporter: Reporter = SILENT) -> DoctorResult:
    """Look at the machine and, if ``start`` is in one, the repository.  Writes and removes only probe files."""
    versions = {"vstore": __version__, "python": platform.python_version(), "git": _git_version()}
    versions |= dict(_iter_packages())
    remarks: list[str] = []
    if not versions["git"]:
        remarks.append("the git program is not installed, so pointers cannot be staged")
    health = None
    try:
        repo = open_repo(start, reporter=reporter)
    except RepositoryNotFoundError:
        remarks.append("this is not inside a vstore repository")
    else:
        with repo:
            health = _look_at(repo)
            remarks += _iter_remarks(repo, health)
    return DoctorResult(versions, platform.platform(), health, remarks)


def _git_version() -> str:
    try:
        done = subprocess.run(["git", "--version"], capture_output=True, check=False, text=True)
    except OSError:
        return ""
    return done.stdout.strip().removeprefix("git version ")


def _iter_packages() -> Iterator[tuple[str, str]]:
    import importlib.metadata  # 10 ms that every other verb would pay

    for name in _PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _look_at(repo: Repo) -> RepositoryHealth:
    artifacts = list_artifacts(repo)
    return RepositoryHealth(
        str(repo.work_tree),
        str(repo.cache.path),
        repo.algorithm,
        repo.git is not None,
        _find_link_types(repo),
        sum(1 for _ in repo.cache.packs.iter_packs()),
        len(artifacts),
        [f"{artifact.path}: {artifact.pointer}" for artifact in artifacts if isinstance(artifact.pointer, VstoreError)],
        [_try_remote(repo, name) for name in sorted(repo.config.remotes)],
        find_installed(repo),
    )


def _find_link_types(repo: Repo) -> list[str]:
    try:
        repo.cache.create()
        return [kind for kind in LINK_TYPES if probe_link_type([kind], repo.cache.path, repo.directory)[0] == kind]
    except (VstoreError, OSError):
        return []


def _try_remote(repo: Repo, name: str) -> RemoteHealth:
    try:
        checked = check_remote(repo, name)
    except VstoreError as error:
        return RemoteHealth(name, masked_url(repo.config.remotes[name].url), error.message, error.code, error.fields)
    for step in checked.steps:
        if step.error is not None:
            return RemoteHealth(name, checked.url, step.error, step.code, step.fields)
    return RemoteHealth(name, checked.url, None)


def _iter_remarks(repo: Repo, health: RepositoryHealth) -> Iterator[str]:
    if not health.link_types:
        yield f"the cache {health.cache} cannot be written"
    elif "reflink" not in health.link_types:
        yield "the file system has no reflinks, so files over 256 KiB take their space twice: in cache and work tree"
    if repo.cache.path.exists() and os.stat(repo.cache.path).st_dev != os.stat(repo.work_tree).st_dev:
        yield "cache and work tree are on different file systems, so files cannot be linked"
    if health.packs > _MANY_PACKS:
        yield f"the cache has {health.packs} packs, so finding small objects is slow"
    if not _can_lock(repo):
        yield "the file system has no locks, so two commands at once are not kept apart"
    if not health.remotes:
        yield "there is no remote, so the cache is the only copy of the data"
    if repo.git is not None and repo.git.is_shallow:
        yield "the git repository is shallow, so older versions cannot be named"
    for broken in health.broken:
        yield f"a pointer cannot be read: {broken}"


def _can_lock(repo: Repo) -> bool:
    probe = repo.private / "lock-probe"
    try:
        repo.private.mkdir(parents=True, exist_ok=True)
        lock = FileLock(probe)
        held = lock.acquire()
        lock.release()
        probe.unlink()
    except (VstoreError, OSError):
        return True  # a busy or unwritable place says nothing about locks
    return held
