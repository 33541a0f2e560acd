"""Two projects and the line between them and a remote: what pushes and pulls over it are tried with."""

from __future__ import annotations

import dataclasses

from tests.project import Project
from tests.remote.world import noise, small_files
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.place import Place
from vstore.remote.wrappers import RetryingTransport

MIB = 1024 * 1024
FILES = {f"data/{name}": content for name, content in small_files(300).items()} | {
    f"data/big{number}": noise(3 * MIB + number, number) for number in range(4)
}

DEFAULTS: dict[str, object] = RetryingTransport.__init__.__kwdefaults__ or {}
"""How long the command line waits, and how often it tries again."""

# The method "write" is that of the store.
FAULTS: dict[str, list[Rule]] = {
    "drops": [Rule("reset", chance=0.2)],
    "busy": [Rule("answer", status=503, headers={"Retry-After": "0"}, chance=0.2)],
    "too-many": [Rule("answer", status=429, chance=0.2)],
    "broken-server": [Rule("answer", status=500, chance=0.2)],
    "lost-acknowledgements": [Rule("lose-acknowledgement", method="write", chance=0.4)],
    "truncates": [Rule("truncate", method="GET", chance=0.3)],
    "corrupts": [Rule("corrupt", method="GET", path="packs(/|%2F)", chance=0.3)],
    "corrupts-uploads": [Rule("corrupt-upload", method="write", chance=0.3)],
    "stalls": [Rule("stall", times=3, after=4)],
}
"""What networks and servers do."""


def check_that_all_arrives(fault: str, project: Project, place: Place, proxy: HttpProxy, writes_by: str) -> None:
    """Push and pull through a proxy that does something of ``FAULTS``: both complete, and every byte is right."""

    def rules() -> list[Rule]:
        method = {"write": writes_by}
        return [dataclasses.replace(rule, method=method.get(rule.method, rule.method)) for rule in FAULTS[fault]]

    use(project, place)
    project.ok("config", "set", "--local", "transfer.timeout", "2")
    add_files(project, FILES)
    proxy.rules = rules()
    project.ok("push")
    cloned = clone(project, place)
    cloned.ok("config", "set", "--local", "transfer.timeout", "2")
    proxy.rules = rules()
    cloned.ok("pull")
    assert any(request.fault for request in proxy.requests)
    assert not differing(project, cloned, FILES)
    proxy.rules = []
    project.ok("push", "--check")


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
