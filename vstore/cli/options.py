"""Options that several verbs share, and the decorator that makes a function a verb."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from vstore import api, errors
from vstore.cli.plain import quote
from vstore.cli.session import Session

Function = Callable[..., Any]


class Verb(click.Command):
    """A command that also takes the global options which make sense behind it."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters of the verb and, hidden, the global ones."""
        return [*super().get_params(ctx), *_GLOBAL]


class VerbGroup(click.Group):
    """A verb with verbs of its own, as ``remote``."""

    command_class = Verb


def _note_global(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    session = ctx.find_object(Session)
    if session is not None and value is not None and parameter.name is not None:
        setattr(session, parameter.name, value)


def _global_flag(*names: str, field: str) -> click.Option:
    return click.Option(
        [*names, field], is_flag=True, default=None, hidden=True, expose_value=False, callback=_note_global
    )


_GLOBAL = (
    _global_flag("-q", "--quiet", field="quiet"),
    _global_flag("-v", "--verbose", field="verbose"),
    _global_flag("--progress/--no-progress", field="progress"),
)


def verb(name: str) -> Callable[[Function], click.Command]:
    """Make a function the verb ``name``; its docstring is the help text."""
    return click.command(name, cls=Verb)


# What a shell completes.


def _complete(ctx: click.Context, find: Callable[..., list[str]], incomplete: str) -> list[CompletionItem]:
    """Return what a function of the api finds that begins so; a shell must never see an error."""
    try:
        return [CompletionItem(value) for value in find(incomplete, directory=_find_place(ctx))]
    except (errors.VstoreError, OSError):
        return []


def _find_place(ctx: click.Context) -> str | os.PathLike[str] | None:
    """Return where what is meant can be found: in the repository that was named, or where the user stands."""
    directory: str | os.PathLike[str] | None = ctx.find_root().params.get("directory")
    named = ctx.params.get("repo")
    if named is None and "repo" in ctx.params and ctx.args:  # click stops where an option has no value yet
        named = ctx.args[0]
    return os.path.join(directory or "", named) if named else directory


def complete_path(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete tracked paths, also inside directories; files of the disk where none fits."""
    return _complete(ctx, api.list_tracked, incomplete) or complete_file(ctx, parameter, incomplete)


def complete_file(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete files of the disk."""
    return [CompletionItem(incomplete, type="file")]


def complete_directory(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete directories of the disk."""
    return [CompletionItem(incomplete, type="dir")]


def complete_remote(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete names of remotes."""
    return _complete(ctx, api.list_remote_names, incomplete)


def complete_revision(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete branches and tags, also at the end of a range."""
    return _complete(ctx, api.list_revisions, incomplete)


def complete_revision_or_path(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete branches, tags and tracked paths."""
    revisions = complete_revision(ctx, parameter, incomplete)
    return [*revisions, *_complete(ctx, api.list_tracked, incomplete)] or complete_file(ctx, parameter, incomplete)


# Options.


def _answer_json(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    session = ctx.find_object(Session)
    if session is not None and value:
        session.json = True


json = click.option(
    "--json", is_flag=True, expose_value=False, callback=_answer_json, help="Print the result as one JSON document."
)
dry_run = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
remote = click.option(
    "-r", "--remote", metavar="NAME", shell_complete=complete_remote, help="This remote instead of the default one."
)


def jobs_of(what: str) -> Callable[[Function], Function]:
    """Return the option that says how many of something go on at once."""
    words = f"How many {what} at once (default: by the machine)."
    return click.option("-j", "--jobs", type=click.IntRange(1, 256), metavar="N", help=words)


jobs = jobs_of("transfers")
_ENGINE = (
    click.option(
        "--engine", type=click.Choice(["dask"]), help="Let the workers of a cluster do it; needs --scheduler."
    ),
    click.option("--scheduler", metavar="URL", help="The address of the cluster's scheduler, as tcp://HOST:8786."),
)


def cluster(function: Function) -> Function:
    """Add the options that name a cluster; the verb gets them as ``engine`` and ``scheduler``."""

    @functools.wraps(function)
    def with_cluster(*args: Any, engine: str | None, scheduler: str | None, **others: Any) -> Any:
        if (engine is None) != (scheduler is None):
            raise click.UsageError("--engine and --scheduler go together")
        return function(*args, engine=engine, scheduler=scheduler, **others)

    wrapped: Function = with_cluster
    for option in reversed(_ENGINE):
        wrapped = option(wrapped)
    return wrapped


revision = click.option(
    "--rev", "revision", metavar="REV", shell_complete=complete_revision, help="As of this git commit, branch or tag."
)
out = click.option(
    "-o",
    "--out",
    metavar="OUT",
    type=click.Path(),
    help="Under this name, or inside this directory if it ends with a slash (default: its own name, here).",
)


_HISTORY = (
    click.option("--all-branches", is_flag=True, help="As of every branch."),
    click.option("--all-tags", is_flag=True, help="As of every tag."),
    click.option("--all-commits", is_flag=True, help="As of every commit."),
)


def scope(function: Function) -> Function:
    """Add the options that say which versions are meant; the verb gets them as one ``scope``."""

    @functools.wraps(function)
    def with_scope(
        *args: Any, revision: str | None, all_branches: bool, all_tags: bool, all_commits: bool, **others: Any
    ) -> Any:
        chosen = api.Scope(revision, all_branches, all_tags, all_commits)
        if revision is not None and chosen.is_history:
            raise click.UsageError("--rev names one revision, --all-... many: they exclude each other")
        return function(*args, scope=chosen, **others)

    wrapped: Function = with_scope
    for option in reversed((revision, *_HISTORY)):
        wrapped = option(wrapped)
    return wrapped


def words_of(scope: api.Scope) -> list[str]:
    """Return the options that chose a scope, as they are typed."""
    words = [] if scope.rev is None else ["--rev", quote(scope.rev)]
    return words + [f"--all-{what}" for what in ("branches", "tags", "commits") if getattr(scope, f"all_{what}")]


def layer(function: Function) -> Function:
    """Add the options that choose a configuration file; ``to_layer`` reads them."""
    user = click.option("--global", "layer", flag_value="user", help="In the user's own file, for all repositories.")
    local = click.option("--local", "layer", flag_value="local", help="In .vstore/config.local, which stays here.")
    return user(local(function))


def to_layer(name: str | None) -> api.Layer | None:
    """Return the layer that was chosen, or None."""
    return None if name is None else api.Layer(name)


def force(text: str) -> Callable[[Function], Function]:
    """Return the option ``--force``; ``text`` says what is no longer protected."""
    return click.option("-f", "--force", is_flag=True, help=text)


def paths(*, required: bool = False, tracked: bool = True) -> Callable[[Function], Function]:
    """Return the argument PATH…; where what is meant is usually not ``tracked``, a shell completes files."""
    return click.argument(
        "paths",
        metavar="PATH..." if required else "[PATH]...",
        nargs=-1,
        required=required,
        shell_complete=complete_path if tracked else complete_file,
    )


_DESCRIPTION = (
    click.option("--type", "kind", metavar="T", help="Say what it is: dataset, model, ..."),
    click.option("--desc", "description", metavar="S", help="Describe it."),
    click.option("--label", "labels", metavar="L", multiple=True, help="Label it; may stand several times."),
    click.option("--meta", "pairs", metavar="K=V", multiple=True, help="Note a key and a value; also several times."),
)


def described(function: Function) -> Function:
    """Add the options with which a user describes data; with ``remote`` the verb gets them as ``labels``."""

    @functools.wraps(function)
    def with_labels(
        *args: Any,
        kind: str | None,
        description: str | None,
        labels: tuple[str, ...],
        pairs: tuple[str, ...],
        remote: str | None,
        **others: Any,
    ) -> Any:
        said = api.Labels(kind, description, labels, dict(map(_split_pair, pairs)), remote)
        return function(*args, labels=said, remote=remote, **others)

    wrapped: Function = with_labels
    for option in reversed(_DESCRIPTION):
        wrapped = option(wrapped)
    return wrapped


def _split_pair(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--meta")
    return key, value
