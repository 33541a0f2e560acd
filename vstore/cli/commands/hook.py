"""vstore hook: what is done in git's hooks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from vstore import api, errors
from vstore.cli import failure, options, outcome, render
from vstore.cli.commands import checkout
from vstore.cli.session import Session, pass_session

_MOST_LINES = 10


@options.verb("hook")
@click.argument("name", type=click.Choice(["pre-commit", "pre-push", "post-checkout", "post-merge", "post-rewrite"]))
@click.argument("arguments", nargs=-1)
@pass_session
def command(session: Session, name: str, arguments: tuple[str, ...]) -> int:
    """Do in one of git's hooks what is to be done in it.

    What comes after a command of git never fails it.
    """
    # All that is said is a remark on what git does, whose standard output may be read by a program.
    updates = sys.stdin.buffer.read().decode(errors="surrogateescape") if name == "pre-push" else ""
    # `git commit -a` and `git commit PATH` make an index of their own, from where git runs hooks: the top.
    own = os.environ.get("GIT_INDEX_FILE")
    try:
        result = api.run_hook(
            name,
            arguments,
            updates,
            directory=session.directory,
            reporter=session.reporter,
            index=Path(own).absolute() if own else None,
        )
        session.reporter.end()
        sys.stderr.writelines(line + "\n" for line in _words(session, result))
        if result.checkout is not None:
            outcome.check_checkout(result.checkout, allow_missing=True)
    except errors.RepositoryNotFoundError as failed:
        if "commit" in failed.fields:
            raise
        if "sparse" in failed.fields:
            failure.report(failed, sys.stderr, as_json=False, verbose=session.verbose, verb=f"hook {name}")
        return 0  # else this version of the project is from before vstore
    except Exception as failed:
        session.reporter.end()
        stops = (errors.PointerInvalidError, errors.AddRefusedError)
        if name == "pre-push" or (name == "pre-commit" and isinstance(failed, stops)):
            raise
        failure.report(failed, sys.stderr, as_json=False, verbose=session.verbose, verb=f"hook {name}")
    return 0


def _words(session: Session, result: api.HookResult) -> Iterator[str]:
    if result.checkout is not None and not all(done.is_unchanged for done in result.checkout.artifacts):
        yield from checkout.words(session, result.checkout)
    # After a pull this is as it should be, and no failure: hooks fetch nothing.
    missing = [] if result.checkout is None else [session.path(path) for path, _ in result.checkout.missing]
    if missing:
        yield "vstore: not in the cache, so not restored; `vstore pull` brings it:"
        yield from _list(missing)
    if result.no_remote:
        yield "vstore: no remote is configured, so only the commits are pushed, not their data."
    for pushed in result.push.remotes if result.push is not None else ():
        if pushed.roots:
            what = f"{render.count(len(pushed.roots), 'artifact')}, {render.size(pushed.size_bytes)}"
            yield f"vstore: pushed {what} to {pushed.remote}."
    if result.modified:
        yield "vstore: changed and not added, so not in this commit:"
        yield from _list([_describe(session, artifact) for artifact in result.modified])
    if result.outdated:
        yield "vstore: not yet where their pointers are; `vstore checkout` brings them there:"
        yield from _list([session.path(path) for path in result.outdated])


def _describe(session: Session, artifact: api.ArtifactStatus) -> str:
    changes = render.changes(len(artifact.added), len(artifact.modified), len(artifact.deleted))
    return f"{session.path(artifact.path)}  {changes}".rstrip()


def _list(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"    {line}" for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"    and {len(lines) - _MOST_LINES:,} more"
