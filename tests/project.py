"""A small project, as a user has one: a git repository with vstore, data of every kind, and a remote beside it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.command import Outcome, git, run_vstore

SMALL = b"small\n"
LARGE = bytes(range(256)) * 2000
"""Above the size from which contents are objects of their own."""


class Project:
    """A repository at ``path``; its remote, once added, is the directory ``store`` beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def store(self) -> Path:
        """The directory remote."""
        return self.path.parent / "store"

    def run(self, *args: str | Path, inside: str = "") -> Outcome:
        """Run vstore, standing in the project or a directory ``inside`` of it."""
        return run_vstore(*args, cwd=self.path / inside)

    def ok(self, *args: str | Path) -> Outcome:
        """Run vstore, which must succeed."""
        return self.run(*args).ok()

    def git(self, *args: str | Path) -> str:
        """Run git."""
        return git(*args, cwd=self.path)

    def write(self, name: str, content: bytes = SMALL) -> Path:
        """Write a file, making directories; a linked or read-only one is replaced."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return path

    def read(self, name: str) -> bytes:
        """Read a file."""
        return (self.path / name).read_bytes()

    def has(self, name: str) -> bool:
        """Tell whether something is at a path."""
        return os.path.lexists(self.path / name)

    def commit(self, message: str = "a version") -> str:
        """Commit what is staged; returns the commit."""
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def add_data(self) -> None:
        """Track and commit a directory ``data`` of three files and a file ``model.bin``."""
        self.write("data/a.txt", b"a\n")
        self.write("data/sub/b.txt", b"bb\n")
        self.write("data/large.bin", LARGE)
        self.write("model.bin", LARGE[::-1])
        self.ok("add", "data", "model.bin")
        self.commit("first")

    def add_remote(self, name: str = "store") -> None:
        """Make the directory beside the project the default remote."""
        self.ok("remote", "add", "-d", name, self.store)

    def drop_cache(self) -> None:
        """Lose everything that is cached."""
        cache = self.path / ".git/vstore/cache"
        for path in sorted(cache.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()

    def clone(self, name: str = "clone") -> Project:
        """Clone the git repository beside this one."""
        git("clone", "--quiet", self.path, self.path.parent / name, cwd=self.path.parent)
        return Project(self.path.parent / name)


def share(project: Project) -> str:
    """Push everything to a remote beside the project, and to a bare git repository ``bare.git``; returns its URL."""
    bare = project.path.parent / "bare.git"
    if not bare.exists():
        project.ok("remote", "add", "-d", "store", "../store")
        project.git("add", ".vstore")
        project.commit("remote")
        git("clone", "--quiet", "--bare", project.path, bare, cwd=project.path)
    project.ok("push")
    project.git("push", "--quiet", "--force", "--all", bare)
    project.git("push", "--quiet", "--force", "--tags", bare)
    return f"file://{bare}"
