"""Clones of other repositories: shallow, without the contents of files, and kept to be used again.

A clone has no files checked out: its work tree is empty, and what is read of a commit is fetched when it is read.
There are two of a repository at most.  One has single commits, one deep; the other, made only for a revision that no
server resolves (``main~3``, a short id), has the whole history, of commits alone.

Nothing of a stranger's repository is run: no hooks, no submodules, no transport but those listed here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vstore.durable import FileLock, os_errors, temporary_name
from vstore.errors import GitFailedError, InvalidError, LockedError, RevisionNotFoundError
from vstore.git.program import run_git
from vstore.git.refusals import said_by, shown, translate
from vstore.git.repo import get_git_repo

SCHEMES = ("https", "http", "ssh", "git", "file")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.")
# As git reads it: a host before the first colon, unless a slash comes earlier.
_SCP_LIKE = re.compile(r"(?!-)[^/:\0-\x20]+:(?!:)[^\0-\x1f]+")
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
# What git resolves only where the history is: parents and the like, short ids, what `git describe` says.
_EXPRESSION = re.compile(r"[~^:@?*\[]|\.\.|^[0-9a-f]{4,63}$|-g[0-9a-f]{4,64}$")
_CONFIG = """
[gc]
\tauto = 0
[maintenance]
\tauto = false
[fetch]
\trecurseSubmodules = false
[core]
\trepositoryFormatVersion = 1
\thooksPath = /dev/null
[http]
\tlowSpeedLimit = 1
\tlowSpeedTime = 60
[protocol]
\tversion = 2
\tallow = never
"""
_ASK_NOTHING = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15"
_BROKEN = "vstore-broken"
_QUIET = ("fetch", "--quiet", "--no-tags", "--recurse-submodules=no", "--no-write-fetch-head")


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone that holds a commit; ``path`` is its work tree, in which nothing is."""

    path: Path
    commit: str


def is_git_url(location: str) -> bool:
    """Tell whether a location names a repository on another machine or, by ``file://``, here; else it is a path."""
    return _URL.match(location) is not None or _SCP_LIKE.fullmatch(location) is not None


def check_git_url(url: str) -> None:
    """Raise InvalidError for a URL that leads to git by no transport of ours."""
    found = _URL.match(url)
    scheme = "ssh" if found is None else found[1].lower()
    # "ext::sh -c ..." and other helpers would run what a URL says.
    if scheme not in SCHEMES or "::" in url.partition("/")[0] or re.search(r"[\0-\x1f]", url) or url.startswith("-"):
        fact = f"{shown(url)} is not the address of a git repository"
        raise InvalidError(fact, url=shown(url), option=scheme, known=list(SCHEMES))


@contextlib.contextmanager
def open_clone(
    directory: Path,
    url: str,
    *,
    rev: str | None = None,
    wait_s: float = 60.0,
    on_wait: Callable[[], None] | None = None,
) -> Iterator[Clone]:
    """Open a clone, among those in ``directory``, that has the commit ``rev`` (the remote's HEAD, if None).

    The server is asked each time, except for the full id of a commit that is here.  Inside the block nobody removes it.
    Raises RepositoryNotFoundError, RevisionNotFoundError, SourceUnavailableError, GitFailedError, LockedError.
    """
    check_git_url(url)
    wanted, waiting = rev or "HEAD", _Waiting(wait_s, on_wait)
    with os_errors(directory, "create"):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if rev == "":  # a variable of a script that was never set
        raise _no_commit(url, rev)
    if not _EXPRESSION.search(wanted) or _COMMIT.fullmatch(wanted):
        try:
            with _held(directory, url, "", waiting) as place:
                yield Clone(place.path, place.update(lambda: place.fetch_tip(wanted)))
                return
        except _NotServedError:
            if not _COMMIT.fullmatch(wanted):
                raise _no_commit(url, wanted) from None
    with _held(directory, url, "-history", waiting) as place:
        yield Clone(place.path, place.update(lambda: place.fetch_history(wanted)))


def remove_clones(directory: Path, *, unused_s: float) -> None:
    """Remove clones that nobody has opened for so long, and what died while it was made.  Best effort."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            path = directory / name
            numbers = path.lstat()
            if not stat.S_ISDIR(numbers.st_mode) or numbers.st_mtime >= time.time() - unused_s:
                continue
            with contextlib.suppress(LockedError, OSError):
                in_use, updated = FileLock(Path(f"{path}.use")), FileLock(Path(f"{path}.lock"))
                try:
                    updated.acquire()
                    in_use.acquire()
                    _discard(path)
                finally:
                    in_use.release()
                    updated.release()


class _Waiting(NamedTuple):
    """How long to wait for another command, and who is told."""

    wait_s: float
    on_wait: Callable[[], None] | None


class _NotServedError(Exception):
    """The server has no reference of this name, or does not give a commit by its id."""


@contextlib.contextmanager
def _held(directory: Path, url: str, suffix: str, waiting: _Waiting) -> Iterator[_Place]:
    """Keep one clone from being removed.  One that turns out to be broken is made anew the next time."""
    name = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()[:32]
    place = _Place(directory / (name + suffix), url, waiting)
    in_use = FileLock(Path(f"{place.path}.use"))
    with os_errors(directory, "lock"):
        in_use.acquire(shared=True, wait_s=waiting.wait_s, on_wait=waiting.on_wait)
    try:
        yield place
    except GitFailedError as error:
        with contextlib.suppress(OSError):
            (place.path / ".git" / _BROKEN).touch()
            if "unadvertised object" in said_by(error):
                place.whole.touch()
        raise
    finally:
        in_use.release()


class _Place:
    """Where one clone is, or is going to be."""

    def __init__(self, path: Path, url: str, waiting: _Waiting) -> None:
        self.path, self.url = path, url
        self._waiting = waiting
        self.whole = Path(f"{path}.whole")
        """A mark of servers that leave out contents, and do not give them later."""

    def update(self, fetch: Callable[[], str]) -> str:
        """Let ``fetch`` find a commit, as the only one who changes the clone.  A broken clone is made anew."""
        lock = FileLock(Path(f"{self.path}.lock"))
        with os_errors(self.path, "lock"):
            lock.acquire(wait_s=self._waiting.wait_s, on_wait=self._waiting.on_wait)
        try:
            with os_errors(self.path, "write to"):
                if (self.path / ".git" / _BROKEN).exists():
                    _discard(self.path)
                return self._fetch_anew_if_broken(fetch)
        finally:
            lock.release()

    def _fetch_anew_if_broken(self, fetch: Callable[[], str]) -> str:
        object_format = "sha1"
        while True:
            is_new = not self.path.exists()
            if is_new:
                self._create(object_format)
            os.utime(self.path)  # it is in use
            try:
                commit = fetch()
                self._check_readable(commit)
                return commit
            except GitFailedError as error:
                if object_format == "sha1" and re.search("mismatched algorithms|object format", said_by(error)):
                    object_format = "sha256"
                    _discard(self.path)
                    continue
                refusal = translate(error, self.url)
                if is_new:
                    _discard(self.path)
                if is_new or refusal is not error:
                    raise refusal from error
                _discard(self.path)
            except (_NotServedError, RevisionNotFoundError):
                if is_new:
                    _discard(self.path)
                raise

    def _check_readable(self, commit: str) -> None:
        """Raise GitFailedError for a clone that only git itself still can read."""
        try:
            get_git_repo(self.path).resolve(commit)
        except RevisionNotFoundError as error:
            raise GitFailedError(f"the clone {self.path} is damaged", path=str(self.path)) from error

    def _create(self, object_format: str) -> None:
        staged = self.path.parent / temporary_name()
        try:
            settings = ["-c", "init.defaultRefFormat=files", "-c", "core.hooksPath=/dev/null"]
            start = [*settings, "init", "--quiet", "--template="]
            run_git(self.path.parent, *start, f"--object-format={object_format}", "-b", "nothing", str(staged))
            os.chmod(staged, 0o700)  # the URL may hold a secret
            with open(staged / ".git/config", "a", errors="surrogateescape") as file:
                file.write(_CONFIG + "".join(f'[protocol "{scheme}"]\n\tallow = always\n' for scheme in SCHEMES))
                if self._speaks_ssh() and not self._has_ssh_command():
                    file.write(f'[core]\n\tsshCommand = "{_ASK_NOTHING}"\n')
                url = self.url.replace("\\", "\\\\").replace('"', '\\"')
                file.write(f'[remote "origin"]\n\turl = "{url}"\n\tpromisor = true\n')
                file.write("\tpartialclonefilter = blob:none\n")
            os.rename(staged, self.path)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def _speaks_ssh(self) -> bool:
        found = _URL.match(self.url)
        return found is None or found[1].lower() == "ssh"

    def _has_ssh_command(self) -> bool:
        with contextlib.suppress(GitFailedError):
            return bool(run_git(self.path.parent, "config", "--get", "core.sshCommand"))
        return False

    def fetch_tip(self, revision: str) -> str:
        """Return the commit of a reference or id, after fetching it alone.  Raises _NotServedError."""
        if _COMMIT.fullmatch(revision):
            with contextlib.suppress(RevisionNotFoundError):
                return self._resolve(revision)
        # Branches that nobody can name beforehand must not get into each other's way.
        reference = f"refs/vstore/{hashlib.sha256(revision.encode(errors='surrogateescape')).hexdigest()[:32]}"
        self._fetch(["--depth=1"], "blob:none", [f"+{revision}:{reference}"])
        return self._resolve(reference)

    def fetch_history(self, revision: str) -> str:
        """Return the commit that an expression means, after fetching what all branches and tags reach."""
        if _COMMIT.fullmatch(revision):
            with contextlib.suppress(RevisionNotFoundError):
                return self._resolve(revision)
        references = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/vstore/head"]
        try:
            self._fetch(["--prune", "--update-shallow"], "tree:0", references)
        except _NotServedError:  # it has no HEAD
            self._fetch(["--prune", "--update-shallow"], "tree:0", references[:2])
        else:
            run_git(self.path, "update-ref", "--no-deref", "HEAD", "refs/vstore/head")
        return self._resolve(revision)

    def _resolve(self, revision: str) -> str:
        try:
            options = ["--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
            return run_git(self.path, "rev-parse", *options, lazily=False).decode().strip()
        except GitFailedError as error:
            raise _no_commit(self.url, revision) from error

    def _forget_promisor(self) -> None:
        for key in ("promisor", "partialclonefilter"):
            with contextlib.suppress(GitFailedError):  # it is not set
                run_git(self.path, "config", "--unset-all", f"remote.origin.{key}")

    def _fetch(self, depth: list[str], filtered: str, references: list[str]) -> None:
        """Fetch as little as the server knows how to give."""
        partly = [[*depth, f"--filter={filtered}"], [*depth, "--filter=blob:none"]]
        ways = [*partly, [*depth, "--no-filter"], ["--no-filter"]]
        for way in ways[len(partly) * self.whole.exists() :]:
            if way not in partly:
                # Of a clone that is whole nothing is fetched later, which git would try for ever without a git server.
                self._forget_promisor()
            try:
                run_git(self.path, *_QUIET, *way, "origin", *references, lazily=False)
                return
            except GitFailedError as error:
                said = said_by(error)
                if re.search("couldn't find remote ref|invalid refspec|not our ref|unadvertised object", said):
                    raise _NotServedError from error
                is_last = way is ways[-1]
                if is_last or not re.search("filter '?.*not supported|dumb http|does not support shallow", said):
                    raise


def _no_commit(url: str, revision: str) -> RevisionNotFoundError:
    fact = f"{shown(url)} has no commit {revision!r}" if revision != "HEAD" else f"{shown(url)} has no commits"
    return RevisionNotFoundError(fact, revision=revision, url=shown(url))


def _discard(path: Path) -> None:
    """Remove a clone; first its name, so that nobody finds half of it."""
    with contextlib.suppress(FileNotFoundError):
        doomed = path.parent / temporary_name()
        os.rename(path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)
