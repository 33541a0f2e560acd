"""What a collection of the cache tells: how much stays and how much goes, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vstore.objects.digest import Digest

YOUNG, LINKED, UNPUSHED, PACKED = "young", "linked", "unpushed", "packed"
SET_ASIDE = "set-aside"
UNUSED, PUSHED, HISTORY = "unused", "pushed", "history"


class Reason(NamedTuple):
    """Why something is kept; with the repository where it is not the one that asks."""

    word: str
    repository: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for one reason: the first that applies, in the order of this list."""

    reason: str
    """"work-tree" (files and indexes), "branch", "tag", "remote-branch", "stash", "ref" (any other), "operation" (a
    merge, rebase or the like under way), "reflog", "keep-rev" (asked for), "repository" (another one), "unpushed",
    "linked" (a file is a link to it), "young" (for a day), "packed" (nobody needs it; it goes when its pack is worth
    rewriting) or "set-aside" (a repair found it damaged, and what it should hold is needed and not good here, or not
    known)."""
    repository: str | None
    """The other repository."""
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Collected:
    """What is removed for one reason."""

    reason: str
    """"unused" (nobody needs it), "pushed" (a remote holds it), "history" (needed by versions that were given up) or
    "set-aside" (a repair found it damaged, and what it should hold is good elsewhere in the cache, or not needed)."""
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GcResult:
    """What was, or in a dry run would be, kept and removed.  Sizes are those in the cache, compressed."""

    cache: str
    kept: list[Kept]
    removed: list[Collected]
    leftovers: int
    """Files that dead commands had left."""
    leftover_bytes: int
    rewritten_packs: int
    deleted_packs: int
    freed_bytes: int
    """What the disk gets back: nothing for a content that files of a work tree are hardlinks to."""
    nowhere: list[Digest]
    """Versions whose lists of files are neither here nor at a remote any more: nothing could be kept for them."""
    repositories: list[str]
    """Those whose needs were looked at."""
    dry_run: bool


@dataclass(slots=True)
class Sums:
    """Numbers and sizes of objects, by reason."""

    objects: Counter[Reason] = field(default_factory=Counter)
    sizes: Counter[Reason] = field(default_factory=Counter)

    def add(self, reason: Reason, size_bytes: int) -> None:
        """Count one object."""
        self.objects[reason] += 1
        self.sizes[reason] += size_bytes

    def sorted(self, order: Sequence[Reason]) -> Iterator[tuple[Reason, tuple[int, int]]]:
        """Yield reasons with number and size, those in ``order`` first."""
        for reason in dict.fromkeys([*order, *self.objects]):
            if reason in self.objects:
                yield reason, (self.objects[reason], self.sizes[reason])
