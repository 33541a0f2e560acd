"""vstore import-url: track data from a URL."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session


@options.verb("import-url")
@click.argument("url", metavar="URL", shell_complete=options.complete_file)
@click.argument("out", metavar="[OUT]", required=False, shell_complete=options.complete_file)
@click.option("-o", "--out", "named", metavar="OUT", type=click.Path(), help="The same as OUT, as in `vstore import`.")
@click.option("--no-download", is_flag=True, help="Read nothing yet: only remember which version there is.")
@click.option("--to-remote", is_flag=True, help="Bring the data to a remote, and nothing of it to this disk.")
@options.force("Overwrite what is at OUT.")
@click.option("-r", "--remote", metavar="NAME", shell_complete=options.complete_remote, help="Keep it in this remote.")
@options.described
@options.jobs
@options.cluster
@options.dry_run
@options.json
@pass_session
def command(
    session: Session,
    url: str,
    out: str | None,
    named: str | None,
    no_download: bool,
    to_remote: bool,
    force: bool,
    remote: str | None,
    labels: api.Labels,
    jobs: int | None,
    engine: str | None,
    scheduler: str | None,
    dry_run: bool,
) -> None:
    """Track data from a URL, and remember where it came from.

    URL is http(s)://, s3://, gs://, az://, sftp://, a path, or anything that fsspec reads; remote://NAME/PATH is below
    the URL of a remote, with its options.  A folder becomes a directory.  OUT is by default the last part of URL.
    """
    if out is not None and named is not None:
        raise click.UsageError("OUT stands behind the URL or behind -o, not in both places")
    if no_download and to_remote:
        raise click.UsageError("--no-download and --to-remote exclude each other")
    if engine is not None and not to_remote:
        raise click.UsageError("--engine needs --to-remote: workers bring data from its source to a remote")
    result = api.import_url(
        url,
        named if out is None else out,
        directory=session.directory,
        no_download=no_download,
        to_remote=to_remote,
        remote=remote,
        force=force,
        labels=labels,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result))
    outcome.check_import_url(result)


def _words(session: Session, result: api.ImportUrlResult) -> Iterator[str]:
    amount = render.count(result.files, "file") if result.kind == "tree" else ""
    size = render.size(result.size_bytes) if result.size_bytes or result.digest else "size unknown"
    row = (render.paint(result.change, "green"), session.path(result.path), amount, size, f"from {result.url}")
    yield from render.columns([row])
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
    elif result.way == "await":
        yield f"Nothing was downloaded.  Next: vstore update {session.path(result.path)}"
    elif result.way == "to-remote":
        yield f"In the remote {result.remote}, and not here.  {session.next_commit}".rstrip()
    elif session.next_commit:
        yield session.next_commit
