"""vstore checkout: make files equal their pointers."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session


@options.verb("checkout")
@options.paths()
@options.revision
@options.force("Overwrite and delete files that are saved nowhere.")
@click.option("--ours", "side", flag_value="ours", help="Decide what a merge left in conflict at PATH for our side.")
@click.option("--theirs", "side", flag_value="theirs", help="The same, for theirs.")
@click.option("--relink", is_flag=True, help="Write large files anew, with the link type of the configuration.")
@click.option("--allow-missing", is_flag=True, help="It is no failure if contents are not in the cache.")
@options.dry_run
@options.json
@pass_session
def command(
    session: Session,
    paths: tuple[str, ...],
    revision: str | None,
    force: bool,
    side: str | None,
    relink: bool,
    allow_missing: bool,
    dry_run: bool,
) -> None:
    """Make files equal their pointers, or those of a revision.

    Only what differs is touched.  Files that are saved nowhere are kept, unless --force says otherwise.

    With --ours or --theirs what a merge left in conflict is decided first: all of it at PATH, or, inside a tracked
    directory, just that file.  What merged stays merged.
    """
    if side is not None and (not paths or revision is not None or relink):
        raise click.UsageError(f"--{side} takes a PATH, and neither --rev nor --relink")
    result = api.checkout(
        paths,
        directory=session.directory,
        rev=revision,
        force=force,
        relink=relink,
        dry_run=dry_run,
        side=side,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result, allow_missing))
    outcome.check_checkout(result, allow_missing=allow_missing)


def _words(session: Session, result: api.CheckoutResult, allow_missing: bool) -> Iterator[str]:
    yield from words(session, result)
    if allow_missing and result.missing:
        yield f"Left out {render.count(len(result.missing), 'path')}: not in the cache."


def words(session: Session, result: api.CheckoutResult) -> Iterator[str]:
    """Yield what was done to each artifact, and to all."""
    rows = []
    for done in result.artifacts:
        if done.removed:
            rows.append((render.paint("removed", "red"), session.path(done.path), "its pointer is gone"))
        elif done.written or done.deleted:
            what = f"{render.count(done.written, 'file')}, {render.size(done.size_bytes)}"
            gone = f"; {render.count(done.deleted, 'file')} deleted" if done.deleted else ""
            rows.append((render.paint("restored", "green"), session.path(done.path), what + gone))
    yield from render.columns(rows) if rows else ()
    kept = sum(len(done.kept) for done in result.artifacts)
    if kept:
        yield f"Kept {render.count(kept, 'file')} that no version knows; --force removes such files."
    for conflict in result.conflicts:
        yield f"{session.path(conflict)} is still in conflict; see what is left in {session.path(conflict + '.vstore')}"
    for settled in result.settled:
        yield f"{session.path(settled)} {'would be' if result.dry_run else 'is'} in conflict no more."
    decided = result.conflicts or result.settled
    if result.dry_run:
        yield "Nothing was done: this was a dry run."
    elif result.settled and not result.conflicts and session.next_commit:
        yield session.next_commit
    elif not (rows or result.missing or result.damaged or result.failed or result.unsaved or decided):
        yield f"{render.count(len(result.artifacts), 'artifact')}: nothing to do."
