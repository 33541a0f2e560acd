"""What holds for every move: resuming, settings of the repository, and deaths on the way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.command import git
from tests.ops.migrate.hand_made import HandMade, md5
from tests.project import LARGE
from tests.stateful.test_death import die_everywhere, pointers_are_good
from vstore.objects.digest import hash_bytes
from vstore.ops.migrate.foreign import MD5, ForeignName
from vstore.ops.migrate.memory import Held, Memory


@pytest.fixture
def made(git_repo: Path) -> HandMade:
    """A repository in which DVC tracks a directory of three files, none of which is checked out."""
    project = HandMade(git_repo)
    project.write(".gitignore", b"/data\n")
    project.track("data", {"a": b"a\n", "b": b"b\n", "large": LARGE})
    project.git("add", "--all")
    project.commit("first")
    return project


def test_what_was_brought_is_not_read_again(made: HandMade) -> None:
    """What a first try could bring, lists and all, is taken from our cache when the rest can be had."""
    lost = made.object_path(md5(b"b\n"))
    lost.unlink()
    assert made.migrate(3)["missing"] == [["data/b", "is not in the cache of DVC"]]
    shutil.rmtree(made.path / ".dvc/cache")
    made.keep(b"b\n")
    made.migrate()
    assert made.ok("cat", "data/large").stdout_bytes == LARGE


def test_what_our_cache_lost_is_read_again(made: HandMade) -> None:
    """What was moved once and is in our cache no longer is read from DVC's again."""
    made.migrate()
    made.drop_cache()
    made.migrate()
    assert made.ok("cat", "data/large").stdout_bytes == LARGE


def test_what_was_said_of_a_pointer_stays(made: HandMade) -> None:
    """A second run does not undo what somebody said of the data since, with vstore."""
    made.migrate()
    made.ok("checkout")
    made.ok("add", "data", "--desc", "ours")
    made.migrate()
    assert 'description = "ours"' in made.read("data.vstore").decode()


def test_another_hash(made: HandMade) -> None:
    """In a repository with another hash its digests are used, whatever was moved before."""
    made.migrate()
    made.git("rm", "-r", "--cached", "--quiet", ".vstore")
    shutil.rmtree(made.path / ".vstore")
    os.unlink(made.path / "data.vstore")
    made.ok("init", "--hash", "blake3")
    (moved,) = made.migrate()["artifacts"]
    assert moved["digest"].startswith("blake3:")
    assert made.ok("cat", "data/a").stdout == "a\n"


def test_nothing_is_staged_unasked(made: HandMade) -> None:
    """With core.autostage off only files are written."""
    made.ok("init")
    made.git("reset", "--quiet")
    made.ok("config", "set", "core.autostage", "false")
    made.migrate(0, "--remove")
    assert made.git("status", "--short").splitlines() == [" D data.dvc", "?? .vstore/", "?? data.vstore"]


def test_empty_things(made: HandMade) -> None:
    """An empty directory and an empty file are tracked as such."""
    made.track("nothing", {})
    made.point(made.keep(b""), "empty")
    made.migrate()
    made.ok("checkout")
    assert os.listdir(made.path / "nothing") == [] and made.read("empty") == b""


def test_executables(made: HandMade) -> None:
    """The bit that a list of DVC does not hold is that of the file in the work tree, if nobody changed it."""
    os.chmod(made.write("data/a", b"a\n"), 0o755)
    os.chmod(made.write("data/b", b"changed\n"), 0o755)
    made.migrate()
    lines = made.ok("ls", "-R", "--long", "data").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["executable", "file", "file"]


def test_cache_type_is_taken_over(made: HandMade) -> None:
    """A repository that is made for it links files as DVC's configuration says."""
    made.write(".dvc/config", b'[cache]\n    type = "hardlink,nonsense,copy"\n')
    made.migrate()
    assert made.ok("config", "get", "cache.type").stdout == "hardlink,copy\n"
    made.ok("checkout")
    assert os.stat(made.path / "data/large").st_nlink == 2


def test_history_survives_death(made: HandMade) -> None:
    """Whenever writing history dies, the old one is untouched, and the same command writes the new one whole."""
    made.track("data", {"a": b"newer\n", "large": LARGE[::-1]})
    made.git("add", "--all")
    tip = made.commit("second")

    def check(is_over: bool) -> None:
        assert made.git("rev-parse", "main") == tip and not made.has("data.vstore")
        if is_over:
            assert made.git("rev-list", "--count", "vstore/main") == "2"
            assert made.ok("cat", "--rev", "vstore/main~1", "data/b").stdout == "b\n"
            made.git("checkout", "--quiet", "vstore/main")
            pointers_are_good(made)
            assert made.git("for-each-ref", "refs/vstore") == ""

    assert die_everywhere(made, ["migrate", "dvc", "--all-branches"], check, step=8) > 20


def test_long_object_ids(tmp_path: Path) -> None:
    """In a repository whose objects have SHA-256 names history is written just so."""
    path = tmp_path / "long"
    path.mkdir()
    git("init", "--quiet", "--object-format=sha256", cwd=path)
    made = HandMade(path)
    made.track("data", {"deep/a": b"a\n"})
    made.git("add", "--all")
    made.commit("first")
    (rewritten,) = made.migrate(0, "--all-commits")["history"]
    assert len(rewritten["commit"]) == 64
    assert made.ok("cat", "--rev", "vstore/main", "data/deep/a").stdout == "a\n"
    made.migrate()
    assert made.git("status", "--short").endswith("A  data.vstore")


def test_odd_names_in_history(git_repo: Path) -> None:
    """Names with quotes, newlines and letters of every kind come through, and so do messages that are no text."""
    made = HandMade(git_repo)
    made.point(made.keep(b"1"), "'a \"quoted\" größe'", 'dir/a "quoted" größe')
    made.write('other "x"\n\ty', b"git's\n")
    made.git("add", "--all")
    message = made.write("message", b"\xff\n\n\ndata 5\n")
    made.git("commit", "--quiet", "--cleanup=verbatim", "-F", message)
    made.migrate(0, "--all-commits")
    names = made.git("-c", "core.quotePath=false", "ls-tree", "-r", "-z", "--name-only", "vstore/main").split("\0")
    assert 'dir/a "quoted" größe.vstore' in names and 'other "x"\n\ty' in names
    assert made.git("cat-file", "commit", "vstore/main").endswith("\n\n\ndata 5")


def test_memory(tmp_path: Path) -> None:
    """What is remembered survives lines that were cut off, and is of one hash algorithm."""
    path = tmp_path / "deep/migrated"
    one, two, three = (ForeignName(MD5, md5(text)) for text in (b"1", b"2", b"3"))
    held = Held(hash_bytes(b"1", "xxh128"), 1)
    Memory(path, "xxh128").save({one: held})
    with path.open("ab") as file:
        file.write(f"{two} {held.digest}"[:-3].encode() + b"\xff")
    Memory(path, "xxh128").save({three: held})
    again = Memory(path, "xxh128")
    assert (again.find(one), again.find(two), again.find(three)) == (held, None, held)
    assert Memory(path, "blake3").find(one) is None
