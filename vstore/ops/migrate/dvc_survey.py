"""What DVC tracks in the work tree, and where the contents may be."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.durable import os_errors
from vstore.errors import InvalidError, RemoteExtraMissingError, RemoteUnavailableError, VstoreError
from vstore.git.program import run_git
from vstore.objects.names import RelPath
from vstore.ops.migrate.dvc_files import (
    MAX_FILE_BYTES,
    Found,
    is_dvc_file,
    parse_dvc_file,
    parse_lock_file,
)
from vstore.ops.migrate.dvc_settings import DvcSettings, load_settings, translate
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignName
from vstore.ops.migrate.places import Content, Place, RemotePlace, StorePlace
from vstore.remote.opening import open_transport
from vstore.remote.wrappers import RetryingTransport
from vstore.repo import Repo

_PATTERNS = ("*.dvc", "dvc.lock", "**/dvc.lock")
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Survey(NamedTuple):
    """What the files of DVC name; ``files`` are those that were read, each with the paths that it names."""

    artifacts: list[ForeignArtifact]
    skipped: list[tuple[RelPath, str]]
    refused: list[tuple[RelPath, str]]
    files: dict[RelPath, list[RelPath]]


def survey_work_tree(work_tree: Path) -> Survey:
    """Return what the files of DVC in a work tree name.

    Files that git ignores, and other repositories inside, are not looked for.
    """
    names = run_git(work_tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_PATTERNS).split(
        b"\0"
    )
    survey = Survey([], [], [], {})
    for path in sorted({os.fsdecode(name) for name in names if name}):
        if not is_dvc_file(path):
            continue
        data = _read(work_tree / path)
        if data is None:
            continue
        try:
            found = parse(path, data, lambda path: _read(work_tree / path))
        except InvalidError as error:
            survey.refused.append((path, error.message))
            continue
        home = find_home(work_tree, path)
        if home is None:
            survey.refused.append((path, "is in no project of DVC: there is no .dvc directory at or above it"))
            continue
        note(survey, path, found, home)
    return survey


def parse(path: RelPath, data: bytes, read: Callable[[RelPath], bytes | None]) -> Found:
    """Return what one file of DVC names; ``read`` returns the content of another, or None.  Raises InvalidError."""
    if path.endswith(".dvc"):
        return parse_dvc_file(data, path)
    return parse_lock_file(data, path, read(path.removesuffix("dvc.lock") + "dvc.yaml"))


def note(survey: Survey, path: RelPath, found: Found, home: RelPath) -> None:
    """Add what one file names."""
    named = [artifact.path for artifact in found.artifacts] + [path for path, _ in [*found.skipped, *found.refused]]
    survey.files[path] = named
    survey.skipped.extend(found.skipped)
    survey.refused.extend(found.refused)
    survey.artifacts.extend(dataclasses.replace(artifact, home=home) for artifact in found.artifacts)


def split_overlapping(artifacts: Sequence[ForeignArtifact]) -> tuple[list[ForeignArtifact], list[tuple[RelPath, str]]]:
    """Return the artifacts without those that stand twice or inside another, and these with the reason."""
    taken: dict[RelPath, ForeignArtifact] = {}
    refused: list[tuple[RelPath, str]] = []
    for artifact in sorted(artifacts, key=lambda artifact: (artifact.path.count("/"), artifact.path)):
        path = artifact.path
        above = next((path[:i] for i in _ends(path) if path[:i] in taken), None)
        if above is None:
            taken[path] = artifact
        elif above == path and artifact.listing == taken[path].listing and artifact.files == taken[path].files:
            continue  # the output of a stage that is also the output of another, frozen one
        else:
            refused.append((path, f"is tracked by {taken[above].written_in} as well as by {artifact.written_in}"))
    return sorted(taken.values(), key=lambda artifact: artifact.path), refused


def _ends(path: RelPath) -> Iterator[int]:
    yield from (i for i, character in enumerate(path) if character == "/")
    yield len(path)


def _read(file: Path) -> bytes | None:
    with os_errors(file, "read"):
        try:
            descriptor = os.open(file, _READ_FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            if file.is_symlink():
                return None
            raise
        with open(descriptor, "rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1) if not os.path.isdir(file) else None


def find_home(work_tree: Path, path: RelPath) -> RelPath | None:
    """Return the nearest directory above a file that has settings of DVC, or None."""
    while path:
        path = path.rpartition("/")[0]
        if (work_tree / path / ".dvc").is_dir():
            return path
    return None


class DvcStores(contextlib.ExitStack):
    """The caches and remotes of the DVC projects in a work tree, opened when they are needed; closes what it opened."""

    def __init__(self, repo: Repo, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._repo = repo
        self._environ = environ
        self._settings: dict[RelPath, DvcSettings] = {}
        self._caches: dict[Path, StorePlace] = {}
        self._remotes: dict[tuple[RelPath, str], Place] = {}

    @property
    def directories(self) -> list[Path]:
        """The caches that were used."""
        return list(self._caches)

    def near(self, artifact: ForeignArtifact) -> list[Place]:
        """Return where on this machine contents of an artifact may be."""
        cache = self._project(artifact.home).cache
        if cache not in self._caches:
            self._caches[cache] = StorePlace(cache, "the cache of DVC")
        return [self._caches[cache]]

    def far(self, artifact: ForeignArtifact) -> list[Place]:
        """Return the remote where contents of an artifact may be; one that cannot be opened tells why when asked."""
        settings = self._project(artifact.home)
        name = artifact.remote or settings.default_remote
        if name is None and len(settings.remotes) == 1:
            name = next(iter(settings.remotes))
        if name is None:
            return []
        known = self._remotes.get((artifact.home, name))
        if known is None:
            known = self._remotes[artifact.home, name] = self._open(settings, name)
        return [known]

    def _project(self, home: RelPath) -> DvcSettings:
        if home not in self._settings:
            self._settings[home] = load_settings(self._repo.work_tree / home, self._environ)
        return self._settings[home]

    def _open(self, settings: DvcSettings, name: str) -> Place:
        repo = self._repo
        try:
            url, options = translate(settings, name)
            transport = open_transport(url, options, root=repo.work_tree, timeout_s=repo.config.timeout_s)
        except (InvalidError, RemoteUnavailableError, RemoteExtraMissingError) as error:
            return _UnreadablePlace(error)
        self.callback(transport.close)
        label = f"the remote {name} of DVC"
        temporary = repo.cache.path if repo.cache.path.is_dir() else repo.work_tree
        return RemotePlace(RetryingTransport(transport, tell=repo.reporter.note), label, temporary)


class _UnreadablePlace(Place):
    """A remote that could not be opened."""

    label = "a remote of DVC"

    def __init__(self, error: VstoreError) -> None:
        self._error = error

    def has(self, name: ForeignName) -> bool:
        raise self._error

    def find(self, name: ForeignName) -> Content | None:
        raise self._error
