"""Who uses vstore gets types: what mypy says of a program is what the functions say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.command import PROJECT

_PROGRAM = """
from pathlib import Path
import vstore

with vstore.open("a.csv") as text:
    reveal_type(text)
with vstore.open("a.bin", "rb", rev="v1", repo=Path("there")) as binary:
    reveal_type(binary)
reveal_type(vstore.read("a"))
reveal_type(vstore.path("a"))
reveal_type(vstore.url("a"))
reveal_type(vstore.exists("a"))
reveal_type(vstore.status(reporter=vstore.live_progress()))
vstore.open("a", "wb")
vstore.open("a", "rb", encoding="utf-8")
"""


def test_a_program_is_checked(tmp_path: Path) -> None:
    """Types come out as documented, and calls that make no sense are errors, under ``--strict``."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    command = ["-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(tmp_path / "cache"), str(program)]
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, capture_output=True, text=True, check=False)
    said = [line.partition(": ")[2] for line in done.stdout.splitlines() if line.startswith(str(program))]
    revealed = [line.partition('"')[2].rstrip('"') for line in said if "Revealed type" in line]
    assert [name.rpartition(".")[2] for name in revealed] == [
        "TextIO",
        "BinaryIO",
        "bytes",
        "Path",
        "str",
        "bool",
        "StatusResult",
    ], done.stdout
    assert sum(line.startswith("error: No overload variant") for line in said) == 2
