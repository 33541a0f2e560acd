"""The other tools whose repositories data moves in from: the real ones, where they are installed.

DVC is found by an environment variable or on the PATH; it lives in an environment of its own, for it asks for other
versions of what we use.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.servers.running import ServerMissingError

_HOW = "python3 -m venv ENV && ENV/bin/pip install {}, then set {}=ENV/bin/dvc"


class Tool(NamedTuple):
    """A program, and what it calls itself."""

    program: Path
    label: str


def find_dvc() -> Tool:
    """Return DVC 3.  Raises ServerMissingError."""
    found = os.environ.get("DVC_TEST_PROGRAM") or shutil.which("dvc")
    if found is None:
        how = _HOW.format("'dvc>=3'", "DVC_TEST_PROGRAM")
        raise ServerMissingError("DVC 3", lost="moving in from it", how=how)
    return Tool(Path(found), f"DVC {_say_version(found)}")


def find_dvc_2() -> Tool:
    """Return DVC 2, which hashes and stores otherwise.  Raises ServerMissingError."""
    found = os.environ.get("DVC2_TEST_PROGRAM")
    if found is None:
        how = _HOW.format("'dvc<3' 'dulwich<0.22' 'pathspec<0.13'", "DVC2_TEST_PROGRAM")
        raise ServerMissingError("DVC 2", lost="moving in from it", how=how)
    return Tool(Path(found), f"DVC {_say_version(found)}")


def find_git_lfs() -> Tool:
    """Return git-lfs.  Raises ServerMissingError."""
    found = shutil.which("git-lfs")
    if found is None:
        raise ServerMissingError("git-lfs", lost="moving in from it", how="apt-get install git-lfs")
    return Tool(Path(found), _say_version(found).split()[0].replace("/", " "))


@functools.cache
def _say_version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, check=True)
    return os.fsdecode(done.stdout).strip()


def run_dvc(program: Path, *args: str | Path, cwd: Path) -> str:
    """Run DVC, which must succeed, and return what it printed; it tells nobody, and keeps nothing outside ``cwd``."""
    environ = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(cwd.parent / "dvc-site")}
    environ.pop("PYTHONPATH", None)
    done = subprocess.run(
        [program, *args], cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, f"dvc {args}: {os.fsdecode(done.stdout + done.stderr)}"
    return os.fsdecode(done.stdout)
