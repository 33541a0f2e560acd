"""vstore diff: what changed, by artifact and by file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session

_SIGNS = {"added": ("+", "green"), "modified": ("~", "yellow"), "deleted": ("-", "red"), "renamed": (">", "cyan")}
Row = tuple[str, str, str]


@options.verb("diff")
@click.argument("arguments", metavar="[A [B]] [PATH]...", nargs=-1, shell_complete=options.complete_revision_or_path)
@click.option("--name-only", is_flag=True, help="Print just the paths of files that differ.")
@click.option("--stat", is_flag=True, help="Only count the files that differ, for each artifact.")
@options.json
@pass_session
def command(session: Session, arguments: tuple[str, ...], name_only: bool, stat: bool) -> None:
    """Show what changed between revisions, or a revision and the files.

    A and B are git commits, branches or tags.  Without B the files are compared, without A with the last commit.
    A...B compares B with where it left A.

    In front of each path stands + for what is new, - for what is gone, ~ for what is different, and > for what has a
    new path and the same content.
    """
    if name_only and stat:
        raise click.UsageError("--name-only lists files and --stat counts them: they exclude each other")
    revisions, paths = api.split_revisions(arguments, directory=session.directory)
    result = api.diff(*revisions, paths=paths, directory=session.directory, stat=stat, reporter=session.reporter)
    words = _names if name_only else _counts if stat else _words
    session.show(result, lambda result: words(session, result), always=True)
    outcome.check_diff(result)


def _names(session: Session, result: api.DiffResult) -> Iterator[str]:
    for artifact in result.artifacts:
        if artifact.files is None or artifact.change == "renamed":
            yield session.path(artifact.path)
        else:
            yield from (session.path(file.path) for file in artifact.files)


def _counts(session: Session, result: api.DiffResult) -> Iterator[str]:
    rows = []
    for artifact in result.artifacts:
        path, sizes, growth = _row(session, artifact)
        rows.append((path, _changes(artifact), sizes, growth))
    yield from render.iter_columns(rows, right=(2,))
    yield from _totals(result)


def _words(session: Session, result: api.DiffResult) -> Iterator[str]:
    yield from render.iter_columns(_iter_rows(session, result), right=(1,))
    yield from _totals(result)


def _iter_rows(session: Session, result: api.DiffResult) -> Iterator[Row]:
    for artifact in result.artifacts:
        yield _row(session, artifact)
        # Of what is new or gone as a whole, the parts go without saying, but for those that were elsewhere.
        is_whole = artifact.change in ("added", "deleted")
        if artifact.files is None or artifact.change == "renamed" or (is_whole and not artifact.renamed):
            continue
        files = (file for file in artifact.files if not is_whole or file.change == "renamed")
        for move, group in itertools.groupby(files, _find_move):
            if move is None:
                yield from (_row(session, file, "  ") for file in group if not _says_it(artifact, file))
            else:
                yield from _moved(session, move, group)


def _says_it(artifact: api.ArtifactDiff, file: api.FileDiff) -> bool:
    """Tell whether the line of an artifact says all there is to say about its file."""
    return file.path == artifact.path and file.change == artifact.change


def _find_move(file: api.FileDiff) -> tuple[str, str] | None:
    """Return the directories from and to which a file moved, without what has the same name on both sides."""
    if file.old_path is None or file.old_kind != file.new_kind:
        return None
    old, new = file.old_path.split("/"), file.path.split("/")
    while len(old) > 1 and len(new) > 1 and old[-1] == new[-1]:
        old.pop()
        new.pop()
    return ("/".join(old), "/".join(new)) if len(old) <= file.old_path.count("/") else None


def _moved(session: Session, move: tuple[str, str], files: Iterator[api.FileDiff]) -> Iterator[Row]:
    """Yield a row for files that moved from one directory to another."""
    first = next(files)
    number, size_bytes = 1, first.new_bytes or 0
    for file in files:  # there may be a million
        number, size_bytes = number + 1, size_bytes + (file.new_bytes or 0)
    if number == 1:
        yield _row(session, first, "  ")
        return
    old, new = (session.path(path) for path in move)
    yield (
        f"  {_sign('renamed')} {old}/ -> {new}/",
        render.size(size_bytes),
        f"({number:,} files)",
    )


def _row(session: Session, changed: api.ArtifactDiff | api.FileDiff, indent: str = "") -> Row:
    path = session.path(changed.path)
    if changed.old_path is not None:
        path = f"{session.path(changed.old_path)} -> {path}"
    sizes = [render.size(size) for size in (changed.old_bytes, changed.new_bytes) if size is not None]
    remarks = []
    if changed.old_bytes is not None and changed.new_bytes is not None:
        if changed.old_digest == changed.new_digest and changed.old_bytes == changed.new_bytes:
            del sizes[1:]
        else:
            remarks.append(render.growth(changed.new_bytes - changed.old_bytes))
        remarks += _kinds(changed)
    if isinstance(changed, api.FileDiff) and changed.new_target is not None:
        remarks.append(f"to {render.path(changed.new_target)}")
    return f"{indent}{_sign(changed.change)} {path}", " -> ".join(sizes), f"({', '.join(remarks)})" if remarks else ""


def _sign(change: str) -> str:
    return render.paint(*_SIGNS[change])


def _kinds(changed: api.ArtifactDiff | api.FileDiff) -> list[str]:
    """Return what became of the kind of something, if it is another one."""
    if changed.old_kind == changed.new_kind:
        return []
    if {changed.old_kind, changed.new_kind} == {"file", "executable"}:
        return ["now executable" if changed.new_kind == "executable" else "not executable any more"]
    return [f"{changed.old_kind} -> {changed.new_kind}"]


def _changes(counted: api.ArtifactDiff | api.DiffTotals) -> str:
    known = render.changes(counted.added, counted.modified, counted.deleted)
    return " ".join(filter(None, [known, f">{counted.renamed:,}" if counted.renamed else ""]))


def _totals(result: api.DiffResult) -> Iterator[str]:
    totals = result.totals
    if not totals.artifacts:
        return
    files = render.count(totals.added + totals.modified + totals.deleted + totals.renamed, "file")
    changes = _changes(totals)
    changed = f"{files} changed{f' ({changes})' if changes else ''}"
    yield f"{render.count(totals.artifacts, 'artifact')}, {changed}, {render.growth(totals.growth_bytes)}"
