"""Transcripts: the commands of a page, run in order in a new home directory, and compared with what the page shows.

In a ```console block, ``$ `` begins a command, ``> `` goes on with it, and the lines below are what it prints; where
there are none, it may print anything.  A command that shows an error or a conflict must fail, every other must
succeed.  A line ``...`` stands for any number of lines; digests, commits, times and amounts of blanks need not be
equal, sizes need to be near.  A ```python block is run by Python in the directory where the commands stand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.command import PROJECT
from tests.docs.stages import Stage, open_stage

HOME = "/home/ada"
"""The home directory that pages show."""
_GIT_CONFIG = """\
[user]
    name = Ada
    email = ada@example.org
[init]
    defaultBranch = main
[protocol "file"]
    allow = always
[advice]
    detachedHead = false
"""
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END = "\x1e"  # no command prints it
_CHANGING = re.compile(r"((?:xxh128|blake3):)[0-9a-f]{8,64}|\b[0-9a-f]{7,40}\b|\b\d{4}-\d\d-\d\d \d\d:\d\d\b")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ([kMGT]?B)\b")
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_NEAR = 0.2


@dataclass(frozen=True)
class Step:
    """One command as a page has it; ``start`` and ``end`` enclose what it shows, in the page."""

    command: str
    shown: tuple[str, ...]
    start: int
    end: int

    @property
    def fails(self) -> bool:
        """Whether the page says that it fails."""
        return any(line.startswith(("Error:", '{"error":', "CONFLICT")) for line in self.shown)


@dataclass(frozen=True)
class Run:
    """What happened when a step was run."""

    step: Step
    exit_code: int
    printed: tuple[str, ...]

    @property
    def ended_as_said(self) -> bool:
        """Whether it failed if, and only if, the page says so."""
        return self.step.shown == ("?",) or (self.exit_code != 0) == self.step.fails

    @property
    def is_right(self) -> bool:
        """Whether it ended and printed as the page says."""
        return self.ended_as_said and (not self.step.shown or _matches(self.step.shown, self.printed))

    def __str__(self) -> str:
        shown, printed = "\n".join(self.step.shown), "\n".join(self.printed)
        return f"$ {self.step.command}\n--- shown\n{shown}\n--- printed, exit code {self.exit_code}\n{printed}"


def iter_steps(page: str) -> Iterator[Step]:
    """Yield the commands of a page, in order."""
    for block in _BLOCK.finditer(page):
        if block[1] == "python":
            yield Step(f"python - <<'END'\n{block[2]}END", (), block.end(2), block.end(2))
            continue
        command: list[str] = []
        shown: list[str] = []
        start = end = block.start(2)
        for line in block[2].splitlines(keepends=True):
            if line.startswith("$ ") and command:
                yield Step("\n".join(command), tuple(shown), start, end)
                command, shown = [], []
            end += len(line)
            if line.startswith(("$ ", "> ")):
                assert not shown or line.startswith("$ "), f"{line!r} stands below what a command shows"
                command.append(line[2:].rstrip("\n"))
                start = end
            else:
                assert command, f"{line!r} stands before the first command of its block"
                shown.append(line.rstrip("\n"))
        if command:
            yield Step("\n".join(command), tuple(shown), start, end)


def run(page: str, place: Path, name: str = "") -> list[Run]:
    """Run the commands of a page in one shell, in a new home directory below ``place``.

    ``name`` is that of the page, by which its stage is found.  Raises ServerMissingError.
    """
    home = _make_home(place)
    with open_stage(name, home) as stage:
        return _run(page, place, home, stage)


def _run(page: str, place: Path, home: Path, stage: Stage) -> list[Run]:
    steps = list(iter_steps(page))
    script = "".join(f"{stage.to_real(step.command)}\nprintf '{_END}%d{_END}' $?\n" for step in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=home,
        env={**_environment(place, home), **stage.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    text = stage.to_shown(os.fsdecode(done.stdout)).replace(str(home), HOME)
    parts = text.split(_END)
    assert len(parts) == 2 * len(steps) + 1, f"the shell ended early: {text}"
    pairs = zip(parts[0::2], parts[1::2], strict=False)
    return [
        Run(step, int(code), tuple(printed.splitlines())) for step, (printed, code) in zip(steps, pairs, strict=True)
    ]


def refresh(page: str, runs: Sequence[Run]) -> str:
    """Return the page with what was printed in place of what it shows, where they differ."""
    for done in reversed(runs):
        if done.step.shown and not done.is_right:
            printed = "".join(line + "\n" for line in done.printed)
            page = page[: done.step.start] + printed + page[done.step.end :]
    return page


def _make_home(place: Path) -> Path:
    home, programs = place.resolve() / "ada", place / "bin"
    home.mkdir()
    programs.mkdir()
    (home / ".gitconfig").write_text(_GIT_CONFIG)
    for name, start in (("vstore", "-m vstore"), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
        program.chmod(0o755)
    return home


def _environment(place: Path, home: Path) -> dict[str, str]:
    # Nothing of the user's settings, of the machine or of a terminal.
    return {
        "HOME": str(home),
        "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
    }


def _matches(shown: Sequence[str], printed: Sequence[str]) -> bool:
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(_matches(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and _is_alike(shown[0], printed[0]) and _matches(shown[1:], printed[1:])


def _is_alike(shown: str, printed: str) -> bool:
    return _words(shown) == _words(printed) and all(
        abs(one - other) <= _NEAR * max(one, other) for one, other in zip(_sizes(shown), _sizes(printed), strict=True)
    )


def _words(line: str) -> list[str]:
    return _SIZE.sub("SIZE", _CHANGING.sub(r"\1NAME", line)).split()


def _sizes(line: str) -> list[float]:
    return [float(number) * _UNITS[unit] for number, unit in _SIZE.findall(line)]
