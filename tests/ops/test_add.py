"""Adding: contents go into the cache, pointers beside the data, and the data stays as it is."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import git, start_vstore
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project
from vstore.cache.loose import object_path
from vstore.cache.writer import open_writer
from vstore.errors import CollisionError
from vstore.objects.digest import hash_bytes
from vstore.objects.pack import pack_to_bytes
from vstore.objects.table import BLOB
from vstore.repo import open_repo

PARTLY, LOCKED = 3, 11


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data."""
    project.add_data()
    return project


def packs(project: Project) -> list[Path]:
    """The packs of a project's cache."""
    return sorted((project.path / ".git/vstore/cache/packs").iterdir())


def test_again_writes_nothing(filled: Project) -> None:
    """A second add of unchanged data changes no byte: not in the cache, not of the pointer, not of git's index."""
    cache = filled.path / ".git/vstore/cache"
    before = shape(cache), filled.read("data.vstore"), filled.read(".git/index")
    stat = (filled.path / "data.vstore").stat()
    result = filled.ok("add", "--json", "data").json()
    assert [artifact["change"] for artifact in result["artifacts"]] == ["unchanged"]
    assert (shape(cache), filled.read("data.vstore"), filled.read(".git/index")) == before
    assert (filled.path / "data.vstore").stat() == stat


def test_what_cannot_be_tracked_is_named_at_once(project: Project) -> None:
    """Pipes, sockets, names that are not UTF-8 and links that lead outside are all listed, and nothing is tracked."""
    project.write("data/good", b"good\n")
    os.mkfifo(project.path / "data/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(project.path / "data/socket"))
    outcome = project.run("add", "data")
    assert outcome.exit_code == PARTLY and all(name in outcome.stderr for name in ("data/pipe", "data/socket"))
    (project.path / os.fsdecode(b"data/\xff\xfe")).write_bytes(b"")
    (project.path / "data/absolute").symlink_to("/etc/passwd")
    (project.path / "data/outside").symlink_to("../../elsewhere")
    (project.path / "data/dangling").symlink_to("nowhere")
    outcome = project.run("add", "data")
    assert outcome.exit_code == PARTLY
    assert all(name in outcome.stderr for name in ("absolute", "outside", "\\377", "pipe"))
    assert "dangling" not in outcome.stderr and not project.has("data.vstore")


@pytest.mark.parametrize("kind", ["pipe", "outward link", "odd name"])
def test_status_and_checkout_live_with_what_cannot_be_tracked(filled: Project, kind: str) -> None:
    """Other artifacts are looked at and restored; what cannot be tracked stays where it is."""
    odd = filled.path / os.fsdecode({"odd name": b"data/\xff"}.get(kind, b"data/odd"))
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "outward link":
        odd.symlink_to("/etc/passwd")
    else:
        odd.write_bytes(b"mine\n")
    (filled.path / "model.bin").unlink()
    (filled.path / "data/a.txt").unlink()
    (status, _) = filled.ok("status", "--json").json()["artifacts"]
    assert len(status["refused"]) == 1
    filled.run("checkout")
    (status, _) = filled.ok("status", "--json").json()["artifacts"]
    assert len(status["refused"]) == 1 and status["data"] == "unchanged"
    assert filled.read("model.bin") == LARGE[::-1] and filled.read("data/a.txt") == b"a\n"
    assert os.path.lexists(odd)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_is_named(project: Project) -> None:
    """A file that must not be read is named, and nothing is tracked without it."""
    project.write("data/good", b"good\n")
    project.write("data/secret", b"secret\n").chmod(0)
    outcome = project.run("add", "data")
    assert outcome.exit_code == PARTLY and "data/secret" in outcome.stderr and not project.has("data.vstore")


def test_deep_and_long_names(project: Project) -> None:
    """A hundred levels of directories and names of 255 bytes come back."""
    deep = "/".join(["d"] * 120)
    project.write(f"data/{deep}/file", b"deep\n")
    project.write("data/" + "n" * 255, b"long\n")
    project.ok("add", "data")
    before = shape(project.path / "data")
    shutil.rmtree(project.path / "data")
    project.ok("checkout")
    assert shape(project.path / "data") == before


def test_kinds_of_files(project: Project) -> None:
    """Empty files and directories, executables, links and hard links survive; holes stay holes."""
    data = project.path / "data"
    project.write("data/empty", b"")
    (data / "nothing").mkdir()
    project.write("data/run", LARGE).chmod(0o755)
    project.write("data/script", b"#!/bin/sh\n").chmod(0o755)
    (data / "link").symlink_to("run")
    (data / "up").mkdir()
    (data / "up/link").symlink_to("../nothing")
    os.link(data / "empty", data / "also empty")
    with open(data / "sparse", "wb") as file:
        file.truncate(64 * 1024 * 1024)
        file.seek(10_000_000)
        file.write(b"x")
    before = shape(data)
    project.ok("add", "data")
    assert shape(data) == before
    shutil.rmtree(data)
    project.ok("checkout")
    assert shape(data) == before
    assert (data / "sparse").stat().st_blocks * 512 < 4 * 1024 * 1024
    objects = (path for path in (project.path / ".git/vstore/cache/objects").rglob("*") if path.is_file())
    assert sum(path.stat().st_blocks * 512 for path in objects) < 8 * 1024 * 1024


def test_change_of_same_size_at_once_is_seen(project: Project) -> None:
    """A file that is changed right after it was added, to the same size, is noticed: racily clean files are read."""
    for number in range(10):
        path = project.write("data/x", b"%04d" % number)
        project.ok("add", "data")
        with open(path, "r+b") as file:
            file.write(b"%04d" % (number + 5000))
        assert project.ok("status", "--json").json()["artifacts"][0]["data"] == "modified"


@pytest.mark.parametrize("links", [1, 2])
def test_change_with_old_time_is_seen(filled: Project, links: int) -> None:
    """A change is noticed though size and mtime are put back, as ``touch -r`` does, also of hard links."""
    path = filled.path / "data/a.txt"
    if links == 2:
        os.link(path, filled.path / "other name")
        filled.ok("add", "data")
    before = path.stat()
    path.write_bytes(b"b\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert filled.run("status", "--check").exit_code == 4


def test_replaced_file_is_seen(filled: Project) -> None:
    """Another file of the same size and time, renamed over the old one, is noticed."""
    path, other = filled.path / "data/a.txt", filled.write("other", b"b\n")
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)
    assert filled.run("status", "--check").exit_code == 4


@pytest.mark.parametrize("size", [5000, 3_000_000])
def test_file_that_changes_meanwhile(project: Project, size: int) -> None:
    """What is added of a file that is being rewritten is one whole moment of it, or it is refused by name."""
    path = project.write("data/x", bytes(size))
    stop = threading.Event()

    def rewrite() -> None:
        number = 0
        while not stop.is_set():
            number = (number + 1) % 256
            temporary = path.with_name("y")
            temporary.write_bytes(bytes([number]) * size)
            temporary.rename(path)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        outcomes = [project.run("add", "data/x") for _ in range(5)]
    finally:
        stop.set()
        writer.join()
    for outcome in outcomes:
        assert outcome.exit_code in (0, 1, PARTLY), outcome.stderr
    if any(outcome.exit_code == 0 for outcome in outcomes):
        project.ok("checkout", "--force", "data/x")
        assert len(set(project.read("data/x"))) == 1


def test_damaged_content_is_replaced(filled: Project) -> None:
    """Adding what the cache holds damaged puts it right, and says so."""
    (pack,) = packs(filled)
    data = bytearray(pack.read_bytes())
    at = data.index(b"bb\n")
    data[at] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    (filled.path / ".git/vstore/state.db").unlink()
    assert "damaged" in filled.ok("add", "data").stderr
    (filled.path / "data/sub/b.txt").unlink()
    filled.ok("checkout")
    assert filled.read("data/sub/b.txt") == b"bb\n"


def test_damaged_object_is_replaced(filled: Project) -> None:
    """The same for a loose object, whose old bytes go."""
    objects = filled.path / ".git/vstore/cache/objects"
    (held,) = (path for path in objects.rglob("*") if path.is_file() and path.read_bytes() == LARGE)
    held.chmod(0o644)
    held.write_bytes(LARGE[:-1] + b"?")
    (filled.path / ".git/vstore/state.db").unlink()
    assert "damaged" in filled.ok("add", "data").stderr
    assert held.read_bytes() == LARGE


def test_collision_is_refused(project: Project) -> None:
    """Two contents with one digest are an error, never a silent loss of one."""
    with open_repo(project.path) as repo:
        repo.cache.create()
        digest = hash_bytes(b"one", "xxh128")
        with open_writer(repo.cache) as writer:
            writer.add_small(digest, b"one")
        with open_writer(repo.cache) as writer, pytest.raises(CollisionError):
            # As if this content had that digest.
            writer.add_small(digest, b"two")
        assert repo.cache.read(digest) == b"one"


def test_content_under_a_wrong_name_is_found_out(project: Project) -> None:
    """A pack that somebody planted, with wrong bytes under a digest, is not believed."""
    project.write("data/x", b"the truth\n")
    digest = hash_bytes(b"the truth\n", "xxh128")
    project.run("add", "nothing")
    folder = project.path / ".git/vstore/cache/packs"
    (folder / "ffffffffffffffff-planted.vpack").write_bytes(pack_to_bytes([(BLOB, digest, b"a lie\n")]))
    assert "damaged" in project.ok("add", "data").stderr
    (project.path / "data/x").unlink()
    project.ok("checkout")
    assert project.read("data/x") == b"the truth\n"


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """No file may grow above 400,000 bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk(filled: Project, request: pytest.FixtureRequest) -> None:
    """Without space nothing is tracked and nothing is left behind; with space the same command works."""
    filled.write("data/large.bin", LARGE + LARGE)
    pointer, before = filled.read("data.vstore"), shape(filled.path / ".git/vstore/cache")
    request.getfixturevalue("small_files_only")
    outcome = filled.run("add", "data")
    assert outcome.exit_code == 1 and "could not write" in outcome.stderr
    assert filled.read("data.vstore") == pointer and shape(filled.path / ".git/vstore/cache") == before
    assert filled.read("data/large.bin") == LARGE + LARGE
    (filled.path / "model.bin").unlink()
    outcome = filled.run("checkout", "model.bin")
    assert outcome.exit_code != 0 and not filled.has("model.bin")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    filled.ok("add", "data")
    filled.ok("checkout")
    filled.ok("status", "--check")


def test_two_at_once(project: Project) -> None:
    """Two adds and a checkout at the same time all work, one after the other."""
    for name in ("one", "two"):
        for number in range(50):
            project.write(f"{name}/{number}", b"%d" % number)
    project.write("three/x", b"x")
    project.ok("add", "three")
    commands = [start_vstore(*args, cwd=project.path) for args in (["add", "one"], ["add", "two"], ["checkout"])]
    for command in commands:
        _, stderr = command.communicate(timeout=60)
        assert command.returncode == 0, stderr.decode()
    project.ok("status", "--check")
    assert {"one.vstore", "two.vstore", ".gitignore"} <= set(project.git("ls-files").split())
    assert set(project.read(".gitignore").split()) == {b"/one", b"/two", b"/three"}


def test_waiting_has_an_end(filled: Project) -> None:
    """A lock that is held for longer than the allowed wait is an error that names it; readers do not wait."""
    filled.ok("config", "set", "core.lock_wait", "0.1")
    with open(filled.path / ".git/vstore/lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for args in (["add", "data"], ["checkout"], ["rm", "data"]):
            outcome = filled.run(*args)
            assert outcome.exit_code == LOCKED and "lock" in outcome.stderr
        filled.ok("status", "--check")


def test_git_index_that_is_locked(filled: Project) -> None:
    """Where git holds its index for too long the add says so; repeated, it stages."""
    filled.ok("config", "set", "core.lock_wait", "0.1")
    filled.write("data/a.txt", b"second\n")
    lock = filled.write(".git/index.lock", b"")
    os.utime(lock, (time.time() - 7260,) * 2)
    refused = filled.run("add", "data")
    assert (
        refused.exit_code == LOCKED and f"waiting for another git command, which has held {lock} for" in refused.stderr
    )
    assert f"another git command has held the lock {lock} for 2 h 01 min" in refused.stderr
    assert f"after `rm {lock}`, if no git is running" in refused.stderr
    lock.unlink()
    filled.ok("add", "data")
    assert "data.vstore" in filled.git("diff", "--cached", "--name-only")


def test_git_clean_loses_nothing(filled: Project) -> None:
    """``git clean -fdx`` takes the data, which is ignored; everything comes back from the cache."""
    before = shape(filled.path / "data")
    filled.git("clean", "-fdxq")
    assert not filled.has("data")
    filled.ok("checkout")
    assert shape(filled.path / "data") == before


def test_worktrees_share_a_cache(filled: Project) -> None:
    """A second work tree gets its data from the same cache, and has a state of its own."""
    filled.git("worktree", "add", "--quiet", "../second")
    second = Project(filled.path.parent / "second")
    second.ok("checkout")
    assert shape(second.path / "data") == shape(filled.path / "data")
    second.write("data/a.txt", b"second\n")
    second.ok("add", "data")
    assert not (second.path / ".vstore/cache").exists() and len(packs(filled)) == 2
    filled.ok("status", "--check")


def test_submodule_and_shallow_clone(filled: Project) -> None:
    """A submodule is a repository of its own; in a shallow clone the data comes as in any."""
    filled.add_remote()
    filled.ok("push")
    filled.commit("remote")
    outer = filled.path.parent / "outer"
    outer.mkdir()
    git("init", "--quiet", cwd=outer)
    git("submodule", "--quiet", "add", str(filled.path), "inner", cwd=outer)
    git("clone", "--quiet", "--depth=1", f"file://{filled.path}", "shallow", cwd=filled.path.parent)
    for place in (outer / "inner", filled.path.parent / "shallow"):
        clone = Project(place)
        clone.ok("pull")
        assert shape(place / "data") == shape(filled.path / "data")
        clone.write("data/new", b"new\n")
        clone.ok("add", "data")
        assert "data.vstore" in clone.git("diff", "--cached", "--name-only")


def test_what_a_pointer_cannot_stand_beside(project: Project) -> None:
    """A name with no room for the suffix, and a path in another repository, are refused before anything is written."""
    longest = "x" * 255
    project.write(longest)
    project.write("inner/data/x")
    git("init", "--quiet", cwd=project.path / "inner")
    before = shape(project.path)
    for path, word in ((longest, "too long"), ("inner/data", "of its own"), ("inner", "of its own")):
        outcome = project.run("add", path)
        assert outcome.exit_code == 1 and word in outcome.stderr
    assert shape(project.path) == before
    project.write(f"data/{longest}")
    project.ok("add", "data")
    project.write(f"data/{longest}", b"new\n")
    project.ok("add", f"data/{longest}")


def test_update_takes_what_could_not_be_restored_for_no_deletion(filled: Project) -> None:
    """After a checkout that lacked contents, add -u keeps their entries; who deletes a file that is saved means it."""
    before = filled.read("data.vstore")
    filled.write("data/lost", LARGE[::-1])
    filled.ok("add", "data")
    with_lost = filled.read("data.vstore")
    lost = Path(object_path(filled.path / ".git/vstore/cache/objects", hash_bytes(LARGE[::-1], "xxh128")))
    lost.unlink()
    shutil.rmtree(filled.path / "data")
    assert filled.run("checkout").exit_code == PARTLY and not filled.has("data/lost")
    assert "data was passed over" in filled.ok("add", "-u").stderr
    filled.write("data/stray", b"stray\n")
    assert "keeps 1 of its files" in filled.ok("add", "-u").stderr
    filled.ok("rm", "data/stray")
    assert filled.read("data.vstore") == with_lost
    filled.ok("rm", "data/lost")
    assert filled.read("data.vstore") == before
    (filled.path / "data/a.txt").unlink()
    filled.ok("add", "-u")
    assert filled.read("data.vstore") != before


def test_update_of_what_was_never_checked_out_deletes_nothing(filled: Project) -> None:
    """A stray file where a dataset is not checked out is added to it by -u, again and again; without -u it is all."""
    filled.add_remote()
    filled.ok("push")
    clone = filled.clone()
    clone.add_remote()
    clone.ok("fetch")
    for content in (b"z", b"another z"):
        clone.write("data/z", content)
        assert "keeps 3 of its files that were never" in clone.ok("add", "-u").stderr
        assert clone.ok("ls", "-R", "data", "--json").stdout.count('"path"') >= 4
        (found,) = clone.ok("status", "data", "--json").json()["artifacts"]
        assert (found["data"], found["files"], found["deleted"]) == ("absent", 4, [])
    clone.ok("add", "data")
    (found,) = clone.ok("status", "data", "--json").json()["artifacts"]
    assert (found["data"], found["files"]) == ("unchanged", 1)


def test_update_passes_over_broken_pointers(filled: Project) -> None:
    """One pointer that cannot be read keeps -u from nothing else, and is named; so is one whose list is nowhere."""
    filled.write("data/a.txt", b"changed\n")
    (filled.path / "model.bin.vstore").write_bytes(b"<<<<<<< HEAD\n")
    before = filled.read("data.vstore")
    for options in (["--dry-run"], []):
        outcome = filled.run("add", "-u", *options)
        assert outcome.exit_code == PARTLY and "model.bin" in outcome.stderr
        assert (filled.read("data.vstore") == before) is bool(options)
    assert filled.run("add", "-u", "model.bin").exit_code == PARTLY
    clone = filled.clone()
    clone.write("data/stray")
    outcome = clone.run("add", "-u")
    assert outcome.exit_code == PARTLY and "the list of files of data is neither" in outcome.stderr
    assert not clone.git("status", "--short")


def test_without_git(tmp_path: Path) -> None:
    """The whole of it works without git, but for revisions."""
    project = Project(tmp_path / "plain")
    project.path.mkdir()
    project.ok("init", "--no-git")
    project.write("data/x", b"x\n")
    project.write("data/large", LARGE)
    project.ok("add", "data")
    before = shape(project.path / "data")
    shutil.rmtree(project.path / "data")
    project.ok("checkout")
    assert shape(project.path / "data") == before and (project.path / ".vstore/cache").is_dir()


def test_paths_as_users_name_them(project: Project) -> None:
    """From a subdirectory, through ``..``, by glob where directories have odd names, and by the pointer."""
    for name in ("one.csv", "two.csv", "...", "..odd"):
        project.write(f"[a]/sub/{name}", name.encode())
    project.run("add", "*.csv", inside="[a]/sub").ok()
    project.run("add", "...", "..odd", inside="[a]/sub").ok()
    project.run("add", "../sub/one.csv.vstore", inside="[a]/sub").ok()
    found = {artifact["path"] for artifact in project.ok("status", "--json").json()["artifacts"]}
    assert found == {f"[a]/sub/{name}" for name in ("one.csv", "two.csv", "...", "..odd")}
    assert project.run("add", "../outside").exit_code not in (0, 255)


def test_link_to_the_work_tree_is_not_the_work_tree(filled: Project) -> None:
    """A link to the repository inside it means the link: ``rm`` of it does not mean everything."""
    (filled.path / "self").symlink_to(".")
    assert filled.run("rm", "self").exit_code != 0
    assert filled.has("data.vstore") and filled.has("model.bin.vstore")


def test_whole_story_with_blake3(git_repo: Path) -> None:
    """Everything goes round with the other hash, which is all that the repository then holds."""
    project = Project(git_repo)
    project.ok("init", "--hash", "blake3")
    project.add_data()
    assert b"blake3:" in project.read("data.vstore") and b"xxh128:" not in project.read("data.vstore")
    project.add_remote()
    project.commit("remote")
    project.ok("push")
    clone = project.clone()
    clone.ok("pull")
    assert shape(clone.path / "data") == shape(project.path / "data")
    clone.ok("status", "--check")
    assert sorted(os.listdir(clone.path / ".git/vstore/cache/objects")) == ["blake3"]
