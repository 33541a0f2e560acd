"""Verifying the cache, and mending it, as a user does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

import vstore
from tests.command import start_vstore
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project
from vstore.cache.packs import PACK_SUFFIX

USAGE, PARTLY, LOCKED, MISSING, CORRUPT = 2, 3, 11, 12, 13


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data in two versions, the first of them tagged v1, and without a remote."""
    project.add_data()
    project.git("tag", "v1")
    project.write("data/a.txt", b"changed\n")
    project.write("model.bin", LARGE + b"more")
    project.ok("add", "-u")
    project.commit("second")
    settle(project)
    return project


def settle(project: Project) -> None:
    """Let files be old enough that the state vouches for them."""
    time.sleep(0.03)
    project.ok("status")


def cache_of(project: Project) -> Path:
    """The cache of a project."""
    return project.path / ".git/vstore/cache"


def packs(project: Project) -> list[Path]:
    """The packs of the cache, the larger first."""
    return sorted(cache_of(project).glob("packs/*" + PACK_SUFFIX), key=lambda path: -path.stat().st_size)


def objects(project: Project) -> list[Path]:
    """The loose objects of the cache."""
    return sorted(path for path in (cache_of(project) / "objects").rglob("*") if path.is_file())


def object_of(project: Project, content: bytes) -> Path:
    """The loose object of a content."""
    return next(path for path in objects(project) if path.read_bytes() == content)


def rewrite(path: Path, data: bytes) -> None:
    """Change the bytes of a file as a failing disk does: nothing shows it."""
    before = path.stat()
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.truncate(len(data))
        file.write(data)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def scratch(path: Path, what: bytes = b"bb\n") -> None:
    """Damage a small content in a pack, which is stored as it is."""
    data = path.read_bytes()
    assert what in data
    rewrite(path, data.replace(what, bytes(len(what))))


def damages(result: Any) -> list[tuple[str | None, str, list[str]]]:
    """Key, kind and needing paths of all damage."""
    return [(found["key"], found["kind"], [need["path"] for need in found["needed_by"]]) for found in result["damages"]]


def key(path: Path) -> str:
    """The name of a file of the cache in a result."""
    return path.as_posix().partition("/vstore/cache/")[2]


def test_sound_cache(filled: Project) -> None:
    """Where everything is as it should be that is said, with how much it is, and nothing is written."""
    before = shape(cache_of(filled))
    result = filled.ok("fsck", "--json").json()
    assert result["damages"] == result["remarks"] == result["remotes"] == []
    cache = result["cache"]
    assert (cache["packs"], cache["records"], cache["objects"]) == (2, 5, 3)
    assert (cache["versions"], cache["whole"], cache["files"]) == (4, 4, 4)
    assert cache["read_bytes"] == sum(path.stat().st_size for path in [*packs(filled), *objects(filled)])
    assert "4 versions whole, 4 files compared." in filled.ok("fsck").stdout
    assert filled.ok("-q", "fsck").stdout == ""
    assert shape(cache_of(filled)) == before


def test_before_anything_was_added(project: Project) -> None:
    """An empty repository is sound, with and without a cache."""
    shutil.rmtree(cache_of(project), ignore_errors=True)
    project.ok("fsck")
    assert not cache_of(project).exists()
    project.ok("fsck", "--repair")
    project.ok("fsck")


def test_read_data_is_for_remotes(filled: Project) -> None:
    """A share to read makes no sense for a cache, which always is read whole."""
    assert filled.run("fsck", "--read-data=10%").exit_code == USAGE
    assert filled.run("fsck", "--again").exit_code == USAGE


def test_damaged_record(filled: Project) -> None:
    """A damaged record is named with its paths and revisions, restored from the work tree, and the pack kept aside."""
    pack = packs(filled)[0]
    scratch(pack)
    found = filled.run("fsck", "--json")
    assert found.exit_code == CORRUPT
    assert damages(found.json()) == [(key(pack), "damaged", ["data/sub/b.txt"])]
    (need,) = found.json()["damages"][0]["needed_by"]
    assert sorted(revision["names"] for revision in need["revisions"]) == [["main"], ["v1"]]
    shown = filled.run("fsck")
    assert "    data/sub/b.txt at " in shown.stdout and "(v1)" in shown.stdout
    assert "Hint: mend what can be mended with `vstore fsck --repair`" in shown.stderr
    damaged = pack.read_bytes()
    mended = filled.ok("fsck", "--repair", "--json").json()
    assert [each["repaired"] for each in mended["damages"]] == [True] and mended["cache"]["restored"] == 1
    assert [path.read_bytes() for path in (cache_of(filled) / "damaged").iterdir()] == [damaged]
    assert filled.ok("fsck", "--json").json()["damages"] == []
    shutil.rmtree(filled.path / "data")
    filled.ok("checkout", "--force")
    assert filled.read("data/sub/b.txt") == b"bb\n"
    filled.ok("checkout", "--force", "--rev", "v1")
    assert filled.read("data/a.txt") == b"a\n"


def test_what_is_good_nowhere(filled: Project) -> None:
    """What nobody has any more stays named, now as missing, and everything else is kept."""
    pack = packs(filled)[0]
    scratch(pack, b"a\n")
    mended = filled.run("fsck", "--repair", "--json")
    assert mended.exit_code == CORRUPT
    assert damages(mended.json()) == [(key(pack), "damaged", ["data/a.txt"])]
    again = filled.run("fsck", "--json")
    assert again.exit_code == MISSING
    assert damages(again.json()) == [(None, "missing", ["data/a.txt"])]
    assert [revision["names"] for revision in again.json()["damages"][0]["needed_by"][0]["revisions"]] == [["v1"]]
    filled.ok("checkout")
    # Somebody has a copy of the file.
    filled.write("copy.txt", b"a\n")
    filled.ok("add", "copy.txt")
    filled.ok("fsck")


@pytest.mark.parametrize("link_type", ["copy", "hardlink", "symlink"])
def test_bit_rot_in_a_read_only_object(project: Project, link_type: str) -> None:
    """A bit that turned over in an object is found though it is read-only, and so are the files linked to it."""
    project.ok("config", "set", "cache.type", link_type)
    project.add_data()
    project.add_remote()
    project.ok("push")
    project.ok("checkout", "--relink")
    settle(project)
    target = object_of(project, LARGE)
    assert target.stat().st_mode & 0o777 == 0o444
    rewrite(target, LARGE[:1000] + b"!" + LARGE[1001:])
    found = project.run("fsck", "--json")
    assert found.exit_code == CORRUPT
    links = [] if link_type == "copy" else [("data/large.bin", "damaged", [])]
    assert damages(found.json()) == [(key(target), "damaged", ["data/large.bin"]), *links]
    mended = project.ok("fsck", "--repair", "--json").json()
    assert all(each["repaired"] for each in mended["damages"]) and mended["cache"]["restored"] == 1
    assert target.read_bytes() == LARGE and target.stat().st_mode & 0o777 == 0o444
    assert project.read("data/large.bin") == LARGE
    project.ok("status", "--check")
    assert project.ok("fsck", "--json").json()["damages"] == []


def test_linked_file_that_somebody_changed_stays(project: Project) -> None:
    """Who made a linked file writable and changed it keeps the change, though the object is restored."""
    project.ok("config", "set", "cache.type", "hardlink")
    project.add_data()
    project.add_remote()
    project.ok("push")
    project.ok("checkout", "--relink")
    file = project.path / "data/large.bin"
    file.chmod(0o644)
    file.write_bytes(b"mine" + LARGE)
    mended = project.ok("fsck", "--repair", "--json").json()
    assert object_of(project, LARGE)
    assert file.read_bytes() == b"mine" + LARGE
    assert [None, "data/large.bin was a link, and was changed: it stays as it is"] in mended["remarks"]
    assert project.ok("status", "--json").json()["artifacts"][0]["modified"] == ["large.bin"]


def test_file_that_is_not_what_the_state_says(filled: Project) -> None:
    """A file that differs though nothing shows that it was touched is named, and shows as modified after a repair."""
    state = sqlite3.connect(filled.path / ".git/vstore/state.db", isolation_level=None)
    with contextlib.closing(state):
        (digests,) = state.execute("SELECT digests FROM directories WHERE path = 'data/sub'").fetchone()
        state.execute("UPDATE directories SET digests = ? WHERE path = 'data/sub'", [digests[:-4] + b"0000"])
        state.execute("DELETE FROM roots")
    found = filled.run("fsck", "--json")
    assert found.exit_code == CORRUPT
    assert damages(found.json()) == [("state.db", "damaged", ["data/sub/b.txt"])]
    assert filled.ok("status", "--json").json()["artifacts"][0]["modified"] == ["sub/b.txt"]
    filled.ok("fsck", "--repair")
    filled.ok("status", "--check")
    filled.ok("fsck")


def test_state_that_says_what_is_not_so(filled: Project) -> None:
    """What is known of an artifact as a whole has to fit what is known of its files."""
    with contextlib.closing(sqlite3.connect(filled.path / ".git/vstore/state.db", isolation_level=None)) as state:
        state.execute("UPDATE roots SET files = files + 1")
    found = filled.run("fsck", "--json")
    assert damages(found.json()) == [("state.db", "damaged", ["data"])]
    filled.ok("fsck", "--repair")
    filled.ok("fsck")


@pytest.mark.parametrize("harm", ["garbage", "cut", "page"])
def test_damaged_state(filled: Project, harm: str) -> None:
    """A damaged database is set aside and learnt anew, and what was placed is known again."""
    state = filled.path / ".git/vstore/state.db"
    data = state.read_bytes()
    state.write_bytes(
        {
            "garbage": b"garbage" * 1000,
            "cut": data[: len(data) // 2],
            "page": data[:4096] + b"\xff" * (len(data) - 4096),
        }[harm]
    )
    damaged = state.read_bytes()
    found = filled.run("fsck", "--json")
    assert found.exit_code == CORRUPT and damages(found.json()) == [("state.db", "damaged", [])]
    assert state.read_bytes() == damaged
    filled.ok("fsck", "--repair")
    assert (state.parent / "state.db-damaged").read_bytes() == damaged
    shutil.rmtree(filled.path / "data")
    (data_status, _) = filled.ok("status", "--json").json()["artifacts"]
    assert data_status["data"] == "deleted"
    filled.ok("checkout")
    filled.ok("fsck")


def test_missing_but_pushed(filled: Project) -> None:
    """What a remote holds is not lost, and that is said; a repair brings back what was here, and fetch the rest."""
    filled.add_remote()
    filled.ok("push", "--all-commits")
    for path in packs(filled):
        path.unlink()
    result = filled.ok("fsck", "--json").json()
    assert result["damages"] == [] and len(result["remarks"]) == 1
    assert "which a remote holds, as far as is known here" in result["remarks"][0][1]
    filled.ok("fsck", "--repair")
    clone = filled.clone()
    clone.add_remote()
    assert "which never were here" in clone.ok("fsck").stdout
    clone.ok("pull")
    clone.ok("fsck")
    assert clone.ok("status", "--json").json()["artifacts"][0]["not_in_cache"] == 0


def test_clone_and_pull_is_clean(filled: Project) -> None:
    """A fresh clone that pulled has nothing to be told but that it does not hold all of history."""
    filled.add_remote()
    filled.ok("push", "--all-commits")
    clone = filled.clone()
    clone.add_remote()
    clone.ok("pull")
    result = clone.ok("fsck", "--json").json()
    assert result["damages"] == [] and (result["cache"]["versions"], result["cache"]["whole"]) == (4, 2)
    clone.ok("fetch", "--all-commits")
    result = clone.ok("fsck", "--json").json()
    assert result["remarks"] == [] and result["cache"]["whole"] == 4


def test_missing_and_not_pushed(filled: Project) -> None:
    """What was here and what no remote is known to hold is missing, also where there is a remote."""
    filled.add_remote()
    packs(filled)[1].unlink()
    found = filled.run("fsck", "--json")
    assert found.exit_code == MISSING
    assert damages(found.json()) == [(None, "missing", ["data"])]
    assert "no remote is known to hold" in filled.run("fsck").stdout
    filled.ok("fsck", "--repair")
    filled.ok("fsck")


def test_restored_from_a_remote(filled: Project) -> None:
    """What is good at a remote comes from there, whichever it is, and an unreachable one stops nothing."""
    filled.ok("remote", "add", "-d", "gone", filled.path.parent / "gone")
    filled.ok("remote", "add", "store", filled.store)
    filled.ok("push", "-r", "store", "--all-commits")
    shutil.rmtree(filled.path / "data")
    (filled.path / "model.bin").unlink()
    for path in objects(filled):
        rewrite(path, path.read_bytes()[::-1])
    scratch(packs(filled)[0])
    found = filled.run("fsck")
    assert found.exit_code == CORRUPT
    filled.ok("fsck", "--repair")
    assert filled.ok("fsck", "--json").json()["cache"]["whole"] == 4
    filled.ok("checkout")
    assert filled.read("data/large.bin") == LARGE and filled.read("data/sub/b.txt") == b"bb\n"


def test_old_commits_that_no_branch_needs(filled: Project) -> None:
    """Damage to what only older commits need is named with them, and mended."""
    filled.git("tag", "--delete", "v1")
    filled.add_remote()
    filled.ok("push", "--all-commits")
    scratch(packs(filled)[0], b"a\n")
    found = filled.run("fsck", "--json")
    assert damages(found.json()) == [(key(packs(filled)[0]), "damaged", ["data/a.txt"])]
    (need,) = found.json()["damages"][0]["needed_by"]
    assert [revision["commit"] for revision in need["revisions"]] == [filled.git("rev-parse", "HEAD~")]
    assert filled.ok("fsck", "--repair", "--json").json()["cache"]["restored"] == 1
    filled.ok("checkout", "--rev", "HEAD~")
    assert filled.read("data/a.txt") == b"a\n"


def test_only_what_is_asked_for(filled: Project) -> None:
    """With paths or revisions only what those versions need is read and named."""
    scratch(packs(filled)[0])
    rewrite(object_of(filled, LARGE + b"more"), b"short")
    assert damages(filled.run("fsck", "model.bin", "--json").json()) == [
        (key(next(p for p in objects(filled) if p.read_bytes() == b"short")), "damaged", ["model.bin"])
    ]
    filled.ok("fsck", "model.bin", "--rev", "v1")
    assert [paths for _, _, paths in damages(filled.run("fsck", "data", "--json").json())] == [["data/sub/b.txt"]]
    filled.ok("fsck", "data/a.txt")
    assert filled.run("fsck", "nowhere").exit_code == 1


def test_cache_from_packs_alone(filled: Project) -> None:
    """Of a lost repository only packs, without their ends, and objects are left: they make a clone whole."""
    clone = filled.clone()
    for path in packs(filled):
        rewrite(path, path.read_bytes()[:-50])
    target = cache_of(clone)
    target.mkdir(parents=True)
    shutil.copytree(cache_of(filled) / "packs", target / "packs")
    shutil.copytree(cache_of(filled) / "objects", target / "objects")
    shutil.rmtree(filled.path)
    found = clone.run("fsck", "--json")
    assert found.exit_code == CORRUPT
    assert sorted(what for what, _, _ in damages(found.json()) if what) == sorted(
        ["format", *(key(path) for path in packs(clone))]
    )
    clone.ok("fsck", "--repair")
    result = clone.ok("fsck", "--json").json()
    assert result["damages"] == [] and result["cache"]["whole"] == 4
    clone.ok("checkout")
    assert clone.read("data/large.bin") == LARGE and clone.read("model.bin") == LARGE + b"more"


def test_packs_of_a_remote_make_a_cache(filled: Project) -> None:
    """Packs that were copied out of a bucket serve as well: large contents are put together from their chunks."""
    filled.add_remote()
    filled.ok("push", "--all-commits")
    clone = filled.clone()
    shutil.copytree(filled.store / "packs", cache_of(clone) / "packs")
    assert clone.run("fsck").exit_code == CORRUPT  # the format is not there
    clone.ok("fsck", "--repair")
    assert clone.ok("fsck", "--json").json()["cache"]["whole"] == 4
    clone.ok("checkout")
    assert clone.read("model.bin") == LARGE + b"more"


@pytest.mark.parametrize("content", [b"", b"garbage", b"vstore-cache 1"])
def test_format_that_tells_nothing(filled: Project, content: bytes) -> None:
    """A version that cannot be read is written anew; a newer one is respected."""
    (cache_of(filled) / "format").write_bytes(content)
    assert filled.run("add", "data").exit_code == CORRUPT
    found = filled.run("fsck", "--json")
    assert damages(found.json()) == [("format", "damaged", [])]
    filled.ok("fsck", "--repair")
    filled.ok("add", "data")
    (cache_of(filled) / "format").write_bytes(b"vstore-cache 2\n")
    newer = filled.run("fsck", "--repair")
    assert newer.exit_code == CORRUPT and "newer" in newer.stderr
    assert (cache_of(filled) / "format").read_bytes() == b"vstore-cache 2\n"


def test_pack_of_a_newer_version(filled: Project) -> None:
    """A pack that says at both ends that it is newer stops everything; at one end only, it is damaged."""
    pack = packs(filled)[0]
    data = pack.read_bytes()
    rewrite(pack, data[:-16] + b"\2" + data[-15:])
    filled.ok("status")
    assert damages(filled.run("fsck", "--json").json()) == [(key(pack), "damaged", [])]
    filled.ok("fsck", "--repair")
    filled.ok("fsck")
    pack = packs(filled)[0]
    data = pack.read_bytes()
    rewrite(pack, data[:12] + b"\2" + data[13:-16] + b"\2" + data[-15:])
    newer = filled.run("fsck", "--repair")
    assert newer.exit_code == CORRUPT and "get a newer vstore" in newer.stderr
    assert pack.exists()


def test_strangers_and_leftovers(filled: Project) -> None:
    """Files of others, leftovers and writable objects are mentioned; only the last are changed."""
    (cache_of(filled) / "packs/notes.txt").write_text("hello")
    (cache_of(filled) / "objects/xxh128/ab").mkdir(parents=True)
    (cache_of(filled) / "objects/xxh128/ab/short").write_text("hello")
    (cache_of(filled) / "packs/.vstore-tmp-0123456789abcdef").write_text("")
    objects(filled)[0].chmod(0o644)
    result = filled.ok("fsck", "--json").json()
    assert [remark for _, remark in result["remarks"]] == [
        "packs/notes.txt is nothing of ours",
        "objects/xxh128/ab/short is nothing of ours",
        "files of commands that died, or still run: 1",
        "loose objects that are not read-only: 1",
    ]
    assert len(filled.ok("fsck", "--repair", "--json").json()["remarks"]) == 3
    assert (cache_of(filled) / "packs/notes.txt").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(filled: Project) -> None:
    """What may not be read is named, and made readable where it is ours."""
    objects(filled)[0].chmod(0)
    packs(filled)[0].chmod(0)
    found = filled.run("fsck", "--json")
    assert found.exit_code == CORRUPT
    assert sorted(kind for _, kind, _ in damages(found.json()))[:2] == ["missing", "unreadable"]
    filled.ok("fsck", "--repair")
    filled.ok("fsck")


def test_what_cannot_be_tracked_is_no_damage(filled: Project) -> None:
    """Names, links and pipes that no tree can hold are for status to tell."""
    (filled.path / os.fsdecode(b"data/\xff")).write_bytes(b"")
    (filled.path / "data/outside").symlink_to("/etc/passwd")
    os.mkfifo(filled.path / "data/pipe")
    assert filled.ok("fsck", "--json").json()["damages"] == []


def test_with_blake3(git_repo: Path) -> None:
    """The other hash is verified and mended as well."""
    project = Project(git_repo)
    project.ok("init", "--hash", "blake3")
    project.add_data()
    project.ok("fsck")
    scratch(packs(project)[0])
    rewrite(object_of(project, LARGE), LARGE[::-1])
    assert [paths for _, _, paths in damages(project.run("fsck", "--json").json())] == [
        ["data/sub/b.txt"],
        ["data/large.bin"],
    ]
    project.ok("fsck", "--repair")
    assert project.ok("fsck", "--json").json()["cache"]["whole"] == 2


def test_broken_pointer(filled: Project) -> None:
    """A pointer that cannot be read is passed over and told; the rest is verified."""
    filled.write("model.bin.vstore", b"nonsense")
    scratch(packs(filled)[0])
    found = filled.run("fsck", "--json")
    assert found.exit_code == CORRUPT and [path for path, _ in found.json()["broken"]] == ["model.bin.vstore"]
    mended = filled.run("fsck", "--repair", "--json")
    assert mended.exit_code == PARTLY
    assert vstore.fsck(directory=filled.path).damages == []


def test_shared_cache(filled: Project, tmp_path: Path) -> None:
    """What is in a shared cache for another repository only is verified, and never taken for needless."""
    (tmp_path / "other").mkdir()
    other = Project(tmp_path / "other")
    other.git("init", "--quiet")
    other.ok("init", "--cache-dir", cache_of(filled))
    other.write("theirs.txt", b"theirs\n")
    other.ok("add", "theirs.txt")
    filled.ok("fsck")
    scratch(next(path for path in packs(filled) if b"theirs\n" in path.read_bytes()), b"theirs\n")
    found = filled.run("fsck", "--json")
    assert [(kind, paths) for _, kind, paths in damages(found.json())] == [("damaged", [])]
    assert [paths for _, _, paths in damages(other.run("fsck", "--json").json())] == [["theirs.txt"]]
    filled.ok("fsck", "--repair")
    assert [paths for _, _, paths in damages(other.run("fsck", "--json").json())] == [["theirs.txt"]]
    other.ok("fsck", "--repair")
    other.ok("fsck")


def test_verifying_waits_for_nobody(filled: Project) -> None:
    """While a collector holds the cache alone it is verified, and mended only afterwards."""
    filled.ok("config", "set", "core.lock_wait", "0.1")
    scratch(packs(filled)[0])
    with open(cache_of(filled) / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert filled.run("fsck").exit_code == CORRUPT
        assert filled.run("fsck", "--repair").exit_code == LOCKED
    filled.ok("fsck", "--repair")


def test_mending_beside_an_add(filled: Project, tmp_path: Path) -> None:
    """Another repository that adds to the same cache meanwhile gets all of its data in, and nothing is lost."""
    (tmp_path / "other").mkdir()
    other = Project(tmp_path / "other")
    other.git("init", "--quiet")
    other.ok("init", "--cache-dir", cache_of(filled))
    for number in range(3000):
        other.write(f"many/{number}", b"%d\n" % number)
    other.write("many/large.bin", LARGE)
    other.write("many/b.txt", b"bb\n")
    scratch(packs(filled)[0])
    rewrite(object_of(filled, LARGE), LARGE[::-1])
    adding = start_vstore("add", "many", cwd=other.path)
    try:
        for _ in range(5):
            filled.ok("fsck", "--repair")
        stdout, stderr = adding.communicate(timeout=60)
    finally:
        adding.kill()
    assert adding.returncode == 0, stdout + stderr
    for project in (filled, other):
        assert project.ok("fsck", "--json").json()["damages"] == []
    shutil.rmtree(other.path / "many")
    other.ok("checkout")
    assert other.read("many/large.bin") == LARGE and other.read("many/2999") == b"2999\n"


def test_without_git(tmp_path: Path) -> None:
    """Where there is no history, the work tree is what counts."""
    (tmp_path / "plain").mkdir()
    plain = Project(tmp_path / "plain")
    plain.ok("init", "--no-git")
    plain.write("data/b.txt", b"bb\n")
    plain.ok("add", "data")
    (pack,) = (tmp_path / "plain/.vstore/cache/packs").iterdir()
    scratch(pack)
    assert [paths for _, _, paths in damages(plain.run("fsck", "--json").json())] == [["data/b.txt"]]
    plain.ok("fsck", "--repair")
    plain.ok("fsck")
