"""Ignore rules: what .vstoreignore keeps out is not tracked, not shown, not written, and never deleted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import hypothesis
import pytest
from hypothesis import assume, example, given

from tests.command import git
from tests.git.test_ignore_match import CONTENT, FILES, FOLDERS, UNSURE_STARS, ignored_by_git
from tests.project import LARGE, Project
from vstore.cache.cache import Cache
from vstore.state import State
from vstore.workspace.ignoring import load_ignoring
from vstore.workspace.scan import iter_rows, scan

USAGE = 2


def listed(project: Project, path: str = "data") -> list[str]:
    """The files that the pointer's tree has."""
    found = project.ok("ls", "-R", path, "--json").json()
    return sorted(entry["path"].removeprefix(path + "/") for entry in found["entries"] if entry["kind"] == "file")


def changes(project: Project) -> tuple[list[str], list[str], list[str]]:
    """What status says was added, modified and deleted in ``data``."""
    status = project.ok("status", "data", "--json").json()["artifacts"][0]
    return status["added"], status["modified"], status["deleted"]


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with logs beside its data, and a rule against them."""
    project.write(".vstoreignore", b"*.log\n/data/tmp/\n# a comment\n\n")
    for name in ("a.csv", "b.log", "sub/c.csv", "sub/d.log", "tmp/e.csv", "sub/tmp/f.csv"):
        project.write(f"data/{name}", f"data/{name}".encode())
    return project


def test_what_is_ignored_is_not_added(filled: Project) -> None:
    """Files and directories that rules match stay where they are, and are not tracked."""
    filled.ok("add", "data")
    assert listed(filled) == ["a.csv", "sub/c.csv", "sub/tmp/f.csv"]
    assert filled.read("data/b.log") == b"data/b.log"
    filled.ok("status", "--check")
    assert changes(filled) == ([], [], [])


def test_new_ignored_files_are_no_change(filled: Project) -> None:
    """What is ignored may come, change and go, and status, add and fsck see none of it."""
    filled.ok("add", "data")
    before = filled.read("data.vstore")
    filled.write("data/sub/g.log", LARGE)
    (filled.path / "data/b.log").unlink()
    filled.ok("status", "--check")
    filled.ok("add", "-u")
    filled.ok("add", "data")
    filled.ok("fsck")
    assert filled.read("data.vstore") == before
    filled.write("data/h.csv")
    assert changes(filled) == (["h.csv"], [], [])


def test_ignored_files_survive_checkout(filled: Project) -> None:
    """Going to another version, with force too, and removing the data leaves what is ignored."""
    filled.ok("add", "data")
    filled.commit("first")
    filled.write("data/a.csv", b"changed\n")
    filled.write("data/new/h.csv", b"new\n")
    filled.ok("add", "data")
    filled.commit("second")
    filled.write("data/new/i.log", b"mine\n")
    filled.git("checkout", "--quiet", "HEAD~")
    filled.ok("checkout", "--force")
    assert filled.read("data/a.csv") == b"data/a.csv" and not filled.has("data/new/h.csv")
    assert filled.read("data/new/i.log") == b"mine\n" and filled.read("data/b.log") == b"data/b.log"
    filled.ok("status", "--check")
    filled.ok("rm", "--data", "data")
    assert filled.read("data/b.log") == b"data/b.log" and not filled.has("data/a.csv")


def test_directories_of_ignored_files(filled: Project) -> None:
    """A directory that holds nothing but what is ignored is ignored, too; one that is tracked as empty stays so."""
    filled.ok("add", "data")
    filled.write("data/new/below/i.log", b"mine\n")
    assert changes(filled) == ([], [], [])
    (filled.path / "data/new/empty").mkdir()
    (filled.path / "data/bare").mkdir()
    assert changes(filled) == (["bare", "new/empty"], [], [])
    filled.ok("add", "data")
    filled.write("data/bare/below/j.log", b"mine\n")
    filled.write("data/new/empty/k.log", b"mine\n")
    assert changes(filled) == ([], [], [])


def test_rules_do_not_stop_tracking(project: Project) -> None:
    """As in git, what is tracked stays tracked when a rule comes to match it, until it is removed."""
    project.add_data()
    project.write(".vstoreignore", b"*.txt\nsub/\n")
    project.ok("status", "--check")
    project.write("data/a.txt", b"changed\n")
    project.write("data/new.txt", b"new\n")
    project.write("data/sub/new.bin", b"new\n")
    assert changes(project) == ([], ["a.txt"], [])
    project.ok("add", "data")
    assert listed(project) == ["a.txt", "large.bin", "sub/b.txt"]
    project.commit("second")
    (project.path / "data/sub/b.txt").unlink()
    assert changes(project) == ([], [], ["sub/b.txt"])
    project.ok("checkout")
    assert project.read("data/sub/b.txt") == b"bb\n" and project.read("data/sub/new.bin") == b"new\n"
    project.ok("rm", "data/a.txt")
    project.write("data/a.txt", b"mine\n")
    assert listed(project) == ["large.bin", "sub/b.txt"]
    project.ok("status", "--check")


def test_old_versions_of_what_is_ignored_now(project: Project) -> None:
    """A version from before the rule comes and goes as any other."""
    project.add_data()
    project.write("data/a.txt", b"second\n")
    project.ok("add", "data")
    project.commit("second")
    project.write(".vstoreignore", b"*.txt\n")
    project.ok("checkout", "--rev", "HEAD~")
    assert project.read("data/a.txt") == b"a\n"
    project.ok("checkout")
    assert project.read("data/a.txt") == b"second\n"
    shutil.rmtree(project.path / "data")
    project.ok("checkout")
    assert project.read("data/a.txt") == b"second\n" and project.read("data/sub/b.txt") == b"bb\n"
    project.ok("status", "--check")


def test_named_paths(filled: Project) -> None:
    """What is ignored is refused by name, with what to do, unless it is meant; then it stays tracked."""
    refused = filled.run("add", "data/b.log")
    assert refused.exit_code == 1 and "is ignored by a rule in .vstoreignore" in refused.stderr
    assert "add it with --force" in refused.stderr
    assert filled.run("add", "data/tmp").exit_code == 1
    assert filled.run("add", "data/tmp/e.csv").exit_code == 1
    filled.ok("add", "data")
    assert filled.run("add", "data/b.log").exit_code == 1
    filled.ok("add", "--force", "data/b.log")
    assert listed(filled) == ["a.csv", "b.log", "sub/c.csv", "sub/tmp/f.csv"]
    filled.write("data/b.log", b"changed\n")
    assert changes(filled) == ([], ["b.log"], [])
    filled.ok("add", "data/b.log")
    filled.ok("add", "data")
    filled.ok("add", "-u")
    assert "b.log" in listed(filled)


def test_ignored_artifact_can_be_updated(project: Project) -> None:
    """A rule against a whole artifact that is tracked already changes nothing for it."""
    project.add_data()
    project.write(".vstoreignore", b"data\nmodel.bin\n")
    project.write("data/new.txt", b"new\n")
    project.write("model.bin", b"new\n")
    project.ok("add", "-u")
    project.ok("add", "data", "model.bin")
    assert "new.txt" in listed(project)
    project.ok("status", "--check")


def test_rules_in_any_directory(project: Project) -> None:
    """Rules hold below their own directory; nearer ones win, also with exceptions; they travel as data."""
    project.write(".vstoreignore", b"*.log\n")
    project.write("deep/.vstoreignore", b"!keep.log\n/data/x\n")
    for name in ("keep.log", "drop.log", "x", "s/x", "s/drop.log", "s/y", "s/z/y", "s/z/keep.log"):
        project.write(f"deep/data/{name}", name.encode())
    project.write("deep/data/s/.vstoreignore", b"/y\nz/keep.log\n")
    project.ok("add", "deep/data")
    assert listed(project, "deep/data") == ["keep.log", "s/.vstoreignore", "s/x", "s/z/y"]
    shutil.rmtree(project.path / "deep/data")
    project.ok("checkout")
    project.write("deep/data/s/y", b"y")
    project.ok("status", "--check")


@pytest.mark.parametrize(
    ("rules", "ignored"),
    [
        ("sub/*\n!keep", set()),
        ("data/sub/*\n!keep", {"sub/x", "sub/deep/x"}),
        ("sub\n!keep", {"sub/x", "sub/keep", "sub/deep/x"}),
        ("sub/\n!sub/keep", {"sub/x", "sub/keep", "sub/deep/x"}),
        ("**/x", {"x", "sub/x", "sub/deep/x"}),
        ("/x", set()),
        ("data/x", {"x"}),
        ("deep/x", set()),
        ("[wx]\n\\#hash", {"x", "sub/x", "sub/deep/x", "#hash"}),
        ("!\n\\\n \nx", {"x", "sub/x", "sub/deep/x"}),
        ("тест", {"тест"}),
        ("keep\r\nx\r\n", {"keep", "sub/keep", "x", "sub/x", "sub/deep/x"}),
    ],
)
def test_syntax_is_that_of_git(project: Project, rules: str, ignored: set[str]) -> None:
    """Rules mean what the same lines in a .gitignore mean to git."""
    names = {"x", "keep", "#hash", "тест", "sub/x", "sub/keep", "sub/deep/x"}
    for name in names:
        project.write(f"data/{name}", name.encode())
    project.write(".vstoreignore", rules.encode())
    project.ok("add", "data")
    assert set(listed(project)) == names - ignored
    other = project.path.parent / "other"
    shutil.copytree(project.path / "data", other / "data")
    git("init", "--quiet", cwd=other)
    (other / ".gitignore").write_bytes(rules.encode())
    seen = git("-c", "core.quotePath=false", "ls-files", "--others", "--exclude-standard", "data", cwd=other)
    assert {name.removeprefix("data/").strip('"') for name in seen.splitlines()} == names - ignored


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with a directory ``data`` in which every directory holds the same files with odd names."""
    root = tmp_path_factory.mktemp("tree")
    git("init", "--quiet", cwd=root)
    git("config", "core.ignoreCase", "false", cwd=root)
    for folder in ("", *FOLDERS):
        (root / "data" / folder).mkdir(exist_ok=True)
        for name in FILES:
            (root / "data" / folder / name).touch()
    return root


@given(top=CONTENT, middle=CONTENT, inner=CONTENT)
@example(top="a/\n!data/a/*", middle="!/a/", inner="")
@example(top="data/**/b", middle="!b\\ \n*.x ", inner="!*\n\\!")
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.filter_too_much])
def test_any_rules(tree: Path, top: str, middle: str, inner: str) -> None:
    """Whatever stands in three files of rules, what a directory is seen to hold is what git sees in its place."""
    assume(not UNSURE_STARS.search("\n".join([top, middle, inner])))
    for ours, theirs in ((".vstoreignore", ".gitignore"), (".gitignore", ".vstoreignore")):
        for above, content in (("", top), ("data", middle), ("data/a", inner)):
            (tree / above / theirs).unlink(missing_ok=True)
            (tree / above / ours).write_bytes(content.encode())
        if ours == ".gitignore":
            assume(not ignored_by_git(tree, ["data/"]))
            listed = git("ls-files", "--others", "--exclude-standard", "-z", "data", cwd=tree).split("\0")
            seen_by_git = {name.removeprefix("data/") for name in listed if not name.endswith(ours)} - {""}
        else:
            ignoring = load_ignoring(tree, "data", Cache(tree / "cache"), State(tree / "state.db"))
            found = scan(tree / "data", ignoring=ignoring).directories
            seen_by_us = {one.file_path(row) for one, row in iter_rows(found) if not one.names[row].endswith(ours)}
    assert seen_by_us == seen_by_git


def test_odd_rule_files(project: Project) -> None:
    """A directory, a pipe, a link or bytes that are no text in the place of rules stop nothing."""
    project.write("data/a", b"a")
    (project.path / ".vstoreignore").mkdir()
    project.ok("add", "data")
    (project.path / ".vstoreignore").rmdir()
    os.mkfifo(project.path / ".vstoreignore")
    project.ok("status", "--check")
    (project.path / ".vstoreignore").unlink()
    project.write("elsewhere", b"*\n")
    (project.path / ".vstoreignore").symlink_to("elsewhere")
    project.ok("status", "--check")
    (project.path / ".vstoreignore").unlink()
    project.write(".vstoreignore", b"\xff\xfe\0[\n\\\n!\n")
    project.ok("status", "--check")


def test_what_cannot_be_tracked_may_be_ignored(project: Project) -> None:
    """A pipe or a link that leads outside hinders nobody when a rule keeps it out."""
    project.write("data/a", b"a")
    os.mkfifo(project.path / "data/pipe")
    (project.path / "data/outside").symlink_to("/etc/passwd")
    assert project.run("add", "data").exit_code == 3
    project.write(".vstoreignore", b"pipe\noutside\n")
    project.ok("add", "data")
    assert listed(project) == ["a"]


def test_rules_travel(filled: Project) -> None:
    """A clone gets the rules by git and the data without what was ignored."""
    filled.add_remote()
    filled.ok("add", "data")
    filled.git("add", ".vstoreignore")
    filled.commit("first")
    filled.ok("push")
    clone = filled.clone()
    clone.ok("pull")
    assert not clone.has("data/b.log") and clone.has("data/sub/c.csv")
    clone.write("data/mine.log", b"mine\n")
    clone.ok("status", "--check")


def test_without_git(tmp_path: Path) -> None:
    """Rules hold where there is no git."""
    (tmp_path / "plain").mkdir()
    plain = Project(tmp_path / "plain")
    plain.ok("init", "--no-git")
    plain.write(".vstoreignore", b"*.log\n")
    plain.write("data/a", b"a")
    plain.write("data/b.log", b"b")
    plain.ok("add", "data")
    assert listed(plain) == ["a"]


def test_what_may_be_tracked_is_never_dropped_unseen(filled: Project) -> None:
    """Where the cache lost the list of files, the remote's says what stays tracked; without it, that is told."""
    filled.write(".vstoreignore", b"")
    filled.ok("add", "data")
    filled.add_remote()
    filled.ok("push")
    filled.write(".vstoreignore", b"*.log\n")
    for has_remote in (True, False):
        filled.drop_cache()
        (filled.path / ".git/vstore/state.db").unlink()
        filled.write("data/a.csv", b"changed, with a remote: %r\n" % has_remote)
        if not has_remote:
            filled.ok("remote", "remove", "store")
        assert "what .vstoreignore keeps out of it may be tracked" in filled.ok("status").stderr
        added = filled.ok("add", "data")
        assert ("b.log" in listed(filled)) == has_remote == ("may be tracked" not in added.stderr)
