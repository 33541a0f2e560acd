"""The code is typed and linted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.command import PROJECT


@pytest.mark.parametrize("command", [["mypy"], ["ruff", "check", "--no-cache"]], ids=["types", "lint"])
def test_checker_finds_nothing(command: list[str]) -> None:
    """A checker, as configured in pyproject.toml, has nothing to say."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
