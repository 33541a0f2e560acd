"""History: which commits changed files of some name, told by one run of the git program.

It reads repositories of every format, shallow and partial ones too, ten thousand commits in less than a second.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.errors import GitFailedError, RevisionNotFoundError
from vstore.git.contents import RelPath, is_file
from vstore.git.program import iter_git, run_git

_HEADER = b"commit "
_FORMAT = "commit %H%x00%P%x00%an%x00%ae%x00%aI%x00%s%x00"
_HEADER_FIELDS = 6
_SETTINGS = ("-c", "log.showSignature=false")
# Children before their parents, else by date.  Merges are compared with all of their parents, and show what is in none.
_OPTIONS = (
    "--date-order",
    "--full-history",
    "--parents",
    "--find-renames=50%",
    "-c",
    "--combined-all-paths",
    "--raw",
    "-z",
    "--no-abbrev",
    "--no-color",
    "--no-ext-diff",
    "--no-relative",
    "--encoding=UTF-8",
    f"--format={_FORMAT}",
)


class FileVersion(NamedTuple):
    """A file as a commit has it: its path, and the id of its content, or None where it is not (or is no file)."""

    path: RelPath
    oid: str | None


class FileChange(NamedTuple):
    """A file that a commit changed, and what it was at each parent (at a first commit: nothing, once)."""

    new: FileVersion
    old: tuple[FileVersion, ...]


class ChangingCommit(NamedTuple):
    """A commit that changed files, or a merge; ``parents`` are the nearest ones that did, or are.

    ``date`` is the author's, as ISO 8601.
    """

    id: str
    parents: tuple[str, ...]
    author: str
    email: str
    date: str
    subject: str
    changes: tuple[FileChange, ...]


def iter_changing_commits(
    work_tree: Path, tips: Iterable[str], *, suffix: str, without: Iterable[str] = ()
) -> Iterator[ChangingCommit]:
    """Yield the commits reachable from ``tips``, and not from ``without``, that changed files whose names end so.

    Both are ids.  Newest first, and none before all of its children.  A merge shows only what is as at none of its
    parents.  Raises GitFailedError.
    """
    chosen = [*tips, *(f"^{commit}" for commit in without)]
    pieces = iter_git(work_tree, *_SETTINGS, "log", *_OPTIONS, *chosen, "--", f":(top)*{suffix}")
    tokens = _iter_tokens(pieces)
    header: list[bytes] = []
    changes: list[FileChange] = []
    for token in tokens:
        token = token.lstrip(b"\n")
        if token.startswith(_HEADER):
            if header:
                yield _make_commit(header, changes)
            header, changes = [token.removeprefix(_HEADER), *_take(tokens, _HEADER_FIELDS - 1)], []
        elif token.startswith(b":"):
            changes.append(_make_change(token, tokens))
        elif token:
            raise GitFailedError(
                f"git log says {os.fsdecode(token[:100])!r}, which makes no sense", path=str(work_tree)
            )
    if header:
        yield _make_commit(header, changes)


def _iter_tokens(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole
    if rest:
        yield rest


def _take(tokens: Iterator[bytes], number: int) -> list[bytes]:
    return [token for _, token in zip(range(number), tokens, strict=False)]


def _make_commit(header: Sequence[bytes], changes: Sequence[FileChange]) -> ChangingCommit:
    commit, parents, *facts = (field.decode(errors="replace") for field in header)
    author, email, date, subject = facts
    return ChangingCommit(commit, tuple(parents.split()), author, email, date, subject, tuple(changes))


def _make_change(facts: bytes, tokens: Iterator[bytes]) -> FileChange:
    """Parse what ``git diff-tree --raw`` prints: a colon for each parent, modes, ids, and how each parent differs."""
    parents = len(facts) - len(facts.lstrip(b":"))
    fields = facts[parents:].decode().split(" ")
    modes, oids, status = fields[: parents + 1], fields[parents + 1 : -1], fields[-1]
    if parents > 1:
        paths = _take(tokens, parents + 1)
    else:
        paths = _take(tokens, 2 if status[0] in "RC" else 1)
    names = [os.fsdecode(path) for path in paths]
    versions = [
        FileVersion(name, oid if is_file(mode) else None)
        for name, oid, mode in zip(names if len(names) > 1 else names * 2, oids, modes, strict=True)
    ]
    return FileChange(versions[-1], tuple(versions[:-1]))


def find_merge_base(work_tree: Path, one: str, other: str) -> str:
    """Return the newest commit that two commits both have in their history.

    Raises RevisionNotFoundError where there is none, or it is behind the edge of a shallow clone; GitFailedError.
    """
    try:
        return run_git(work_tree, "merge-base", one, other).decode().strip()
    except GitFailedError as error:
        if error.fields["said"]:
            raise
        fact = f"{one[:10]} and {other[:10]} have no history in common"
        raise RevisionNotFoundError(fact, revision=f"{one}...{other}") from error
