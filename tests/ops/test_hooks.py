"""What the hooks do when git runs them: the data follows, a push is whole, and no command of git fails for nothing."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.command import PROJECT, git
from tests.project import LARGE, Project


@pytest.fixture(autouse=True)
def _git_finds_vstore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the vstore that git runs be the one that is tested."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])))


def run_git(project: Project, *args: str) -> subprocess.CompletedProcess[str]:
    """Run git, which may fail."""
    return subprocess.run(["git", *args], cwd=project.path, capture_output=True, text=True, check=False)


@pytest.fixture
def two_branches(project: Project) -> Project:
    """A project with data, on its branch main, and another version of it on the branch other; then installed."""
    project.add_data()
    project.git("checkout", "--quiet", "-b", "other")
    project.write("data/a.txt", b"other\n")
    project.write("only-other.bin", b"here\n")
    project.ok("add", "-u")
    project.ok("add", "only-other.bin")
    project.commit("second")
    project.git("checkout", "--quiet", "main")
    project.ok("checkout")
    project.ok("install")
    return project


@pytest.fixture
def shared(two_branches: Project) -> Project:
    """The same, with a bare git repository as origin and a remote for the data, neither of which has anything."""
    git("init", "--quiet", "--bare", two_branches.path.parent / "origin.git", cwd=two_branches.path)
    two_branches.git("remote", "add", "origin", "../origin.git")
    two_branches.add_remote()
    return two_branches


def is_pushed(project: Project, revision: str) -> bool:
    """Tell whether the remote holds the data of a revision."""
    return project.run("push", "--check", "--rev", revision).exit_code == 0


# post-checkout, post-merge, post-rewrite


def test_data_follows_a_switch(two_branches: Project) -> None:
    """After a switch the files are those of the branch; what it does not have goes; git's own output is as ever."""
    done = run_git(two_branches, "checkout", "other")
    assert done.returncode == 0 and done.stdout == ""
    assert two_branches.read("data/a.txt") == b"other\n" and two_branches.read("only-other.bin") == b"here\n"
    assert "restored" in done.stderr
    two_branches.git("switch", "--quiet", "main")
    assert two_branches.read("data/a.txt") == b"a\n" and not two_branches.has("only-other.bin")
    two_branches.ok("status", "--check")


def test_a_switch_never_fails(two_branches: Project) -> None:
    """What is saved nowhere stays, what is missing is told, and git goes on."""
    two_branches.write("data/a.txt", b"precious\n")
    done = run_git(two_branches, "checkout", "other")
    assert done.returncode == 0 and "data/a.txt" in done.stderr and "saved nowhere" in done.stderr
    assert two_branches.read("data/a.txt") == b"precious\n"
    two_branches.ok("checkout", "--force")
    two_branches.drop_cache()
    done = run_git(two_branches, "checkout", "main")
    assert done.returncode == 0 and "Error" not in done.stderr  # that data comes later is as it should be
    assert "vstore: not in the cache, so not restored; `vstore pull` brings it:\n    data\n" in done.stderr
    assert two_branches.read("data/a.txt") == b"other\n"


@pytest.mark.parametrize(
    "command", [["checkout", "-b", "new"], ["checkout", "HEAD", "--", "data.vstore"], ["switch", "--detach"]]
)
def test_where_pointers_do_not_change_nothing_is_done(two_branches: Project, command: list[str]) -> None:
    """A new branch, or a single file that git restores, is no reason to look at any data."""
    (two_branches.path / "model.bin").unlink()
    two_branches.git(*command)
    assert not two_branches.has("model.bin")


def test_data_follows_merges_and_rebases(two_branches: Project) -> None:
    """After a pull, fast forward or not, and after a rebase the files are what the pointers say."""
    two_branches.git("merge", "--quiet", "other")
    assert two_branches.read("data/a.txt") == b"other\n"
    two_branches.git("reset", "--quiet", "--hard", "HEAD~")
    two_branches.ok("checkout")
    two_branches.write("data/sub/b.txt", b"main\n")
    two_branches.ok("add", "data")
    two_branches.commit("third")
    two_branches.git("pull", "--quiet", "--no-rebase", "--no-edit", ".", "other")
    assert two_branches.read("data/a.txt") == b"other\n" and two_branches.read("data/sub/b.txt") == b"main\n"
    two_branches.git("reset", "--quiet", "--hard", "HEAD~")
    two_branches.git("rebase", "--quiet", "other")
    assert two_branches.read("data/a.txt") == b"other\n" and two_branches.read("data/sub/b.txt") == b"main\n"
    two_branches.ok("status", "--check")


def test_versions_from_before_vstore(two_branches: Project) -> None:
    """A branch without vstore can be switched to, in silence, and left again."""
    two_branches.git("checkout", "--quiet", "--orphan", "empty")
    two_branches.git("rm", "-r", "--quiet", "--cached", ".")
    two_branches.git("clean", "-fdxq")
    two_branches.git("commit", "--quiet", "--allow-empty", "-m", "nothing")
    done = run_git(two_branches, "checkout", "main")
    assert done.returncode == 0 and two_branches.read("data/a.txt") == b"a\n"
    done = run_git(two_branches, "checkout", "empty")
    assert done.returncode == 0 and "rror" not in done.stderr


def test_a_new_worktree_has_its_data(two_branches: Project) -> None:
    """`git worktree add` brings the data along from the shared cache, and leaves the first worktree alone."""
    place = two_branches.path.parent / "beside"
    two_branches.git("worktree", "add", "--quiet", place, "other")
    beside = Project(place)
    assert beside.read("data/a.txt") == b"other\n" and beside.read("data/large.bin") == LARGE
    assert two_branches.read("data/a.txt") == b"a\n"
    beside.ok("status", "--check")
    two_branches.ok("status", "--check")


def test_a_stash_and_its_data(two_branches: Project) -> None:
    """A stash keeps pointers, and the cache their data: one checkout after each brings the files to where git is."""
    two_branches.write("data/a.txt", b"tried\n")
    two_branches.ok("add", "data")
    two_branches.git("stash", "--quiet")
    assert two_branches.run("status").stdout.startswith("outdated")
    two_branches.ok("checkout")
    assert two_branches.read("data/a.txt") == b"a\n"
    two_branches.git("stash", "pop", "--quiet")
    two_branches.ok("checkout")
    assert two_branches.read("data/a.txt") == b"tried\n"


# pre-push


def test_a_push_brings_what_its_commits_need(shared: Project) -> None:
    """All versions that the pushed commits hold are at the remote afterwards, and no other."""
    shared.write("data/a.txt", b"for a while\n")
    shared.ok("add", "data")
    middle = shared.commit("tried")
    shared.write("data/a.txt", b"in the end\n")
    shared.ok("add", "data")
    shared.commit("done")
    done = run_git(shared, "push", "origin", "main")
    assert done.returncode == 0 and "vstore: pushed 4 artifacts" in done.stderr
    for revision in ("main", middle, "main~2"):
        assert is_pushed(shared, revision)
    assert not is_pushed(shared, "other")
    shared.git("push", "--quiet", "origin", "other")
    assert is_pushed(shared, "other")
    clone = shared.path.parent / "clone"
    git("clone", "--quiet", "--branch", "main", shared.path.parent / "origin.git", clone, cwd=shared.path.parent)
    Project(clone).ok("pull")
    assert Project(clone).read("data/a.txt") == b"in the end\n"


def test_pushes_that_need_nothing(shared: Project) -> None:
    """A branch at a commit that is there, a deleted one and a commit without data ask no remote for anything."""
    shared.git("push", "--quiet", "origin", "main")
    shared.store.rename(shared.path.parent / "away")
    shared.git("push", "--quiet", "origin", "main:copy")
    shared.git("push", "--quiet", "origin", "--delete", "copy")
    shared.git("tag", "-a", "-m", "a version", "v1")
    shared.git("push", "--quiet", "origin", "v1")
    assert not shared.store.exists()


def test_tags_are_pushed_whole(shared: Project) -> None:
    """An annotated tag of a commit that no branch has brings its data."""
    shared.git("tag", "-a", "-m", "a version", "v1", "other")
    shared.git("push", "--quiet", "origin", "v1")
    assert is_pushed(shared, "v1")


def test_a_failing_push_stops_git(shared: Project) -> None:
    """Commits do not get where their data cannot, unless somebody wants it so."""
    shared.store.write_bytes(b"no directory")
    done = run_git(shared, "push", "origin", "main")
    assert done.returncode != 0 and "Error" in done.stderr
    assert git("ls-remote", "../origin.git", cwd=shared.path) == ""
    shared.git("push", "--quiet", "--no-verify", "origin", "main")


def test_pushed_conflicts_are_told(shared: Project) -> None:
    """A pointer in conflict that was committed, as a rebase does without asking, is named when it is pushed."""
    shared.write("model.bin.vstore", b"<<<<<<< a\n=======\n>>>>>>> b\n")
    shared.git("commit", "--quiet", "--no-verify", "--all", "-m", "oh")
    done = run_git(shared, "push", "origin", "main")
    assert done.returncode == 0 and "model.bin.vstore is in conflict in the commit" in done.stderr


def test_without_a_remote_git_pushes(shared: Project) -> None:
    """Where no remote is configured that is a remark, and no failure."""
    shared.ok("remote", "remove", "store")
    done = run_git(shared, "push", "origin", "main")
    assert done.returncode == 0 and "no remote is configured" in done.stderr


def test_lost_data(shared: Project) -> None:
    """New commits whose data nobody has are not pushed; data that was lost before them is only told."""
    shared.ok("push", "model.bin")
    shared.git("push", "--quiet", "--no-verify", "origin", "main")
    shared.drop_cache()
    shutil.rmtree(shared.path / "data")
    shared.write("new.bin", b"new\n")
    shared.ok("add", "new.bin")
    shared.commit("new")
    done = run_git(shared, "push", "origin", "main")
    assert done.returncode == 0 and "data of older commits" in done.stderr and "data" in done.stderr
    assert git("rev-parse", "main", cwd=shared.path.parent / "origin.git") == shared.git("rev-parse", "HEAD")
    git("init", "--quiet", "--bare", shared.path.parent / "mirror.git", cwd=shared.path)
    done = run_git(shared, "push", "../mirror.git", "main")
    assert done.returncode == 0 and "data of older commits" in done.stderr
    done = run_git(shared, "push", "origin", "other")
    assert done.returncode != 0 and "neither in the cache nor in a remote" in done.stderr


def test_what_is_left_of_older_data(shared: Project) -> None:
    """Of data that git pushed without, what is still here follows with the next push, whatever else was lost."""
    shared.ok("push", "model.bin")
    shared.write("kept.bin", b"kept\n")
    shared.ok("add", "kept.bin")
    kept = shared.read("kept.bin.vstore")
    shared.drop_cache()
    shutil.rmtree(shared.path / "data")
    shared.write("kept.bin", b"kept\n")
    shared.ok("add", "--force", "kept.bin")
    assert shared.read("kept.bin.vstore") == kept
    shared.commit("kept")
    shared.git("push", "--quiet", "--no-verify", "origin", "main")
    shared.write("new.bin", b"new\n")
    shared.ok("add", "new.bin")
    shared.commit("new")
    done = run_git(shared, "push", "origin", "main")
    assert done.returncode == 0 and "data of older commits" in done.stderr
    assert "kept.bin" not in done.stderr.partition("data of older commits")[2].partition("\n")[0]
    shared.ok("push", "--check", "kept.bin", "new.bin")


@pytest.mark.parametrize("how", ["another branch", "sparse checkout"])
def test_a_push_from_where_vstore_is_not(shared: Project, how: str) -> None:
    """Pointers are not pushed without their data from a work tree that lacks the configuration; all else is."""
    if how == "another branch":
        shared.git("checkout", "--quiet", "--orphan", "pages")
        shared.git("rm", "-r", "--quiet", "--cached", ".")
        shared.git("clean", "-fdxq")
        shared.git("commit", "--quiet", "--allow-empty", "-m", "nothing")
        shared.git("push", "--quiet", "origin", "pages")
    else:
        shared.git("sparse-checkout", "set", "--cone", "data")
    assert not shared.has(".vstore/config")
    done = run_git(shared, "push", "origin", "main")
    assert done.returncode != 0 and "brings pointers" in done.stderr and "--no-verify" in done.stderr
    shared.git("push", "--quiet", "--no-verify", "origin", "main")
    shared.git("push", "--quiet", "origin", "main:again")


def test_forced_pushes(shared: Project) -> None:
    """A branch that somebody else moved on is pushed with what it needs, though their commits are not here."""
    shared.git("push", "--quiet", "origin", "main")
    strange = shared.path.parent / "strange"
    git("clone", "--quiet", "--branch", "main", shared.path.parent / "origin.git", strange, cwd=shared.path.parent)
    git("commit", "--quiet", "--allow-empty", "-m", "theirs", cwd=strange)
    git("push", "--quiet", "origin", "main", cwd=strange)
    shared.write("data/a.txt", b"mine\n")
    shared.ok("add", "data")
    shared.git("commit", "--quiet", "--amend", "--no-edit")
    shared.git("push", "--quiet", "--force", "../origin.git", "main")
    assert is_pushed(shared, "main")


# pre-commit


def test_commits_tell_what_was_not_added(two_branches: Project) -> None:
    """A commit says which data was changed and not added, and goes on; it says nothing where there is nothing."""
    (two_branches.path / "code.py").write_text("1")
    two_branches.git("add", "code.py")
    assert run_git(two_branches, "commit", "-m", "code").stderr == ""
    two_branches.write("data/a.txt", b"changed\n")
    done = run_git(two_branches, "commit", "--allow-empty", "-m", "more")
    assert done.returncode == 0 and "changed and not added" in done.stderr and "data  ~1" in done.stderr
    two_branches.ok("checkout", "--force")
    two_branches.git("checkout", "other", "--", "data.vstore")  # as a merge does that ends in conflict elsewhere
    done = run_git(two_branches, "commit", "-m", "pointers")
    assert done.stderr.splitlines()[1:] == ["    data"] and "`vstore checkout` brings them there" in done.stderr


def test_conflicts_are_not_committed(two_branches: Project) -> None:
    """A pointer with conflict markers is stopped, once; what else cannot be read is none of the hook's business."""
    two_branches.write("strange.vstore", b"of another program")
    two_branches.git("add", "strange.vstore")
    two_branches.git("commit", "--quiet", "-m", "strange")
    two_branches.write("model.bin.vstore", b"<<<<<<< a\n=======\n>>>>>>> b\n")
    # Neither of these is in the index of the work tree before the hook said yes.
    for how in (["--all"], ["model.bin.vstore"], []):
        if not how:
            two_branches.git("add", "model.bin.vstore")
        done = run_git(two_branches, "commit", "-m", "oh", *how)
        assert done.returncode != 0 and "model.bin.vstore, line 1: a git merge conflict is not resolved" in done.stderr
    two_branches.git("commit", "--quiet", "--no-verify", "-m", "oh")
    two_branches.git("commit", "--quiet", "--allow-empty", "-m", "on")


def test_a_sparse_checkout(two_branches: Project) -> None:
    """Where a sparse checkout leaves the configuration out, hooks and commands name the command that brings it."""
    two_branches.write("code/a.py", b"1")
    two_branches.git("add", "code")
    two_branches.commit("code")
    two_branches.git("sparse-checkout", "set", "code")
    hint = f"`git -C {two_branches.path} sparse-checkout add .vstore`"
    done = run_git(two_branches, "checkout", "other")
    assert done.returncode == 0 and hint in done.stderr
    for command in ("status", "init"):
        outcome = two_branches.run(command)
        assert outcome.exit_code == 10 and hint in outcome.stderr
    two_branches.git("sparse-checkout", "add", ".vstore")
    two_branches.ok("checkout")
    assert two_branches.read("data/a.txt") == b"other\n"


def test_hooks_in_a_submodule(two_branches: Project) -> None:
    """A submodule's hooks see the submodule, whatever the variables of the git above it say."""
    outer = two_branches.path.parent / "outer"
    outer.mkdir()
    git("init", "--quiet", cwd=outer)
    git("submodule", "add", "--quiet", "-b", "main", two_branches.path, "inner", cwd=outer)
    inner = Project(outer / "inner")
    inner.ok("config", "set", "--local", "cache.dir", two_branches.path / ".git/vstore/cache")
    inner.ok("install")
    git("-C", "inner", "checkout", "--quiet", "origin/other", cwd=outer)
    assert inner.read("data/a.txt") == b"other\n"
    git("submodule", "update", "--quiet", cwd=outer)
    assert inner.read("data/a.txt") == b"a\n"


def test_data_is_not_committed(two_branches: Project) -> None:
    """A pointer that was moved without its ignore rule does not bring its data into git."""
    two_branches.git("mv", "model.bin.vstore", "better.bin.vstore")
    two_branches.ok("checkout")
    two_branches.git("add", "--all")
    outcome = run_git(two_branches, "commit", "-m", "move")
    assert outcome.returncode and "better.bin" in outcome.stderr and "git rm -r --cached" in outcome.stderr
    two_branches.git("rm", "--cached", "--quiet", "better.bin")
    two_branches.ok("add", "-u")
    two_branches.git("add", "--all")
    two_branches.git("commit", "-m", "move")
    assert "better.bin" not in two_branches.git("ls-files").split()
