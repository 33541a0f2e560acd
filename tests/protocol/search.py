"""Exhaustive search: every order in which the requests of several processes can reach one bucket.

A process is a generator: it yields requests and is sent what the bucket answers.  What it does next depends on the
answers alone, so a process is known by the answers it had, and two orders of requests that lead to the same bucket
and the same answers need to be followed only once.  A generator that returns ``then(function, arguments)`` goes on
as that one and forgets what it was answered before: the fewer memories, the fewer states.

A crash is a process that is never scheduled again: since every state counts, and not only those at the end, crashes
are searched without being told.

What was remarked and what the bucket holds are a *world*; how far a process is, is a *mind*.  Both are numbered, and a
state is one whole number: the world, and behind it the minds, 14 bits each.  So a step is an addition, of what was
worked out when a process of that mind first met that world; and worlds, which are few, are all that is judged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.protocol.bucket import GONE, SURVEYS, Bucket, Phase, Process, Request, answer, tell, time_in

Facts = frozenset[tuple[str, str, int]]
"""What was remarked: what happened, to which root, and when."""
Judge = Callable[[Bucket, Facts], str | None]
"""Says what is wrong in a world, or None."""
Prefixes = tuple[str, ...]
_MOST_STATES = 20_000_000
"""Three times the largest search of the nightly run: what grows beyond would not end in a night."""
_BITS = 14
_MASK = (1 << _BITS) - 1


@dataclass(frozen=True, slots=True)
class Found:
    """What a search saw."""

    states: int
    facts: frozenset[str]
    """All that was remarked in any order of requests."""
    smallest: int
    """The number of objects in the emptiest bucket."""
    loss: tuple[str, ...] | None
    """The shortest way to a world in which something is wrong, in words; None if there is none."""


class _Minds:
    """What processes do next, by phase and the answers they had in it; each is asked only once."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Phase, tuple[Any, ...]], int] = {}
        self._following: dict[tuple[int, Any], int] = {}
        self._histories: list[tuple[Phase, tuple[Any, ...]]] = [((), ())]
        self.requests: list[Request | None] = [None]
        """What comes next; None at the end."""
        self.end = 0

    def after(self, number: int, reply: Any) -> int:
        """Return what becomes of a process that is answered so."""
        known = self._following.get((number, reply))
        if known is None:
            phase, replies = self._histories[number]
            known = self._following[number, reply] = self.find(phase, (*replies, reply))
        return known

    def find(self, phase: Phase, replies: tuple[Any, ...] = ()) -> int:
        """Return the number of a process that had these answers since its phase began."""
        known = self._numbers.get((phase, replies))
        if known is not None:
            return known
        process: Process = phase[0](*phase[1:])
        try:
            request = next(process)
            for reply in replies:
                request = process.send(reply)
        except StopIteration as ended:
            if ended.value is not None:
                known = self._numbers[phase, replies] = self.find(ended.value)
                return known
            self._numbers[phase, replies] = self.end
            return self.end
        self._histories.append((phase, replies))
        self.requests.append(request)
        number = self._numbers[phase, replies] = len(self.requests) - 1
        assert number <= _MASK, "too many minds"
        return number


class _Web:
    """The worlds, and how each mind goes on in each."""

    def __init__(self, processes: dict[str, Phase], judge: Judge, still: Prefixes, lasting: Prefixes) -> None:
        self.names = list(processes)
        self.minds = _Minds()
        self.worlds: list[tuple[Bucket, Facts]] = []
        self.faults: dict[int, str] = {}
        """What is wrong in worlds in which something is."""
        self.top = _BITS * len(processes)
        self.steps: list[dict[int, tuple[int, ...]]] = [{} for _ in processes]
        """Of each process, what its step adds to a state, by world and mind."""
        phases = list(processes.values())
        self.twins = [[_BITS * i for i, each in enumerate(phases) if each == phase] for phase in phases]
        """The places of all processes that do what each does: of states that differ in who is who one is enough."""
        self._phases = phases
        self._judge = judge
        self._still = still
        self._lasting = (*still, *lasting)
        self._are_surveys_counted = False
        self._numbers: dict[tuple[Bucket, Facts], int] = {}

    def begin(self, bucket: Bucket) -> int:
        """Return the state in which nothing was done yet."""
        self._are_surveys_counted = any(key == SURVEYS for key, _ in bucket)
        state, facts = 0, Facts()
        for number, phase in enumerate(self._phases):
            mind, facts = self._settle(bucket, facts, self.minds.find(phase))
            state += mind << _BITS * number
        return state + (self._find_world(bucket, facts) << self.top)

    def step(self, state: int, number: int) -> tuple[int, ...]:
        """Return what a step of one process may add to a state."""
        world, mind = state >> self.top, state >> _BITS * number & _MASK
        known = self.steps[number].get(world << _BITS | mind)
        if known is None:
            known = self.steps[number][world << _BITS | mind] = tuple(
                (left - world << self.top) + (after - mind << _BITS * number)
                for left, after, _ in self._move(world, mind)
            )
        return known

    def tell(self, state: int, number: int, choice: int) -> str:
        """Say in words what a step of a process is."""
        world, mind = state >> self.top, state >> _BITS * number & _MASK
        request = self.minds.requests[mind]
        assert request is not None
        _, _, reply = list(self._move(world, mind))[choice]
        return f"{self.names[number]} {tell(request, reply)}"

    def order(self, state: int, number: int) -> int:
        """Return the same state with the twins of a process in their order."""
        twins = self.twins[number]
        minds = sorted(state >> twin & _MASK for twin in twins)
        return state + sum(mind - (state >> twin & _MASK) << twin for twin, mind in zip(twins, minds, strict=True))

    def _find_world(self, bucket: Bucket, facts: Facts) -> int:
        known = self._numbers.get((bucket, facts))
        if known is None:
            known = self._numbers[bucket, facts] = len(self.worlds)
            self.worlds.append((bucket, facts))
            fault = self._judge(bucket, facts)
            if fault is not None:
                self.faults[known] = fault
        return known

    def _move(self, world: int, mind: int) -> Iterator[tuple[int, int, Any]]:
        request = self.minds.requests[mind]
        if request is None:
            return
        bucket, facts = self.worlds[world]
        if request.verb != "list":
            assert not request.key.startswith(self._still), f"{request.key} was said to be still"
        if request.verb in {"delete", "expire"}:
            assert not request.key.startswith(self._lasting), f"{request.key} was said to last"
        for left, reply in answer(bucket, request):
            after, noted = self._settle(left, facts, self.minds.after(mind, reply))
            yield self._find_world(left, noted), after, reply

    def _settle(self, bucket: Bucket, facts: Facts, mind: int) -> tuple[int, Facts]:
        """Let a process do at once what takes no time, and what is answered in the same way whenever it is asked."""
        while (request := self.minds.requests[mind]) is not None:
            reply = None
            if request.verb == "remark":
                root, when = request.content
                facts |= {(request.key, root, time_in(bucket) if when is None else when)}
            elif request.verb == "quick":
                if time_in(bucket) - request.content > 1:
                    return self.minds.end, facts
            elif self._is_settled(request):
                _, reply = next(answer(bucket, request))
                if request.verb == "read" and GONE in reply:
                    break  # it may come yet
            else:
                break
            mind = self.minds.after(mind, reply)
        return mind, facts

    def _is_settled(self, request: Request) -> bool:
        if request.verb == "list":
            return request.key in self._still
        if request.verb in {"begin", "haste"}:
            return request.verb == "haste" or not self._are_surveys_counted
        return request.verb == "read" and all(key.startswith(self._lasting) for key in request.content)


def search(
    bucket: Bucket,
    processes: dict[str, Phase],
    judge: Judge,
    *,
    still: Prefixes = (),
    lasting: Prefixes = (),
    busy: str | None = None,
) -> Found:
    """Try every order of requests, and have every world judged that can be reached.

    Below prefixes that are ``still`` nothing is written or deleted, and below ``lasting`` ones nothing is deleted or
    written twice: there it does not matter when somebody looks, so that this is no step.
    ``busy`` is the process that has the most minds while the others and the world stay as they are: then states take
    the least memory.
    """
    web = _Web(processes, judge, still, lasting)
    place = _BITS * (web.names.index(busy) if busy in web.names else len(web.names) - 1)
    first = web.begin(bucket)
    states, depth, lost = 0, 0, None
    for level in _iter_levels(web, first, place):
        states, depth = states + len(level), depth + 1
        assert states < _MOST_STATES, "the search is too large"
        if web.faults:
            lost = next((state for state in level if state >> web.top in web.faults), None)
        if lost is not None:
            break
    loss = None
    if lost is not None:
        # Nothing was kept of the way there, for that is most of the memory.
        levels = list(itertools.islice(_iter_levels(web, first, place), depth))
        loss = tuple(_retrace(web, levels, lost))
    return Found(
        states=states,
        facts=frozenset(f"{fact} {root}" for _, facts in web.worlds for fact, root, _ in facts),
        smallest=min(len(left) for left, _ in web.worlds),
        loss=loss,
    )


def _iter_levels(web: _Web, first: int, place: int) -> Iterator[list[int]]:
    """Yield the states that take no step, one step, two steps; each once, where the fewest steps lead.

    What was seen is held by what a state is without the mind at ``place``: of each such, a whole number whose bits are
    the minds.  That is about 20 bytes a state, where a set of states takes 90.
    """
    others = ~(_MASK << place)
    seen = {first & others: 1 << (first >> place & _MASK)}
    numbers = [(number, _BITS * number, known, len(web.twins[number]) > 1) for number, known in enumerate(web.steps)]
    level = [first]  # twins that begin alike are in order
    while level:
        yield level
        edge: list[int] = []
        for state in level:
            world = state >> web.top << _BITS
            for number, own, known, has_twins in numbers:
                steps = known.get(world | state >> own & _MASK)
                if steps is None:
                    steps = web.step(state, number)
                for step in steps:
                    reached = web.order(state + step, number) if has_twins else state + step
                    minds, mind = seen.get(reached & others, 0), 1 << (reached >> place & _MASK)
                    if not minds & mind:
                        seen[reached & others] = minds | mind
                        edge.append(reached)
        level = edge


def _retrace(web: _Web, levels: list[list[int]], lost: int) -> Iterator[str]:
    """Say in words how a state is reached, by the states of each depth."""
    path = [lost]
    for level in levels[-2::-1]:
        path.append(next(state for state in level if any(path[-1] == ordered for ordered, *_ in _look(web, state))))
    state = path.pop()
    for place in reversed(path):
        # Here each twin goes its own way, so that the names are right.
        _, reached, number, choice = next(each for each in _look(web, state) if each[0] == place)
        yield web.tell(state, number, choice)
        state = reached
    yield web.faults[state >> web.top]


def _look(web: _Web, state: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield each next state, with twins in order and as it is, and the step that leads there."""
    for number in range(len(web.names)):
        for choice, step in enumerate(web.step(state, number)):
            ordered = state + step
            for twin in range(len(web.names)):
                ordered = web.order(ordered, twin)
            yield ordered, state + step, number, choice
