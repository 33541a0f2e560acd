"""vstore add: track files and directories."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session

_COLOURS = {"new": "green", "updated": "yellow"}


@options.verb("add")
@options.paths(tracked=False)
@click.option("-u", "--update", is_flag=True, help="Take over what changed in everything tracked (or in PATH...).")
@options.force("Also take a path that .vstoreignore excludes, or whose pointer git ignores.")
@click.option(
    "--dereference", is_flag=True, help="Replace links that lead out of PATH by copies of what they lead to, first."
)
@options.described
@click.option(
    "-r",
    "--remote",
    metavar="NAME",
    shell_complete=options.complete_remote,
    help="Keep it in this remote only.",
)
@options.jobs_of("large files, or processes with many small ones")
@options.cluster
@options.dry_run
@options.json
@pass_session
def command(
    session: Session,
    paths: tuple[str, ...],
    update: bool,
    force: bool,
    dereference: bool,
    labels: api.Labels,
    remote: str | None,
    jobs: int | None,
    engine: str | None,
    scheduler: str | None,
    dry_run: bool,
) -> None:
    """Track files and directories, or take over their changes.

    The contents go into the cache, and PATH.vstore, which git keeps, stands for them.
    A path inside a tracked directory updates just that path.
    """
    if not paths and not update:
        raise click.UsageError("no path was given; -u takes over every change of what is tracked")
    if dereference and (update or dry_run):
        raise click.UsageError("--dereference changes links: it goes neither with -u nor with --dry-run")
    result = api.add(
        paths,
        directory=session.directory,
        update=update,
        force=force,
        dereference=dereference,
        labels=labels,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result))
    outcome.check_add(result)


def _words(session: Session, result: api.AddResult) -> Iterator[str]:
    rows = []
    for added in result.artifacts:
        amount = render.count(added.files, "file") if added.kind == "tree" else ""
        changes = render.changes(added.added, added.modified, added.deleted) if added.change == "updated" else ""
        change = render.paint(added.change, _COLOURS.get(added.change, "white"))
        rows.append((change, session.path(added.path), amount, render.size(added.size_bytes), changes))
    yield from render.columns(rows, right=(2, 3))
    changed = [added for added in result.artifacts if added.change != "unchanged"]
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
    elif changed:
        grown = f"{render.count(result.new_objects, 'new object')}, {render.size(result.new_bytes)}"
        yield f"In the cache: {grown}.  {session.next_commit}".rstrip()
