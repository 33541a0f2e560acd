"""Repositories of other tools, as their users have them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.command import git
from tests.project import LARGE, Project
from tests.tools import run_dvc

SCRIPT = b"#!/bin/sh\n"
CRLF = b"one\r\ntwo\r\n"


class DvcProject(Project):
    """A git repository with DVC, run by ``program``; its remote is the directory ``dvc-store`` beside it."""

    def __init__(self, path: Path, program: Path) -> None:
        super().__init__(path)
        self.program = program

    @property
    def dvc_store(self) -> Path:
        """The directory that is DVC's remote."""
        return self.path.parent / "dvc-store"

    @property
    def dvc_cache(self) -> Path:
        """The cache of DVC."""
        return self.path / ".dvc/cache"

    def dvc(self, *args: str | Path) -> str:
        """Run DVC, which must succeed."""
        return run_dvc(self.program, *args, cwd=self.path)

    def copy(self, place: Path) -> DvcProject:
        """Copy the repository and its remote, hardlinks and all."""
        subprocess.run(["cp", "-a", self.path.parent, place], check=True)
        return DvcProject(place / self.path.name, self.program)

    def save(self, message: str) -> str:
        """Commit everything that git does not ignore."""
        self.git("add", "--all")
        return self.commit(message)

    def find_object(self, path: str) -> Path:
        """Return the object of DVC's cache that holds what a file of the work tree holds."""
        content = self.read(path)
        (found,) = [file for file in self.dvc_cache.rglob("*") if file.is_file() and file.read_bytes() == content]
        return found

    def drop_dvc_cache(self) -> None:
        """Delete the cache of DVC."""
        shutil.rmtree(self.dvc_cache)


def make_dvc_project(path: Path, program: Path) -> DvcProject:
    """Make a repository in which DVC tracks a directory and files of every kind, pushed to a remote."""
    path.mkdir(parents=True)
    git("init", "--quiet", cwd=path)
    project = DvcProject(path, program)
    project.dvc("init", "-q")
    project.dvc("remote", "add", "-q", "-d", "store", "../dvc-store")
    project.write("data/a.txt", b"a\n")
    project.write("data/crlf.txt", CRLF)
    project.write("data/empty", b"")
    project.write("data/sub/deep/große Datei.bin", LARGE)
    os.chmod(project.write("data/run.sh", SCRIPT), 0o755)
    (project.path / "data/nothing here").mkdir()
    project.write("models/model 1.bin", LARGE[::-1])
    os.chmod(project.write("models/tool", SCRIPT * 2), 0o755)
    project.dvc("add", "-q", "data", "models/model 1.bin", "models/tool")
    project.save("Track with DVC")
    project.dvc("push", "-q")
    return project


class LfsProject(Project):
    """A git repository with git-lfs; its remote is the bare repository ``origin.git`` beside it."""

    @property
    def objects(self) -> Path:
        """The store of git-lfs."""
        return self.path / ".git/lfs/objects"

    def find_object(self, path: str) -> Path:
        """Return the object of the store that holds what a file of the work tree holds."""
        content = self.read(path)
        (found,) = [file for file in self.objects.rglob("*") if file.is_file() and file.read_bytes() == content]
        return found


def make_lfs_project(path: Path) -> LfsProject:
    """Make a repository in which git-lfs keeps files of every kind, pushed to a remote."""
    path.mkdir(parents=True)
    git("init", "--quiet", cwd=path)
    git("init", "--quiet", "--bare", "../origin.git", cwd=path)
    project = LfsProject(path)
    project.git("lfs", "install", "--local")
    project.git("lfs", "track", "*.bin", "img/**")
    with (path / ".gitattributes").open("ab") as attributes:
        attributes.write(b"*.txt text\n")
    project.write("model.bin", LARGE)
    project.write("sub/größe 1.bin", b"small\n")
    project.write("img/1.png", b"one\n")
    project.write("img/x/2.png", LARGE[::-1])
    os.chmod(project.path / "img/1.png", 0o755)
    project.write("empty.bin", b"")
    project.write("notes.txt", b"kept by git\n")
    project.git("add", "--all")
    project.commit("Keep with git-lfs")
    project.git("remote", "add", "origin", "../origin.git")
    project.git("push", "--quiet", "origin", "main")
    return project


def clone_with_pointers(project: LfsProject) -> LfsProject:
    """Clone the remote as somebody who lets git-lfs fetch nothing yet."""
    path = project.path.parent / "clone"
    git("-c", "filter.lfs.smudge=", "-c", "filter.lfs.required=false", "clone", "--quiet", "origin.git", path,
        cwd=project.path.parent)  # fmt: skip
    return LfsProject(path)
