"""What git-lfs keeps for the files in git's index, and where the contents are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.errors import GitFailedError, InvalidError
from vstore.git import GitRepo
from vstore.git.objects import find_sizes, iter_objects
from vstore.git.program import run_git
from vstore.objects.names import RelPath
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignFile, ForeignName
from vstore.ops.migrate.lfs_files import MAX_POINTER_BYTES, parse_lfs_pointer
from vstore.ops.migrate.places import StorePlace
from vstore.repo import Repo

EXECUTABLE_MODE = "100755"
_FILE_MODES = {"100644", EXECUTABLE_MODE}


class LfsFile(NamedTuple):
    """A file that git-lfs keeps: its path, the content its pointer names, and whether it is executable."""

    path: RelPath
    name: ForeignName
    executable: bool


class Survey(NamedTuple):
    """The files in git's index that are pointers of git-lfs, and those of which a merge left several versions."""

    files: list[LfsFile]
    unmerged: list[RelPath]


def survey_index(work_tree: Path) -> Survey:
    """Return what git-lfs keeps in git's index, sorted by path."""
    rows = []
    for line in run_git(work_tree, "ls-files", "--stage", "-z").split(b"\0"):
        facts, tab, path = line.partition(b"\t")
        if tab:
            mode, oid, stage = facts.decode().split()
            rows.append((os.fsdecode(path), mode, oid, stage))
    names = find_pointers(work_tree, {oid for _, mode, oid, _ in rows if mode in _FILE_MODES})
    found = [row for row in rows if row[2] in names]
    files = [LfsFile(path, names[oid], mode == EXECUTABLE_MODE) for path, mode, oid, stage in found if stage == "0"]
    return Survey(sorted(files), sorted({path for path, _, _, stage in found if stage != "0"}))


def find_pointers(directory: Path, oids: Iterable[str]) -> dict[str, ForeignName]:
    """Return those of many blobs that are pointers of git-lfs, with the content that each names."""
    small = [oid for oid, size in find_sizes(directory, oids).items() if size <= MAX_POINTER_BYTES]
    found = ((each.oid, parse_lfs_pointer(each.data)) for each in iter_objects(directory, small))
    return {oid: name for oid, name in found if name is not None}


def group(files: Sequence[LfsFile], directories: Sequence[RelPath]) -> list[ForeignArtifact]:
    """Return artifacts: each of some directories as one tree, every other file by itself.

    Raises InvalidError for a directory without such files.
    """
    members: dict[RelPath, list[LfsFile]] = {directory: [] for directory in directories}
    artifacts = []
    for file in files:
        directory = next((each for each in directories if file.path.startswith(each + "/")), None)
        if directory is None:
            content = ForeignFile("", file.name, file.executable)
            artifacts.append(ForeignArtifact(file.path, file.path, "file", files=(content,)))
        else:
            members[directory].append(file)
    for directory, inside in members.items():
        if not inside:
            raise InvalidError(f"git-lfs keeps no files in {directory}", path=directory)
        contents = tuple(ForeignFile(each.path[len(directory) + 1 :], each.name, each.executable) for each in inside)
        artifacts.append(ForeignArtifact(directory, directory, "tree", files=contents))
    return sorted(artifacts, key=lambda artifact: artifact.path)


def find_store(git: GitRepo) -> StorePlace:
    """Return where git-lfs keeps its objects on this machine."""
    asked = run_git(git.work_tree, "config", "--default", "", "--get", "--type=path", "lfs.storage")
    directory = git.common_dir / (os.fsdecode(asked).rstrip("\n") or "lfs")
    return StorePlace(directory / "objects", "the store of git-lfs")


def fetch(repo: Repo, work_tree: Path, *options: str) -> None:
    """Let git-lfs fetch what its store lacks; where it cannot, or is not installed, that is said and nothing else."""
    repo.reporter.begin("git lfs fetch")
    try:
        run_git(work_tree, "lfs", "fetch", *options)
    except GitFailedError as error:
        repo.reporter.warn(f"git-lfs could not fetch what is missing: {error.message}")
    finally:
        repo.reporter.end()
