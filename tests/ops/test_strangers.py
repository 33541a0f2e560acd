"""A stranger who can write to the bucket, as users see it: named on their terminals without harm, and passed over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.test_adopt import new_repository
from tests.project import LARGE, Project
from tests.remote.line import clone, use
from tests.servers.place import Place
from tests.servers.s3 import S3Server
from vstore.objects.digest import Digest, hash_bytes
from vstore.remote.commits import Commit, CommittedRoot, intent_to_bytes
from vstore.remote.layout import PackRef, commit_key, intent_key, new_session, pack_key, trash_key

_SESSION = "0123456789abcdef" * 2
_ESCAPE = "\x1b[2J\x1b]0;owned\x07\n../../etc/passwd\ud800"
_HARMLESS = {0, 3, 11, 12, 13}
"""Done, or told in so many words what is wrong: never a bug, and never a remote that cannot be used."""


def plant_objects(write: Callable[[str, bytes], object], project: str) -> None:
    """Write all kinds of strangers' objects, where strangers could."""
    data = hash_bytes(b"x", "xxh128")
    lie = PackRef(pack_key(_SESSION, 0), 3, "0" * 32)
    roots = (
        CommittedRoot(data, "tree", _ESCAPE, 2**48, _ESCAPE, (lie,)),
        CommittedRoot(data, "file", "data", 1, "-h", ()),
        CommittedRoot(Digest("blake3:" + "7" * 64), "tree", "../up", 1, "f" * 40, (lie,), pushed_s=2**48),
    )
    for owner in (project, "3" * 32, "not-hex"):
        commit = Commit(owner, new_session(), _ESCAPE, _ESCAPE, roots)
        key = commit_key(owner, commit.session)
        write(key, commit.to_bytes())
        write(trash_key(key), commit.to_bytes())
        write(commit_key(owner, new_session()), b"[" * 100_000)
        write(trash_key(commit_key(owner, new_session())), b"")
    write(lie.key, b"abc")
    write(pack_key(_SESSION, 1), b"\0" * 10_000)
    write(f"index/{_SESSION}-0.vidx", b"vstore-index" + b"\1\0\0\0" + b"\xff" * 100)
    write(intent_key(_SESSION), intent_to_bytes(_SESSION, _ESCAPE, _ESCAPE, _ESCAPE, [lie.key]))
    write(intent_key(new_session()), b"{}")
    write(f"doomed/{_SESSION}-0", _ESCAPE.encode(errors="replace"))
    for name in ("packs/x", "commits/x", "index/x", "intents/x", "trash/x", "doomed/x", "x"):
        write(name, b"x")


def use_everything(project: Project, place: Place, tmp_path: Path) -> None:
    """Run every verb that asks a remote, and see that all that is ours goes on."""
    fresh = clone(project, place)
    runs = [
        fresh.run("status", "--remote"),
        fresh.run("ls"),
        fresh.run("fetch", "--all-commits"),
        fresh.run("pull"),
        fresh.run("push", "--check"),
        fresh.run("fsck", "--remote", "--read-data"),
        fresh.run("push"),
        fresh.run("log"),
        fresh.run("gc", "--pushed", "--dry-run"),
        fresh.run("remote", "check"),
    ]
    assert [run.exit_code for run in runs[:5]] == [0] * 5
    assert fresh.read("data/large.bin") == LARGE and fresh.read("model.bin") == LARGE[::-1]
    assert "no collection deletes anything there" in runs[5].stdout and "is nothing of ours" in runs[5].stdout
    other = new_repository(tmp_path, place, name="other")
    runs += [
        other.run("remote", "adopt", "--dry-run"),
        other.run("remote", "adopt", "--project", "3" * 32),
        other.run("remote", "adopt", "--from-packs"),
        other.run("fsck", "--remote", "--repair"),
        other.run("pull"),
    ]
    for run in runs:
        shown = run.stdout + run.stderr
        assert run.exit_code in _HARMLESS, shown
        assert not set("\x1b\x07") & set(shown) and "Traceback" not in shown and "\n../../etc" not in shown
    assert not (tmp_path.parent / "etc").exists()
    fresh.write("data/new.txt", b"new\n")
    fresh.ok("add", "-u")
    fresh.ok("push")
    fresh.commit("more")
    again = Project(fresh.clone("again").path)
    for option, value in place.options.items():
        again.ok("remote", "set", "--local", "store", option, value)
    again.ok("pull")
    assert again.read("data/new.txt") == b"new\n"


@pytest.fixture
def pushed(project: Project) -> Callable[[Place], str]:
    """What makes a place the remote, pushes everything there, and returns the project's id."""

    def push(place: Place) -> str:
        use(project, place)
        project.add_data()
        project.ok("push")
        found: str = project.ok("config", "get", "core.project", "--json").json()["settings"][0]["value"]
        return found

    return push


def test_directory(project: Project, pushed: Callable[[Place], str], tmp_path: Path) -> None:
    """A directory that others write to, with files, links and pipes of any name."""
    store = tmp_path / "place"
    place = Place(str(store), {}, lambda key, data: None)
    own = pushed(place)

    def write(key: str, data: bytes) -> None:
        path = store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    plant_objects(write, own)
    for folder in ("packs", f"commits/{own}", "index", "intents", "doomed", f"trash/{own}"):
        end = {"packs": "-9.vpack", "index": "-9.vidx", "doomed": "-9"}.get(folder, ".json")
        write(f"{folder}/odd \x1b[31m\nname", b"")
        (store / os.fsdecode(folder.encode() + b"/\xff\xfe")).write_bytes(b"")
        (store / folder / f"{'a' * 32}{end}").mkdir()
        (store / folder / f"{'b' * 32}{end}").symlink_to("/etc/passwd")
        (store / folder / f"{'c' * 32}{end}").symlink_to(f"{'c' * 32}{end}")
        os.mkfifo(store / folder / f"{'d' * 32}{end}")
    use_everything(project, place, tmp_path)


def test_bucket(project: Project, pushed: Callable[[Place], str], moto: S3Server, tmp_path: Path) -> None:
    """A bucket that others write to, with markers of folders and keys of any characters."""
    place = moto.new_place()
    own = pushed(place)
    plant_objects(place.plant, own)
    for key in (
        "packs/",
        f"commits/{own}/",
        "commits/",
        "packs/a b",
        "packs/ü",
        "index//x",
        f"packs/{_SESSION}-0.vpack/",
    ):
        place.plant(key, b"")
    use_everything(project, place, tmp_path)
