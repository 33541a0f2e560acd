"""What works here."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.command import run_vstore
from tests.project import Project


def test_outside_of_a_repository(tmp_path: Path) -> None:
    """The doctor also looks at a machine without a repository."""
    result = run_vstore("doctor", "--json", cwd=tmp_path).ok().json()
    assert result["repository"] is None
    assert {"vstore", "python", "git", "pygit2"} <= set(result["versions"])


def test_repository(project: Project) -> None:
    """Places, link types, remotes and numbers of a repository are told."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    found = project.ok("doctor", "--json").json()["repository"]
    assert found["path"] == str(project.path) and found["artifacts"] == 2 and found["broken"] == []
    assert "copy" in found["link_types"] and "hardlink" in found["link_types"]
    assert found["remotes"] == [{"name": "store", "url": str(project.store), "error": None, "code": None, "fields": {}}]


def test_everything_that_is_wrong_is_told(project: Project) -> None:
    """A remote that is gone and a pointer that cannot be read are told, as facts and not as failures."""
    project.add_data()
    project.add_remote()
    project.store.write_bytes(b"a file")
    project.write("model.bin.vstore", b"<<<<<<< ours\n")
    text = project.ok("doctor").stdout
    assert "a pointer cannot be read: model.bin" in text
    assert "remote store" in text and "works" not in text


def test_nothing_is_left_behind(project: Project) -> None:
    """Looking changes neither git nor the remote."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    before = sorted(project.store.rglob("*"))
    project.commit("remote")
    project.ok("doctor")
    assert project.git("status", "--short") == ""
    assert [path for path in sorted(project.store.rglob("*")) if path.is_file()] == [
        path for path in before if path.is_file()
    ]


def test_what_git_runs(project: Project) -> None:
    """Whether hooks and drivers are installed is told, all of them, some or none, and also if the launcher is gone."""

    def installed() -> set[bool]:
        return set(project.ok("doctor", "--json").json()["repository"]["installed"].values())

    assert installed() == {False} and "git does not run vstore: " in project.ok("doctor").stdout
    project.ok("install")
    assert installed() == {True}
    text = project.ok("doctor").stdout
    assert "post-rewrite, merge and diff driver" in text and "does not run" not in text
    (project.path / ".git/hooks/pre-push").unlink()
    assert installed() == {False, True} and "git does not run vstore as pre-push: " in project.ok("doctor").stdout
    (project.path / ".git/vstore/launch").unlink()
    assert installed() == {False}


def test_only_copy_is_remarked(project: Project) -> None:
    """Without a remote the cache is the only copy, which is worth a remark."""
    project.add_data()
    assert any("only copy" in remark for remark in project.ok("doctor", "--json").json()["remarks"])
    shutil.rmtree(project.path / ".git/vstore")
    project.ok("doctor")
