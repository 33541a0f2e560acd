"""Who acts: pushers, pullers and collectors, each a process that goes on until it is killed or told to end."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
import time
import traceback
from collections.abc import Callable

from tests.collecting import age, cache_of
from tests.project import Project
from tests.stress.book import FindingError
from tests.stress.course import Course
from tests.stress.machine import MODEL, TREE, GitError, Machine, UnreachableError, make_content

FOUND = 3
"""Exit code of who found a defect."""
_ABSENT = (3, 12)
"""Exit codes of who lacks some contents, or all."""
_UNSURE = 11
"""Exit code of a collection of the cache that removes nothing, since it is not known what is needed."""
_MOST_FILES = 12
_MOST_BRANCHES = 4
_PAUSE_S = 0.3
_PATIENCE_S = 20.0


class Pusher:
    """Changes data, pushes it, reports, and only then shares the pointers by git; its branches bear its name."""

    def __init__(self, machine: Machine, *, collects: bool = False) -> None:
        self._machine = machine
        self._random = machine.random
        self._user = Project(machine.path)
        self._collects = collects

    def wake(self) -> None:
        """Go on where the last life ended: what was committed is pushed first."""
        machine = self._machine
        machine.wake()
        machine.vstore("pull", "--force")
        if machine.git("rev-parse", "--abbrev-ref", "HEAD") == "main":
            machine.git("checkout", "--quiet", "-B", f"{machine.name}-0")
        self.publish()

    def step(self) -> None:
        """Do one thing, and publish what came of it."""
        todo: list[tuple[int, Callable[[], None]]] = [
            (50, self._change),
            (15, self._amend),
            (12, self._go_elsewhere),
            (8, self._take_back),
            (12, self._delete_branch),
            (4, self._free),
            (5, self._push_again),
            (10 * self._collects, self._collect),
        ]
        chosen = self._random.choices([step for _, step in todo], [weight for weight, _ in todo])[0]
        chosen()
        self.publish()

    def publish(self) -> None:
        """Push, report, share: in this order, so that whoever sees a pointer can have its data."""
        machine = self._machine
        with machine.span():
            at_s = machine.course.clock.total_s()
            new = machine.git("rev-list", "HEAD", "--not", "--remotes=origin").split()
            if len(new) > 1 or self._random.random() < 0.2:
                # Of a branch that is gone the remote need not hold anything.
                machine.git("fetch", "--quiet", "--prune", "origin")
                machine.vstore("push", "--all-commits")
            else:
                machine.vstore("push")
            machine.note("reported", roots=sorted(machine.roots_of(*new, "HEAD")), at_s=at_s, commits=len(new))
            machine.git("push", "--quiet", "--force", "origin", "HEAD")

    def _change(self, *options: str) -> None:
        machine, random_ = self._machine, self._random
        for _ in range(random_.randrange(1, 4)):
            name = f"{TREE}/{random_.randrange(4)}/{random_.randrange(_MOST_FILES)}"
            if random_.random() < 0.2:
                (machine.path / name).unlink(missing_ok=True)
            else:
                self._user.write(name, make_content(random_))
        if random_.random() < 0.3:
            self._user.write(MODEL, make_content(random_))
        self._user.write(f"{TREE}/first", b"%d\n" % random_.randrange(1000))
        machine.vstore("add", TREE, MODEL)
        machine.expect()
        machine.git("add", "-A")
        machine.git("commit", "--quiet", "--allow-empty", "--message", "a version", *options)

    def _amend(self) -> None:
        self._change("--amend")

    def _go_elsewhere(self) -> None:
        """Begin a branch where somebody's branch is now."""
        machine = self._machine
        with machine.span():
            machine.git("fetch", "--quiet", "--prune", "origin")
            head = self._random.choice(machine.heads())
            number = self._random.randrange(_MOST_BRANCHES)
            machine.git("checkout", "--quiet", "-f", "-B", f"{machine.name}-{number}", f"origin/{head}")
            machine.vstore("pull", "--force")
        machine.note("pulled", files=machine.compare())

    def _take_back(self) -> None:
        """Make the data what it once was, as far as it is still here: also what is dead and perhaps collected."""
        machine = self._machine
        old = self._random.choice(machine.git("reflog", "--format=%H", "-n", "30").split())
        machine.git("checkout", "--quiet", old, "--", f"{TREE}.vstore", f"{MODEL}.vstore")
        outcome = machine.try_vstore("checkout", "--force")
        if outcome.exit_code:
            if outcome.exit_code not in _ABSENT:
                raise FindingError(f"vstore checkout: exit code {outcome.exit_code}\n{outcome.stderr}")
            machine.git("reset", "--quiet", "--hard")
            machine.vstore("pull", "--force")
            return
        machine.compare()
        machine.git("commit", "--quiet", "--allow-empty", "--message", "as it was")

    def _delete_branch(self) -> None:
        machine = self._machine
        current = machine.git("rev-parse", "--abbrev-ref", "HEAD")
        own = [head for head in machine.heads() if head.startswith(f"{machine.name}-") and head != current]
        if own:
            gone = self._random.choice(own)
            # Here first: what only a local branch names may be retired, and no push can bring it back.
            with contextlib.suppress(GitError):
                machine.git("branch", "--quiet", "-D", gone)
            machine.git("push", "--quiet", "origin", "--delete", gone)
            machine.note("deleted-branch")

    def _free(self) -> None:
        """Rely on the remote alone: what it holds goes from the cache."""
        machine = self._machine
        age(cache_of(self._user))
        outcome = machine.try_vstore("gc", *self._random.choice([[], ["--pushed"]]))
        if outcome.exit_code not in (0, _UNSURE):
            raise FindingError(f"vstore gc: exit code {outcome.exit_code}\n{outcome.stderr}")
        # It is not sure what a reflog's version needs that was retired, and whose list of files was freed before.
        machine.note("freed" if outcome.exit_code == 0 else "freed nothing")

    def _push_again(self) -> None:
        """Push a second time what did not change."""

    def _collect(self) -> None:
        collect(self._machine)


def collect(machine: Machine, *options: str) -> None:
    """Collect, and note what that did."""
    with machine.span(machine.course.collecting_span_s):
        result = machine.vstore("gc", "--remote", "--json", *options).json()
    counts = {name: value for name, value in result.items() if name.endswith(("_packs", "_bytes"))}
    machine.note("collected", retired=len(result["retired"]), unknown=len(result["unknown"]), **counts)


def undo(machine: Machine) -> None:
    """Bring back what was retired, as far as it is still there: that is a push like any other."""
    with machine.span(machine.course.collecting_span_s):
        at_s = machine.course.clock.total_s()
        outcome = machine.try_vstore("gc", "--remote", "--undo", "--json")
        if outcome.exit_code not in (0, *_ABSENT):
            raise FindingError(f"vstore gc --undo: exit code {outcome.exit_code}\n{outcome.stderr}")
        roots = [version["digest"] for version in outcome.json()["restored"]]
        machine.note("reported", roots=roots, at_s=at_s)
    machine.note("undone", roots=len(roots))


class Puller:
    """Clones, pulls and compares, over and over; sometimes the clone is an old one."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def wake(self) -> None:
        """Begin with a fresh machine."""
        shutil.rmtree(self._machine.path, ignore_errors=True)
        self._machine.wake()

    def step(self) -> None:
        """Pull some branch, as it is now."""
        machine = self._machine
        with machine.span():
            if machine.random.random() < 0.5:
                machine.clone()
            machine.git("fetch", "--quiet", "--prune", "origin")
            machine.git("checkout", "--quiet", "-f", "--detach", f"origin/{machine.random.choice(machine.heads())}")
            machine.vstore("pull", "--force")
        machine.note("pulled", files=machine.compare())


class Collector:
    """Collects, over and over."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def wake(self) -> None:
        """Take the clone as it is; what it saw of branches that are gone keeps nothing."""
        self._machine.wake()
        self._machine.git("config", "core.logAllRefUpdates", "false")
        self._machine.git("reflog", "expire", "--expire=now", "--all")

    def step(self) -> None:
        """Collect once, or take back what was retired."""
        machine = self._machine
        chance = machine.random.random()
        if chance < 0.1:
            undo(machine)
        else:
            collect(machine, *(["--retire-unknown", "--force"] if chance < 0.5 else []))
        time.sleep(_PAUSE_S * self._machine.random.random())


def act(course: Course, name: str, project: str, role: str, life: int) -> None:
    """Act, in a process of its own, until told to end, or its parent dies; what must never be is noted, and ends it."""
    os.setsid()  # so that all that it starts dies with it
    parent = os.getppid()
    machine = Machine(course, name, project, random.Random(f"{course.seed} {name} {life}"))
    actor: Pusher | Puller | Collector
    if role == "pusher":
        actor = Pusher(machine, collects=project != "ours")
    else:
        actor = Puller(machine) if role == "puller" else Collector(machine)
    try:
        _repeat(actor.wake, course)
        while not (course.path / "end").exists() and os.getppid() == parent:
            _repeat(actor.step, course)
    except FindingError as error:
        machine.note("finding", text=str(error))
        sys.exit(FOUND)
    except Exception:  # noqa: BLE001 (whatever it is, it is told)
        machine.note("finding", text=traceback.format_exc())
        sys.exit(FOUND)


def _repeat(step: Callable[[], None], course: Course) -> None:
    """Do a step until the line lets it; git may be in somebody's way a few times."""
    end_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            step()
            return
        except UnreachableError:
            pass
        except GitError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.1)
