"""Choosing schedules: all with few switches and faults, or some by seed; and playing one again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tests.scheduled.stage import Choice, Option, Stage, schedule_to_text

_SEED_LENGTH = 60
"""About how many requests a play has, of which some become switches and faults."""


class Play(Protocol):
    """Something that can be played from its beginning, again and again, and goes as the choices say."""

    def __call__(self, choose: Callable[[Stage, Sequence[Option]], Choice], seed: int) -> Stage:
        """Play once.  Raises LossError, and what ``choose`` raises."""


class LossError(AssertionError):
    """Something that must always hold did not."""

    def __init__(self, reason: str, stage: Stage, seed: int) -> None:
        words = "\n".join(stage.words)
        super().__init__(f"{reason}\n{words}\nseed {seed}, schedule: {schedule_to_text(stage.choices)}")
        self.reason = reason
        self.seed = seed
        self.choices = tuple(stage.choices)


class Seen(Exception):  # noqa: N818 (nothing is wrong)
    """What follows from here was played before."""


class Budget(NamedTuple):
    """How many switches that were not needed, and how many faults, a schedule may have."""

    switches: int
    faults: int = 0

    def pay(self, option: Option) -> Budget:
        """Return what is left."""
        return Budget(self.switches - option.switches, self.faults - option.faults)

    @property
    def is_overdrawn(self) -> bool:
        """Whether this is less than nothing."""
        return self.switches < 0 or self.faults < 0


@dataclass(slots=True)
class Tally:
    """How much was played."""

    plays: int = 0
    steps: int = 0


def explore(play: Play, budget: Budget, *, seed: int = 0, most: int = 1_000_000) -> Tally:
    """Play every schedule within a budget, as CHESS does: few switches find most of what many would.

    Two schedules that lead to the same bucket, and to actors that were answered the same, are followed once.
    Raises LossError.
    """
    tally = Tally()
    known: dict[object, list[Budget]] = {}
    pending: list[tuple[Choice, ...]] = [()]
    while pending:
        search = _Search(pending.pop(), budget, known)
        try:
            play(search.choose, seed)
        except Seen:
            pass
        pending += reversed(search.branches)
        tally.plays += 1
        tally.steps += search.steps
        assert tally.plays <= most, "there are too many schedules"
    return tally


class _Search:
    """Plays as another play began, and then without switches; notes what else could have been chosen."""

    def __init__(self, beginning: tuple[Choice, ...], left: Budget, known: dict[object, list[Budget]]) -> None:
        self.branches: list[tuple[Choice, ...]] = []
        self.steps = 0
        self._beginning = beginning
        self._left = left
        self._known = known

    def choose(self, stage: Stage, options: Sequence[Option]) -> Choice:
        """Choose what comes next.  Raises Seen."""
        self.steps += 1
        place = len(stage.choices)
        if place < len(self._beginning):
            option = next(option for option in options if option.choice == self._beginning[place])
        else:
            option = options[0]
            if _is_known(self._known, stage.state(), self._left):
                raise Seen
            others = (other for other in options[1:] if not self._left.pay(other).is_overdrawn)
            self.branches += [(*stage.choices, other.choice) for other in others]
        self._left = self._left.pay(option)
        return option.choice


def _is_known(known: dict[object, list[Budget]], state: object, left: Budget) -> bool:
    """Tell whether a state was reached before with at least as much left to spend; note it."""
    budgets = known.setdefault(state, [])
    if any(other.switches >= left.switches and other.faults >= left.faults for other in budgets):
        return True
    budgets.append(left)
    return False


def try_seeds(play: Play, seeds: Iterator[int] | Sequence[int], *, faults: int = 1) -> Tally:
    """Play one schedule for each seed.  Raises LossError.

    Half of them give the actors ranks that change a few times, which finds what needs an order of few steps (PCT);
    the others switch at any moment.
    """
    tally = Tally()
    for seed in seeds:
        chance = random.Random(seed)
        luck = _Ranks(chance, faults) if seed % 2 else _Dice(chance, faults)
        tally.plays += 1
        tally.steps += len(play(luck.choose, seed).choices)
    return tally


class _Dice:
    """Switches at any moment."""

    def __init__(self, chance: random.Random, faults: int) -> None:
        self.chance = chance
        self.faults = chance.randint(0, faults)
        self.haste = chance.choice([0.05, 0.2, 0.5])

    def choose(self, stage: Stage, options: Sequence[Option]) -> Choice:
        """Choose who goes on."""
        actor = options[0].choice.actor
        if self.chance.random() < self.haste:
            actor = self.chance.choice(options).choice.actor
        return self.spoil(stage, [option.choice for option in options if option.choice.actor == actor])

    def spoil(self, stage: Stage, fates: Sequence[Choice]) -> Choice:
        """Choose what becomes of an actor's request: mostly what should."""
        if self.faults and len(fates) > 1 and self.chance.random() < 2 * self.faults / _SEED_LENGTH:
            self.faults -= 1
            return self.chance.choice(fates[1:])
        return fates[0]


class _Ranks(_Dice):
    """Lets the actor of the highest rank go on; at a few moments it sinks below all others."""

    def __init__(self, chance: random.Random, faults: int) -> None:
        super().__init__(chance, faults)
        self.ranks: dict[str, float] = {}
        self.moments = {chance.randrange(_SEED_LENGTH) for _ in range(chance.randint(1, 5))}

    def choose(self, stage: Stage, options: Sequence[Option]) -> Choice:
        """Choose the actor of the highest rank."""
        for name in stage.actors:
            self.ranks.setdefault(name, self.chance.random())
        names = {option.choice.actor for option in options}
        actor = max(sorted(names), key=self.ranks.__getitem__)
        if len(stage.choices) in self.moments:
            self.ranks[actor] = min(self.ranks.values()) - 1
            actor = max(sorted(names), key=self.ranks.__getitem__)
        return self.spoil(stage, [option.choice for option in options if option.choice.actor == actor])


def replay(play: Play, choices: Sequence[Choice], seed: int) -> Stage:
    """Play one schedule again; after its last choice everybody goes on as they would."""

    def choose(stage: Stage, options: Sequence[Option]) -> Choice:
        place = len(stage.choices)
        return choices[place] if place < len(choices) else options[0].choice

    return play(choose, seed)
