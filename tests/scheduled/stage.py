"""A stage: actors of which exactly one moves, from one request to the next, in an order that somebody chooses.

Actors are threads.  Each stops before every request and says what it is about to do; whoever chooses says who goes on,
and what becomes of that request.  Between two requests an actor is alone, so a list of choices says all that happened.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

GOES = "goes"
DIES = "dies"
"""The process is killed before the request."""
DONE_DIES = "done-dies"
"""The process is killed after the request, before it hears of it."""
FAILS = "fails"
"""The request is not done, and its sender is told so."""
DONE_FAILS = "done-fails"
"""The request is done, and its sender is told that it was not: a lost acknowledgement."""
STALE = "stale"
"""A listing lacks what was written lately."""

_PATIENCE_S = 120.0


class Crash(BaseException):
    """The process dies here: nothing of ours may catch it."""


class _Stopped(BaseException):
    """The play was broken off."""


class Choice(NamedTuple):
    """Who goes on, and what becomes of its request."""

    actor: str
    fate: str = GOES

    def __str__(self) -> str:
        return self.actor if self.fate == GOES else f"{self.actor}:{self.fate}"


class Option(NamedTuple):
    """A choice, and what it costs: switches that were not needed, and faults."""

    choice: Choice
    switches: int
    faults: int


Choose = Callable[["Stage", Sequence[Option]], Choice]


class Actor:
    """One line of requests."""

    def __init__(self, name: str, body: Callable[[], None], *, is_event: bool, memory: list[int]) -> None:
        self.name = name
        self.body = body
        self.is_event = is_event
        """Whether it is no process but something that happens, such as time that passes."""
        self.memory = memory
        """One number that stands for all that it was answered; shared by actors that share a machine."""
        self.turn = threading.Semaphore(0)
        self.thread: threading.Thread | None = None
        self.waits_for: tuple[str, tuple[str, ...]] | None = None
        """What it is about to do, and what may become of that."""
        self.fate = GOES


class Stage:
    """Lets actors move one by one.

    ``choose`` is asked before every request; it may raise to break off.  ``scenery`` stands for all that is not in an
    actor's memory.
    """

    def __init__(self, choose: Choose, scenery: Callable[[], object] = lambda: None) -> None:
        self.actors: dict[str, Actor] = {}
        self.current: str | None = None
        """Who moved last, while it still can."""
        self.moving = "nobody"
        self.choices: list[Choice] = []
        self.words: list[str] = []
        """What happened, one line for each choice."""
        self.error: BaseException | None = None
        self._choose = choose
        self._scenery = scenery
        self._memories: dict[str, list[int]] = {}
        self._begun = threading.Semaphore(0)
        self._over = threading.Event()
        self._is_stopped = False
        self._is_open = False

    def add(self, name: str, body: Callable[[], None], *, machine: str = "", is_event: bool = False) -> None:
        """Let an actor take part; those that share a machine must say so."""
        memory = self._memories.setdefault(machine or name, [0])
        self.actors[name] = Actor(name, body, is_event=is_event, memory=memory)

    def run(self) -> None:
        """Play until all actors are through.  Raises what any of them raised, and what ``choose`` raised."""
        for actor in self.actors.values():
            actor.thread = threading.Thread(target=self._live, args=[actor], name=actor.name, daemon=True)
            self.moving = actor.name
            actor.thread.start()
            assert self._begun.acquire(timeout=_PATIENCE_S)  # it stands before its first request
        self._is_open = True
        self._pass_on()
        assert self._over.wait(_PATIENCE_S), f"nobody moves: {self.words[-1:]}"
        for actor in self.actors.values():
            assert actor.thread is not None
            actor.thread.join(_PATIENCE_S)
        self.moving = "nobody"
        if self.error is not None:
            raise self.error

    def step(self, name: str, words: str, *fates: str) -> str:
        """Wait for one's turn to do something; return what becomes of it: as it should, or one of ``fates``."""
        actor = self.actors[name]
        if self._is_stopped:
            raise _Stopped
        actor.waits_for = words, fates
        if self._is_open:
            self._pass_on()
        else:
            self._begun.release()
        actor.turn.acquire()
        if self._is_stopped:
            raise _Stopped
        actor.waits_for = None
        return actor.fate

    def remember(self, name: str, answer: object) -> None:
        """Let an actor's memory include an answer."""
        memory = self.actors[name].memory
        memory[0] = hash((memory[0], name, answer))

    def state(self) -> object:
        """Return what decides all that can happen from here."""
        waiting = tuple(actor.waits_for for actor in self.actors.values())
        memories = tuple(memory[0] for memory in self._memories.values())
        return self.current, waiting, memories, self._scenery()

    def fail(self, error: BaseException) -> None:
        """Break off because something is wrong."""
        self.error = self.error or error
        self._stop()

    def _live(self, actor: Actor) -> None:
        try:
            actor.body()
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 (it is raised again by run)
            self.fail(error)
        actor.waits_for = None
        if self.current == actor.name:
            self.current = None
        if not self._is_open:
            self._begun.release()
        elif not self._is_stopped:
            self._pass_on()

    def end_turn(self, name: str) -> None:
        """Note that an actor died and will come back: it costs nothing to let others go first."""
        if self.current == name:
            self.current = None

    def options(self) -> list[Option]:
        """Return what can happen next, first that whoever moved last goes on."""
        waiting = [actor for actor in self.actors.values() if actor.waits_for is not None]
        waiting.sort(key=lambda actor: actor.name != self.current)
        is_free = self.current is None
        options = []
        for actor in waiting:
            switches = int(not is_free and actor.name != self.current)
            options.append(Option(Choice(actor.name), switches, 0))
        for actor in waiting:
            assert actor.waits_for is not None
            switches = int(not is_free and actor.name != self.current)
            options += [Option(Choice(actor.name, fate), switches, 1) for fate in actor.waits_for[1]]
        return options

    def _pass_on(self) -> None:
        options = self.options()
        if not options or self._is_stopped:
            self._over.set()
            return
        try:
            choice = self._choose(self, options)
        except BaseException as error:  # noqa: BLE001 (it is raised again by run)
            self.fail(error)
            return
        actor = self.actors[choice.actor]
        assert actor.waits_for is not None
        self.choices.append(choice)
        self.words.append(f"{choice}: {actor.waits_for[0]}")
        if not actor.is_event:
            self.current = actor.name
        self.moving = actor.name
        actor.fate = choice.fate
        actor.turn.release()

    def _stop(self) -> None:
        self._is_stopped = True
        for actor in self.actors.values():
            actor.turn.release()
        self._over.set()


def schedule_to_text(choices: Sequence[Choice]) -> str:
    """Return a schedule as one line: ``ada*3 eve:dies ada``."""
    parts: list[tuple[str, int]] = []
    for choice in map(str, choices):
        if parts and parts[-1][0] == choice:
            parts[-1] = choice, parts[-1][1] + 1
        else:
            parts.append((choice, 1))
    return " ".join(text if count == 1 else f"{text}*{count}" for text, count in parts)


def schedule_from_text(text: str) -> list[Choice]:
    """Parse such a line."""
    choices = []
    for part in text.split():
        match = re.fullmatch(r"([^:*]+)(?::([a-z-]+))?(?:\*([0-9]+))?", part)
        assert match, part
        choices += [Choice(match[1], match[2] or GOES)] * int(match[3] or 1)
    return choices
