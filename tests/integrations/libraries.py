"""The libraries that vstore is tested with, and the end of a run, which says with which it was.

pip install -e '.[test-integrations]'
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections import Counter
from typing import Any

import pytest

_NAMES = {
    "dask": "dask",
    "datasets": "datasets",
    "duckdb": "duckdb",
    "ipykernel": "ipykernel",
    "nbclient": "nbclient",
    "nbformat": "nbformat",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "pyarrow",
    "tensorboard": "tensorboard",
    "torch": "torch",
    "upath": "universal-pathlib",
    "zarr": "zarr",
}
"""What a full run is expected to use, by the names of modules."""
_USED = "library"


class Libraries:
    """Imports libraries for one test, and notes that it used them."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def get(self, name: str) -> Any:
        """Return a module; where its library is not installed, the test is skipped."""
        library = _NAMES[name.partition(".")[0]]
        try:
            module = importlib.import_module(name)
            version = importlib.metadata.version(library)
        except (ImportError, importlib.metadata.PackageNotFoundError):
            pytest.skip(f"the library {library} is not installed (pip install -e '.[test-integrations]')")
        used = (_USED, f"{library} {version}")
        if used not in self._request.node.user_properties:
            self._request.node.user_properties.append(used)
        return module


def summarize(reporter: pytest.TerminalReporter) -> None:
    """Print with which libraries how many tests ran, if any was asked for."""
    used = Counter(
        value
        for reports in reporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == _USED and isinstance(value, str)
    )
    skipped = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    missing = [name for name in _NAMES.values() if any(f"the library {name} is not" in text for text in skipped)]
    if not used and not missing:
        return
    reporter.section("tested with these libraries")
    for label, count in sorted(used.items()):
        reporter.line(f"{label}: {count} test{'s' if count > 1 else ''}")
    if missing:
        reporter.line(f"Not tested with: {', '.join(missing)}")
