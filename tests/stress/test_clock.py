"""The clock of a run: no leap makes a span longer than it may be."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from tests.stress.clock import DAY_S, SPAN_S, Clock, age_directory


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that goes right."""
    return Clock(tmp_path / "clock").make()


def leap(clock: Clock, by_s: int) -> bool:
    """Leap at once or not at all."""
    leapt: list[int] = []
    done = clock.leap(by_s, leapt.append, patience_s=0)
    assert leapt == [by_s] * done
    return done


def test_leaps_and_spans(clock: Clock) -> None:
    """A leap that would make an open span too long is refused; afterwards it may come."""
    assert leap(clock, SPAN_S)
    with clock.span("somebody"):
        assert leap(clock, 8 * DAY_S)
        assert not leap(clock, 8 * DAY_S)
        assert leap(clock, 5 * DAY_S)
    assert leap(clock, 8 * DAY_S)
    assert clock.total_s() == 34 * DAY_S


def test_span_of_one_that_died(clock: Clock) -> None:
    """A span goes on where somebody died in it, until it is ended anew, or closed."""
    for _ in range(2):
        with contextlib.suppress(KeyboardInterrupt), clock.span("somebody"):
            assert leap(clock, 6 * DAY_S)
            raise KeyboardInterrupt
    assert not leap(clock, 2 * DAY_S)
    clock.close("somebody")
    with clock.span("somebody", 0):
        assert not leap(clock, 1)
    assert leap(clock, 2 * DAY_S)


def test_directory_grows_old(tmp_path: Path) -> None:
    """All files of a directory grow older by the same."""
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs/a").touch()
    age_directory(tmp_path, DAY_S)
    assert 0 <= time.time() - DAY_S - os.stat(tmp_path / "packs/a").st_mtime < 100
