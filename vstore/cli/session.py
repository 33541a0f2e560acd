"""The session: what the global options say, and where results go."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from vstore.cli import render
from vstore.progress.live import LiveProgress, Surface

Result = TypeVar("Result")


@dataclass
class Session:
    """One run of the command line.

    ``progress`` is None where the terminal decides; ``json`` asks for one JSON document instead of words.
    """

    directory: Path | None = None
    quiet: bool = False
    verbose: bool = False
    progress: bool | None = None
    json: bool = False

    @functools.cached_property
    def reporter(self) -> LiveProgress:
        """What draws progress and prints remarks, on standard error."""
        is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return LiveProgress(
            sys.stderr,
            Surface.TERMINAL if is_terminal else Surface.LOG,
            draws=is_terminal and not self.quiet if self.progress is None else self.progress,
            quiet=self.quiet,
            danger=render.paint("Warning:", "yellow", sys.stderr),
        )

    def path(self, name: str) -> str:
        """Return a path of a result, which is relative to the work tree, as the user would name it from here."""
        root = self._work_tree
        # At the root, where most stand, there is nothing to compute for each of a million names.
        return render.path(name if root in (None, self._here) else os.path.relpath(f"{root}/{name}", self._here))

    def from_here(self, path: str) -> str:
        """Return an absolute path as the user would name it from here."""
        parent, name = os.path.split(path)
        return render.path(os.path.relpath(os.path.join(os.path.realpath(parent), name), self._here))

    @property
    def next_commit(self) -> str:
        """What to do after pointers changed; empty without git."""
        return "Next: git commit" if self._work_tree and os.path.lexists(self._work_tree / ".git") else ""

    @functools.cached_property
    def _work_tree(self) -> Path | None:
        from vstore import api  # `vstore --help` makes a session, and must be quick

        return api.find_work_tree(self.directory)

    @functools.cached_property
    def _here(self) -> Path:
        return Path(os.path.realpath(self.directory or os.curdir))

    def show(self, result: Result, words: Callable[[Result], Iterable[str]], *, always: bool = False) -> None:
        """Print a result: as JSON if asked, else the lines that ``words`` makes of it.

        When quiet, lines are printed only if ``always``: they are then what was asked for, not a remark.
        """
        self.reporter.end()
        if self.json:
            sys.stdout.writelines(render.iter_json(result, pretty=sys.stdout.isatty()))
            sys.stdout.write("\n")
        elif always or not self.quiet:
            self.say(words(result))

    def say(self, lines: Iterable[str]) -> None:
        """Print lines of a result, also when quiet: they are what was asked for."""
        self.reporter.end()
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()  # an error, on another stream, comes after it


pass_session = click.make_pass_decorator(Session)
