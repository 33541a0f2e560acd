"""What libgit2 complains about, in words of ours: its errors stop here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pygit2

from vstore.errors import GitFailedError


@contextlib.contextmanager
def git_errors(path: Path) -> Iterator[None]:
    """Turn an error of libgit2 that escapes the block into a GitFailedError about the repository at ``path``."""
    try:
        yield
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        reason = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise GitFailedError(f"libgit2 could not read {path}: {reason}", path=str(path)) from error
