"""Imports, updates and ``get`` that die at every step: the same command ends them, and no pointer says too much."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.collecting import age, cache_of
from tests.command import git
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project, share
from tests.stateful.test_death import die_everywhere, leftovers, pointers_are_good

FIRST = {"a": ("f", b"a\n"), "s": {"b": ("f", b"b\n")}, "large": ("f", LARGE)}
SECOND = {"a": ("f", b"another a\n"), "s": {"c": ("f", b"c\n")}, "large": ("f", LARGE)}


def write(root: Path, files: object) -> None:
    """Make a directory hold these files and no others."""
    shutil.rmtree(root, ignore_errors=True)
    assert isinstance(files, dict)
    root.mkdir(parents=True)
    for name, file in files.items():
        if isinstance(file, dict):
            write(root / name, file)
        else:
            (root / name).write_bytes(file[1])


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project that imports; whatever its user caches is beside it, and so is put back, too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    project = Project(tmp_path / "ours")
    project.path.mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=project.path)
    project.ok("init")
    project.ok("remote", "add", "-d", "own", "../own")
    project.git("add", ".vstore")
    project.commit("start")
    return project


@pytest.fixture
def theirs(project: Project) -> Project:
    """The other repository, with the first version of ``data`` and a file that git keeps."""
    write(project.path / "data", FIRST)
    project.write("docs/readme", b"read me\n")
    project.git("add", "docs")
    project.ok("add", "data")
    project.commit("first")
    return project


def release(theirs: Project) -> str:
    """Make the second version of ``data``, and share everything."""
    write(theirs.path / "data", SECOND)
    theirs.ok("add", "data")
    theirs.commit("second")
    return share(theirs)


def is_complete(ours: Project) -> bool:
    """Tell whether there is nothing left to do: then an import refuses to do it again."""
    return ours.has("data.vstore") and ours.run("status", "--check").exit_code == 0


def saved(ours: Project, done: bool, expected: object) -> None:
    """Assert that nothing is promised that is not there and, at the end, that everything is as it is undisturbed."""
    pointers_are_good(ours)
    assert ours.run("status").exit_code == 0
    if done:
        assert shape(ours.path / "data") == expected and not leftovers(ours.path)
        ours.ok("status", "--check")
        assert ours.git("diff", "--name-only") == "" == ours.git("ls-files", "--others", "--exclude-standard")
        age(cache_of(ours))
        ours.ok("gc")
        pointers_are_good(ours)
        assert not list(cache_of(ours).rglob(".vstore-tmp-*"))


@pytest.mark.parametrize("by", ["directory", "url"])
def test_import(theirs: Project, ours: Project, by: str) -> None:
    """An import of a directory from a repository."""
    url = share(theirs)
    args = ["import", "../repo" if by == "directory" else url, "data"]
    step = 3 if by == "directory" else 7

    def check(done: bool) -> None:
        saved(ours, done, FIRST)

    assert die_everywhere(ours, args, check, step=step, is_over=lambda: is_complete(ours)) > 15


def test_import_url(ours: Project, tmp_path: Path) -> None:
    """An import of a folder from a URL."""
    write(tmp_path / "folder", FIRST)
    args = ["import-url", "../folder", "data"]

    def check(done: bool) -> None:
        saved(ours, done, FIRST)

    assert die_everywhere(ours, args, check, step=3, is_over=lambda: is_complete(ours)) > 15


def test_import_to_remote(ours: Project, tmp_path: Path) -> None:
    """An import that streams to the remote names nothing that the remote has not."""
    write(tmp_path / "folder", FIRST)

    def check(done: bool) -> None:
        assert not ours.has("data")
        if done or ours.has("data.vstore"):
            ours.ok("push", "--check")
        if done:
            ours.ok("pull")
            saved(ours, done, FIRST)

    assert die_everywhere(ours, ["import-url", "--to-remote", "../folder", "data"], check, step=5) > 10


def test_update_of_an_import(theirs: Project, ours: Project) -> None:
    """An update from a repository: each version is here whole, and the newer one in the end."""
    ours.ok("import", share(theirs), "data")
    ours.commit("imported")
    release(theirs)
    assert die_everywhere(ours, ["update"], lambda done: saved(ours, done, SECOND), step=5) > 15


@pytest.mark.parametrize("to_remote", [False, True])
def test_update_of_a_url(ours: Project, tmp_path: Path, to_remote: bool) -> None:
    """An update from a URL, also one that streams to the remote."""
    write(tmp_path / "folder", FIRST)
    ours.ok("import-url", "../folder", "data", *(["--to-remote"] if to_remote else []))
    ours.commit("imported")
    write(tmp_path / "folder", SECOND)

    def check(done: bool) -> None:
        if to_remote:
            ours.ok("push", "--check")
        if to_remote and done:
            ours.ok("pull")
        if done or not to_remote:
            saved(ours, done, SECOND)

    assert die_everywhere(ours, ["update", *(["--to-remote"] if to_remote else [])], check, step=3) > 15


@pytest.mark.parametrize("path", ["data", "docs/readme"])
def test_get(theirs: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A copy appears whole or not at all, and the next one removes what a dead one left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    url, outside = share(theirs), Project(tmp_path / "outside")
    outside.path.mkdir()
    expected = FIRST if path == "data" else ("f", b"read me\n")
    name = path.rpartition("/")[2]

    def check(done: bool) -> None:
        assert done or not outside.has(name) or shape(outside.path / name) == expected
        if done:
            assert shape(outside.path) == {name: expected}

    args = ["get", url, path]
    assert die_everywhere(outside, args, check, step=3, is_over=lambda: outside.has(name)) > 8


def test_get_over_what_is_there(theirs: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing files of a directory, each is the one or the other, and what is only there stays."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    url, outside = share(theirs), Project(tmp_path / "outside")
    write(outside.path / "data", {"a": ("f", b"old\n"), "mine": ("f", b"mine\n")})

    def check(done: bool) -> None:
        assert outside.read("data/mine") == b"mine\n" and outside.read("data/a") in (b"old\n", b"a\n")
        assert not done or shape(outside.path) == {"data": {**FIRST, "mine": ("f", b"mine\n")}}

    assert die_everywhere(outside, ["get", "--force", url, "data"], check, step=3) > 8
