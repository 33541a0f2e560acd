"""vstore gc: remove from the cache what nobody needs any more."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session

_UNITS_S = {"h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600, "y": 365 * 24 * 3600}
_KEPT = {
    "work-tree": "files here and indexes",
    "branch": "branches",
    "tag": "tags",
    "remote-branch": "remote-tracking branches",
    "stash": "stashes",
    "ref": "other refs",
    "operation": "operations under way",
    "reflog": "reflogs",
    "keep-rev": "revisions asked for",
    "linked": "links to it",
    "unpushed": "in no remote",
    "young": "younger than a day",
    "packed": "not worth rewriting a pack",
}
_REMOVED = {"unused": "needed by nothing", "pushed": "held by a remote", "history": "older versions"}


def _to_seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Return an age in seconds: ``36h``, ``30d``, ``8w``, ``1y``."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,6})([hdwy])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no age, as 36h, 30d, 8w or 1y are", ctx, parameter)
    return int(match[1]) * float(_UNITS_S[match[2]])


@options.verb("gc")
@options.dry_run
@click.option(
    "--keep-rev",
    "keep_revs",
    multiple=True,
    metavar="REV",
    shell_complete=options.complete_revision,
    help="Keep also this revision, reachable or not, pushed or not (repeatable).",
)
@click.option("--tips-only", is_flag=True, help="Of history keep only what branches, tags and stashes are at.")
@click.option(
    "--keep-newer-than",
    "keep_newer_than_s",
    callback=_to_seconds,
    metavar="AGE",
    help="Of history keep also commits younger than 36h, 30d, 8w, 1y.",
)
@click.option("--pushed", is_flag=True, help="Free also what is needed here and whole at a remote.")
@options.remote
@options.force("Let older versions go that are in no remote.")
@click.option(
    "--forget-repo",
    "forget_repos",
    multiple=True,
    metavar="PATH",
    help="Do without the needs of a repository that is gone (repeatable).",
)
@click.option(
    "--forget",
    "forget",
    multiple=True,
    metavar="KEY",
    help="Do without a pointer or list of files that cannot be read (repeatable).",
)
@options.json
@pass_session
def command(
    session: Session,
    dry_run: bool,
    keep_revs: tuple[str, ...],
    tips_only: bool,
    keep_newer_than_s: float | None,
    pushed: bool,
    remote: str | None,
    force: bool,
    forget_repos: tuple[str, ...],
    forget: tuple[str, ...],
) -> None:
    """Remove from the cache what nobody needs any more.

    Everything stays that a pointer names in anything that git keeps: branches, tags, stashes, reflogs, indexes, and
    files at work, of all worktrees and of every repository that shares the cache.  Nothing younger than a day is
    removed, and nothing at all where it is not sure what is needed.

    With --tips-only or --keep-newer-than older versions of this repository go where a remote holds them, or with
    --force; with --pushed everything goes that a remote holds.  `vstore pull` brings it back.
    """
    if tips_only and keep_newer_than_s is not None:
        raise click.UsageError("--tips-only and --keep-newer-than exclude each other")
    is_narrow = tips_only or keep_newer_than_s is not None
    if force and not is_narrow:
        raise click.UsageError("--force goes with --tips-only or --keep-newer-than")
    if remote is not None and not (pushed or is_narrow):
        raise click.UsageError("--remote goes with --pushed, --tips-only or --keep-newer-than")
    result = api.gc(
        directory=session.directory,
        keep_revs=keep_revs,
        tips_only=tips_only,
        keep_newer_than_s=keep_newer_than_s,
        pushed=pushed,
        remote=remote,
        force=force,
        forget_repos=forget_repos,
        forget=forget,
        dry_run=dry_run,
        reporter=session.reporter,
    )
    session.show(result, _words)


def _words(result: api.GcResult) -> Iterator[str]:
    rows = [_row("kept", _why(kept), kept.objects, kept.size_bytes) for kept in result.kept]
    word = "would go" if result.dry_run else "removed"
    rows += [_row(word, _REMOVED[removed.reason], removed.objects, removed.size_bytes) for removed in result.removed]
    if result.leftovers:
        rows.append(
            (
                word,
                "left by commands that died",
                render.count(result.leftovers, "file"),
                render.size(result.leftover_bytes),
            )
        )
    yield from render.columns(rows, right=(2, 3)) if rows else ()
    packs = result.rewritten_packs + result.deleted_packs
    if packs:
        yield f"{render.count(packs, 'pack')} {'would be ' if result.dry_run else ''}rewritten or deleted."
    if not result.removed and not result.leftovers and not packs:
        yield f"Nothing to remove from {render.path(result.cache)}."
        return
    yield f"{render.size(result.freed_bytes)} {'would be ' if result.dry_run else ''}freed."


def _why(kept: api.Kept) -> str:
    return _KEPT[kept.reason] if kept.repository is None else render.path(kept.repository)


def _row(word: str, why: str, objects: int, size_bytes: int) -> tuple[str, str, str, str]:
    return word, why, render.count(objects, "object"), render.size(size_bytes)
