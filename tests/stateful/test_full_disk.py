"""A disk that gets full at any step: a plain error, nothing half-done under a good name, and with room all goes on."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from tests.ops.test_checkout import shape
from tests.project import Project, share
from tests.stateful.dying import FULL, run_dying
from tests.stateful.test_death import as_before, leftovers, pointers_are_good
from tests.stateful.test_death_of_imports import FIRST, SECOND, is_complete, ours, theirs, write

__all__ = ["ours", "theirs"]

_NO_SPACE, _PARTIAL = 1, 3
_STEP, _LAST = 9, 60


def prepare(verb: str, ours: Project, theirs: Project, tmp_path: Path) -> list[str]:
    """Bring a project to where a verb has something to do that ends in the second version; returns the command."""
    write(theirs.path / "data", FIRST)
    write(tmp_path / "folder", FIRST)
    if verb in ("update", "checkout", "push", "pull", "add"):
        ours.ok("import-url", "../folder", "data")
        ours.commit("first")
    write(tmp_path / "folder", SECOND)
    write(theirs.path / "data", SECOND)
    theirs.ok("add", "data")
    theirs.commit("second")
    share(theirs)
    if verb in ("checkout", "push", "pull"):
        ours.ok("update")
        ours.commit("second")
    if verb == "pull":
        ours.ok("push")
        shutil.rmtree(ours.path / ".git/vstore")
    if verb in ("checkout", "pull"):
        shutil.rmtree(ours.path / "data")
    if verb == "add":
        write(ours.path / "data", SECOND)
    commands = {
        "import": "import ../repo data",
        "import-url": "import-url ../folder data",
        "import-to-remote": "import-url --to-remote ../folder data",
        "get": "get ../bare.git data",
        "add": "add data",
    }
    return commands.get(verb, verb).split()


VERBS = ["add", "checkout", "push", "pull", "import", "import-url", "import-to-remote", "update", "get", "install"]


@pytest.mark.parametrize("verb", VERBS)
def test_full_disk(ours: Project, theirs: Project, tmp_path: Path, verb: str) -> None:
    """Wherever the disk gets full, the verb says so and ends, and the same command works when there is room again."""
    args = prepare(verb, ours, theirs, tmp_path)
    may_refuse = {"get": lambda: ours.has("data"), "import": lambda: is_complete(ours)}.get(args[0].split("-")[0])
    refused = 0
    for number in itertools.count(step=_STEP):
        with as_before(ours):
            code = run_dying(lambda: _judge(ours, args), number, FULL)
            assert code in (0, _NO_SPACE, _PARTIAL), f"full before change {number}: {code}"
            if verb not in ("get", "pull", "import-to-remote"):
                pointers_are_good(ours)
            is_over = may_refuse is not None and may_refuse()
            done = ours.run(*args)
            assert is_over or done.exit_code == 0, f"full before change {number}: {done.stderr}"
            if verb == "import-to-remote":
                ours.ok("push", "--check")
                ours.ok("pull")
            if verb != "install":
                assert shape(ours.path / "data") == SECOND and not leftovers(ours.path)
            pointers_are_good(ours)
        refused += code != 0
        if code == 0 and number > _LAST:
            break
    assert refused > 1


def _judge(project: Project, args: list[str]) -> int:
    outcome = project.run(*args)
    is_plain = "Traceback" not in outcome.stderr and (outcome.exit_code == 0 or "No space left" in outcome.stderr)
    return outcome.exit_code if is_plain else 98
