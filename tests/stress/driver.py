"""Runs a course: starts the actors, kills them, lets time leap, and gives the verdict."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.stress import verdict
from tests.stress.actors import act
from tests.stress.book import Book, FindingError
from tests.stress.clock import DAY_S, HOUR_S, Clock
from tests.stress.course import OURS, PROJECTS, THEIRS, Course
from tests.stress.machine import begin_project
from tests.stress.store import Store, open_store

_LEAPS_S = (13 * HOUR_S, 13 * HOUR_S, 13 * HOUR_S, 3 * DAY_S, 8 * DAY_S)
"""The longest lets the intent of a push that is under way expire."""
_LEAP_EVERY_S = (0.3, 1.5)
_KILL_EVERY_S = (1.0, 4.0)
_ENDING_S = 240.0

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        "s3fs",
        "tests.stress.actors",
        "vstore.remote.fsspec_transport.s3",
        *(f"vstore.cli.commands.{verb}" for verb in ("add", "checkout", "gc", "pull", "push")),
    ]
)
# A new life costs no start of an interpreter, which would take longer than most of them last.


@dataclass(frozen=True, slots=True)
class Cast:
    """How many there are of each kind; beside them a machine of another project pushes and collects."""

    pushers: int = 2
    pullers: int = 1
    collectors: int = 1


@dataclass(slots=True)
class _Actor:
    name: str
    project: str
    role: str
    lives: int = 0
    process: ForkServerProcess | None = None

    def start(self, course: Course) -> None:
        self.lives += 1
        self.process = _PROCESSES.Process(target=act, args=(course, self.name, self.project, self.role, self.lives))
        self.process.start()

    @property
    def exit_code(self) -> int | None:
        """None as long as it lives."""
        return self.process.exitcode if self.process is not None else None

    def wait(self, seconds: float) -> None:
        """Wait until it ends, but not longer than this."""
        if self.process is not None:
            self.process.join(max(0.0, seconds))

    def kill(self) -> None:
        """End it and all that it started, but for git, at once."""
        if self.process is not None and self.process.is_alive():
            assert self.process.pid is not None
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it had no time to leave our group
                self.process.kill()
            self.process.join()


def run(folder: Path, kind: str, seed: int, seconds: float, cast: Cast) -> dict[str, int]:
    """Run a course in an empty folder and return what happened how often.  Raises FindingError."""
    Book(folder / "book").make()
    Clock(folder / "clock").make()
    (folder / "machines").mkdir()
    with open_store(kind, folder) as store:
        course = Course(str(folder), kind, store.url, store.endpoint_url, seed)
        try:
            for project in PROJECTS:
                begin_project(course, project)
            counts = _Driver(course, store, cast).run(seconds)
            began_s = time.monotonic()
            verdict.check_reported(course, also_dead=True)
            counts["seconds to check"] = round(time.monotonic() - began_s)
            verdict.settle(course, store)
            records = verdict.check_reported(course, also_dead=False)
            counts += course.book.count()
            return {**counts, **verdict.check_nothing_dangles(course, store, records)}
        except FindingError:
            store.save()
            raise


class _Driver:
    def __init__(self, course: Course, store: Store, cast: Cast) -> None:
        self._course = course
        self._store = store
        self._random = random.Random(course.seed)
        self._counts: Counter[str] = Counter()
        roles = {"pusher": cast.pushers, "puller": cast.pullers, "collector": cast.collectors}
        self._actors = [
            _Actor(f"{OURS}-{role}{number}", OURS, role) for role, count in roles.items() for number in range(count)
        ]
        self._actors.append(_Actor(f"{THEIRS}-pusher0", THEIRS, "pusher"))

    def run(self, seconds: float) -> Counter[str]:
        try:
            self._store.spoil_line()
            for actor in self._actors:
                actor.start(self._course)
            self._disturb(seconds)
            self._store.mend_line()
            self._end()
        finally:
            for actor in self._actors:
                actor.kill()
        return self._counts

    def _disturb(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        next_leap_s, next_kill_s = (
            time.monotonic() + self._random.uniform(*every) for every in (_LEAP_EVERY_S, _KILL_EVERY_S)
        )
        while (now_s := time.monotonic()) < end_s:
            for actor in self._actors:
                if actor.exit_code is not None:
                    self._blame(actor)
            if now_s > next_leap_s:
                self._leap()
                next_leap_s = time.monotonic() + self._random.uniform(*_LEAP_EVERY_S)
            if now_s > next_kill_s:
                self._kill()
                next_kill_s = time.monotonic() + self._random.uniform(*_KILL_EVERY_S)
            time.sleep(0.05)

    def _leap(self) -> None:
        by_s = self._random.choice(_LEAPS_S)
        done = self._course.clock.leap(by_s, self._store.leap)
        self._counts["leaps" if done else "leaps that were too long"] += 1
        self._counts["hours leapt"] += done * by_s // HOUR_S

    def _kill(self) -> None:
        actor = self._random.choice(self._actors)
        actor.kill()
        if actor.exit_code != -signal.SIGKILL:
            self._blame(actor)
        self._counts[f"kills of a {actor.role}"] += 1
        if actor.role != "pusher":
            # It begins anew; a pusher has something to end.
            self._course.clock.close(actor.name)
        actor.start(self._course)

    def _end(self) -> None:
        """Let everybody end what they are at."""
        (self._course.path / "end").touch()
        end_s = time.monotonic() + _ENDING_S
        for actor in self._actors:
            actor.wait(end_s - time.monotonic())
            if actor.exit_code != 0:
                self._blame(actor)

    def _blame(self, actor: _Actor) -> None:
        for found in self._course.book.iter_events("finding"):
            raise FindingError(f"{found['actor']}: {found['text']}")
        raise FindingError(f"{actor.name} ended with {actor.exit_code}, or did not end")
