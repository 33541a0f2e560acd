"""Words for a remote that is collected: what stays and why, what goes, and what waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vstore import api
from vstore.cli import render
from vstore.cli.plain import quote
from vstore.cli.session import Session

_MOST_LINES = 10
_COMMIT_LETTERS = 10
_DIGEST_LETTERS = 15  # eight of the hash
KEPT_BY_GIT = {
    "work-tree": "files here and indexes",
    "branch": "branches",
    "tag": "tags",
    "remote-branch": "remote-tracking branches",
    "stash": "stashes",
    "ref": "other refs",
    "operation": "operations under way",
    "reflog": "reflogs",
    "keep-rev": "revisions asked for",
}
_KEPT = KEPT_BY_GIT | {
    "git-remote": "refs of git remotes",
    "unknown-commit": "git commits that are not known here",
    "young": "pushed not long ago",
    "intent": "pushes under way",
    "other-project": "other projects",
    "trash": "the trash",
    "doomed": "doomed for less than a day",
}


def tell_collection(session: Session, result: api.GcRemoteResult) -> Iterator[str]:
    """Tell what a collection did, or would do."""
    rows = [_row("kept", _KEPT[kept.reason], kept.versions, kept.packs, kept.size_bytes) for kept in result.kept]
    would = "would be " if result.dry_run else ""
    for why, versions in (
        ("needed by nothing known here", result.retired),
        ("git commits that are not known here", result.retired_unknown),
    ):
        if versions:
            rows.append((f"{would}retired", why, render.count(len(versions), "version"), "", ""))
    if result.doomed_packs:
        rows.append(_row(f"{would}doomed", "named by nothing", 0, result.doomed_packs, result.doomed_bytes))
    if result.deleted_packs:
        rows.append(_row(f"{would}deleted", "doomed a day ago", 0, result.deleted_packs, result.deleted_bytes))
    yield from render.columns(rows, right=(2, 3, 4)) if rows else ()
    retired = [*result.retired, *result.retired_unknown]
    for title, versions in (("Not known here", result.unknown), (f"{would}retired".capitalize(), retired)):
        if versions:
            yield f"{title}:"
            yield from list_versions(session, versions)
    if not result.git_remotes:
        yield "No git remote was asked, for there is none: this repository alone says what is needed."
    for remark in result.remarks[:_MOST_LINES]:
        yield f"remark  {render.path(remark)}"
    yield from _more(len(result.remarks))
    if result.nameless:
        yield from tell_nameless(result.remote)
    place = f"{result.remote} ({render.path(result.url)})"
    if not (retired or result.doomed_packs or result.deleted_packs):
        yield f"Nothing to remove from {place} now."
    if result.deleted_packs:
        yield f"{render.size(result.deleted_bytes)} {would}freed at {place}."
    if result.compacted_packs:
        before = f"{render.count(result.compacted_packs, 'pack')} of {render.size(result.compacted_bytes)}"
        after = f"{render.count(result.written_packs, 'pack')} of {render.size(result.written_bytes)}"
        saved = max(0, result.compacted_bytes - result.written_bytes)
        if result.dry_run:
            yield f"{before} would be compacted into about {after}: {render.size(saved)} less, in the end."
            yield f"For that {render.size(result.read_bytes)} would be read at most, of what is not in the cache."
        else:
            yield f"{before} compacted into {after}: {render.size(saved)} less when the trash has expired."
    if result.next_due is not None and not result.dry_run:
        yield f"Next: vstore gc --remote {quote(result.remote)}, after {_when(result.next_due)}"


def tell_nameless(remote: str) -> Iterator[str]:
    """Tell what brings back what nothing at a remote names any more, before it is deleted."""
    yield f"If it was pushed: vstore fsck --remote {quote(remote)} --all-commits --repair"


def list_versions(
    session: Session, versions: Sequence[api.RemoteVersion], *, at_most: int | None = _MOST_LINES
) -> Iterator[str]:
    """Yield a line for each version, or for the first ones."""
    yield from render.columns([_version(session, version) for version in versions[:at_most]], right=(3,))
    if at_most is not None and len(versions) > at_most:
        yield f"    and {len(versions) - at_most:,} more"


def tell_status(session: Session, result: api.GcStatus) -> Iterator[str]:
    """Tell what waits to be deleted."""
    for pack in result.doomed[:_MOST_LINES]:
        fate = "stays, for something names it" if pack.due is None else f"may go after {_when(pack.due)}"
        who = f"by {render.path(pack.author)}" if pack.author else "nobody knows by whom"
        size = render.size(pack.size_bytes) if pack.size_bytes else "gone already"
        yield f"doomed  {pack.key}  {size}  since {_when(pack.since)}, {who}; {fate}"
    yield from _more(len(result.doomed))
    for retired in result.trash[:_MOST_LINES]:
        number = render.count(len(retired.versions), "version")
        yield f"retired  {number}  on {_when(retired.since)}; kept until {_when(retired.due)}"
        yield from list_versions(session, retired.versions)
    yield from _more(len(result.trash))
    if result.replaced:
        number = render.count(result.replaced, "commit")
        held = f"keep {render.size(result.replaced_bytes)} of packs that were written anew until"
        yield f"merged  {number} into others, which name the same versions; {held} {_when(result.replaced_due)}"
    for push in result.pushes[:_MOST_LINES]:
        protects = f"protects {render.count(push.packs, 'pack')} until {_when(push.due)}"
        yield f"push  {push.key}  under way, or dead, since {_when(push.since)}; {protects}"
    yield from _more(len(result.pushes))
    doomed_bytes = sum(pack.size_bytes for pack in result.doomed)
    place = f"{result.remote} ({render.path(result.url)})"
    yield f"{place}: {render.count(result.packs, 'pack')}, {render.size(result.size_bytes)}."
    doomed = f"{render.count(len(result.doomed), 'pack')} doomed, {render.size(doomed_bytes)}"
    yield f"{doomed}; {render.size(result.trash_bytes)} kept by the trash alone."


def tell_undo(session: Session, result: api.GcUndoResult) -> Iterator[str]:
    """Tell what was brought back."""
    yield from list_versions(session, result.restored, at_most=None)
    would = "would be " if result.dry_run else ""
    place = f"{result.remote} ({render.path(result.url)})"
    if not result.restored:
        yield f"Nothing to bring back to {place}."
        return
    upload = f", {render.size(result.uploaded_bytes)} {would}uploaded" if result.uploaded_bytes else ""
    yield f"{render.count(len(result.restored), 'version')} {would}brought back to {place}{upload}."


def _more(number: int) -> Iterator[str]:
    if number > _MOST_LINES:
        yield f"    and {number - _MOST_LINES:,} more"


def _version(session: Session, version: api.RemoteVersion) -> tuple[str, ...]:
    commit = f"at {render.path(version.git_commit[:_COMMIT_LETTERS])}" if version.git_commit else "at no commit"
    return (
        f"    {session.path(version.path)}",
        version.digest[:_DIGEST_LETTERS],
        commit,
        render.size(version.size_bytes),
        f"pushed {_when(version.pushed)}" if version.pushed else "",
        f"by {render.path(version.author)}",
    )


def _row(word: str, why: str, versions: int, packs: int, size_bytes: int) -> tuple[str, str, str, str, str]:
    number = render.count(versions, "version") if versions else ""
    return word, why, number, *((render.count(packs, "pack"), render.size(size_bytes)) if packs else ("", ""))


def _when(date: str | None) -> str:
    """Return a date of the store for people: to the minute, in UTC."""
    return "a time that the store does not tell" if date is None else f"{date[:10]} {date[11:16]} UTC"
