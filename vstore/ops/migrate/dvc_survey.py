"""What DVC tracks in the work tree, and where the contents may be."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vstore.durable import os_errors
from vstore.errors import InvalidError, RemoteExtraMissingError, RemoteUnavailableError, VstoreError
from vstore.git.program import run_git
from vstore.objects.names import RelPath
from vstore.ops.add import Labels
from vstore.ops.migrate.dvc_files import (
    DVC_IGNORE,
    MAX_FILE_BYTES,
    PIPELINE,
    Found,
    is_dvc_file,
    parse_annotations,
    parse_dvc_file,
    parse_lock_file,
)
from vstore.ops.migrate.dvc_settings import DvcSettings, load_settings, translate
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignName
from vstore.ops.migrate.places import Content, Place, RemotePlace, StorePlace, VersionsPlace
from vstore.remote.opening import open_origin, open_transport
from vstore.remote.origin import Item, RetryingOrigin
from vstore.remote.wrappers import RetryingTransport
from vstore.repo import VSTORE_DIRECTORY, Repo

_SETTINGS = ".dvc/config"
_NAMES = ("dvc.lock", PIPELINE, DVC_IGNORE, _SETTINGS)
_PATTERNS = ("*.dvc", *_NAMES, *(f"**/{name}" for name in _NAMES))
_REPOSITORIES = {".git", VSTORE_DIRECTORY}
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Survey(NamedTuple):
    """What the files of DVC name; ``files`` are those that were read, each with the paths that it names.

    ``ignoring`` are those with ignore rules, each with its content; ``settings`` those and the directories of settings.
    """

    artifacts: list[ForeignArtifact]
    skipped: list[tuple[RelPath, str]]
    refused: list[tuple[RelPath, str]]
    files: dict[RelPath, list[RelPath]]
    ignoring: dict[RelPath, bytes]
    settings: list[RelPath]


def survey_work_tree(work_tree: Path, *, is_git: bool = True) -> Survey:
    """Return what the files of DVC in a work tree name.

    Files that git ignores, and other repositories inside, are not looked for.
    """
    survey = Survey([], [], [], {}, {}, [])
    annotations: dict[RelPath, Labels] = {}
    for path in _list_git(work_tree) if is_git else _list_all(work_tree):
        data = _read(work_tree / path)
        if data is None:
            continue
        name = path.rpartition("/")[2]
        if name == PIPELINE:
            with contextlib.suppress(InvalidError):  # that is said where it is needed
                annotations |= parse_annotations(data, path)
        elif name == DVC_IGNORE:
            survey.settings.append(path)
            if _is_beyond_no_link(work_tree, path):
                survey.ignoring[path] = data
        elif is_dvc_file(path):
            _survey_file(survey, work_tree, path, data)
        elif _is_settings(path):
            survey.settings.append(path.rpartition("/")[0])
    survey.artifacts[:] = [annotate(artifact, annotations) for artifact in survey.artifacts]
    return survey


def _list_git(work_tree: Path) -> list[RelPath]:
    listed = run_git(work_tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_PATTERNS)
    return sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})


def _list_all(work_tree: Path) -> list[RelPath]:
    found = []
    for folder, folders, names in os.walk(work_tree):
        if os.path.basename(folder) == ".dvc":
            folders.clear()  # its cache
        if folder != str(work_tree) and not _REPOSITORIES.isdisjoint(folders):
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in _REPOSITORIES]
        paths = [os.path.relpath(os.path.join(folder, name), work_tree) for name in names]
        found += [path for path in paths if _is_of_dvc(path)]
    return sorted(found)


def _is_of_dvc(path: RelPath) -> bool:
    return is_dvc_file(path) or path.rpartition("/")[2] in _NAMES or _is_settings(path)


def _is_settings(path: RelPath) -> bool:
    return f"/{path}".endswith(f"/{_SETTINGS}")


def _survey_file(survey: Survey, work_tree: Path, path: RelPath, data: bytes) -> None:
    try:
        found = parse(path, data, lambda path: _read(work_tree / path))
    except InvalidError as error:
        survey.refused.append((path, error.message))
        return
    home = find_home(work_tree, path)
    if home is None:
        survey.refused.append((path, "is in no project of DVC: there is no .dvc directory at or above it"))
        return
    note(survey, path, found, home)


def annotate(artifact: ForeignArtifact, annotations: Mapping[RelPath, Labels]) -> ForeignArtifact:
    """Return an artifact with what a ``dvc.yaml`` says about it, unless its own file says anything."""
    said = annotations.get(artifact.path)
    remote = artifact.labels.remote
    if said is None or artifact.labels != Labels(remote=remote):
        return artifact
    return dataclasses.replace(artifact, labels=dataclasses.replace(said, remote=remote))


def parse(path: RelPath, data: bytes, read: Callable[[RelPath], bytes | None]) -> Found:
    """Return what one file of DVC names; ``read`` returns the content of another, or None.  Raises InvalidError."""
    if path.endswith(".dvc"):
        return parse_dvc_file(data, path)
    return parse_lock_file(data, path, read(path.removesuffix("dvc.lock") + PIPELINE))


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


def _is_beyond_no_link(work_tree: Path, path: RelPath) -> bool:
    folder = path.rpartition("/")[0]
    return os.path.realpath(work_tree / folder) == os.path.join(os.path.realpath(work_tree), folder).rstrip("/")


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
        if isinstance(known, VersionsPlace):
            for content, item in _iter_items(artifact, name):
                known.note(content, item)
        return [known]

    def route(self, artifact: ForeignArtifact) -> ForeignArtifact:
        """Return an artifact that says itself to which remote alone it is pushed, if it is not the usual one."""
        if artifact.remote in (None, self._project(artifact.home).default_remote):
            return artifact
        return dataclasses.replace(artifact, labels=dataclasses.replace(artifact.labels, remote=artifact.remote))

    def _project(self, home: RelPath) -> DvcSettings:
        if home not in self._settings:
            self._settings[home] = load_settings(self._repo.work_tree / home, self._environ)
        return self._settings[home]

    def _open(self, settings: DvcSettings, name: str) -> Place:
        repo = self._repo
        label = f"the remote {name} of DVC"
        temporary = repo.cache.path if repo.cache.path.is_dir() else repo.work_tree
        way: dict[str, Any] = {"root": repo.work_tree, "timeout_s": repo.config.timeout_s}
        try:
            url, options, has_versions = translate(settings, name)
            if has_versions:
                origin = self.enter_context(RetryingOrigin(open_origin(url, options, **way), tell=repo.reporter.note))
                return VersionsPlace(origin, label, temporary)
            transport = open_transport(url, options, **way)
        except (InvalidError, RemoteUnavailableError, RemoteExtraMissingError) as error:
            return _UnreadablePlace(error)
        self.callback(transport.close)
        return RemotePlace(RetryingTransport(transport, tell=repo.reporter.note), label, temporary)


def _iter_items(artifact: ForeignArtifact, remote: str) -> Iterator[tuple[ForeignName, Item]]:
    """Yield the contents of an artifact, with where a remote keeps them that knows versions."""
    below = artifact.path[len(artifact.home) + 1 if artifact.home else 0 :]
    for file in artifact.files or ():
        path = f"{below}/{file.path}".rstrip("/")
        for version in file.versions:
            if version.remote == remote:
                yield file.name, Item(path, version.size_bytes, "", version=version.id)
        yield file.name, Item(path, None, "")


class _UnreadablePlace(Place):
    """A remote that could not be opened."""

    label = "a remote of DVC"

    def __init__(self, error: VstoreError) -> None:
        self._error = error

    def has(self, name: ForeignName) -> bool:
        raise self._error

    def find(self, name: ForeignName) -> Content | None:
        raise self._error
