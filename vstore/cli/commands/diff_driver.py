"""vstore diff-driver: show what a pointer stands for, for git."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session

_DIGEST_CHARACTERS = 12
_MARKS = {"x": "*", "d": "/"}


@options.verb("diff-driver")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@pass_session
def command(session: Session, file: Path) -> None:
    """Print a version of a pointer, and of a tree the files, for git to compare."""
    result = api.diff_driver(file, directory=session.directory)
    sys.stdout.flush()
    sys.stdout.buffer.write(result.pointer)
    if result.rows and not result.pointer.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    sys.stdout.writelines(_words(result.rows))


def _words(rows: list[api.Row]) -> Iterator[str]:
    if rows:
        yield "\n"
    for row in rows:
        name, digest = render.path(row.path), row.digest.partition(":")[2][:_DIGEST_CHARACTERS]
        size = render.size(row.size_bytes)
        if row.entry is None:
            name = f"{name}...  {render.count(row.files, 'file')}"
        elif row.entry.target:
            name, size = f"{name} -> {render.path(row.entry.target)}", "link"
        else:
            name += _MARKS.get(row.entry.kind, "")
            size = size if row.entry.is_file else "empty"
        yield f"{size:>8}  {digest:{_DIGEST_CHARACTERS}}  {name}\n"
