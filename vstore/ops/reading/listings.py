"""Which artifacts and which files of git there are, in a commit or in the work tree.  Thread-safe."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from vstore.durable import os_errors
from vstore.errors import PathNotFoundError, VstoreError
from vstore.git import GitRepo, list_kept
from vstore.objects.names import RelPath, find_refusal
from vstore.objects.pointer import POINTER_SUFFIX
from vstore.ops.reading.node import DIRECTORY, FILE, Node, node_of
from vstore.repo import Repo
from vstore.workspace.pointers import Artifact, find_owner, iter_artifacts, parse_artifact

Folders = dict[RelPath, dict[str, Node]]
"""What is in each directory, by name."""


class Listing(Protocol):
    """The artifacts of one version, and the files that git keeps itself.  What is inside of trees is not known here."""

    def find_owner(self, path: RelPath) -> Artifact | None:
        """Return the artifact at a path or above it."""

    def find(self, path: RelPath) -> Node | None:
        """Return what is at a path that belongs to no artifact."""

    def load_folders(self, below: RelPath = "") -> Folders:
        """Return what is in each directory that belongs to no artifact: at least in those at or below one."""

    def list_artifacts(self) -> list[Artifact]:
        """Return all artifacts."""

    def read(self, node: Node) -> bytes:
        """Return the bytes of a file that git keeps.  Raises PathNotFoundError where it has gone meanwhile."""

    def modified_s(self, node: Node) -> float:
        """Return when a path got what it has, in seconds since 1970."""


class CommitListing:
    """What a commit holds.  It never changes, so it is looked at once."""

    def __init__(self, git: GitRepo, commit: str, warn: Callable[[str], None]) -> None:
        self._git = git
        self._commit = commit
        self._warn = warn
        self._lock = threading.RLock()
        self._owners: dict[RelPath, Artifact | None] = {}
        self._artifacts: dict[RelPath, Artifact] | None = None
        self._folders: Folders | None = None
        self._time_s: float | None = None

    def find_owner(self, path: RelPath) -> Artifact | None:
        """Return the artifact at a path or above it; the first question about a directory costs 0.2 ms."""
        end = 0
        while path and end != len(path):
            end = path.find("/", end + 1)
            end = len(path) if end < 0 else end
            artifact = self._find_artifact(path[:end])
            if artifact is not None:
                return artifact
        return None

    def _find_artifact(self, path: RelPath) -> Artifact | None:
        if self._artifacts is not None:
            return self._artifacts.get(path)
        with self._lock:
            if path not in self._owners:
                data = self._git.find_file(self._commit, path + POINTER_SUFFIX)
                self._owners[path] = None if data is None else parse_artifact(path + POINTER_SUFFIX, data)
            return self._owners[path]

    def list_artifacts(self) -> list[Artifact]:
        """Return all artifacts, sorted by path; those whose pointer lies inside of another one are data of that."""
        with self._lock:
            if self._artifacts is None:
                found = [parse_artifact(*file) for file in self._git.iter_files(self._commit, POINTER_SUFFIX)]
                artifacts: dict[RelPath, Artifact] = {}
                for artifact in sorted(found, key=lambda artifact: artifact.path):
                    if not _is_below(artifact.path, artifacts):
                        artifacts[artifact.path] = artifact
                self._artifacts = artifacts
                self._owners.clear()
            return list(self._artifacts.values())

    def find(self, path: RelPath) -> Node | None:
        """Return what is at a path that belongs to no artifact."""
        parent, _, name = path.rpartition("/")
        return self.load_folders().get(parent, {}).get(name)

    def load_folders(self, below: RelPath = "") -> Folders:
        """Return what is in each directory that belongs to no artifact; looked at once, 3 us a file."""
        with self._lock:
            if self._folders is None:
                folders: Folders = {"": {}}
                artifacts = {artifact.path: artifact for artifact in self.list_artifacts()}
                for node in _good_nodes(artifacts.values(), self._warn):
                    _put(folders, node)
                for path, kind, oid, size_bytes in list_kept(self._git, self._commit, sizes=True):
                    is_file = kind in ("file", "executable")
                    if is_file and not (path in artifacts or _is_below(path, artifacts) or find_refusal(path)):
                        _put(folders, Node(path, FILE, size_bytes, executable=kind == "executable", oid=oid))
                self._folders = folders
            return self._folders

    def read(self, node: Node) -> bytes:
        """Return the bytes of a file that git keeps; what a partial clone lacks of it is fetched."""
        with self._lock:
            data = self._git.find_file(self._commit, node.path)
        if data is None:
            raise PathNotFoundError(f"there is no file {node.path} at {self._commit}", path=node.path)
        return data

    def modified_s(self, _node: Node) -> float:
        """Return when the commit was made: nothing in it is younger."""
        with self._lock:
            if self._time_s is None:
                self._time_s = float(self._git.commit(self._commit).time_s)
            return self._time_s


class WorkTreeListing:
    """What the pointers in the work tree say, and the files there that git tracks.  Always as it is now."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._lock = threading.RLock()

    def find_owner(self, path: RelPath) -> Artifact | None:
        """Return the artifact at a path or above it."""
        return find_owner(self._repo.work_tree, path)

    def list_artifacts(self) -> list[Artifact]:
        """Return all artifacts."""
        with self._lock:
            return list(iter_artifacts(self._repo.work_tree, is_ignored=self._repo.is_ignored))

    def find(self, path: RelPath) -> Node | None:
        """Return what is at a path that belongs to no artifact: a file that git tracks, or a directory of such."""
        node = self._find_file(path)
        if node is None and path in self.load_folders(path):
            return Node(path, DIRECTORY)
        return node

    def _find_file(self, path: RelPath) -> Node | None:
        git = self._repo.git
        with self._lock:
            tracked = git is not None and path in git.iter_tracked(path)
        held = self._stat(path) if tracked else None
        if held is None or not stat.S_ISREG(held.st_mode):
            return None
        return Node(path, FILE, held.st_size, executable=bool(held.st_mode & stat.S_IXUSR))

    def _stat(self, path: RelPath) -> os.stat_result | None:
        file = self._repo.work_tree / path
        try:
            # A link in the place of a directory would lead elsewhere.
            return None if os.path.realpath(file.parent) != str(file.parent) else os.lstat(file)
        except (OSError, ValueError):
            return None

    def load_folders(self, below: RelPath = "") -> Folders:
        """Return what is in each directory that belongs to no artifact, at or below one."""
        git, prefix = self._repo.git, below + "/" if below else ""
        with self._lock:
            found = iter_artifacts(self._repo.work_tree, below, is_ignored=self._repo.is_ignored)
            artifacts = {artifact.path: artifact for artifact in found}
            tracked = list(git.iter_tracked(below)) if git is not None else []
        folders: Folders = {}
        for node in _good_nodes(artifacts.values(), self._repo.reporter.warn):
            _put(folders, node)
        for path in tracked:
            if path.startswith(prefix) and not (path in artifacts or _is_below(path, artifacts) or find_refusal(path)):
                held = self._stat(path)
                if held is not None and stat.S_ISREG(held.st_mode):
                    _put(folders, Node(path, FILE, held.st_size, executable=bool(held.st_mode & stat.S_IXUSR)))
        return folders

    def read(self, node: Node) -> bytes:
        """Return the bytes of a file as it is now."""
        file = self._repo.work_tree / node.path
        with os_errors(file, "read"):
            try:
                descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise PathNotFoundError(f"there is no file {node.path}", path=node.path) from error
            with open(descriptor, "rb") as source:
                return source.read()

    def modified_s(self, node: Node) -> float:
        """Return when the file was written or, for data, the pointer that stands for it."""
        path = node.path
        if node.pointer is not None:
            owner = self.find_owner(path)
            path = path if owner is None else owner.pointer_path
        held = self._stat(path)
        if held is None:
            raise PathNotFoundError(f"there is no {path}", path=path)
        return held.st_mtime


def _is_below(path: RelPath, artifacts: dict[RelPath, Artifact]) -> bool:
    """Tell whether a path lies inside of an artifact."""
    while path := path.rpartition("/")[0]:
        if path in artifacts:
            return True
    return False


def _good_nodes(artifacts: Iterable[Artifact], warn: Callable[[str], None]) -> Iterator[Node]:
    for artifact in artifacts:
        try:
            yield node_of(artifact)
        except VstoreError as error:
            warn(f"{artifact.path} was left out: {error.message}")


def _put(folders: Folders, node: Node) -> None:
    """Put a node into its directory, and the directories above it into theirs."""
    parent, _, name = node.path.rpartition("/")
    siblings = folders.get(parent)
    if siblings is None:
        siblings = folders[parent] = {}
        while parent:
            above, _, folder = parent.rpartition("/")
            is_known = above in folders
            folders.setdefault(above, {})[folder] = Node(parent, DIRECTORY)
            parent = "" if is_known else above
    siblings[name] = node
