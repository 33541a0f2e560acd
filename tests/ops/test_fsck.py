"""Verifying a remote, and mending it, as a user does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vstore
from tests.command import run_vstore
from tests.project import LARGE, Project
from vstore.progress import Reporter

USAGE, PARTLY, CONFLICT, MISSING, CORRUPT, UNAVAILABLE = 2, 3, 11, 12, 13, 14


@pytest.fixture
def pushed(project: Project) -> Project:
    """A project with data, pushed in two versions, the first of them tagged v1."""
    project.add_remote()
    project.add_data()
    project.git("tag", "v1")
    project.ok("push")
    project.write("data/a.txt", b"changed\n")
    project.ok("add", "-u")
    project.commit("second")
    project.ok("push")
    return project


def packs(project: Project) -> list[Path]:
    """The packs of the remote, the larger first."""
    return sorted((project.store / "packs").iterdir(), key=lambda path: -path.stat().st_size)


def scratch(path: Path, what: bytes = b"bb\n") -> None:
    """Damage a small content in a pack, which is stored as it is."""
    data = path.read_bytes()
    assert what in data
    path.chmod(0o644)
    path.write_bytes(data.replace(what, bytes(len(what))))


def forget(project: Project, name: str = "store") -> None:
    """Let no machine remember anything of remotes."""
    shutil.rmtree(project.path / ".git/vstore/remotes")


def needed(result: Any) -> dict[str, list[list[str]]]:
    """The paths named, each with the names of the revisions that have it so."""
    needs = [need for damage in result["damages"] for need in damage["needed_by"]]
    return {need["path"]: [revision["names"] for revision in need["revisions"]] for need in needs}


def test_sound_remote(pushed: Project) -> None:
    """Where everything is there that is said, with how much it is, and when it was read."""
    result = pushed.ok("fsck", "--remote", "--json").json()
    (verified,) = result["remotes"]
    assert (verified["versions"], verified["whole"], verified["packs"]) == (3, 3, 2)
    assert (verified["read_packs"], verified["never_read"], verified["read_whole"]) == (0, 2, None)
    assert result["damages"] == result["remarks"] == []
    assert "2 of 2 packs never read whole" in pushed.ok("fsck", "--remote").stdout
    assert "Everything was read whole within the last day." in pushed.ok("fsck", "--remote", "--read-data").stdout
    (verified,) = pushed.ok("fsck", "--remote", "--read-data", "--json").json()["remotes"]
    assert (verified["read_packs"], verified["never_read"]) == (0, 0)
    (verified,) = pushed.ok("fsck", "--remote", "--read-data", "--again", "--json").json()["remotes"]
    assert verified["read_packs"] == 2
    assert pushed.ok("-q", "fsck", "--remote").stdout == ""


def test_damage_is_named_with_paths_and_revisions_and_mended(pushed: Project) -> None:
    """A damaged file in a directory is named where it is needed, a repair brings it again, and then all is well."""
    scratch(packs(pushed)[0])
    pushed.ok("fsck", "--remote")  # it has to be read
    found = pushed.run("fsck", "--remote", "--read-data", "--json")
    assert found.exit_code == CORRUPT
    assert needed(found.json()) == {"data/sub/b.txt": [["v1"], ["main"]]}
    shown = pushed.run("-q", "fsck", "--remote")
    assert shown.exit_code == CORRUPT
    assert "    data/sub/b.txt at " in shown.stdout and "(v1), " in shown.stdout
    assert "Hint: mend what can be mended with `vstore fsck --remote store --repair`" in shown.stderr
    before = {path: path.read_bytes() for path in pushed.store.rglob("*") if path.is_file()}
    mended = pushed.ok("fsck", "--remote", "--repair", "--json").json()
    assert [damage["repaired"] for damage in mended["damages"]] == [True]
    assert mended["remotes"][0]["uploaded_bytes"] > 0
    assert {path: path.read_bytes() for path in before} == before
    again = pushed.ok("fsck", "--remote", "--read-data", "--again", "--json").json()
    assert again["damages"] == []
    assert again["remotes"][0]["whole"] == 3
    for path in packs(pushed):
        if b"bb\n" not in path.read_bytes():
            assert any(path.name in remark for _, remark in again["remarks"]) or path.stat().st_size < 2000
    clone = pushed.clone()
    clone.ok("fetch", "--all-commits")
    clone.ok("pull")
    assert clone.read("data/sub/b.txt") == b"bb\n"


def test_paths_are_as_seen_from_where_one_stands(pushed: Project) -> None:
    """A path that is named can be used as it is shown."""
    scratch(packs(pushed)[0])
    (pushed.path / "sub").mkdir()
    assert "    ../data/sub/b.txt at " in pushed.run("fsck", "--remote", "--read-data", inside="sub").stdout


def test_missing_pack(pushed: Project) -> None:
    """What is not there any more is missing; without any copy of it the rest is mended and it is named."""
    packs(pushed)[0].unlink()
    found = pushed.run("fsck", "--remote", "--json")
    assert found.exit_code == MISSING
    assert set(needed(found.json())) == {"data", "data/a.txt", "data/sub/b.txt", "data/large.bin", "model.bin"}
    (pushed.path / "data/large.bin").unlink()
    pushed.drop_cache()
    pushed.ok("add", "model.bin")
    mended = pushed.run("fsck", "--remote", "--repair", "--json")
    assert mended.exit_code == PARTLY or mended.exit_code == MISSING
    assert "model.bin" not in needed(mended.json())
    assert "data/sub/b.txt" in needed(mended.json()) or "data" in needed(mended.json())
    clone = pushed.clone()
    assert clone.run("pull").exit_code in (PARTLY, MISSING)
    assert clone.read("model.bin") == LARGE[::-1]


def test_another_remote_has_what_is_good(pushed: Project) -> None:
    """What neither the cache nor the remote holds undamaged comes from another remote."""
    pushed.ok("remote", "add", "backup", "../backup")
    pushed.ok("remote", "add", "gone", "../nowhere")
    pushed.ok("push", "-r", "backup", "--all-commits")
    for path in packs(pushed):
        path.unlink()
    pushed.drop_cache()
    mended = pushed.ok("fsck", "--remote", "--repair")
    assert "repaired  packs/" in mended.stdout
    pushed.ok("fsck", "--remote", "--read-data")
    shutil.rmtree(pushed.path.parent / "backup")
    pushed.drop_cache()
    pushed.ok("fetch", "--all-commits")


def test_damaged_object_of_the_cache_is_not_sent(pushed: Project) -> None:
    """A large object that is damaged here, too, is set aside, and taken from where it is good."""
    pushed.ok("remote", "add", "backup", "../backup")
    pushed.ok("push", "-r", "backup", "--all-commits")
    packs(pushed)[0].unlink()
    objects = [path for path in (pushed.path / ".git/vstore/cache/objects").rglob("*") if path.is_file()]
    for path in objects:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[::-1] + b"?")
    mended = pushed.ok("fsck", "--remote", "--repair")
    assert "set aside" in mended.stderr
    pushed.ok("fsck", "--remote", "--read-data")


def test_read_only_remote(pushed: Project) -> None:
    """A remote that must not be written to is verified, and never mended."""
    pushed.ok("remote", "set", "store", "read_only", "true")
    pushed.ok("fsck", "--remote", "--read-data")
    pushed.ok("fsck", "--remote", "--repair")
    scratch(packs(pushed)[0])
    before = {path: path.read_bytes() for path in pushed.store.rglob("*") if path.is_file()}
    refused = pushed.run("fsck", "--remote", "--read-data", "--again", "--repair")
    assert refused.exit_code == UNAVAILABLE
    assert {path: path.read_bytes() for path in pushed.store.rglob("*") if path.is_file()} == before


def test_only_what_is_asked_for(pushed: Project) -> None:
    """With paths or revisions only what those versions need is looked at, also if it was never pushed."""
    packs(pushed)[0].unlink()
    assert set(needed(pushed.run("fsck", "--remote", "store", "model.bin", "--json").json())) == {"model.bin"}
    named = needed(pushed.run("fsck", "--remote", "store", "--rev", "v1", "data", "--json").json())
    assert "data/a.txt" in named and "model.bin" not in named
    pushed.write("data/new.txt", b"new\n")
    pushed.ok("add", "-u")
    pushed.commit("third")
    result = pushed.run("fsck", "--remote", "store", "data", "--json")
    assert result.exit_code == MISSING
    assert [(damage["key"], damage["reason"]) for damage in result.json()["damages"]] == [
        (None, "no commit at the remote names it")
    ]
    assert needed(result.json()) == {"data": [["main"]]}
    assert "`vstore fsck --remote store data --repair`" in result.stderr
    all_commits = pushed.run("fsck", "--remote", "store", "--all-commits")
    assert "`vstore fsck --remote store --all-commits --repair`" in all_commits.stderr
    pushed.ok("fsck", "--remote", "store", "--repair", "--all-commits")
    assert pushed.ok("push", "--json").json()["remotes"][0]["roots"] == []


def test_revisions_with_a_name_are_told_first(pushed: Project) -> None:
    """Commits that nothing points to are named as well, behind branches and tags."""
    pushed.git("tag", "--delete", "v1")
    scratch(packs(pushed)[0])
    result = pushed.run("fsck", "--remote", "--read-data", "--json").json()
    assert needed(result) == {"data/sub/b.txt": [["main"], []]}
    commits = [revision["commit"] for revision in result["damages"][0]["needed_by"][0]["revisions"]]
    assert commits == pushed.git("rev-list", "HEAD").split()


def test_samples_cover_everything_in_time(pushed: Project) -> None:
    """Part of the packs is read at a time, and together the runs read all of them."""
    assert len(packs(pushed)) == 2
    for left in (1, 0):
        (verified,) = pushed.ok("fsck", "--remote", "--read-data=1%", "--json").json()["remotes"]
        assert (verified["read_packs"], verified["never_read"]) == (1, left)


@pytest.mark.parametrize("share", ["0%", "101%", "x", "data", "-5", "1e2"])
def test_share_that_is_none(pushed: Project, share: str) -> None:
    """What is no percentage is an error of usage."""
    assert pushed.run("fsck", "--remote", f"--read-data={share}").exit_code == USAGE


def test_options_that_go_together(pushed: Project) -> None:
    """Reading again is asked for where reading is."""
    assert pushed.run("fsck", "--remote", "--again").exit_code == USAGE
    assert pushed.run("fsck", "--remote", "nowhere").exit_code == 1
    assert pushed.run("fsck", "--remote", "--rev", "v1", "--all-tags").exit_code == USAGE


def test_nothing_was_pushed(project: Project) -> None:
    """An empty remote is sound, whether its directory is there or not; one that is gone is no empty one."""
    project.add_remote()
    project.add_data()
    assert "nothing was pushed there" in project.ok("fsck", "--remote", "--read-data", "--repair").stdout
    project.store.mkdir()
    assert "nothing was pushed there" in project.ok("fsck", "--remote").stdout
    project.ok("push")
    shutil.rmtree(project.store)
    assert project.run("fsck", "--remote", "--repair").exit_code == UNAVAILABLE
    assert not project.store.exists()


def test_strangers_harm_nobody(pushed: Project) -> None:
    """Files of other programs among the objects are mentioned and left alone."""
    (pushed.store / "packs/notes.txt").write_text("hello")
    result = pushed.ok("fsck", "--remote", "--repair", "--json").json()
    assert result["remarks"] == [["store", "packs/notes.txt is nothing of ours"]]
    assert (pushed.store / "packs/notes.txt").read_text() == "hello"


def _lose(path: Path) -> None:
    path.unlink()


def _spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"garbage")


@pytest.mark.parametrize("harm", [_lose, _spoil])
@pytest.mark.parametrize("remembers", [True, False])
def test_commit_that_is_lost(pushed: Project, harm: Callable[[Path], None], remembers: bool) -> None:
    """Versions that no commit names any more are found by who knows them, and pushed again."""
    commits = sorted((pushed.store / "commits").rglob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    harm(commits[-1])
    if not remembers:
        forget(pushed)
    found = pushed.run("fsck", "--remote", "--json")
    if harm is _lose and not remembers:
        # Nobody here knows that it was there; but there is a pack that nothing names, and git names what nothing pins.
        found.ok()
        assert found.json()["remotes"][0]["nameless"] == 1
        told = pushed.ok("fsck", "--remote").stdout
        assert "remark  store: versions that git keeps and no commit there names: 1; packs that nothing names" in told
        assert "If it was pushed: vstore fsck --remote store --all-commits --repair\n" in told
        found = pushed.run("fsck", "--remote", "--all-commits", "--json")
    assert found.exit_code in (MISSING, CORRUPT)
    assert needed(found.json()) == {"data": [["main"]]}
    pushed.ok("fsck", "--remote", "--repair", *(["--all-commits"] if harm is _lose and not remembers else []))
    pushed.ok("fsck", "--remote", "--read-data")
    pushed.ok("fsck", "--remote", "--all-commits")
    assert not pushed.ok("fsck", "--remote", "--json").json()["remotes"][0]["nameless"]


def test_what_was_never_pushed_is_not_missed(pushed: Project) -> None:
    """Versions that nobody pushed are remarked upon only where there are packs that nothing names."""
    pushed.write("data/new.txt", b"new\n")
    pushed.ok("add", "-u")
    pushed.commit("third")
    assert "remark" not in pushed.ok("fsck", "--remote").stdout


def test_commit_of_a_newer_version(pushed: Project) -> None:
    """A commit that only a newer vstore can read is not called repaired, though what git knows is pushed again."""
    path = max((pushed.store / "commits").rglob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    path.chmod(0o644)
    newer = path.read_bytes().replace(b'"version":1', b'"version":2')
    path.write_bytes(newer)
    forget(pushed)
    assert "newer  commits/" in pushed.run("fsck", "--remote").stdout
    done = pushed.ok("fsck", "--remote", "--repair", "--json").json()
    assert [damage["reason"] for damage in done["damages"]] == ["no commit at the remote names it"]
    assert any("has format version 2, but others name all versions" in remark for _, remark in done["remarks"])
    assert path.read_bytes() == newer


def test_lost_commits_of_what_git_has_forgotten_are_not_missed(pushed: Project) -> None:
    """A commit that is gone is not missed where no git commit needs what it named."""
    commits = sorted((pushed.store / "commits").rglob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    commits[-1].unlink()
    pushed.git("reset", "--quiet", "--hard", "HEAD~1")
    pushed.ok("fsck", "--remote")


def test_format_of_a_newer_version(pushed: Project) -> None:
    """A remote that a newer vstore wrote is left alone; a damaged format is for people to judge."""
    path = pushed.store / "format.json"
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data.replace(b'"version":1', b'"version":2'))
    newer = pushed.run("fsck", "--remote", "--repair", "--json")
    assert newer.exit_code == CORRUPT
    assert "get a newer vstore" in newer.stderr
    path.write_bytes(data[:-10])
    assert pushed.run("fsck", "--remote").exit_code == CORRUPT
    assert pushed.run("fsck", "--remote", "--repair").exit_code == CORRUPT
    path.unlink()
    assert pushed.run("fsck", "--remote").exit_code == MISSING
    pushed.ok("fsck", "--remote", "--repair")
    assert path.read_bytes() == data


def test_without_git(tmp_path: Path) -> None:
    """Where there are no revisions, paths are named without them."""
    place = tmp_path / "plain"
    place.mkdir()

    def run(*args: str) -> Any:
        return run_vstore(*args, cwd=place)

    run("init", "--no-git").ok()
    (place / "data").mkdir()
    (place / "data/b.txt").write_bytes(b"bb\n")
    run("add", "data").ok()
    run("remote", "add", "-d", "store", "../store").ok()
    run("push").ok()
    (pack,) = (tmp_path / "store/packs").iterdir()
    scratch(pack)
    assert needed(run("fsck", "--remote", "--read-data", "--json").json()) == {"data/b.txt": []}
    run("fsck", "--remote", "--read-data", "--repair").ok()
    for path in (tmp_path / "store/commits").rglob("*.json"):
        _spoil(path)
    run("fsck", "--remote", "--repair").ok()
    run("fsck", "--remote", "--read-data").ok()


def test_odd_names_do_no_harm_to_a_terminal(project: Project) -> None:
    """Whatever a file is called, its name is shown on one line without control characters."""
    project.add_remote()
    project.write("data/a\x1b[31m\nb.txt", b"bb\n")
    project.ok("add", "data")
    project.commit()
    project.ok("push")
    scratch(packs(project)[0])
    shown = project.run("fsck", "--remote", "--read-data").stdout
    assert "\x1b" not in shown
    assert r'"data/a\033[31m\nb.txt" at' in shown


class _Watcher(Reporter):
    def __init__(self) -> None:
        self.totals: dict[str, tuple[int | None, str]] = {}
        self.done: dict[str, int] = {}
        self._task = ""

    def begin(self, task: str, *, total: int | None = None, unit: str = "files") -> None:
        self._task = task
        self.totals[task] = total, unit

    def advance(self, amount: int = 1) -> None:
        self.done[self._task] = self.done.get(self._task, 0) + amount


def test_reading_is_watched_in_bytes(pushed: Project) -> None:
    """Reading tells of its progress in bytes, up to the last one."""
    watcher = _Watcher()
    vstore.fsck(directory=pushed.path, remote="", read_data=1.0, reporter=watcher)
    total, unit = watcher.totals["reading packs"]
    assert unit == "bytes"
    assert watcher.done["reading packs"] == total == sum(path.stat().st_size - 64 for path in packs(pushed))


def test_remote_that_is_routed_to(pushed: Project) -> None:
    """Data that belongs to another remote is verified there when it is named, and not missed elsewhere."""
    pushed.ok("remote", "add", "other", "../other")
    pushed.write("private/x", b"x\n")
    pushed.ok("add", "--remote", "other", "private")
    pushed.commit("private")
    pushed.ok("push")
    result = pushed.ok("fsck", "--remote", "--json", "--all-branches").json()
    assert {verified["remote"]: verified["whole"] for verified in result["remotes"]} == {"store": 2, "other": 1}
    for path in (pushed.path.parent / "other/packs").iterdir():
        path.unlink()
    pushed.ok("fsck", "--remote")
    assert needed(pushed.run("fsck", "--remote", "other", "--json").json()) == {
        "private": [["main"]],
        "private/x": [["main"]],
    }


def test_hints_name_what_helps(project: Project) -> None:
    """What a check finds lacking is pushed, and where there is no remote one has to be named."""
    project.add_data()
    clone = project.clone()
    nowhere = clone.run("cat", "data/a.txt")
    assert nowhere.exit_code == MISSING
    assert "name the remote that has it with `vstore remote add -d NAME URL`" in nowhere.stderr
    project.add_remote()
    project.ok("push")
    packs(project)[0].unlink()
    assert "Hint: bring what is lacking with `vstore push`" in project.run("push", "--check").stderr
    assert os.path.exists(project.store)
