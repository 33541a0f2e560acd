"""What the actors of a run write down: what each version holds, what was reported as pushed, and what else they did.

It outlives whoever writes it: what was reported is on the disk before its writer goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Expected:
    """A version of an artifact: its pointer, and the SHA-256 of each file below it ("" for the artifact itself)."""

    root: str
    pointer: str
    files: Mapping[str, str]


class FindingError(Exception):
    """Something that must never be: the run has found a defect, and stops."""


class Book:
    """Versions by their digest, and a journal for each actor."""

    def __init__(self, folder: Path) -> None:
        self._versions = folder / "versions"
        self._journals = folder / "journals"

    def make(self) -> Self:
        """Begin an empty book."""
        self._versions.mkdir(parents=True)
        self._journals.mkdir()
        return self

    def expect(self, version: Expected) -> None:
        """Write down what a version holds.  Raises FindingError where the same digest once stood for other bytes."""
        path = self._version_path(version.root)
        if path.exists():
            if self.get(version.root).files != version.files:
                raise FindingError(f"{version.root} stands for two different contents")
            return
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps([version.root, version.pointer, version.files]))
        os.replace(temporary, path)

    def get(self, root: str) -> Expected:
        """Return what a version holds; everybody writes it down before anybody else can know its digest."""
        return Expected(*json.loads(self._version_path(root).read_text()))

    def _version_path(self, root: str) -> Path:
        return self._versions / root.replace(":", "-")

    def note(self, actor: str, event: str, **facts: Any) -> None:
        """Add a line to the journal of an actor; it is on the disk when this returns."""
        line = json.dumps({"event": event, **facts}) + "\n"
        descriptor = os.open(self._journals / actor, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def iter_events(self, event: str = "") -> Iterator[dict[str, Any]]:
        """Yield what was noted, actor by actor, with the name of the ``actor``."""
        for path in sorted(self._journals.iterdir()):
            for line in path.read_text().splitlines(keepends=True):
                found = json.loads(line) if line.endswith("\n") else {"event": "torn"}
                if event in ("", found["event"]):
                    yield {"actor": path.name, **found}

    def count(self) -> Counter[str]:
        """Return how often each thing happened, and the numbers that were noted with it, added up."""
        counted: Counter[str] = Counter()
        for found in self.iter_events():
            counted[found["event"]] += 1
            for name, value in found.items():
                if isinstance(value, int) and name != "at_s":
                    counted[f"{found['event']}: {name}"] += value
        return counted


def sha256(data: bytes) -> str:
    """Return what tells one content from another, without any code of ours."""
    return hashlib.sha256(data).hexdigest()
