"""What was moved in so far: which digest the content has that another tool calls by a name of its own.

A hint beside the state: it spares reading everything again after an interruption, or for other versions.  A text file,
one line a content; a line that a crash cut off is passed over.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vstore.durable import os_errors
from vstore.objects.digest import DIGEST_PATTERN, Digest
from vstore.ops.migrate.foreign import ForeignName

_LINE = re.compile(rf"([0-9a-z-]+:[0-9a-f]+(?:\.dir)?) ({DIGEST_PATTERN}) ([0-9]{{1,18}})")


class Held(NamedTuple):
    """A content of the cache: its digest and size."""

    digest: Digest
    size_bytes: int


class Memory:
    """Remembers in one file; contents of another hash algorithm than ``algorithm`` are not known."""

    def __init__(self, path: Path, algorithm: str) -> None:
        self._path = path
        self._known: dict[str, Held] = {}
        text = ""
        with os_errors(path, "read"), contextlib.suppress(FileNotFoundError):
            text = path.read_text("ascii", errors="replace")
        for line in text.splitlines():
            match = _LINE.fullmatch(line)
            if match is not None and match[2].startswith(algorithm + ":"):
                self._known[match[1]] = Held(Digest(match[2]), int(match[3]))

    def find(self, name: ForeignName) -> Held | None:
        """Return what a name stands for, if that is known; the cache need not hold it any more."""
        return self._known.get(str(name))

    def save(self, found: Mapping[ForeignName, Held]) -> None:
        """Remember contents that are durable in the cache."""
        if not found:
            return
        lines = "".join(f"{name} {held.digest} {held.size_bytes}\n" for name, held in found.items())
        with os_errors(self._path, "write"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            with open(descriptor, "ab") as file:
                # Behind a line that was cut off a new one begins.
                size_bytes = os.fstat(descriptor).st_size
                cut = size_bytes and os.pread(descriptor, 1, size_bytes - 1) != b"\n"
                file.write(b"\n" * bool(cut) + lines.encode("ascii"))
        self._known.update((str(name), held) for name, held in found.items())
