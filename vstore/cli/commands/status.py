"""vstore status: what differs between files, pointers, git, cache and remote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from vstore import api
from vstore.cli import failure, options, render
from vstore.cli.session import Session, pass_session

_MOST_FILES = 20
_COLOURS = {"unchanged": "white", "deleted": "red", "broken": "red", "conflict": "red"}  # all others are yellow


@options.verb("status")
@options.paths()
@click.option(
    "-r",
    "--remote",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    shell_complete=options.complete_remote,
    help="Also say what is not in the remote.",
)
@click.option("--check", is_flag=True, help="End with exit code 4 if anything differs.")
@options.json
@pass_session
def command(session: Session, paths: tuple[str, ...], remote: str | None, check: bool) -> int:
    """Show what differs between files, pointers, git, cache and remote."""
    result = api.status(paths, directory=session.directory, remote=remote, reporter=session.reporter)
    session.show(result, lambda result: _words(session, result, remote or None))
    return failure.DIFFERENT if check and not result.is_clean else 0


def _words(session: Session, result: api.StatusResult, remote: str | None) -> Iterator[str]:
    artifacts = result.artifacts
    if not artifacts:
        yield "Nothing is tracked here yet.  Next: vstore add PATH"
        return
    shown = [artifact for artifact in artifacts if _remarks(artifact) or artifact.data != "unchanged"]
    lines = render.columns(
        [
            (render.paint(found.data, _COLOURS.get(found.data, "yellow")), session.path(found.path), _remarks(found))
            for found in shown
        ]
    )
    for artifact, line in zip(shown, lines, strict=True):
        yield line
        yield from _files("+", "green", artifact.added)
        yield from _files("~", "yellow", artifact.modified)
        yield from _files("-", "red", artifact.deleted)
        for path, reason in artifact.refused[:_MOST_FILES]:
            yield f"    ! {render.path(path)} {reason}" if path else f"    ! {reason}"
    unchanged = sum(artifact.data in ("unchanged", "not-downloaded") for artifact in artifacts)
    files = render.count(sum(artifact.files for artifact in artifacts), "file")
    size = render.size(sum(artifact.size_bytes for artifact in artifacts))
    if unchanged == len(artifacts):
        yield f"{render.count(len(artifacts), 'artifact')} with {files}, {size}: unchanged."
    else:
        yield f"{render.count(len(artifacts) - unchanged, 'artifact')} of {len(artifacts):,} changed."
    yield from _next(artifacts, remote)


def _remarks(artifact: api.ArtifactStatus) -> str:
    """Return what there is to say about an artifact besides its data."""
    remarks = []
    if artifact.error:
        remarks.append(artifact.error)
    if artifact.added or artifact.modified or artifact.deleted:
        remarks.append(render.changes(len(artifact.added), len(artifact.modified), len(artifact.deleted)))
    if artifact.pointer in ("new", "changed"):
        remarks.append(f"{artifact.pointer} pointer, not committed")
    if artifact.partial:
        remarks.append("checked out in part")
    if artifact.not_ignored:
        remarks.append("git does not ignore it")
    if artifact.not_in_cache:
        remarks.append(f"{render.count(artifact.not_in_cache, 'object')} not in the cache")
    if artifact.not_in_remote:
        remarks.append(f"not in the remote {artifact.remote}")
    return "; ".join(remarks)


def _files(sign: str, colour: str, paths: Sequence[str]) -> Iterator[str]:
    for path in paths[:_MOST_FILES]:
        yield f"    {render.paint(sign, colour)} {render.path(path)}"
    if len(paths) > _MOST_FILES:
        yield f"    {sign} and {len(paths) - _MOST_FILES:,} more"


def _next(artifacts: Sequence[api.ArtifactStatus], remote: str | None) -> Iterator[str]:
    kinds = {artifact.data for artifact in artifacts}
    changed = [artifact for artifact in artifacts if artifact.data == "modified" and not _is_only_lost(artifact)]
    if "conflict" in kinds:
        yield "Next: vstore checkout --ours PATH (or --theirs), or mend the pointer and git add it"
    elif "broken" in kinds:
        yield "Next: mend the broken pointer, or take the one of a commit with git checkout"
    elif any(artifact.refused for artifact in artifacts):
        yield "Next: mend what ! marks; vstore add --dereference PATH takes what links lead to"
    elif changed:
        is_safe = all(artifact.deleted and not (artifact.added or artifact.modified) for artifact in changed)
        undo = "vstore checkout (bring the files back)" if is_safe else "vstore checkout --force (drop them)"
        yield f"Next: vstore add -u (keep the changes) or {undo}"
    elif any(artifact.not_in_cache for artifact in artifacts):
        yield "Next: vstore pull"
    elif "outdated" in kinds:
        yield "Next: vstore checkout (bring the files to where the pointers are)"
    elif "deleted" in kinds:
        yield "Next: vstore checkout (bring the data back)"
    elif "absent" in kinds:
        yield "Next: vstore checkout (bring the data here)"
    elif any(artifact.not_ignored for artifact in artifacts):
        yield "Next: vstore add -u (let git ignore the data where it is now)"
    elif any(artifact.not_in_remote for artifact in artifacts):
        yield "Next: vstore push" + (f" -r {remote}" if remote else "")
    elif any(artifact.pointer in ("new", "changed") for artifact in artifacts):
        yield "Next: git commit"


def _is_only_lost(artifact: api.ArtifactStatus) -> bool:
    """Tell whether nobody changed anything: what is gone could not be checked out."""
    return 0 < len(artifact.deleted) == artifact.lost and not (artifact.added or artifact.modified)
