"""vstore unlock: make linked files writable."""

from __future__ import annotations

from collections.abc import Iterator

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session


@options.verb("unlock")
@options.paths(required=True)
@options.json
@pass_session
def command(session: Session, paths: tuple[str, ...]) -> None:
    """Make linked, read-only files writable, as copies."""
    result = api.unlock(paths, directory=session.directory, reporter=session.reporter)
    session.show(result, _words)


def _words(result: api.UnlockResult) -> Iterator[str]:
    if result.files:
        yield f"{render.count(len(result.files), 'file')} copied, {render.size(result.size_bytes)}: edit at will."
    else:
        yield "Nothing there is a link to the cache: edit at will."
