"""Pushing: what ends up at the remote, with how many requests, and what is never written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.faults import Hooked
from tests.remote.world import PROJECT, Machine, noise, small_files
from vstore.errors import (
    CorruptError,
    NewerFormatError,
    ObjectMissingError,
    RemoteDeniedError,
    RemoteUnavailableError,
)
from vstore.progress import Reporter
from vstore.remote import packer, session
from vstore.remote.commits import commit_from_bytes, intent_from_bytes
from vstore.remote.content import Root
from vstore.remote.layout import PackRef, tombstone_key
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.sealed import seal
from vstore.remote.transport import Key, Transport
from vstore.remote.wrappers import LoggedTransport, ReadOnlyTransport


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


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of about 4 KiB, so that few files fill many."""
    monkeypatch.setattr(packer, "PACK_BYTES", 4096)


def keys(transport: Transport, prefix: str) -> list[Key]:
    """The keys below a prefix."""
    return sorted(listed.key for listed in transport.list(prefix))


def requests(log: LoggedTransport) -> list[str]:
    """The requests since the last call, as "operation folder"."""
    made = [f"{request.operation} {request.key.partition('/')[0]}" for request in log.requests]
    log.requests.clear()
    return made


def written_bytes(log: LoggedTransport) -> int:
    """How many bytes of packs were written since the last call."""
    total = sum(r.size_bytes for r in log.requests if r.operation == "write" and r.key.startswith("packs/"))
    log.requests.clear()
    return total


@pytest.mark.parametrize("algorithm", ["xxh128", "blake3"])
def test_what_one_pushes_another_fetches(tmp_path: Path, log: LoggedTransport, algorithm: str) -> None:
    """Small, large, empty and repeated files come back as they were, with either hash."""
    ada = Machine(tmp_path / "ada", log, algorithm=algorithm)
    bob = Machine(tmp_path / "bob", log, algorithm=algorithm)
    root = ada.add(small_files() | {"big": noise(3_000_000), "zeros": bytes(3_000_000), "edge": noise(256 * 1024)})
    report = ada.push(root)
    assert report.committed == (root.digest,)
    assert bob.fetch(root).missing == ()
    assert bob.holds(root)


def test_first_push_takes_packs_and_twelve_requests(ada: Machine, log: LoggedTransport) -> None:
    """A first push of many small files costs its packs and twelve requests."""
    root = ada.add(small_files(500))
    report = ada.push(root)
    assert report.packs == 1
    assert requests(log) == [
        "list commits",
        "read format.json",
        "write format.json",
        "write intents",
        "list doomed",
        "list packs",
        "write packs",
        "write index",
        "write commits",
        "list doomed",
        "list packs",
        "read commits",
        "delete intents",
    ]


def test_push_of_what_is_there_takes_two_requests(ada: Machine, log: LoggedTransport) -> None:
    """A push of what this machine pushed before costs two listings and writes nothing."""
    roots = [ada.add(small_files(seed=i), f"data{i}") for i in range(3)]
    ada.push(*roots)
    requests(log)
    assert ada.push(*roots).commit is None
    assert requests(log) == ["list commits", "list packs"]
    assert ada.remote.missing_roots([root.digest for root in roots]) == set()
    assert requests(log) == ["list commits", "list packs"]


def test_after_one_changed_file_eleven_requests(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """After one changed file the push costs eleven requests and uploads that file and the tree."""
    files = small_files(500)
    ada.push(ada.add(files))
    requests(log)
    changed = ada.add(files | {"d0/file000.txt": b"changed"})
    report = ada.push(changed)
    assert report.records == 2
    made = requests(log)
    assert len(made) == 12
    assert made.count("write packs") == 1
    bob.fetch(changed)
    assert bob.holds(changed)


def test_another_machine_sees_what_is_there(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A second machine that holds the same data uploads none of it, and looks for tombstones the first time."""
    files = small_files()
    ada.push(ada.add(files))
    requests(log)
    assert bob.push(bob.add(files)).commit is None
    assert requests(log) == ["list commits", "read commits", "list doomed", "list packs"]
    assert bob.push(bob.add(files)).commit is None
    assert requests(log) == ["list commits", "list packs"]


def test_small_edit_of_a_large_file_uploads_little(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """Bytes inserted in the middle of a large file cost a few chunks, on the way up and on the way down."""
    data = noise(8_000_000)
    old = ada.add({"big": data})
    ada.push(old)
    bob.fetch(old)
    written_bytes(log)
    new = ada.add({"big": data[:4_000_000] + b"inserted" + data[4_000_000:]})
    ada.push(new)
    assert written_bytes(log) < 2_000_000
    report = bob.fetch(new, bases={new.contents[0].digest: old.contents[0].digest})
    assert bob.holds(new)
    assert report.read_bytes < 2_000_000
    assert report.reused_bytes > 6_000_000


def test_moved_large_file_uploads_nothing_but_the_tree(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A large file under another name is recognised by its recipe."""
    data = noise(3_000_000)
    ada.push(ada.add({"big": data}))
    renamed = ada.add({"small": b"s", "renamed": data})
    assert ada.push(renamed).records == 2
    bob.fetch(renamed)
    assert bob.holds(renamed)


def test_records_are_copied_verbatim_and_in_order(ada: Machine, log: LoggedTransport, small_packs: None) -> None:
    """Packs hold the records in the order of the paths, split where they are full."""
    files = {f"{i:03}": noise(1000, i) for i in range(50)}
    root = ada.add(files)
    report = ada.push(root)
    assert report.packs > 10
    data = b"".join(log.read(key) for key in sorted(keys(log, "packs/"), key=lambda k: int(k.split("-")[1][:-6])))
    places = [data.index(files[name]) for name in sorted(files)]
    assert places == sorted(places)


def test_many_packs_come_back(ada: Machine, bob: Machine, small_packs: None) -> None:
    """Roots that lie in many packs of several sessions come back."""
    for seed in range(4):
        root = ada.add(small_files(60, seed) | {"big": noise(600_000, seed)})
        ada.push(root)
    bob.fetch(root)
    assert bob.holds(root)


def test_plan_says_what_a_push_would_do(ada: Machine) -> None:
    """A plan names what is there and counts what is not, and changes nothing."""
    files = small_files(10)
    old = ada.add(files)
    plan = ada.remote.plan_push([old])
    contents = {content.digest: content.size_bytes for content in old.contents}
    assert (plan.present, plan.new_records, plan.new_bytes) == ((), len(contents), sum(contents.values()))
    assert keys(ada.transport, "") == []
    ada.push(old)
    new = ada.add(files | {"new": b"12345"}, "other")
    plan = ada.remote.plan_push([old, new])
    tree = new.contents[-1].size_bytes
    assert (plan.present, plan.new_records, plan.new_bytes) == ((old.digest,), 2, 5 + tree)
    assert len(plan.relied) == 1


def test_commit_names_every_root_that_was_asked(ada: Machine, log: LoggedTransport) -> None:
    """A commit names also the roots that were there, so that the newest commit tells the whole state."""
    first = ada.add(small_files(seed=1), "first")
    ada.push(first)
    second = ada.add(small_files(seed=2), "second")
    report = ada.push(first, Root(second.digest, "tree", second.contents, "second", git_commit="c" * 40))
    assert (report.present, report.committed) == ((first.digest,), (second.digest,))
    assert report.commit is not None
    commit = commit_from_bytes(log.read(report.commit), report.commit)
    assert {(root.digest, root.path, root.git_commit) for root in commit.roots} == {
        (first.digest, "first", None),
        (second.digest, "second", "c" * 40),
    }
    assert all(log.find_size(pin.key) == pin.size_bytes for root in commit.roots for pin in root.pins)


def test_content_held_nowhere_stops_the_push_before_a_commit(ada: Machine, log: LoggedTransport) -> None:
    """What neither the cache nor the remote holds is named, with the paths that need it, and no commit is written."""
    root = ada.add(small_files() | {"big": noise(1_000_000)})
    lost = [content.digest for content in root.contents if content.size_bytes in (0, 1_000_000)]
    for digest in lost:
        del ada.shelf.contents[digest]
    with pytest.raises(ObjectMissingError) as caught:
        ada.push(root)
    assert caught.value.fields["digests"] == sorted(lost)
    assert caught.value.fields["paths"] == ["data"]
    assert keys(log, "commits/") == []


def test_lost_pack_of_what_is_not_held_stops_the_push_before_a_commit(ada: Machine, log: LoggedTransport) -> None:
    """Where a pack that was relied upon is gone and its contents are not held here, no commit claims them."""
    files = small_files() | {"big": noise(1_000_000)}
    ada.push(ada.add(files))
    commits = keys(log, "commits/")
    log.delete(keys(log, "packs/")[0])
    new = ada.add(files | {"new": b"new"})
    kept = {new.digest, ada.shelf.put(b"new").digest}
    ada.shelf.contents = {digest: data for digest, data in ada.shelf.contents.items() if digest in kept}
    with pytest.raises(ObjectMissingError) as caught:
        ada.push(new)
    assert set(caught.value.fields["digests"]) == {content.digest for content in new.contents} - kept
    assert keys(log, "commits/") == commits


def test_damaged_large_object_is_never_pushed(ada: Machine, log: LoggedTransport) -> None:
    """A large cached object that is not what its name says stops the push."""
    root = ada.add({"big": noise(1_000_000)})
    ada.shelf.damaged.add(root.contents[0].digest)
    with pytest.raises(CorruptError, match=root.contents[0].digest):
        ada.push(root)
    assert keys(log, "commits/") == []


def test_pack_that_vanished_is_uploaded_anew(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A push of what an index and a commit still name, but whose pack is gone, uploads it again."""
    root = ada.add(small_files() | {"big": noise(600_000)})
    ada.push(root)
    log.delete(keys(log, "packs/")[0])
    assert ada.remote.missing_roots([root.digest]) == {root.digest}
    assert ada.push(root).committed == (root.digest,)
    bob.fetch(root)
    assert bob.holds(root)


def test_pack_of_another_size_counts_as_absent(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A pack that was cut short is not present."""
    root = ada.add(small_files())
    ada.push(root)
    pack = keys(log, "packs/")[0]
    log.write(pack, log.read(pack)[:-1])
    assert ada.push(root).committed == (root.digest,)
    bob.fetch(root)
    assert bob.holds(root)


def test_doomed_pack_gains_no_new_users(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """A push does not rely on a pack with a tombstone, but copies out of it what it does not hold itself."""
    files = small_files() | {"big": noise(2_000_000)}
    ada.push(ada.add(files))
    doomed = keys(log, "packs/")[0]
    bob.fetch(ada.add(files))
    log.write(tombstone_key(doomed), b"")
    new = bob.add(files | {"new": b"new"})
    bob.shelf.contents = {new.digest: bob.shelf.contents[new.digest], bob.shelf.put(b"new").digest: b"new"}
    report = bob.push(new)
    assert report.commit is not None
    commit = commit_from_bytes(log.read(report.commit), report.commit)
    assert doomed not in commit.packs()
    log.delete(doomed)
    carol = Machine(bob.mirror.path / "carol", log)
    carol.fetch(new)
    assert carol.holds(new)


def test_doomed_pack_under_a_commit_not_seen_whole_is_not_trusted(
    ada: Machine, bob: Machine, log: LoggedTransport
) -> None:
    """A root whose pin is doomed, under a commit of another machine, is pushed again."""
    files = small_files()
    ada.push(ada.add(files))
    log.write(tombstone_key(keys(log, "packs/")[0]), b"")
    assert bob.push(bob.add(files)).packs == 1


def test_pack_doomed_during_the_push_makes_it_go_round_again(tmp_path: Path) -> None:
    """A pin that turns out doomed after the commit is uploaded anew under a new session, before success is reported."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    root = ada.add(small_files())
    doomed: list[Key] = []

    def doom(operation: str, key: Key) -> None:
        if operation == "write" and key.startswith("commits/") and not doomed:
            doomed.append(keys(remote.inner, "packs/")[0])
            remote.inner.write(tombstone_key(doomed[0]), b"")

    remote.before = doom
    report = ada.push(root)
    assert report.commit is not None
    first, second = sorted(keys(remote, "commits/"), key=report.commit.__eq__)
    commit = commit_from_bytes(remote.read(second), second)
    assert commit.supersedes == (first,)
    assert doomed[0] not in commit.packs()
    assert keys(remote, "intents/") == []
    remote.delete(doomed[0])
    bob = Machine(tmp_path / "bob", remote)
    bob.fetch(root)
    assert bob.holds(root)


def test_store_that_loses_everything_is_an_error(tmp_path: Path) -> None:
    """A store that never keeps a pack makes the push fail, not run for ever."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    root = ada.add({"a": b"a"})
    remote.after = lambda operation, key: (
        remote.inner.delete(key) if operation == "write" and key.startswith("packs/") else None
    )
    with pytest.raises(RemoteUnavailableError, match="does not keep"):
        ada.push(root)


def test_intent_names_what_is_relied_upon(tmp_path: Path) -> None:
    """Before looking whether a pack is there, the intent names it."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    files = small_files()
    ada.push(ada.add(files))
    packs = set(keys(remote, "packs/"))
    seen: list[frozenset[Key]] = []

    def look(operation: str, key: Key) -> None:
        if operation == "list" and key == "doomed/":
            seen.extend(intent_from_bytes(remote.inner.read(found), found) for found in keys(remote.inner, "intents/"))

    remote.before = look
    ada.push(ada.add(files | {"new": b"new"}))
    assert seen[0] == packs
    seen.clear()
    ada.push(ada.add(files | {"big": noise(600_000)}))
    assert seen[0] >= packs


def test_long_push_renews_its_intent(tmp_path: Path, small_packs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A push that lasts for days writes its intent again, and begins a new session if it was collected."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    root = ada.add({f"{i}": noise(2000, i) for i in range(20)})
    monkeypatch.setattr(session, "_RENEW_AFTER_S", -1)
    written: list[Key] = []

    def note(operation: str, key: Key) -> None:
        if operation == "write" and key.startswith("intents/"):
            written.append(key)
        if operation == "write" and key.startswith("packs/") and len(keys(remote.inner, "packs/")) == 5:
            remote.inner.delete(written[-1])

    remote.after = note
    report = ada.push(root)
    assert len(written) > 5
    assert len(set(written)) == 2
    assert report.commit is not None
    assert report.commit.endswith(written[-1].removeprefix("intents/"))
    bob = Machine(tmp_path / "bob", remote)
    bob.fetch(root)
    assert bob.holds(root)


def test_other_projects_packs_are_not_reused_by_a_weak_hash(tmp_path: Path, log: LoggedTransport) -> None:
    """With xxh128, what another project pushed is uploaded again: a stranger could have planted a collision."""
    files = small_files()
    stranger = Machine(tmp_path / "stranger", log, project="p2")
    stranger.push(stranger.add(files))
    ada = Machine(tmp_path / "ada", log)
    root = ada.add(files)
    report = ada.push(root)
    assert report.records == len({content.digest for content in root.contents})
    assert report.commit is not None
    commit = commit_from_bytes(log.read(report.commit), report.commit)
    assert all(commit.session in pack for pack in commit.packs())


def test_other_projects_packs_are_reused_by_a_strong_hash(tmp_path: Path, log: LoggedTransport) -> None:
    """With blake3, records that another project pushed are pinned instead of uploaded again."""
    files = small_files() | {"big": noise(600_000)}
    stranger = Machine(tmp_path / "stranger", log, project="p2", algorithm="blake3")
    stranger.push(stranger.add(files))
    ada = Machine(tmp_path / "ada", log, algorithm="blake3")
    root = ada.add(files)
    assert ada.push(root).records == 0
    bob = Machine(tmp_path / "bob", log, algorithm="blake3")
    bob.fetch(root)
    assert bob.holds(root)


def test_read_only_remote_is_one_error(tmp_path: Path) -> None:
    """A push to a remote that refuses writes says so and leaves nothing."""
    ada = Machine(tmp_path / "ada", ReadOnlyTransport(MemoryTransport()))
    with pytest.raises(RemoteDeniedError):
        ada.push(ada.add(small_files()))


def test_newer_remote_is_refused(ada: Machine, log: LoggedTransport) -> None:
    """A remote that a newer vstore keeps is not written to."""
    log.write("format.json", b'{"version":2}')
    with pytest.raises(NewerFormatError, match=r"format\.json"):
        ada.push(ada.add(small_files()))
    assert keys(log, "") == ["format.json"]


def test_unreadable_commits_are_passed_over_and_named(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """Damaged commits stop nothing: our own are named, those of strangers are none of our business."""
    root = ada.add(small_files())
    ada.push(root)
    ours, theirs = f"commits/{PROJECT}/{'a' * 32}.json", f"commits/p2/{'b' * 32}.json"
    log.write(ours, b"{")
    log.write(theirs, seal({"project": "p2"}))
    warned: list[str] = []
    reporter = Reporter()
    reporter.warn = warned.append  # type: ignore[method-assign]
    plan = bob.remote.plan_push([root], reporter=reporter)
    assert plan.present == (root.digest,)
    assert len(warned) == 1
    assert ours in warned[0]
    assert bob.push(bob.add(small_files(seed=9))).commit


def test_refused_withdrawal_is_only_a_warning(tmp_path: Path) -> None:
    """Where intents cannot be deleted, the push succeeds all the same."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)

    def refuse(operation: str, key: Key) -> None:
        if operation == "delete":
            raise RemoteDeniedError("no deletes here", url="memory:", action="delete")

    remote.before = refuse
    root = ada.add(small_files())
    assert ada.push(root).commit
    assert ada.push(root).commit is None


def test_lost_mirror_costs_only_requests(ada: Machine, bob: Machine, log: LoggedTransport) -> None:
    """With a fresh mirror, and even without the index objects, nothing is uploaded twice."""
    files = small_files() | {"big": noise(600_000)}
    ada.push(ada.add(files))
    for key in keys(log, "index/"):
        log.delete(key)
    root = bob.add(files | {"new": b"new"})
    assert bob.push(root).records == 2
    requests(log)
    bob.push(bob.add(files | {"newer": b"newer"}))
    assert "read_range packs" not in requests(log)  # the ends of packs are remembered, and where large contents lie


def test_pack_refs_with_hostile_numbers_do_not_break_a_push(ada: Machine, log: LoggedTransport) -> None:
    """A commit of ours whose pins exist nowhere makes its roots count as missing."""
    root = ada.add(small_files())
    report = ada.push(root)
    assert report.commit is not None
    commit = commit_from_bytes(log.read(report.commit), report.commit)
    pin = PackRef(f"packs/{'f' * 32}-0.vpack", 2**48, "0" * 32)
    forged = type(commit)(PROJECT, "e" * 32, "eve", "", tuple(each._replace(pins=(pin,)) for each in commit.roots))
    log.delete(report.commit)
    log.write(f"commits/{PROJECT}/{'e' * 32}.json", forged.to_bytes())
    assert ada.push(root).packs == 1
