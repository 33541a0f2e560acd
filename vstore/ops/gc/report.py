"""What is told of a remote that is collected: what stays there and why, what goes, and what waits."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from vstore.errors import CorruptError, NeedsUnknownError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.remote.commits import CommittedRoot


@dataclass(frozen=True, slots=True)
class RemoteVersion:
    """A version of an artifact as it was pushed: where its pointer was, at which git commit, when and by whom."""

    path: RelPath
    digest: Digest
    size_bytes: int
    """The sizes of all its files, added up."""
    git_commit: str | None
    pushed: str | None
    """The remote's own date, in ISO 8601; None where it tells none."""
    author: str


@dataclass(frozen=True, slots=True)
class KeptAtRemote:
    """What stays for one reason: the first that applies, in the order of this list."""

    reason: str
    """Of versions of this project: the reasons for which a local collection keeps them, besides "git-remote" (a ref of
    a git remote leads to it), "unknown-commit" (this repository does not know its git commit), "young" (pushed not long
    ago) and "intent" (its push has not ended).  Of packs that none of those needs: "other-project", "trash", "intent"
    (a push relies on them), "doomed" (not long enough ago)."""
    versions: int
    packs: int
    size_bytes: int
    """What those packs take at the remote."""


@dataclass(frozen=True, slots=True)
class GcRemoteResult:
    """What was, or in a dry run would be, kept, retired, doomed and deleted at a remote."""

    remote: str
    url: str
    kept: list[KeptAtRemote]
    unknown: list[RemoteVersion]
    """Versions that stay because this repository does not know their git commit, the newest first."""
    retired: list[RemoteVersion]
    """Versions that are given up, since nothing needs them: they can be brought back for 14 days."""
    retired_unknown: list[RemoteVersion]
    """The same, of versions whose git commit this repository does not know."""
    trash_bytes: int
    """What the packs take that only the trash names from now on."""
    doomed_packs: int
    doomed_bytes: int
    """Packs that nothing names any more: they may be deleted in 24 hours."""
    deleted_packs: int
    deleted_bytes: int
    compacted_packs: int
    compacted_bytes: int
    """Packs, mostly dead or small, whose living contents were written anew; they go when the trash has expired."""
    written_packs: int
    written_bytes: int
    """Packs that took their place; in a dry run, about."""
    read_bytes: int
    """What was read of packs for that, at most: nothing of what the cache holds in long ones."""
    nameless: int
    """Versions that git keeps and no commit there names, where packs are doomed that may hold what was pushed of
    them."""
    git_remotes: list[str]
    """The git remotes that were fetched from."""
    remarks: list[str]
    next_due: str | None
    """When more can be deleted at the earliest, in ISO 8601; None where nothing waits."""
    dry_run: bool


@dataclass(frozen=True, slots=True)
class DoomedPack:
    """A pack that has a tombstone."""

    key: str
    size_bytes: int
    """0 where it is gone already, but for its tombstone."""
    since: str | None
    author: str
    """Who collected then; empty where the tombstone does not tell."""
    is_needed: bool
    """Whether something names it all the same: then it stays, and nothing new relies upon it."""
    due: str | None
    """From when on a collection may delete it; None where it stays."""


@dataclass(frozen=True, slots=True)
class RetiredCommit:
    """Versions that were retired together, and can be brought back until they are ``due``."""

    key: str
    versions: list[RemoteVersion]
    size_bytes: int
    """What the packs take that they need; other versions may need them, too."""
    since: str | None
    due: str | None


@dataclass(frozen=True, slots=True)
class RunningPush:
    """The intent of a push that is under way, or died: it protects until ``due`` what it relies upon and uploaded."""

    key: str
    packs: int
    since: str | None
    """When it was last written."""
    due: str | None


@dataclass(frozen=True, slots=True)
class GcStatus:
    """What waits at a remote.  Dates are the remote's own, in ISO 8601; None where it tells none."""

    remote: str
    url: str
    packs: int
    size_bytes: int
    """All packs that are there."""
    doomed: list[DoomedPack]
    trash: list[RetiredCommit]
    """Those of this project."""
    trash_bytes: int
    """What the packs take that only retired commits name, of any project."""
    replaced: int
    """Commits of this project in the trash though all their versions are still there: other commits, into which they
    were merged, name these."""
    replaced_bytes: int
    """What the packs take that nothing but those, and others in the trash, name."""
    replaced_due: str | None
    """When the last of those packs is named no more; None where there are none, or the store tells no dates."""
    pushes: list[RunningPush]


@dataclass(frozen=True, slots=True)
class GcUndoResult:
    """What was, or in a dry run would be, brought back of what was retired."""

    remote: str
    url: str
    restored: list[RemoteVersion]
    uploaded_bytes: int
    """What had to be uploaded or copied anew, since packs of it were doomed already."""
    failed: list[tuple[RelPath, str]]
    """What could not be brought back, with the reason."""
    dry_run: bool


def to_version(root: CommittedRoot, pushed_s: float, author: str) -> RemoteVersion:
    """Return a root of a commit as results tell of it; ``author`` is that of the commit."""
    pushed_by = author if root.author is None else root.author
    return RemoteVersion(root.path, root.digest, root.size_bytes, root.git_commit, to_iso(pushed_s), pushed_by)


def to_date(root: CommittedRoot) -> float:
    """Return when a root in the trash was pushed, where that is known: the store dates only the copy."""
    return math.inf if root.pushed_s is None else root.pushed_s


def to_iso(date_s: float) -> str | None:
    """Return a date of the store, or None where it told none."""
    return datetime.fromtimestamp(date_s, UTC).isoformat(timespec="seconds") if math.isfinite(date_s) else None


@contextlib.contextmanager
def naming_remote(name: str, verb: str = "collect") -> Iterator[None]:
    """Let what could not be known of a remote say which it is, and what was to be done there."""
    try:
        yield
    except (CorruptError, NeedsUnknownError) as error:
        error.fields.setdefault("remote", name)
        error.fields.setdefault("verb", verb)
        raise
