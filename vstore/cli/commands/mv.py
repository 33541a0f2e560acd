"""vstore mv: move data with its pointer."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options
from vstore.cli.session import Session, pass_session


@options.verb("mv")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, shell_complete=options.complete_path)
@click.argument("destination", metavar="DST", shell_complete=options.complete_file)
@options.dry_run
@options.json
@pass_session
def command(session: Session, sources: tuple[str, ...], destination: str, dry_run: bool) -> None:
    """Move data together with its pointer and ignore rule.

    DST is a new name or an existing directory; nothing is overwritten.
    """
    result = api.mv(sources, destination, directory=session.directory, dry_run=dry_run, reporter=session.reporter)
    session.show(result, lambda result: _words(session, result))


def _words(session: Session, result: api.MvResult) -> Iterator[str]:
    for moved in result.moved:
        yield f"{session.path(moved.source)} -> {session.path(moved.destination)}"
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
    elif session.next_commit:
        yield session.next_commit
