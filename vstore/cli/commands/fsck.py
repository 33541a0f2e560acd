"""vstore fsck: verify the cache, or what a remote holds, and mend it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from vstore import api
from vstore.cli import options, outcome, remote_words, render
from vstore.cli.plain import quote
from vstore.cli.session import Session, pass_session

_MOST_PATHS = 10
_MOST_REVISIONS = 3


def _to_share(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float:
    """Return a percentage as a share from 0 to 1; what is none may be a path."""
    if value is None:
        return 0.0
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)%?", value)
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        message = f"{value!r} is no share, as 10% is; paths stand before it or behind --"
        raise click.BadParameter(message, ctx, parameter)
    return share


@options.verb("fsck")
@options.paths()
@click.option(
    "-r",
    "--remote",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    shell_complete=options.complete_remote,
    help="Verify this remote, or the default one, and not the cache.",
)
@click.option(
    "--read-data",
    is_flag=False,
    flag_value="100%",
    callback=_to_share,
    metavar="[N%]",
    help="Read packs of a remote whole; with N% only so much of them, those first that were not read for longest.",
)
@click.option("--again", is_flag=True, help="Read also what was read whole less than seven days ago.")
@click.option("--repair", is_flag=True, help="Bring again what is damaged or lost, from wherever it is good.")
@options.jobs
@options.scope
@options.json
@pass_session
def command(
    session: Session,
    paths: tuple[str, ...],
    remote: str | None,
    read_data: float,
    again: bool,
    repair: bool,
    jobs: int | None,
    scope: api.Scope,
) -> None:
    """Verify the cache, or what a remote holds, and mend it.

    Reads every byte of the cache, compares the files of the work tree with what is known of them, and looks whether
    all is there that the versions of the work tree, of branches and of tags need or, with paths or revisions, those.

    With --remote, looks at every version that was ever pushed or, with paths or revisions, at those: whether all that
    they need is there.  With --read-data every byte is read and verified; a run that was interrupted goes on where it
    stopped.
    """
    if remote is None and read_data:
        raise click.UsageError("--read-data goes with --remote: of the cache every byte is read anyway")
    if again and not read_data:
        raise click.UsageError("--again goes with --read-data")
    result = api.fsck(
        paths,
        directory=session.directory,
        remote=remote,
        scope=scope,
        read_data=read_data,
        again=again,
        repair=repair,
        jobs=jobs,
        reporter=session.reporter,
    )
    session.show(result, lambda result: _words(session, result), always=bool(result.damages))
    outcome.check_fsck(result, [*map(quote, paths), *options.words_of(scope)])


def _words(session: Session, result: api.FsckResult) -> Iterator[str]:
    for damage in result.damages:
        word, colour = ("repaired", "green") if damage.repaired else (damage.kind, "red")
        what = damage.reason if damage.key is None else f"{damage.key}: {damage.reason}"
        yield f"{render.paint(word, colour)}  {render.path(what)}"
        for need in damage.needed_by[:_MOST_PATHS]:
            yield f"    {session.path(need.path)}{_revisions(need.revisions)}"
        if len(damage.needed_by) > _MOST_PATHS:
            yield f"    and {len(damage.needed_by) - _MOST_PATHS:,} more"
    for remote, remark in result.remarks:
        yield f"remark  {render.path(remark if remote is None else f'{remote}: {remark}')}"
    if result.cache is not None:
        yield from _verified_cache(result.cache)
    for verified in result.remotes:
        yield from _verified(verified)


def _revisions(revisions: list[api.Revision]) -> str:
    """Return which revisions have a path so: `` at 1a2b3c4 (v1.2)``."""
    named = []
    for revision in revisions[:_MOST_REVISIONS]:
        names = ", ".join(render.path(name) for name in revision.names)
        named.append(revision.commit[:7] + (f" ({names})" if names else ""))
    if len(revisions) > _MOST_REVISIONS:
        named.append(f"{len(revisions) - _MOST_REVISIONS:,} more")
    return f" at {', '.join(named)}" if named else ""


def _verified_cache(cache: api.VerifiedCache) -> Iterator[str]:
    records = f"{render.count(cache.records, 'record')} in {render.count(cache.packs, 'pack')}"
    objects = render.count(cache.objects, "loose object")
    yield f"cache ({render.path(cache.path)}): {records}, {objects}, {render.size(cache.read_bytes)} read."
    whole = "" if cache.whole == cache.versions else f"{cache.whole:,} of "
    yield f"{whole}{render.count(cache.versions, 'version')} whole, {render.count(cache.files, 'file')} compared."
    if cache.restored:
        yield f"{render.count(cache.restored, 'content')} restored."


def _verified(verified: api.Verified) -> Iterator[str]:
    place = f"{verified.remote} ({render.path(verified.url)})"
    if not verified.versions:
        yield f"{place}: nothing was pushed there."
        return
    if verified.nameless:
        yield from remote_words.tell_nameless(verified.remote)
    whole = "" if verified.whole == verified.versions else f"{verified.whole:,} of "
    packs = f"{render.count(verified.packs, 'pack')}, {render.size(verified.size_bytes)}"
    yield f"{place}: {whole}{render.count(verified.versions, 'version')} whole, in {packs}."
    if verified.uploaded_bytes:
        yield f"{render.size(verified.uploaded_bytes)} uploaded."
    if verified.read_packs:
        yield f"{render.count(verified.read_packs, 'pack')} read whole, {render.size(verified.read_bytes)}."
    if verified.never_read:
        yield f"{verified.never_read:,} of {render.count(verified.packs, 'pack')} never read whole from here."
    elif verified.read_whole is not None:
        age = datetime.now(UTC) - datetime.fromisoformat(verified.read_whole)
        days = f"{age.days + 1:,} days" if age.days > 0 else "day"
        yield f"Everything was read whole within the last {days}."
