"""A collection of a remote that dies at any request, or runs while others push, costs nobody anything."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterator

import pytest

from tests.buckets import Hook, can_pull, collect, documents, give_up, hook_requests, is_pushed, make_old, publish
from tests.collecting import add_version
from tests.project import Project
from tests.remote.faults import Crash, CrashAt, UnreachableAt
from vstore.remote.transport import Key

UNAVAILABLE = 14


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Hook]:
    """What is called "before" and "after" each request that any command makes."""
    return hook_requests(monkeypatch)


@pytest.fixture
def busy(project: Project) -> tuple[Project, list[bytes]]:
    """A project whose next collection has something of each kind to do; and the pointers that are given up.

    It retires (from a commit that also names what is live), empties the trash, dooms and deletes.
    """
    project.add_data()
    publish(project)
    pointers = []
    for number in (1, 2, 3):
        pointers.append(give_up(project, number))
        make_old(project)
        if number < 3:
            collect(project)
    return project, pointers


@contextlib.contextmanager
def as_before(project: Project) -> Iterator[None]:
    """Put the remote back to what it was, and what is known of it here."""
    places = [project.store, project.path / ".git/vstore/remotes"]
    kept = [place.with_name(f"{place.name}-kept") for place in places]
    for place, copy in zip(places, kept, strict=True):
        shutil.copytree(place, copy)
    try:
        yield
    finally:
        for place, copy in zip(places, kept, strict=True):
            shutil.rmtree(place)
            copy.rename(place)


def is_whole(project: Project) -> bool:
    """Tell whether commits name what is live here, with packs that are all there, undoomed and of the right length."""
    doomed = {f"packs/{path.name}.vpack" for path in (project.store / "doomed").glob("*")}
    sizes = {f"packs/{path.name}": path.stat().st_size for path in (project.store / "packs").glob("*")}
    named = set()
    for commit in documents(project).values():
        for root in commit["roots"]:
            packs = [commit["packs"][number] for number in root["pins"]]
            if all(sizes.get(pack["key"]) == pack["size"] and pack["key"] not in doomed for pack in packs):
                named.add(root["digest"])
    live = b"".join(project.read(f"{name}.vstore") for name in ("data", "model.bin"))
    return sum(digest.encode() in live for digest in named) == 2


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("fault", [CrashAt, UnreachableAt])
def test_death_at_any_request(
    busy: tuple[Project, list[bytes]], hooks: dict[str, Hook], moment: str, fault: type[CrashAt]
) -> None:
    """Wherever a collection dies, what is live is whole, and the next one ends the work."""
    project, pointers = busy
    for number in itertools.count(start=moment == "after", step=2):
        with as_before(project):
            crash = fault(number)
            hooks[moment] = crash
            try:
                code = project.run("gc", "--remote").exit_code
            except Crash:
                code = UNAVAILABLE
            hooks.clear()
            # That the last request of all, the intent's withdrawal, fails is only a warning.
            assert code in (0, UNAVAILABLE)
            assert is_whole(project), number
            first = collect(project)
            assert is_whole(project), number
            assert not any(is_pushed(project, pointer) for pointer in pointers)
            assert is_pushed(project, pointers[2], "trash")
            if code == 0:
                assert (first["deleted_packs"], first["retired"]) == (0, [])
            make_old(project, 2)
            collect(project)
            assert len(list((project.store / "packs").iterdir())) == 2
        if crash.left >= 0:
            break
    assert number > 20
    assert can_pull(project)


def test_pushes_between_any_two_requests(busy: tuple[Project, list[bytes]], hooks: dict[str, Hook]) -> None:
    """A colleague who pushes what is just being given up, at any moment, has it at the remote when that is reported."""
    project, _ = busy
    bob = project.clone("bob")
    bob.git("checkout", "--quiet", "-b", "bobs")
    add_version(bob, 1)  # what is about to be deleted
    bob.commit("bob's")
    wanted = bob.read("data.vstore")
    for number in itertools.count(step=3):
        pushed = False
        with as_before(project):
            left = number

            def strike(operation: str, key: Key) -> None:
                nonlocal left, pushed
                left -= 1
                if left < 0 and not pushed:
                    pushed = True
                    bob.ok("push", "-q")

            hooks["before"] = strike
            result = collect(project)
            hooks.clear()
            if pushed:
                for days in (0, 2, 15, 2):
                    make_old(project, days)
                    collect(project)
                    assert is_pushed(project, wanted) and is_whole(project)
            assert result["retired"] or pushed
            shutil.rmtree(bob.path / ".git/vstore/remotes", ignore_errors=True)
        if not pushed:
            break
    assert number > 20
