"""Deaths while git runs us, or while what git and we are told is changed: hooks, drivers, conflicts, settings."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import PROJECT
from tests.ops.test_install import git_files, write_hook
from tests.ops.test_merge_driver import conflicted, install, run_git
from tests.project import LARGE, Project
from tests.stateful.test_death import as_before, die_everywhere, pointers_are_good

CONFLICT_FREE = {"a.txt": b"ours\n", "sub/b.txt": b"theirs\n", "large.bin": LARGE}
_DYING = """\
import os, sys
if "merge-driver" in sys.argv:
    from tests.stateful.dying import Executioner
    sys.addaudithook(Executioner(int(os.environ["DIES_BEFORE"])))
"""


@pytest.fixture(autouse=True)
def _git_finds_vstore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the vstore that git runs be the one that is tested."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])))


def directories(project: Project) -> set[Path]:
    """All directories of the repository that are not git's own or ours."""
    return {path for path in (project.path / ".git").glob("*/") if path.name not in ("objects", "vstore")}


@pytest.mark.parametrize("uninstall", [False, True])
def test_install(project: Project, uninstall: bool) -> None:
    """No hook of anybody's is lost, git works at any time, and in the end all is as if nobody had died."""
    hooks = {"pre-commit": "#!/bin/sh\necho shell\n", "pre-push": "#!/usr/bin/perl\n1;\n"}
    for name, script in hooks.items():
        write_hook(project, name, script)
    before, before_directories = git_files(project), directories(project)
    project.ok("install")
    after, after_directories = git_files(project), directories(project)
    if not uninstall:
        project.ok("install", "--uninstall")

    def check(done: bool) -> None:
        found = b"".join(content for name, (_, content) in git_files(project).items() if name.startswith("hooks"))
        assert b"echo shell" in found and b"1;\n" in found
        project.git("status")
        if done:
            assert git_files(project) == (before if uninstall else after)
            assert directories(project) == (before_directories if uninstall else after_directories)
            assert project.has(".git/vstore/launch") != uninstall
        elif not uninstall:
            with as_before(project):
                project.ok("install", "--uninstall")
                assert git_files(project) == before and directories(project) == before_directories

    step = 1 if uninstall else 2
    assert die_everywhere(project, ["install", *(["--uninstall"] if uninstall else [])], check, step=step) > 15


@pytest.fixture
def in_conflict(project: Project) -> Project:
    """A merge in which both sides changed files of ``data``, some of them alike."""
    install(project)
    project.add_data()
    conflicted(project)
    return project


@pytest.mark.parametrize("args", [["--ours", "data"], ["--theirs", "data/a.txt", "data/sub/b.txt"]])
def test_deciding_a_conflict(in_conflict: Project, args: list[str]) -> None:
    """Both versions can be had at any time; the same command decides it, until git knows that it is decided."""
    side = args[0].removeprefix("--").encode()

    def check(done: bool) -> None:
        for rev, version in (("HEAD", b"ours\n"), ("MERGE_HEAD", b"theirs\n")):
            assert in_conflict.ok("cat", "data/a.txt", "--rev", rev).stdout_bytes == version
        if done:
            assert in_conflict.read("data/a.txt") == in_conflict.read("data/sub/b.txt") == side + b"\n"
            assert in_conflict.read("data/o.txt") == b"o\n" and in_conflict.read("data/t.txt") == b"t\n"
            pointers_are_good(in_conflict)
            in_conflict.ok("status", "--check")
            assert in_conflict.git("ls-files", "--unmerged") == "" == in_conflict.git("diff", "--name-only")

    def is_decided() -> bool:
        return in_conflict.git("ls-files", "--unmerged") == ""

    assert die_everywhere(in_conflict, ["checkout", *args], check, step=2, is_over=is_decided) > 10


def test_merge(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git's merge driver dies, git says that it did not merge; both sides stay, and the next merge ends it."""
    install(project)
    project.add_data()
    for branch, name in (("other", "theirs.txt"), ("main", "ours.txt")):
        project.git("checkout", "--quiet", *(["-b", "other"] if branch == "other" else ["main"]))
        project.ok("checkout")
        project.write(f"data/{name}")
        project.ok("add", "data")
        project.commit(branch)
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(_DYING)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    path = f"{tmp_path / 'hook'}{os.pathsep}{os.environ['PYTHONPATH']}"
    for number in itertools.count(step=4):
        with as_before(project), monkeypatch.context() as patched:
            patched.setenv("PYTHONPATH", path)
            patched.setenv("DIES_BEFORE", str(number))
            code = run_git(project, "merge", "other").returncode
            patched.undo()
            for rev, name in (("main", "ours.txt"), ("other", "theirs.txt")):
                assert project.ok("cat", f"data/{name}", "--rev", rev).stdout == "small\n"
            if code:
                run_git(project, "merge", "--abort")
                project.git("merge", "--quiet", "other")
            pointers_are_good(project)
            project.ok("checkout")
            assert project.has("data/ours.txt") and project.has("data/theirs.txt")
            project.ok("status", "--check")
        if code == 0:
            break
    assert number > 4


def edited(project: Project) -> tuple[bytes, list[object], str]:
    """What all layers say together."""
    return (
        project.read(".vstore/config"),
        project.ok("remote", "list", "--json").json()["remotes"],
        project.git("show", ":.vstore/config"),
    )


@pytest.mark.parametrize(
    ("args", "is_over"),
    [
        ("config set cache.type symlink,copy", None),
        ("config set --local core.lock_wait 3", None),
        ("remote add -d new ../new", None),
        ("remote set store read_only true", None),
        ("remote default other", None),
        ("remote rename store renamed", "store"),
        ("remote remove store", "store"),
    ],
)
def test_settings(project: Project, args: str, is_over: str | None) -> None:
    """A file of settings is the old one or the new one, can always be read, and the same command ends it."""
    project.ok("remote", "add", "-d", "store", "../store")
    project.ok("remote", "add", "other", "../other")
    project.ok("config", "set", "--local", "remote.store.retention_days", "7")
    project.write("data/a")
    project.ok("add", "data", "--remote", "store" if "rename" in args else "other")
    project.commit("settings")
    with as_before(project):
        project.ok(*args.split())
        expected = edited(project)

    def names() -> set[str]:
        return {remote["name"] for remote in project.ok("remote", "list", "--json").json()["remotes"]}

    over: Callable[[], bool] = lambda: is_over is not None and is_over not in names()  # noqa: E731

    def check(done: bool) -> None:
        assert "other" in names()
        assert project.run("status").exit_code == 0
        if done:
            if over():
                project.git("add", ".vstore")
            assert edited(project) == expected
            pointers_are_good(project)
            if "rename" in args:
                assert b'remote = "renamed"' in project.read("data.vstore")
            project.ok("push", "--dry-run")

    assert die_everywhere(project, args.split(), check, step=2, is_over=over) >= 2
