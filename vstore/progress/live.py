"""Progress for people: one line at the foot of a terminal, or below a cell, while something takes long.

It is drawn by a thread of its own, so that the work pays only for counting, and it appears after a moment,
so that quick commands stay clean.  Where it is asked for and there is no terminal, whole lines come instead.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from enum import Enum
from typing import NamedTuple, TextIO

from vstore.progress import Reporter, words

_PATIENCE_S = 0.3
_REDRAW_S = 0.1
_LINE_EVERY_S = 5.0
_WINDOW = 50  # redraws, that is five seconds, from which the rate is taken
_BAR_WIDTH = 24
_CLEAR = "\r\x1b[K"
_OTHER_COLUMNS = 100


class Surface(Enum):
    """What progress is drawn on: how a line is drawn again differs."""

    TERMINAL = "terminal"
    NOTEBOOK = "notebook"
    """It knows how to go back to the start of a line, but not how to clear it."""
    LOG = "log"
    """Every line stays."""


class Task(NamedTuple):
    """What is being done, and how much of it there is; ``total`` is None where it is not known."""

    name: str
    total: int | None
    unit: str


class LiveProgress(Reporter):
    """Draws on ``stream``, if it ``draws`` at all.  Notes are left out if ``quiet``; ``danger`` begins a warning."""

    def __init__(
        self, stream: TextIO, surface: Surface, *, draws: bool, quiet: bool = False, danger: str = "Warning:"
    ) -> None:
        self._stream = stream
        self._surface = surface
        self._draws = draws
        self._quiet = quiet
        self._danger = danger
        self._lock = threading.Lock()
        self._task: Task | None = None
        self._done = 0
        self._drawn = ""
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
        self._say(f"{self._danger} {message}")

    def _say(self, message: str) -> None:
        with self._lock:
            self._erase()
            self._stream.write(message + "\n")
            self._stream.flush()

    def _draw_until_over(self, task: Task, over: threading.Event) -> None:
        samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=_WINDOW)
        pause_s = _LINE_EVERY_S if self._surface is Surface.LOG else _PATIENCE_S
        while not over.wait(pause_s):
            pause_s = _LINE_EVERY_S if self._surface is Surface.LOG else _REDRAW_S
            with self._lock:
                samples.append((time.monotonic(), self._done))
                self._draw(describe(task, self._done, rate_of(samples), self._columns()))

    def _columns(self) -> int:
        return shutil.get_terminal_size().columns - 1 if self._surface is Surface.TERMINAL else _OTHER_COLUMNS

    def _draw(self, line: str) -> None:
        if self._surface is Surface.LOG:
            self._stream.write(line + "\n")
        else:
            self._stream.write(self._blank() + line)
            self._drawn = line
        self._stream.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(self._blank())
            self._drawn = ""
            self._stream.flush()

    def _blank(self) -> str:
        """Return what makes the line empty that was drawn last."""
        return _CLEAR if self._surface is Surface.TERMINAL else f"\r{' ' * len(self._drawn)}\r"


def rate_of(samples: deque[tuple[float, int]]) -> float:
    """Return units per second between the first and the last of (time, units done)."""
    (start_s, before), (now_s, done) = samples[0], samples[-1]
    return (done - before) / (now_s - start_s) if now_s > start_s else 0.0


def describe(task: Task, done: int, rate: float, width: int) -> str:
    """Return the line about a task, at most ``width`` characters long: bar, amount, rate, remaining time."""
    show = words.size if task.unit == "bytes" else "{:,}".format
    suffix = "" if task.unit == "bytes" else f" {task.unit}"
    parts = [f"{show(done)} of {show(task.total)}{suffix}" if task.total else f"{show(done)}{suffix}"]
    if rate > 0:
        parts.append(f"{show(round(rate))}/s")
        if task.total and done < task.total:
            parts.append(f"{words.duration((task.total - done) / rate)} left")
    text = "  ".join(parts)
    bar = _bar(done / task.total) if task.total else ""
    for line in (f"{task.name}  {bar}  {text}" if bar else f"{task.name}  {text}", f"{task.name}  {text}", text):
        if len(line) <= width:
            return line
    return text[:width]


def _bar(share: float) -> str:
    filled = round(min(1.0, share) * _BAR_WIDTH)
    return "━" * filled + "─" * (_BAR_WIDTH - filled)
