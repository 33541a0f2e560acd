"""vstore update: let imports move on to what their sources are now."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session

_MOST_FILES = 20
_SIGNS = {"added": ("+", "green"), "modified": ("~", "yellow"), "deleted": ("-", "red")}
_WORDS = {"up-to-date": "up to date", "same-data": "same data"}


@options.verb("update")
@options.paths()
@options.revision
@click.option("--to-remote", is_flag=True, help="Bring what is new to a remote, and nothing of it to this disk.")
@click.option(
    "-r", "--remote", metavar="NAME", shell_complete=options.complete_remote, help="Which remote, with --to-remote."
)
@options.force("Also overwrite files that somebody changed.")
@options.jobs
@options.dry_run
@options.json
@pass_session
def command(
    session: Session,
    paths: tuple[str, ...],
    revision: str | None,
    to_remote: bool,
    remote: str | None,
    force: bool,
    jobs: int | None,
    dry_run: bool,
) -> None:
    """Let imports move on to what their sources are now.

    All imports, or those in PATH...; an import that was not downloaded yet is, if it is named.
    Of a folder only the files that changed are read.  --rev is for imports from repositories: what they follow from
    then on, as a branch; HEAD is the one that a clone would check out.
    """
    result = api.update(
        paths,
        directory=session.directory,
        rev=revision,
        to_remote=to_remote,
        remote=remote,
        force=force,
        jobs=jobs,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result))
    outcome.check_update(result)


def _words(session: Session, result: api.UpdateResult) -> Iterator[str]:
    if not result.imports and not result.awaited:
        yield "Nothing here was imported.  Next: vstore import-url URL"
        return
    rows = []
    for found in result.imports:
        word = _WORDS.get(found.change, found.change)
        colour = {"updated": "yellow", "failed": "red"}.get(found.change, "white")
        grown = "" if found.change != "updated" else f"({render.growth(found.size_bytes - found.old_bytes)})"
        size = render.size(found.size_bytes) if found.change != "failed" else ""
        note = found.error or ("changed here" if found.changed_here else "")
        rows.append((render.paint(word, colour), session.path(found.path), size, grown, note))
    for found, line in zip(result.imports, render.columns(rows, right=(2,)), strict=True):
        yield line
        yield from _files(found)
    changed = any(found.change in ("updated", "same-data") for found in result.imports)
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
    elif changed and session.next_commit:
        yield session.next_commit


def _files(found: api.Updated) -> Iterator[str]:
    named = [change for change in found.changes if change.path]
    for change in named[:_MOST_FILES]:
        sign, colour = _SIGNS[change.change]
        size_bytes = change.old_bytes if change.new_bytes is None else change.new_bytes
        size = "" if size_bytes is None else f"  {render.size(size_bytes)}"
        yield f"    {render.paint(sign, colour)} {render.path(change.path)}{size}"
    if len(named) > _MOST_FILES:
        yield f"    and {len(named) - _MOST_FILES:,} more"
