"""What status says, and ``add -u`` does, where pointers moved on; and artifacts that belong to another remote."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project
from vstore.api import open_repo
from vstore.objects.pointer import Pointer
from vstore.workspace.pointers import find_artifact


def _data(project: Project, *args: str) -> dict[str, str]:
    return {found["path"]: found["data"] for found in project.ok("status", "--json", *args).json()["artifacts"]}


def test_moved_pointer_is_not_taken_for_work(project: Project) -> None:
    """Files that are what vstore put there are outdated, not modified, when only their pointers changed."""
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    project.ok("add", "-u")
    project.commit("second")
    project.git("checkout", "--quiet", "HEAD~1")
    assert _data(project) == {"data": "outdated", "model.bin": "unchanged"}
    assert "Next: vstore checkout (" in project.ok("status").stdout
    project.ok("checkout")
    assert _data(project) == {"data": "unchanged", "model.bin": "unchanged"}


def test_work_on_outdated_files_is_modified(project: Project) -> None:
    """Files that were changed are modified, whatever their pointer did meanwhile."""
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    project.ok("add", "-u")
    project.commit("second")
    project.git("checkout", "--quiet", "HEAD~1")
    project.write("data/sub/b.txt", b"my work\n")
    assert _data(project)["data"] == "modified"


def test_moved_pointer_is_not_taken_back(project: Project) -> None:
    """Taking over all changes does not undo a version that git brought and that is not checked out yet."""
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    project.ok("add", "-u")
    project.commit("second")
    project.git("checkout", "--quiet", "HEAD~1")
    project.write("model.bin", b"my work\n")
    done = project.ok("add", "-u")
    assert "data was passed over" in done.stderr
    assert project.git("status", "--short") == "M  model.bin.vstore"
    project.ok("add", "data")
    assert "M  data.vstore" in project.git("status", "--short")


def test_artifact_is_compared_with_its_own_remote(project: Project) -> None:
    """An artifact that belongs to one remote is looked for there, and not in the default one."""
    project.add_data()
    project.add_remote()
    project.ok("remote", "add", "backup", project.store.with_name("backup"))
    project.write("private/names.txt")
    project.ok("add", "--remote", "backup", "private")
    project.ok("push")
    lacking = {a["path"]: a["not_in_remote"] for a in project.ok("status", "--remote", "--json").json()["artifacts"]}
    assert lacking == {"data": False, "model.bin": False, "private": False}
    named = project.ok("status", "--remote", "store", "--json").json()["artifacts"]
    assert {a["path"]: a["not_in_remote"] for a in named} == {"data": False, "model.bin": False, "private": None}


def test_what_is_lacking_is_said_of_its_remote(project: Project) -> None:
    """Where something is not in a remote, that remote is named, and how to bring it there; a path is no remote."""
    project.add_data()
    project.add_remote()
    project.ok("remote", "add", "backup", project.store.with_name("backup"))
    project.ok("push")
    shown = project.ok("status", "--remote", "backup").stdout
    assert "not in the remote backup" in shown
    assert "Next: vstore push -r backup" in shown
    assert "before --remote" in project.run("status", "--remote", "data").stderr


def _one(project: Project, *args: str) -> dict[str, Any]:
    (found,) = project.ok("status", "--json", *args).json()["artifacts"]
    assert isinstance(found, dict)
    return found


def test_before_the_first_commit(project: Project) -> None:
    """Before the first commit there is nothing, and then what is new."""
    assert "Nothing is tracked here yet" in project.ok("status").stdout
    project.write("table.csv")
    project.ok("add", "table.csv")
    assert (_one(project)["data"], _one(project)["pointer"]) == ("unchanged", "new")
    assert "new pointer, not committed" in project.ok("status").stdout


def test_all_that_can_be_of_data(project: Project) -> None:
    """What was modified, deleted, or never was here is told apart, and so is what the cache lacks."""
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    project.write("data/new.txt")
    shutil.rmtree(project.path / "data/sub")
    (project.path / "model.bin").unlink()
    assert _data(project) == {"data": "modified", "model.bin": "deleted"}
    found = _one(project, "data")
    assert (found["added"], found["modified"], found["deleted"]) == (["new.txt"], ["a.txt"], ["sub/b.txt"])
    assert project.run("status", "--check").exit_code == 4
    clone = project.clone()
    assert _data(clone) == {"data": "absent", "model.bin": "absent"}
    assert "not in the cache" in clone.ok("status").stdout and "vstore pull" in clone.ok("status").stdout


def test_directory_that_was_moved_and_linked(project: Project) -> None:
    """Who moves data to another disk and leaves a link is told what helps; what the link leads to stays."""
    project.add_data()
    elsewhere = project.path.parent / "elsewhere"
    (project.path / "data").rename(elsewhere)
    (project.path / "data").symlink_to(elsewhere)
    shown = project.ok("status").stdout
    assert "    ! is a symlink\n" in shown and "vstore add --dereference PATH" in shown
    assert project.run("checkout").exit_code == 11
    project.ok("add", "--dereference", "data")
    assert not (project.path / "data").is_symlink() and (elsewhere / "a.txt").read_bytes() == b"a\n"
    project.ok("status", "--check")


def test_part_of_a_tree(project: Project) -> None:
    """Of a tree of which only a part was checked out, only that part is compared, here and in diff."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    clone = project.clone()
    clone.add_remote()
    clone.ok("pull", "data/sub")
    assert (_one(clone, "data")["data"], _one(clone, "data")["partial"]) == ("unchanged", ["sub"])
    assert clone.ok("diff").stdout == ""
    clone.write("data/sub/b.txt", b"changed\n")
    clone.write("data/new.txt")
    assert (_one(clone, "data")["added"], _one(clone, "data")["modified"]) == (["new.txt"], ["sub/b.txt"])
    assert clone.ok("diff", "--name-only").stdout.split() == ["data/new.txt", "data/sub/b.txt"]
    shutil.rmtree(clone.path / "data")
    assert _one(clone, "data")["deleted"] == ["sub/b.txt"]
    assert clone.ok("diff", "--name-only").stdout.split() == ["data/sub/b.txt"]


def test_path_inside_a_tree(project: Project) -> None:
    """Of a path inside a tree the artifact is told; what was never checked out is absent, a file there a change."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    (project.path / "data/sub/b.txt").unlink()
    found = _one(project, "data/sub")
    assert (found["path"], found["root"], found["data"], found["partial"]) == ("data/sub", "data", "modified", None)
    assert found["deleted"] == ["sub/b.txt"]
    assert (_one(project, "data")["root"], _one(project, "data/a.txt")["data"]) == (None, "unchanged")
    assert "there is no nope in data" in project.run("status", "data/nope").stderr
    clone = project.clone()
    clone.add_remote()
    clone.ok("fetch")
    assert _data(clone, "data/sub", "data/a.txt") == {"data/sub": "absent", "data/a.txt": "absent"}
    clone.ok("checkout", "data/sub")
    assert _data(clone, "data/sub", "data/a.txt") == {"data/sub": "unchanged", "data/a.txt": "absent"}
    (clone.path / "data/sub/b.txt").unlink()
    assert _data(clone, "data/sub", "data/a.txt") == {"data/sub": "modified", "data/a.txt": "absent"}
    clone.write("data/a.txt", b"mine\n")
    assert _data(clone, "data/a.txt") == {"data/a.txt": "modified"}
    assert clone.ok("diff", "--name-only", "data/a.txt").stdout == "data/a.txt\n"


def test_added_to_a_tree_that_is_not_here(project: Project) -> None:
    """A file added to a tree of which the rest is not here is all that is compared."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    clone = project.clone()
    clone.add_remote()
    clone.write("data/extra/x.txt")
    clone.ok("add", "data/extra")
    assert (_one(clone, "data")["data"], _one(clone, "data")["pointer"]) == ("unchanged", "changed")
    assert clone.ok("diff", "--name-only").stdout.split() == ["data/extra/x.txt"]


def test_broken_pointer(project: Project) -> None:
    """A pointer that cannot be read is told with file and line, and the others are told, too."""
    project.add_data()
    project.write("data.vstore", b"version = 1\nkind = 7\n")
    assert _data(project) == {"data": "broken", "model.bin": "unchanged"}
    shown = project.run("status", "--check")
    assert shown.exit_code == 4 and "data.vstore, line 2" in shown.stdout and "Next: mend" in shown.stdout


def test_huge_pointer(project: Project) -> None:
    """What is called like a pointer and is far too long to be one is refused without being read whole."""
    project.add_data()
    with open(project.path / "huge.vstore", "wb") as file:
        file.truncate(1 << 40)
    found = _one(project, "huge")
    assert found["data"] == "broken"
    assert found["error"] == "huge.vstore is too large for a pointer file"


def test_conflict(project: Project) -> None:
    """A pointer that git could not merge is told as a conflict until somebody chose, whatever git left in it."""
    project.add_data()
    project.git("checkout", "--quiet", "-b", "side")
    project.write("data/a.txt", b"theirs\n")
    project.ok("add", "data")
    project.commit("theirs")
    project.git("checkout", "--quiet", "main")
    project.ok("checkout")
    project.write("data/a.txt", b"ours\n")
    project.ok("add", "data")
    project.git("rm", "--quiet", "--cached", "model.bin.vstore")
    project.commit("ours")
    with pytest.raises(AssertionError):
        project.git("merge", "side")
    found = _one(project, "data")
    assert found["data"] == "conflict" and "merge conflict is not resolved" in found["error"]
    assert "checkout --ours PATH" in project.ok("status").stdout
    ours = project.git("show", ":2:data.vstore")
    (project.path / "data.vstore").write_text(ours + "\n")
    assert _one(project, "data")["data"] == "conflict"
    project.git("add", "data.vstore")
    assert _one(project, "data")["data"] == "unchanged"


def test_conflict_with_a_deletion(project: Project) -> None:
    """An artifact that one side deleted and the other changed is a conflict, also while it has no pointer here."""
    project.add_data()
    project.git("checkout", "--quiet", "-b", "side")
    project.git("rm", "--quiet", "data.vstore")
    project.commit("theirs")
    project.git("checkout", "--quiet", "main")
    project.ok("checkout")
    project.write("data/a.txt", b"ours\n")
    project.ok("add", "data")
    project.commit("ours")
    with pytest.raises(AssertionError):
        project.git("merge", "side")
    for _ in range(2):
        assert _data(project) == {"data": "conflict", "model.bin": "unchanged"}
        assert _data(project, "data") == {"data": "conflict"}
        (project.path / "data.vstore").unlink(missing_ok=True)


def test_looks_while_another_writes(project: Project) -> None:
    """While another command holds every lock that there is, status and diff say at once what they always say."""
    project.add_data()
    project.write("data/new.txt")
    connection = sqlite3.connect(project.path / ".git/vstore/state.db")
    connection.execute("BEGIN IMMEDIATE")
    try:
        with open_repo(project.path) as repo, repo.writing():
            started = time.monotonic()
            assert _one(project, "data")["added"] == ["new.txt"]
            assert project.ok("diff", "--name-only").stdout == "data/new.txt\n"
            assert time.monotonic() - started < 4
    finally:
        connection.close()


def test_without_git(tmp_path: Path) -> None:
    """Without git, pointers have no state, and all else is told."""
    project = Project(tmp_path / "plain")
    project.path.mkdir()
    project.ok("init", "--no-git")
    project.write("table.csv")
    project.ok("add", "table.csv")
    assert (_one(project)["data"], _one(project)["pointer"]) == ("unchanged", "untracked")
    project.write("table.csv", b"changed\n")
    assert _one(project)["data"] == "modified"
    assert project.ok("diff", "--name-only").stdout == "table.csv\n"


def test_executable_bit_of_a_file(project: Project) -> None:
    """A file that was made executable is modified: to take that over, or back, is for the user to say."""
    project.add_data()
    (project.path / "model.bin").chmod(0o755)
    assert _data(project)["model.bin"] == "modified"
    project.ok("add", "-u")
    assert _one(project, "model.bin")["pointer"] == "changed"
    assert _data(project)["model.bin"] == "unchanged"


def test_file_that_looks_like_the_tree(project: Project) -> None:
    """A file with the bytes of a directory's tree, in its place, is not that directory."""
    project.add_data()
    with open_repo(project.path) as repo:
        artifact = find_artifact(project.path, "data")
        assert artifact is not None
        assert isinstance(artifact.pointer, Pointer)
        tree = repo.cache.read(artifact.pointer.digest)
    shutil.rmtree(project.path / "data")
    project.write("data", tree)
    assert _data(project, "data") == {"data": "modified"}


def test_checkout_that_was_stopped(project: Project) -> None:
    """Files of which a checkout that was killed had written some are outdated, and no work of anybody's."""
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    project.write("data/new.txt")
    (project.path / "data/sub/b.txt").unlink()
    project.ok("add", "-u")
    project.commit("second")
    project.git("checkout", "--quiet", "HEAD~1")
    project.ok("checkout")
    project.git("checkout", "--quiet", "-")
    project.write("data/a.txt", b"changed\n")
    assert _data(project, "data") == {"data": "outdated"}
    assert "Next: vstore checkout (" in project.ok("status").stdout
    assert "data was passed over" in project.ok("add", "-u").stderr
    (project.path / "data/large.bin").unlink()
    assert _data(project, "data") == {"data": "modified"}
    project.ok("checkout")
    assert _data(project, "data") == {"data": "unchanged"}


def test_what_git_would_take_in(project: Project) -> None:
    """Where git moved a pointer alone, status says that no rule covers the data, and the next step mends it."""
    project.add_data()
    project.git("mv", "data.vstore", "odd name [1].vstore")
    assert _data(project) == {"model.bin": "unchanged", "odd name [1]": "absent"}
    assert "Next: vstore checkout (bring" in project.ok("status").stdout
    project.ok("checkout")
    assert _one(project, "odd name [1]")["not_ignored"] is True
    shown = project.ok("status").stdout
    assert "git does not ignore it" in shown
    assert "Next: vstore add -u (let git ignore" in shown
    project.ok("add", "-u")
    assert not any(found["not_ignored"] for found in project.ok("status", "--json").json()["artifacts"])
    assert "??" not in project.git("status", "--short")


def test_what_another_rule_ignores(project: Project) -> None:
    """Data that git ignores by any rule is safe from it, also where our own is not there or cannot be read."""
    project.add_data()
    ignored = project.path / ".gitignore"
    ignored.write_text("*.bin\n")
    found = {a["path"]: a["not_ignored"] for a in project.ok("status", "--json").json()["artifacts"]}
    assert found == {"data": True, "model.bin": False}
    ignored.unlink()
    ignored.mkdir()
    assert {a["not_ignored"] for a in project.ok("status", "--json").json()["artifacts"]} == {True}


def test_files_that_are_gone_come_back_without_force(project: Project) -> None:
    """Where files were deleted, and nothing else, what is offered to undo that forces nothing."""
    project.add_data()
    (project.path / "data/a.txt").unlink()
    assert "or vstore checkout (bring the files back)" in project.ok("status").stdout
    project.write("data/new.txt")
    assert "or vstore checkout --force (drop them)" in project.ok("status").stdout


def test_unchanged_files_cost_no_write(project: Project) -> None:
    """Looking at files that nobody touched writes nothing, and reads none of them."""
    project.write("one.bin", b"1")
    project.write("two.bin", b"2")
    project.ok("add", "one.bin", "two.bin")
    time.sleep(0.05)  # younger files are read again, lest they change within one tick of the clock
    project.ok("status")
    state = project.path / ".git/vstore/state.db"
    before = state.stat().st_mtime_ns
    assert _data(project) == {"one.bin": "unchanged", "two.bin": "unchanged"}
    assert state.stat().st_mtime_ns == before
