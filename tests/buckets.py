"""What tests of collecting a directory remote share: who pushes, what grows old, and what a bucket still holds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.collecting import add_version, age, forget_reflogs
from tests.command import Outcome, git
from tests.project import Project
from tests.remote.faults import Hooked
from vstore.objects.pointer import pointer_from_bytes
from vstore.remote import opening
from vstore.remote.opening import open_transport
from vstore.remote.transport import Key

Hook = Callable[[str, Key], None]
CONFLICT, USAGE = 11, 2


def publish(project: Project) -> Path:
    """Give a project a remote and a git remote, and push to both; returns the bare git repository."""
    bare = project.path.parent / "origin.git"
    project.ok("remote", "add", "-d", "store", project.store)
    project.git("add", ".vstore")
    project.commit("remote")
    git("init", "--quiet", "--bare", bare, cwd=project.path.parent)
    project.git("remote", "add", "origin", bare)
    push(project)
    return bare


def push(project: Project) -> None:
    """Push data and branches."""
    project.ok("push", "-q")
    project.git("push", "--quiet", "--all", "origin")
    project.git("fetch", "--quiet", "origin")


def make_old(project: Project, days: float = 40) -> None:
    """Let time pass at the remote."""
    age(project.store, days)


def give_up(project: Project, number: int = 1) -> bytes:
    """Push a version whose branch is then deleted everywhere; returns its pointer."""
    project.git("checkout", "--quiet", "-b", "side")
    pointer = add_version(project, number)
    project.commit("side")
    project.ok("push", "-q")
    project.git("checkout", "--quiet", "main")
    project.ok("checkout", "-q")
    project.git("branch", "--quiet", "-D", "side")
    forget_reflogs(project)
    return pointer


def find_lost_commit(project: Project) -> str:
    """Return the commit that nothing leads to any more."""
    [commit] = [line.split()[-1] for line in project.git("fsck").splitlines() if line.startswith("dangling commit")]
    return commit


def documents(project: Project, folder: str = "commits") -> dict[Path, Any]:
    """The commits of all projects at the remote that can be read, or other documents."""
    found = {}
    for path in sorted((project.store / folder).rglob("*.json")):
        with contextlib.suppress(ValueError):
            found[path] = json.loads(path.read_bytes())
    return {path: fields for path, fields in found.items() if "roots" in fields}


def is_pushed(project: Project, pointer: bytes, folder: str = "commits") -> bool:
    """Tell whether a commit, or an entry in the trash, names what a pointer names."""
    digest = pointer_from_bytes(pointer, "pointer").digest
    return any(root["digest"] == digest for found in documents(project, folder).values() for root in found["roots"])


def everything(project: Project) -> dict[str, tuple[bytes, int]]:
    """Every object of the remote with its bytes and date."""
    store = project.store
    files = [path for path in store.rglob("*") if path.is_file()]
    return {path.relative_to(store).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def can_pull(project: Project, rev: str = "HEAD", name: str = "fresh") -> bool:
    """Tell whether somebody who clones the repository gets all data of a revision."""
    fresh = project.clone(name)
    fresh.git("checkout", "--quiet", rev)
    return fresh.run("pull").exit_code == 0


def collect(project: Project, *args: str, remote: str = "store") -> Any:
    """Collect the remote; returns the result."""
    return project.ok("gc", "--remote", remote, "--json", *args).json()


def refuse(project: Project, *args: str) -> Outcome:
    """Collect the remote, which must be refused, and nothing may happen; returns what was said."""
    before = everything(project)
    outcome = project.run("gc", "--remote", *args)
    assert outcome.exit_code not in (0, 255), outcome.stdout + outcome.stderr
    left = everything(project)
    assert left == before
    return outcome


def reasons(result: Any) -> dict[str, int]:
    """How many versions a collection kept, by reason."""
    return {kept["reason"]: kept["versions"] for kept in result["kept"] if kept["versions"]}


def hook_requests(monkeypatch: pytest.MonkeyPatch) -> dict[str, Hook]:
    """Let what is called "before" and "after" in the dictionary be called around each request of any command."""
    hooks: dict[str, Hook] = {}

    def open_hooked(url: str, options: Mapping[str, str], *, root: Path, timeout_s: float) -> Hooked:
        hooked = Hooked(open_transport(url, options, root=root, timeout_s=timeout_s))
        hooked.before = lambda operation, key: hooks.get("before", ignore)(operation, key)
        hooked.after = lambda operation, key: hooks.get("after", ignore)(operation, key)
        return hooked

    monkeypatch.setattr(opening, "open_transport", open_hooked)
    return hooks


def ignore(operation: str, key: Key) -> None:
    """Do nothing about a request."""
