"""The examples in docstrings of the Python face are run, in a small repository."""

from __future__ import annotations

import contextlib
import doctest
import inspect
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

import vstore
from tests.command import git
from vstore import api

_HOME = "/home/ada"
"""The home directory that examples show."""


def _iter_examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=False)
    for name in api.__all__:
        found = getattr(api, name)
        if inspect.isfunction(found):
            yield from (test for test in finder.find(found, name, globs={"vstore": vstore}) if test.examples)


_EXAMPLES = list(_iter_examples())


@pytest.fixture
def home_of_ada(tmp_path: Path) -> Path:
    """A home directory with a ``project`` of two versions, the first tagged ``v1.0``."""
    project = tmp_path / "ada/project"
    (project / "data").mkdir(parents=True)
    git("init", "--quiet", project, cwd=tmp_path)
    vstore.init(project)
    for tag, content in {"v1.0": "x,y\n1,2\n", "v2.0": "x,y\n1,2\n3,4\n"}.items():
        (project / "data/train.csv").write_text(content)
        vstore.add(["data"], directory=project)
        git("commit", "--quiet", "--message", tag, cwd=project)
        git("tag", tag, cwd=project)
    return project.parent


@pytest.mark.parametrize("example", _EXAMPLES, ids=attrgetter("name"))
def test_examples(example: doctest.DocTest, home_of_ada: Path) -> None:
    """An example gives what it says."""
    for step in example.examples:
        step.want = step.want.replace(_HOME, str(home_of_ada))
    output: list[Any] = []
    with contextlib.chdir(home_of_ada / "project"):
        outcome = doctest.DocTestRunner().run(example, out=output.append)
    assert outcome.failed == 0, "".join(output)


def test_reading_has_examples() -> None:
    """What reads has an example each."""
    assert {"open", "read", "exists", "url", "path", "live_progress"} <= {example.name for example in _EXAMPLES}
