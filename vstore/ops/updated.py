"""What an update of an import comes to, whatever kind of source it has."""

from __future__ import annotations

from dataclasses import dataclass, field

from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.ops.checkout import CheckoutResult

UP_TO_DATE = "up-to-date"
UPDATED = "updated"
SAME_DATA = "same-data"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file of an import that changed; sizes are None where it is not there, or it is not known."""

    path: RelPath
    """Relative to the import; "" is the import itself."""
    change: str
    """"added", "modified" or "deleted"."""
    old_bytes: int | None
    new_bytes: int | None


@dataclass(frozen=True, slots=True)
class Updated:
    """One import.

    ``change``: "up-to-date" (the pointer is as it was, to the byte), "updated", "same-data" (the source says that it is
    another version, of the same bytes) or "failed" (because of ``error``; nothing of it was changed).
    """

    path: RelPath
    source: str
    """The URL or repository; never with a secret, whatever a pointer that somebody wrote by hand says."""
    change: str
    old: str = ""
    """Which version the pointer named: its lock or commit."""
    new: str = ""
    digest: Digest | None = None
    """None in a dry run of what changed."""
    size_bytes: int = 0
    """Of all files now."""
    old_bytes: int = 0
    files: int = 0
    changes: list[FileChange] = field(default_factory=list)
    """In a dry run as far as this machine remembers what was there."""
    changed_here: bool = False
    """Whether somebody changed its files here: they stay where nothing is new; what is new would stop at them."""
    checkout: CheckoutResult | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """All imports asked for, and those that were passed over as nobody asked for their data yet."""

    imports: list[Updated]
    awaited: list[RelPath]
    dry_run: bool
