"""vstore pull: fetch, then checkout."""

from __future__ import annotations

from collections.abc import Iterator

from vstore import api
from vstore.cli import options, outcome
from vstore.cli.commands import checkout, fetch
from vstore.cli.session import Session, pass_session


@options.verb("pull")
@options.paths()
@options.remote
@options.jobs
@options.cluster
@options.scope
@options.force("Overwrite and delete files that are saved nowhere.")
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
    force: bool,
    dry_run: bool,
) -> None:
    """Fetch contents from a remote and write the files.

    The same as `vstore fetch` and `vstore checkout`: of many commits all is fetched, and the files become those of
    the pointers that are here.
    """
    result = api.pull(
        paths,
        directory=session.directory,
        remote=remote,
        scope=scope,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        force=force,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result))
    outcome.check_pull(result)


def _words(session: Session, result: api.PullResult) -> Iterator[str]:
    if any(fetched.objects for fetched in result.fetch.remotes):
        yield from fetch.words(result.fetch)
    yield from checkout.words(session, result.checkout)
