"""Repositories that the real tools made, once for all tests of a worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.migrate.places import DvcProject, LfsProject, make_dvc_project, make_lfs_project
from tests.servers import report
from tests.servers.running import ServerMissingError
from tests.tools import Tool, find_dvc, find_dvc_2, find_git_lfs


def _find(request: pytest.FixtureRequest, find: Callable[[], Tool]) -> Path:
    try:
        tool = find()
    except ServerMissingError as missing:
        pytest.skip(str(missing))
    report.note(request, tool.label, [])
    return tool.program


@pytest.fixture(scope="session")
def dvc_program(request: pytest.FixtureRequest) -> Path:
    """The program of DVC 3."""
    return _find(request, find_dvc)


@pytest.fixture(scope="session")
def dvc_2_program(request: pytest.FixtureRequest) -> Path:
    """The program of DVC 2."""
    return _find(request, find_dvc_2)


_made: dict[Path, DvcProject] = {}


def _copy(program: Path, tmp_path: Path, base: Path) -> DvcProject:
    # Made by the first test that wants one: the fixture `home` is what keeps the user's settings away.
    if program not in _made:
        _made[program] = make_dvc_project(base / f"dvc-{os.getpid()}-{len(_made)}" / "project", program)
    return _made[program].copy(tmp_path / "place")


@pytest.fixture
def dvc(dvc_program: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> DvcProject:
    """A repository made by DVC 3."""
    return _copy(dvc_program, tmp_path, tmp_path_factory.getbasetemp())


@pytest.fixture
def dvc_2(dvc_2_program: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> DvcProject:
    """A repository made by DVC 2."""
    return _copy(dvc_2_program, tmp_path, tmp_path_factory.getbasetemp())


@pytest.fixture
def empty_dvc(dvc_program: Path, git_repo: Path) -> DvcProject:
    """A repository in which DVC tracks nothing yet."""
    project = DvcProject(git_repo, dvc_program)
    project.dvc("init", "-q")
    project.save("Begin with DVC")
    return project


@pytest.fixture
def lfs(request: pytest.FixtureRequest, tmp_path: Path) -> LfsProject:
    """A repository made by git-lfs."""
    _find(request, find_git_lfs)
    return make_lfs_project(tmp_path / "place/project")
