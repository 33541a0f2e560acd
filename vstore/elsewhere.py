"""Other repositories: one on this machine is opened where it is, one behind a URL as a clone that is kept for the user.

Whatever a stranger's repository says is taken for data: of its configuration only the names of its remotes count, and
settings that are meant for our own remotes do not reach it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from vstore.cache.cache import Cache
from vstore.config import Config, environ_elsewhere, load_config, load_foreign_config, masked_url
from vstore.durable import os_errors
from vstore.errors import (
    GitFailedError,
    GitRepositoryNotFoundError,
    InvalidError,
    LockedError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    SourceUnavailableError,
)
from vstore.git import Clone, check_git_url, get_git_repo, is_git_url, open_clone, remove_clones
from vstore.progress import SILENT, Reporter
from vstore.repo import VSTORE_DIRECTORY, Repo, find_root, open_repo

UNUSED_S = 30 * 24 * 3600.0
"""For how long a clone is kept that nobody opens."""

_CONFIG_FILE = f"{VSTORE_DIRECTORY}/config"
_HOST = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/]+/|[^/:]+:)(.*)", re.DOTALL)
_WAITING = "waiting for another vstore command to finish with the same clone"


@contextlib.contextmanager
def open_user_cache(config: Config) -> Iterator[Cache]:
    """Open the cache in which contents of other repositories are kept for the user; inside the block nothing goes.

    Behind the block what is beyond the limit goes, the oldest first, unless somebody else uses the cache.
    """
    cache = Cache(config.elsewhere / "contents")
    cache.create()
    lock = cache.lock()
    with os_errors(cache.path, "lock"):
        lock.acquire(shared=True, wait_s=config.lock_wait_s)
    try:
        yield cache
    finally:
        lock.release()
    _tidy(config)


@contextlib.contextmanager
def open_elsewhere(
    location: str | Path,
    *,
    rev: str | None = None,
    start: Path | None = None,
    environ: Mapping[str, str] | None = None,
    reporter: Reporter = SILENT,
) -> Iterator[Repo]:
    """Open another repository, by the path of its directory or by the URL from which git clones it.

    What verbs then read is of the commit ``rev``: ``Repo.rev`` is its full id, and where verbs take a revision None
    stands for it.  Without ``rev`` that is what the server's HEAD says; but a directory on this machine is read as it
    is now, and ``Repo.rev`` is None.  A relative location begins at ``start``, paths that verbs take at the location.

    Remotes are those of that commit, or where it knows none, those of the server's HEAD.
    A clone has no files, and its cache is one that all clones of this user share; inside the block nothing of it is
    removed.  Such a repository is for reading: nothing may be written into its work tree.

    Raises RepositoryNotFoundError, RevisionNotFoundError, SourceUnavailableError, InvalidError for a URL that no
    transport is known for, and what opening a repository raises.
    """
    environ = os.environ if environ is None else environ
    place = os.fspath(location)
    if not is_git_url(place):
        path = Path(os.path.abspath((start or Path()) / place))
        if find_root(path) is not None and not _is_bare(path):
            with open_repo(path, environ=environ_elsewhere(environ), reporter=reporter) as repo:
                _keep_notes_apart(repo)
                repo.rev = None if rev is None else _resolve(repo, rev)
                yield repo
            return
        place = _local_url(path)
    check_git_url(place)
    ours = load_config(None, environ_elsewhere(environ))
    clones = ours.elsewhere / "clones"
    with open_user_cache(ours) as cache, contextlib.ExitStack() as stack:
        try:
            clone, config = stack.enter_context(_open_read(place, rev, clones, environ, reporter))
        except SourceUnavailableError:
            raise
        except GitFailedError:
            # A clone that is found to be broken, or to lack what the server keeps back, is made anew.
            clone, config = stack.enter_context(_open_read(place, rev, clones, environ, reporter))
        if rev is not None and not config.remotes:  # it may be older than the remote
            with _open_read(place, None, clones, environ, reporter) as (_, newest):
                config = newest
        git = get_git_repo(clone.path)
        config = config.placed_in(cache.path, shared=False)
        repo = stack.enter_context(Repo(git.work_tree, git, config, start=git.work_tree, reporter=reporter))
        repo.rev, repo.url, repo.notes_use = clone.commit, place, False
        yield repo


@contextlib.contextmanager
def _open_read(
    url: str, rev: str | None, directory: Path, environ: Mapping[str, str], reporter: Reporter
) -> Iterator[tuple[Clone, Config]]:
    """Open a clone, and read the configuration of its commit."""
    with _open_clone(url, rev, directory, reporter) as clone:
        text = get_git_repo(clone.path).find_file(clone.commit, _CONFIG_FILE) or b""
        root = _local_root(url)
        yield clone, load_foreign_config(text, _CONFIG_FILE, environ, root=None if root is None else Path(root))


def is_elsewhere(location: str, start: Path) -> bool:
    """Tell whether somebody who stands at ``start`` means another repository by this, and no path of the one there.

    A URL, a directory in another repository, and where there is no repository, everything.
    """
    root = find_root(start)
    if root is None or "://" in location:
        return True
    path = Path(os.path.abspath(start / location))
    if not path.exists():
        return is_git_url(location) and "@" in location
    if _is_bare(path):  # it may lie inside of any repository
        return True
    other = find_root(path)
    return other != root if other is not None else _find_git_directory(path) is not None


def resolve_location(repo: Repo, location: str) -> str:
    """Return where another repository is that ``repo`` names: a relative path begins at the repository itself.

    Raises InvalidError where a repository on another machine names a directory of that machine.
    """
    if is_git_url(location):
        return location
    root = str(repo.work_tree) if repo.url is None else _local_root(repo.url)
    if root is not None:
        path = os.path.normpath(os.path.join(root, location))
        return path if os.path.exists(path) else next(filter(os.path.exists, [path + ".git"]), path)
    assert repo.url is not None
    found = _HOST.fullmatch(repo.url)
    path = "" if found is None else posixpath.normpath(posixpath.join(found[2], location))
    if found is None or location.startswith("/") or path.split("/")[0] in ("..", "."):
        raise InvalidError(f"{repo.location} names a directory of another machine: {location}", path=location)
    return found[1] + path


def _keep_notes_apart(repo: Repo) -> None:
    """Keep what is noted of a repository and its remotes where the user may write, also if it is somebody else's."""
    name = hashlib.sha256(os.fsencode(repo.work_tree)).hexdigest()[:32]
    directory = repo.config.elsewhere / "clones" / f"{name}-notes"
    with os_errors(directory, "create"):
        directory.mkdir(parents=True, exist_ok=True)
        os.utime(directory)
    repo.note_in(directory)
    repo.notes_use = False


def _resolve(repo: Repo, rev: str) -> str:
    if repo.git is None:
        fact = f"{repo.work_tree} is not in git, so it has no revisions"
        raise GitRepositoryNotFoundError(fact, path=str(repo.work_tree))
    try:
        return repo.git.resolve(rev)
    except RevisionNotFoundError as error:
        fact = f"{repo.work_tree} has no commit {rev!r}"
        raise RevisionNotFoundError(fact, revision=rev, repo=str(repo.work_tree)) from error


def _local_url(path: Path) -> str:
    """Return the URL of a git repository on this machine that is bare, or knows nothing of vstore."""
    found = _find_git_directory(path) or _find_git_directory(Path(f"{path}.git"))
    if found is None:
        raise RepositoryNotFoundError(f"there is no repository at {path}", path=str(path), elsewhere=True)
    return f"file://{quote(os.fsencode(found))}"


def _find_git_directory(path: Path) -> Path | None:
    """Return the path if a git repository is there."""
    return path if _is_bare(path) or (path / ".git").exists() else None


def _is_bare(path: Path) -> bool:
    return (path / "HEAD").exists() and (path / "objects").is_dir()


def _local_root(url: str) -> str | None:
    """Return the directory that a URL names, if it is one of this machine."""
    return unquote(urlsplit(url).path, errors="surrogateescape") if url.lower().startswith("file://") else None


@contextlib.contextmanager
def _open_clone(url: str, rev: str | None, directory: Path, reporter: Reporter) -> Iterator[Clone]:
    opening = open_clone(directory, url, rev=rev, on_wait=lambda: reporter.note(_WAITING))
    with contextlib.ExitStack() as stack:
        reporter.begin(f"asking {masked_url(url)}")
        try:
            clone = stack.enter_context(opening)
        finally:
            reporter.end()
        yield clone


def _tidy(config: Config) -> None:
    """Remove what is kept too long, or beyond the limit, as far as nobody uses it.  Best effort."""
    remove_clones(config.elsewhere / "clones", unused_s=UNUSED_S)
    cache = Cache(config.elsewhere / "contents")
    with contextlib.suppress(OSError, LockedError):
        lock = cache.lock()
        lock.acquire()
        try:
            if _has_grown(cache):
                _trim(cache, config.elsewhere_limit_bytes)
        finally:
            lock.release()


def _has_grown(cache: Cache) -> bool:
    """Tell whether anything was put into the cache since it was last looked after; some 250 directories are asked."""
    stamp = cache.path / "looked-after"
    last_ns = stamp.stat().st_mtime_ns if stamp.exists() else 0
    directories = [cache.packs.directory, *cache.objects.glob("*/*")]
    newest_ns = max(directory.stat().st_mtime_ns for directory in directories)
    stamp.touch()
    return newest_ns >= last_ns


def _trim(cache: Cache, limit_bytes: int) -> None:
    """Remove the oldest until the rest is within the limit.  For whoever holds the cache alone."""
    files = [entry for entry in cache.packs.directory.iterdir() if entry.is_file()]
    files += [path for path in cache.objects.glob("*/*/*") if path.is_file()]
    files += [path for name in ("partial", "damaged") for path in (cache.path / name).glob("*")]
    found = sorted((numbers.st_mtime_ns, numbers.st_size, path) for path in files for numbers in [path.stat()])
    total_bytes = sum(size_bytes for _, size_bytes, _ in found)
    for _, size_bytes, path in found:
        if total_bytes <= limit_bytes:
            return
        with os_errors(path, "remove"):
            path.unlink(missing_ok=True)
        total_bytes -= size_bytes
