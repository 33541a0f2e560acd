"""Starting up is quick: what only some verbs need is imported only by them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.command import PROJECT

_HEAVY = {"blake3", "fsspec", "pygit2", "pyfastcdc", "rich", "sqlite3", "tomlkit", "zstandard"}
_PROGRAM = """
import json, sys
from vstore.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as error:
    assert not error.code, error.code
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_no_heavy_imports(option: str) -> None:
    """Telling the version or listing the verbs imports nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, option], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert _HEAVY.isdisjoint(json.loads(done.stderr.splitlines()[-1]))


def test_package_is_light() -> None:
    """Importing the package alone imports none of its floors."""
    program = "import sys, vstore; print(*sorted(name for name in sys.modules if name.startswith('vstore.')))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
