"""Stores that lie, drop and damage: nothing is reported that is not so, and the next push mends what can be mended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.remote.faults import Crash, Hooked
from tests.remote.world import Machine, noise, small_files
from vstore.errors import ObjectMissingError, RemoteUnavailableError
from vstore.progress import SILENT
from vstore.remote import packer
from vstore.remote.commits import commit_from_bytes, intent_from_bytes
from vstore.remote.content import Root
from vstore.remote.index import index_to_bytes
from vstore.remote.layout import PackRef, find_session, tombstone_key
from vstore.remote.ledger import Ledger
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Buffer, Key, Listed, Transport
from vstore.remote.wrappers import LoggedTransport, Wrapper

_FILES = small_files() | {"big": noise(700_000)}


class Liar(Wrapper):
    """Passes what is written, read in ranges and listed through functions; None is not written at all."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.written: Callable[[Key, bytes], bytes | None] = lambda key, data: data
        self.read_as: Callable[[Key, bytes], bytes] = lambda key, data: data
        self.listed: Callable[[str, list[Listed]], list[Listed]] = lambda prefix, found: found

    def write(self, key: Key, data: Buffer) -> None:
        kept = self.written(key, bytes(data))
        if kept is not None:
            self.inner.write(key, kept)

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        return self.read_as(key, self.inner.read_range(key, start, length))

    def list(self, prefix: str) -> Iterator[Listed]:
        return iter(self.listed(prefix, list(self.inner.list(prefix))))


@pytest.fixture
def remote() -> Liar:
    """A remote that may lie."""
    return Liar(MemoryTransport())


@pytest.fixture
def ada(tmp_path: Path, remote: Liar) -> Machine:
    """A machine."""
    return Machine(tmp_path / "ada", remote)


@pytest.fixture
def bob(tmp_path: Path, remote: Liar) -> Machine:
    """Another machine."""
    return Machine(tmp_path / "bob", remote)


def keys(transport: Transport, prefix: str) -> list[Key]:
    """The keys below a prefix."""
    return sorted(listed.key for listed in transport.list(prefix))


def flip(remote: Transport, key: Key, position: int) -> None:
    """Damage one byte of an object."""
    data = bytearray(remote.read(key))
    data[position] ^= 1
    remote.write(key, data)


@pytest.mark.parametrize("folder", ["format.json", "intents/", "packs/", "index/", "commits/"])
@pytest.mark.parametrize("half", [True, False], ids=["half", "nothing"])
@pytest.mark.parametrize("again", [True, False], ids=["always", "once"])
def test_write_that_was_not_done_is_never_believed(
    tmp_path: Path, ada: Machine, remote: Liar, folder: str, half: bool, again: bool
) -> None:
    """A store that says that it wrote, and wrote half or nothing: a push that succeeds can be fetched."""
    lied: list[Key] = []

    def lie(key: Key, data: bytes) -> bytes | None:
        if key.startswith(folder) and (again or not lied):
            lied.append(key)
            return data[: len(data) // 2] if half else None
        return data

    remote.written = lie
    root = ada.add(_FILES)
    with contextlib.suppress(RemoteUnavailableError):
        ada.push(root)
        carol = Machine(tmp_path / "carol", remote)
        assert carol.fetch(root).missing == ()
        assert carol.holds(root)
    assert lied
    remote.written = lambda key, data: data
    if folder == "format.json" and half:
        remote.inner.delete(folder)  # it cannot tell whether a newer vstore wrote it: that is for people to decide
    ada.push(root)
    dave = Machine(tmp_path / "dave", remote)
    assert dave.fetch(root).missing == ()
    assert dave.holds(root)


@pytest.mark.parametrize("folder", ["commits/", "index/", "packs/", "intents/"])
@pytest.mark.parametrize("call", range(3))
def test_listing_that_is_incomplete_once_loses_nothing(
    tmp_path: Path, ada: Machine, bob: Machine, remote: Liar, folder: str, call: int
) -> None:
    """A listing that misses objects makes a push upload more, never commit to less."""
    old = ada.add(_FILES, "old")
    ada.push(old)
    calls: list[str] = []

    def lie(prefix: str, found: list[Listed]) -> list[Listed]:
        if prefix.startswith(folder):
            calls.append(prefix)
            if len(calls) == call + 1:
                return found[1:]
        return found

    remote.listed = lie
    new = ada.add(_FILES | {"new": b"new"}, "new")
    ada.push(old, new)
    bob.fetch(old, new)
    remote.listed = lambda prefix, found: found
    carol = Machine(tmp_path / "carol", remote)
    assert carol.fetch(old, new).missing == ()
    assert carol.holds(old, new)


def test_damaged_commit_is_seen_by_the_check_and_replaced(tmp_path: Path, ada: Machine, remote: Liar) -> None:
    """The machine that made a commit does not trust its memory of it when it checks, and pushes again."""
    root = ada.add(_FILES)
    ada.push(root)
    (commit,) = keys(remote, "commits/")
    flip(remote, commit, 50)
    assert [lack.root for lack in ada.remote.check([root])] == [root.digest]
    assert ada.push(root).committed == (root.digest,)
    assert ada.remote.check([root]) == []
    carol = Machine(tmp_path / "carol", remote)
    carol.fetch(root)
    assert carol.holds(root)


def test_commit_that_was_cut_short_is_replaced(ada: Machine, bob: Machine, remote: Liar) -> None:
    """A commit that is shorter than the machine remembers is not there."""
    root = ada.add(_FILES)
    ada.push(root)
    (commit,) = keys(remote, "commits/")
    remote.inner.write(commit, remote.inner.read(commit)[:-5])
    assert ada.remote.missing_roots([root.digest]) == {root.digest}
    assert ada.push(root).commit
    bob.fetch(root)
    assert bob.holds(root)


@pytest.mark.parametrize("position", [-1, 100, 400_000], ids=["end", "record", "chunk"])
def test_damage_that_was_seen_is_mended_by_the_next_push(
    tmp_path: Path, ada: Machine, remote: Liar, position: int
) -> None:
    """A pack that was seen to be damaged, by a fetch or by a check, is not relied upon: its contents go up anew."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = keys(remote, "packs/")
    flip(remote, pack, position)
    if position == -1:
        assert ada.remote.check([root])
    else:
        ada.remote.fetch(root.contents, Machine(tmp_path / "scratch", remote).shelf, roots=[root.digest])
    assert ada.remote.missing_roots([root.digest]) == ({root.digest} if ada.mirror.distrusted_packs() else set())
    assert ada.mirror.distrusted_packs() == {pack}
    report = ada.push(root)
    assert report.commit
    assert pack not in commit_from_bytes(remote.read(report.commit), report.commit).packs()
    remote.inner.delete(pack)
    carol = Machine(tmp_path / "carol", remote)
    assert carol.fetch(root).missing == ()
    assert carol.holds(root)
    assert ada.push(root).commit is None


def test_swapped_packs_give_no_wrong_bytes(
    ada: Machine, bob: Machine, remote: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs that changed places are found out, and the next push mends it."""
    monkeypatch.setattr(packer, "PACK_BYTES", 100_000)
    root = ada.add({f"{i:02}": noise(10_000, i) for i in range(30)})
    ada.push(root)
    one, other, *_ = keys(remote, "packs/")
    first, second = remote.read(one), remote.read(other)
    remote.inner.write(one, second)
    remote.inner.write(other, first)
    assert bob.fetch(root).damaged
    assert all(ada.shelf.contents[digest] == data for digest, data in bob.shelf.contents.items())
    assert ada.remote.check([root])
    ada.push(root)
    assert bob.fetch(root).missing == ()
    assert bob.holds(root)


def test_index_of_another_pack_of_that_name_is_not_believed(ada: Machine, bob: Machine, remote: Liar) -> None:
    """An index that means a pack of another length or checksum than the commit does makes nobody rely on it."""
    ada.push(ada.add({"a": b"a"}))
    (commit,) = keys(remote, "commits/")
    (pack,) = commit_from_bytes(remote.read(commit), commit).packs().values()
    scratch = Machine(bob.mirror.path / "scratch", MemoryTransport(), project="p1")
    new = scratch.add({"a": b"a", "never": b"uploaded"})
    scratch.push(new)
    (made,) = keys(scratch.transport, "commits/")
    (source,) = commit_from_bytes(scratch.transport.read(made), made).packs().values()
    table = Ledger(scratch.site, SILENT).read_table(source)
    lie = PackRef(pack.key, pack.size_bytes, "0" * 32)
    remote.inner.write(f"index/{find_session(pack.key)}-0.vidx", index_to_bytes([(lie, table)]))
    root = bob.add({"a": b"a", "never": b"uploaded"})
    bob.push(root)
    carol = Machine(bob.mirror.path / "carol", remote)
    carol.fetch(root)
    assert carol.holds(root)


def test_what_only_a_doomed_pack_holds_is_copied_out_of_it(ada: Machine, bob: Machine, remote: Liar) -> None:
    """A root whose pack is doomed, and of which nothing is held here, is brought to safety from that pack."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = keys(remote, "packs/")
    remote.write(tombstone_key(pack), b"")
    for key in keys(remote, "index/"):
        remote.delete(key)
    assert bob.push(root).commit
    remote.delete(pack)
    assert bob.fetch(root).missing == ()
    assert bob.holds(root)


def test_intent_names_the_packs_of_roots_that_are_there(tmp_path: Path) -> None:
    """What a root needs that is named again, though nothing of it is uploaded, is announced as well."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    old = ada.add({"old": b"old"}, "old")
    ada.push(old)
    (pack,) = keys(remote, "packs/")
    seen: list[frozenset[Key]] = []

    def look(operation: str, key: Key) -> None:
        if operation == "write" and key.startswith("intents/"):
            seen.append(intent_from_bytes(remote.inner.read(key), key))

    remote.after = look
    ada.push(old, ada.add({"new": b"new"}, "new"))
    assert seen == [frozenset({pack})]


def begin_and_die(ada: Machine, remote: Hooked, root: Root, monkeypatch: pytest.MonkeyPatch) -> Key:
    """Let a push die as soon as its first pack is stored; return that pack."""
    monkeypatch.setattr(packer, "PACK_BYTES", 100_000)

    def die(operation: str, key: Key) -> None:
        if operation == "write" and key.startswith("packs/"):
            raise Crash

    ada.site = ada.site.__class__(ada.transport, ada.mirror, ada.site.project, "ada", jobs=1, in_flight_bytes=1)
    remote.after = die
    with pytest.raises(Crash):
        ada.push(root)
    remote.after = lambda operation, key: None
    return keys(remote, "packs/")[0]


def test_pack_whose_upload_was_not_acknowledged_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal names a pack before it is uploaded, so that not even the last one goes up twice."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    root = ada.add({f"{i:02}": noise(10_000, i) for i in range(30)})
    pack = begin_and_die(ada, remote, root, monkeypatch)
    report = ada.push(root)
    assert report.commit
    assert pack in commit_from_bytes(remote.read(report.commit), report.commit).packs()
    assert report.records < len(root.contents)


def test_pack_of_a_dead_session_that_is_doomed_is_not_relied_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack that a dead session left is looked for like any other before a commit names it."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    root = ada.add({f"{i:02}": noise(10_000, i) for i in range(30)})
    pack = begin_and_die(ada, remote, root, monkeypatch)
    remote.inner.write(tombstone_key(pack), b"")
    report = ada.push(root)
    assert report.commit
    assert keys(remote, "commits/") == [report.commit]
    assert pack not in commit_from_bytes(remote.read(report.commit), report.commit).packs()


def test_unchanged_large_files_cost_no_requests(tmp_path: Path) -> None:
    """A push of a changed tree does not read the recipes of its unchanged large files again."""
    log = LoggedTransport(MemoryTransport())
    ada = Machine(tmp_path / "ada", log)
    files = {f"big{i}": noise(300_000, i) for i in range(5)}
    ada.push(ada.add(files))
    log.requests.clear()
    assert ada.push(ada.add(files | {"new": b"new"})).records == 2
    assert "read_range" not in {request.operation for request in log.requests}


def test_large_file_whose_remembered_pack_is_gone_goes_up_again(ada: Machine, bob: Machine, remote: Liar) -> None:
    """What is remembered of large files counts only as far as their packs are listed."""
    root = ada.add({"big": noise(700_000)})
    ada.push(root)
    remote.inner.delete(keys(remote, "packs/")[0])
    new = ada.add({"big": noise(700_000), "new": b"new"})
    ada.push(new)
    bob.fetch(new)
    assert bob.holds(new)


def test_no_commit_claims_what_only_a_damaged_pack_held(ada: Machine, bob: Machine, remote: Liar) -> None:
    """Where what was damaged is held nowhere else, a push of it fails and writes no commit."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = keys(remote, "packs/")
    flip(remote, pack, 100)
    lost = bob.fetch(root).missing
    assert lost
    before = keys(remote, "commits/")
    with pytest.raises(ObjectMissingError) as caught:
        bob.push(root)
    assert caught.value.fields["digests"] == sorted(lost)
    assert keys(remote, "commits/") == before


def test_bytes_damaged_on_the_way_are_read_again(ada: Machine, bob: Machine, remote: Liar) -> None:
    """What arrives damaged once is asked for once more before the pack is blamed."""
    root = ada.add(_FILES)
    ada.push(root)
    reads: list[Key] = []

    def garble(key: Key, data: bytes) -> bytes:
        reads.append(key)
        return bytes(len(data)) if len(reads) % 2 else data

    remote.read_as = garble
    report = bob.fetch(root)
    assert (report.missing, report.damaged) == ((), ())
    assert bob.holds(root)
    assert bob.mirror.distrusted_packs() == set()
