"""Two projects and the line between them and a remote: what pushes and pulls over it are tried with."""

from __future__ import annotations

from tests.project import Project
from tests.remote.world import noise, small_files
from tests.servers.place import Place
from vstore.remote.wrappers import RetryingTransport

MIB = 1024 * 1024
FILES = {f"data/{name}": content for name, content in small_files(300).items()} | {
    f"data/big{number}": noise(3 * MIB + number, number) for number in range(4)
}

DEFAULTS: dict[str, object] = RetryingTransport.__init__.__kwdefaults__ or {}
"""How long the command line waits, and how often it tries again."""


def add_files(project: Project, files: dict[str, bytes]) -> None:
    """Track and commit files below ``data``."""
    for name, content in files.items():
        project.write(name, content)
    project.ok("add", "data")
    project.commit()


def use(project: Project, place: Place) -> None:
    """Make a place the default remote."""
    project.ok("remote", "add", "-d", "store", place.url)
    for option, value in place.options.items():
        project.ok("remote", "set", "--local", "store", option, value)


def clone(project: Project, place: Place, name: str = "clone") -> Project:
    """Clone a project; credentials do not come with it."""
    cloned = project.clone(name)
    for option, value in place.options.items():
        cloned.ok("remote", "set", "--local", "store", option, value)
    return cloned


def differing(one: Project, other: Project, files: dict[str, bytes]) -> list[str]:
    """Return the files that are not the same in two projects."""
    return [name for name in files if not other.has(name) or one.read(name) != other.read(name)]
