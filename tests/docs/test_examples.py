"""The examples in docstrings of the Python face are run, in a small repository; each public function has one."""

from __future__ import annotations

import contextlib
import doctest
import hashlib
import inspect
import shutil
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

import vstore
from tests.command import git

_HOME = "/home/ada"
"""The home directory that examples show."""


def _iter_examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=False)
    for name in vstore.__all__:
        found = getattr(vstore, name)
        if inspect.isfunction(found):
            yield from finder.find(found, name, globs={"vstore": vstore, "Path": Path})


_EXAMPLES = list(_iter_examples())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory with a ``project`` of two versions, the first tagged ``v1.0``; and what it may take in."""
    home = tmp_path_factory.mktemp("template") / "ada"
    project = home / "project"
    (project / "data").mkdir(parents=True)
    git("init", "--quiet", project, cwd=home)
    vstore.init(project)
    vstore.remote_add("store", "../store", directory=project, default=True)
    for tag, content in {"v1.0": "x,y\n1,2\n", "v2.0": "x,y\n1,2\n3,4\n"}.items():
        (project / "data/train.csv").write_text(content)
        vstore.add(["data"], directory=project)
        git("commit", "--quiet", "--message", tag, cwd=project)
        git("tag", tag, cwd=project)
    (project / "model.bin").write_bytes(b"weights")
    (home / "points.csv").write_text("x,y\n5,6\n")
    _make_legacy(home / "legacy", b"x,y\n7,8\n")
    return home


def _make_legacy(legacy: Path, content: bytes) -> None:
    """Make a repository with a file that DVC tracks, and one that git-lfs does."""
    git("init", "--quiet", legacy, cwd=legacy.parent)
    (legacy / ".dvc").mkdir()
    (legacy / ".dvc/config").touch()
    (legacy / "old.csv").write_bytes(content)
    (legacy / ".gitignore").write_text("/old.csv\n")
    hashed = hashlib.md5(content, usedforsecurity=False).hexdigest()
    described = f"outs:\n- md5: {hashed}\n  size: {len(content)}\n  hash: md5\n  path: old.csv\n"
    (legacy / "old.csv.dvc").write_text(described)
    oid = hashlib.sha256(content).hexdigest()
    held = legacy / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid
    held.parent.mkdir(parents=True)
    held.write_bytes(content)
    (legacy / ".gitattributes").write_text("*.bin filter=lfs -text\n")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    (legacy / "old.bin").write_text(pointer)
    git("add", ".", cwd=legacy)
    git("commit", "--quiet", "--message", "old", cwd=legacy)


@pytest.mark.parametrize("example", _EXAMPLES, ids=attrgetter("name"))
def test_examples(example: doctest.DocTest, template: Path, tmp_path: Path) -> None:
    """Every public function has an example, and it gives what it says."""
    assert example.examples
    home = tmp_path / "ada"
    shutil.copytree(template, home, symlinks=True)
    for step in example.examples:
        step.source, step.want = step.source.replace(_HOME, str(home)), step.want.replace(_HOME, str(home))
    output: list[Any] = []
    with contextlib.chdir(home / "project"):
        outcome = doctest.DocTestRunner().run(example, out=output.append)
    assert outcome.failed == 0, "".join(output)
