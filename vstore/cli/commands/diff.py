"""vstore diff: what changed, by artifact and by file."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session

_SIGNS = {"added": ("+", "green"), "modified": ("~", "yellow"), "deleted": ("-", "red")}


@options.verb("diff")
@click.argument("arguments", metavar="[A [B]] [PATH]...", nargs=-1, shell_complete=options.complete_revision_or_path)
@click.option("--name-only", is_flag=True, help="Print just the paths of files that differ.")
@options.json
@pass_session
def command(session: Session, arguments: tuple[str, ...], name_only: bool) -> None:
    """Show what changed between revisions, or a revision and the files.

    A and B are git commits, branches or tags.  Without B the files are compared, without A with the last commit.
    """
    revisions, paths = api.split_revisions(arguments, directory=session.directory)
    result = api.diff(*revisions, paths=paths, directory=session.directory, reporter=session.reporter)
    words = _names if name_only else _words
    session.show(result, lambda result: words(session, result), always=True)


def _names(session: Session, result: api.DiffResult) -> Iterator[str]:
    for artifact in result.artifacts:
        if artifact.files is None:
            yield session.path(artifact.path)
        else:
            yield from (session.path(file.path) for file in artifact.files)


def _words(session: Session, result: api.DiffResult) -> Iterator[str]:
    rows = []
    for artifact in result.artifacts:
        rows.append(_row(session, artifact, ""))
        # Of what is new or gone as a whole, the parts go without saying.
        if artifact.change == "modified" and artifact.files is not None:
            rows += [_row(session, file, "  ") for file in artifact.files if file.path != artifact.path]
    yield from render.columns(rows, right=(1,)) if rows else ()
    if rows:
        files = [file for artifact in result.artifacts for file in artifact.files or ()]
        total = sum((file.new_bytes or 0) - (file.old_bytes or 0) for file in files)
        number = render.count(len(result.artifacts), "artifact")
        yield f"{number}, {render.count(len(files), 'file')} changed, {render.growth(total)}"


def _row(session: Session, changed: api.ArtifactDiff | api.FileDiff, indent: str) -> tuple[str, str, str]:
    sign, colour = _SIGNS[changed.change]
    sizes = [render.size(size) for size in (changed.old_bytes, changed.new_bytes) if size is not None]
    growth = ""
    if changed.old_bytes is not None and changed.new_bytes is not None:
        growth = f"({render.growth(changed.new_bytes - changed.old_bytes)})"
    return f"{indent}{render.paint(sign, colour)} {session.path(changed.path)}", " -> ".join(sizes), growth
