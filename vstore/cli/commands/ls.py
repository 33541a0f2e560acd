"""vstore ls: what is tracked, and what is inside."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session


@options.verb("ls")
@options.paths()
@options.revision
@click.option("-R", "--recursive", is_flag=True, help="Go down to every file.")
@click.option("-l", "--long", is_flag=True, help="Also show kind, size, number of files and digest.")
@options.json
@pass_session
def command(session: Session, paths: tuple[str, ...], revision: str | None, recursive: bool, long: bool) -> None:
    """List what is tracked, and what is inside.

    A tracked directory that is named is opened; nothing has to be checked out.
    """
    result = api.ls(paths, directory=session.directory, rev=revision, recursive=recursive, reporter=session.reporter)
    words = _long if long else _short
    session.show(result, lambda result: words(session, result), always=True)


def _name(session: Session, entry: api.Listed) -> str:
    name = session.path(entry.path)
    if entry.target is not None:
        return f"{name} -> {render.path(entry.target)}"
    return name + "/" if entry.kind in ("tree", "directory") else name


def _short(session: Session, result: api.LsResult) -> Iterator[str]:
    for entry in result.entries:
        yield _name(session, entry)


def _long(session: Session, result: api.LsResult) -> Iterator[str]:
    if result.entries:
        rows = [
            (
                entry.kind,
                render.size(entry.size_bytes),
                render.count(entry.files, "file") if entry.kind in ("tree", "directory") else "",
                entry.digest or "",
                _name(session, entry),
            )
            for entry in result.entries
        ]
        yield from render.columns(rows, right=(1, 2))
