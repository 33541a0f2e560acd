"""vstore install: let git run vstore."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session

_REMARKS = {"chained": "the hook that was there runs first"}


@options.verb("install")
@click.option("--uninstall", is_flag=True, help="Leave everything as it was before.")
@options.dry_run
@options.json
@pass_session
def command(session: Session, uninstall: bool, dry_run: bool) -> None:
    """Let git run vstore: in its hooks, to merge and to compare.

    After a checkout, pull or rebase the data follows; a push also pushes the data that its commits need; a commit
    tells of changed data that was not added.  Pointers of directories are merged file by file, and git diff shows
    their files.  Hooks that are there already stay, and run first.  All this is of this clone alone.
    """
    result = api.install(directory=session.directory, uninstall=uninstall, dry_run=dry_run, reporter=session.reporter)
    session.show(result, _words)


def _words(result: api.InstallResult) -> Iterator[str]:
    rows = [
        (hook.change, hook.name, render.path(hook.path), _REMARKS.get(hook.change, ""))
        for hook in result.hooks
        if hook.change != "unchanged"
    ]
    if result.drivers != "unchanged":
        rows.append((result.drivers, "merge and diff driver", render.path(result.attributes), ""))
    yield from render.columns(rows) if rows else ()
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
    elif not rows:
        yield f"Nothing to do: all is {'as without vstore' if result.uninstall else 'installed'}."
