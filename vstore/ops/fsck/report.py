"""What a verification found: damage, who is harmed by it, and how much was looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vstore.objects.names import RelPath
from vstore.ops.needs import Revision


@dataclass(frozen=True, slots=True)
class Need:
    """A path that needs something, and the revisions that have it so."""

    path: RelPath
    revisions: list[Revision]


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is wrong at a remote, in the cache, or with what is known of the work tree."""

    remote: str | None
    """None on this machine."""
    key: str | None
    """The object at the remote, the file of the cache (relative to it) or of the work tree; None where what the paths
    need is in no object that it should be in."""
    kind: str
    """"missing", "damaged", "unreadable", "doomed" (a collector may delete it) or "newer" (only a newer vstore can
    read it)."""
    reason: str
    needed_by: list[Need]
    """What cannot be relied upon because of it: files, also inside trees; nothing where it harms nobody by itself."""
    repaired: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified at one remote."""

    remote: str
    url: str
    versions: int
    """How many different versions of artifacts were looked at."""
    whole: int
    """How many of them have everything they need where it should be, as far as was looked."""
    packs: int
    size_bytes: int
    """What the packs hold that they need, compressed."""
    read_packs: int
    """How many packs were read whole this time."""
    read_bytes: int
    never_read: int
    """How many of the packs this machine never read whole."""
    read_whole: str | None
    """When the one read longest ago of all others was read (ISO 8601, in UTC); None where none was."""
    uploaded_bytes: int
    """What a repair sent."""
    nameless: int
    """Versions that git keeps and no commit there names, where packs are there that nothing names."""


@dataclass(frozen=True, slots=True)
class VerifiedCache:
    """What was verified on this machine, all of it read to the last byte."""

    path: str
    packs: int
    records: int
    """How many good contents the packs hold."""
    objects: int
    """How many loose objects there are."""
    read_bytes: int
    versions: int
    """How many different versions of artifacts were looked at."""
    whole: int
    """How many of them have everything they need in the cache."""
    files: int
    """How many files of the work tree were compared with what is known of them."""
    restored: int
    """How many contents a repair brought back."""


@dataclass(frozen=True, slots=True)
class FsckResult:
    """What was verified, and what is or was wrong; remarks, as (remote or None, text), harm nobody."""

    remotes: list[Verified]
    damages: list[Damage]
    remarks: list[tuple[str | None, str]]
    broken: list[tuple[RelPath, str]]
    """Pointers that could not be read, as (path, reason)."""
    repair: bool
    """Whether a repair was asked for."""
    cache: VerifiedCache | None = None
    """None where remotes were verified."""


def mark_repaired(damages: Iterable[Damage], left: Sequence[Damage]) -> list[Damage]:
    """Return all that was found, each once, as repaired, but for what is left."""
    still = {damage.key or damage.reason for damage in left}
    found: dict[str, Damage] = {}
    for damage in damages:
        found.setdefault(damage.key or damage.reason, dataclasses.replace(damage, repaired=True))
    return [*(damage for name, damage in found.items() if name not in still), *left]
