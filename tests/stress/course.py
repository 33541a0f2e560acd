"""What a run is: where it takes place, what its actors may meet, and where the other parts of it lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.stress.book import Book
from tests.stress.clock import SPAN_S, Clock

DIRECTORY, S3, PROXY = "directory", "s3", "proxy"
KINDS = (DIRECTORY, S3, PROXY)
OURS, THEIRS = "ours", "theirs"
PROJECTS = (OURS, THEIRS)
"""Two that share the bucket."""


@dataclass(frozen=True, slots=True)
class Course:
    """One run."""

    folder: str
    kind: str
    url: str
    endpoint_url: str
    seed: int

    @property
    def path(self) -> Path:
        """Where all of the run lies."""
        return Path(self.folder)

    @property
    def book(self) -> Book:
        """What is written down."""
        return Book(self.path / "book")

    @property
    def clock(self) -> Clock:
        """The store's clock."""
        return Clock(self.path / "clock")

    @property
    def may_fail(self) -> bool:
        """Whether the line to the remote is bad, so that a command may give up."""
        return self.kind == PROXY

    @property
    def collecting_span_s(self) -> int:
        """How far the clock may leap while somebody collects."""
        return 0 if self.kind == DIRECTORY else SPAN_S

    @property
    def hash_name(self) -> str:
        """What contents are hashed with; with blake3 projects rely on each other's packs."""
        return "blake3" if self.seed % 2 else "xxh128"

    def bare(self, project: str) -> Path:
        """Return the git repository that the machines of a project share."""
        return self.path / f"{project}.git"
