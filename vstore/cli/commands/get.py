"""vstore get: copy data out of another repository."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session


@options.verb("get")
@click.argument("repo", shell_complete=options.complete_directory)
@click.argument("path", shell_complete=options.complete_path)
@options.out
@options.revision
@options.force("Replace files that are in the way; others stay.")
@options.jobs
@options.dry_run
@options.json
@pass_session
def command(
    session: Session,
    repo: str,
    path: str,
    out: str | None,
    revision: str | None,
    force: bool,
    jobs: int | None,
    dry_run: bool,
) -> None:
    """Copy data out of another repository, without being in one.

    REPO is a directory on this machine, or a URL that git clones; PATH what is in it: tracked by vstore or kept by
    git, a file or a directory, or a path inside a tracked directory.
    """
    result = api.get(
        repo,
        path,
        directory=session.directory,
        out=out,
        rev=revision,
        force=force,
        jobs=jobs,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result))


def _words(session: Session, result: api.GetResult) -> Iterator[str]:
    amount = f"{render.count(result.files, 'file')}, " if result.kind == "tree" else ""
    at = f" at {result.commit[:10]}" if result.commit else ""
    source = f"{render.path(result.repo)}{at}"
    yield f"{session.from_here(result.out)}: {amount}{render.size(result.size_bytes)}, from {source}."
    if result.dry_run:
        yield f"{render.size(result.fetched_bytes)} would be downloaded at most.  Nothing was done: this was a dry run."
