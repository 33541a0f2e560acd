"""vstore du: sizes, and how much of them is here."""

from __future__ import annotations

from collections.abc import Iterator

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session


@options.verb("du")
@options.paths()
@options.revision
@options.json
@pass_session
def command(session: Session, paths: tuple[str, ...], revision: str | None) -> None:
    """Show how large artifacts are, and how much the cache holds."""
    result = api.du(paths, directory=session.directory, rev=revision, reporter=session.reporter)
    session.show(result, lambda result: _words(session, result), always=True)


def _words(session: Session, result: api.DuResult) -> Iterator[str]:
    rows = [("size", "files", "in cache", "")] if result.artifacts else []
    rows += [
        (render.size(usage.size_bytes), f"{usage.files:,}", render.size(usage.cached_bytes), session.path(usage.path))
        for usage in result.artifacts
    ]
    rows.append((render.size(result.size_bytes), f"{result.files:,}", render.size(result.cached_bytes), "total"))
    yield from render.columns(rows, right=(0, 1, 2))
    if result.unique_bytes != result.size_bytes:
        yield f"Equal contents counted once: {render.size(result.unique_bytes)}."
