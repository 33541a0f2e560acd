"""vstore merge-driver: merge a pointer, for git."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session

_MOST_LINES = 20
_FILE = click.Path(path_type=Path)


@options.verb("merge-driver")
@click.argument("base", metavar="%O", type=_FILE)
@click.argument("ours", metavar="%A", type=_FILE)
@click.argument("theirs", metavar="%B", type=_FILE)
@click.argument("marker_characters", metavar="%L", type=click.IntRange(min=1))
@click.argument("path", metavar="%P")
@click.option("--ancestor", is_flag=True, help="Make one common ancestor of several, which is never in conflict.")
@pass_session
def command(
    session: Session, base: Path, ours: Path, theirs: Path, marker_characters: int, path: str, ancestor: bool
) -> int:
    """Merge a pointer, for git: the result is in %A, and the exit code is 1 if it is in conflict."""
    result = api.merge_driver(
        base,
        ours,
        theirs,
        path,
        directory=session.directory,
        marker_characters=marker_characters,
        for_ancestor=ancestor,
    )
    for file in result.files[:_MOST_LINES]:
        sys.stderr.write(f"CONFLICT (vstore): both sides changed {render.path(f'{result.path}/{file}')}\n")
    if len(result.files) > _MOST_LINES:
        sys.stderr.write(f"... and {len(result.files) - _MOST_LINES:,} more files in it\n")
    if result.reason is not None:
        sys.stderr.write(f"CONFLICT (vstore): {render.path(result.path)} was not merged: {result.reason}\n")
    return int(result.conflict)
