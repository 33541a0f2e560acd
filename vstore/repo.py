"""The opened repository: it holds the services that verbs use, and has no verbs itself."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vstore.cache.cache import Cache
from vstore.cache.link import probe_link_type
from vstore.cache.users import User, identify, note
from vstore.config import Config, RemoteSettings, is_secret, load_config, masked_url
from vstore.durable import FileLock, from_os_error, os_errors
from vstore.engine.engine import Engine
from vstore.errors import (
    GitFailedError,
    InvalidError,
    RemoteDeniedError,
    RemoteNotFoundError,
    RemoteUnavailableError,
    RepositoryNotFoundError,
    UnavailableError,
)
from vstore.git import GitRepo, find_git_repo
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath, is_reserved
from vstore.objects.pointer import POINTER_SUFFIX
from vstore.progress import SILENT, Reporter
from vstore.state import State
from vstore.workspace.materialize import Materializer
from vstore.workspace.pointers import find_owner
from vstore.workspace.snapshotter import Snapshotter

if TYPE_CHECKING:
    from vstore.remote.opening import RemoteTerms
    from vstore.remote.remote import Remote
    from vstore.remote.transport import Transport

VSTORE_DIRECTORY = ".vstore"
ID_FILE = "id"
"""Below ``private``: by what a work tree is known again."""
_MAX_JOBS = 16
_WAITING = "waiting for another vstore command to finish"


class Repo:
    """A work tree with its git repository, configuration, cache and state.

    ``private`` is this work tree's own directory for what git does not see, ``shared`` that of all work trees of one
    git repository.  Relative paths that a user names begin at ``start``; ``reporter`` hears what goes on.
    Use it as a context manager, or call ``close``.
    """

    def __init__(
        self, work_tree: Path, git: GitRepo | None, config: Config, *, start: Path, reporter: Reporter = SILENT
    ) -> None:
        self.work_tree = work_tree
        self.git = git
        self.config = config
        self.start = start
        self.reporter = reporter
        self.rev: str | None = None
        """The commit that is read where no revision is named; None: what is in the work tree.  See ``elsewhere``."""
        self.url: str | None = None
        """Where it was cloned from, if this is a clone that vstore keeps to read another's repository."""
        self.directory = work_tree / VSTORE_DIRECTORY
        self.private = self.directory / "private" if git is None else git.git_dir / "vstore"
        self.shared = self.private if git is None else git.common_dir / "vstore"
        self.cache = Cache(config.cache_dir or self.default_cache(git, self.directory), group=config.cache_shared)
        self.state = State(self.private / "state.db")
        self._lock = FileLock(self.private / "lock")
        self.engine: Engine | None = None
        """The workers that take over parts of what is to be done; None: all of it is done here."""
        self.notes_use = True
        """Whether who collects garbage in the cache hears of this work tree: not where another one only reads it."""

    @staticmethod
    def default_cache(git: GitRepo | None, directory: Path) -> Path:
        """Return where the cache lies unless the configuration says otherwise: out of reach of ``git clean``."""
        return directory / "cache" if git is None else git.common_dir / "vstore" / "cache"

    def __enter__(self) -> Repo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close files."""
        self.state.close()
        self.cache.packs.close()
        if self.engine is not None:
            self.engine.close()

    def note_in(self, directory: Path) -> None:
        """Keep what is noted of files and remotes in another directory."""
        self.state.close()
        self.private = self.shared = directory
        self.state = State(directory / "state.db")
        self._lock = FileLock(directory / "lock")

    @property
    def algorithm(self) -> str:
        """The hash algorithm for new contents."""
        return self.config.hash

    @property
    def jobs(self) -> int:
        """How many transfers or large files are worked on at once."""
        return self.config.jobs or min(_MAX_JOBS, 2 * (os.cpu_count() or 1) + 2)

    @property
    def location(self) -> str:
        """Where the repository is, as it may be shown: its URL without secrets, or its directory."""
        return str(self.work_tree) if self.url is None else masked_url(self.url)

    # paths

    def relative(self, path: str | Path) -> RelPath:
        """Return a path that the user named, relative to the work tree; "" is the work tree.

        A pointer file stands for its data.  Raises InvalidError for paths outside, or inside .git or .vstore.
        """
        named = os.path.normpath(self.start / path)
        # Links above the last component lead where they lead; the last one is meant itself.
        parent, name = os.path.split(named)
        real = os.path.join(os.path.realpath(parent), name)
        inside = os.path.relpath(real, self.work_tree)
        if inside == "." or (_is_outside(inside) and os.path.realpath(named) == str(self.work_tree)):
            return ""
        if _is_outside(inside):
            raise InvalidError(f"{path} is outside the repository {self.location}", path=str(path))
        inside = inside.replace(os.sep, "/")
        if any(map(is_reserved, inside.split("/"))):
            raise InvalidError(f"{path} belongs to git or vstore", path=str(path))
        is_data = find_owner(self.work_tree, inside.rpartition("/")[0]) is not None
        return inside if is_data else inside.removesuffix(POINTER_SUFFIX)

    def is_ignored(self, path: RelPath) -> bool:
        """Tell whether git ignores a directory, so that pointers in it could not be committed."""
        return self.git is not None and self.git.is_ignored(path, directory=True)

    def warn_of_damage(self, digest: Digest) -> None:
        """Tell that an object of the cache was damaged and is being replaced."""
        self.reporter.warn(f"the cached object {digest} was damaged and is replaced")

    # services

    def snapshotter(self) -> Snapshotter:
        """Return what takes snapshots of this work tree's files."""
        with contextlib.suppress(OSError):  # nothing is remembered then
            self.private.mkdir(parents=True, exist_ok=True)
        return Snapshotter(
            self.work_tree,
            self.cache,
            self.state,
            algorithm=self.algorithm,
            jobs=self.jobs,
            reporter=self.reporter,
        )

    @functools.cached_property
    def link_type(self) -> str:
        """Return how large files are linked here; says so once if the first choice does not work."""
        self.cache.create()
        with os_errors(self.work_tree, "write to"):
            link_type, failed = probe_link_type(self.config.cache_type, self.cache.path, self.directory)
        wanted = [kind for kind in failed if kind != "reflink" or self.config.cache_type_is_set]
        if wanted:
            self.reporter.note(f"{' and '.join(wanted)} does not work here, using {link_type}")
        return link_type

    @functools.cached_property
    def materializer(self) -> Materializer:
        """Return what writes files of this work tree."""
        return Materializer(self.work_tree, self.cache, self.state, link_type=self.link_type, reporter=self.reporter)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold this work tree's lock alone, and the cache's with other writers.  Raises LockedError."""
        with os_errors(self.private, "lock"):
            self.private.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(wait_s=self.config.lock_wait_s, on_wait=lambda: self.reporter.note(_WAITING))
        try:
            with self.using_cache():
                yield
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def using_cache(self) -> Iterator[None]:
        """Keep collectors out of the cache, and let them know of us; other writers share it.  Raises LockedError."""
        with self._holding_cache(shared=True) as held:
            if not held:
                self.reporter.warn(f"{self.cache.path} is on a file system without locks")
            try:
                if self.notes_use:
                    note(self.cache, self.as_user())
            except OSError as error:
                reason = from_os_error(error, self.cache.path, "write to").message
                self.reporter.warn(f"who collects garbage in the cache will not see what is needed here: {reason}")
            yield

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Have the cache alone, to remove contents from it.  Raises LockedError; UnavailableError without locks."""
        with self._holding_cache(shared=False) as held:
            if not held:
                fact = f"{self.cache.path} is on a file system without locks, so that others may be using it now"
                raise UnavailableError(fact, path=str(self.cache.path))
            yield

    @contextlib.contextmanager
    def _holding_cache(self, *, shared: bool) -> Iterator[bool]:
        """Hold the lock on the cache; yields False where there are no locks."""
        self.cache.create()
        lock = self.cache.lock()
        with os_errors(self.cache.path, "lock"):
            held = lock.acquire(
                shared=shared, wait_s=self.config.lock_wait_s, on_wait=lambda: self.reporter.note(_WAITING)
            )
        self.cache.packs.reload()  # a collector may have been at them while we waited
        try:
            yield held
        finally:
            lock.release()

    def as_user(self) -> User:
        """Return this work tree as those who collect garbage in its cache know it.  Raises OSError."""
        home, shared = (self.directory, None) if self.git is None else (self.git.git_dir, self.git.common_dir)
        # A link in its place, to the cache of another repository, shares that.
        owns_cache = Path(os.path.realpath(self.cache.path)).is_relative_to(os.path.realpath(shared or home))
        return identify(self.work_tree, home, shared, id_file=self.private / ID_FILE, owns_cache=owns_cache)

    @contextlib.contextmanager
    def open_remote(self, name: str | None = None) -> Iterator[Remote]:
        """Open a remote by name, or the default one.  Raises RemoteNotFoundError and what opening raises."""
        settings = self.config.remotes.get(self.remote_name(name))
        assert settings is not None
        try:
            with self._open_remote(settings) as remote:
                yield remote
        except (RemoteUnavailableError, RemoteDeniedError) as error:
            error.fields.setdefault("remote", settings.name)
            raise

    def _open_remote(self, settings: RemoteSettings) -> Remote:
        # A fifth of all that is loaded, and no verb that only looks at files and versions needs it.
        from vstore.remote.ledger import Policy
        from vstore.remote.opening import is_known_place, open_remote, open_transport
        from vstore.remote.wrappers import ReadOnlyTransport, RetryingTransport

        if self.url is not None and "://" not in settings.url and not os.path.isabs(settings.url):
            fact = f"the remote {settings.name} of {self.location} is a directory beside that repository"
            raise RemoteUnavailableError(f"{fact}, which is on another machine", url=settings.url, elsewhere=True)
        transport: Transport = open_transport(
            settings.url, settings.options, root=self.work_tree, timeout_s=self.config.timeout_s
        )
        if not is_known_place(settings.url):
            scheme = settings.url.partition("://")[0]
            self.reporter.warn(f"the driver for {scheme}:// is none that vstore is tested with")
        transport = RetryingTransport(transport, tell=self.reporter.note)
        if settings.read_only:
            transport = ReadOnlyTransport(transport)
        mirror = self.shared / "remotes" / hashlib.sha256(transport.url.encode()).hexdigest()[:32]
        return open_remote(
            transport,
            settings.name,
            project=self.config.project,
            mirror=mirror,
            jobs=self.jobs,
            in_flight_bytes=self.config.in_flight_bytes,
        ).follow(Policy(settings.retention_days * 24 * 3600.0, settings.compact))

    def remote_terms(self, name: str | None) -> RemoteTerms:
        """Return what workers must know to open a remote; secrets stay here.  Raises InvalidError for a secret URL."""
        from vstore.remote.opening import RemoteTerms

        settings = self.config.remotes[self.remote_name(name)]
        if masked_url(settings.url) != settings.url:
            raise InvalidError(f"the URL of the remote {settings.name} holds a password, which no cluster is told")
        return RemoteTerms(
            settings.name,
            settings.url,
            {key: value for key, value in settings.options.items() if not is_secret(f"remote.{settings.name}.{key}")},
            self.config.project,
            self.jobs,
            self.config.in_flight_bytes,
            self.config.timeout_s,
        )

    def remote_names(self) -> list[str]:
        """Return the names of all remotes, the default one first."""
        return sorted(self.config.remotes, key=lambda name: (name != self.config.default_remote, name))

    def remote_name(self, name: str | None = None) -> str:
        """Return the name of a remote that is configured: ``name``, or the default, or the only one there is."""
        known = sorted(self.config.remotes)
        chosen = name or self.config.default_remote or (known[0] if len(known) == 1 else None)
        if chosen is None:
            what = "no remote is configured" if not known else "there are several remotes and no default"
            raise RemoteNotFoundError(what, name=None, known=known)
        if chosen not in self.config.remotes:
            raise RemoteNotFoundError(f"there is no remote named {chosen!r}", name=chosen, known=known)
        return chosen


def _is_outside(path: str) -> bool:
    return path == os.pardir or path.startswith(os.pardir + os.sep)


def find_root(start: Path) -> Path | None:
    """Return the nearest directory at or above ``start`` that holds a ``.vstore/config``."""
    start = Path(os.path.realpath(start))
    if not start.is_dir():
        return None  # a mistyped name is not the repository around it
    for directory in (start, *start.parents):
        if (directory / VSTORE_DIRECTORY / "config").is_file():
            return directory
        if (directory / ".git").exists():
            return None  # a repository inside another one is not part of it
    return None


def open_repo(start: Path, *, environ: Mapping[str, str] | None = None, reporter: Reporter = SILENT) -> Repo:
    """Open the repository at or above ``start``.  Raises RepositoryNotFoundError.

    >>> with vstore.open_repo(Path("data")) as repo:
    ...     print(repo.work_tree)
    /home/ada/project
    """
    root = find_root(start)
    if root is None:
        raise no_repository(start)
    config = load_config(root / VSTORE_DIRECTORY, os.environ if environ is None else environ)
    git = find_git_repo(root) if not config.no_git else None
    if git is not None and Path(os.path.realpath(git.work_tree)) != root:
        git = None
    return Repo(root, git, config, start=Path(os.path.realpath(start)), reporter=reporter)


def no_repository(start: Path) -> RepositoryNotFoundError:
    """Return what there is to say where ``find_root`` finds nothing."""
    if not start.is_dir():
        return RepositoryNotFoundError(f"there is no directory {start}", path=str(start))
    with contextlib.suppress(GitFailedError):
        git = find_git_repo(start)
        config = f"{VSTORE_DIRECTORY}/config"
        if git is not None and git.has_tracked(config):
            # A sparse checkout brings only the directories that somebody named.
            is_sparse = git.is_left_out(config)
            why = "this sparse checkout leaves it out" if is_sparse else "it is not there"
            fact = f"git keeps {git.work_tree / config}, and {why}"
            return RepositoryNotFoundError(fact, path=str(git.work_tree), sparse=is_sparse)
    return RepositoryNotFoundError(f"there is no vstore repository at or above {start}", path=str(start))
