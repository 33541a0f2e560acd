"""Exhaustive search: every order in which the requests of several processes can reach one bucket.

A process is a generator: it yields requests and is sent what the bucket answers.  What it does next depends on the
answers alone, so a process is known by the answers it had, and two orders of requests that lead to the same bucket
and the same answers need to be followed only once.  A generator that returns ``then(function, arguments)`` goes on
as that one and forgets what it was answered before: the fewer memories, the fewer states.

A crash is a process that is never scheduled again: since every state counts, and not only those at the end, crashes
are searched without being told.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Bucket = frozenset[tuple[str, Any]]
"""Keys and what lies there."""
Phase = tuple[Any, ...]
"""A generator function and its arguments."""
Process = Generator["Request", Any, Phase | None]


def then(function: Callable[..., Process], *arguments: Any) -> Phase:
    """Say what a process does next, and all that it remembers."""
    return (function, *arguments)


class Request(NamedTuple):
    """One step: a request to the bucket, or a remark about what the process knows (which takes no time)."""

    verb: str
    key: str = ""
    content: Any = None


def put(key: str, content: Any = None) -> Request:
    """Write an object, whole, over what is there."""
    return Request("put", key, content)


def delete(key: str) -> Request:
    """Delete an object, if it is there."""
    return Request("delete", key)


def list_keys(prefix: str, first: str = "", last: str = "~") -> Request:
    """Ask for the keys that begin so; a page of them goes on from ``first`` and ends before ``last``."""
    return Request("list", prefix, (prefix + first, prefix + last))


def read(keys: tuple[str, ...]) -> Request:
    """Ask for the contents at keys; the answer is None where any of them is gone."""
    return Request("read", content=keys)


def expire(prefix: str) -> Request:
    """Let time pass: any object whose key begins so may be deleted, or none."""
    return Request("expire", prefix)


def remark(fact: str) -> Request:
    """Note a fact for the invariant."""
    return Request("remark", fact)


def answer(bucket: Bucket, request: Request) -> Iterator[tuple[Bucket, Any]]:
    """Yield each bucket that a request may leave, with the answer."""
    verb, key, content = request
    if verb == "put":
        yield frozenset([*(item for item in bucket if item[0] != key), (key, content)]), None
    elif verb == "delete":
        yield frozenset(item for item in bucket if item[0] != key), None
    elif verb == "list":
        first, last = content
        yield bucket, tuple(sorted(name for name, _ in bucket if name.startswith(key) and first <= name < last))
    elif verb == "read":
        found = dict(bucket)
        yield bucket, tuple(found[name] for name in content) if all(name in found for name in content) else None
    else:
        assert verb == "expire"
        yield bucket, None
        for item in bucket:
            if item[0].startswith(key):
                yield bucket - {item}, None


class State(NamedTuple):
    """A moment: the bucket, how far each process is, and the facts noted so far."""

    bucket: Bucket
    processes: tuple[int, ...]
    facts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search saw.  ``loss`` is the shortest way to a state that breaks the invariant, None if there is none."""

    states: int
    facts: frozenset[str]
    """Every fact that was noted in any order of requests."""
    smallest: int
    """The number of objects in the emptiest bucket."""
    loss: list[str] | None


class _Minds:
    """What processes do next, by phase and the answers they had in it; each is asked only once."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Phase, tuple[Any, ...]], int] = {}
        self._following: dict[tuple[int, Any], int] = {}
        self._histories: list[tuple[Phase, tuple[Any, ...]]] = []
        self.requests: list[Request | None] = []
        """What comes next; None at the end."""

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
        request: Request | None
        try:
            request = next(process)
            for reply in replies:
                request = process.send(reply)
        except StopIteration as ended:
            if ended.value is not None:
                return self.find(ended.value)
            request = None
        self._histories.append((phase, replies))
        self.requests.append(request)
        number = self._numbers[phase, replies] = len(self.requests) - 1
        return number


def search(
    bucket: Bucket,
    processes: dict[str, Phase],
    is_safe: Callable[[Bucket, frozenset[str]], bool],
    *,
    most_states: int = 20_000_000,
) -> Found:
    """Try every order of requests, and say whether ``is_safe`` holds in every state that can be reached."""
    minds = _Minds()
    names = list(processes)
    first = State(bucket, tuple(minds.find(phase) for phase in processes.values()), frozenset())
    came_from: dict[State, tuple[State, str] | None] = {first: None}
    edge = [first]
    facts: set[str] = set()
    smallest = len(bucket)
    while edge:
        following: list[State] = []
        for state in edge:
            for number, mind in enumerate(state.processes):
                request = minds.requests[mind]
                if request is None:
                    continue
                at_once = request.verb == "remark"
                for left, reply in [(state.bucket, None)] if at_once else answer(state.bucket, request):
                    then, noted = minds.after(mind, reply), state.facts | ({request.key} if at_once else set())
                    while (remarked := minds.requests[then]) is not None and remarked.verb == "remark":
                        noted |= {remarked.key}
                        then = minds.after(then, None)
                    reached = State(left, (*state.processes[:number], then, *state.processes[number + 1 :]), noted)
                    if reached in came_from:
                        continue
                    came_from[reached] = (state, f"{names[number]}: {request.verb} {request.key or request.content}")
                    facts |= noted
                    smallest = min(smallest, len(left))
                    if not is_safe(left, noted):
                        return Found(len(came_from), frozenset(facts), smallest, _retrace(reached, came_from))
                    following.append(reached)
        assert len(came_from) < most_states, "the search is too large"
        edge = following
    return Found(len(came_from), frozenset(facts), smallest, None)


def _retrace(state: State, came_from: dict[State, tuple[State, str] | None]) -> list[str]:
    steps: list[str] = []
    while (before := came_from[state]) is not None:
        state, step = before
        steps.append(step)
    return steps[::-1]
