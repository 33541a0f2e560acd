"""Linked files: read-only, never a way to damage what others get, and copies where links do not work."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import git
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project
from tests.stateful.test_death import contents

PARTLY, UNSAVED = 3, 11


def linked(project: Project, link_type: str) -> Project:
    """Fill a project in which large files are linked."""
    project.ok("config", "set", "cache.type", link_type)
    project.add_data()
    project.write("data/run", LARGE).chmod(0o755)
    project.ok("add", "data")
    project.commit("program")
    return project


def held(project: Project, content: bytes) -> Path:
    """The cached object of a content."""
    objects = (project.path / ".git/vstore/cache/objects").rglob("*")
    (found,) = (path for path in objects if path.is_file() and path.read_bytes() == content)
    return found


@pytest.mark.parametrize("link_type", ["hardlink", "symlink"])
def test_large_files_are_links(project: Project, link_type: str) -> None:
    """Large files are links to read-only objects, after add and after checkout; small ones and programs are copies."""
    linked(project, link_type)
    for step in ("add", "checkout"):
        if step == "checkout":
            shutil.rmtree(project.path / "data")
            project.ok("checkout")
        large = project.path / "data/large.bin"
        assert large.is_symlink() == (link_type == "symlink")
        assert os.path.samefile(large, held(project, LARGE)) and not large.stat().st_mode & 0o222
        for name in ("data/a.txt", "data/run"):
            file = (project.path / name).lstat()
            assert stat.S_ISREG(file.st_mode) and file.st_nlink == 1 and file.st_mode & stat.S_IWUSR
        project.ok("status", "--check")


@pytest.mark.parametrize("link_type", ["hardlink", "symlink"])
def test_edit_by_replacing_leaves_the_object(project: Project, link_type: str) -> None:
    """Who replaces a link, as editors do, and adds it, damages nothing; the old version comes back."""
    linked(project, link_type)
    project.write("data/large.bin", LARGE + b"more")
    project.ok("add", "data")
    project.commit("more")
    assert project.read("data/large.bin") == LARGE + b"more" and held(project, LARGE)
    project.git("checkout", "--quiet", "HEAD~")
    project.ok("checkout")
    assert project.read("data/large.bin") == LARGE


@pytest.mark.parametrize("link_type", ["hardlink", "symlink"])
def test_damage_done_by_force_is_found_out(project: Project, link_type: str) -> None:
    """Who writes through a link by force spoils the object; it is passed on to nobody, and named."""
    linked(project, link_type)
    large = project.path / "data/large.bin"
    held(project, LARGE).chmod(0o644)
    with open(large, "r+b") as file:
        file.write(b"spoilt")
    git("worktree", "add", "--quiet", "../other", cwd=project.path)
    other = Project(project.path.parent / "other")
    outcome = other.run("checkout")
    assert outcome.exit_code == PARTLY and "data/large.bin" in outcome.stderr
    assert not other.has("data/large.bin") and other.read("model.bin") == LARGE[::-1]


def test_links_to_a_lost_cache(project: Project) -> None:
    """Links whose objects are gone hold nothing: a pull puts everything right without force."""
    linked(project, "symlink")
    before = contents(project.path / "data")
    project.add_remote()
    project.ok("push")
    project.drop_cache()
    assert not (project.path / "data/large.bin").exists()
    assert project.run("add", "data").exit_code == PARTLY
    project.ok("pull")
    assert contents(project.path / "data") == before


def test_links_to_a_lost_cache_make_room(project: Project) -> None:
    """They are no obstacle to going to another version either."""
    linked(project, "symlink")
    first = project.git("rev-parse", "HEAD")
    project.write("data/large.bin", LARGE + b"more")
    project.ok("add", "data")
    project.commit("more")
    held(project, LARGE + b"more").unlink()
    project.git("checkout", "--quiet", first)
    project.ok("checkout")
    assert project.read("data/large.bin") == LARGE


def test_wish_that_cannot_be_met(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first choice does not work the next is taken, and that is said once."""
    project.add_data()
    project.ok("config", "set", "cache.type", "reflink,hardlink,copy")
    shutil.rmtree(project.path / "data")
    (project.path / "model.bin").unlink()
    monkeypatch.setattr("vstore.cache.link.try_reflink", lambda source, target: False)
    outcome = project.ok("checkout")
    assert outcome.stderr.count("reflink") == 1
    assert (project.path / "model.bin").stat().st_nlink == 2


@pytest.fixture
def reflinking(tmp_path: Path) -> Iterator[Path]:
    """A file system that can share blocks between files."""
    if os.geteuid() != 0 or shutil.which("mkfs.xfs") is None:
        pytest.skip("reflinks: only root, with mkfs.xfs, can make a file system that has them")
    image, place = tmp_path / "image", tmp_path / "xfs"
    with open(image, "wb") as file:
        file.truncate(400 * 1024 * 1024)
    place.mkdir()
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True, capture_output=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("reflinks: this system mounts no images")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_reflinks(reflinking: Path) -> None:
    """Where the file system can, large files share blocks with the cache, and are the user's to change."""
    project = Project(reflinking / "repo")
    project.path.mkdir()
    project.git("init", "--quiet", "--initial-branch=main")
    project.ok("init")
    size = 60 * 1024 * 1024
    project.write("data/large", os.urandom(1024) * (size // 1024))
    project.ok("add", "data")
    before = shape(project.path / "data")
    (project.path / "data/large").unlink()
    project.ok("checkout")
    assert shape(project.path / "data") == before
    subprocess.run(["sync", "-f", reflinking], check=True)
    usage = os.statvfs(reflinking)
    assert (usage.f_blocks - usage.f_bfree) * usage.f_frsize < 1.7 * size
    with open(project.path / "data/large", "r+b") as file:
        file.write(b"mine")
    shutil.rmtree(project.path / "data")
    project.ok("checkout")
    assert shape(project.path / "data") == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_full_file_system(project: Project, tmp_path: Path) -> None:
    """A cache on a full disk: nothing is tracked or harmed; once there is room the same command works."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False).returncode != 0:
        pytest.skip("this system mounts nothing")
    try:
        project.ok("config", "set", "cache.dir", place / "cache")
        for number in range(40):
            project.write(f"data/{number}", os.urandom(100_000))
        before = shape(project.path / "data")
        outcome = project.run("add", "data")
        assert outcome.exit_code == 1 and "No space left" in outcome.stderr
        assert shape(project.path / "data") == before and not project.has("data.vstore")
        subprocess.run(["mount", "-o", "remount,size=20m", place], check=True)
        project.ok("add", "data")
        shutil.rmtree(project.path / "data")
        project.ok("checkout")
        assert shape(project.path / "data") == before
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_change_beside_a_link(project: Project) -> None:
    """A link that did not change is known, also when a file beside it did."""
    linked(project, "symlink")
    shutil.rmtree(project.path / "data")
    project.ok("checkout")
    project.write("data/a.txt", b"second\n")
    assert project.ok("status", "--json", "data").json()["artifacts"][0]["modified"] == ["a.txt"]
    project.ok("add", "data")
    project.ok("status", "--check")


@pytest.mark.parametrize("link_type", ["hardlink", "symlink"])
def test_status_sees_what_was_written_through_a_link(project: Project, link_type: str) -> None:
    """Who writes through a link by force has modified the file, as he has one that is a copy; it can be added."""
    project.ok("config", "set", "cache.type", link_type)
    project.add_data()
    project.ok("status", "--check")
    project.ok("status", "--check")  # from now on only what was touched is looked at
    for name, artifact in (("data/large.bin", "data"), ("model.bin", "model.bin")):
        held(project, project.read(name)).chmod(0o644)
        with open(project.path / name, "r+b") as file:
            file.write(b"spoilt")
        found = {a["path"]: a for a in project.ok("status", "--json").json()["artifacts"]}
        assert found[artifact]["data"] == "modified"
        assert found[artifact]["modified"] == (["large.bin"] if artifact == "data" else [])
        assert project.run("checkout", artifact).exit_code == UNSAVED
        assert name in project.ok("diff", "--name-only").stdout
    project.ok("add", "-u")
    project.commit("spoilt")
    project.ok("status", "--check")
    shutil.rmtree(project.path / "data")
    project.ok("checkout")
    assert project.read("data/large.bin") == b"spoilt" + LARGE[6:]


def test_linked_anew_nothing_is_left_beside(project: Project) -> None:
    """What is a hardlink already is one after another checkout --relink, and has no third name."""
    project.ok("config", "set", "cache.type", "hardlink")
    project.write("data/large", LARGE)
    project.ok("add", "data")
    project.ok("checkout", "--relink")
    assert os.listdir(project.path / "data") == ["large"] and os.stat(project.path / "data/large").st_nlink == 2
