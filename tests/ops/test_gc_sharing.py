"""A cache that several repositories share: nobody collects what another one needs, wherever that one is."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.collecting import add_version, age, cache_of, collect, forget_reflogs, holds
from tests.command import git
from tests.ops.test_gc import refuse
from tests.project import Project
from vstore.cache.cache import Cache
from vstore.cache.users import forget, list_users, note


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Project, Project]:
    """Two repositories that share a cache; each has a version of its own."""
    projects = []
    for number, name in enumerate(("first", "second")):
        path = tmp_path / name
        path.mkdir()
        git("init", "--quiet", cwd=path)
        project = Project(path)
        project.ok("init", "--cache-dir", tmp_path / "cache")
        add_version(project, number)
        project.commit()
        projects.append(project)
    first, second = projects
    return first, second


def test_each_keeps_its_own(pair: tuple[Project, Project]) -> None:
    """Everything that the other needs stays, whatever is asked for here, and is reported as the other's."""
    first, second = pair
    theirs = [second.read("data.vstore"), add_version(second, 2)]
    second.commit()
    mine = [first.read("data.vstore"), add_version(first, 3)]
    first.commit()
    collect(first, "--tips-only", "--force", "--keep-rev", "HEAD")
    assert all(holds(second, pointer) for pointer in theirs)
    assert [holds(first, pointer) for pointer in mine] == [False, True]
    result = first.ok("gc", "--json").json()
    assert result["repositories"] == [str(first.path), str(second.path)]
    assert [(item["reason"], item["repository"], item["objects"]) for item in result["kept"][-1:]] == [
        ("repository", str(second.path), 6)
    ]
    assert str(second.path) in first.ok("gc", "--dry-run").stdout


def test_pushed_frees_nothing_that_another_needs(pair: tuple[Project, Project]) -> None:
    """What a remote of ours holds is perhaps not held by theirs."""
    first, second = pair
    shutil.copytree(second.path / "data", first.path / "same")
    first.ok("add", "same")
    first.commit()
    first.add_remote()
    first.ok("push")
    collect(first, "--pushed")
    assert not holds(first, first.read("data.vstore")) and holds(second, second.read("data.vstore"))


def test_links_of_another(pair: tuple[Project, Project]) -> None:
    """A symlink in any work tree keeps its object, by whatever path it leads to the cache."""
    first, second = pair
    second.ok("config", "set", "--local", "cache.type", "symlink")
    other_way = cache_of(first).with_name("another-way")
    other_way.symlink_to(cache_of(first))
    second.ok("config", "set", "--local", "cache.dir", other_way)
    second.ok("checkout", "--relink")
    assert (second.path / "data/large").readlink().is_relative_to(other_way)
    content = second.read("data/large")
    second.git("rm", "--quiet", "data.vstore")
    second.git("commit", "--quiet", "--amend", "--allow-empty", "--message", "nothing")
    forget_reflogs(second)
    collect(first)
    assert second.read("data/large") == content


def test_repository_that_is_away(pair: tuple[Project, Project]) -> None:
    """One that is not where it was stops everything, until it is back, or was used at its new place, or forgotten."""
    first, second = pair
    away = second.path.rename(second.path.with_name("away"))
    refuse(first, str(second.path), "it is not there", f"vstore gc --forget-repo {second.path}")
    away.rename(second.path)
    collect(first)
    second.path.rename(away)
    moved = Project(away)
    moved.ok("fetch")
    collect(first)
    assert holds(first, moved.read("data.vstore"))
    assert len(list((cache_of(first) / "repositories").iterdir())) == 2
    shutil.rmtree(away)
    refuse(first, str(away))
    pointer = first.read("data.vstore")
    collect(first, "--forget-repo", str(away))
    assert holds(first, pointer) and len(list((cache_of(first) / "packs").iterdir())) == 1
    collect(first)


def test_copy_of_a_repository(pair: tuple[Project, Project]) -> None:
    """A copy is a repository of its own: it counts beside the one it was made of, and each can be away."""
    first, second = pair
    copy = Project(Path(shutil.copytree(second.path, second.path.with_name("copy"), symlinks=True)))
    mine = add_version(copy, 5)
    copy.commit()
    collect(first)
    assert holds(first, mine) and holds(first, second.read("data.vstore"))
    second.path.rename(second.path.with_name("away"))
    refuse(first, str(second.path))


def test_another_repository_at_the_same_place(pair: tuple[Project, Project]) -> None:
    """A new repository does not stand for the one that was moved away from its place."""
    first, second = pair
    pointer = second.read("data.vstore")
    away = second.path.rename(second.path.with_name("away"))
    git("clone", "--quiet", away, second.path, cwd=away)
    second.git("commit", "--quiet", "--amend", "--message", "other")
    second.ok("fetch")
    refuse(first, str(second.path), "another repository is there now")
    Project(away).ok("fetch")
    collect(first)
    assert holds(first, pointer)


def test_a_link_to_the_cache_of_another(project: Project) -> None:
    """Who put a link to another repository's cache in the place of its own shares that, and keeps its data there."""
    mine = add_version(project, 1)
    path = project.path.with_name("linked")
    (path / ".git/vstore").mkdir(parents=True)
    (path / ".git/vstore/cache").symlink_to(cache_of(project))
    git("init", "--quiet", cwd=path)
    linked = Project(path)
    linked.ok("init")
    theirs = add_version(linked, 2)
    for each in (project, linked):
        collect(each)
        assert holds(project, mine) and holds(project, theirs)
    path.rename(path.with_name("away"))
    refuse(project, str(path))


def test_disks_that_were_made_alike(pair: tuple[Project, Project]) -> None:
    """A repository that is away did not move to where another has the same inode, on another disk."""
    first, second = pair
    cache = Cache(cache_of(first))
    (note_of_second,) = (user for user in list_users(cache) if user.work_tree == str(second.path))
    inode = (first.path / ".git").stat().st_ino
    forget(cache, note_of_second.name)
    note(cache, dataclasses.replace(note_of_second, inode=inode, shared_inode=inode))
    second.path.rename(second.path.with_name("away"))
    refuse(first, str(second.path), "it is not there")


def test_a_main_worktree_that_never_used_vstore(project: Project) -> None:
    """What was stashed in a worktree and lies now in the main one, where only git was used, stays."""
    add_version(project, 1)
    project.commit()
    main = project.clone()
    main.git("worktree", "add", "--quiet", "-b", "beside", "../beside")
    beside = Project(main.path.with_name("beside"))
    add_version(beside, 1)
    pointer = add_version(beside, 2)
    beside.git("stash", "--quiet")
    main.git("stash", "pop", "--quiet")
    forget_reflogs(main)
    assert main.read("data.vstore") == pointer
    collect(beside)
    assert holds(beside, pointer)


def test_lost_identity(pair: tuple[Project, Project]) -> None:
    """Without its id a repository is known by its directory; with another id it may be that of another machine."""
    first, second = pair
    shutil.rmtree(second.path / ".git/vstore")
    collect(first)
    second.ok("fetch")
    assert first.run("gc").exit_code == 11
    first.ok("gc", "--forget-repo", second.path)
    collect(first)
    assert holds(first, second.read("data.vstore"))


def test_without_git(pair: tuple[Project, Project]) -> None:
    """Where there is no git, what pointers say now counts."""
    first, second = pair
    path = first.path.with_name("plain")
    path.mkdir()
    plain = Project(path)
    plain.ok("init", "--no-git", "--cache-dir", cache_of(first))
    pointers = [add_version(plain, number) for number in (5, 6)]
    collect(first)
    assert [holds(first, pointer) for pointer in pointers] == [False, True]
    collect(plain)
    assert holds(first, second.read("data.vstore"))
    path.rename(path.with_name("away"))
    refuse(first, str(path))


def test_worktrees(pair: tuple[Project, Project]) -> None:
    """A worktree that git took away is no more; one that is only not there stops everything until git knows."""
    first, second = pair
    places = [second.path.with_name(name) for name in ("one", "two", "three")]
    for place in places:
        second.git("worktree", "add", "--quiet", "--detach", place)
        Project(place).ok("checkout")
    second.git("worktree", "remove", "--force", places[0])
    second.git("worktree", "move", places[1], second.path.with_name("moved"))
    uncommitted = add_version(Project(second.path.with_name("moved")), 7)
    collect(first)
    assert holds(first, uncommitted)
    shutil.rmtree(places[2])
    refuse(first, str(places[2]), "git worktree prune")
    refuse(second, str(places[2]))
    second.git("worktree", "prune")
    collect(first)
    assert holds(first, uncommitted)


def test_worktree_that_never_used_vstore(project: Project) -> None:
    """A worktree that is gone and had nothing of ours but what git keeps stops nobody."""
    add_version(project, 1)
    project.commit()
    project.git("worktree", "add", "--quiet", "--detach", "../other")
    git("commit", "--quiet", "--allow-empty", "--message", "x", cwd=project.path.parent / "other")
    shutil.rmtree(project.path.parent / "other")
    collect(project)


def test_cache_that_moves_along(project: Project) -> None:
    """A repository with a cache of its own may be moved, copied and deleted: no other one has to do with its cache."""
    project.commit("begin")
    project.git("worktree", "add", "--quiet", "--detach", "../other")
    other = Project(project.path.parent / "other")
    uncommitted = add_version(other, 1)
    pointer = add_version(project, 2)
    copy = Project(Path(shutil.copytree(project.path, project.path.with_name("copy"), symlinks=True)))
    shutil.rmtree(copy.path / ".git/worktrees")
    collect(copy)
    assert holds(copy, pointer) and not holds(copy, uncommitted)
    shutil.rmtree(copy.path)
    moved = Project(project.path.rename(project.path.with_name("moved")))
    moved.git("worktree", "repair", other.path)
    collect(moved)
    assert holds(moved, pointer) and holds(moved, uncommitted)


def test_branch_without_vstore(pair: tuple[Project, Project]) -> None:
    """A repository that is at a commit from before vstore still keeps its data."""
    first, second = pair
    pointer = second.read("data.vstore")
    second.git("checkout", "--quiet", "--orphan", "empty")
    second.git("rm", "--quiet", "-r", "--force", ".")
    collect(first)
    assert not second.has(".vstore/config") and holds(first, pointer)


def test_broken_repository(pair: tuple[Project, Project]) -> None:
    """A repository that git cannot read stops everything."""
    first, second = pair
    head = second.path / ".git/HEAD"
    content = head.read_bytes()
    head.write_bytes(b"")
    refuse(first, str(second.path))
    head.write_bytes(content)
    (second.path / ".git/index").write_bytes(b"DIRC broken")
    refuse(first, "git failed")


STRANGE = [b"", b"{}", b'{"version": 1, "work_tree": 5}', b"[]", b"[" * 50_000]


@pytest.mark.parametrize("content", STRANGE, ids=range(len(STRANGE)))
def test_note_that_cannot_be_read(pair: tuple[Project, Project], content: bytes) -> None:
    """A note of a repository that is torn or strange stops everything, until it is forgotten."""
    first, second = pair
    path = cache_of(first) / "repositories/0123.json"
    path.write_bytes(content)
    refuse(first, "0123.json", f"vstore gc --forget {path}")
    first.ok("gc", "--forget", path)
    assert not path.exists() and holds(second, second.read("data.vstore"))


def test_note_of_a_newer_version(pair: tuple[Project, Project]) -> None:
    """What a newer version needs nobody knows."""
    first, _ = pair
    (cache_of(first) / "repositories/0123.json").write_bytes(b'{"version": 2}')
    refuse(first, "0123.json", "newer vstore")


def test_notes_that_are_no_files(pair: tuple[Project, Project]) -> None:
    """Whatever somebody puts in the place of a note stops a collection, at once, and all of it is named."""
    first, _ = pair
    notes = cache_of(first) / "repositories"
    os.mkfifo(notes / "pipe.json")
    (notes / "folder.json").mkdir()
    (notes / "link.json").symlink_to("/")
    refuse(first, "pipe.json", "folder.json", "link.json")


@pytest.mark.parametrize("place", ["../second", "/with\0nul"], ids=["relative", "nul"])
def test_note_of_an_impossible_place(pair: tuple[Project, Project], place: str) -> None:
    """A note says where a repository is from anywhere, in a path that can be one."""
    first, second = pair
    theirs = next(user for user in list_users(Cache(cache_of(first))) if user.work_tree == str(second.path))
    strange = dataclasses.replace(theirs, work_tree=place)
    (cache_of(first) / "repositories" / strange.name).write_bytes(strange.to_bytes())
    refuse(first, strange.name)


def test_repository_that_may_not_be_looked_at(pair: tuple[Project, Project]) -> None:
    """One that this user cannot get at, as one in another's home, is named with the reason and what to do."""
    first, second = pair
    second.path.rename(second.path.with_name("moved"))
    second.path.symlink_to(second.path)
    refuse(first, f"{second.path}: it cannot be read: Too many levels", f"--forget-repo {second.path}")


def test_note_of_another_name(pair: tuple[Project, Project]) -> None:
    """A note that was copied over another one is not believed."""
    first, _ = pair
    mine, theirs = sorted((cache_of(first) / "repositories").iterdir())
    mine.write_bytes(theirs.read_bytes())
    refuse(first, mine.name)


def test_notes_are_written_once(pair: tuple[Project, Project]) -> None:
    """Commands that find their note leave it alone, and a cache of a group can be noted in by everybody of it."""
    first, _ = pair
    notes = {path: path.stat().st_mtime_ns for path in (cache_of(first) / "repositories").iterdir()}
    first.ok("fetch")
    assert notes == {path: path.stat().st_mtime_ns for path in (cache_of(first) / "repositories").iterdir()}
    assert {json.loads(path.read_bytes())["work_tree"] for path in notes} == {str(project.path) for project in pair}
    first.ok("config", "set", "--local", "cache.dir", first.path.with_name("group"))
    first.ok("config", "set", "--local", "cache.shared", "true")
    before = os.umask(0o077)
    try:
        first.ok("add", "-u")
    finally:
        os.umask(before)
    (note,) = (cache_of(first) / "repositories").iterdir()
    assert note.stat().st_mode & 0o777 == 0o644 and note.parent.stat().st_mode & 0o7777 == 0o2775


def test_cache_that_cannot_be_noted_in(pair: tuple[Project, Project]) -> None:
    """Who may only read a cache is told that a collector will not see what is needed."""
    first, _ = pair
    notes = cache_of(first) / "repositories"
    shutil.rmtree(notes)
    notes.write_bytes(b"")
    outcome = first.run("fetch")
    assert outcome.exit_code != 0 or "will not see what is needed" in outcome.stderr


def test_old_cache(pair: tuple[Project, Project]) -> None:
    """In a cache in which nobody noted anything, whoever collects notes what it needs itself."""
    first, _ = pair
    shutil.rmtree(cache_of(first) / "repositories")
    age(cache_of(first))
    result = first.ok("gc", "--json").json()
    assert result["repositories"] == [str(first.path)] and holds(first, first.read("data.vstore"))
