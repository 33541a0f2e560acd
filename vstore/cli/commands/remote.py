"""vstore remote: name the places that contents are pushed to and fetched from."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, render
from vstore.cli.plain import quote
from vstore.cli.remote_hints import consequence_of
from vstore.cli.session import Session, pass_session

_MOST_AUTHORS = 3
_MOST_PATHS = 20
_ACTIONS = {"list-new": "list what is new"}


@click.group("remote", cls=options.VerbGroup, no_args_is_help=False)
def command() -> None:
    """Name the places that contents are pushed to and fetched from.

    A remote is a directory or a bucket: /mnt/share/data, ../store, s3://bucket/path, gs://..., az://..., ssh://...,
    https://... (to read), webdavs://...
    """


@command.command("add")
@click.argument("name")
@click.argument("url")
@click.option("-d", "--default", is_flag=True, help="Make it the remote that is meant when none is named.")
@options.layer
@options.json
@pass_session
def add(session: Session, name: str, url: str, default: bool, layer: str | None) -> None:
    """Name a place."""
    result = api.remote_add(name, url, directory=session.directory, default=default, layer=options.to_layer(layer))
    session.show(result, lambda result: _named(name, result))


@command.command("list")
@options.json
@pass_session
def list_(session: Session) -> None:
    """List the remotes."""
    session.show(api.remote_list(directory=session.directory), _all, always=True)


@command.command("set")
@click.argument("name", shell_complete=options.complete_remote)
@click.argument("key")
@click.argument("value")
@options.layer
@options.json
@pass_session
def set_(session: Session, name: str, key: str, value: str, layer: str | None) -> None:
    """Set an option, as url, read_only, listing or one of the driver; secrets go to .vstore/config.local."""
    result = api.remote_set(name, key, value, directory=session.directory, layer=options.to_layer(layer))
    session.show(result, lambda result: _named(name, result))


@command.command("unset")
@click.argument("name", shell_complete=options.complete_remote)
@click.argument("key")
@options.layer
@options.json
@pass_session
def unset(session: Session, name: str, key: str, layer: str | None) -> None:
    """Remove an option, so that its default counts again."""
    result = api.remote_unset(name, key, directory=session.directory, layer=options.to_layer(layer))
    session.show(result, lambda result: _named(name, result))


@command.command("rename")
@click.argument("old", shell_complete=options.complete_remote)
@click.argument("new")
@options.json
@pass_session
def rename(session: Session, old: str, new: str) -> None:
    """Give a remote another name, also in pointers."""
    result = api.remote_rename(old, new, directory=session.directory, reporter=session.reporter)
    session.show(result, lambda result: _named(new, result))


@command.command("remove")
@click.argument("name", shell_complete=options.complete_remote)
@options.json
@pass_session
def remove(session: Session, name: str) -> None:
    """Forget a remote; what it holds stays there."""
    result = api.remote_remove(name, directory=session.directory)
    session.show(result, lambda result: [f"{name} is forgotten; what it holds stays there."])


@command.command("default")
@click.argument("name", required=False, shell_complete=options.complete_remote)
@options.layer
@options.json
@pass_session
def default(session: Session, name: str | None, layer: str | None) -> None:
    """Tell which remote is meant when none is named, or choose it."""
    result = api.remote_default(name, directory=session.directory, layer=options.to_layer(layer))
    session.show(result, _default, always=name is None)


@command.command("check")
@click.argument("name", required=False, shell_complete=options.complete_remote)
@options.json
@pass_session
def check(session: Session, name: str | None) -> None:
    """Try to list, write, read and delete, and say what is wrong.

    What is written is deleted again.  A remote that is read-only by its nature or configuration passes if it can be
    listed and read.
    """
    result = api.remote_check(name, directory=session.directory)
    session.show(result, _steps, always=True)
    outcome.check_remote(result)


@command.command("adopt")
@click.argument("name", required=False, shell_complete=options.complete_remote)
@click.option("--project", metavar="ID", help="Go on with this project; needed where there are several.")
@click.option("--path", "paths", metavar="PATH", multiple=True, help="Only this path; may stand several times.")
@click.option("--from-packs", is_flag=True, help="Make pointers of what lies in packs that no commit names.")
@options.force("Also where this repository has pushed as a project of its own.")
@options.dry_run
@options.json
@pass_session
def adopt(
    session: Session,
    name: str | None,
    project: str | None,
    paths: tuple[str, ...],
    from_packs: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Go on with a project that a remote holds, where its git repository is gone.

    Lists the projects that have pushed there.  Takes over the id of one, and writes a pointer for the newest version
    of each path; `vstore pull` then brings the data.  No file and no pointer is overwritten.
    """
    if from_packs and (project is not None or paths):
        raise click.UsageError("--from-packs knows neither projects nor paths")
    result = api.remote_adopt(
        name,
        directory=session.directory,
        project=project,
        paths=paths,
        from_packs=from_packs,
        force=force,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _adopted(session, result))
    outcome.check_adopt(result)


def _line(remote: api.RemoteInfo) -> tuple[str, str, str]:
    remarks = ["default"] * remote.default + ["read-only"] * remote.read_only
    remarks += [f"{key}={value}" for key, value in remote.options.items()]
    return remote.name, render.path(remote.url), ", ".join(remarks)


def _all(result: api.RemotesResult) -> Iterator[str]:
    yield from render.columns([_line(remote) for remote in result.remotes]) if result.remotes else ()


def _named(name: str, result: api.RemotesResult) -> Iterator[str]:
    yield from render.columns([_line(remote) for remote in result.remotes if remote.name == name])


def _default(result: api.RemotesResult) -> Iterator[str]:
    yield from (remote.name for remote in result.remotes if remote.default)


def _adopted(session: Session, result: api.AdoptResult) -> Iterator[str]:
    found = render.count(len(result.projects), "project")
    if result.from_packs:
        found = f"{render.count(len(result.pointers), 'artifact')} whole in packs that no commit names"
    yield f"{result.remote} ({render.path(result.url)}): {found}."
    for project in result.projects:
        ours = ", this one" if project.is_ours else ""
        authors = ", ".join(map(render.path, project.authors[:_MOST_AUTHORS]))
        more = f" and {len(project.authors) - _MOST_AUTHORS:,} more" if len(project.authors) > _MOST_AUTHORS else ""
        yield f"{project.project}{ours}: {render.count(project.commits, 'commit')} by {authors or 'nobody'}{more}"
        if project.unreadable:
            yield f"  {render.count(project.unreadable, 'commit')} unreadable"
        yield from (f"  {line}" for line in render.columns([_pushed(each) for each in project.paths[:_MOST_PATHS]]))
        if len(project.paths) > _MOST_PATHS:
            yield f"  and {len(project.paths) - _MOST_PATHS:,} more"
    for remark in result.remarks:
        yield f"remark  {render.path(remark)}"
    rows = [
        (each.change, session.path(each.path), render.count(each.files, "file"), render.size(each.size_bytes))
        for each in result.pointers
    ]
    yield from render.columns(rows, right=[2, 3]) if rows else ()
    if result.dry_run or not any(each.change == "new" for each in result.pointers):
        return
    mend = f"vstore fsck --remote {quote(result.remote)} --repair, then " if result.from_packs else ""
    yield f"Next: {mend}vstore pull"


def _pushed(found: api.PushedPath) -> tuple[str, ...]:
    commit = found.git_commit[:7] if found.git_commit else "-"
    when = found.pushed[:10] if found.pushed else "-"
    return render.path(found.path), found.kind, render.size(found.size_bytes), when, render.path(found.author), commit


def _steps(result: api.CheckResult) -> Iterator[str]:
    yield f"{result.name} ({render.path(result.url)})"
    for word, fact in result.facts.items():
        yield f"  {word}: {fact}"
    for step in result.steps:
        works = step.note or render.paint("works", "green")
        yield f"  {_ACTIONS.get(step.action, step.action)}: {works if step.error is None else step.error}"
    if result.round_trip_s is not None:
        yield f"  round trip: {1000 * result.round_trip_s:,.1f} ms"
    if result.left:
        yield f"  left behind: {result.left}, which could not be deleted"
    if result.strangers:
        more = f" and {len(result.strangers) - 1:,} more" if len(result.strangers) > 1 else ""
        yield f"  nothing of vstore is there, but {render.path(result.strangers[0])}{more}: is another place meant?"
    if consequence := consequence_of(step.action for step in result.steps if step.error is not None):
        yield f"  so {consequence}"
