"""Fetching: everything verified, few requests, and the best made of what is damaged or gone."""

from __future__ import annotations

from pathlib import Path

import pytest
import xxhash

from tests.remote.world import PROJECT, Machine, noise, small_files
from vstore.errors import NewerFormatError, ObjectMissingError, RemoteUnavailableError
from vstore.progress import Reporter
from vstore.remote import fetch, packer
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Key
from vstore.remote.wrappers import LoggedTransport


@pytest.fixture
def log() -> LoggedTransport:
    """A remote in memory whose requests are counted."""
    return LoggedTransport(MemoryTransport())


@pytest.fixture
def ada(tmp_path: Path, log: LoggedTransport) -> Machine:
    """A machine."""
    return Machine(tmp_path / "ada", log)


@pytest.fixture
def bob(tmp_path: Path, log: LoggedTransport) -> Machine:
    """Another machine."""
    return Machine(tmp_path / "bob", log)


def keys(log: LoggedTransport, prefix: str) -> list[Key]:
    """The keys below a prefix."""
    return sorted(listed.key for listed in log.inner.list(prefix))


def requests(log: LoggedTransport) -> list[str]:
    """The requests since the last call, as "operation folder"."""
    made = [f"{request.operation} {request.key.partition('/')[0]}" for request in log.requests]
    log.requests.clear()
    return made


def flip(log: LoggedTransport, key: Key, position: int) -> None:
    """Damage one byte of an object."""
    data = bytearray(log.inner.read(key))
    data[position] ^= 1
    log.inner.write(key, data)


def test_small_files_take_five_requests(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A fresh fetch of many small files costs five requests, and one with a mirror two."""
    root = ada.add(small_files(500))
    ada.push(root)
    requests(log)
    bob.fetch(root)
    assert requests(log) == ["list commits", "read commits", "list index", "read index", "read_range packs"]
    assert bob.holds(root)
    bob.shelf.contents.clear()
    bob.fetch(root)
    assert requests(log) == ["list commits", "read_range packs"]


def test_only_what_is_wanted_is_read(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A few files out of a big directory cost about their own bytes."""
    root = ada.add({f"{i:03}": noise(100_000, i) for i in range(200)})
    ada.push(root)
    log.requests.clear()
    wanted = root.contents[50:52]
    report = bob.remote.fetch(wanted, bob.shelf, roots=[root.digest])
    assert report.contents == 2
    assert sum(r.size_bytes for r in log.requests if r.operation == "read_range") < 210_000


def test_newest_commit_is_read_first(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A fetch reads only so many commits as it needs to find its roots."""
    for seed in range(6):
        root = ada.add(small_files(5, seed))
        ada.push(root)
    requests(log)
    bob.fetch(root)
    assert requests(log).count("read commits") <= bob.site.jobs + 1


def test_damaged_record_is_named_and_the_rest_arrives(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """One flipped byte costs one file, which is named together with its pack."""
    root = ada.add({f"{i}": noise(1000, i) for i in range(20)})
    ada.push(root)
    pack = keys(log, "packs/")[0]
    victim = root.contents[7]
    flip(log, pack, log.inner.read(pack).index(ada.shelf.contents[victim.digest]) + 500)
    report = bob.fetch(root)
    assert report.missing == (victim.digest,)
    assert (victim.digest, pack) in report.damaged
    assert len(bob.shelf.contents) == len(root.contents) - 1


def test_damaged_record_is_found_in_another_pack(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """What is damaged in one pack is taken from another one of the project that holds it too."""
    files = {f"{i}": noise(1000, i) for i in range(20)}
    root = ada.add(files)
    ada.push(root)
    first = keys(log, "packs/")[0]
    kept = log.inner.read(first)
    log.inner.delete(first)
    ada.push(ada.add(files | {"more": b"more"}))
    log.inner.write(first, kept)
    flip(log, first, kept.index(files["7"]) + 500)
    report = bob.fetch(root)
    assert report.missing == ()
    assert report.damaged[0][1] == first
    assert bob.holds(root)


def test_damaged_chunk_of_a_large_file_is_named(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A large file with a damaged chunk is missing, its neighbours arrive, and a repaired remote completes it."""
    files = {"big": noise(3_000_000), "other": noise(2_000_000, 1), "small": b"small"}
    root = ada.add(files)
    ada.push(root)
    pack = keys(log, "packs/")[0]
    position = log.inner.read(pack).index(files["big"][1_500_000:1_500_100])
    flip(log, pack, position)
    report = bob.fetch(root)
    assert report.missing == (root.contents[0].digest,)
    flip(log, pack, position)
    report = bob.fetch(root)
    assert bob.holds(root)
    assert report.reused_bytes > 1_500_000


@pytest.mark.parametrize("position", range(0, 3000, 37))
def test_a_flipped_bit_anywhere_never_gives_wrong_bytes(
    tmp_path: Path, ada: Machine, bob: Machine, log: LoggedTransport, position: int
) -> None:
    """Whichever byte of whichever object is damaged, what arrives is right and what does not is named."""
    root = ada.add({f"{i}": noise(100, i) for i in range(10)} | {"big": noise(300_000)})
    ada.push(root)
    for key in keys(log, ""):
        carol = Machine(tmp_path / key, log)
        whole = log.inner.read(key)
        flip(log, key, -1 - position % len(whole))
        report = carol.fetch(root)
        assert set(report.missing) == {c.digest for c in root.contents if c.digest not in carol.shelf.contents}
        assert all(ada.shelf.contents[digest] == data for digest, data in carol.shelf.contents.items())
        log.inner.write(key, whole)


def test_lost_index_is_replaced_by_the_ends_of_packs(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """Without index objects a fetch costs two more requests a pack, once."""
    root = ada.add(small_files())
    ada.push(root)
    log.inner.delete(keys(log, "index/")[0])
    requests(log)
    bob.fetch(root)
    assert bob.holds(root)
    assert requests(log).count("read_range packs") == 3
    bob.fetch(root)
    assert requests(log).count("read_range packs") == 1


def test_damaged_index_and_end_are_replaced_by_the_records(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """Without a readable index or end, records are found by reading the pack forward."""
    root = ada.add(small_files() | {"big": noise(600_000)})
    ada.push(root)
    flip(log, keys(log, "index/")[0], 50)
    flip(log, keys(log, "packs/")[0], -1)
    bob.fetch(root)
    assert bob.holds(root)


@pytest.mark.parametrize("lie", [b"\xff" * 8, bytes(8), b"\0\1" + bytes(6)], ids=["far away", "the start", "nearby"])
def test_lying_index_is_found_out(ada: Machine, bob: Machine, log: LoggedTransport, lie: bytes) -> None:
    """An index whose checksum fits but whose offsets are wrong costs requests, not data."""
    root = ada.add({f"{i}": noise(1000, i) for i in range(5)})
    ada.push(root)
    key = keys(log, "index/")[0]
    body = bytearray(log.inner.read(key)[:-16])
    body[-6 * 16 : -6 * 8] = lie * 6
    log.inner.write(key, body + xxhash.xxh3_128_digest(body))
    assert bob.fetch(root).missing == ()
    assert bob.holds(root)


def test_truncated_pack_gives_what_is_left(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """Of a pack that was cut short, the records before the cut arrive and the others are named."""
    root = ada.add({f"{i:02}": noise(1000, i) for i in range(20)})
    ada.push(root)
    pack = keys(log, "packs/")[0]
    log.inner.write(pack, log.inner.read(pack)[:10_000])
    report = bob.fetch(root)
    assert 0 < report.contents < len(root.contents)
    assert report.contents + len(report.missing) == len(root.contents)


def test_gone_pack_is_named_once(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A pack that is gone makes its contents missing, with one warning."""
    root = ada.add(small_files())
    ada.push(root)
    log.inner.delete(keys(log, "packs/")[0])
    warned: list[str] = []
    reporter = Reporter()
    reporter.warn = warned.append  # type: ignore[method-assign]
    report = bob.remote.fetch(root.contents, bob.shelf, roots=[root.digest], reporter=reporter)
    assert set(report.missing) == {content.digest for content in root.contents}
    assert len(warned) == 1


def test_retired_commit_still_serves(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A root whose commit is in the trash is fetched all the same."""
    root = ada.add(small_files())
    ada.push(root)
    key = keys(log, "commits/")[0]
    log.inner.write(key.replace("commits/", "trash/"), log.inner.read(key))
    log.inner.delete(key)
    bob.fetch(root)
    assert bob.holds(root)
    assert bob.remote.missing_roots([root.digest]) == {root.digest}


def test_unknown_root_is_missing(ada: Machine, bob: Machine) -> None:
    """What nobody pushed is missing, not an error."""
    ada.push(ada.add(small_files()))
    root = bob.add({"x": b"never pushed"})
    assert set(bob.fetch(root).missing) == {content.digest for content in root.contents}


def test_newer_remote_is_named_where_something_is_missing(bob: Machine, log: LoggedTransport) -> None:
    """A root that is not found in a remote of a newer format is an error that says so."""
    log.inner.write("format.json", b'{"version":2}')
    with pytest.raises(NewerFormatError, match=r"format\.json"):
        bob.fetch(bob.add(small_files()))


def test_unreachable_remote_is_an_error(tmp_path: Path) -> None:
    """A directory that does not exist is one clear error, not a list of missing files."""
    bob = Machine(tmp_path / "bob", DirectoryTransport(tmp_path / "nowhere"))
    with pytest.raises(RemoteUnavailableError, match="nowhere"):
        bob.fetch(bob.add(small_files()))


def test_other_projects_serve_only_strong_hashes(tmp_path: Path, log: LoggedTransport) -> None:
    """What only another project pushed is read by blake3, which proves it, and not by xxh128."""
    for algorithm, found in (("xxh128", False), ("blake3", True)):
        stranger = Machine(tmp_path / f"{algorithm}-stranger", log, project="p2", algorithm=algorithm)
        root = stranger.add(small_files())
        stranger.push(root)
        bob = Machine(tmp_path / f"{algorithm}-bob", log, algorithm=algorithm)
        assert (bob.fetch(root).missing == ()) == found
        assert bob.holds(root) == found


def test_many_large_files_are_fetched_in_groups(ada: Machine, bob: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """More large files than may be open at once arrive, also where they share chunks."""
    monkeypatch.setattr(fetch, "_GROUP_FILES", 3)
    shared = noise(400_000)
    root = ada.add({f"{i}": noise(300_000, i) + shared for i in range(10)})
    ada.push(root)
    bob.fetch(root)
    assert bob.holds(root)


def test_recipes_of_two_levels(ada: Machine, bob: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A content whose recipe is itself cut comes back, is recognised again, and passes the check."""
    monkeypatch.setattr("vstore.objects.recipe.SMALL_BYTES", 200)
    root = ada.add({"big": noise(5_000_000)})
    ada.push(root)
    bob.fetch(root)
    assert bob.holds(root)
    again = ada.add({"moved": noise(5_000_000)})
    assert ada.push(again).records == 1
    assert ada.remote.check([root, again]) == []


def test_read_blob_reads_any_size(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A tree of any size is read without a cache, and a file of it after it costs one request."""
    small, large = ada.add(small_files(10), "small"), ada.add(small_files(5000), "large")
    assert large.contents[-1].size_bytes > 256 * 1024
    ada.push(small, large)
    remote = bob.remote
    assert remote.read_blob(small.digest) == ada.shelf.contents[small.digest]
    assert remote.read_blob(large.digest) == ada.shelf.contents[large.digest]
    log.requests.clear()
    some = large.contents[17].digest
    assert remote.read_blob(some, roots=[large.digest]) == ada.shelf.contents[some]
    assert requests(log) == ["read_range packs"]
    with pytest.raises(ObjectMissingError):
        remote.read_blob(bob.shelf.put(b"never pushed").digest)


def test_check_names_what_is_lacking(
    ada: Machine, bob: Machine, log: LoggedTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check judges by what is listed and by the ends of packs."""
    monkeypatch.setattr(packer, "PACK_BYTES", 50_000)
    root = ada.add({f"{i:02}": noise(10_000, i) for i in range(20)} | {"big": noise(400_000)})
    other = ada.add({"never": b"pushed"}, "other")
    ada.push(root)
    assert ada.remote.check([root]) == []
    assert [lack.path for lack in ada.remote.check([root, other])] == ["other"]
    pack = keys(log, "packs/")[1]
    whole = log.inner.read(pack)
    log.inner.write(pack, bytes(len(whole)))
    (lack,) = ada.remote.check([root])
    assert lack.root == root.digest
    assert 0 < len(lack.contents) < len(root.contents)
    log.inner.delete(pack)
    (lack,) = ada.remote.check([root])
    assert (lack.root, lack.packs) == (root.digest, (pack,))


def test_progress_adds_up(ada: Machine, bob: Machine) -> None:
    """What is advanced while pushing and fetching adds up to what was announced."""

    class Counter(Reporter):
        def __init__(self) -> None:
            self.left = 0

        def begin(self, task: str, *, total: int | None = None, unit: str = "files") -> None:
            assert total is not None
            self.left += total

        def advance(self, amount: int = 1) -> None:
            self.left -= amount

    big = noise(700_000)
    root = ada.add(small_files() | {"big": big, "bigger": big + big + noise(20_000_000, 2)})
    pushed, fetched = Counter(), Counter()
    ada.remote.push(ada.remote.plan_push([root]), ada.shelf, reporter=pushed)
    bob.remote.fetch(root.contents, bob.shelf, roots=[root.digest], reporter=fetched)
    assert (pushed.left, fetched.left) == (0, 0)


def test_hostile_commit_does_not_reach_other_keys(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A commit that names keys outside the packs is passed over."""
    root = ada.add(small_files())
    ada.push(root)
    key = keys(log, "commits/")[0]
    data = log.inner.read(key).replace(b"packs/", b"packs/../../")
    log.inner.write(f"commits/{PROJECT}/{'0' * 32}.json", data)
    bob.fetch(root)
    assert bob.holds(root)
    assert all(".." not in request.key for request in log.requests)
