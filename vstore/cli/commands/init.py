"""vstore init: make a repository."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session


@options.verb("init")
@click.option(
    "--hash",
    type=click.Choice(["xxh128", "blake3"]),
    default="xxh128",
    show_default=True,
    help="How contents are named: blake3 also protects against people who forge data.",
)
@click.option("--cache-dir", metavar="DIR", help="Keep contents in DIR, which several repositories may share.")
@click.option("--no-git", is_flag=True, help="Do without git: no history, only data and remotes.")
@options.json
@pass_session
def command(session: Session, hash: str, cache_dir: str | None, no_git: bool) -> None:
    """Make a vstore repository of a git work tree."""
    result = api.init(session.directory, hash=hash, cache_dir=cache_dir, no_git=no_git, reporter=session.reporter)
    session.show(result, _words)


def _words(result: api.InitResult) -> Iterator[str]:
    if not result.created:
        yield f"{render.path(result.path)} is a vstore repository already."
        return
    yield f"Made a vstore repository in {render.path(result.path)}; contents are kept in {render.path(result.cache)}."
    yield "Next: vstore add PATH"
