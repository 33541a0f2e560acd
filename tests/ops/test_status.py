"""What status says, and ``add -u`` does, where pointers moved on; and artifacts that belong to another remote."""

from __future__ import annotations

from tests.project import Project


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
