"""vstore fetch: bring contents from a remote into the cache."""

from __future__ import annotations

from collections.abc import Iterator

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session


@options.verb("fetch")
@options.paths()
@options.remote
@options.jobs
@options.cluster
@options.scope
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
    dry_run: bool,
) -> None:
    """Bring contents from a remote into the cache.

    Files are not touched; `vstore checkout` writes them.  Paths may be inside a tracked directory.
    """
    result = api.fetch(
        paths,
        directory=session.directory,
        remote=remote,
        scope=scope,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, words)
    outcome.check_fetch(result)


def words(result: api.FetchResult) -> Iterator[str]:
    """Yield what came from each remote."""
    for fetched in result.remotes:
        # An import that is kept where it came from has no remote but its source.
        url = render.path(fetched.url)
        place = url if fetched.remote == fetched.url else f"{fetched.remote} ({url})"
        reused = f"; {render.size(fetched.reused_bytes)} were here already" if fetched.reused_bytes else ""
        done = "to fetch, at most" if result.dry_run else "fetched,"
        if fetched.objects:
            number = render.count(fetched.objects, "object")
            yield f"{place}: {number} {done} {render.size(fetched.size_bytes)}{reused}."
    if not any(fetched.objects for fetched in result.remotes) and not result.missing:
        yield "The cache holds everything."
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
