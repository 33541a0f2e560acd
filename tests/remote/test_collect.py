"""Collecting a remote: what is doomed, deleted, retired and kept, when, and with which requests."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from tests.remote.faults import Crash, CrashAt, Hooked
from tests.remote.world import PROJECT, Machine, noise, small_files
from vstore.errors import CorruptError, NeedsUnknownError, RemoteUnavailableError
from vstore.objects.digest import Digest
from vstore.remote.collect import INTENT, OTHERS, OWN, TRASH, CollectPlan, plan_collection
from vstore.remote.commits import format_to_bytes, intent_to_bytes
from vstore.remote.content import Root
from vstore.remote.layout import FORMAT, commit_key, index_key, intent_key, pack_key
from vstore.remote.memory_transport import MemoryTransport

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
SESSION = "ab" * 16


class Place:
    """A remote in memory whose clock the test moves, with a machine of our project."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_s = 1_800_000_000.0
        self.transport = Hooked(MemoryTransport(clock=lambda: self.now_s))
        self.ada = self.machine("ada")

    def machine(self, name: str, project: str = PROJECT, algorithm: str = "xxh128") -> Machine:
        """A machine that knows nothing yet."""
        return Machine(self.path / name, self.transport, project, algorithm)

    def collect(self, *dead: Root, machine: Machine | None = None, forgotten: Collection[str] = ()) -> CollectPlan:
        """Collect as a machine does; roots are given up."""
        remote = (machine or self.ada).remote
        with remote.survey(forgotten=forgotten) as survey:
            plan = plan_collection(survey, [root.digest for root in dead])
            remote.collect(survey, plan)
        return plan

    def list_keys(self, folder: str = "") -> set[str]:
        """What is there."""
        return {listed.key for listed in self.transport.inner.list(folder)}

    def holds(self, *roots: Root) -> bool:
        """Whether a machine that knows nothing can fetch roots."""
        self.fresh = self.machine(f"fresh {len(list(self.path.iterdir()))}")
        self.fresh.fetch(*roots)
        return self.fresh.holds(*roots)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A remote of its own."""
    return Place(tmp_path)


def test_given_up(place: Place) -> None:
    """A root that was given up lies in the trash for 14 days, then its packs are doomed for one, then all is gone."""
    old = place.ada.add({"a": noise(5000, 1)}, "old")
    new = place.ada.add({"a": noise(5000, 2)}, "new")
    place.ada.push(old)
    (pack,) = place.list_keys("packs/")
    place.ada.push(new)
    plan = place.collect(old)
    assert [found.key for found in plan.released] == [pack] and plan.named[pack] == OWN
    assert len(place.list_keys("commits/")) == 1 and len(place.list_keys("trash/")) == 1
    assert place.holds(new) and place.holds(old), "the trash pins"
    place.now_s += 14 * DAY_S
    assert place.collect().named[pack] == TRASH
    place.now_s += 1
    assert [found.key for found in place.collect().doomed] == [pack]
    assert not place.list_keys("trash/") and len(place.list_keys("doomed/")) == 1
    place.now_s += DAY_S
    assert [found.key for found in place.collect().waiting] == [pack]
    place.now_s += 1
    assert [found.key for found in place.collect().deleted] == [pack]
    assert place.collect().is_empty
    assert not place.list_keys("doomed/") and pack not in place.list_keys() and len(place.list_keys("index/")) == 1
    assert not place.list_keys("intents/")
    assert place.holds(new)


def test_commit_of_several_roots(place: Place) -> None:
    """What lives on of a commit that is retired is committed anew, with the date of its push, before that goes."""
    roots = [place.ada.add({"a": noise(5000, seed)}, f"r{seed}") for seed in range(3)]
    began_s = int(place.now_s)
    place.ada.push(*roots)
    place.now_s += 40 * DAY_S
    plan = place.collect(roots[1])
    assert {root.path for root in plan.left} == {"r0", "r2"}
    with place.ada.remote.survey() as survey:
        assert {entry.pushed_s for entry in survey.list_roots()} == {began_s}
        assert survey.own_commits()[0].commit.supersedes == (plan.retired[0].listed.key,)
    assert place.holds(roots[0], roots[2])
    assert place.ada.remote.missing_roots([root.digest for root in roots]) == {roots[1].digest}
    assert not place.collect(roots[1]).retired, "it is done"


def test_two_collectors_who_give_up_different_roots(place: Place) -> None:
    """What lives on is committed anew also where another commit holds it: somebody else may be retiring that one."""
    first, second, third = (place.ada.add({"a": noise(5000, seed)}, f"r{seed}") for seed in range(3))
    place.ada.push(first, second)
    place.now_s += 1
    place.ada.push(third, second)
    bob = place.machine("bob").remote
    with bob.survey() as survey:
        plan = plan_collection(survey, [third.digest])
        place.collect(first)
        bob.collect(survey, plan)
    place.now_s += 15 * DAY_S
    place.collect()
    assert place.holds(second)


def test_push_under_way(place: Place) -> None:
    """A commit whose push has not ended is neither retired nor replaced."""
    root = place.ada.add({"a": b"a"})
    place.transport.before = CrashBefore("delete", "intents/")
    with pytest.raises(Crash):
        place.ada.push(root)
    place.transport.before = lambda operation, key: None
    assert not place.collect(root).retired
    place.now_s += 7 * DAY_S + 1
    assert len(place.collect().expired) == 1
    assert not place.list_keys("intents/")
    assert place.collect(root).retired


def test_dead_push(place: Place) -> None:
    """What a push uploaded that died is kept for seven days, and doomed and deleted afterwards, with its index."""
    root = place.ada.add(small_files())
    place.transport.before = CrashBefore("write", "commits/")
    with pytest.raises(Crash):
        place.ada.push(root)
    place.transport.before = lambda operation, key: None
    (pack,) = place.list_keys("packs/")
    place.now_s += 7 * DAY_S
    assert place.collect().named[pack] == INTENT
    place.now_s += 1
    assert place.collect().doomed and not place.list_keys("intents/")
    place.now_s += DAY_S + 1
    assert place.collect().deleted
    assert place.list_keys() == {FORMAT}


def test_projects_do_not_harm_each_other(place: Place) -> None:
    """A project gives up its own roots only, and packs that another project's commits name stay."""
    bob = place.machine("bob", "p2", "blake3")
    eve = place.machine("eve", "p3", "blake3")
    theirs = bob.add({"a": noise(5000, 1)})
    bob.push(theirs)
    same = eve.add({"a": noise(5000, 1)}, "same")
    eve.push(same)
    (pack,) = place.list_keys("packs/")
    place.collect(theirs, same)
    assert len(place.list_keys("commits/")) == 2, "they are not ours"
    assert place.collect(theirs, machine=bob).named[pack] in (OWN, OTHERS)
    place.now_s += 20 * DAY_S
    for machine in (place.ada, bob, eve):
        assert not place.collect(machine=machine).doomed
    eve.shelf.contents.clear()
    eve.fetch(same)
    assert eve.holds(same)


def test_doomed_pack_that_is_named(place: Place) -> None:
    """A doomed pack that a commit names stays, and so does its tombstone: nobody begins to rely upon it."""
    root = place.ada.add({"a": b"a"})
    place.ada.push(root)
    (pack,) = place.list_keys("packs/")
    place.transport.write(pack.replace("packs/", "doomed/").removesuffix(".vpack"), b"")
    place.now_s += 2 * DAY_S
    plan = place.collect()
    assert plan.is_empty and len(place.list_keys("doomed/")) == 1
    with place.ada.remote.survey() as survey:
        (doomed,) = place.ada.remote.list_doomed(survey)
    assert doomed.is_named and doomed.author == "" and doomed.age_s == 2 * DAY_S


def test_status_of_doomed(place: Place) -> None:
    """Tombstones tell who wrote them."""
    place.ada.push(place.ada.add({"a": b"a"}))
    place.transport.write(pack_key(SESSION, 0), b"garbage")
    place.collect()
    with place.ada.remote.survey(announced=False) as survey:
        (doomed,) = place.ada.remote.list_doomed(survey)
    assert (doomed.pack, doomed.size_bytes, doomed.author) == (pack_key(SESSION, 0), 7, "ada@host")
    assert not doomed.is_named


def test_tombstone_of_a_pack_that_is_gone(place: Place) -> None:
    """What a collector left that died between the two deletions goes when its time has come."""
    place.ada.push(place.ada.add({"a": b"a"}))
    place.transport.write(f"doomed/{SESSION}-7", b"")
    assert not place.collect().deleted
    place.now_s += DAY_S + 1
    assert [found.size_bytes for found in place.collect().deleted] == [0]
    assert not place.list_keys("doomed/")


BROKEN = {
    "commit": commit_key(PROJECT, SESSION),
    "commit of another project": commit_key("p2", SESSION),
    "trash": commit_key(PROJECT, SESSION).replace("commits/", "trash/"),
    "intent": intent_key(SESSION),
}


@pytest.mark.parametrize("data", [b"", b"{", b'{"version":2}'], ids=["empty", "torn", "newer"])
@pytest.mark.parametrize("key", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read(place: Place, key: str, data: bytes) -> None:
    """Nothing is deleted while anything that may protect packs cannot be read, unless it is forgotten by name."""
    root = place.ada.add({"a": b"a"})
    place.ada.push(root)
    place.transport.write(pack_key("cd" * 16, 0), b"garbage")
    place.transport.write(key, data)
    before = place.list_keys()
    with pytest.raises(NeedsUnknownError, match="nothing was removed") as raised:
        place.collect(root)
    assert raised.value.fields["keys"] == [key] and place.list_keys() == before
    assert place.collect(forgotten=[key]).doomed


@pytest.mark.parametrize("data", [None, b"{", b'{"version":2}'], ids=["gone", "torn", "newer"])
def test_format_that_cannot_be_read(place: Place, data: bytes | None) -> None:
    """Nothing is done where the format of the whole is unknown."""
    place.ada.push(place.ada.add({"a": b"a"}))
    if data is None:
        place.transport.delete(FORMAT)
    else:
        place.transport.write(FORMAT, data)
    with pytest.raises(CorruptError, match="format"):
        place.collect()


def test_nothing_was_ever_pushed(place: Place) -> None:
    """An empty place is left empty."""
    assert place.collect().is_empty and not place.list_keys()


def test_strangers(place: Place) -> None:
    """Keys of other forms are remarked upon and left alone."""
    place.ada.push(place.ada.add({"a": b"a"}))
    strange = {"packs/readme.txt", "intents/x", "commits/p1/x.json", "doomed/me"}
    for key in strange:
        place.transport.write(key, b"?")
    place.now_s += 60 * DAY_S
    with place.ada.remote.survey() as survey:
        assert set(survey.remarks) == {f"{key} is nothing of ours" for key in strange}
        place.ada.remote.collect(survey, plan_collection(survey, ()))
    assert strange <= place.list_keys()


def test_looking_writes_nothing(place: Place) -> None:
    """A survey that is not announced changes nothing."""
    place.ada.push(place.ada.add({"a": b"a"}))
    place.transport.before = lambda operation, key: pytest.fail(key) if operation in ("write", "delete") else None
    with place.ada.remote.survey(announced=False) as survey:
        assert plan_collection(survey, ()).is_empty


def test_store_that_tells_no_dates(place: Place) -> None:
    """Where ages are unknown nothing is ever old."""
    place.transport.write(FORMAT, format_to_bytes("test"))
    place.now_s = float("inf")
    place.transport.write(pack_key(SESSION, 0), b"garbage")
    place.transport.write(intent_key(SESSION), intent_to_bytes(SESSION, PROJECT, "x", "x", []))
    place.transport.write(pack_key("cd" * 16, 0), b"garbage")
    assert len(place.collect().doomed) == 1
    assert len(place.collect().waiting) == 1
    assert len(place.list_keys("intents/")) == 1


def test_store_that_does_not_list_what_was_written(place: Place) -> None:
    """A collector that does not see its own intent stops."""
    place.ada.push(place.ada.add({"a": b"a"}))
    place.transport.list = lambda prefix: iter([] if prefix == "intents/" else place.transport.inner.list(prefix))  # type: ignore[method-assign]
    with pytest.raises(RemoteUnavailableError, match="does not list"):
        place.collect()


def test_what_vanishes_while_it_is_read(place: Place) -> None:
    """An intent or commit that goes between listing and reading is protected by what is listed later."""
    root, other = place.ada.add({"a": noise(5000)}, "a"), place.ada.add({"b": noise(4000)}, "b")
    place.ada.push(root)
    place.ada.push(other)
    bob = place.machine("bob")
    moved: list[str] = []

    def before(operation: str, key: str) -> None:
        if operation == "read" and key.startswith("commits/") and not moved:
            moved.append(key)
            data = place.transport.inner.read(key)
            place.transport.inner.write(key.replace("commits/", "trash/"), data)
            place.transport.inner.delete(key)

    place.transport.before = before
    plan = place.collect(machine=bob)
    assert moved and not plan.doomed and set(plan.named.values()) == {OWN, TRASH}


def test_trash_that_is_brought_back(place: Place) -> None:
    """A push that relies upon the trash uploads nothing; what expired meanwhile is found doomed, and copied."""
    root = place.ada.add(small_files() | {"big": noise(1_000_000)})
    place.ada.push(root)
    place.collect(root)
    place.ada.shelf.contents.clear()
    remote = place.ada.remote
    assert remote.plan_push([root]).new_records, "an ordinary push does not look there"
    report = remote.push(remote.plan_revival([root]), place.ada.shelf)
    assert report.packs == 0 and len(place.list_keys("commits/")) == 1
    assert place.holds(root)
    place.now_s += 1
    place.collect(root)
    place.now_s += 14 * DAY_S
    plan = remote.plan_revival([root])
    place.now_s += 1
    assert place.collect().doomed
    assert remote.push(plan, place.ada.shelf).packs == 1
    place.now_s += 2 * DAY_S
    assert place.collect().deleted and place.holds(root)


def crash_everywhere(place: Place, act: Callable[[], object], check: Callable[[], None]) -> int:
    """Let an act die before and after each of its requests, and check what is left; returns how many there were."""
    for number in range(1000):
        for side in ("before", "after"):
            crash = CrashAt(number)
            setattr(place.transport, side, lambda operation, key, crash=crash: crash(operation, key))
            try:
                act()
            except Crash:
                ended = False
                for intent in place.list_keys("intents/"):
                    place.transport.inner.delete(intent)  # each is one more to read for those that come later
            else:
                ended = True
            setattr(place.transport, side, lambda operation, key: None)
            check()
        if ended:
            return number
    raise AssertionError


def test_death_at_every_request(place: Place) -> None:
    """A collector that dies anywhere loses nothing, and the next ends what it began."""
    roots = [place.ada.add({"a": noise(3000, seed)}, f"r{seed}") for seed in range(4)]
    place.ada.push(*roots)
    place.ada.push(place.ada.add({"a": noise(3000, 9)}, "other"))

    def check() -> None:
        assert place.holds(*roots[:2])

    assert crash_everywhere(place, lambda: place.collect(*roots[2:]), check) > 5
    place.now_s += 15 * DAY_S
    assert crash_everywhere(place, place.collect, check) > 2
    place.now_s += 2 * DAY_S
    crash_everywhere(place, place.collect, check)
    place.now_s += 8 * DAY_S
    place.collect()
    assert not place.list_keys("trash/") and not place.list_keys("doomed/") and not place.list_keys("intents/")


def test_requests(place: Place) -> None:
    """A collection takes five listings, and a few requests for each pack that goes."""
    requests: Counter[str] = Counter()
    place.ada.push(place.ada.add({"a": b"a"}))
    for number in range(50):
        place.transport.write(pack_key(SESSION, number), b"garbage")
        place.transport.write(index_key(SESSION, number), b"garbage")
    place.transport.before = lambda operation, key: requests.update([operation])
    place.collect()
    assert requests == {"read": 1, "list": 7, "write": 51, "delete": 1, "find_size": 1}
    place.now_s += 2 * DAY_S
    requests.clear()
    place.collect()
    assert requests["delete"] == 2 * 50 + 50 + 1 and requests["list"] == 6


def test_stalled_collectors(place: Place) -> None:
    """Plans that are carried out long after they were made harm nobody, whatever happened meanwhile."""
    old = place.ada.add({"a": noise(5000, 1)}, "old")
    place.ada.push(old)
    remote = place.ada.remote
    plans = []
    for _ in range(3):
        with remote.survey() as survey:
            plans.append((survey, plan_collection(survey, [old.digest])))
        place.collect(old)
        place.now_s += 15 * DAY_S
    place.ada.mirror.forget("")
    again = place.ada.add({"a": noise(5000, 1), "b": b"b"}, "again")
    place.ada.push(old, again)
    for survey, plan in plans:
        remote.collect(survey, plan)
        assert place.holds(old, again)
        place.ada.push(again)
        place.now_s += DAY_S + 1
        place.collect()
        assert place.holds(old, again)


class CrashBefore:
    """A hook that dies before the first request of a kind."""

    def __init__(self, operation: str, prefix: str) -> None:
        self.operation, self.prefix = operation, prefix

    def __call__(self, operation: str, key: str) -> None:
        if operation == self.operation and key.startswith(self.prefix):
            raise Crash


def test_root_that_nobody_pushed(place: Place) -> None:
    """To give up what nobody pushed changes nothing."""
    place.ada.push(place.ada.add({"a": b"a"}))
    with place.ada.remote.survey() as survey:
        assert plan_collection(survey, [Digest("xxh128:" + "0" * 32)]).is_empty


def test_survey_that_sleeps(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that was suspended while it looked removes nothing: the trash may have been emptied meanwhile."""
    first, second = (place.ada.add({"a": noise(5000, seed)}, f"r{seed}") for seed in range(2))
    place.ada.push(first, second)
    awake_s = time.time()

    def sleep(operation: str, key: str) -> None:
        if operation == "list" and key == "trash/":
            monkeypatch.setattr(time, "time", lambda: awake_s + 15 * DAY_S)

    place.transport.before = sleep
    before = place.list_keys()
    with pytest.raises(RemoteUnavailableError, match="took more than a day"):
        place.collect(first)
    place.transport.before = lambda operation, key: None
    assert place.list_keys() == before


def test_retired_once_more(place: Place) -> None:
    """Of a commit whose retirement died half-way, the entry in the trash does not go when it is retired again."""
    first, second = (place.ada.add({"a": noise(5000, seed)}, f"r{seed}") for seed in range(2))
    place.ada.push(first, second)

    def die(operation: str, key: str) -> None:
        if operation == "delete" and key.startswith("commits/"):
            raise Crash

    place.transport.before = die
    with pytest.raises(Crash):
        place.collect(first)
    place.transport.before = lambda operation, key: None
    (entry,) = place.list_keys("trash/")
    place.now_s += 15 * DAY_S
    place.collect(first)
    assert entry in place.list_keys("trash/") and entry.replace("trash/", "commits/") not in place.list_keys("commits/")
    assert place.holds(first, second)


def test_index_of_a_newer_version(place: Place) -> None:
    """An index object that only a newer vstore can read stays; a damaged one goes, for it is of no use."""
    place.ada.push(place.ada.add({"a": b"a"}))
    place.transport.write(pack_key(SESSION, 0), b"garbage")
    newer, damaged = index_key(SESSION, 0), index_key(SESSION, 1)
    place.transport.write(newer, b"vstore-index" + (2).to_bytes(4, "little") + bytes(100))
    place.transport.write(damaged, b"garbage")
    for _ in range(2):
        place.now_s += 2 * DAY_S
        place.collect()
    assert newer in place.list_keys("index/") and damaged not in place.list_keys("index/")


def test_pack_that_is_named_since(place: Place) -> None:
    """A pack that somebody began to rely upon after it was looked at gets no tombstone: it would never lose it."""
    root = place.ada.add(small_files())
    place.transport.before = CrashBefore("write", "commits/")
    with pytest.raises(Crash):
        place.ada.push(root)
    place.transport.before = lambda operation, key: None
    place.now_s += 6 * DAY_S
    for intent in place.list_keys("intents/"):
        place.transport.delete(intent)
    remote = place.ada.remote
    with remote.survey() as survey:
        plan = plan_collection(survey, ())
        place.ada.push(root)
        remote.collect(survey, plan)
    assert len(plan.doomed) == 1 and len(place.list_keys("packs/")) == 1, (
        "the pack of the push that died was taken over"
    )
    assert not place.list_keys("doomed/") and place.holds(root)
