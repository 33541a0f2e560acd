"""Imports run one way: the floors, the doors, and no rings."""

from __future__ import annotations

import graphlib
import subprocess
import sys

import grimp
import pytest

from tests.command import PROJECT


def test_contracts_are_kept() -> None:
    """Every import contract in pyproject.toml holds: floors, doors and surfaces."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-logo", "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_rings() -> None:
    """No module imports itself by way of others, not even inside a function."""
    graph = grimp.build_graph("vstore", cache_dir=None)
    # The package itself is only the lazy face of the api: whoever asks it for __version__ makes no ring.
    imports = {name: graph.find_modules_directly_imported_by(name) - {"vstore"} for name in graph.modules - {"vstore"}}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail("imports in a ring: " + " <- ".join(error.args[1]))
