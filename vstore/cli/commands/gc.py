"""vstore gc: remove from the cache, or from a remote, what nobody needs any more."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator

import click

from vstore import api
from vstore.cli import options, outcome, remote_words, render
from vstore.cli.session import Session, pass_session

_UNITS_S = {"h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600, "y": 365 * 24 * 3600}
_KEPT = remote_words.KEPT_BY_GIT | {
    "linked": "links to it",
    "unpushed": "in no remote",
    "young": "younger than a day",
    "packed": "not worth rewriting a pack",
    "set-aside": "set aside as damaged",
}
_REMOVED = {
    "unused": "needed by nothing",
    "pushed": "held by a remote",
    "history": "older versions",
    "set-aside": "set aside as damaged",
}


def _to_seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Return an age in seconds: ``36h``, ``30d``, ``8w``, ``1y``."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,6})([hdwy])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no age, as 36h, 30d, 8w or 1y are", ctx, parameter)
    return int(match[1]) * float(_UNITS_S[match[2]])


@options.verb("gc")
@options.paths(tracked=False)
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
    help="Of history keep also commits younger than 36h, 30d, 8w, 1y; at a remote, whatever was pushed since.",
)
@click.option("--pushed", is_flag=True, help="Free also what is needed here and whole at a remote.")
@click.option(
    "-r",
    "--remote",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    shell_complete=options.complete_remote,
    help="Collect this remote, or the default one, and not the cache; with --pushed, believe only this one.",
)
@click.option("--status", is_flag=True, help="Tell what waits at the remote to be deleted.")
@click.option("--undo", is_flag=True, help="Bring back what was retired at the remote: all, at PATH, or of a digest.")
@click.option(
    "--retire-unknown",
    is_flag=True,
    help="Retire also versions whose git commit is not known here; asks before.",
)
@options.force("Let older versions go that are in no remote; retire without asking.")
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
    help="Do without a pointer, list of files or object of a remote that cannot be read (repeatable).",
)
@click.option(
    "--forget-missing",
    is_flag=True,
    help="Do without all versions whose lists of files are neither here nor at a remote.",
)
@options.json
@pass_session
def command(
    session: Session,
    paths: tuple[str, ...],
    dry_run: bool,
    keep_revs: tuple[str, ...],
    tips_only: bool,
    keep_newer_than_s: float | None,
    pushed: bool,
    remote: str | None,
    status: bool,
    undo: bool,
    retire_unknown: bool,
    force: bool,
    forget_repos: tuple[str, ...],
    forget: tuple[str, ...],
    forget_missing: bool,
) -> None:
    """Remove from the cache, or from a remote, what nobody needs any more.

    Everything stays that a pointer names in anything that git keeps: branches, tags, stashes, reflogs, indexes, and
    files at work, of all worktrees and of every repository that shares the cache.  Nothing younger than a day is
    removed, and nothing at all where it is not sure what is needed.

    With --tips-only or --keep-newer-than older versions of this repository go where a remote holds them, or with
    --force; with --pushed everything goes that a remote holds.  `vstore pull` brings it back.

    With --remote, versions of this project are retired at a remote: after all git remotes were fetched from, those that
    no commit names, that were pushed for commits which are known here, and not within the last 30 days (the setting
    retention_days, or --keep-newer-than).  --undo brings them back within 14 days.  What nothing needs any more is
    deleted in two steps: a collection dooms it, and one at least 24 hours later deletes it.  --status shows both.
    """
    collects_remote = (remote is not None and not pushed) or status or undo
    says_what_stays = bool(keep_revs or tips_only or keep_newer_than_s is not None or force or forget_repos)
    if paths and not undo:
        raise click.UsageError("a path goes with --undo")
    if sum((status, undo, pushed, retire_unknown)) > 1:
        raise click.UsageError("--status, --undo, --pushed and --retire-unknown exclude each other")
    if retire_unknown and not collects_remote:
        raise click.UsageError("--retire-unknown goes with --remote")
    if forget_missing and collects_remote:
        raise click.UsageError("--forget-missing is about the cache, and does not go with --remote")
    if (status or undo) and says_what_stays:
        raise click.UsageError("--status and --undo take none of the options that say what stays")
    if status:
        waiting = api.gc_status(remote or None, directory=session.directory, forget=forget, reporter=session.reporter)
        session.show(waiting, lambda result: remote_words.tell_status(session, result), always=True)
    elif undo:
        undone = api.gc_undo(
            paths,
            directory=session.directory,
            remote=remote or None,
            forget=forget,
            dry_run=dry_run,
            reporter=session.reporter,
        )
        session.show(undone, lambda result: remote_words.tell_undo(session, result))
        outcome.check_undo(undone)
    elif collects_remote:
        _check_force(session, retire_unknown=retire_unknown, tips_only=tips_only, force=force or dry_run)
        collect = functools.partial(
            api.gc_remote,
            remote or None,
            directory=session.directory,
            keep_revs=keep_revs,
            tips_only=tips_only,
            keep_newer_than_s=keep_newer_than_s,
            forget_repos=forget_repos,
            forget=forget,
            reporter=session.reporter,
        )
        strange: bool | list[str] = retire_unknown
        if retire_unknown and not (force or dry_run):
            strange = _ask(session, collect(retire_unknown=True, dry_run=True).retired_unknown)
        collected = collect(retire_unknown=strange, dry_run=dry_run)
        session.show(collected, lambda result: remote_words.tell_collection(session, result))
    else:
        is_narrow = tips_only or keep_newer_than_s is not None
        if tips_only and keep_newer_than_s is not None:
            raise click.UsageError("--tips-only and --keep-newer-than exclude each other")
        if force and not is_narrow:
            raise click.UsageError("--force goes with --tips-only, --keep-newer-than or --retire-unknown")
        result = api.gc(
            directory=session.directory,
            keep_revs=keep_revs,
            tips_only=tips_only,
            keep_newer_than_s=keep_newer_than_s,
            pushed=pushed,
            remote=remote or None,
            force=force,
            forget_repos=forget_repos,
            forget=forget,
            forget_missing=forget_missing,
            dry_run=dry_run,
            reporter=session.reporter,
        )
        session.show(result, _words)


def _check_force(session: Session, *, retire_unknown: bool, tips_only: bool, force: bool) -> None:
    """Refuse to give up at a remote what somebody may need, unless it was said, or can be asked."""
    if tips_only and not force:
        raise click.UsageError("--tips-only with --remote gives up data that commits name, and goes with --force")
    if retire_unknown and not force and (session.json or not sys.stdin.isatty()):
        raise click.UsageError("--retire-unknown asks on a terminal; elsewhere look with --dry-run, then use --force")


def _ask(session: Session, versions: list[api.RemoteVersion]) -> list[str]:
    """Ask whether versions shall be retired whose git commits are not known here; return the digests of those."""
    session.reporter.end()
    if not versions:
        return []
    for line in remote_words.list_versions(session, versions, at_most=None):
        click.echo(line, err=True)
    number = render.count(len(versions), "version")
    question = f"The git commits of {number} are not known here.  Retire them?"
    return [version.digest for version in versions] if click.confirm(question, err=True) else []


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
    if result.nowhere:
        lists = render.count(len(result.nowhere), "version")
        yield f"remark  nothing could be kept for {lists} whose list of files is neither here nor at a remote any more"
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
