"""Progress for people: one line at the foot of a terminal while something takes long.

It is drawn by a thread of its own, so that the work pays only for counting, and it appears after a moment,
so that quick commands stay clean.  Where it is asked for and there is no terminal, whole lines come instead.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from typing import NamedTuple, TextIO

from vstore.cli import render
from vstore.progress import Reporter

_PATIENCE_S = 0.3
_REDRAW_S = 0.1
_LINE_EVERY_S = 5.0
_WINDOW = 50  # redraws, that is five seconds, from which the rate is taken
_BAR_WIDTH = 24
_CLEAR = "\r\x1b[K"


class Task(NamedTuple):
    """What is being done, and how much of it there is; ``total`` is None where it is not known."""

    name: str
    total: int | None
    unit: str


class LiveProgress(Reporter):
    """Draws on ``stream``: on a terminal, or anywhere if ``asked``.  Notes are left out if ``quiet``."""

    def __init__(self, stream: TextIO, *, quiet: bool = False, asked: bool | None = None) -> None:
        self._stream = stream
        self._quiet = quiet
        self._is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._draws = asked if asked is not None else self._is_terminal and not quiet
        self._lock = threading.Lock()
        self._task: Task | None = None
        self._done = 0
        self._drawn = False
        self._over = threading.Event()
        self._drawer: threading.Thread | None = None

    def begin(self, task: str, *, total: int | None = None, unit: str = "files") -> None:
        """A task starts; one that was not ended is over."""
        self.end()
        if not self._draws:
            return
        self._task, self._done, self._over = Task(task, total, unit), 0, threading.Event()
        self._drawer = threading.Thread(target=self._draw_until_over, args=(self._task, self._over), daemon=True)
        self._drawer.start()

    def advance(self, amount: int = 1) -> None:
        """Count; costs a fifth of a microsecond."""
        with self._lock:
            self._done += amount

    def end(self) -> None:
        """The line disappears."""
        drawer, self._drawer = self._drawer, None
        if drawer is not None:
            self._over.set()
            drawer.join()
        with self._lock:
            self._erase()

    def note(self, message: str) -> None:
        """Say it on a line of its own."""
        if not self._quiet:
            self._say(message)

    def warn(self, message: str) -> None:
        """Say it on a line of its own, also when quiet."""
        self._say(render.paint("Warning:", "yellow", self._stream) + f" {message}")

    def _say(self, message: str) -> None:
        with self._lock:
            self._erase()
            self._stream.write(message + "\n")
            self._stream.flush()

    def _draw_until_over(self, task: Task, over: threading.Event) -> None:
        samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=_WINDOW)
        pause_s = _PATIENCE_S if self._is_terminal else _LINE_EVERY_S
        while not over.wait(pause_s):
            pause_s = _REDRAW_S if self._is_terminal else _LINE_EVERY_S
            with self._lock:
                samples.append((time.monotonic(), self._done))
                self._draw(describe(task, self._done, rate_of(samples), self._columns()))

    def _columns(self) -> int:
        return shutil.get_terminal_size().columns - 1 if self._is_terminal else 200

    def _draw(self, line: str) -> None:
        if self._is_terminal:
            self._stream.write(_CLEAR + line)
            self._drawn = True
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = False
            self._stream.write(_CLEAR)
            self._stream.flush()


def rate_of(samples: deque[tuple[float, int]]) -> float:
    """Return units per second between the first and the last of (time, units done)."""
    (start_s, before), (now_s, done) = samples[0], samples[-1]
    return (done - before) / (now_s - start_s) if now_s > start_s else 0.0


def describe(task: Task, done: int, rate: float, width: int) -> str:
    """Return the line about a task, at most ``width`` characters long: bar, amount, rate, remaining time."""
    show = render.size if task.unit == "bytes" else "{:,}".format
    suffix = "" if task.unit == "bytes" else f" {task.unit}"
    parts = [f"{show(done)} of {show(task.total)}{suffix}" if task.total else f"{show(done)}{suffix}"]
    if rate > 0:
        parts.append(f"{show(round(rate))}/s")
        if task.total and done < task.total:
            parts.append(f"{render.duration((task.total - done) / rate)} left")
    text = "  ".join(parts)
    bar = _bar(done / task.total) if task.total else ""
    for line in (f"{task.name}  {bar}  {text}" if bar else f"{task.name}  {text}", f"{task.name}  {text}", text):
        if len(line) <= width:
            return line
    return text[:width]


def _bar(share: float) -> str:
    filled = round(min(1.0, share) * _BAR_WIDTH)
    return "━" * filled + "─" * (_BAR_WIDTH - filled)
