"""Merging branches with the real git: directories file by file, conflicts that name files, and nothing lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.command import PROJECT, git
from tests.project import LARGE, Project

CONFLICT = 1


@pytest.fixture(autouse=True)
def _git_finds_vstore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the vstore that git runs be the one that is tested."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])))


def install(project: Project) -> None:
    """Let git merge with vstore.  Hooks, of which other tests tell, are left out: they take their time."""
    project.ok("install")
    project.git("config", "core.hooksPath", "none")


@pytest.fixture
def installed(project: Project) -> Project:
    """A project with data, in which git merges with vstore."""
    install(project)
    project.add_data()
    return project


def run_git(project: Project, *args: str) -> subprocess.CompletedProcess[str]:
    """Run git, which may fail."""
    return subprocess.run(["git", *args], cwd=project.path, capture_output=True, text=True, check=False)


def change(project: Project, branch: str, files: dict[str, bytes | None], start: str = "main") -> None:
    """Make a commit on a branch, which is made at ``start`` if need be, that writes and deletes files."""
    known = project.git("branch", "--list", branch)
    project.git("checkout", "--quiet", *([branch] if known else ["-b", branch, start]))
    project.ok("checkout")
    for name, content in files.items():
        if content is None:
            (project.path / name).unlink()
        else:
            project.write(name, content)
    project.ok("add", "-u")
    project.commit(f"on {branch}")


def stages(project: Project, path: str) -> set[str]:
    """The stages that the index has of a path."""
    lines = project.git("ls-files", "--stage", path).splitlines()
    return {line.split()[2] for line in lines}


def test_changes_to_different_files_merge(installed: Project) -> None:
    """Files added, changed and deleted on both sides are all there after the merge, in pointer and work tree."""
    change(installed, "other", {"data/a.txt": b"other\n", "data/new.txt": b"new\n", "model.bin": b"model"})
    change(installed, "main", {"data/sub/b.txt": None, "data/large.bin": LARGE[1:]})
    installed.git("merge", "--quiet", "other")
    installed.ok("checkout")
    assert installed.read("data/a.txt") == b"other\n" and installed.read("data/new.txt") == b"new\n"
    assert not installed.has("data/sub/b.txt") and installed.read("data/large.bin") == LARGE[1:]
    assert installed.read("model.bin") == b"model"
    installed.ok("status", "--check")
    assert installed.git("status", "--porcelain") == ""


@pytest.mark.parametrize("command", ["rebase", "cherry-pick"])
def test_other_ways_of_git_to_merge(installed: Project, command: str) -> None:
    """A rebase and a cherry-pick merge the same way."""
    change(installed, "other", {"data/a.txt": b"other\n"})
    change(installed, "main", {"data/sub/b.txt": b"main\n"})
    installed.git("checkout", "--quiet", "other" if command == "rebase" else "main")
    installed.git(command, "main" if command == "rebase" else "other")
    installed.ok("checkout")
    assert installed.read("data/a.txt") == b"other\n" and installed.read("data/sub/b.txt") == b"main\n"
    installed.ok("status", "--check")


def test_stash_pop_merges(installed: Project) -> None:
    """What was stashed is merged into what was committed meanwhile."""
    installed.write("data/a.txt", b"stashed\n")
    installed.ok("add", "data")
    installed.git("stash", "push", "--quiet")
    installed.ok("checkout")
    assert installed.read("data/a.txt") == b"a\n"
    change(installed, "main", {"data/sub/b.txt": b"main\n"})
    installed.git("stash", "pop", "--quiet")
    installed.ok("checkout")
    assert installed.read("data/a.txt") == b"stashed\n" and installed.read("data/sub/b.txt") == b"main\n"


def conflicted(project: Project) -> subprocess.CompletedProcess[str]:
    """Merge two branches that changed a.txt differently, and other files besides."""
    change(project, "other", {"data/a.txt": b"theirs\n", "data/sub/b.txt": b"theirs\n", "data/t.txt": b"t\n"})
    change(project, "main", {"data/a.txt": b"ours\n", "data/sub/b.txt": b"ours\n", "data/o.txt": b"o\n"})
    return run_git(project, "merge", "other")


def test_a_conflict_names_its_files(installed: Project) -> None:
    """The same file changed on both sides is named by git's output and by the pointer, and nobody reads the pointer."""
    done = conflicted(installed)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "both sides changed data/a.txt" in said and "both sides changed data/sub/b.txt" in said
    assert "CONFLICT (content): Merge conflict in data.vstore" in said
    assert stages(installed, "data.vstore") == {"1", "2", "3"}
    pointer = installed.read("data.vstore")
    assert b"#   a.txt\n#   sub/b.txt\n" in pointer and b"<<<<<<< ours\n" in pointer and b">>>>>>> theirs\n" in pointer
    for command in (["add", "data"], ["checkout", "data"], ["ls", "data"], ["push", "data"]):
        outcome = installed.run(*command)
        assert outcome.exit_code != 0
    outcome = installed.run("add", "data")
    assert "data.vstore, line" in outcome.stderr and "conflict" in outcome.stderr
    assert "vstore checkout --ours data" in outcome.stderr
    assert installed.run("status").stdout.startswith("conflict  data")
    installed.add_remote()
    assert installed.run("push", "data").stdout == ""
    for command in (["checkout"], ["diff"], ["push", "data"]):
        assert "vstore status" in installed.run(*command).stderr
    installed.ok("status", "model.bin", "--check")
    # Both versions are where git keeps them, and the data is as it was.
    assert installed.ok("cat", "data/a.txt", "--rev", "MERGE_HEAD").stdout == "theirs\n"
    assert installed.read("data/a.txt") == b"ours\n"


@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize("path", ["data", "data.vstore", "."])
def test_a_whole_conflict_is_decided(installed: Project, side: str, path: str) -> None:
    """One command decides all that is in conflict; what merged stays merged; the merge can be committed."""
    conflicted(installed)
    outcome = installed.ok("checkout", f"--{side}", path)
    assert "restored  data" in outcome.stdout
    for name in ("data/a.txt", "data/sub/b.txt"):
        assert installed.read(name) == f"{side}\n".encode()
    assert installed.read("data/t.txt") == b"t\n" and installed.read("data/o.txt") == b"o\n"
    assert stages(installed, "data.vstore") == {"0"}
    installed.git("commit", "--quiet", "--no-edit")
    installed.ok("status", "--check")


def test_files_are_decided_one_by_one(installed: Project) -> None:
    """Each file may take another side; the pointer says what is left, and is staged when nothing is."""
    conflicted(installed)
    outcome = installed.ok("checkout", "--theirs", "data/a.txt")
    assert "data is still in conflict" in outcome.stdout
    assert stages(installed, "data.vstore") == {"1", "2", "3"}
    assert b"#   sub/b.txt\n" in installed.read("data.vstore") and b"a.txt" not in installed.read("data.vstore")
    assert installed.run("checkout", "--ours", "data/a.txt").exit_code == 1  # it is decided
    assert installed.run("checkout", "--ours", "data/o.txt").exit_code == 1  # it never was in conflict
    assert installed.ok("checkout", "--ours", "data/sub", "--json").json()["conflicts"] == []
    assert installed.read("data/a.txt") == b"theirs\n" and installed.read("data/sub/b.txt") == b"ours\n"
    assert installed.read("data/t.txt") == b"t\n" and installed.read("data/o.txt") == b"o\n"
    assert stages(installed, "data.vstore") == {"0"}
    installed.git("commit", "--quiet", "--no-edit")
    installed.ok("status", "--check")


def test_deciding_is_planned_first(installed: Project) -> None:
    """A dry run changes nothing, and says what would be left."""
    conflicted(installed)
    before = installed.read("data.vstore")
    outcome = installed.ok("checkout", "--ours", "data/a.txt", "--dry-run", "--json")
    assert outcome.json()["conflicts"] == ["data"] and installed.read("data.vstore") == before
    assert "data would be in conflict no more" in installed.ok("checkout", "--ours", "data", "--dry-run").stdout
    assert installed.read("data.vstore") == before
    done = installed.ok("checkout", "--ours", "data")
    assert "data is in conflict no more.\nNext: git commit\n" in done.stdout


def test_sides_can_be_taken_by_hand(installed: Project) -> None:
    """Whoever deletes one side of the pointer in an editor gets what the command gives."""
    conflicted(installed)
    text = installed.read("data.vstore").decode()
    head, _, rest = text.partition("<<<<<<< ours\n")
    ours, _, rest = rest.partition("=======\n")
    _, _, tail = rest.partition(">>>>>>> theirs\n")
    installed.write("data.vstore", (head + ours + tail).encode())
    installed.git("add", "data.vstore")
    installed.ok("checkout")
    assert installed.read("data/a.txt") == b"ours\n" and installed.read("data/t.txt") == b"t\n"


def test_merging_a_file_by_hand(installed: Project) -> None:
    """A file is merged by taking one side, editing it, and adding it."""
    conflicted(installed)
    installed.ok("checkout", "--ours", "data")
    installed.write("data/a.txt", b"ours and theirs\n")
    installed.ok("add", "data/a.txt")
    installed.git("commit", "--quiet", "--no-edit")
    assert installed.read("data/t.txt") == b"t\n"
    installed.ok("status", "--check")


def test_git_remembers_decisions(installed: Project) -> None:
    """With rerere the same conflict is decided as it was the last time."""
    installed.git("config", "rerere.enabled", "true")
    conflicted(installed)
    installed.ok("checkout", "--theirs", "data/a.txt")
    installed.ok("checkout", "--ours", "data/sub")
    installed.git("commit", "--quiet", "--no-edit")
    decided = installed.read("data.vstore")
    installed.git("reset", "--quiet", "--hard", "HEAD~")
    done = run_git(installed, "merge", "other")
    assert "Resolved 'data.vstore' using previous resolution" in done.stdout + done.stderr
    assert installed.read("data.vstore") == decided


def test_unsaved_files_survive_a_decision(installed: Project) -> None:
    """What was changed and saved nowhere is not overwritten; the pointer is decided, and the files follow later."""
    conflicted(installed)
    installed.write("data/a.txt", b"precious\n")
    outcome = installed.run("checkout", "--theirs", "data")
    assert outcome.exit_code == 11 and "data/a.txt" in outcome.stderr
    assert installed.read("data/a.txt") == b"precious\n" and stages(installed, "data.vstore") == {"0"}
    installed.ok("checkout", "--force")
    assert installed.read("data/a.txt") == b"theirs\n"


def test_single_files_conflict_readably(installed: Project) -> None:
    """A file changed on both sides is a conflict that shows both digests, and one side of it can be taken."""
    change(installed, "other", {"model.bin": b"theirs"})
    change(installed, "main", {"model.bin": b"ours!"})
    assert run_git(installed, "merge", "other").returncode == 1
    text = installed.read("model.bin.vstore").decode()
    assert text.count("digest = ") == 2 and "size = 5" in text and "size = 6" in text and "=======" in text
    assert installed.run("checkout", "--ours", "model.bin/x").exit_code == 1
    installed.ok("checkout", "--theirs", "model.bin")
    assert installed.read("model.bin") == b"theirs"
    installed.git("commit", "--quiet", "--no-edit")
    installed.ok("status", "--check")


def test_in_a_rebase_sides_are_as_git_means_them(installed: Project) -> None:
    """In a rebase ours is what the branch is put on, and theirs is the commit that is put there."""
    change(installed, "topic", {"data/a.txt": b"topic\n"})
    change(installed, "main", {"data/a.txt": b"main\n"})
    installed.git("checkout", "--quiet", "topic")
    assert run_git(installed, "rebase", "main").returncode == 1
    installed.ok("checkout", "--theirs", "data")
    assert installed.read("data/a.txt") == b"topic\n"
    installed.git("rebase", "--continue")
    installed.ok("status", "--check")


def test_conflicts_of_a_stash(installed: Project) -> None:
    """A stash that does not fit is a conflict like any other; git keeps it until it is dropped."""
    installed.write("data/a.txt", b"stashed\n")
    installed.ok("add", "data")
    installed.git("stash", "push", "--quiet")
    change(installed, "main", {"data/a.txt": b"main\n"})
    assert run_git(installed, "stash", "pop").returncode == 1
    installed.ok("checkout", "--theirs", "data")
    assert installed.read("data/a.txt") == b"stashed\n"
    assert installed.git("stash", "list") != ""


def test_artifacts_added_on_both_sides(installed: Project) -> None:
    """Two artifacts of one name are united, and both branches may add artifacts beside each other."""
    installed.git("checkout", "--quiet", "-b", "other")
    for name in ("fresh/a", "fresh/both"):
        installed.write(name, b"theirs\n")
    installed.write("theirs.bin", b"1")
    installed.ok("add", "fresh", "theirs.bin")
    installed.commit()
    installed.git("checkout", "--quiet", "main")
    for name in ("fresh/b", "fresh/both"):
        installed.write(name, b"ours\n")
    installed.write("ours.bin", b"2")
    installed.ok("add", "fresh", "ours.bin")
    installed.commit()
    assert run_git(installed, "merge", "other").returncode == 1
    assert installed.git("diff", "--name-only", "--diff-filter=U") == "fresh.vstore"
    installed.ok("checkout", "--ours", "fresh/both")
    assert [installed.read(f"fresh/{name}") for name in ("a", "b", "both")] == [b"theirs\n", b"ours\n", b"ours\n"]
    installed.git("commit", "--quiet", "--no-edit")
    installed.ok("checkout")
    assert installed.read("theirs.bin") == b"1" and installed.read("ours.bin") == b"2"
    assert installed.git("status", "--porcelain") == ""


@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize("deleting", ["ours", "theirs"])
def test_deleted_on_one_side(installed: Project, deleting: str, side: str) -> None:
    """An artifact that one side deleted and the other changed stays or goes, pointer, data and ignore rule."""
    installed.git("checkout", "--quiet", "-b", "other")
    for branch in ("other", "main"):
        installed.git("checkout", "--quiet", branch)
        installed.ok("checkout")
        if (branch == "main") == (deleting == "ours"):
            installed.ok("rm", "--data", "data")
        else:
            installed.write("data/a.txt", b"changed\n")
            installed.ok("add", "data")
        installed.commit()
    assert run_git(installed, "merge", "other").returncode == 1
    assert installed.run("checkout", f"--{side}", "data/a.txt").exit_code == 1
    installed.ok("checkout", f"--{side}", "data")
    assert installed.has("data") == installed.has("data.vstore") == (side != deleting)
    if side != deleting:
        assert installed.read("data/a.txt") == b"changed\n"
    installed.git("commit", "--quiet", "--no-edit")
    assert installed.git("status", "--porcelain") == ""
    installed.ok("status", "--check")


def test_renamed_artifact_and_changed_file(installed: Project) -> None:
    """An artifact that one side moved and the other changed is at its new place, changed."""
    change(installed, "other", {"data/a.txt": b"other\n", "data/sub/b.txt": b"other\n"})
    installed.git("checkout", "--quiet", "main")
    installed.ok("checkout")
    installed.ok("mv", "data", "moved")
    installed.commit()
    installed.git("merge", "--quiet", "other")
    installed.ok("checkout")
    assert installed.read("moved/a.txt") == b"other\n" and installed.read("moved/large.bin") == LARGE
    assert not installed.has("data.vstore")


def test_descriptions_merge_by_key(installed: Project) -> None:
    """What people say about data merges key by key, with what they did to the data."""
    change(installed, "other", {"data/a.txt": b"other\n"})
    installed.ok("add", "data", "--label", "theirs", "--meta", "rows=1", "--desc", "all of it")
    installed.git("commit", "--quiet", "--amend", "--no-edit")
    installed.git("checkout", "--quiet", "main")
    installed.ok("checkout")
    installed.ok("add", "data", "--label", "ours", "--meta", "columns=2")
    installed.commit()
    installed.git("merge", "--quiet", "other")
    installed.ok("checkout")
    text = installed.read("data.vstore").decode()
    for part in ('"ours", "theirs"', 'rows = "1"', 'columns = "2"', 'description = "all of it"'):
        assert part in text
    installed.ok("status", "--check")


def test_several_common_ancestors(installed: Project) -> None:
    """After branches merged each other git makes an ancestor of several, also where these were in conflict."""
    change(installed, "other", {"data/a.txt": b"other\n"})
    change(installed, "main", {"data/a.txt": b"main\n"})
    installed.git("branch", "other-before", "other")
    installed.git("branch", "main-before", "main")
    for branch, merged, side in (("main", "other-before", "ours"), ("other", "main-before", "theirs")):
        installed.git("checkout", "--quiet", branch)
        assert run_git(installed, "merge", merged).returncode == 1
        installed.ok("checkout", f"--{side}", "data")
        installed.git("commit", "--quiet", "--no-edit")
    change(installed, "main", {"data/m.txt": b"m\n"})
    change(installed, "other", {"data/o.txt": b"o\n"})
    assert len(installed.git("merge-base", "--all", "main", "other").split()) == 2
    installed.git("merge", "--quiet", "main")
    installed.ok("checkout")
    assert [installed.read(f"data/{name}.txt") for name in "amo"] == [b"main\n", b"m\n", b"o\n"]


def test_octopus_merge(installed: Project) -> None:
    """Several branches are merged at once as far as git can, which never is in conflict; nothing is lost else."""
    for number, name in enumerate(("one", "two", "three")):
        change(installed, name, {"model.bin" if number == 0 else "data/a.txt": f"{name}\n".encode()})
    installed.git("checkout", "--quiet", "main")
    installed.git("merge", "--quiet", "one", "two")
    installed.ok("checkout")
    assert installed.read("model.bin") == b"one\n" and installed.read("data/a.txt") == b"two\n"
    head = installed.git("rev-parse", "HEAD")
    change(installed, "four", {"model.bin": b"four\n"})
    installed.git("checkout", "--quiet", "main")
    assert run_git(installed, "merge", "three", "four").returncode != 0
    assert installed.git("rev-parse", "HEAD") == head
    run_git(installed, "reset", "--hard", "--quiet")
    installed.ok("checkout")
    installed.ok("status", "--check")


def test_missing_lists_of_files_are_fetched(installed: Project) -> None:
    """A merge in a clone gets the lists of files from the remote; the files themselves stay there until asked for."""
    installed.add_remote()
    installed.git("add", ".vstore")
    installed.commit("a remote")
    change(installed, "other", {"data/a.txt": b"other\n"})
    change(installed, "main", {"data/sub/b.txt": b"main\n"})
    installed.ok("push", "--all-commits")
    clone = installed.clone()
    install(clone)
    clone.git("merge", "--quiet", "origin/other")
    clone.ok("pull")
    assert clone.read("data/a.txt") == b"other\n" and clone.read("data/sub/b.txt") == b"main\n"


def test_without_the_lists_of_files_nothing_is_merged(installed: Project) -> None:
    """Where nobody has the lists of files, the conflict is the whole directory, and the reason is said."""
    change(installed, "other", {"data/a.txt": b"other\n"})
    change(installed, "main", {"data/sub/b.txt": b"main\n"})
    clone = installed.clone()
    install(clone)
    done = run_git(clone, "merge", "origin/other")
    assert done.returncode == 1
    assert "data was not merged: the list of files of data is neither" in done.stdout + done.stderr
    assert b"<<<<<<< ours" in clone.read("data.vstore") and stages(clone, "data.vstore") == {"1", "2", "3"}
    assert clone.run("checkout", "--ours", "data/a.txt").exit_code == 12
    # With a remote that has them the same decision merges the rest.
    installed.ok("remote", "add", "-d", "store", installed.store)
    installed.ok("push", "--all-commits")
    clone.ok("remote", "add", "-d", "store", installed.store)
    clone.run("checkout", "--ours", "data")
    clone.ok("pull")
    assert clone.read("data/a.txt") == b"other\n" and clone.read("data/sub/b.txt") == b"main\n"


def test_decisions_without_the_driver(project: Project) -> None:
    """Where git merged pointers as text, because nothing was installed, conflicts are decided file by file, too."""
    project.add_data()
    for branch in ("other", "main"):
        change(project, branch, {f"data/{branch}.txt": b"1\n"})
        project.write(f"only-{branch}.txt")
        project.ok("add", f"only-{branch}.txt")
        project.commit()
    conflicted(project)
    assert b"<<<<<<< HEAD" in project.read("data.vstore") and b"<<<<<<< HEAD" in project.read(".gitignore")
    project.ok("checkout", "--theirs", "data/a.txt")
    project.ok("checkout", "--ours", "data")
    assert project.read("data/a.txt") == b"theirs\n" and project.read("data/sub/b.txt") == b"ours\n"
    assert project.read("data/t.txt") == b"t\n" and project.read("data/o.txt") == b"o\n"
    assert stages(project, "data.vstore") == {"0"} and stages(project, ".gitignore") == {"1", "2", "3"}


def test_decisions_after_git_add(installed: Project) -> None:
    """A conflict that somebody staged as it was can still be decided."""
    conflicted(installed)
    installed.git("add", "data.vstore")
    installed.ok("checkout", "--ours", "data/a.txt")
    installed.ok("checkout", "--theirs", "data")
    assert installed.read("data/a.txt") == b"ours\n" and installed.read("data/sub/b.txt") == b"theirs\n"
    installed.git("commit", "--quiet", "--no-edit")


def test_broken_pointers_are_left_to_people(installed: Project) -> None:
    """A version that is no pointer, or one of a newer vstore, is a conflict of the whole text."""
    installed.git("checkout", "--quiet", "-b", "other")
    installed.write("data.vstore", installed.read("data.vstore").replace(b"version = 1", b"version = 2"))
    installed.git("add", "data.vstore")
    installed.commit()
    change(installed, "main", {"data/a.txt": b"main\n"}, start="main")
    done = run_git(installed, "merge", "other")
    assert done.returncode == 1 and "format version 2" in done.stdout + done.stderr
    assert b"version = 2" in installed.read("data.vstore")
    installed.ok("checkout", "--ours", "data")
    assert installed.read("data/a.txt") == b"main\n"


@pytest.mark.parametrize("gone", ["vstore", "launcher"])
def test_without_vstore_git_merges_as_ever(installed: Project, gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where vstore was removed, pointers are merged and compared as text, as if nothing had been installed."""
    change(installed, "other", {"data/a.txt": b"other\n", "model.bin": b"other"})
    change(installed, "main", {"data/sub/b.txt": b"main\n"})
    launcher = installed.path / ".git/vstore/launch"
    if gone == "vstore":
        launcher.write_text("\n".join(line for line in launcher.read_text().splitlines() if "module=" not in line))
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
    else:
        launcher.unlink()
    done = run_git(installed, "merge", "other")
    assert done.returncode == 1
    assert installed.read("data.vstore").count(b"<<<<<<< ours") == 1
    assert "model.bin.vstore" in installed.git("diff", "--cached", "--name-only")
    assert "digest = " in installed.git("log", "-p", "-1", "main")


def test_a_driver_that_dies(installed: Project) -> None:
    """Where the driver is killed, git gives up the merge, everything is as before, and the next attempt works."""
    change(installed, "other", {"data/a.txt": b"other\n"})
    change(installed, "main", {"data/sub/b.txt": b"main\n"})
    launcher = installed.path / ".git/vstore/launch"
    script = launcher.read_text()
    launcher.write_text("kill -9 $$\n")
    before = installed.read("data.vstore")
    assert run_git(installed, "merge", "other").returncode != 0
    run_git(installed, "merge", "--abort")
    assert installed.read("data.vstore") == before and installed.git("status", "--porcelain") == ""
    launcher.write_text(script)
    installed.git("merge", "--quiet", "other")
    installed.ok("checkout")
    assert installed.read("data/a.txt") == b"other\n" and installed.read("data/sub/b.txt") == b"main\n"


def test_merging_in_a_worktree(installed: Project) -> None:
    """Another worktree merges with what the first one installed, and finds its own repository and cache."""
    change(installed, "other", {"data/a.txt": b"other\n"})
    change(installed, "main", {"data/sub/b.txt": b"main\n"})
    place = installed.path.parent / "beside"
    installed.git("worktree", "add", "--quiet", place, "other")
    beside = Project(place)
    beside.git("merge", "--quiet", "main")
    beside.ok("checkout")
    assert beside.read("data/a.txt") == b"other\n"
    assert beside.read("data/sub/b.txt") == b"main\n"
    beside.ok("status", "--check")
    assert installed.read("data/a.txt") == b"a\n" and installed.read("data/sub/b.txt") == b"main\n"


def test_merging_in_a_submodule(installed: Project, tmp_path: Path) -> None:
    """A submodule has its own installation, and merges with it."""
    change(installed, "other", {"data/a.txt": b"other\n"})
    change(installed, "main", {"data/sub/b.txt": b"main\n"})
    outer = tmp_path / "outer"
    outer.mkdir()
    git("init", "--quiet", cwd=outer)
    git("submodule", "add", "--quiet", installed.path, "inner", cwd=outer)
    inner = Project(outer / "inner")
    inner.ok("config", "set", "--local", "cache.dir", installed.path / ".git/vstore/cache")
    install(inner)
    inner.ok("checkout")
    inner.git("merge", "--quiet", "origin/other")
    inner.ok("checkout")
    assert inner.read("data/a.txt") == b"other\n" and inner.read("data/sub/b.txt") == b"main\n"
    inner.ok("status", "--check")


def test_odd_names(installed: Project) -> None:
    """Names that hurt shells are merged like all others."""
    for name in ('it\'s $(here) "now"', "-h", "ü\u00a0x"):
        installed.write(f"{name}/both", b"1\n")
        installed.write(f"{name}/x", b"1\n")
        installed.ok("add", "--", name)
        installed.commit()
        change(installed, f"b{len(name)}", {f"{name}/both": b"2\n", f"{name}/x": b"2\n"})
        change(installed, "main", {f"{name}/both": b"3\n", f"{name}/y": b"3\n"})
        done = run_git(installed, "merge", f"b{len(name)}")
        assert done.returncode == 1 and "CONFLICT (vstore): both sides changed" in done.stdout + done.stderr
        installed.ok("checkout", "--theirs", "--", f"{name}/both")
        assert "  both\n" in installed.git("diff", "--cached", "--", f"./{name}.vstore")
        assert [installed.read(f"{name}/{n}") for n in ("both", "x", "y")] == [b"2\n", b"2\n", b"3\n"]
        installed.git("commit", "--quiet", "--no-edit")
