"""What a migration did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field

from vstore.objects.digest import Digest
from vstore.objects.names import RelPath

NEW, UNCHANGED, KEPT = "new", "unchanged", "kept"


@dataclass(frozen=True, slots=True)
class How:
    """How to migrate.

    ``allow_missing`` leaves out files whose contents nobody has, where else their artifact would not move;
    ``remove`` deletes the other tool's files in git whose data has moved; ``dry_run`` changes nothing.
    """

    allow_missing: bool = False
    remove: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class MovedIn:
    """One artifact: its pointer now, and the other tool's file that named it."""

    path: RelPath
    change: str
    """"new", "unchanged" (it moved before), or "kept" (vstore tracks another version of it, which stays)."""
    kind: str
    digest: Digest | None
    """None in a dry run: contents were not read."""
    size_bytes: int
    files: int
    written_in: RelPath
    relinked: int = 0
    """How many files were links into the other tool's store, and are none any more."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A branch or tag whose history was written anew under another name; the old one stays as it is."""

    old: str
    new: str
    commit: str


@dataclass(frozen=True, slots=True)
class MigrateResult:
    """What moved in from another tool, and what did not."""

    tool: str
    """"dvc" or "lfs"."""
    artifacts: list[MovedIn]
    skipped: list[tuple[RelPath, str]]
    """Paths that are passed over because nothing is to be moved there, with the reason."""
    refused: list[tuple[RelPath, str]]
    """Paths, and branches and tags, that stay as they are though they were to be moved, with the reason."""
    missing: list[tuple[RelPath, str]]
    """Files whose contents could not be had, with the reason."""
    new_objects: int = 0
    new_bytes: int = 0
    superseded: list[RelPath] = field(default_factory=list)
    """The other tool's files that are not needed any more, and are still there."""
    removed: list[RelPath] = field(default_factory=list)
    """Those that this call removed, or in a dry run would remove."""
    rules: list[RelPath] = field(default_factory=list)
    """The ``.vstoreignore`` files that were made of the other tool's ignore rules."""
    settings: list[RelPath] = field(default_factory=list)
    """Files and directories with settings of DVC, and with its cache; nothing needs them when no old version is."""
    left: int = 0
    """How many files in git still name data that stays with the other tool, of all, whatever paths were asked for."""
    commits: int = 0
    """How many commits were written anew."""
    history: list[Rewritten] = field(default_factory=list)
    dry_run: bool = False
