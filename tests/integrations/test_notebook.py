"""A notebook, run by a real kernel."""

from __future__ import annotations

from typing import Any

import pytest

from tests.command import PROJECT
from tests.integrations.libraries import Libraries
from tests.project import Project

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other libraries are not ours

_SLOW = """
import time
progress = vstore.live_progress()
progress.begin("reading", total=10)
progress.advance(5)
time.sleep(1.5)
progress.end()
"""


def test_progress_and_results(project: Project, libraries: Libraries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a cell a line shows how far a verb is, and disappears; results and bytes are values of the cell."""
    libraries.get("ipykernel")
    nbclient, nbformat = libraries.get("nbclient"), libraries.get("nbformat.v4")
    project.add_data()
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    sources = ["import vstore", _SLOW, "vstore.status(reporter=vstore.live_progress())", 'vstore.read("data/a.txt")']
    cells = [nbformat.new_code_cell(source) for source in sources]
    notebook = nbformat.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(project.path)}}).execute()
    shown = _text(cells[1], "stderr")
    assert "reading  ━" in shown and "5 of 10 files" in shown and "\x1b" not in shown
    assert shown.rpartition("\r")[2] == ""
    assert "StatusResult(" in cells[2].outputs[-1].data["text/plain"]
    assert cells[3].outputs[-1].data["text/plain"] == r"b'a\n'"


def _text(cell: Any, name: str) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == name)
