"""Repositories that the real tools made, once for all tests of a worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.migrate.places import DvcProject, LfsProject, make_dvc_project, make_lfs_project
from tests.servers.running import ServerMissingError
from tests.tools import check_git_lfs, find_dvc, find_dvc_2


def _find(find: Callable[[], Path]) -> Path:
    try:
        return find()
    except ServerMissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def dvc_program() -> Path:
    """The program of DVC 3."""
    return _find(find_dvc)


@pytest.fixture(scope="session")
def dvc_2_program() -> Path:
    """The program of DVC 2."""
    return _find(find_dvc_2)


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
def lfs(tmp_path: Path) -> LfsProject:
    """A repository made by git-lfs."""
    try:
        check_git_lfs()
    except ServerMissingError as missing:
        pytest.skip(str(missing))
    return make_lfs_project(tmp_path / "place/project")
