"""Merging commits and index objects: fewer objects say the same, whatever dies or sleeps meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from pathlib import Path

import pytest

from tests.remote.bucket import DAY_S, Bucket, Ear, push_small
from tests.remote.faults import Crash, CrashAt
from tests.remote.world import Machine
from vstore.progress import SILENT
from vstore.remote import upkeep
from vstore.remote.collect import collect, plan_collection
from vstore.remote.commits import commit_from_bytes
from vstore.remote.compaction import PACKS_SCALE
from vstore.remote.content import Root
from vstore.remote.layout import tombstone_key, trash_key
from vstore.remote.ledger import Ledger
from vstore.remote.merging import COMMITS_SCALE, INDEX_SCALE, OwnCommits, merge_commits, merge_indexes
from vstore.remote.retire import MOST_GIT_COMMITS, replace_commits
from vstore.remote.survey import open_survey
from vstore.remote.transport import Key

_FEW = COMMITS_SCALE._replace(most=3)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket in which packs stay as they are."""
    monkeypatch.setattr(upkeep, "PACKS_SCALE", PACKS_SCALE._replace(most=1000))
    return Bucket(tmp_path)


def push_many(machine: Machine, number: int) -> list[Root]:
    """Push as many versions."""
    return [push_small(machine, each)[0] for each in range(number)]


def test_too_many_commits_are_merged(bucket: Bucket) -> None:
    """The push that makes them too many merges commits; roots, pins and dates are what they were, once."""
    ada, roots = bucket.machine(), []
    for number in range(COMMITS_SCALE.most):
        roots.append(push_small(ada, number)[0])
        bucket.now_s += 60
    before = bucket.commits()
    dates = {found.key: int(found.modified_s) for found in bucket.memory.list("commits/")}
    bytes_before = {trash_key(key): bucket.memory.read(key) for key in before}
    roots.append(push_small(ada, COMMITS_SCALE.most)[0])
    (merged,) = bucket.commits().values()
    assert set(merged.supersedes) > before.keys()
    told = {root.digest: root for root in merged.roots}
    assert len(told) == len(merged.roots) == len(roots)
    for key, commit in before.items():
        for root in commit.roots:
            assert told[root.digest] == root._replace(pushed_s=dates[key], author=commit.author)
    assert {key: bucket.memory.read(key) for key in bytes_before} == bytes_before, "the trash has them byte for byte"
    assert bucket.lacks(roots) == []
    bucket.requests.clear()
    assert ada.push(*roots).commit is None
    assert bucket.requests.total() == 2, "a push of what is there is still two requests"


def test_renewed_roots_are_named_once(bucket: Bucket) -> None:
    """A root that was renewed again and again is in the merged commit once, with the date of its last push."""
    ada = bucket.machine()
    root = push_small(ada, 0)[0]
    for _ in range(COMMITS_SCALE.most):
        bucket.now_s += 11 * DAY_S
        assert ada.push(root).packs == 0
    (commit,) = bucket.commits().values()
    assert [named.pushed_s for named in commit.roots] == [bucket.now_s]
    assert bucket.lacks([root]) == []


def test_too_many_index_objects_are_merged(bucket: Bucket) -> None:
    """Index objects are merged, too; who reads them finds in fewer what was in many, and no pack's end is read."""
    ada = bucket.machine()
    roots = push_many(ada, INDEX_SCALE.most + 1)
    assert len(bucket.keys("index/")) == 1
    bucket.requests.clear()
    assert bucket.lacks(roots[:1]) == []
    assert bucket.requests["read index"] == 1 and bucket.requests["read_range packs"] == 1
    verdict = bucket.machine().remote.inspect(None)
    assert not verdict.problems and not verdict.indexes.untold


def test_index_that_is_gone_while_it_is_read(bucket: Bucket) -> None:
    """Who listed index objects that are merged before they are read looks again; so do those who listed commits."""
    ada, bob = bucket.machine(), bucket.machine()
    roots = push_many(ada, 12)
    packs = bucket.pinned()

    turn = threading.Lock()
    left = ["commits", "index"]

    def merge(operation: str, key: Key) -> None:
        folder = key.partition("/")[0]
        with turn:
            if operation != "read" or folder not in left:
                return
            left.remove(folder)
        if folder == "index":
            assert merge_indexes(Ledger(ada.site, Ear()), packs, INDEX_SCALE._replace(most=3)) == 12
        else:
            assert merge_commits(OwnCommits(ada.site, Ear()), _FEW) == 12

    bucket.transport.before = merge
    ear = Ear()
    assert bob.remote.missing_roots([root.digest for root in roots], reporter=ear) == set()
    assert not bob.fetch(roots[-1]).missing
    assert not left and not ear.warnings


def test_index_of_what_is_gone_is_written_anew(bucket: Bucket) -> None:
    """When most of what an index tells of is gone, compacting writes it anew; a strange one is left alone."""
    ada, eve = bucket.machine(), bucket.machine("eve", "p2")
    eve.push(eve.add({"strange": b"strange"}))
    strange = bucket.keys("index/")
    roots = push_many(ada, INDEX_SCALE.most + 1)
    bucket.collect(ada, [root.digest for root in roots[:-1]])
    ada.remote.compact(ada.shelf)
    bucket.end_holds(ada)
    ada.remote.compact(ada.shelf)
    (index,) = [
        Ledger(ada.site, Ear()).read_index(found) for found in bucket.memory.list("index/") if found.key not in strange
    ]
    assert {pack.key for pack in index.packs} == bucket.pinned() and strange < bucket.keys("index/")
    assert bucket.lacks(roots[-1:]) == []


def test_death_at_every_request(bucket: Bucket, tmp_path: Path) -> None:
    """Wherever a merge dies everything is told at least once, and the next merge ends with each once."""
    ada = bucket.machine()
    roots = push_many(ada, 5)
    counting, (twin,) = bucket.copy(tmp_path / "count", ada)
    counting.requests.clear()
    assert merge_commits(OwnCommits(twin.site, Ear()), _FEW) == 5
    for moment in ("before", "after"):
        for number in range(counting.requests.total()):
            other, (twin,) = bucket.copy(tmp_path / f"{moment}{number}", ada)
            setattr(other.transport, moment, CrashAt(number))
            with contextlib.suppress(Crash):
                merge_commits(OwnCommits(twin.site, Ear()), _FEW)
            other.transport.before = other.transport.after = other.count
            assert other.lacks(roots) == [], f"{moment} request {number}"
            merge_commits(OwnCommits(twin.site, Ear()), _FEW._replace(most=0))
            told = [root.digest for commit in other.commits().values() for root in commit.roots]
            assert set(told) == {root.digest for root in roots}
            other.end_holds(twin)
            assert other.lacks(roots) == [], f"{moment} request {number}, when the holds were over"


def test_two_at_once(bucket: Bucket, tmp_path: Path) -> None:
    """Two that merge the same commits, the one between any two requests of the other, lose nothing."""
    ada = bucket.machine()
    roots = push_many(ada, 5)
    counting, (twin,) = bucket.copy(tmp_path / "count", ada)
    counting.requests.clear()
    merge_commits(OwnCommits(twin.site, Ear()), _FEW)
    for number in range(counting.requests.total()):
        other, (twin,) = bucket.copy(tmp_path / str(number), ada)
        bob = other.machine("bob")
        left = [number]

        def merge(operation: str, key: Key, left: list[int] = left, bob: Machine = bob, other: Bucket = other) -> None:
            left[0] -= 1
            if left[0] == -1:
                merge_commits(OwnCommits(bob.site, Ear()), _FEW)
                other.collect(bob)

        other.transport.before = merge
        with contextlib.suppress(Exception):
            merge_commits(OwnCommits(twin.site, Ear()), _FEW)
        other.transport.before = other.count
        assert other.lacks(roots) == [], f"request {number}"
        other.end_holds(bob)
        assert other.lacks(roots) == [], f"request {number}, when the holds were over"


def test_who_sleeps_for_weeks_retires_nothing_that_is_needed(bucket: Bucket) -> None:
    """A merge that sleeps while what it means to pin is collected leaves alone what still holds the root."""
    ada, bob = bucket.machine(), bucket.machine()
    root = push_small(ada, 0)[0]
    bob.mirror.distrust(bucket.pinned())  # so that bob uploads it anew
    bob.push(root_of(bob, ada, root))
    own = OwnCommits(ada.site, Ear())
    newest = own.replaceable[0]
    chosen = [named._replace(pushed_s=1) for named in newest.commit.roots]
    stays = own.replaceable[1]
    bucket.memory.delete(newest.listed.key)  # somebody retires it, and the trash expires
    bucket.end_holds(bob)
    assert not set(newest.commit.packs()) & bucket.keys("packs/")
    replace_commits(ada.site, own.replaceable, chosen)
    assert stays.listed.key in bucket.keys("commits/")
    assert bucket.lacks([root]) == []


def root_of(machine: Machine, other: Machine, root: Root) -> Root:
    """The same root on another machine."""
    machine.shelf.contents.update(other.shelf.contents)
    return root


def test_who_pushed_survives_merges(bucket: Bucket) -> None:
    """A merged commit says of each root who pushed it last, and for which git commits it ever was, up to a bound."""
    ada = bucket.machine()
    root = push_small(ada, 0)[0]
    for number in range(MOST_GIT_COMMITS + 3):
        bucket.now_s += 11 * DAY_S
        pusher = bucket.machine(f"m{number}")
        pusher.site = dataclasses.replace(pusher.site, author=f"m{number}@host")
        pusher.push(root_of(pusher, ada, root)._replace(git_commit=f"{number:040x}"))
        own = OwnCommits(ada.site, Ear())
        if number % 2:
            replace_commits(ada.site, own.replaceable, own.supersede(own.replaceable)[1])
            (held,) = OwnCommits(ada.site, Ear()).replaceable
            (told,) = held.commit.roots
            assert told.author == f"m{number}@host" and told.pushed_s == bucket.now_s
            kept = [None, *(f"{each:040x}" for each in range(number + 1))][::-1]
            commits = set(told.all_git_commits())
            assert told.git_commits[0] in kept[:2] and len(commits) == len(told.all_git_commits())
            assert commits >= set(kept[:MOST_GIT_COMMITS]) and len(commits) == min(len(kept), MOST_GIT_COMMITS + 1)


def test_dates_survive_many_merges(bucket: Bucket) -> None:
    """However often commits are merged, each root has the date of its push."""
    ada = bucket.machine()
    dates = {}
    for number in range(6):
        dates[push_small(ada, number)[0].digest] = bucket.now_s
        bucket.now_s += 1000
        merge_commits(OwnCommits(ada.site, Ear()), COMMITS_SCALE._replace(most=0))
    for key in bucket.keys("commits/"):
        listed_s = next(
            found.modified_s for found in bucket.memory.list(key.rpartition("/")[0] + "/") if found.key == key
        )
        for root in commit_from_bytes(bucket.memory.read(key), key).roots:
            assert dates[root.digest] == (listed_s if root.pushed_s is None else root.pushed_s)


def test_merged_commit_that_is_not_whole(bucket: Bucket) -> None:
    """A tombstone that was there before the merged commit is seen by the next push that finds everything there."""
    ada = bucket.machine()
    push_many(ada, 5)
    pack = min(bucket.keys("packs/"))

    def doom(operation: str, key: Key) -> None:
        if operation == "write" and key.startswith("commits/"):
            bucket.transport.before = bucket.count
            bucket.memory.write(tombstone_key(pack), b"")  # as a stalled collector does

    bucket.transport.before = doom
    assert merge_commits(OwnCommits(ada.site, SILENT), _FEW)
    commits = bucket.commits()
    whole = ada.mirror.whole_commits()
    assert [key for key, commit in commits.items() if commit.supersedes and key not in whole]
    assert not [key for key, commit in commits.items() if commit.supersedes and pack in commit.packs() and key in whole]


def test_pack_that_is_doomed_and_named(bucket: Bucket) -> None:
    """Roots move with the pins that they have, also to a doomed pack: else a commit could never be retired."""
    ada = bucket.machine()
    first, second = push_many(ada, 2)
    ada.push(first, second)
    for pack in bucket.keys("packs/"):
        bucket.memory.write(tombstone_key(pack), b"")
    with open_survey(ada.site, SILENT) as survey:
        plan = plan_collection(survey, [first.digest])
        collect(ada.site, survey, plan, SILENT)
    assert all(first.digest not in {root.digest for root in commit.roots} for commit in bucket.commits().values())
    assert bucket.lacks([second]) == []
