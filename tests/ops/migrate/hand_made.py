"""Repositories of DVC made by hand: quick, and able to be what DVC would never make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.project import Project


def md5(data: bytes) -> str:
    """Return the hash that DVC 3 names a content by."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class HandMade(Project):
    """A git repository with a cache and files of DVC, written without it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.write(".dvc/config", b"")
        self.write(".dvc/.gitignore", b"/cache\n")

    def object_path(self, name: str) -> Path:
        """Return where an object of the cache lies."""
        return self.path / f".dvc/cache/files/md5/{name[:2]}/{name[2:]}"

    def keep(self, data: bytes, suffix: str = "") -> str:
        """Put an object into the cache; returns its name."""
        name = md5(data) + suffix
        self.write(f".dvc/cache/files/md5/{name[:2]}/{name[2:]}", data)
        return name

    def keep_list(self, rows: list[Mapping[str, object]]) -> str:
        """Put a list of files into the cache; returns its name."""
        return self.keep(json.dumps(rows).encode(), ".dir")

    def point(self, name: str, path: str, file: str = "", more: str = "") -> None:
        """Write a file of DVC."""
        content = f"outs:\n- md5: {name}\n  hash: md5\n  path: {path}\n{more}"
        self.write(f"{file or path}.dvc", content.encode())

    def track(self, directory: str, contents: Mapping[str, bytes]) -> None:
        """Track a directory, of which nothing is checked out."""
        self.point(
            self.keep_list([{"md5": self.keep(data), "relpath": path} for path, data in contents.items()]), directory
        )

    def migrate(self, exit_code: int = 0, *options: str) -> dict[str, Any]:
        """Move in; returns what was said."""
        outcome = self.run("migrate", "dvc", "--json", *options)
        assert outcome.exit_code == exit_code, outcome.stderr
        assert "Traceback" not in outcome.stderr
        result: dict[str, Any] = outcome.json()
        return result
