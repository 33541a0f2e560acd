"""A bucket in memory whose clock the test moves, with machines that push to it and a collector."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from tests.remote.faults import Hooked
from tests.remote.world import PROJECT, Machine
from vstore.objects.digest import Digest
from vstore.progress import Reporter
from vstore.remote.collect import plan_collection
from vstore.remote.commits import Commit, commit_from_bytes
from vstore.remote.content import Root
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.push import PushReport
from vstore.remote.transport import Key

DAY_S = 24 * 3600.0


class Ear(Reporter):
    """Hears what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


class Bucket:
    """A remote in memory, and machines of our project, whose clocks all go alike."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_s = 1_800_000_000.0
        self.memory = MemoryTransport(clock=lambda: self.now_s)
        self.transport = Hooked(self.memory)
        self.requests: Counter[str] = Counter()
        self.transport.before = self.count
        self._machines = 0

    def count(self, operation: str, key: Key) -> None:
        """Count a request."""
        self.requests[f"{operation} {key.partition('/')[0]}"] += 1

    def machine(self, name: str = "", project: str = PROJECT, algorithm: str = "xxh128") -> Machine:
        """A machine that knows nothing yet."""
        self._machines += 1
        path = self.path / f"{name}{self._machines}"
        return Machine(path, self.transport, project, algorithm, clock=lambda: self.now_s)

    def copy(self, path: Path, *machines: Machine) -> tuple[Bucket, list[Machine]]:
        """Return the same bucket once more, and machines that know the same."""
        other = Bucket(path)
        other.now_s = self.now_s
        other.memory._objects = dict(self.memory._objects)
        twins = []
        for machine in machines:
            twin = other.machine("twin", machine.site.project, machine.algorithm)
            shutil.copytree(machine.mirror.path, twin.mirror.path)
            twin.shelf.contents = dict(machine.shelf.contents)
            twins.append(twin)
        return other, twins

    def keys(self, folder: str = "") -> set[Key]:
        """What is there."""
        return {listed.key for listed in self.memory.list(folder)}

    def commits(self, project: str = PROJECT) -> dict[Key, Commit]:
        """Every commit that is there."""
        keys = self.keys(f"commits/{project}/")
        return {key: commit_from_bytes(self.memory.read(key), key) for key in keys}

    def pinned(self) -> set[Key]:
        """The packs that commits pin."""
        return {key for commit in self.commits().values() for key in commit.packs()}

    def size_bytes(self) -> int:
        """How many bytes there are altogether."""
        return sum(listed.size_bytes for listed in self.memory.list(""))

    def collect(self, machine: Machine, dead: Collection[Digest] = ()) -> None:
        """Collect as a machine does, and give up roots."""
        remote = machine.remote
        with remote.survey() as survey:
            remote.collect(survey, plan_collection(survey, dead))

    def end_holds(self, machine: Machine) -> None:
        """Let all holds end, collecting as often as that takes."""
        for days in (14, 1, 1):
            self.now_s += days * DAY_S + 60
            self.collect(machine)

    def lacks(self, roots: Iterable[Root], algorithm: str = "xxh128") -> list[str]:
        """The paths of those roots that a machine that knows nothing cannot fetch, byte for byte."""
        fresh = self.machine("fresh", algorithm=algorithm)
        lacking = []
        for root in roots:
            fresh.fetch(root)
            if not fresh.holds(root):
                lacking.append(root.path)
        return lacking


def push_small(machine: Machine, number: int, files: int = 5) -> tuple[Root, PushReport]:
    """Push the next version of a small directory, in which one file is another one."""
    contents = {f"f{i}": b"%d of %d" % (i, number - (number - i) % files) * (10 + i) for i in range(files)}
    root = machine.add(contents, f"v{number}")
    return root, machine.push(root)
