"""The source files of the project, parsed: what the rules of the house are checked against."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.command import PROJECT

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Source:
    """One parsed file."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The path inside the project."""
        return self.path.relative_to(PROJECT).as_posix()

    @property
    def module(self) -> str:
        """The dotted name under which the file is imported."""
        parts = self.path.relative_to(PROJECT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def sources(folder: str) -> tuple[Source, ...]:
    """Return every Python file below a folder of the project, sorted by path."""
    files = sorted((PROJECT / folder).rglob("*.py"))
    return tuple(Source(path, text, ast.parse(text)) for path in files for text in [path.read_text("utf-8")])


def iter_definitions(body: list[ast.stmt], outer: str = "") -> Iterator[tuple[str, Definition]]:
    """Yield functions, classes and methods with their qualified names, not what functions hold inside."""
    for node in body:
        if isinstance(node, Definition):
            name = f"{outer}{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from iter_definitions(node.body, f"{name}.")
        elif isinstance(node, ast.If | ast.Try):
            yield from iter_definitions(node.body, outer)
            yield from iter_definitions(node.orelse, outer)
