"""Reading a repository through the git program: every form of repository that the installed git knows."""

from __future__ import annotations

import contextlib
import os
import subprocess
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

from vstore.errors import GitFailedError
from vstore.git.program import run_git, start_git
from vstore.git.store import Reference

_REFERENCE = "%(refname)%00%(symref)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"


class ProgramStore:
    """A repository as the git program sees it; a process that reads objects lives as long as this does."""

    def __init__(self, path: Path) -> None:
        found = _lines(run_git(path, "rev-parse", "--absolute-git-dir", "--is-bare-repository"))
        self.git_dir = Path(found[0])
        is_bare = found[1] == "true"
        self.work_tree = None if is_bare else Path(_lines(run_git(path, "rev-parse", "--show-toplevel"))[0])
        self._reader: _Reader | None = None
        self._settings: list[tuple[str, str]] | None = None

    @property
    def is_shallow(self) -> bool:
        """Whether the history is cut off somewhere."""
        return _lines(run_git(self.git_dir, "rev-parse", "--is-shallow-repository")) == ["true"]

    def find(self, oid: str) -> bytes | None:
        """Return the content of an object; None where it is missing, and git cannot fetch it either."""
        if self._reader is None or not self._reader.is_ours:
            self._reader = _Reader(self.git_dir)
        return self._reader.find(oid)

    def list_missing(self, oids: Iterable[str]) -> list[str]:
        """Return the objects that are not here.

        Asked for one by one, git would fetch them one by one; so it lists what there is, a million in a second.
        """
        options = ["--batch-all-objects", "--batch-check=%(objectname)", "--unordered"]
        here = set(_lines(run_git(self.git_dir, "cat-file", *options)))
        return [oid for oid in oids if oid not in here]

    def find_commit(self, revision: str) -> str | None:
        """Return the id of the commit that a revision means; None where it means none."""
        if "\0" in revision or not revision:
            return None
        with contextlib.suppress(GitFailedError):
            told = run_git(self.git_dir, "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
            return _lines(told)[0]
        return None

    def head(self) -> str | None:
        """Return the id of the commit that is checked out; None before the first."""
        return self.find_commit("HEAD")

    def list_references(self) -> list[Reference]:
        """Return all references but symbolic ones."""
        found = []
        for line in _lines(run_git(self.git_dir, "for-each-ref", f"--format={_REFERENCE}")):
            name, symbolic, kind, oid, inner_kind, inner = line.split("\0")
            if not symbolic:
                if "tag" in (kind, inner_kind):
                    # What a tag leads to; of a tag of a tag an older git tells only the first step.
                    commit = inner if inner_kind == "commit" else self.find_commit(oid)
                else:
                    commit = oid if kind == "commit" else None
                found.append(Reference(name, commit))
        return found

    def iter_ids(self, tips: Iterable[str]) -> Iterator[str]:
        """Yield the id of each commit that is reachable from ``tips``, once, newest first."""
        wanted = "".join(f"{tip}\n" for tip in tips)
        if wanted:
            yield from _lines(run_git(self.git_dir, "rev-list", "--stdin", stdin=wanted.encode()))

    def find_setting(self, name: str) -> str | None:
        """Return a setting of git's configuration; of one that is set several times, the last."""
        return dict(self.list_settings()).get(name)

    def list_settings(self) -> list[tuple[str, str]]:
        """Return name and value of every setting."""
        if self._settings is None:
            told = os.fsdecode(run_git(self.git_dir, "config", "--list", "--null"))
            pairs = (entry.partition("\n") for entry in told.split("\0") if entry)
            self._settings = [(name, value) for name, _, value in pairs]
        return self._settings


class _Reader:
    """A `git cat-file` that answers one question after another."""

    def __init__(self, git_dir: Path) -> None:
        self._git_dir = git_dir
        self._process = start_git(git_dir, "cat-file", "--batch")
        self._owner = os.getpid()
        weakref.finalize(self, _end, self._process, self._owner)

    @property
    def is_ours(self) -> bool:
        """Whether it answers this process: a forked one would take its parent's answers."""
        return self._owner == os.getpid() and self._process.poll() is None

    def find(self, oid: str) -> bytes | None:
        """Return the content of an object; None where it is missing, or git stops over it.

        Which it does where a partial clone lacks it.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{oid}\n".encode())
            self._process.stdin.flush()
            head = self._process.stdout.readline().split()
            if not head:
                self._process.kill()
            if head[1:] in ([b"missing"], []):
                return None
            size = int(head[2])
            content = self._process.stdout.read(size + 1)
        except (OSError, ValueError, IndexError) as error:
            content, size = b"", 0
            cause: Exception | None = error
        else:
            cause = None
        if len(content) != size + 1:
            self._process.kill()  # nobody knows what it would answer next
            place = str(self._git_dir)
            raise GitFailedError(f"git could not read the object {oid} in {place}", path=place) from cause
        return content[:-1]


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    if owner == os.getpid():
        process.kill()
        process.wait()


def _lines(output: bytes) -> list[str]:
    return os.fsdecode(output).splitlines()
