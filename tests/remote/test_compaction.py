"""Compaction: small packs are merged and dead records dropped; whatever dies or goes on meanwhile, nothing is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path

import pytest

from tests.remote.bucket import DAY_S, Bucket, Ear, push_small
from tests.remote.faults import Crash, CrashAt, UnreachableAt
from tests.remote.world import Machine, noise
from vstore.errors import RemoteDeniedError, RemoteUnavailableError
from vstore.objects.digest import Digest
from vstore.objects.table import Table
from vstore.remote import upkeep
from vstore.remote.commits import commit_from_bytes
from vstore.remote.compaction import PACKS_SCALE, Compacted, Rewriting
from vstore.remote.content import Root
from vstore.remote.index import Index, index_from_bytes, index_of_pack, index_to_bytes, join_indexes
from vstore.remote.layout import intent_key, tombstone_key
from vstore.remote.ledger import Ledger, Policy
from vstore.remote.merging import OwnCommits
from vstore.remote.sealed import seal
from vstore.remote.transport import Key

_FEW = 4
"""How many small packs are too many in these tests."""


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    """A bucket of its own."""
    return Bucket(tmp_path)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few small packs be enough."""
    monkeypatch.setattr(upkeep, "PACKS_SCALE", PACKS_SCALE._replace(most=_FEW))


def push_many(machine: Machine, number: int, first: int = 0) -> list[Root]:
    """Push as many versions."""
    return [push_small(machine, first + each)[0] for each in range(number)]


def compact(machine: Machine, ear: Ear | None = None) -> Compacted:
    """Compact as a machine does."""
    return machine.remote.compact(machine.shelf, reporter=ear or Ear())


def test_small_packs_are_merged(bucket: Bucket) -> None:
    """When there are too many, a push merges them, says so, and all versions are whole, with the dates they had."""
    ada, ear, roots = bucket.machine(), Ear(), []
    began_s = bucket.now_s
    for number in range(PACKS_SCALE.most + 1):
        root = ada.add({"same": b"same", "own": b"%d" % number}, f"v{number}")
        ada.remote.push(ada.remote.plan_push([root]), ada.shelf, reporter=ear)
        roots.append(root)
        assert bool(ear.notes) == (number == PACKS_SCALE.most)
        bucket.now_s += 60
    assert ear.notes == [f"{PACKS_SCALE.most + 1} small packs at memory: were merged into 1"] and not ear.warnings
    (commit,) = bucket.commits().values()
    assert [root.pushed_s for root in sorted(commit.roots, key=lambda root: root.pushed_s or 0)] == [
        began_s + 60 * number for number in range(PACKS_SCALE.most + 1)
    ]
    assert len(commit.supersedes) == PACKS_SCALE.most + 1
    assert len(bucket.pinned()) == len(bucket.keys("index/")) == 1 and not bucket.keys("intents/")
    assert bucket.lacks(roots) == []
    bucket.end_holds(ada)
    assert bucket.keys("packs/") == bucket.pinned() and not bucket.keys("trash/")
    assert bucket.lacks(roots) == []
    assert ada.push(*roots).packs == 0


def test_switched_off(bucket: Bucket) -> None:
    """Where it is switched off nothing is merged; when it is asked for, all is."""
    ada = bucket.machine()
    ada.site = dataclasses.replace(ada.site, policy=Policy(compacts=False))
    roots = push_many(ada, PACKS_SCALE.most + 3)
    assert len(bucket.pinned()) == len(roots)
    done = compact(ada)
    assert (done.packs, done.new_packs) == (len(roots), 1)
    assert len(bucket.pinned()) == 1 and bucket.lacks(roots) == []


@pytest.mark.usefixtures("hasty")
def test_nothing_is_downloaded_that_is_here(bucket: Bucket) -> None:
    """Who pushed all of it reads no pack; somebody else reads each once."""
    ada, bob = bucket.machine(), bucket.machine()
    roots = push_many(ada, _FEW)
    bucket.requests.clear()
    roots += push_many(ada, 1, _FEW)
    assert len(bucket.pinned()) == 1 and not bucket.requests["read_range packs"]
    roots += push_many(ada, _FEW - 1, _FEW + 1)
    assert len(bucket.pinned()) == _FEW
    bucket.requests.clear()
    push_small(bob, 100)
    assert bucket.requests["read_range packs"] == _FEW
    assert len(bucket.pinned()) == 1 and bucket.lacks(roots) == []


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("algorithm", ["xxh128", "blake3"])
def test_large_contents_move_along(bucket: Bucket, algorithm: str) -> None:
    """Chunks and recipes are moved, and a push of an unchanged large file still knows where it is."""
    ada, roots = bucket.machine(algorithm=algorithm), []
    data = noise(900_000)
    for number in range(_FEW + 1):
        big = data[: 300_000 + 30_000 * number] + b"edit %d" % number + data[300_000:]
        roots.append(ada.add({"big": big, "small": b"%d" % number}, f"v{number}"))
        ada.push(roots[-1])
    assert len(bucket.pinned()) == 1
    bucket.requests.clear()
    new = ada.add({"big": big, "small": b"other"}, "new")
    assert ada.push(new).records == 2
    assert not bucket.requests["read_range packs"], "recipes were read again"
    assert bucket.lacks([*roots, new], algorithm) == []
    assert compact(bucket.machine(algorithm=algorithm)).packs == 0
    bucket.end_holds(ada)
    assert bucket.lacks([*roots, new], algorithm) == []


def test_dead_records_are_dropped(bucket: Bucket) -> None:
    """When most roots were given up, what only they needed is gone after the holds, and what others need is not."""
    ada, roots = bucket.machine(), []
    data = noise(600_000)
    for number in range(PACKS_SCALE.most + 1):
        files = {"big": data + noise(300_000, number), "own": noise(3000, 50 + number), "same": b"same"}
        roots.append(ada.add(files, f"v{number}"))
        ada.push(roots[-1])
    before = bucket.size_bytes()
    bucket.collect(ada, [root.digest for root in roots[1:-1]])
    bob = bucket.machine()
    done = compact(bob)
    assert done.packs == 1 and done.new_bytes < done.packs_bytes / 3
    assert bucket.lacks([roots[0], roots[-1]]) == []
    bucket.end_holds(bob)
    assert bucket.lacks([roots[0], roots[-1]]) == []
    assert bucket.size_bytes() < before / 3
    assert compact(ada) == Compacted() and compact(bucket.machine()) == Compacted()


@pytest.mark.parametrize("pushes", [False, True], ids=["compacts", "pushes"])
def test_hollow_packs_are_rewritten(bucket: Bucket, pushes: bool) -> None:
    """A long pack of which hardly anything lives is rewritten after a push, too, and nothing of it is downloaded."""
    ada = bucket.machine()
    dead, live = (
        ada.add({"big": noise(3_000_000)}, "dead"),
        ada.add({"small": b"small", "other": noise(300_000, 1)}, "live"),
    )
    ada.push(dead, live)
    bucket.collect(ada, [dead.digest])
    old = bucket.pinned()
    ear = Ear()
    if pushes:
        new = ada.add({"new": b"new"}, "new")
        ada.remote.push(ada.remote.plan_push([new]), ada.shelf, reporter=ear)
        assert ear.notes == ["packs at memory: that were mostly dead were rewritten: 1"]
    else:
        assert compact(ada).packs == 1
    assert not old & bucket.pinned()
    bucket.end_holds(ada)
    assert bucket.size_bytes() < 320_000 and bucket.lacks([live]) == []


def test_what_cannot_be_read_keeps_everything(bucket: Bucket) -> None:
    """While it is not known what a root needs, nothing is taken for dead."""
    ada = bucket.machine()
    roots = push_many(ada, 3)
    bucket.collect(ada, [roots[0].digest])
    lost = roots[1].digest
    contents = dict(ada.shelf.contents)
    del ada.shelf.contents[lost]
    (pack,) = [pack for pack in bucket.pinned() if lost.encode()[7:] and _tells(bucket, pack, lost)]
    data, date = bucket.memory._objects[pack]
    bucket.memory._objects[pack] = (data[:100].replace(data[60:100], bytes(40)) + bytes(len(data) - 100), date)
    ear = Ear()
    assert compact(ada, ear) == Compacted()
    assert any("not known" in warning for warning in ear.warnings)
    ada.shelf.contents = contents
    bucket.memory._objects[pack] = (data, date)
    compact(bucket.machine())
    assert bucket.lacks(roots[1:]) == []


def _tells(bucket: Bucket, pack: Key, digest: Digest) -> bool:
    for key in bucket.keys("index/"):
        index = index_from_bytes(bucket.memory.read(key), key)
        if any(place.key == pack for place, _ in index.find(1, digest)):
            return True
    return False


@pytest.mark.usefixtures("hasty")
def test_index_objects_are_not_believed(bucket: Bucket) -> None:
    """An index object that leaves records out costs none of them: the packs' own ends say what is in them."""
    ada, bob = bucket.machine(), bucket.machine()
    roots = push_many(ada, _FEW)
    for key in bucket.keys("index/"):
        index = index_from_bytes(bucket.memory.read(key), key)
        bucket.memory.write(key, index_to_bytes([]) if len(index) < 4 else bucket.memory.read(key))
    push_small(bob, 50)
    assert len(bucket.pinned()) == 1
    bucket.end_holds(bob)
    assert bucket.lacks(roots) == []
    assert isinstance(index_from_bytes(index_to_bytes([]), "index"), Index)


@pytest.mark.usefixtures("hasty")
def test_damaged_pack_stays_as_it_is(bucket: Bucket) -> None:
    """A pack in which a record is damaged is not rewritten; what was pinned to it stays, and the next push mends it."""
    ada, bob = bucket.machine(), bucket.machine()
    roots = push_many(ada, _FEW)
    commits = bucket.keys("commits/")
    pack = min(bucket.keys("packs/"))
    data, date = bucket.memory._objects[pack]
    bucket.memory._objects[pack] = (data[:40] + b"?" + data[41:], date)
    ear = Ear()
    other = bob.add({"other": b"other"})
    bob.remote.push(bob.remote.plan_push([other]), bob.shelf, reporter=ear)
    assert any("not as it should be" in warning for warning in ear.warnings)
    assert commits < bucket.keys("commits/") and not bucket.keys("trash/") and not bucket.keys("intents/")
    assert pack in bob.mirror.distrusted_packs()
    ada.mirror.distrust([pack])
    ada.push(*roots)
    assert bucket.lacks([*roots, other]) == []


@pytest.mark.usefixtures("hasty")
def test_commit_of_a_push_that_goes_on_is_left_alone(bucket: Bucket) -> None:
    """A commit whose session has an intent is not superseded: who wrote it has not read it back."""
    ada = bucket.machine()
    roots = push_many(ada, 2)
    (running,) = [key for key, commit in bucket.commits().items() if commit.roots[0].path == "v1"]
    session = commit_from_bytes(bucket.memory.read(running), running).session
    bucket.memory.write(intent_key(session), b"")
    roots += push_many(ada, _FEW, 2)
    assert running in bucket.keys("commits/") and len(bucket.keys("commits/")) < _FEW
    assert bucket.lacks(roots) == []


@pytest.mark.usefixtures("hasty")
def test_commit_that_says_more_than_we_know_is_left_alone(bucket: Bucket) -> None:
    """What another version wrote into a commit is not lost by merging it."""
    ada, bob = bucket.machine(), bucket.machine()
    push_small(ada, 0)
    ((key, commit),) = bucket.commits().items()
    fields = json.loads(commit.to_bytes())
    del fields["checksum"]
    bucket.memory.write(key, seal({**fields, "mood": "good"}))
    roots = push_many(bob, _FEW + 1, 1)
    assert key in bucket.keys("commits/") and len(bucket.keys("commits/")) < _FEW
    assert bucket.lacks(roots) == []


@pytest.mark.usefixtures("hasty")
def test_who_may_not_delete_does_not_merge(bucket: Bucket) -> None:
    """Where intents cannot be withdrawn, nothing is written anew that could not be deleted either."""
    ada, ear, roots = bucket.machine(), Ear(), []

    def deny(operation: str, key: Key) -> None:
        if operation == "delete":
            raise RemoteDeniedError("no", url="memory:", action="delete")

    bucket.transport.before = deny
    for number in range(_FEW + 4):
        root = ada.add({"own": b"%d" % number}, f"v{number}")
        ada.remote.push(ada.remote.plan_push([root]), ada.shelf, reporter=ear)
        roots.append(root)
    assert len(bucket.pinned()) == len(roots) and not bucket.keys("trash/")
    assert all("could not be withdrawn" in warning for warning in ear.warnings)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("moment", ["packs", "commits"])
def test_doomed_meanwhile(bucket: Bucket, moment: str) -> None:
    """Where its own pack is doomed before it looks again, the old commits stay, also those that it supersedes."""
    ada = bucket.machine()
    roots = push_many(ada, _FEW)
    victims = bucket.pinned()
    written: list[Key] = []

    def doom(operation: str, key: Key) -> None:
        if operation == "write" and key.startswith(("packs/", "commits/")):
            written.append(key)
            if len(written) == (3 if moment == "packs" else 4):
                bucket.memory.write(f"doomed/{written[2][len('packs/') : -len('.vpack')]}", b"")

    bucket.transport.after = doom
    roots += push_many(ada, 1, _FEW)
    bucket.transport.after = bucket.count
    assert len(written) == 4, "a push, and a compaction"
    assert victims < bucket.pinned() and not bucket.keys("intents/") and not bucket.keys("trash/")
    assert bucket.lacks(roots) == []
    check(bucket, ada, roots, moment)


def prepare(path: Path) -> tuple[Bucket, Machine, list[Root]]:
    """A bucket in which the next push compacts."""
    bucket = Bucket(path)
    ada = bucket.machine()
    return bucket, ada, push_many(ada, _FEW)


def check(bucket: Bucket, machine: Machine, roots: list[Root], what: str) -> None:
    """See that nothing is lost now, nor when all holds are over, nor after another compaction."""
    assert bucket.lacks(roots) == [], f"lost at once: {what}"
    compact(machine)
    assert bucket.lacks(roots) == [], f"lost by the next: {what}"
    bucket.now_s += 8 * DAY_S
    bucket.end_holds(machine)
    assert bucket.lacks(roots) == [], f"lost when the holds were over: {what}"
    assert bucket.keys("packs/") == bucket.pinned(), f"garbage stays: {what}"


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("fault", [CrashAt, UnreachableAt])
def test_death_at_every_request(tmp_path: Path, moment: str, fault: type[CrashAt]) -> None:
    """Wherever a push dies that compacts, or the network goes, everything that was reported is whole, and stays so."""
    template, ada, roots = prepare(tmp_path / "template")
    counting, (twin,) = template.copy(tmp_path / "count", ada)
    counting.requests.clear()
    push_small(twin, 50)
    number_of_requests = counting.requests.total()
    assert len(counting.pinned()) == 1
    for number in range(number_of_requests):
        bucket, (twin,) = template.copy(tmp_path / str(number), ada)
        setattr(bucket.transport, moment, fault(number))
        reported = list(roots)
        with contextlib.suppress(Crash, RemoteUnavailableError):
            reported.append(push_small(twin, 50)[0])
        bucket.transport.before = bucket.transport.after = bucket.count
        check(bucket, bucket.machine(), reported, f"{fault.__name__} {moment} request {number}")


class _Interference:
    """Lets another machine push, compact and collect before a request."""

    def __init__(self, bucket: Bucket, machine: Machine, number: int, reported: list[Root]) -> None:
        self.bucket, self.machine, self.left, self.reported = bucket, machine, number, reported

    def __call__(self, operation: str, key: Key) -> None:
        self.left -= 1
        if self.left == -1:
            self.reported.append(push_small(self.machine, 70)[0])
            compact(self.machine)
            self.bucket.collect(self.machine)
            self.bucket.now_s += 2 * DAY_S
            self.bucket.collect(self.machine)


@pytest.mark.usefixtures("hasty")
def test_others_between_any_two_requests(tmp_path: Path) -> None:
    """Whoever pushes, compacts and collects between any two requests of a compaction, nothing is lost."""
    template, ada, roots = prepare(tmp_path / "template")
    counting, (twin,) = template.copy(tmp_path / "count", ada)
    counting.requests.clear()
    push_small(twin, 50)
    for number in range(counting.requests.total()):
        bucket, (twin,) = template.copy(tmp_path / str(number), ada)
        bob = bucket.machine("bob")
        reported = list(roots)
        bucket.transport.before = _Interference(bucket, bob, number, reported)
        reported.append(push_small(twin, 50)[0])
        bucket.transport.before = bucket.count
        check(bucket, bob, reported, f"between requests, before number {number}")


def test_own_rewriting_of_nothing(bucket: Bucket) -> None:
    """Packs that no commit pins any more cost no request that writes."""
    ada = bucket.machine()
    push_many(ada, 2)
    own = OwnCommits(ada.site, Ear())
    packs = list(own.packs.values())
    compact(ada)
    push_many(ada, 1, 5)
    bucket.requests.clear()
    stale = OwnCommits(ada.site, Ear())
    assert Rewriting(stale, ada.shelf, Ear()).run([packs[0]._replace(checksum="0" * 32)]) == Compacted()
    assert not any(request.startswith("write") for request in bucket.requests)


def push_at_once(bucket: Bucket, algorithm: str = "xxh128") -> tuple[list[Machine], list[Root]]:
    """Let two machines upload the same large file, since neither knew of the other."""
    machines, data = [bucket.machine(algorithm=algorithm) for _ in range(2)], noise(900_000)
    files = [{"big": data, "own": noise(5_000 * number, number), "little": b"same"} for number in (1, 2)]
    roots = [machine.add(own, f"v{number}") for number, (machine, own) in enumerate(zip(machines, files, strict=True))]
    plans = [machine.remote.plan_push([root]) for machine, root in zip(machines, roots, strict=True)]
    for machine, plan in zip(machines, plans, strict=True):
        machine.remote.push(plan, machine.shelf)
    assert bucket.size_bytes() > 2 * len(data)
    return machines, roots


@pytest.mark.parametrize("algorithm", ["xxh128", "blake3"])
def test_what_was_uploaded_twice_is_kept_once(bucket: Bucket, algorithm: str) -> None:
    """A record lives in one pack: others that hold it, too, are dropped, and their roots are pinned to that one."""
    (ada, _), roots = push_at_once(bucket, algorithm)
    longest = max(bucket.memory.list("packs/"), key=lambda listed: listed.size_bytes)
    assert compact(bucket.machine(algorithm=algorithm)).new_bytes < 20_000
    assert bucket.lacks(roots, algorithm) == []
    bucket.end_holds(ada)
    assert bucket.size_bytes() < 950_000 and longest.key in bucket.keys("packs/") == bucket.pinned()
    assert bucket.lacks(roots, algorithm) == []
    assert compact(bucket.machine(algorithm=algorithm)) == Compacted()


def test_copy_that_rotted_unseen_is_nobodys_home(bucket: Bucket) -> None:
    """A good copy is not dropped for one that has rotted where nobody looked; what is good of the others still is."""
    (ada, _), roots = push_at_once(bucket)
    longest = max(bucket.memory.list("packs/"), key=lambda listed: listed.size_bytes)
    data, date = bucket.memory._objects[longest.key]
    bucket.memory._objects[longest.key] = (data[:200_000] + bytes([data[200_000] ^ 1]) + data[200_001:], date)
    bob, ear = bucket.machine(), Ear()
    assert 0 < compact(bob, ear).new_bytes < 500_000
    assert [warning for warning in ear.warnings if f"{longest.key} is not as it should be" in warning]
    assert longest.key in bob.mirror.distrusted_packs()
    ada.push(*roots)
    bucket.end_holds(bob)
    joe = bucket.machine()
    assert not joe.fetch(*roots).missing and joe.holds(*roots)


def test_second_copies_are_read_together(bucket: Bucket) -> None:
    """To see that the copies that stay are good takes a request for all that lie side by side."""
    machines = [bucket.machine() for _ in range(2)]
    files = {f"file{number}": noise(3000, number) for number in range(30)}
    roots = [
        machine.add(files | {"own": noise(2000 * number)}, f"v{number}") for number, machine in enumerate(machines)
    ]
    plans = [machine.remote.plan_push([root]) for machine, root in zip(machines, roots, strict=True)]
    for machine, plan in zip(machines, plans, strict=True):
        machine.remote.push(plan, machine.shelf)
    read: list[Key] = []
    bob = bucket.machine()
    bucket.transport.after = lambda operation, key: read.append(key) if operation == "read_range" else None
    assert compact(bob).packs == 1
    longest = max(bucket.memory.list("packs/"), key=lambda listed: listed.size_bytes)
    assert read.count(longest.key) == 4, "the tree in it, the two parts of its end, and the copies"
    bucket.end_holds(bob)
    assert bucket.lacks(roots) == []


def test_doomed_pack_is_nobodys_home(bucket: Bucket) -> None:
    """What lies in a doomed pack, too, lives in the other, however short that is."""
    (ada, _), roots = push_at_once(bucket)
    longest = max(bucket.memory.list("packs/"), key=lambda listed: listed.size_bytes)
    bucket.memory.write(tombstone_key(longest.key), b"{}")
    before = bucket.pinned()
    compact(ada)
    assert before <= bucket.pinned() and bucket.lacks(roots) == []


def test_index_objects_do_not_say_where_a_record_lives(bucket: Bucket) -> None:
    """An index object that tells of records in a pack that does not hold them costs none of them."""
    ada = bucket.machine()
    roots = [ada.add({"big": noise(900_000, number)}, f"v{number}") for number in range(2)]
    for root in roots:
        ada.push(root)
    packs = {pack.key: pack for commit in bucket.commits().values() for pack in commit.packs().values()}
    ends = {key: Ledger(ada.site, Ear()).read_table(pack) for key, pack in packs.items()}
    longest = max(packs.values(), key=lambda pack: (pack.size_bytes, pack.key))
    short = min(packs.values(), key=lambda pack: (pack.size_bytes, pack.key))
    more = index_of_pack(longest, Table([*ends[longest.key].sections, *ends[short.key].sections]))
    for key in bucket.keys("index/"):
        bucket.memory.write(key, join_indexes([index_of_pack(short, ends[short.key]), more]))
    compact(bucket.machine())
    bucket.end_holds(ada)
    assert bucket.lacks(roots) == []


def test_death_where_records_live_elsewhere(tmp_path: Path) -> None:
    """Wherever a compaction dies that drops second copies, everything is whole, and stays so."""
    template = Bucket(tmp_path / "template")
    (ada, _), roots = push_at_once(template)
    counting, (twin,) = template.copy(tmp_path / "count", ada)
    counting.requests.clear()
    assert compact(twin).packs
    for number in range(counting.requests.total()):
        bucket, (twin,) = template.copy(tmp_path / str(number), ada)
        bucket.transport.before = CrashAt(number)
        with contextlib.suppress(Crash):
            compact(twin)
        bucket.transport.before = bucket.count
        check(bucket, bucket.machine(), roots, f"before request {number}")


def test_repaired_roots_leave_the_doomed_pack(bucket: Bucket) -> None:
    """What was doomed and needed is no longer needed once a push brought it again, and goes with its tombstone."""
    ada = bucket.machine()
    root, _ = push_small(ada, 0)
    (doomed,) = bucket.pinned()
    bucket.memory.write(tombstone_key(doomed), b"{}")
    bob = bucket.machine()
    push_small(bob, 0)
    assert bucket.pinned() > {doomed}
    compact(bob)
    bucket.end_holds(bob)
    assert doomed not in bucket.keys("packs/") and not bucket.keys("doomed/")
    assert bucket.lacks([root]) == []


def test_what_was_in_order_is_not_looked_at_again(bucket: Bucket) -> None:
    """A machine that found nothing wasteful reads no version again, until somebody pushes."""
    ada, bob = bucket.machine(), bucket.machine()
    push_many(ada, 2)
    compact(bob)
    bucket.requests.clear()
    assert compact(bob) == Compacted()
    assert not [request for request in bucket.requests if request.startswith("read")]
    push_many(ada, 1, first=2)
    compact(bob)
    assert [request for request in bucket.requests if request.startswith("read")]
