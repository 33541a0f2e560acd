"""vstore rm: stop tracking."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session


@options.verb("rm")
@options.paths(required=True)
@click.option("--data", is_flag=True, help="Also delete the files.")
@options.force("Delete files that are saved nowhere, too.")
@options.dry_run
@options.json
@pass_session
def command(session: Session, paths: tuple[str, ...], data: bool, force: bool, dry_run: bool) -> None:
    """Stop tracking files and directories; the data stays.

    A path inside a tracked directory leaves the directory, and its files go.
    """
    result = api.rm(
        paths, directory=session.directory, data=data, force=force, dry_run=dry_run, reporter=session.reporter
    )
    session.show(result, lambda result: _words(session, result))


def _words(session: Session, result: api.RmResult) -> Iterator[str]:
    for removed in result.removed:
        what = "not tracked any more" if removed.artifact else "left its directory"
        files = []
        if removed.deleted:
            files.append(f"{render.count(removed.deleted, 'file')} deleted")
        if removed.kept:
            files.append(f"{render.count(removed.kept, 'file')} kept")
        yield f"{session.path(removed.path)}: {', '.join([what, *files])}"
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
    elif session.next_commit:
        yield session.next_commit
