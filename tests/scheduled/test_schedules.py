"""The real code loses nothing that a push reported, whatever the order of requests and whatever goes wrong.

Every request to the bucket, and every page of a listing, is a moment at which somebody else may go on, a process may
die, or a line may break.  Small casts are tried in every order with few switches, a large one by seed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scheduled import mutants
from tests.scheduled.explore import Budget, LossError, explore, replay, try_seeds
from tests.scheduled.scenarios import CROWD, SMALL
from tests.scheduled.stage import schedule_from_text, schedule_to_text
from tests.scheduled.town import Theatre


@pytest.fixture
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether to search for long: with --hypothesis-profile=thorough."""
    return pytestconfig.getoption("--hypothesis-profile", None) == "thorough"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where machines have their disks: in memory where that is possible, since thousands are made."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="vstore-test-") as path:
        yield Path(path)


@pytest.mark.parametrize("name", SMALL)
def test_every_meeting(place: Path, name: str, thorough: bool) -> None:
    """Whoever meets, and wherever one of them dies or fails, nothing is lost and nothing useless stays."""
    small = SMALL[name]
    explore(Theatre(place, small.scenario), small.thorough if thorough else small.ordinary)


def test_crowd(place: Path, thorough: bool) -> None:
    """Many who push, fetch, retire and collect, for two projects, while processes die, lines break and days pass."""
    try_seeds(Theatre(place, CROWD), range(5000 if thorough else 40), faults=2)


Mutant = Callable[[pytest.MonkeyPatch], None]


@pytest.mark.parametrize(
    ("mutant", "name", "budget"),
    [
        (mutants.never_look_at_tombstones, "push and sweep", Budget(1)),
        (mutants.never_look_for_packs, "push and sweep", Budget(1)),
        (mutants.never_look_again, "slow push", Budget(1)),
        (mutants.announce_nothing, "slow push", Budget(1)),
        (mutants.protect_no_sessions, "push and two collections", Budget(1)),
        (mutants.list_commits_first, "push of garbage and a stalled collection", Budget(2)),
        (mutants.list_trash_first, "retiring and collection, by pages", Budget(2)),
        (mutants.delete_tombstones_first, "push and sweep", Budget(1)),
        (mutants.lift_tombstones, "push and a stalled sweep", Budget(1)),
        (mutants.copy_nothing_to_trash, "retiring and collection, by pages", Budget(2)),
        (mutants.retire_before_committing_anew, "retiring that dies", Budget(0, 1)),
        (mutants.announce_no_replacement, "retirings of all that there is", Budget(1)),
        (mutants.commit_only_what_is_new, "push and retiring", Budget(0)),
        (mutants.rely_on_other_commits, "retirings of neighbours", Budget(1)),
        (mutants.delete_at_once, "slow push", Budget(1)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_mutants_are_caught(
    place: Path, monkeypatch: pytest.MonkeyPatch, thorough: bool, mutant: Mutant, name: str, budget: Budget
) -> None:
    """Without a precaution a schedule is found that loses something, or fails somebody, and it can be replayed."""
    if mutant is mutants.list_commits_first and not thorough:
        pytest.skip("a search of 2,000 schedules: with --hypothesis-profile=thorough")
    theatre = Theatre(place, SMALL[name].scenario)
    mutant(monkeypatch)
    with pytest.raises(LossError) as found:
        explore(theatre, budget)
    schedule = schedule_from_text(schedule_to_text(found.value.choices))
    with pytest.raises(LossError) as again:
        replay(theatre, schedule, found.value.seed)
    word = "IntentGoneError" if mutant is mutants.announce_no_replacement else " is lost"
    assert again.value.reason == found.value.reason and word in found.value.reason


def test_schedules_decide_everything(place: Path) -> None:
    """The same schedule and seed make the same requests, also where a crowd meets."""
    theatre = Theatre(place, CROWD)
    for seed in range(4):
        stages = [replay(theatre, (), seed) for _ in range(2)]
        assert stages[0].words == stages[1].words
