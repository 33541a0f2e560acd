"""Running vstore and git as a user would: in this process, in a process of its own, or killed on the way."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
_START = "import sys; from vstore.cli.main import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished command left behind."""

    exit_code: int
    stdout_bytes: bytes
    stderr_bytes: bytes

    @property
    def stdout(self) -> str:
        """The results, as text."""
        return os.fsdecode(self.stdout_bytes)

    @property
    def stderr(self) -> str:
        """Progress and errors, as text."""
        return os.fsdecode(self.stderr_bytes)

    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.stdout_bytes)

    def ok(self) -> Outcome:
        """Return self; an AssertionError with what was said if the command failed."""
        assert self.exit_code == 0, f"exit code {self.exit_code}\n{self.stdout}{self.stderr}"
        return self


def run_vstore(*args: str | Path, cwd: Path, stdin: bytes = b"") -> Outcome:
    """Run the command line in this process: fast, but with the modules that are already imported.

    Not for several threads: standard streams and working directory belong to the process.
    """
    from vstore.cli.main import main

    stdout, stderr = _stream(), _stream()
    with _streams(_stream(stdin), stdout, stderr), contextlib.chdir(cwd):
        try:
            code = main([os.fspath(arg) for arg in args])
        except SystemExit as error:
            code = error.code
    return Outcome(_exit_code(code), _content(stdout), _content(stderr))


def run_vstore_process(*args: str | Path, cwd: Path, timeout_s: float = 120) -> Outcome:
    """Run the command line in a process of its own and wait for it."""
    process = start_vstore(*args, cwd=cwd)
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return Outcome(process.returncode, stdout, stderr)


def start_vstore(*args: str | Path, cwd: Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own, for tests that interrupt or kill it, or answer it."""
    paths = filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])
    return subprocess.Popen(
        [sys.executable, "-c", _START, *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def git(*args: str | Path, cwd: Path) -> str:
    """Run git, and return what it printed without the last newline."""
    done = subprocess.run(["git", *args], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, f"git {args}: {os.fsdecode(done.stderr)}"
    return os.fsdecode(done.stdout).removesuffix("\n")


def _stream(content: bytes = b"") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="surrogateescape", write_through=True)


def _content(stream: io.TextIOWrapper) -> bytes:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()


@contextlib.contextmanager
def _streams(stdin: io.TextIOWrapper, stdout: io.TextIOWrapper, stderr: io.TextIOWrapper) -> Iterator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _exit_code(code: object) -> int:
    # As the interpreter does: nothing means success, and a text means failure.
    if code is None:
        return 0
    return code if isinstance(code, int) else 1
