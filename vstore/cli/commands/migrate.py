"""vstore migrate: move in from DVC or git-lfs."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.session import Session, pass_session

_COLOURS = {"new": "green", "kept": "yellow"}
_MOST_LINES = 10
_allow_missing = click.option(
    "--allow-missing", is_flag=True, help="Of a directory, leave out the files whose contents nobody has."
)
_HISTORY = (
    click.option("--all-branches", is_flag=True, help="Write the commits of every branch anew, as branches vstore/..."),
    click.option("--all-tags", is_flag=True, help="Write the commits of every tag anew, as tags vstore/..."),
    click.option("--all-commits", is_flag=True, help="Both."),
)


def _history(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which old versions move, too; the verb gets them as one ``scope``."""

    @functools.wraps(function)
    def with_scope(*args: Any, all_branches: bool, all_tags: bool, all_commits: bool, **others: Any) -> None:
        function(*args, scope=api.Scope(None, all_branches, all_tags, all_commits), **others)

    wrapped: Callable[..., None] = with_scope
    for option in reversed(_HISTORY):
        wrapped = option(wrapped)
    return wrapped


@click.group("migrate", cls=options.VerbGroup, no_args_is_help=False)
def command() -> None:
    """Move in from DVC or git-lfs; nothing of theirs is deleted unasked.

    Contents are read from where they are, and each is proven by the hash that the other tool recorded.  Files of the
    work tree stay where and as they are, and changes in them survive.
    """


@command.command("dvc")
@options.paths(tracked=False)
@_allow_missing
@click.option("--remove", is_flag=True, help="Delete the .dvc files whose data has moved, and stage that.")
@options.jobs
@_history
@options.dry_run
@options.json
@pass_session
def dvc(
    session: Session,
    paths: tuple[str, ...],
    allow_missing: bool,
    remove: bool,
    jobs: int | None,
    scope: api.Scope,
    dry_run: bool,
) -> None:
    """Track what DVC tracks, at or below PATH or everywhere.

    Contents come from DVC's cache, the work tree, or DVC's remote.  Makes a vstore repository where there is none.
    With --all-... old versions move in a history of its own, and the branch you stand on stays as it is.
    """
    result = api.migrate_dvc(
        paths,
        directory=session.directory,
        scope=scope,
        how=api.How(allow_missing, remove, dry_run),
        jobs=jobs,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result))
    outcome.check_migrate(result)


@command.command("lfs")
@options.paths(tracked=False)
@click.option(
    "--as-tree",
    "as_tree",
    metavar="DIR",
    multiple=True,
    help="Make all files in DIR one artifact; may stand several times.",
)
@options.jobs
@_history
@options.dry_run
@options.json
@pass_session
def lfs(
    session: Session,
    paths: tuple[str, ...],
    as_tree: tuple[str, ...],
    jobs: int | None,
    scope: api.Scope,
    dry_run: bool,
) -> None:
    """Track what git-lfs keeps, at or below PATH or everywhere.

    The files leave git's index and stay in the work tree.  What the store of git-lfs lacks is fetched by `git lfs
    fetch`, if that is installed.  Makes a vstore repository where there is none.
    With --all-... old versions move in a history of its own, and the branch you stand on stays as it is.
    """
    result = api.migrate_lfs(
        paths,
        directory=session.directory,
        scope=scope,
        as_tree=as_tree,
        how=api.How(dry_run=dry_run),
        jobs=jobs,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result))
    outcome.check_migrate(result)


def _words(session: Session, result: api.MigrateResult) -> Iterator[str]:
    rows = []
    for moved in result.artifacts:
        change = render.paint(moved.change, _COLOURS.get(moved.change, "white"))
        files = render.count(moved.files, "file") if moved.kind == "tree" else ""
        size = render.size(moved.size_bytes) if moved.digest is not None else ""
        relinked = f"{render.count(moved.relinked, 'link')} replaced" if moved.relinked else ""
        rows.append((change, session.path(moved.path), files, size, relinked))
    yield from render.columns(rows, right=(2, 3)) if rows else ()
    for path, reason in result.skipped[:_MOST_LINES]:
        yield f"passed over: {session.path(path)} {reason}"
    if len(result.skipped) > _MOST_LINES:
        yield f"passed over: {len(result.skipped) - _MOST_LINES:,} more"
    if result.rules:
        yield f"ignore rules of DVC: {', '.join(session.path(path) for path in result.rules)}"
    for rewritten in result.history:
        names = f"{_short(rewritten.old)} -> {_short(rewritten.new)}"
        yield f"{names}  {rewritten.commit[:10]}".rstrip()
    if result.dry_run:
        if result.removed:
            yield f"Would be deleted: {render.count(len(result.removed), '.dvc file')}."
        yield "Nothing was done: this was a dry run."
        return
    if not rows and not result.history:
        yield "Nothing was found that could move in."
        return
    grown = f"{render.count(result.new_objects, 'new object')}, {render.size(result.new_bytes)}"
    if result.history:
        branch = next((_short(each.new) for each in result.history), "")
        yield f"Written anew: {render.count(result.commits, 'commit')}; the old ones stay as they are."
        yield f"In the cache: {grown}.  Next: git switch {branch}, then vstore checkout"
        return
    yield f"In the cache: {grown}.  {session.next_commit}".rstrip()
    if result.superseded:
        yield f"Not needed any more: {render.count(len(result.superseded), '.dvc file')}; --remove deletes them."
    elif not result.left and not result.missing:
        yield f"When no old version is needed any more: {_last_command(session, result)}"


def _last_command(session: Session, result: api.MigrateResult) -> str:
    """Return what removes the other tool for good, with the contents that only old commits need."""
    if result.tool == "lfs":
        return "git lfs uninstall --local && rm -rf .git/lfs"
    paths = " ".join(shlex.quote(session.path(path)) for path in result.settings)
    leave_git = f"git rm -rq --ignore-unmatch {paths} && " if session.next_commit else ""
    return f"{leave_git}rm -rf {paths}"


def _short(name: str) -> str:
    """Return a branch or tag as people call it."""
    return name.removeprefix("refs/").partition("/")[2]
