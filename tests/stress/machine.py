"""A machine: a clone with a cache and a mirror of its own, and the commands that somebody gives there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.command import Outcome, run_vstore, run_vstore_process
from tests.project import Project
from tests.remote.world import noise
from tests.stress.book import Expected, FindingError, sha256
from tests.stress.course import Course
from vstore.objects.pointer import pointer_from_bytes

UNAVAILABLE = 14
TREE, MODEL = "data", "model.bin"
_OWN_PROCESS = 0.03
"""So many commands get a process of their own; the others save its start."""
_ATTEMPTS_S = 300.0


class UnreachableError(Exception):
    """The line was too bad: the command gave up, and said so."""


class GitError(Exception):
    """Git refused, as it may where others delete and move branches at the same time."""


class Machine:
    """A work tree at ``path``; ``name`` stands in the journal."""

    def __init__(self, course: Course, name: str, project: str, random_: random.Random) -> None:
        self.course = course
        self.name = name
        self.project = project
        self.random = random_
        self.path = course.path / "machines" / name
        self._lock = course.path / "machines" / f"{name}.lock"

    # commands

    def vstore(self, *args: str | Path) -> Outcome:
        """Run vstore, which must succeed; raises UnreachableError where the line is bad, and else FindingError."""
        outcome = self.try_vstore(*args)
        if outcome.exit_code:
            raise FindingError(f"vstore {' '.join(map(str, args))}: exit code {outcome.exit_code}\n{outcome.stderr}")
        return outcome

    def try_vstore(self, *args: str | Path) -> Outcome:
        """Run vstore; raises UnreachableError where the line is bad."""
        if self.random.random() < _OWN_PROCESS:
            outcome = run_vstore_process(*args, cwd=self.path, timeout_s=_ATTEMPTS_S)
        else:
            outcome = run_vstore(*args, cwd=self.path)
        # What arrives damaged is asked for again, but not for ever.  On a good line nothing may be damaged in the end.
        is_line = outcome.exit_code == UNAVAILABLE or (outcome.exit_code and "damaged" in outcome.stderr)
        if is_line and self.course.may_fail:
            self.note("unreachable", command=args[0])
            raise UnreachableError
        return outcome

    def git(self, *args: str | Path) -> str:
        """Run git, which ends in peace also where the machine dies: it is not git that is tried.  Raises GitError."""
        with self._lock.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            done = subprocess.run(
                ["git", *args],
                cwd=self.path if self.path.exists() else self.path.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                pass_fds=[lock.fileno()],
                start_new_session=True,
                text=True,
            )
        if done.returncode:
            raise GitError(f"git {' '.join(map(str, args))}: {done.stderr}")
        return done.stdout.removesuffix("\n")

    def note(self, event: str, **facts: Any) -> None:
        """Write into the journal."""
        self.course.book.note(self.name, event, **facts)

    @contextlib.contextmanager
    def span(self, most_s: int | None = None) -> Iterator[None]:
        """Do something that must not take too long by the store's clock."""
        clock = self.course.clock
        with clock.span(self.name) if most_s is None else clock.span(self.name, most_s):
            yield

    # states

    def clone(self) -> None:
        """Clone the project anew."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.git("clone", "--quiet", f"file://{self.course.bare(self.project)}", self.path)

    def wake(self) -> None:
        """Set in order what a sudden death left, as a user would; git that outlived it is waited for."""
        with self._lock.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not (self.path / ".vstore/config").exists():
            self.clone()
            return
        for folder, _, names in os.walk(self.path / ".git"):
            if "vstore" not in Path(folder).parts:
                for name in names:
                    if name.endswith(".lock"):
                        os.unlink(os.path.join(folder, name))
        self.git("reset", "--quiet", "--hard")

    def heads(self) -> list[str]:
        """Return the branches that are shared."""
        refs = self.git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin")
        return sorted(ref for ref in refs.split() if ref != "HEAD")

    def pointers(self) -> dict[str, Expected]:
        """Return what stands in the work tree's pointers, by their artifact, as it was written down."""
        return {
            name: self.course.book.get(digest_of((self.path / f"{name}.vstore").read_bytes()))
            for name in (TREE, MODEL)
            if (self.path / f"{name}.vstore").exists()
        }

    def roots_of(self, *commits: str) -> set[str]:
        """Return what the pointers of some commits name."""
        return {
            digest_of(self.git("show", f"{commit}:{name}.vstore").encode() + b"\n")
            for commit in commits
            for name in (TREE, MODEL)
        }

    def compare(self) -> int:
        """Compare all data with what was written down; returns the number of files.  Raises FindingError."""
        compared = 0
        for name, version in self.pointers().items():
            found = read_files(self.path / name)
            if found != version.files:
                differing = sorted(set(found.items()) ^ set(version.files.items()))
                raise FindingError(f"{self.name}: {name} of {version.root} differs: {differing}")
            compared += len(found)
        return compared

    def expect(self) -> None:
        """Write down what lies in the work tree under the digests that its pointers have now."""
        for name in (TREE, MODEL):
            pointer = self.path / f"{name}.vstore"
            self.course.book.expect(
                Expected(digest_of(pointer.read_bytes()), pointer.read_text(), read_files(self.path / name))
            )


def read_files(path: Path) -> dict[str, str]:
    """Return the SHA-256 of every file at or below a path."""
    if path.is_file():
        return {"": sha256(path.read_bytes())}
    return {
        file.relative_to(path).as_posix(): sha256(file.read_bytes()) for file in path.rglob("*") if not file.is_dir()
    }


def make_content(random_: random.Random) -> bytes:
    """Make a content that other machines may make as well, small or large; large ones share most of their chunks."""
    if random_.random() < 0.75:
        return noise(random_.randrange(8000), random_.randrange(300)) if random_.random() < 0.8 else b"text\n" * 500
    base = noise(700_000, random_.randrange(8))
    cut = random_.randrange(0, len(base), 50_000)
    return base[:cut] + noise(random_.randrange(1, 5) * 100, random_.randrange(100)) + base[cut:]


def digest_of(pointer: bytes) -> str:
    """Return what a pointer names."""
    return str(pointer_from_bytes(pointer, "a pointer").digest)


def begin_project(course: Course, project: str) -> None:
    """Make the git repository that the machines of a project share, with a first version that is pushed."""
    machine = Machine(course, f"{project}-first", project, random.Random(0))
    machine.path.mkdir(parents=True)
    machine.git("init", "--quiet")
    user = Project(machine.path)
    user.ok("init", "--hash", course.hash_name)
    user.ok("remote", "add", "-d", "store", course.url)
    if course.kind != "directory":
        user.ok("remote", "set", "store", "endpoint_url", course.endpoint_url)
        user.ok("remote", "set", "store", "region", "us-east-1")
    if course.may_fail:
        user.ok("config", "set", "transfer.timeout", "2")
    user.write(f"{TREE}/first", b"first\n")
    user.write(MODEL, make_content(machine.random))
    user.ok("add", TREE, MODEL)
    user.git("add", "-A")
    user.commit("first")
    machine.expect()
    user.ok("push")
    roots = [version.root for version in machine.pointers().values()]
    machine.note("reported", roots=roots, at_s=0)
    subprocess.run(["git", "clone", "--quiet", "--bare", machine.path, course.bare(project)], check=True)
    shutil.rmtree(machine.path)
