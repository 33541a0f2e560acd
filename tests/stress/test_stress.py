"""One short run for each kind of remote; ``python -m tests.stress`` makes longer ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.command import PROJECT


@pytest.mark.parametrize(("kind", "seconds"), [("s3", 30), ("directory", 10), ("proxy", 10)])
def test_nothing_reported_is_lost_and_nothing_dangles(request: pytest.FixtureRequest, kind: str, seconds: int) -> None:
    """Machines that push, pull and collect while they are killed and weeks pass lose nothing and leave nothing."""
    if kind != "directory":
        request.getfixturevalue("moto")  # the run has one of its own, with a clock that leaps
    command = [sys.executable, "-m", "tests.stress", "--remote", kind, "--seconds", str(seconds), "--seed", "1"]
    done = subprocess.run(command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True)
    assert done.returncode == 0, os.fsdecode(done.stdout + done.stderr)
    counts = json.loads(done.stdout)
    assert all(counts[event] for event in ("reported", "pulled", "collected", "leaps", "live bytes")), counts
