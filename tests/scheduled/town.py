"""A town: a bucket, the machines that share it, what they told people, and what must hold whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest

from tests.remote.world import PROJECT, Machine
from tests.scheduled.bucket import Bucket, Clock, Fates, Line
from tests.scheduled.explore import LossError, Seen
from tests.scheduled.stage import Choose, Crash, Stage
from vstore import parallel
from vstore.errors import ObjectMissingError, UnavailableError
from vstore.remote import collect, layout, mirror, packer
from vstore.remote.commits import Commit, commit_from_bytes
from vstore.remote.content import Root
from vstore.remote.index import index_from_bytes
from vstore.remote.layout import COMMITS, DOOMED, FORMAT, INDEX, PACKS, find_commit_name, find_doomed_pack
from vstore.remote.transport import Key, Transport
from vstore.remote.wrappers import RetryingTransport

Item = TypeVar("Item")
Result = TypeVar("Result")

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
_ATTEMPTS = 6
"""Nobody has more bad luck than this in one play."""
_PACK_BYTES = 150_000
"""So short that a large content needs several."""
_UNTIL_CLEAN_S = (25 * HOUR_S, 8 * DAY_S, 25 * HOUR_S, 15 * DAY_S, 25 * HOUR_S, 25 * HOUR_S)
"""Intents expire after seven days, the trash after fourteen, and what is doomed is held for one."""


class Town:
    """One play's world.  What ``prepare`` does in it is not scheduled; what its actors do is."""

    def __init__(self, path: Path, choose: Choose, *, seed: int = 0, fates: Fates | None = None) -> None:
        self.path = path
        self.clock = Clock()
        self.bucket = Bucket(self.clock)
        self.stage = Stage(choose, self.bucket.state)
        self.roots: dict[str, Root] = {}
        """By name, for whoever prepares and acts."""
        self.live: dict[tuple[str, str], Root] = {}
        """What was reported to be pushed, and was not retired since, by project and digest."""
        self.opened_s = self.clock.now_s
        """When the play began."""
        self.given_up: set[tuple[str, str]] = set()
        """What its own project gave up, whoever pushes it meanwhile."""
        self.seed = seed
        self._fates = fates or Fates()
        self._machines: dict[str, Machine] = {}
        self._sessions: dict[str, int] = {}

    def enter(self, other: Town) -> None:
        """Become what another town is."""
        self.bucket.copy_from(other.bucket)
        self.opened_s = self.clock.now_s
        self.roots, self.live, self.given_up = dict(other.roots), dict(other.live), set(other.given_up)
        for name, machine in other._machines.items():
            own = self.open_machine(name, machine.site.project, machine.algorithm)
            own.shelf.contents = dict(machine.shelf.contents)
            if machine.mirror.path.exists():
                _copy(machine.mirror.path, own.mirror.path)

    # machines

    def open_machine(self, name: str, project: str = PROJECT, algorithm: str = "xxh128") -> Machine:
        """Return a machine, the same for the same name; its requests are not scheduled."""
        if name not in self._machines:
            self._machines[name] = self._connect(Machine(self.path / name, self.bucket, project, algorithm))
        return self._machines[name]

    def _connect(self, machine: Machine, line: Transport | None = None) -> Machine:
        """Let a machine make one request at a time."""
        machine.transport = line or self.bucket
        machine.site = dataclasses.replace(
            machine.site, transport=machine.transport, jobs=1, in_flight_bytes=1, clock=self.clock
        )
        return machine

    def _use(self, name: str, line: Transport) -> Machine:
        """Start a process on a machine: it finds the disk as others left it, and has a line of its own."""
        owner = self.open_machine(name)
        process = Machine(self.path / name, line, owner.site.project, owner.algorithm)
        process.shelf = owner.shelf
        return self._connect(process, line)

    def push(self, machine: str, *names: str) -> None:
        """Push roots at once."""
        self.open_machine(machine).push(*(self.roots[name] for name in names))
        self.report(self.open_machine(machine).site.project, *names)

    def collect(self, machine: str, *dead: str) -> None:
        """Collect at once, and retire dead roots of the machine's project."""
        self._collect(self.open_machine(machine), dead)

    def _collect(self, process: Machine, dead: Sequence[str] = ()) -> None:
        digests = {self.roots[name].digest for name in dead}
        for digest in digests:
            self.given_up.add((process.site.project, digest))
            self.live.pop((process.site.project, digest), None)
        with process.remote.survey() as survey:
            process.remote.collect(survey, collect.plan_collection(survey, digests))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, for the bucket and for what lies on disks."""
        self.clock.now_s += seconds
        for machine in self._machines.values():
            with contextlib.suppress(FileNotFoundError):
                for journal in os.scandir(machine.mirror.path / "journals"):
                    written_s = journal.stat().st_mtime - seconds
                    os.utime(journal, (written_s, written_s))

    def new_session(self) -> str:
        """Return a session's name: it looks random, and depends on who asks and how often."""
        asker = self.stage.moving
        number = self._sessions[asker] = self._sessions.get(asker, 0) + 1
        return hashlib.md5(f"{self.seed} {asker} {number}".encode(), usedforsecurity=False).hexdigest()

    # actors

    def act(
        self,
        name: str,
        do: Callable[[Machine], None],
        *,
        machine: str | None = None,
        after_s: float = 0,
        is_patient: bool = False,
        is_push: bool = False,
    ) -> None:
        """Let an actor wait, and then do something until it is done; where it died or its line broke it begins again.

        One that ``is_patient`` tries each request again before it gives up.
        """
        line = Line(self.bucket, self.stage, name, self._fates, self.check)
        machine = machine or name

        def live() -> None:
            if after_s:
                self._wait(name, after_s)
            for _ in range(_ATTEMPTS):
                faults, began_s = line.faults, self.clock.now_s
                try:
                    do(self._use(machine, _with_patience(line) if is_patient else line))
                except Crash:
                    line.revive()
                except UnavailableError:
                    # A collector that sleeps says so, and begins again; a push goes on.
                    if line.faults == faults and (is_push or self.clock.now_s - began_s <= DAY_S):
                        raise
                else:
                    return
            raise AssertionError(f"{name} got nowhere")

        self.stage.add(name, live, machine=machine)

    def pusher(self, name: str, *roots: str, machine: str | None = None, is_patient: bool = False) -> None:
        """Let somebody push roots."""

        def do(process: Machine) -> None:
            process.push(*(self.roots[root] for root in roots))
            self.report(process.site.project, *roots)

        self.act(name, do, machine=machine, is_patient=is_patient, is_push=True)

    def reviver(self, name: str, *roots: str) -> None:
        """Let somebody bring back roots that lie in the trash, without having their contents."""

        def do(process: Machine) -> None:
            nothing = Machine(self.path / "nothing", self.bucket).shelf
            plan = process.remote.plan_revival([self.roots[root] for root in roots])
            try:
                process.remote.push(plan, nothing)
            except ObjectMissingError:
                self.require(self.clock.now_s > self.opened_s, f"{roots} could not be brought back")
            else:
                self.report(process.site.project, *roots)

        self.act(name, do)

    def stalled_collector(self, name: str, *, machine: str | None = None) -> None:
        """Let somebody act upon what he saw before anybody else did anything."""
        with self.open_machine(machine or name).remote.survey() as survey:
            plan = collect.plan_collection(survey, ())
        self.act(name, lambda process: _ignore(process.remote.collect(survey, plan)), machine=machine)

    def compactor(self, name: str, *, machine: str | None = None) -> None:
        """Let somebody rewrite and merge what many pushes left."""
        self.act(name, lambda process: _ignore(process.remote.compact(process.shelf)), machine=machine)

    def fetcher(self, name: str, *roots: str, machine: str | None = None) -> None:
        """Let somebody fetch roots that were reported and are not retired meanwhile."""

        def do(process: Machine) -> None:
            wanted = [self.roots[root] for root in roots]
            report = process.fetch(*wanted)
            self.require(not report.missing and process.holds(*wanted), f"{name} could not fetch {report.missing}")

        self.act(name, do, machine=machine)

    def collector(self, name: str, *dead: str, machine: str | None = None, after_s: float = 0) -> None:
        """Let somebody wait, and then collect, and retire dead roots of the project."""
        self.act(name, lambda process: self._collect(process, dead), machine=machine, after_s=after_s)

    def time(self, *jumps_s: float) -> None:
        """Let time jump, at moments of its own."""

        def live() -> None:
            for jump_s in jumps_s:
                self._wait("time", jump_s)

        self.stage.add("time", live, is_event=True)

    def _wait(self, name: str, seconds: float) -> None:
        self.stage.step(name, f"{seconds / HOUR_S:g} hours pass")
        self.pass_time(seconds)
        self.stage.remember(name, self.clock.now_s)

    # what must hold

    def report(self, project: str, *names: str) -> None:
        """Note that somebody was told that roots are pushed."""
        for root in (self.roots[name] for name in names):
            if (project, root.digest) not in self.given_up:
                self.live[project, root.digest] = root
        self.check()

    def require(self, holds: bool, reason: str) -> None:
        """Break off where something does not hold."""
        if not holds:
            error = LossError(reason, self.stage, self.seed)
            self.stage.fail(error)
            raise error

    def check(self) -> None:
        """See that every live root is pinned to packs that are all there."""
        objects = self.bucket.contents()
        held: set[tuple[str, str]] = set()
        for key, data in objects.items():
            name = find_commit_name(key)
            if name is not None:
                for root in _parse(key, data).roots:
                    pins = ((pack.key, pack.size_bytes) for pack in root.pins)
                    if all(len(objects.get(pack, b"")) == size_bytes for pack, size_bytes in pins):
                        held.add((name.project, root.digest))
        for owner, root in self.live.items():
            self.require(owner in held, f"{root.path} of {owner[0]} is lost")

    def state(self) -> object:
        """Return what decides how everything settles."""
        return self.bucket.state(), frozenset(self.live)

    def settle(self, *, sleeps: bool) -> None:
        """Let time pass until all holds are over; then all that is live can be fetched, and nothing else is left."""
        if sleeps:
            # Useless index objects are looked for when a pack is deleted: so there must be one more.
            self.bucket.write(layout.pack_key(self.new_session(), 0), b"useless")
        projects = sorted({machine.site.project for machine in self._machines.values()})
        for seconds in _UNTIL_CLEAN_S:
            self.pass_time(seconds)
            for project in projects:
                self._collect(self.open_machine(f"janitor-of-{project}", project))
            self.check()
        for project in projects:
            fresh = self.open_machine(f"stranger-to-{project}", project)
            roots = [root for owner, root in self.live.items() if owner[0] == project]
            report = fresh.fetch(*roots)
            self.require(not report.missing, f"{report.missing} cannot be fetched in the end")
        self.require(not self.rubbish(), f"{sorted(self.rubbish())} is never collected")

    def rubbish(self) -> set[Key]:
        """Return what lies in the bucket though nothing needs it."""
        objects = self.bucket.contents()
        commits = [_parse(key, data) for key, data in objects.items() if key.startswith(COMMITS)]
        pinned = {pack for commit in commits for pack in commit.packs()}
        return {key for key, data in objects.items() if not _is_needed(key, data, pinned)}


def _copy(source: Path, target: Path) -> None:
    """Copy what lies in a directory: quicker than by the book, since it is done for every play."""
    os.makedirs(target)
    for entry in os.scandir(source):
        if entry.is_dir():
            _copy(Path(entry.path), target / entry.name)
        elif source.name == "journals":
            shutil.copy2(entry.path, target)
        else:
            os.link(entry.path, target / entry.name)  # nothing is ever written into


def _ignore(result: object) -> None:
    """Throw a result away."""


def _with_patience(line: Transport) -> Transport:
    return RetryingTransport(line, attempts=3, sleep=lambda pause_s: True)


def _is_needed(key: Key, data: bytes, pinned: set[Key]) -> bool:
    if key.startswith(PACKS):
        return key in pinned
    if key.startswith(DOOMED):
        return find_doomed_pack(key) in pinned  # it stays as long as the pack lives
    if key.startswith(INDEX):
        return any(pack.key in pinned for pack in index_from_bytes(data, key).packs)
    return key == FORMAT or key.startswith(COMMITS)


@functools.lru_cache(maxsize=10_000)
def _parse(key: Key, data: bytes) -> Commit:
    return commit_from_bytes(data, key)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is there at first, who acts in it, and what may become of requests."""

    prepare: Callable[[Town], None]
    cast: Callable[[Town], None]
    fates: Fates = dataclasses.field(default_factory=Fates)
    sleeps: bool = False
    """Whether somebody may sleep longer than intents live: then index objects may come to packs that are gone."""


class Theatre:
    """Plays a scenario again and again, each time as it is at first."""

    def __init__(self, path: Path, scenario: Scenario) -> None:
        self._path = path
        self._scenario = scenario
        self._plays = 0
        self._settled: set[object] = set()
        """Ends of plays of which it is known that all holds are over in good order."""
        self._first = Town(path / "first", _nobody)
        with under_control(self._first):
            scenario.prepare(self._first)

    def __call__(self, choose: Choose, seed: int) -> Stage:
        self._plays += 1
        path = self._path / str(self._plays)
        town = Town(path, choose, seed=seed, fates=self._scenario.fates)
        try:
            with under_control(town):
                town.enter(self._first)
                self._scenario.cast(town)
                town.stage.run()
                town.stage.moving = "the end"
                if (end := town.state()) not in self._settled:
                    town.settle(sleeps=self._scenario.sleeps)
                    self._settled.add(end)
        except (LossError, Seen):
            raise
        except Exception as error:
            raise LossError(repr(error), town.stage, seed) from error
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return town.stage


def _nobody(stage: Stage, options: object) -> object:
    raise AssertionError("nobody acts while a town is prepared")


class _NoPool:
    """Does everything at once, where it is asked to: an actor is one line of requests."""

    def __init__(self, **_: object) -> None:
        pass

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(function(item))
        except BaseException as error:  # noqa: BLE001 (as a pool does)
            future.set_exception(error)
        return future

    def shutdown(self, **_: object) -> None:
        pass


@contextlib.contextmanager
def under_control(town: Town) -> Iterator[None]:
    """Take out of the real code what no schedule decides: clocks, the names of sessions, and pools of threads."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            # The mirror compares with the dates of files, which are those of the real clock.
            if name.startswith("vstore.remote.") and name != mirror.__name__ and vars(module).get("time") is time:
                patch.setattr(module, "time", SimpleNamespace(time=town.clock, monotonic=town.clock))
        patch.setattr(layout, "secrets", SimpleNamespace(token_hex=lambda _: town.new_session()))
        patch.setattr(parallel, "ThreadPoolExecutor", _NoPool)
        patch.setattr(packer, "PACK_BYTES", _PACK_BYTES)
        patch.setattr(os, "fsync", lambda descriptor: None)  # processes die here, not machines
        yield
