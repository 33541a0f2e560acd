"""Watching: what shows a person, in a terminal or a notebook, how far a verb is."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from vstore.progress import Reporter
from vstore.progress.live import LiveProgress, Surface


def live_progress(stream: TextIO | None = None, *, quiet: bool = False) -> Reporter:
    """Return a reporter that draws the progress of whatever it is given to, as the command line does.

    It draws on ``stream`` (standard error), if that is a terminal or the output of a notebook's cell.  Remarks and
    warnings are written to any stream, but if ``quiet`` only warnings.

    >>> result = vstore.status(reporter=vstore.live_progress())
    """
    stream = stream or sys.stderr
    surface = _find_surface(stream)
    return LiveProgress(stream, surface, draws=surface is not Surface.LOG and not quiet, quiet=quiet)


def _find_surface(stream: TextIO) -> Surface:
    if type(stream).__module__.partition(".")[0] == "ipykernel":
        return Surface.NOTEBOOK
    return Surface.TERMINAL if stream.isatty() and os.environ.get("TERM") != "dumb" else Surface.LOG
