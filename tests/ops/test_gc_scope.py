"""Whatever git keeps: a version stays as long as anything leads to its pointer, and goes with the last."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.collecting import add_version, collect, drop_history, forget_reflogs, holds
from tests.command import git
from tests.project import Project


@pytest.fixture
def old(project: Project) -> bytes:
    """A version of ``data`` that only the commit HEAD~ has; returns its pointer."""
    pointer = add_version(project, 1)
    project.commit("one")
    add_version(project, 2)
    project.commit("two")
    return pointer


def in_branch(project: Project, commit: str) -> Callable[[], object]:
    project.git("branch", "kept", commit)
    return lambda: project.git("branch", "--delete", "--force", "kept")


def in_tag(project: Project, commit: str) -> Callable[[], object]:
    project.git("tag", "kept", commit)
    return lambda: project.git("tag", "--delete", "kept")


def in_annotated_tag(project: Project, commit: str) -> Callable[[], object]:
    project.git("tag", "--annotate", "--message", "x", "kept", commit)
    return lambda: project.git("tag", "--delete", "kept")


def in_tag_of_a_tree(project: Project, commit: str) -> Callable[[], object]:
    project.git("tag", "kept", f"{commit}^{{tree}}")
    return lambda: project.git("tag", "--delete", "kept")


def in_tag_of_a_pointer(project: Project, commit: str) -> Callable[[], object]:
    project.git("tag", "kept", f"{commit}:data.vstore")
    project.git("tag", "no-pointer", project.git("hash-object", "-w", ".vstore/config"))
    return lambda: project.git("tag", "--delete", "kept")


def in_remote_branch(project: Project, commit: str) -> Callable[[], object]:
    project.git("update-ref", "refs/remotes/origin/main", commit)
    # As a remote has it whose default branch was renamed.
    project.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
    return lambda: project.git("update-ref", "-d", "refs/remotes/origin/main")


def in_note(project: Project, commit: str) -> Callable[[], object]:
    project.git("update-ref", "refs/notes/data", commit)
    return lambda: project.git("update-ref", "-d", "refs/notes/data")


def in_replacement(project: Project, commit: str) -> Callable[[], object]:
    """A commit that another one stands in for."""
    project.git("branch", "kept", commit)
    project.git("replace", commit, "HEAD")

    def undo() -> None:
        project.git("replace", "--delete", commit)
        project.git("branch", "--delete", "--force", "kept")

    return undo


def behind_replacement(project: Project, commit: str) -> Callable[[], object]:
    """A commit that stands in for another one."""
    project.git("replace", "HEAD", commit)
    return lambda: project.git("replace", "--delete", "HEAD")


def in_detached_head(project: Project, commit: str) -> Callable[[], object]:
    project.git("checkout", "--quiet", "--detach", commit)
    forget_reflogs(project)

    def undo() -> None:
        project.git("checkout", "--quiet", "main")
        forget_reflogs(project)

    return undo


def in_worktree(project: Project, commit: str) -> Callable[[], object]:
    project.git("worktree", "add", "--quiet", "--detach", "../other", commit)
    forget_reflogs(project)
    return lambda: project.git("worktree", "remove", "--force", "../other")


def in_index_of_worktree(project: Project, commit: str) -> Callable[[], object]:
    project.git("worktree", "add", "--quiet", "--detach", "../other", "main")
    git("restore", "--staged", f"--source={commit}", "data.vstore", cwd=project.path.parent / "other")
    return lambda: project.git("worktree", "remove", "--force", "../other")


def in_bisection_of_worktree(project: Project, commit: str) -> Callable[[], object]:
    """A ref that belongs to another worktree alone."""
    project.git("worktree", "add", "--quiet", "--detach", "../other", "main")
    git("update-ref", "refs/bisect/bad", commit, cwd=project.path.parent / "other")
    return lambda: project.git("worktree", "remove", "--force", "../other")


def in_reflog(project: Project, commit: str) -> Callable[[], object]:
    project.git("update-ref", "--create-reflog", "refs/heads/side", commit)
    project.git("update-ref", "refs/heads/side", "main")

    def undo() -> None:
        forget_reflogs(project)
        project.git("branch", "--delete", "--force", "side")

    return undo


def in_reflog_of_worktree(project: Project, commit: str) -> Callable[[], object]:
    project.git("worktree", "add", "--quiet", "--detach", "../other", commit)
    git("checkout", "--quiet", "--detach", "main", cwd=project.path.parent / "other")
    return lambda: project.git("worktree", "remove", "--force", "../other")


def in_index(project: Project, commit: str) -> Callable[[], object]:
    project.git("restore", "--staged", f"--source={commit}", "data.vstore")
    return lambda: project.git("reset", "--quiet")


def in_files(project: Project, commit: str) -> Callable[[], object]:
    project.git("restore", "--worktree", f"--source={commit}", "data.vstore")
    return lambda: project.git("restore", "data.vstore")


def in_untracked_file(project: Project, commit: str) -> Callable[[], object]:
    path = project.write("deep/er/copy.vstore", project.git("show", f"{commit}:data.vstore").encode() + b"\n")
    return path.unlink


def in_ignored_file(project: Project, commit: str) -> Callable[[], object]:
    project.write(".gitignore", b"/ignored\n")
    path = project.write("ignored/copy.vstore", project.git("show", f"{commit}:data.vstore").encode() + b"\n")
    return path.unlink


def announced(project: Project, commit: str) -> Callable[[], object]:
    """A pointer that git only knows that it will come."""
    delete = in_untracked_file(project, commit)
    project.git("add", "--intent-to-add", "deep")

    def undo() -> None:
        delete()
        project.git("rm", "--quiet", "--cached", "deep/er/copy.vstore")

    return undo


def in_stash(project: Project, commit: str) -> Callable[[], object]:
    in_files(project, commit)
    project.git("stash", "--quiet")
    return lambda: project.git("stash", "clear")


def in_older_stash(project: Project, commit: str) -> Callable[[], object]:
    in_stash(project, commit)
    project.write("README", b"x")
    project.git("add", "README")
    project.git("stash", "--quiet")
    return lambda: project.git("stash", "clear")


def untracked_in_stash(project: Project, commit: str) -> Callable[[], object]:
    in_untracked_file(project, commit)
    project.git("stash", "--quiet", "--include-untracked")
    return lambda: project.git("stash", "clear")


def indexed_in_stash(project: Project, commit: str) -> Callable[[], object]:
    """What the index had and the file had not."""
    in_index(project, commit)
    project.git("restore", "--worktree", "--source=HEAD", "data.vstore")
    project.git("stash", "--quiet")
    return lambda: project.git("stash", "clear")


def pseudo(name: str) -> Callable[[Project, str], Callable[[], object]]:
    def keep(project: Project, commit: str) -> Callable[[], object]:
        path = project.path / ".git" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{commit}\t\tbranch 'x' of elsewhere\n" if name == "FETCH_HEAD" else f"{commit}\n")
        return path.unlink

    keep.__name__ = name
    return keep


def in_todo(project: Project, commit: str) -> Callable[[], object]:
    """What a rebase or cherry-pick has still to do, named by the beginning of its id."""
    path = project.path / ".git/sequencer/todo"
    path.parent.mkdir()
    path.write_text(f"pick {commit[:7]} one\n")
    return lambda: shutil.rmtree(path.parent)


def in_rebase(project: Project, commit: str) -> Callable[[], object]:
    """What was before a rebase that stopped."""
    project.git("checkout", "--quiet", "-b", "side", commit)
    project.write("README", b"side")
    project.git("add", "README")
    project.commit("side")
    project.git("checkout", "--quiet", "main")
    project.write("README", b"main")
    project.git("add", "README")
    project.commit("main")
    with pytest.raises(AssertionError):
        project.git("rebase", "main", "side")
    project.git("update-ref", "-d", "refs/heads/side")
    forget_reflogs(project)

    def undo() -> None:
        project.git("rebase", "--quit")
        project.git("checkout", "--quiet", "--force", "main")
        forget_reflogs(project)

    return undo


def under_another_name_too(project: Project, commit: str) -> Callable[[], object]:
    """A pointer whose bytes git met first under a name that is none of a pointer."""
    project.git("checkout", "--quiet", "-b", "kept", commit)
    project.write("a-copy.txt", project.read("data.vstore"))
    project.git("add", "a-copy.txt")
    project.commit("copy")
    project.git("checkout", "--quiet", "main")
    forget_reflogs(project)
    return lambda: project.git("branch", "--delete", "--force", "kept")


KEEPERS = [
    in_branch,
    in_tag,
    in_annotated_tag,
    in_tag_of_a_tree,
    in_tag_of_a_pointer,
    in_remote_branch,
    in_note,
    in_replacement,
    behind_replacement,
    in_detached_head,
    in_worktree,
    in_index_of_worktree,
    in_bisection_of_worktree,
    in_reflog,
    in_reflog_of_worktree,
    in_index,
    in_files,
    in_untracked_file,
    in_ignored_file,
    announced,
    in_stash,
    in_older_stash,
    untracked_in_stash,
    indexed_in_stash,
    in_todo,
    in_rebase,
    under_another_name_too,
    *map(pseudo, ("ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "FETCH_HEAD", "rebase-merge/onto")),
]


@pytest.mark.parametrize("keep", KEEPERS, ids=lambda keep: keep.__name__)
def test_whatever_git_keeps_stays(
    project: Project, old: bytes, keep: Callable[[Project, str], Callable[[], object]]
) -> None:
    """A version stays as long as anything in git, or a file, leads to its pointer, and goes with it."""
    undo = keep(project, drop_history(project))
    collect(project)
    assert holds(project, old)
    undo()
    collect(project)
    assert not holds(project, old) and holds(project, project.read("data.vstore"))
