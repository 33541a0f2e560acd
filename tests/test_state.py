"""The state is a hint: it remembers, and whatever happens to its file costs no more than that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from vstore.objects.digest import hash_bytes
from vstore.state import DirectoryRecord, Placed, RootRecord, State, Verified

DIGEST = hash_bytes(b"x", "xxh128")
RECORD = DirectoryRecord("data", b"a\0b", b"\0" * 80, f"{DIGEST}\0{DIGEST}".encode())
ROOT = RootRecord(b"fingerprint", DIGEST, 10, 2)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A state with something in it."""
    state = State(tmp_path / "some/where/state.db")
    state.save("data", [RECORD, RECORD._replace(path="data/sub")], [], ROOT)
    state.save_placed("data", Placed("tree", DIGEST))
    state.save_verified([Verified(DIGEST, 1, 2, 3)])
    yield state
    state.close()


def holds(state: State) -> bool:
    """Tell whether a state remembers what it was told."""
    return state.find_root("data") == ROOT and state.find_placed("data") == Placed("tree", DIGEST)


def test_remembers(state: State) -> None:
    """What was saved is there when the file is opened again."""
    again = State(state.path)
    assert holds(again) and again.load_verified() == {Verified(DIGEST, 1, 2, 3)}
    assert again.load_directories("data") == {"data": RECORD, "data/sub": RECORD._replace(path="data/sub")}
    again.close()


def test_forgets_one_artifact(state: State) -> None:
    """Forgetting takes the artifact and all below it, and no neighbour whose name begins alike."""
    for name in ("data-2", "data0", "dat"):
        state.save(name, [RECORD._replace(path=name)], [], ROOT)
        state.save_placed(name, Placed("tree", DIGEST))
    state.forget("data")
    assert not state.load_directories("data") and state.find_root("data") is None
    assert set(state.load_placed()) == {"data-2", "data0", "dat"}
    assert all(state.load_directories(name) for name in ("data-2", "data0", "dat"))


def test_whole_supersedes_parts(state: State) -> None:
    """What is put at a path stands for whatever was put inside it."""
    state.save_placed("other/a", Placed("tree", DIGEST))
    state.save_placed("other", Placed("tree", DIGEST))
    assert set(state.load_placed()) == {"data", "other"}


def test_what_was_put_inside_is_found(state: State) -> None:
    """What was put at paths inside an artifact is listed, and nothing of a neighbour whose name begins alike."""
    for name in ("other/b", "other/a/x", "other-2/a", "other0", "othe"):
        state.save_placed(name, Placed("tree", DIGEST))
    assert state.list_placed_below("other") == ["other/a/x", "other/b"]


@pytest.mark.parametrize("damage", ["no database", "empty", "cut", "spoilt", "newer", "directory"])
def test_damaged_file_is_made_anew(state: State, damage: str) -> None:
    """Whatever is wrong with the file, asking gives nothing and afterwards it remembers again."""
    state.save("many", [RECORD._replace(path=f"many/{number:04}") for number in range(500)], [], None)
    state.close()
    data = state.path.read_bytes()
    if damage == "newer":
        connection = sqlite3.connect(state.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    elif damage == "directory":
        state.path.unlink()
        state.path.mkdir()
    else:
        spoilt = data[:4096] + bytes(len(data) - 4096)
        state.path.write_bytes({"no database": b"x" * 5000, "empty": b"", "cut": data[:6000], "spoilt": spoilt}[damage])
    again = State(state.path)
    again.find_root("data")
    again.load_directories("many")
    again.load_placed()
    if damage == "directory":
        assert again.find_root("data") is None
        return
    again.save("data", [RECORD], [], ROOT)
    again.save_placed("data", Placed("tree", DIGEST))
    assert holds(again)
    again.close()


def test_left_journal_spoils_nothing(state: State) -> None:
    """A journal that belonged to a damaged file is not played back into the new one."""
    state.close()
    state.path.write_bytes(b"damaged" * 1000)
    journal = state.path.with_name("state.db-journal")
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\0" * 1000)
    again = State(state.path)
    again.save("data", [RECORD], [], ROOT)
    assert again.find_root("data") == ROOT and (not journal.exists() or journal.stat().st_size == 0)
    again.close()


def test_nowhere_to_write(tmp_path: Path) -> None:
    """Where no file can be, nothing is remembered, and nobody is troubled."""
    (tmp_path / "file").write_bytes(b"")
    state = State(tmp_path / "file/state.db")
    state.save("data", [RECORD], [], ROOT)
    assert state.find_root("data") is None and state.load_placed() == {}
    state.close()


def test_names_that_are_not_text(state: State) -> None:
    """A path that is not UTF-8 cannot be remembered, and troubles nobody."""
    state.save("data", [RECORD._replace(path="data/\udcff")], [], ROOT)
    assert state.load_directories("data/\udcff") == {}


def test_finds_many_in_one_go(state: State) -> None:
    """Of any number of paths those that are known are found."""
    records = [DirectoryRecord(f"f{number}", b"name", b"stats", b"digest") for number in range(0, 2500, 2)]
    state.save("f0", records, [], None)
    assert state.find_directories([f"f{number}" for number in range(2500)]) == {found.path: found for found in records}
    assert state.find_directories([]) == {}
