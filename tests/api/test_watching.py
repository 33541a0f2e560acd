"""Progress of verbs that are called from Python."""

from __future__ import annotations

import io
import time

import pytest

import vstore
from tests.project import Project


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Cell(io.StringIO):
    """Looks like the output of a notebook's cell."""


_Cell.__module__ = "ipykernel.iostream"


@pytest.mark.parametrize(("stream", "term", "drawn"), [(_Terminal, "xterm", 1), (_Terminal, "dumb", 0), (_Cell, "", 1)])
def test_where_it_draws(stream: type[io.StringIO], term: str, drawn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terminals and notebooks show a line while something takes long, others nothing."""
    monkeypatch.setenv("TERM", term)
    output = stream()
    progress = vstore.live_progress(output)
    progress.begin("reading", total=10)
    progress.advance(5)
    deadline = time.monotonic() + (10 if drawn else 0.5)
    while "5 of 10 files" not in output.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    progress.end()
    assert ("5 of 10 files" in output.getvalue()) == bool(drawn)
    assert ("\x1b" in output.getvalue()) == (term == "xterm")


def test_verbs_take_it(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A verb says its remarks to it; by default on standard error, and nothing else is printed there."""
    project.add_data()
    (project.path / "broken.vstore").write_text("nonsense")
    capsys.readouterr()
    vstore.ls(directory=project.path, reporter=vstore.live_progress())
    loud = capsys.readouterr()
    vstore.ls(directory=project.path)
    quiet = capsys.readouterr()
    assert loud.out == quiet.out == quiet.err == ""
    assert loud.err.startswith("Warning: broken was left out: ")
