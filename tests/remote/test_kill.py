"""Killing real commands at random moments: the same command then works, and all data is there."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from pathlib import Path

from tests.command import git, start_vstore
from tests.project import Project
from tests.remote.world import noise

_ROUNDS = 8
_FILES = {f"data/{i % 7}/{i}": noise(50 + 37 * i, i) for i in range(200)} | {
    f"data/big{i}": noise(900_000, 1000 + i) for i in range(3)
}


def kill_at_random(random_: random.Random, *args: str, cwd: Path) -> bool:
    """Start a command and kill it after a while; tell whether that came in time."""
    process = start_vstore(*args, cwd=cwd)
    try:
        process.communicate(timeout=random_.uniform(0.15, 0.5))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode == -signal.SIGKILL


def test_killed_push_and_pull_are_completed_by_the_next(project: Project) -> None:
    """Whenever push or pull is killed, the same command completes, and a clone has every byte."""
    random_ = random.Random(2)
    for name, data in _FILES.items():
        project.write(name, data)
    project.ok("add", "data")
    project.add_remote()
    project.git("add", "-A")
    project.commit()
    clone = Project(project.path.parent / "clone")
    killed = 0
    for number in range(_ROUNDS):
        project.write("data/changed", noise(600_000, number))
        project.ok("add", "data")
        project.commit()
        killed += kill_at_random(random_, "push", cwd=project.path)
        if number % 3 == 0:
            project.write("data/changed", noise(500_000, number))
            project.ok("add", "data")
            project.commit()
        project.ok("push")
        project.ok("push", "--check")
        shutil.rmtree(clone.path, ignore_errors=True)
        git("clone", "--quiet", project.path, clone.path, cwd=project.path)
        killed += kill_at_random(random_, "pull", cwd=clone.path)
        clone.ok("pull")
        for name in (*_FILES, "data/changed"):
            assert clone.read(name) == project.read(name), f"{name} differs in round {number}"
    assert killed
