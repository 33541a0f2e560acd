"""vstore ls: what is tracked, and what is inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session


@options.verb("ls")
@click.argument("paths", metavar="[REPO] [PATH]...", nargs=-1, shell_complete=options.complete_path)
@options.revision
@click.option("-R", "--recursive", is_flag=True, help="Go down to every file.")
@click.option("-l", "--long", is_flag=True, help="Also show kind, size, number of files and digest.")
@click.option("--git", "with_git", is_flag=True, help="Also list what git keeps.")
@options.json
@pass_session
def command(
    session: Session, paths: tuple[str, ...], revision: str | None, recursive: bool, long: bool, with_git: bool
) -> None:
    """List what is tracked, and what is inside.

    A tracked directory that is named is opened; nothing has to be checked out.  REPO is another repository: a URL that
    git clones, or a directory.
    """
    repo, named = api.split_repository(paths, directory=session.directory)
    result = api.ls(
        named,
        repo=repo,
        directory=session.directory,
        rev=revision,
        recursive=recursive,
        git=with_git,
        reporter=session.reporter,
    )
    name = session.path if repo is None else render.path
    words = _long if long else _short
    session.show(result, lambda result: words(result, name), always=True)


def _name(entry: api.Listed, path: Callable[[str], str]) -> str:
    name = path(entry.path)
    if entry.target is not None:
        return f"{name} -> {render.path(entry.target)}"
    return name + "/" if entry.kind in ("tree", "directory") else name


def _short(result: api.LsResult, path: Callable[[str], str]) -> Iterator[str]:
    for entry in result.entries:
        yield _name(entry, path)


def _long(result: api.LsResult, path: Callable[[str], str]) -> Iterator[str]:
    if result.entries:
        rows = [
            (
                entry.kind,
                "" if entry.size_bytes is None else render.size(entry.size_bytes),
                render.count(entry.files, "file") if entry.kind in ("tree", "directory") else "",
                entry.digest or ("in git" if entry.git else ""),
                _name(entry, path),
            )
            for entry in result.entries
        ]
        yield from render.columns(rows, right=(1, 2))
