"""Renewing: a root that is pushed again in time is never so old that it is given up for its age."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.remote.world import PROJECT, Machine
from vstore.remote.commits import CommittedRoot, commit_from_bytes
from vstore.remote.ledger import Policy
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Key
from vstore.remote.wrappers import LoggedTransport

DAY_S = 24 * 3600.0


class Place:
    """A remote whose clock the test moves, and a machine whose clock goes with it."""

    def __init__(self, path: Path, *, dated: bool = True) -> None:
        self.now_s = 1_800_000_000.0
        self.transport = LoggedTransport(MemoryTransport(clock=lambda: self.now_s if dated else math.inf))
        self.ada = Machine(path / "ada", self.transport, clock=lambda: self.now_s)
        self.root = self.ada.add({"a": b"a", "b": b"b"})

    def commits(self) -> dict[Key, tuple[CommittedRoot, ...]]:
        """The roots of each commit, newest commits first."""
        listed = sorted(self.transport.inner.list(f"commits/{PROJECT}/"), key=lambda found: -found.modified_s)
        return {found.key: commit_from_bytes(self.transport.inner.read(found.key), found.key).roots for found in listed}

    def packs(self) -> int:
        """How many packs there are."""
        return len(list(self.transport.inner.list("packs/")))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A remote of its own, with a root pushed."""
    place = Place(tmp_path)
    place.ada.push(place.root)
    return place


def test_push_of_what_is_there_renews_what_is_old(place: Place) -> None:
    """What was pushed more than a third of the retention ago is committed anew, and nothing is uploaded."""
    place.now_s += 10 * DAY_S
    assert place.ada.push(place.root).commit is None
    place.now_s += 1
    report = place.ada.push(place.root)
    assert report.commit is not None and report.packs == 0
    assert report.present == (place.root.digest,) and report.committed == ()
    assert place.packs() == 1 and len(place.commits()) == 2
    new, old = place.commits().values()
    assert new == old and new[0].pushed_s is None
    assert place.ada.push(place.root).commit is None


def test_plan_tells_what_is_to_be_renewed(place: Place) -> None:
    """A plan names as present what it renews."""
    place.now_s += 11 * DAY_S
    plan = place.ada.remote.plan_push([place.root])
    assert plan.present == plan.stale == (place.root.digest,)
    assert not plan.is_empty and not plan.new_bytes


def test_dead_file_is_looked_for_before_it_is_renewed(place: Place) -> None:
    """What turns out lost when it is looked for is uploaded anew, not renewed."""
    place.now_s += 11 * DAY_S
    plan = place.ada.remote.plan_push([place.root])
    (pack,) = place.transport.list("packs/")
    place.transport.write(f"doomed/{pack.key[len('packs/') : -len('.vpack')]}", b"")
    assert place.ada.remote.push(plan, place.ada.shelf).packs == 1
    assert pack.key not in [pin.key for pin in next(iter(place.commits().values()))[0].pins]


def test_date_of_a_root_counts_before_that_of_its_commit(place: Place) -> None:
    """A root that was committed anew by a merge is as old as the push that it came from."""
    place.now_s += 20 * DAY_S
    (key,) = place.commits()
    commit = commit_from_bytes(place.transport.read(key), key)
    for age_days in (12, 3):
        roots = tuple(root._replace(pushed_s=int(place.now_s - age_days * DAY_S)) for root in commit.roots)
        merged = type(commit)(commit.project, f"{age_days:032}", commit.author, commit.created, roots, (key,))
        place.transport.write(f"commits/{PROJECT}/{age_days:032}.json", merged.to_bytes())
        place.transport.delete(key)
        key = f"commits/{PROJECT}/{age_days:032}.json"
        assert bool(place.ada.remote.plan_push([place.root]).stale) == (age_days == 12)


def test_clock_that_lags_behind_renews_by_the_dates_of_the_store(place: Place) -> None:
    """A machine whose clock is years late learns from what others pushed since how late it is."""
    late = Machine(place.ada.mirror.path.parent, place.transport, clock=lambda: 0.0)
    place.now_s += 11 * DAY_S
    assert not late.remote.plan_push([place.root]).stale
    place.ada.push(place.ada.add({"c": b"c"}, "other"))
    assert late.remote.plan_push([place.root]).stale


@pytest.mark.parametrize("retention_days", [0, 30])
def test_nothing_gets_old(tmp_path: Path, retention_days: int) -> None:
    """Where the store tells no dates, or nothing is kept for its age, nothing is renewed."""
    place = Place(tmp_path, dated=retention_days == 0)
    place.ada.push(place.root)
    place.now_s += 1000 * DAY_S
    remote = place.ada.remote.follow(Policy(retention_days * DAY_S))
    assert remote.plan_push([place.root]).is_empty
