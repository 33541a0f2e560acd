"""fsspec's own tests of file systems, those that read.

They bring their own files; here a person puts those into a repository, by the verbs of vstore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from tests.project import Project
from vstore.fs import VstoreFileSystem
from vstore.objects.address import split_address


class _Written(VstoreFileSystem):
    """What is written goes to the work tree, and is added and committed before the next look."""

    cachable = False

    def __init__(self, project: Project) -> None:
        super().__init__(str(project.path))
        self._project = project
        self._is_dirty = False

    def _place(self, path: str) -> Path:
        self._is_dirty = True
        return self._project.path / split_address(self._strip_protocol(path))[1]

    def mkdir(self, path: str, *_: Any, **__: Any) -> None:
        self._place(path).mkdir(parents=True, exist_ok=True)

    makedirs = mkdir

    def pipe(self, path: str, value: bytes = b"") -> None:
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(value)

    touch = pipe

    def rm(self, path: str, recursive: bool = False) -> None:
        """Let what a test used go with its repository."""

    def _find(self, path: str) -> Any:
        if self._is_dirty:
            self._is_dirty = False
            self._project.ok("add", "data")
            self._project.commit()
            self.invalidate_cache()
        return super()._find(path)


class _Fixtures(AbstractFixtures):
    @pytest.fixture
    def fs(self, project: Project) -> VstoreFileSystem:
        return _Written(project)

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)

    @pytest.fixture(autouse=True)
    def closed(self, fs: VstoreFileSystem) -> Iterator[None]:
        yield
        fs.invalidate_cache()


class TestGetFromWorkTree(_Fixtures, AbstractGetTests):
    """What the pointers of the work tree say."""

    @pytest.fixture
    def fs_path(self) -> str:
        return "data"


class TestGetFromRevision(_Fixtures, AbstractGetTests):
    """The same, of a revision, by addresses."""

    @pytest.fixture
    def fs_path(self) -> str:
        return "@HEAD:/data"
