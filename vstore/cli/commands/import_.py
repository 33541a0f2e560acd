"""vstore import: track data of another repository."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session


@options.verb("import")
@click.argument("repo", shell_complete=options.complete_directory)
@click.argument("path", shell_complete=options.complete_path)
@options.out
@options.revision
@click.option("--no-download", is_flag=True, help="Write only the pointer; `vstore pull` brings the data.")
@click.option("--no-copy", is_flag=True, help="Leave the data where it is: never push it to a remote of ours.")
@options.force("Overwrite what is at OUT.")
@click.option("-r", "--remote", metavar="NAME", shell_complete=options.complete_remote, help="Keep it in this remote.")
@options.described
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
    no_download: bool,
    no_copy: bool,
    force: bool,
    remote: str | None,
    labels: api.Labels,
    jobs: int | None,
    dry_run: bool,
) -> None:
    """Track data of another repository, and remember where it came from.

    REPO and PATH are as for `vstore get`.  The pointer names the commit that the data is of; `vstore update` moves on
    to what a branch has now.
    """
    result = api.import_(
        repo,
        path,
        directory=session.directory,
        out=out,
        rev=revision,
        download=not no_download,
        copy=not no_copy,
        force=force,
        labels=labels,
        jobs=jobs,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result))
    if result.checkout is not None:
        outcome.check_checkout(result.checkout)


def _words(session: Session, result: api.ImportResult) -> Iterator[str]:
    amount = render.count(result.files, "file") if result.kind == "tree" else ""
    at = f" at {result.commit[:10]}" if result.commit else ""
    source = f"from {render.path(result.repo)}{at}"
    row = (
        render.paint(result.change, "green"),
        session.path(result.path),
        amount,
        render.size(result.size_bytes),
        source,
    )
    yield from render.columns([row])
    if result.dry_run:
        yield f"{render.size(result.fetched_bytes)} would be brought here.  Nothing was done: this was a dry run."
    elif not result.downloaded:
        yield f"Nothing was downloaded: `vstore pull` does that.  {session.next_commit}".rstrip()
    elif session.next_commit:
        yield session.next_commit
