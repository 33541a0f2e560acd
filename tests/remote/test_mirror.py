"""The mirror: hints that are kept, and everything that may happen to them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.remote.world import Machine, small_files
from vstore.objects.digest import hash_bytes
from vstore.remote.layout import PackRef, new_session, pack_key
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.mirror import Mirror

_PACK = PackRef(pack_key("ab" * 16, 3), 1234, "0" * 32)


def die(mirror: Mirror, session: str) -> None:
    """Begin a session and die."""
    with mirror.open_journal(session) as journal:
        journal.note(_PACK)
        raise KeyboardInterrupt


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """An empty mirror, whose directory does not exist yet."""
    return Mirror(tmp_path / "mirror")


def test_empty_mirror_knows_nothing(mirror: Mirror) -> None:
    """Asking a mirror that does not exist is no error."""
    assert mirror.find_commit(f"commits/p/{'0' * 32}.json", 100) is None
    assert mirror.large_contents() == {}
    assert mirror.distrusted_packs() == set()
    assert mirror.find_index(f"index/{'0' * 32}-0.vidx") is None
    assert mirror.find_end(_PACK) is None
    assert mirror.index_keys() == []
    assert mirror.whole_commits() == set()
    assert mirror.unfinished_sessions() == {}


def test_whole_commits_are_remembered_among_those_that_exist(mirror: Mirror) -> None:
    """Commits are remembered until they are gone."""
    mirror.keep_whole(["a", "b"], among=["a", "b", "c"])
    mirror.keep_whole(["c"], among=["b", "c"])
    assert mirror.whole_commits() == {"b", "c"}


def test_large_contents_are_remembered_while_their_packs_exist(mirror: Mirror) -> None:
    """Where a content lies is remembered until one of its packs is gone."""
    one, other = hash_bytes(b"one", "xxh128"), hash_bytes(b"other", "blake3")
    mirror.keep_large({one: {"p1", "p2"}, other: {"p3"}}, among={"p1", "p2", "p3"})
    assert mirror.large_contents() == {one: {"p1", "p2"}, other: {"p3"}}
    mirror.keep_large({}, among={"p1", "p3"})
    assert mirror.large_contents() == {other: {"p3"}}


def test_distrust_ends_with_the_pack(mirror: Mirror) -> None:
    """Damaged packs are remembered until they are gone."""
    mirror.distrust({"packs/a"})
    mirror.distrust({"packs/b"})
    assert mirror.distrusted_packs() == {"packs/a", "packs/b"}
    mirror.forget_packs(among={"packs/b", "packs/c"})
    assert mirror.distrusted_packs() == {"packs/b"}


def test_what_the_remote_does_not_list_is_forgotten(tmp_path: Path) -> None:
    """Mirrored commits, index objects and ends of packs go when the remote does not have them any more."""
    remote = MemoryTransport()
    ada, bob = Machine(tmp_path / "ada", remote), Machine(tmp_path / "bob", remote)
    files = small_files()
    ada.push(ada.add(files))
    for listed in list(remote.list("index/")):
        remote.delete(listed.key)
    bob.push(bob.add(files | {"new": b"new"}))
    held = [path.name for path in bob.mirror.path.rglob("*") if path.is_file()]
    assert sum(name.endswith(".vpack") for name in held) == 2, "of the pack that no index tells of, and of its own"
    for listed in list(remote.list("")):
        remote.delete(listed.key)
    ada.push(ada.add({"other": b"other"}))
    bob.fetch(bob.add({"other": b"other"}))
    bob.push(bob.add({"third": b"third"}))
    kept = {path.relative_to(bob.mirror.path).as_posix() for path in bob.mirror.path.rglob("*") if path.is_file()}
    there = {listed.key for listed in remote.list("")}
    assert {key for key in kept if key.startswith(("commits/", "index/"))} <= there
    assert {f"packs/{key[5:]}" for key in kept if key.startswith("ends/")} <= there


def test_journal_stays_only_after_a_death(mirror: Mirror) -> None:
    """What a session meant to upload is known to the next one if it died, and forgotten if it did not."""
    session = new_session()
    with pytest.raises(KeyboardInterrupt):
        die(mirror, session)
    assert mirror.unfinished_sessions() == {session: [_PACK]}
    with mirror.open_journal(new_session()) as journal:
        journal.note(_PACK)
    assert mirror.unfinished_sessions() == {session: [_PACK]}
    mirror.forget_sessions([session])
    assert mirror.unfinished_sessions() == {}


def test_journal_is_given_up_with_its_intent(mirror: Mirror) -> None:
    """What died so long ago that its intent has expired is looked for no more, and its journal goes."""
    session = new_session()
    with pytest.raises(KeyboardInterrupt):
        die(mirror, session)
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(mirror.path / "journals" / session, (long_ago, long_ago))
    assert mirror.unfinished_sessions() == {session: []}
    mirror.forget_sessions([session])
    assert mirror.unfinished_sessions() == {}


def test_journal_of_a_running_session_is_not_forgotten(mirror: Mirror) -> None:
    """A session that still runs keeps its journal whatever another one thinks."""
    session = new_session()
    with mirror.open_journal(session) as journal:
        journal.note(_PACK)
        Mirror(mirror.path).forget_sessions([session])
        assert mirror.unfinished_sessions() == {session: [_PACK]}


def test_torn_journal_lines_are_ignored(mirror: Mirror) -> None:
    """A line that was not finished, or that names no pack, is nothing."""
    path = mirror.path / "journals" / "x"
    path.parent.mkdir(parents=True)
    path.write_text(f"{_PACK.key} 1234 {'0' * 32}\npacks/../../x 1 {'0' * 32}\n\xff\n{_PACK.key} 99", "latin-1")
    assert mirror.unfinished_sessions() == {"x": [_PACK]}


@pytest.mark.parametrize("damage", ["truncate", "garbage", "empty", "directory", "gone"])
def test_damaged_mirror_costs_only_requests(tmp_path: Path, damage: str) -> None:
    """Whatever happens to the files of a mirror, pushes and fetches go on."""
    remote = MemoryTransport()
    ada = Machine(tmp_path / "ada", remote)
    files = small_files()
    root = ada.add(files)
    ada.push(root)
    ada.mirror.keep("journals/dead", b"dead")
    for path in [path for path in ada.mirror.path.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        path.unlink()
        if damage == "truncate":
            path.write_bytes(data[: len(data) // 2])
        elif damage == "garbage":
            path.write_bytes(bytes(reversed(data)))
        elif damage == "empty":
            path.touch()
        elif damage == "directory":
            path.mkdir()
    assert ada.push(root).commit is None
    more = ada.add(files | {"new": b"new"})
    assert ada.push(more).records == 2
    ada.shelf.contents.clear()
    ada.fetch(more)
    assert ada.holds(more)


def test_mirror_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """Where no mirror can be made, a push and a fetch work without one."""
    blocked = tmp_path / "ada"
    blocked.mkdir()
    (blocked / "mirror").write_bytes(b"not a directory")
    ada = Machine(blocked, MemoryTransport())
    root = ada.add(small_files())
    ada.push(root)
    ada.shelf.contents.clear()
    ada.fetch(root)
    assert ada.holds(root)
    assert os.path.isfile(ada.mirror.path)


def test_readings_of_packs_that_are_gone_are_forgotten(mirror: Mirror) -> None:
    """When packs were read is kept, the latest time of each, as long as they are there."""
    other = _PACK._replace(key=pack_key("ab" * 16, 4))
    mirror.keep_readings({_PACK: 10, other: 20}, among={_PACK.key, other.key})
    mirror.keep_readings({_PACK: 5}, among={_PACK.key, other.key})
    assert mirror.readings() == {_PACK: 10, other: 20}
    mirror.keep_readings({other: 30}, among={other.key})
    assert mirror.readings() == {other: 30}


def test_packs_are_trusted_again(mirror: Mirror) -> None:
    """What was distrusted and proved good is relied upon again; the rest is not."""
    other = pack_key("ab" * 16, 4)
    mirror.distrust({_PACK.key, other})
    mirror.trust({_PACK.key})
    assert mirror.distrusted_packs() == {other}
