"""Everything says what it is: modules, public names and tests."""

from __future__ import annotations

import ast
import importlib
import inspect
from operator import attrgetter

import pytest

from tests.house.source import Source, iter_definitions, sources

_FILES = [*sources("vstore"), *sources("tests")]


@pytest.mark.parametrize("source", _FILES, ids=attrgetter("name"))
def test_module_has_docstring(source: Source) -> None:
    """A module begins with what its room holds."""
    assert ast.get_docstring(source.tree), f"{source.name} has no docstring"


@pytest.mark.parametrize("source", sources("vstore"), ids=attrgetter("name"))
def test_public_names_have_docstrings(source: Source) -> None:
    """Every public class, function and method has a docstring, its own or that of what it overrides."""
    silent = [
        name
        for name, node in iter_definitions(source.tree.body)
        if _is_public(name) and not ast.get_docstring(node) and not _inherits_docstring(source, name, node)
    ]
    assert not silent, f"{source.name} has public names without a docstring: {', '.join(silent)}"


@pytest.mark.parametrize("source", sources("tests"), ids=attrgetter("name"))
def test_tests_have_one_sentence(source: Source) -> None:
    """Every test says in one sentence what it shows."""
    wrong = [
        name
        for name, node in iter_definitions(source.tree.body)
        if node.name.startswith("test_") and not _is_sentence(ast.get_docstring(node))
    ]
    assert not wrong, f"{source.name} has tests whose docstring is not one sentence: {', '.join(wrong)}"


def _is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def _inherits_docstring(source: Source, name: str, node: ast.AST) -> bool:
    decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}  # type: ignore[attr-defined]
    if decorators & {"overload", "setter", "deleter"}:
        return True
    # Only methods inherit: a dataclass invents a docstring, and a subclass is not its parent.
    if isinstance(node, ast.ClassDef) or "." not in name:
        return False
    return inspect.getdoc(attrgetter(name)(importlib.import_module(source.module))) is not None


def _is_sentence(text: str | None) -> bool:
    return text is not None and text.endswith((".", "?", "!")) and "\n\n" not in text and ". " not in text[:-1]
