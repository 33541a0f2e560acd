"""What tests of collections share: contents that grow old, and telling whether the cache holds a version."""

from __future__ import annotations

import os
from pathlib import Path

from tests.project import LARGE, Project
from vstore.errors import VstoreError
from vstore.objects.digest import Digest
from vstore.objects.pointer import pointer_from_bytes
from vstore.objects.tree import find_digests
from vstore.repo import open_repo

DAY_S = 24 * 3600


def cache_of(project: Project) -> Path:
    """The directory of a project's cache."""
    with open_repo(project.path) as repo:
        return repo.cache.path


def age(cache: Path, days: float = 2) -> None:
    """Make everything in a cache older."""
    for above, _, names in os.walk(cache):
        for name in names:
            path = os.path.join(above, name)
            then = os.stat(path).st_mtime - days * DAY_S
            os.utime(path, (then, then))


def holds(project: Project, pointer: bytes) -> bool:
    """Tell whether the cache holds all that a pointer names, undamaged."""
    parsed = pointer_from_bytes(pointer, "pointer")
    with open_repo(project.path) as repo:
        try:
            data = repo.cache.read(parsed.digest)
            for digest in find_digests(data) if parsed.is_tree else ():
                repo.cache.read(Digest(digest))
        except VstoreError:
            return False
    return True


def add_version(project: Project, number: int) -> bytes:
    """Add a version of ``data``, small and large files, none of them in another version; returns its pointer."""
    project.write("data/a", b"version %d\n" % number)
    project.write("data/large", b"%d" % number + LARGE)
    project.ok("add", "data")
    return project.read("data.vstore")


def forget_reflogs(project: Project) -> None:
    """Let git forget where branches and HEAD were."""
    project.git("reflog", "expire", "--expire=now", "--all")
    for name in ("ORIG_HEAD", "AUTO_MERGE", "REBASE_HEAD"):
        (project.path / ".git" / name).unlink(missing_ok=True)


def collect(project: Project, *args: str) -> None:
    """Collect garbage, however young."""
    age(cache_of(project))
    project.ok("gc", *args)


def drop_history(project: Project) -> str:
    """Make what the branch has the only commit that it keeps; returns the one behind it."""
    before = project.git("rev-parse", "HEAD~")
    project.git("checkout", "--quiet", "--orphan", "fresh")
    project.commit("fresh")
    project.git("branch", "--quiet", "--delete", "--force", "main")
    project.git("branch", "--move", "main")
    forget_reflogs(project)
    return before
