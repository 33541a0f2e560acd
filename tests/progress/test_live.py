"""Progress lines."""

from __future__ import annotations

import io
import threading
from collections import deque

import pytest

from vstore.progress import live
from vstore.progress.live import LiveProgress, Surface, Task, describe, rate_of


class _Terminal(io.StringIO):
    """A terminal that tells when something was drawn on it."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()

    def write(self, text: str) -> int:
        self.drawn.set()
        return super().write(text)


@pytest.fixture
def terminal() -> _Terminal:
    """A terminal that can redraw a line."""
    return _Terminal()


def test_line_tells_amount_rate_and_remaining_time() -> None:
    """With a total, a line has a bar, the amount, the rate and what remains."""
    line = describe(Task("pushing", 4_000_000, "bytes"), 1_000_000, 500_000.0, 100)
    assert line == "pushing  ━━━━━━──────────────────  1.0 MB of 4.0 MB  500 kB/s  6 s left"


def test_line_without_total_counts() -> None:
    """Without a total there is no bar and no promise."""
    assert describe(Task("hashing", None, "files"), 12_345, 100.0, 100) == "hashing  12,345 files  100/s"


@pytest.mark.parametrize("width", [10, 30, 60])
def test_line_fits(width: int) -> None:
    """A line is never wider than the terminal: what does not fit is left out."""
    assert len(describe(Task("hashing", 100_000, "files"), 50_000, 1234.0, width)) <= width


def test_rate_is_that_of_the_last_moments() -> None:
    """The rate is taken between the first and the last sample."""
    assert rate_of(deque([(1.0, 100), (2.0, 250), (3.0, 500)])) == 200.0
    assert rate_of(deque([(1.0, 100)])) == 0.0


def test_quick_work_draws_nothing(terminal: _Terminal) -> None:
    """What is over at once leaves a terminal clean."""
    progress = LiveProgress(terminal, Surface.TERMINAL, draws=True)
    progress.begin("hashing", total=3)
    progress.advance(3)
    progress.end()
    assert terminal.getvalue() == ""


def test_long_work_is_drawn_and_cleared(terminal: _Terminal) -> None:
    """What takes long is drawn while it runs, and its line is gone at the end."""
    progress = LiveProgress(terminal, Surface.TERMINAL, draws=True)
    progress.begin("hashing", total=10)
    progress.advance(5)
    assert terminal.drawn.wait(10)
    progress.end()
    assert "5 of 10 files" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_notes_do_not_tear_the_line(terminal: _Terminal) -> None:
    """A note that comes while a line is drawn stands on a line of its own."""
    progress = LiveProgress(terminal, Surface.TERMINAL, draws=True)
    progress.begin("hashing")
    assert terminal.drawn.wait(10)
    progress.note("a fact")
    progress.end()
    assert "\r\x1b[Ka fact\n" in terminal.getvalue()


def test_no_terminal_no_progress() -> None:
    """Where nobody watches, only remarks are written, and when quiet only warnings."""
    loud, quiet = io.StringIO(), io.StringIO()
    for progress in (
        LiveProgress(loud, Surface.LOG, draws=False),
        LiveProgress(quiet, Surface.LOG, draws=False, quiet=True),
    ):
        progress.begin("hashing")
        progress.advance()
        progress.note("a fact")
        progress.warn("a danger")
        progress.end()
    assert loud.getvalue() == "a fact\nWarning: a danger\n"
    assert quiet.getvalue() == "Warning: a danger\n"


def test_asked_for_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where progress is asked for and there is no terminal, whole lines come from time to time."""

    monkeypatch.setattr(live, "_LINE_EVERY_S", 0.01)
    log = _Terminal()
    progress = LiveProgress(log, Surface.LOG, draws=True)
    progress.begin("pushing", total=2000, unit="bytes")
    assert log.drawn.wait(10)
    progress.end()
    assert log.getvalue().startswith("pushing  ") and "of 2.0 kB\n" in log.getvalue()
    assert "\r" not in log.getvalue() and "\x1b" not in log.getvalue()


def test_no_progress_wins_over_a_terminal(terminal: _Terminal) -> None:
    """Told not to, nothing is drawn: no thread is even started."""
    progress = LiveProgress(terminal, Surface.TERMINAL, draws=False)
    before = threading.active_count()
    progress.begin("hashing")
    assert threading.active_count() == before
    progress.end()


def test_notebook(terminal: _Terminal) -> None:
    """In a notebook a line is drawn again from its start, and gone at the end, without codes of terminals."""
    progress = LiveProgress(terminal, Surface.NOTEBOOK, draws=True)
    progress.begin("hashing", total=10)
    assert terminal.drawn.wait(10)
    progress.end()
    shown = ""
    for part in terminal.getvalue().split("\r"):
        shown = part + shown[len(part) :]
    assert "of 10 files" in terminal.getvalue() and shown.strip() == ""
    assert "\x1b" not in terminal.getvalue()
