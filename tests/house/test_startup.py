"""Starting up is quick: what only some verbs need is imported only by them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.command import PROJECT
from vstore import api

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


def test_api_has_all_names() -> None:
    """Every public name of the api is found where its table says, and the table says nothing else."""
    assert sorted(name for names in api._HOMES.values() for name in names.split()) == sorted(api.__all__)
    assert all(getattr(api, name) is not None for name in api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = api.nonsense  # type: ignore[attr-defined]


def test_verbs_load_only_themselves() -> None:
    """Whoever uses one function of the api does not load the verbs that others need."""
    program = "import sys; from vstore import api; api.status, api.diff, api.log; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "vstore.ops.status" in loaded
    assert loaded.isdisjoint({"vstore.ops.push", "vstore.ops.gc", "vstore.ops.migrate", "vstore.ops.fsck", "tomlkit"})
    assert "vstore.remote.remote" not in loaded


def test_reading_loads_no_remote() -> None:
    """Whoever reads what is here loads neither what fetches nor what speaks to remotes."""
    program = "import sys, vstore, vstore.fs; vstore.open; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"vstore.ops.reading.library", "vstore.fs.filesystem"} <= loaded
    assert loaded.isdisjoint({"vstore.ops.fetch", "vstore.remote.reader", "vstore.remote.remote"})
