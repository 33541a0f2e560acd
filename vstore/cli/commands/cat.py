"""vstore cat: the bytes of one file."""

from __future__ import annotations

import sys

import click

from vstore import api
from vstore.cli import options
from vstore.cli.session import Session, pass_session


@options.verb("cat")
@click.argument("path", shell_complete=options.complete_path)
@options.revision
@pass_session
def command(session: Session, path: str, revision: str | None) -> None:
    """Print the bytes of a tracked file, of any version.

    They are taken from the cache, the file itself or a remote, and verified first.
    """
    api.cat(path, sys.stdout.buffer.write, directory=session.directory, rev=revision, reporter=session.reporter)
    sys.stdout.buffer.flush()
