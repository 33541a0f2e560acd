"""vstore config: read and change settings."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session

_show_origin = click.option("--show-origin", is_flag=True, help="Also say where it is set.")


@click.group("config", cls=options.VerbGroup, no_args_is_help=False)
def command() -> None:
    """Read and change settings.

    Settings stand in files of git's syntax: the system's, the user's (--global), the project's .vstore/config, which
    is committed, and .vstore/config.local (--local), which is not; variables like VSTORE_CORE_REMOTE win over all.
    """


@command.command("get")
@click.argument("name")
@_show_origin
@options.json
@pass_session
def get(session: Session, name: str, show_origin: bool) -> None:
    """Print the value of a setting."""
    session.show(api.config_get(name, directory=session.directory), _origins if show_origin else _values, always=True)


@command.command("set")
@click.argument("name")
@click.argument("value")
@options.layer
@options.json
@pass_session
def set_(session: Session, name: str, value: str, layer: str | None) -> None:
    """Set a value; secrets go to .vstore/config.local."""
    where = options.to_layer(layer)
    done = api.config_set(name, value, directory=session.directory, layer=where, reporter=session.reporter)
    session.show(done, _set)


@command.command("unset")
@click.argument("name")
@options.layer
@options.json
@pass_session
def unset(session: Session, name: str, layer: str | None) -> None:
    """Remove a value."""
    where = options.to_layer(layer)
    session.show(api.config_unset(name, directory=session.directory, layer=where, reporter=session.reporter), _set)


@command.command("list")
@options.layer
@_show_origin
@options.json
@pass_session
def list_(session: Session, layer: str | None, show_origin: bool) -> None:
    """List the settings in force, or those of one file."""
    result = api.config_list(directory=session.directory, layer=options.to_layer(layer))
    session.show(result, _origins if show_origin else _lines, always=True)


def _values(result: api.ConfigResult) -> Iterator[str]:
    for setting in result.settings:
        yield setting.value


def _lines(result: api.ConfigResult) -> Iterator[str]:
    for setting in result.settings:
        yield f"{setting.name}={setting.value}"


def _origins(result: api.ConfigResult) -> Iterator[str]:
    rows = [
        (setting.layer, render.path(setting.path or "") + (f":{setting.line}" if setting.line else ""), line)
        for setting, line in zip(result.settings, _lines(result), strict=True)
    ]
    yield from render.columns(rows) if rows else ()


def _set(result: api.ConfigResult) -> Iterator[str]:
    for setting in result.settings:
        if setting.layer == "local":
            yield f"Set in {render.path(setting.path or '')}, which is not committed."
