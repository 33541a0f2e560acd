"""Sources of imports: a place on a server, planted with data, that a project knows as the remote ``src``."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.project import Project
from tests.servers.place import Place
from vstore.remote.patience import Patience

SOURCE = "remote://src"
FOLDER = {
    "a b.txt": b"a\n",
    "Sub/UPPER.CSV": b"1,2\n",
    "Sub/ü, y.bin": random.Random(1).randbytes(300_000),
    "empty": b"",
    "large.bin": random.Random(2).randbytes(9_000_000),
}
"""Names that no key of ours has, a file of two pieces, an empty one."""


def know(project: Project, place: Place, name: str = "src") -> None:
    """Make a place a remote that nothing is pushed to by default."""
    project.ok("remote", "add", name, place.url)
    for key, value in place.options.items():
        project.ok("remote", "set", name, "user" if key == "username" else key, value)


def plant(place: Place, folder: str = "folder", files: dict[str, bytes] = FOLDER) -> None:
    """Put files below a folder of a place."""
    for name, data in files.items():
        place.plant(f"{folder}/{name}", data)


def has_files(project: Project, path: str, files: dict[str, bytes]) -> bool:
    """Tell whether a directory holds these files, and no others."""
    root = project.path / path
    found = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    return found == files


def cached_bytes(project: Project) -> int:
    """Return how long all files of the cache are together."""
    cache = project.path / ".git/vstore/cache"
    return sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())


def try_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between attempts."""
    monkeypatch.setitem(Patience.__init__.__kwdefaults__, "pause_s", 0.01)
    monkeypatch.setitem(Patience.__init__.__kwdefaults__, "first_attempts", 8)


def leftovers(project: Project, path: str) -> list[Path]:
    """Return what an import left at a path: nothing, where it was refused or stopped."""
    candidates = [project.path / path, project.path / f"{path}.vstore"]
    return [each for each in candidates if each.exists()]
