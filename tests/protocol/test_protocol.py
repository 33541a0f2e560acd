"""The protocol loses nothing that a push reported, whatever the order of requests; without any of its rules it does.

Two lines of defence stand behind each other.  A pusher announces what it relies upon and looks before it commits; and
it looks once more when its commit is there.  Either is enough, as long as intents do not expire; so what each rule is
for shows where the other line is down.
"""

from __future__ import annotations

import dataclasses

import pytest

from tests.protocol.model import OLD, RULES, Rules, collect, is_safe, merge, pass_time, push, retire
from tests.protocol.search import Bucket, Found, Phase, search, then

GARBAGE: Bucket = frozenset([(OLD, None)])
"""A pack that holds the record everybody needs, and that nothing pins."""
PINNED = frozenset([OLD])
TWO_COMMITS: Bucket = frozenset(
    [
        (OLD, None),
        # A pack may be doomed and pinned: then its tombstone stays, and it lives as long as it is named.
        ("doomed/old", None),
        ("commits/p", frozenset([("a", PINNED)])),
        ("commits/q", frozenset([("b", PINNED)])),
    ]
)
ONE_COMMIT: Bucket = frozenset(
    [(OLD, None), ("doomed/old", None), ("commits/p", frozenset([("a", PINNED), ("b", PINNED)]))]
)
FIRST_LINE_ONLY = dataclasses.replace(RULES, looks_again=False)
LAST_LINE_ONLY = dataclasses.replace(RULES, announces=False)
TIME = then(pass_time, "trash/")


def without(rules: Rules, *names: str) -> Rules:
    """Return rules without some of them."""
    return dataclasses.replace(rules, **dict.fromkeys(names, False))


def run(bucket: Bucket, *reported: str, **processes: Phase) -> Found:
    """Search all orders; ``reported`` are roots that were pushed before."""
    facts = frozenset(f"reported {root}" for root in reported)
    return search(bucket, processes, lambda left, noted: is_safe(left, noted | facts))


def pushers_and_collectors(rules: Rules, pushers: int, collectors: int, *, expiring: bool = False) -> dict[str, Phase]:
    """Return so many of each; with ``expiring`` an intent may expire, at any moment."""
    processes = {f"pusher {root}": then(push, rules, root) for root in "ab"[:pushers]}
    processes |= {f"collector {number}": then(collect, rules) for number in range(collectors)}
    return processes | ({"time": then(pass_time, "intents/")} if expiring else {})


@pytest.mark.parametrize(("pushers", "collectors", "expiring"), [(1, 1, True), (2, 1, False), (1, 2, False)])
@pytest.mark.parametrize("rules", [RULES, FIRST_LINE_ONLY, LAST_LINE_ONLY])
def test_nothing_is_lost(rules: Rules, pushers: int, collectors: int, expiring: bool) -> None:
    """Pushes that rely upon a pack, while others collect it, lose nothing; and both sides get somewhere."""
    if rules is FIRST_LINE_ONLY and expiring:
        rules = RULES  # the last line is there for intents that expire
    found = run(GARBAGE, **pushers_and_collectors(rules, pushers, collectors, expiring=expiring))
    assert found.loss is None
    assert found.facts == {f"reported {root}" for root in "ab"[:pushers]} and not found.smallest


@pytest.mark.parametrize(
    "rule",
    [
        "announces",
        "announces_own",
        "looks_at_tombstones",
        "looks_at_packs",
        "fresh_names",
        "lists_intents_first",
        "looks_twice",
        "keeps_tombstones",
        "deletes_packs_first",
    ],
)
def test_rules_of_the_first_line(rule: str) -> None:
    """Where nobody looks again, every rule of the first line is needed."""
    assert run(GARBAGE, **pushers_and_collectors(without(FIRST_LINE_ONLY, rule), 1, 2)).loss


@pytest.mark.parametrize(
    "rule", ["looks_at_tombstones", "looks_at_packs", "looks_twice", "keeps_tombstones", "deletes_packs_first"]
)
def test_rules_of_both_lines(rule: str) -> None:
    """Of some rules both lines are made."""
    assert run(GARBAGE, **pushers_and_collectors(without(RULES, rule), 1, 2)).loss


def test_expired_intents() -> None:
    """An intent that expires under a slow push is what the last line is for."""
    assert run(GARBAGE, **pushers_and_collectors(FIRST_LINE_ONLY, 1, 2, expiring=True)).loss


def test_commits_come_after_their_packs() -> None:
    """A commit that comes before its packs is one that a crash leaves with nothing behind it."""

    def is_whole(bucket: Bucket, _: frozenset[str]) -> bool:
        present = {key for key, _ in bucket}
        return all(pins <= present for key, roots in bucket if key.startswith("commits/") for _, pins in roots)

    def is_lost(rules: Rules) -> bool:
        return search(frozenset(), {"pusher": then(push, rules, "a")}, is_whole).loss is not None

    assert is_lost(without(RULES, "uploads_first")) and not is_lost(RULES)


@pytest.mark.parametrize("session", ["c", "z"])
def test_merging(session: str) -> None:
    """Commits may be merged while others collect, whether the new name comes before the old ones or behind."""
    rules = dataclasses.replace(RULES, pages=True)
    found = run(TWO_COMMITS, "a", "b", merger=then(merge, rules, session), collector=then(collect, rules))
    assert found.loss is None and found.smallest == len(TWO_COMMITS)


@pytest.mark.parametrize("rule", ["copies_to_trash", "lists_trash_last"])
def test_rules_of_merging(rule: str) -> None:
    """A list that comes in pages may show neither the old commits nor the new one; the trash, listed last, does."""
    rules = without(dataclasses.replace(RULES, pages=True), rule)
    assert run(TWO_COMMITS, "a", "b", merger=then(merge, rules, "c"), collector=then(collect, rules)).loss


def test_retiring() -> None:
    """Giving up one root of a commit harms no other root of it."""
    rules = dataclasses.replace(RULES, pages=True)
    collectors = {f"collector {number}": then(collect, rules, 1) for number in range(2)}
    assert run(ONE_COMMIT, "a", "b", retirer=then(retire, rules, "a"), **collectors).loss is None


def test_crash_in_merging_or_retiring() -> None:
    """What is to stay is committed anew before anything is retired: what only trash names is gone in two weeks."""
    for bucket, phase in ((TWO_COMMITS, (merge, "c")), (ONE_COMMIT, (retire, "a"))):
        for rules, is_lost in ((RULES, False), (without(RULES, "merges_first"), True)):
            act, argument = phase
            found = run(bucket, "a", "b", one=then(act, rules, argument), time=TIME, more_time=TIME)
            assert (found.loss is not None) == is_lost


@pytest.mark.parametrize("doomed", [True, False])
def test_undoing(doomed: bool) -> None:
    """Bringing back what is in the trash is a push that relies upon its packs: the entry may expire at any moment."""
    trash = frozenset([(OLD, None), ("trash/k", frozenset([("a", PINNED)])), *([("doomed/old", None)] * doomed)])
    collectors = {f"collector {number}": then(collect, RULES, 1) for number in range(2)}
    found = run(trash, undo=then(push, RULES, "a"), time=TIME, **collectors)
    assert found.loss is None and found.facts == {"reported a"}


def test_all_at_once(pytestconfig: pytest.Config) -> None:
    """Two pushers and two collectors; with --hypothesis-profile=thorough also a merger (minutes, and gigabytes)."""
    thorough = pytestconfig.getoption("--hypothesis-profile", None) == "thorough"
    if thorough:
        assert run(GARBAGE, **pushers_and_collectors(RULES, 2, 2)).loss is None
    merger = {"merger": then(merge, RULES, "c")} if thorough else {}
    assert run(GARBAGE, **pushers_and_collectors(RULES, 2, 1), **merger).loss is None
