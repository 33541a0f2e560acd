"""The exception tree is whole: codes to rely on, all in one file, each with an exit code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from operator import attrgetter

import pytest

from tests.house.source import Source, iter_definitions, sources
from vstore import errors
from vstore.cli import failure
from vstore.errors import VstoreError

_EXIT_CODES = {
    errors.VstoreError: 1,
    errors.PartialError: 3,
    errors.RepositoryNotFoundError: 10,
    errors.GitRepositoryNotFoundError: 10,
    errors.ConflictError: 11,
    errors.LockedError: 11,
    errors.UnsavedError: 11,
    errors.ObjectMissingError: 12,
    errors.CorruptError: 13,
    errors.RemoteUnavailableError: 14,
    errors.RemoteDeniedError: 14,
}
_DOCUMENTED = {1, 2, 3, 10, 11, 12, 13, 14}


def _iter_tree(cls: type[VstoreError] = VstoreError) -> Iterator[type[VstoreError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _iter_tree(child)


_TREE = list(_iter_tree())


def test_codes_are_unique() -> None:
    """Every class of error has a code of its own."""
    codes = [cls.code for cls in _TREE]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("cls", _TREE, ids=attrgetter("__name__"))
def test_names_and_codes_are_regular(cls: type[VstoreError]) -> None:
    """A class is called …Error, and its code is in kebab-case."""
    assert cls.__name__.endswith("Error")
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cls.code)


@pytest.mark.parametrize("cls", _TREE, ids=attrgetter("__name__"))
def test_every_error_has_an_exit_code(cls: type[VstoreError]) -> None:
    """The command line ends each error with a documented exit code: the one of its family where the family has one."""
    code = failure.exit_code(cls)
    assert code in _DOCUMENTED
    assert code == _EXIT_CODES.get(cls, code)


@pytest.mark.parametrize("source", sources("vstore"), ids=attrgetter("name"))
def test_errors_stand_in_one_file(source: Source) -> None:
    """A public exception is defined nowhere but in vstore.errors."""
    if source.module == "vstore.errors":
        return
    strays = [
        name
        for name, node in iter_definitions(source.tree.body)
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and any(ast.unparse(parent).endswith(("Error", "Exception")) for parent in node.bases)
    ]
    assert not strays, f"{source.name} defines errors of its own: {', '.join(strays)}"
