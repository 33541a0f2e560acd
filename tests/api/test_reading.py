"""Reading any version from Python, wherever its bytes are."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import vstore
from tests.command import PROJECT
from tests.project import LARGE, Project
from vstore.errors import (
    ChangedWhileReadError,
    InvalidError,
    ObjectMissingError,
    PathNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

_FILES = {"data/a.txt": b"a\n", "data/sub/b.txt": b"bb\n", "data/large.bin": LARGE, "model.bin": LARGE[::-1]}
_OLD = {**_FILES, "code.py": b"print()\n"}


@pytest.fixture
def filled(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with two versions of data, the first tagged ``v1``, all of it pushed; one stands in it."""
    project.write("code.py", b"print()\n")
    project.git("add", "code.py")
    project.add_remote()
    project.add_data()
    project.git("tag", "v1")
    project.write("data/a.txt", b"second\n")
    project.write("model.bin", b"small now")
    project.ok("add", "data", "model.bin")
    project.commit("second")
    project.ok("push", "--all-commits")
    monkeypatch.chdir(project.path)
    return project


@pytest.mark.parametrize("path", _OLD)
def test_old_versions(filled: Project, path: str) -> None:
    """Every file of a revision can be read: what vstore tracks, what is inside of it, and what git keeps."""
    assert vstore.read(path, rev="v1") == _OLD[path]
    with vstore.open(path, "rb", rev="v1") as file:
        assert file.read(1) == _OLD[path][:1]
        assert file.seek(-2, os.SEEK_END) == len(_OLD[path]) - 2
        assert file.read() == _OLD[path][-2:]
        assert file.read() == b""
    assert vstore.read("data/a.txt") == b"second\n"


@pytest.mark.parametrize("path", _FILES)
def test_from_a_clone(filled: Project, path: str) -> None:
    """In a fresh clone the bytes come from the remote, whole or a stretch."""
    clone = filled.clone()
    with vstore.open(path, "rb", rev="v1", directory=clone.path) as file:
        file.seek(len(_FILES[path]) // 2)
        assert file.read() == _FILES[path][len(_FILES[path]) // 2 :]
    assert vstore.read(path, rev="v1", directory=clone.path) == _FILES[path]
    assert not (clone.path / path).exists()


@pytest.mark.parametrize("is_inside", [False, True], ids=["outside", "in-a-repository"])
@pytest.mark.parametrize("where", ["path", "url"])
def test_another_repository(
    filled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, is_inside: bool
) -> None:
    """Another repository is read by its directory or the URL git clones it from, standing anywhere."""
    (tmp_path / "elsewhere").mkdir()
    if is_inside:
        mine = Project(tmp_path / "elsewhere")
        mine.ok("init", "--no-git")
        mine.write("data/a.txt", b"mine\n")
        mine.ok("add", "data")
    monkeypatch.chdir(tmp_path / "elsewhere")
    repo = "../repo" if where == "path" else f"file://{filled.path}"
    assert vstore.read("data/large.bin", repo=repo, rev="v1") == LARGE
    assert vstore.read("code.py", repo=repo, rev="v1") == b"print()\n"
    assert vstore.read("data/a.txt", repo=repo) == b"second\n"
    assert vstore.exists("data/sub", repo=repo) and not vstore.exists("data/x", repo=repo)
    local = vstore.path("data/sub", repo=repo, rev="v1")
    assert (local / "b.txt").read_bytes() == b"bb\n"
    address = vstore.url("data/a.txt", repo=repo, rev="v1")
    assert address == f"vstore://{filled.path if where == 'path' else repo}@v1:/data/a.txt"


def test_text(filled: Project) -> None:
    """Text is decoded and has lines, as with the built-in function."""
    filled.write("data/umlauts.txt", "ä\r\nü\r\n".encode("latin-1"))
    filled.ok("add", "data")
    with vstore.open("data/umlauts.txt", encoding="latin-1") as file:
        assert isinstance(file, io.TextIOWrapper)
        assert list(file) == ["ä\n", "ü\n"]
    with vstore.open("data/umlauts.txt", encoding="latin-1", newline="") as file:
        assert file.readline() == "ä\r\n"
    with vstore.open("data/umlauts.txt") as file, pytest.raises(UnicodeDecodeError):
        file.read()


def test_pointer_counts_not_the_file(filled: Project) -> None:
    """What is read is what the pointer says, not what somebody made of the file."""
    filled.write("data/a.txt", b"not added")
    assert vstore.read("data/a.txt") == b"second\n"
    filled.write("new.txt")
    filled.ok("add", "new.txt")
    assert vstore.read("new.txt") == b"small\n"  # not committed yet


def test_file_itself_helps(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache is lost, the unmodified file is as good; a modified one is not."""
    project.add_data()
    project.drop_cache()
    monkeypatch.chdir(project.path)
    assert vstore.read("model.bin") == LARGE[::-1]
    with vstore.open("model.bin", "rb") as file:
        file.seek(300_000)
        assert file.read(10) == LARGE[::-1][300_000:300_010]
    project.write("model.bin", LARGE)
    with pytest.raises(ObjectMissingError) as caught:
        vstore.read("model.bin")
    assert caught.value.fields["paths"] == ["model.bin"]


def test_change_while_reading(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the work tree that is changed while it is read is an error, not a mixture."""
    project.add_data()
    project.drop_cache()
    monkeypatch.chdir(project.path)
    with vstore.open("model.bin", "rb") as file:
        file.read(10)
        time.sleep(0.02)
        with (project.path / "model.bin").open("r+b") as other:
            other.seek(400_000)
            other.write(b"changed")
        file.seek(400_000)
        with pytest.raises(ChangedWhileReadError):
            file.read(10)


def test_damaged_object(filled: Project) -> None:
    """A damaged object of the cache is set aside, and the bytes come from the remote."""
    [held] = [path for path in (filled.path / ".git/vstore/cache/objects").rglob("*") if path.is_file()][:1]
    content = held.read_bytes()
    held.chmod(0o644)
    held.write_bytes(content[:-1] + b"!")
    for path in ("data/large.bin", "model.bin"):
        filled.write(path, b"no help")
        assert vstore.read(path, rev="v1") == _FILES[path]
    assert not held.exists()


def test_what_cannot_be_opened(filled: Project, tmp_path: Path) -> None:
    """Each thing that is not there, or no file, is an error of its own."""
    with pytest.raises(PathNotFoundError):
        vstore.open("data/x.txt")
    with pytest.raises(PathNotFoundError):
        vstore.read("data/a.txt/x", rev="v1")
    with pytest.raises(InvalidError, match="data/sub is a directory"):
        vstore.open("data/sub")
    with pytest.raises(InvalidError, match="opened for reading"):
        vstore.open("data/a.txt", "wb")  # type: ignore[call-overload]
    with pytest.raises(RevisionNotFoundError):
        vstore.exists("data", rev="v9")
    with pytest.raises(RepositoryNotFoundError):
        vstore.read("data", repo=tmp_path)
    with pytest.raises(InvalidError, match="outside"):
        vstore.read("../outside")
    with pytest.raises(InvalidError, match="belongs to"):
        vstore.read(".vstore/config", rev="v1")


def test_missing_everywhere(filled: Project) -> None:
    """What neither the cache nor the remote has is missing, and names its path."""
    clone = filled.clone()
    for pack in filled.store.rglob("*.vpack"):
        pack.unlink()
    for path in ("data/large.bin", "model.bin"):
        with pytest.raises(ObjectMissingError):
            vstore.read(path, rev="v1", directory=clone.path)


def test_working_directory_counts(filled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to where one stands."""
    monkeypatch.chdir(filled.path / "data")
    assert vstore.read("sub/b.txt") == b"bb\n"
    assert vstore.exists("../model.bin")
    assert vstore.url("a.txt") == f"vstore://{filled.path}:/data/a.txt"


def test_urls_name_what_is_there(filled: Project) -> None:
    """A URL is only given for what there is."""
    assert vstore.url("data", rev="v1") == f"vstore://{filled.path}@v1:/data"
    with pytest.raises(PathNotFoundError):
        vstore.url("data/x.txt", rev="v1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may only read")
def test_who_may_only_read(filled: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A repository that one may not write to is read all the same, from its remote, too."""
    clone = filled.clone()
    for folder in (tmp_path_factory.getbasetemp(), *tmp_path_factory.getbasetemp().parents):
        folder.chmod(folder.stat().st_mode | 0o055)
    for folder in (filled.path.parent, clone.path, filled.store):
        subprocess.run(["chmod", "-R", "go+rX", folder], check=True)
    program = """
import os, pathlib, sys, pygit2, vstore
pygit2.option(pygit2.GIT_OPT_SET_OWNER_VALIDATION, 0)
other = sys.argv[1]
vstore.read("data/large.bin", directory=other)  # all that Python has to import is there now
os.setuid(65534)
assert vstore.read("data/a.txt", rev="v1") == b"a\\n"
assert len(vstore.read("data/large.bin", rev="v1")) == 512000
assert not pathlib.Path(".git/vstore/blocks").exists()
"""
    environ = {"PATH": os.environ["PATH"], "HOME": str(clone.path), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-c", program, filled.clone("other").path],
        cwd=clone.path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# local paths


def test_path_in_the_work_tree(filled: Project) -> None:
    """What is unmodified in the work tree is there already."""
    for name in ("data", "data/sub", "data/a.txt", "model.bin", "code.py"):
        assert vstore.path(name) == filled.path / name
    assert vstore.path("data/sub", rev="v1") == filled.path / "data/sub"


def test_path_of_an_old_version(filled: Project) -> None:
    """What is not in the work tree is written elsewhere, read-only, once, under its own name."""
    for name, content in {"data/a.txt": b"a\n", "model.bin": LARGE[::-1]}.items():
        path = vstore.path(name, rev="v1")
        assert path.name == name.rpartition("/")[2] and path.is_absolute()
        assert not path.is_relative_to(filled.path / "data")
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o222 == 0
        assert vstore.path(name, rev="v1") == path
    data = vstore.path("data", rev="v1")
    assert sorted(p.relative_to(data).as_posix() for p in data.rglob("*") if p.is_file()) == [
        "a.txt",
        "large.bin",
        "sub/b.txt",
    ]
    assert filled.ok("status", "--check")


def test_path_is_made_anew(filled: Project) -> None:
    """What somebody touched is written again; a modified work tree is not taken."""
    path = vstore.path("data/a.txt", rev="v1")
    path.chmod(0o644)
    path.write_bytes(b"!\n")
    assert vstore.path("data/a.txt", rev="v1").read_bytes() == b"a\n"
    filled.write("data/more.txt", b"not added")
    data = vstore.path("data")
    assert data != filled.path / "data" and not (data / "more.txt").exists()
    assert (data / "a.txt").read_bytes() == b"second\n"


def test_path_fetches(filled: Project) -> None:
    """What the cache lacks is fetched first."""
    clone = filled.clone()
    assert vstore.path("data/large.bin", rev="v1", directory=clone.path).read_bytes() == LARGE
    assert (vstore.path("data", rev="v1", directory=clone.path) / "a.txt").read_bytes() == b"a\n"


def test_path_of_a_damaged_object(filled: Project) -> None:
    """What turns out to be damaged is fetched anew."""
    (filled.path / "data/large.bin").write_bytes(b"changed")
    for held in (filled.path / ".git/vstore/cache/objects").rglob("*"):
        if held.is_file():
            held.chmod(0o644)
            held.write_bytes(held.read_bytes()[:-1] + b"!")
    assert (vstore.path("data", rev="v1") / "large.bin").read_bytes() == LARGE


def test_path_under_any_name(filled: Project) -> None:
    """A file may have any name, and a link inside a directory stands for what it leads to."""
    filled.write("logs/stats.json", b"{}")
    filled.write("logs/new.txt", LARGE)
    (filled.path / "logs/latest").symlink_to("new.txt")
    filled.ok("add", "logs")
    filled.commit()
    filled.ok("push")
    clone = filled.clone()
    assert vstore.path("logs/latest", directory=clone.path).read_bytes() == LARGE
    assert vstore.path("logs/stats.json", directory=clone.path).read_bytes() == b"{}"
    assert vstore.read("logs/latest", directory=clone.path) == LARGE


def test_path_is_not_kept_for_ever(filled: Project) -> None:
    """What nobody has asked for since a week goes, at the next question."""
    old = vstore.path("data/a.txt", rev="v1")
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(old.parents[1], (week_ago, week_ago))
    other = vstore.path("model.bin", rev="v1")
    assert other.exists() and not old.exists()


def test_path_of_what_has_none(filled: Project) -> None:
    """A directory that only git knows has no path of an old version."""
    filled.write("src/code.py")
    filled.git("add", "src")
    filled.commit()
    with pytest.raises(InvalidError, match="does not track"):
        vstore.path("src", rev="HEAD")


# several at once


def test_eight_threads(filled: Project) -> None:
    """Eight threads read, open and materialize at once, each gets what it asked for."""
    clone = filled.clone()
    barrier = threading.Barrier(8)

    def work(number: int) -> bool:
        barrier.wait()
        for path, content in _FILES.items():
            assert vstore.read(path, rev="v1", directory=clone.path) == content
        assert vstore.path("data", rev="v1", directory=clone.path).joinpath("a.txt").read_bytes() == b"a\n"
        return vstore.exists(f"data/{number}", directory=clone.path)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [False] * 8


def test_one_file_in_eight_threads(filled: Project) -> None:
    """One open file may be used by several threads."""
    with vstore.open("data/large.bin", "rb", directory=filled.clone().path) as file, ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda _: file.read(8000), range(64)))
    assert sorted(parts) == sorted(LARGE[start : start + 8000] for start in range(0, 64 * 8000, 8000))
