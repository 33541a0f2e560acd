"""vstore log: the history of artifacts."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session

_COLOURS = {"added": "green", "modified": "yellow", "deleted": "red", "renamed": "cyan"}
_ID_LETTERS = 10
_DIGEST_LETTERS = 15  # eight of the hash
_MINUTES = len("2026-11-27 21:06")


@options.verb("log")
@options.paths()
@click.option("-n", "limit", type=click.IntRange(1), metavar="N", help="At most N commits.")
@click.option(
    "--rev",
    "revision",
    metavar="REV",
    shell_complete=options.complete_revision,
    help="Begin at this commit, branch or tag; A..B shows what B has and A has not.",
)
@click.option("--all", "all_branches", is_flag=True, help="Begin at all branches and tags.")
@options.json
@pass_session
def command(
    session: Session, paths: tuple[str, ...], limit: int | None, revision: str | None, all_branches: bool
) -> None:
    """Show which commits changed artifacts, or files inside them.

    PATH is an artifact, a directory with artifacts below it, or a file or directory inside a tracked directory: then
    only the versions in which that changed are shown.  Former names of an artifact are followed.  A merge is shown
    where it has what none of its parents had.
    """
    result = api.log(
        paths,
        directory=session.directory,
        rev=revision,
        all_branches=all_branches,
        limit=limit,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result, paths), always=True)
    if not result.versions and not result.failed:
        session.reporter.note("No commit has a version of it." if paths else "No commit has a version of anything.")
    outcome.check_log(result)


def _words(session: Session, result: api.LogResult, paths: tuple[str, ...]) -> Iterator[str]:
    # Where one path was asked for, every line is about it.
    is_one = len(paths) == 1 and len({version.path for version in result.versions if not version.old_path}) == 1
    yield from render.iter_columns((_row(session, version, is_one) for version in result.versions), right=(3,))
    if result.is_shallow:
        yield "This clone is shallow: older versions are not in it."


def _row(session: Session, version: api.LoggedVersion, is_one: bool) -> tuple[str, ...]:
    path = session.path(version.path)
    if version.old_path is not None:
        path = f"{session.path(version.old_path)} -> {path}"
    size, growth, files = "", "", ""
    if version.error is not None:
        size = "unknown"
    elif version.size_bytes is None or version.files is None:
        size = "deleted"
    else:
        size = render.size(version.size_bytes)
        growth = version.change if version.growth_bytes is None else f"({render.growth(version.growth_bytes)})"
        files = render.count(version.files, "file") if version.kind in ("tree", "directory") else version.kind or ""
    shown = [path] if not is_one or version.old_path is not None else []
    return (
        render.paint(version.commit[:_ID_LETTERS], _COLOURS[version.change]),
        version.date[:_MINUTES].replace("T", " "),
        render.path(version.author),
        size,
        growth,
        files,
        (version.digest or "")[:_DIGEST_LETTERS],
        "  ".join([*shown, render.path(version.subject)]),
    )
