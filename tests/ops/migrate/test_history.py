"""Old versions move in, too: history is written anew beside the one there is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.command import git
from tests.ops.migrate.places import DvcProject, LfsProject, clone_with_pointers
from tests.project import LARGE, Project

_made: dict[Path, DvcProject] = {}


@pytest.fixture
def versions(dvc_program: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> DvcProject:
    """Four commits of DVC: one with data, one more on each of two branches, and their merge; the first is tagged."""
    if dvc_program not in _made:
        _made[dvc_program] = _make_versions(tmp_path_factory.mktemp("versions") / "project", dvc_program)
    return _made[dvc_program].copy(tmp_path / "place")


def _make_versions(path: Path, program: Path) -> DvcProject:
    path.mkdir()
    git("init", "--quiet", cwd=path)
    project = DvcProject(path, program)
    project.dvc("init", "-q")
    project.save("Begin with DVC")
    project.write("data/one", b"1\n")
    os.chmod(project.write("data/run.sh", b"#!/bin/sh\n"), 0o755)
    project.write("model.bin", LARGE)
    project.dvc("add", "-q", "data", "model.bin")
    project.save("first")
    project.git("tag", "--annotate", "--message", "Release\n\nwith words", "v1")
    project.git("tag", "plain")
    project.git("checkout", "--quiet", "-b", "other")
    project.write("data/two", b"2\n")
    project.dvc("add", "-q", "data")
    project.save("on the other branch")
    project.git("checkout", "--quiet", "main")
    project.write("model.bin", LARGE[::-1])
    project.dvc("add", "-q", "model.bin")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--author", "Größe <g@example.org>", "--date", "1600000000 +0530", "-m", "on main")
    project.git("merge", "--quiet", "--no-edit", "other")
    project.dvc("checkout", "-q")
    return project


def refs(project: Project, prefix: str) -> dict[str, str]:
    """Return what refs name, without those that were written anew."""
    lines = project.git("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return dict(line.split() for line in lines if "/vstore/" not in line)


def test_every_version_can_be_had(versions: DvcProject) -> None:
    """Each commit has a twin with our pointers, from which its data comes when everything of DVC's is gone."""
    before = refs(versions, "refs"), versions.git("status", "--short")
    result = versions.ok("migrate", "dvc", "--all-commits", "--json").json()
    assert [(each["old"], each["new"]) for each in result["history"]] == [
        ("refs/heads/main", "refs/heads/vstore/main"),
        ("refs/heads/other", "refs/heads/vstore/other"),
        ("refs/tags/plain", "refs/tags/vstore/plain"),
        ("refs/tags/v1", "refs/tags/vstore/v1"),
    ]
    assert result["commits"] == 4 and not result["missing"] and not result["refused"]
    assert refs(versions, "refs")["refs/heads/main"] == before[0]["refs/heads/main"]
    assert refs(versions, "refs") == before[0]
    shutil.rmtree(versions.path / ".dvc/cache")
    versions.git("checkout", "--quiet", "vstore/main")
    status = versions.ok("status", "--json").json()["artifacts"]
    assert {artifact["data"] for artifact in status} == {"unchanged"}
    assert not [path for path in versions.git("ls-files").splitlines() if path.endswith(".dvc")]
    assert versions.ok("cat", "--rev", "vstore/v1", "model.bin").stdout_bytes == LARGE
    assert versions.ok("cat", "--rev", "vstore/main", "model.bin").stdout_bytes == LARGE[::-1]
    assert versions.run("cat", "--rev", "vstore/plain", "data/two").exit_code != 0
    versions.git("checkout", "--quiet", "vstore/other")
    versions.ok("checkout")
    assert versions.read("data/two") == b"2\n" and versions.read("model.bin") == LARGE
    assert os.access(versions.path / "data/run.sh", os.X_OK)


def test_history_is_the_same_but_for_pointers(versions: DvcProject) -> None:
    """Authors, dates, messages, parents, other files and what stands before the first data stay as they were."""
    versions.ok("migrate", "dvc", "--all-commits")
    layout = "--format=%an <%ae> %ad %cn %cd %s%n%b"
    assert versions.git("log", "--graph", layout, "vstore/main") == versions.git("log", "--graph", layout, "main")
    assert versions.git("rev-list", "--max-parents=0", "vstore/main") == versions.git(
        "rev-list", "--max-parents=0", "main"
    )
    assert "Größe" in versions.git("log", "vstore/main")
    assert "with words" in versions.git("cat-file", "tag", "vstore/v1")
    names = set(versions.git("diff", "--name-only", "main", "vstore/main").splitlines())
    assert names == {
        "data.dvc",
        "data.vstore",
        "model.bin.dvc",
        "model.bin.vstore",
        ".vstore/config",
        ".vstore/.gitignore",
    }
    versions.git("fsck", "--strict")


def test_again_goes_on(versions: DvcProject) -> None:
    """Written again, history is the same; when it has grown the new branch moves on, unless it has grown itself."""
    versions.ok("migrate", "dvc", "--all-branches")
    tip = versions.git("rev-parse", "vstore/main")
    versions.ok("migrate", "dvc", "--all-branches")
    assert versions.git("rev-parse", "vstore/main") == tip
    versions.write("model.bin", b"third\n")
    versions.dvc("add", "-q", "model.bin")
    versions.save("third")
    versions.ok("migrate", "dvc", "--all-branches")
    assert versions.git("rev-parse", "vstore/main~1") == tip
    versions.git(
        "update-ref", "refs/heads/vstore/main", versions.git("commit-tree", "-m", "mine", "-p", tip, f"{tip}^{{tree}}")
    )
    mine = versions.git("rev-parse", "vstore/main")
    outcome = versions.run("migrate", "dvc", "--all-branches", "--json")
    assert (
        outcome.exit_code == 3
        and outcome.json()["refused"][0][0] == "refs/heads/vstore/main"
        and versions.git("rev-parse", "vstore/main") == mine
    )


def test_a_branch_that_is_checked_out_stays(versions: DvcProject) -> None:
    """A new branch on which somebody stands is not moved under them."""
    versions.ok("migrate", "dvc", "--all-branches")
    versions.write("model.bin", b"third\n")
    versions.dvc("add", "-q", "model.bin")
    versions.save("third")
    versions.git("checkout", "--quiet", "vstore/main")
    tip = versions.git("rev-parse", "HEAD")
    outcome = versions.run("migrate", "dvc", "--all-branches", "--json")
    assert outcome.exit_code == 3
    assert [path for path, _ in outcome.json()["refused"]] == ["refs/heads/vstore/main"]
    assert versions.git("rev-parse", "HEAD") == tip and versions.git("status", "--short") == ""


def test_a_version_that_is_lost(versions: DvcProject) -> None:
    """A commit of which a content is nowhere keeps what DVC wrote; it is named, and the others are written anew."""
    first = versions.git("rev-parse", "v1^{commit}")
    lost = next(file for file in versions.dvc_cache.rglob("*") if file.is_file() and file.read_bytes() == LARGE)
    lost.unlink()
    outcome = versions.run("migrate", "dvc", "--all-commits", "--json")
    assert outcome.exit_code == 3
    assert outcome.json()["missing"] == [["model.bin", f"is not in the cache of DVC (commit {first[:10]})"]]
    names = versions.git("ls-tree", "--name-only", "vstore/v1").splitlines()
    assert "model.bin.dvc" in names and "data.vstore" in names and "data.dvc" not in names
    assert "model.bin.vstore" in versions.git("ls-tree", "--name-only", "vstore/main").splitlines()


def test_dry_run_changes_nothing(versions: DvcProject) -> None:
    """--dry-run says which branches and tags would be made, and makes none, nor a repository."""
    result = versions.ok("migrate", "dvc", "--all-branches", "--dry-run", "--json").json()
    assert [each["new"] for each in result["history"]] == ["refs/heads/vstore/main", "refs/heads/vstore/other"]
    assert result["commits"] == 4 and not versions.has(".vstore") and not versions.has(".git/vstore")
    assert "vstore" not in versions.git("for-each-ref")


def test_names_that_are_taken(versions: DvcProject) -> None:
    """Where a branch is called vstore none can be called vstore/main, and that is said before anything is done."""
    versions.git("branch", "vstore")
    assert versions.run("migrate", "dvc", "--all-branches").exit_code == 11


def test_before_the_first_commit(git_repo: LfsProject) -> None:
    """Without a commit there is no history to write."""
    assert Project(git_repo).run("migrate", "dvc", "--all-commits").exit_code == 1  # type: ignore[arg-type]


def test_versions_of_git_lfs(lfs: LfsProject) -> None:
    """The commits of git-lfs get our pointers, rules and attributes, from a clone that holds only its newest files."""
    lfs.write("model.bin", b"second\n")
    lfs.git("rm", "--quiet", "img/1.png")
    lfs.git("add", "--all")
    lfs.commit("second")
    lfs.git("push", "--quiet", "origin", "main")
    clone = clone_with_pointers(lfs)
    result = clone.ok("migrate", "lfs", "--all-commits", "--json").json()
    assert result["commits"] == 2 and not result["missing"]
    assert clone.git("status", "--short") == "A  .vstore/.gitignore\nA  .vstore/config"
    clone.git("-c", "filter.lfs.smudge=", "-c", "filter.lfs.required=false", "checkout", "--quiet", "vstore/main")
    clone.ok("checkout")
    assert clone.read("model.bin") == b"second\n" and clone.read("img/x/2.png") == LARGE[::-1]
    assert clone.git("status", "--short") == "" and clone.read(".gitattributes") == b"*.txt text\n"
    assert clone.ok("cat", "--rev", "HEAD~1", "model.bin").stdout_bytes == LARGE
    assert clone.ok("cat", "--rev", "HEAD~1", "img/1.png").stdout == "one\n"
    assert "executable = true" in clone.git("show", "HEAD~1:img/1.png.vstore")
    assert clone.git("show", "HEAD~1:img/.gitignore") == "/1.png" and not clone.has("img/.gitignore")
    assert clone.git("lfs", "ls-files") == ""
