"""Which servers, and other tools, the tests of a run really used, told at its end.

A test's own report carries it there, since reports are all that comes from the workers.
"""

from __future__ import annotations

from collections import Counter

import pytest

_NAMES = ("moto", "Ceph RGW", "OpenStack Swift", "Azurite", "OpenSSH", "nginx", "HDFS", "DVC 3", "DVC 2", "git-lfs")
"""What a full run is expected to test; labels and reasons begin with these."""
_USED, _MISSED = "server", "server-missed"
_NOTES = pytest.StashKey[dict[str, list[tuple[str, object]]]]()
"""The name of a fixture → what is told about each test that used it."""


def note(request: pytest.FixtureRequest, label: str, missed: list[str]) -> None:
    """Remember what the fixture that is being set up stands on, and why not on something else."""
    notes: list[tuple[str, object]] = [(_USED, label)]
    notes += [(_MISSED, f"{reason}; {label}") for reason in missed]
    request.config.stash.setdefault(_NOTES, {})[str(request.fixturename)] = notes


def tell(request: pytest.FixtureRequest) -> None:
    """Put onto a test's report which servers it used."""
    notes = request.config.stash.get(_NOTES, {})
    for name in request.fixturenames:
        request.node.user_properties += notes.get(name, [])


def replaced(reporter: pytest.TerminalReporter) -> Counter[str]:
    """Return why servers were replaced by others, and for how many tests."""
    return _count(reporter, _MISSED)


def summarize(reporter: pytest.TerminalReporter, reasons: Counter[str]) -> None:
    """Print on which servers how many tests ran.  ``reasons`` tell why others did not."""
    used = _count(reporter, _USED)
    if not used and not any(reason.startswith(_NAMES) for reason in reasons):
        return
    reporter.section("tested on these servers and tools")
    for label, count in sorted(used.items()):
        reporter.line(f"{label}: {count} test{'s' if count > 1 else ''}")
    unasked = [name for name in _NAMES if not any(text.startswith(name) for text in (*used, *reasons))]
    if unasked:
        reporter.line(f"No test of this run asked for: {', '.join(unasked)}")


def _count(reporter: pytest.TerminalReporter, kind: str) -> Counter[str]:
    return Counter(
        value
        for reports in reporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, value in report.user_properties
        if name == kind and isinstance(value, str)
    )
