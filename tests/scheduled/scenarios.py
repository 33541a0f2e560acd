"""Who meets whom: small casts, whose every meeting is tried, and a large one, which is tried by seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from tests.remote.world import noise
from tests.scheduled.bucket import Fates
from tests.scheduled.explore import Budget
from tests.scheduled.town import DAY_S, HOUR_S, Scenario, Town
from vstore.remote.layout import tombstone_key

_A, _B, _C = ({name: name.encode() * 10} for name in "abc")


# What is there at first


def _garbage(town: Town) -> None:
    """A pack with something that ada and bob are about to push; nothing pins it any more, but an index tells of it."""
    ada = town.open_machine("ada", algorithm="blake3")
    town.roots["kept"] = ada.add(_C, "kept")
    town.roots["old"] = ada.add(_A, "old")
    town.push("ada", "kept")
    town.push("ada", "old")
    town.collect("ada", "old")
    town.given_up.clear()
    town.pass_time(15 * DAY_S)  # what lies in the trash pins no longer
    for name in ("ada", "bob"):
        town.roots[name] = town.open_machine(name, algorithm="blake3").add(_A | {name: name.encode()}, name)


def _doomed(town: Town) -> None:
    """The same pack, doomed more than a day ago."""
    _garbage(town)
    town.collect("ada")
    town.pass_time(25 * HOUR_S)


def _one_commit(town: Town) -> None:
    """Two roots in one commit, pinned to a pack that somebody slow doomed; and a third that shares their contents."""
    ada = town.open_machine("ada")
    town.roots["first"] = ada.add(_A | _B, "first")
    town.roots["second"] = ada.add(_A | _C, "second")
    town.push("ada", "first", "second")
    for pack in list(town.bucket.list("packs/")):
        town.bucket.write(tombstone_key(pack.key), b"{}\n")
    town.pass_time(25 * HOUR_S)
    bob = town.open_machine("bob")
    bob.add(_A | _B)
    town.roots["third"] = bob.add(_B | _C, "third")


def _two_projects(town: Town) -> None:
    """Zoe is about to push what ada's project pushed, with digests that prove what they name."""
    ada = town.open_machine("ada", algorithm="blake3")
    town.roots["ada"] = ada.add(_A | _B, "ada")
    town.push("ada", "ada")
    town.roots["zoe"] = town.open_machine("zoe", "p2", "blake3").add(_A | _B | _C, "zoe")
    town.pass_time(DAY_S)


def _two_commits(town: Town) -> None:
    """A root that two commits hold, each beside one that somebody is about to give up."""
    ada = town.open_machine("ada")
    town.roots["kept"] = ada.add(_C, "kept")
    for name, data in (("a", _A), ("b", _B)):
        town.roots[name] = ada.add(data, name)
        town.push("ada", "kept", name)
    town.pass_time(DAY_S)


def _many_commits(town: Town) -> None:
    """Four small packs, one of them for a root that is about to be given up."""
    ada = town.open_machine("ada")
    for name in "wxyz":
        town.roots[name] = ada.add({name: name.encode()} | _A, name)
        town.push("ada", name)
    town.pass_time(DAY_S)
    bob = town.open_machine("bob")
    town.roots["bob"] = bob.add({"bob": b"bob"} | _A, "bob")


def _trash(town: Town) -> None:
    """A root that was retired almost two weeks ago, and another one."""
    ada = town.open_machine("ada")
    town.roots["old"] = ada.add(_A, "old")
    town.roots["kept"] = ada.add(_C, "kept")
    town.push("ada", "old")
    town.push("ada", "kept")
    town.collect("ada", "old")
    town.given_up.clear()
    town.pass_time(14 * DAY_S - HOUR_S)


def _large(town: Town) -> None:
    """A large content whose old version is at the remote, in several packs."""
    ada = town.open_machine("ada")
    old = noise(400_000)
    town.roots["old"] = ada.add({"big": old}, "old")
    town.push("ada", "old")
    town.roots["new"] = ada.add({"big": old[:200_000] + b"edited" + old[200_000:]}, "new")
    town.pass_time(DAY_S)


# Who meets


def _push_and_sweep(town: Town) -> None:
    town.pusher("ada", "ada")
    town.collector("eve")


def _push_and_two_collections(town: Town) -> None:
    town.pusher("ada", "ada")
    town.collector("eve")
    town.collector("kim", after_s=25 * HOUR_S)


def _push_and_stalled_collections(town: Town) -> None:
    """Somebody made a plan, and carries it out when others have been there."""
    town.pusher("ada", "ada")
    town.stalled_collector("eve")
    town.collector("kim", after_s=25 * HOUR_S)


def _push_of_garbage_and_stalled_collections(town: Town) -> None:
    town.pusher("ada", "old")
    town.stalled_collector("eve")
    town.collector("kim", after_s=25 * HOUR_S)


def _two_pushes_and_sweep(town: Town) -> None:
    town.pusher("ada", "ada")
    town.pusher("bob", "bob")
    town.collector("eve")


def _slow_push(town: Town) -> None:
    town.pusher("ada", "ada")
    town.collector("eve", after_s=8 * DAY_S)
    town.collector("kim", after_s=25 * HOUR_S)


def _push_and_retiring(town: Town) -> None:
    town.pusher("bob", "third")
    town.collector("eve", "first")


def _push_of_what_is_given_up(town: Town) -> None:
    town.pusher("bob", "first", "third")
    town.collector("eve", "first")


def _retiring_and_collection(town: Town) -> None:
    town.collector("eve", "first")
    town.collector("kim")


def _two_retirings(town: Town) -> None:
    town.collector("eve", "first")
    town.collector("kim", "first", after_s=15 * DAY_S)


def _retirings_of_neighbours(town: Town) -> None:
    town.collector("eve", "a")
    town.collector("kim", "b")


def _retirings_of_all(town: Town) -> None:
    town.collector("eve", "first")
    town.collector("kim", "second")


def _compaction_and_push(town: Town) -> None:
    town.compactor("max")
    town.pusher("bob", "bob")
    town.collector("eve", after_s=6 * DAY_S)


def _compaction_and_retiring(town: Town) -> None:
    town.compactor("max")
    town.collector("eve", "w")


def _two_compactions(town: Town) -> None:
    town.compactor("max")
    town.compactor("mia")


def _compaction_and_fetch(town: Town) -> None:
    town.compactor("max")
    town.fetcher("joe", "y")


def _fetch_and_retiring(town: Town) -> None:
    town.fetcher("joe", "second")
    town.collector("eve", "first")


def _strangers(town: Town) -> None:
    town.pusher("zoe", "zoe")
    town.collector("eve", "ada")
    town.collector("kim")


def _large_push_and_retiring(town: Town) -> None:
    town.pusher("ada", "new")
    town.collector("eve", "old")


def _patient_push(town: Town) -> None:
    town.pusher("ada", "ada", is_patient=True)
    town.collector("eve")


def _undo_and_collections(town: Town) -> None:
    town.reviver("ada", "old")
    town.collector("eve", after_s=DAY_S)
    town.collector("kim", after_s=25 * HOUR_S)


def _city(town: Town) -> None:
    """What two projects have in one bucket, some of it doomed, and what they will push."""
    _one_commit(town)
    zoe = town.open_machine("zoe", "p2", "blake3")
    town.roots["zoe's first"] = zoe.add(_A | _B, "zoe's first")
    town.push("zoe", "zoe's first")
    town.roots["zoe's second"] = zoe.add(_B | _C, "zoe's second")
    for name in ("ada", "bob"):
        machine = town.open_machine(name)
        machine.add(_A | _B), machine.add(_A | _C), machine.add(_B | _C)
        town.roots[name] = machine.add({"big": noise(300_000), name: name.encode()} | _A, name)


def _crowd(town: Town) -> None:
    """Some of the city's people, chosen by the seed."""
    chance = random.Random(town.seed)
    town.pusher("ada", *chance.sample(["ada", "second", "third", "first"], 2), is_patient=chance.random() < 0.5)
    if chance.random() < 0.7:
        town.pusher("bob", *chance.sample(["bob", "second", "third"], 2))
    if chance.random() < 0.3:
        town.pusher("ada's other", "third", machine="ada")
    if chance.random() < 0.5:
        town.pusher("zoe", "zoe's second")
    town.collector("eve", *chance.choice([["first"], []]))
    town.collector("kim", *chance.choice([["first"], []]), after_s=chance.choice([0, DAY_S + 1, 15 * DAY_S]))
    if chance.random() < 0.3:
        town.collector("lea", *chance.choice([["zoe's first"], []]), machine="zoe")
    if chance.random() < 0.3:
        town.stalled_collector("max")
    if chance.random() < 0.4:
        town.fetcher("joe", "second")
    town.time(*chance.choices([HOUR_S, 25 * HOUR_S, 8 * DAY_S, 15 * DAY_S], k=chance.randint(0, 2)))


class Small(NamedTuple):
    """A small cast, and how much of it is tried in an ordinary run and in a thorough one."""

    scenario: Scenario
    ordinary: Budget
    thorough: Budget


def _small(
    prepare: Callable[[Town], None],
    cast: Callable[[Town], None],
    *budgets: Budget,
    fates: Fates | None = None,
    sleeps: bool = False,
) -> Small:
    ordinary, thorough = budgets
    return Small(Scenario(prepare, cast, fates or Fates(), sleeps), ordinary, thorough)


_DYING, _FAILING, _STALE, _PAGES = Fates(dying=True), Fates(failing=True), Fates(stale=True), Fates(page=1)

SMALL = {
    "push and sweep": _small(_doomed, _push_and_sweep, Budget(1), Budget(3)),
    "push and two collections": _small(_garbage, _push_and_two_collections, Budget(1), Budget(2)),
    "push and a stalled collection": _small(_garbage, _push_and_stalled_collections, Budget(0), Budget(2)),
    "push of garbage and a stalled collection": _small(
        _garbage, _push_of_garbage_and_stalled_collections, Budget(1), Budget(3)
    ),
    "push and a stalled sweep": _small(_doomed, _push_and_stalled_collections, Budget(1), Budget(2)),
    "two pushes and sweep": _small(_doomed, _two_pushes_and_sweep, Budget(0), Budget(2)),
    "slow push": _small(_garbage, _slow_push, Budget(1), Budget(2), sleeps=True),
    "push and retiring": _small(_one_commit, _push_and_retiring, Budget(1), Budget(3)),
    "push of what is given up": _small(_one_commit, _push_of_what_is_given_up, Budget(2), Budget(3)),
    "retiring and collection, by pages": _small(
        _one_commit, _retiring_and_collection, Budget(2), Budget(3), fates=_PAGES
    ),
    "two retirings": _small(_one_commit, _two_retirings, Budget(1), Budget(3)),
    "retirings of neighbours": _small(_two_commits, _retirings_of_neighbours, Budget(1), Budget(3)),
    "retirings of all that there is": _small(_one_commit, _retirings_of_all, Budget(1), Budget(3)),
    "compaction and push": _small(_many_commits, _compaction_and_push, Budget(0), Budget(1), sleeps=True),
    "compaction and retiring": _small(_many_commits, _compaction_and_retiring, Budget(1), Budget(2)),
    "two compactions": _small(_many_commits, _two_compactions, Budget(1), Budget(2)),
    "compaction and fetch": _small(_many_commits, _compaction_and_fetch, Budget(1), Budget(2)),
    "compaction that dies": _small(_many_commits, _compaction_and_retiring, Budget(0, 1), Budget(1, 1), fates=_DYING),
    "compaction whose line breaks": _small(
        _many_commits, _compaction_and_retiring, Budget(0, 1), Budget(1, 1), fates=_FAILING
    ),
    "undo and collections": _small(_trash, _undo_and_collections, Budget(1), Budget(2)),
    "fetch and retiring": _small(_one_commit, _fetch_and_retiring, Budget(1), Budget(3)),
    "strangers": _small(_two_projects, _strangers, Budget(1), Budget(2)),
    "push that dies": _small(_doomed, _push_and_sweep, Budget(0, 1), Budget(1, 1), fates=_DYING),
    "retiring that dies": _small(_one_commit, _two_retirings, Budget(0, 1), Budget(1, 1), fates=_DYING),
    "large push that dies": _small(_large, _large_push_and_retiring, Budget(0, 1), Budget(1, 1), fates=_DYING),
    "push whose line breaks": _small(_doomed, _push_and_sweep, Budget(0, 1), Budget(1, 1), fates=_FAILING),
    "patient push": _small(_doomed, _patient_push, Budget(0, 1), Budget(1, 1), fates=_FAILING),
    "weak store": _small(_garbage, _push_and_two_collections, Budget(0, 1), Budget(1, 1), fates=_STALE),
}

CROWD = Scenario(_city, _crowd, Fates(dying=True, failing=True, page=2), sleeps=True)
"""Many at once, with everything that can go wrong; tried by seed."""
