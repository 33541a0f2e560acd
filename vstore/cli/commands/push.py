"""vstore push: bring contents to a remote."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session


@options.verb("push")
@options.paths()
@options.remote
@options.jobs
@options.cluster
@options.scope
@click.option("--check", is_flag=True, help="Push nothing: see whether the remote really holds everything.")
@options.dry_run
@options.json
@pass_session
def command(
    session: Session,
    paths: tuple[str, ...],
    remote: str | None,
    jobs: int | None,
    engine: str | None,
    scheduler: str | None,
    scope: api.Scope,
    check: bool,
    dry_run: bool,
) -> None:
    """Bring the contents that pointers name to a remote.

    What the remote holds is not sent again; a push that was interrupted goes on where it stopped.
    """
    result = api.push(
        paths,
        directory=session.directory,
        remote=remote,
        scope=scope,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        check=check,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, _words)
    outcome.check_push(result)


def _words(result: api.PushResult) -> Iterator[str]:
    for pushed in result.remotes:
        place = f"{pushed.remote} ({render.path(pushed.url)})"
        if result.checked:
            yield f"{place}: {render.count(pushed.present, 'artifact')} whole."
        elif not pushed.roots:
            yield f"{place}: everything is there."
        elif result.dry_run:
            amount = f"{render.count(pushed.objects, 'object')}, at most {render.size(pushed.size_bytes)}"
            yield f"{place}: {render.count(len(pushed.roots), 'artifact')} to push, {amount}."
        else:
            amount = f"{render.count(pushed.objects, 'object')}, {render.size(pushed.size_bytes)}"
            yield f"{place}: {render.count(len(pushed.roots), 'artifact')} pushed, {amount}."
    if not result.remotes and not result.broken:
        yield "There is nothing to push."
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
