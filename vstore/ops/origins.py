"""Where imported data comes from: a URL as a user or a pointer names it, and what is there."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vstore.errors import InvalidError, KeyNotFoundError, RemoteDeniedError, RemoteUnavailableError
from vstore.objects.digest import Digest
from vstore.objects.names import find_refusal, is_reserved
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EXECUTABLE, FILE, Entry, Tree
from vstore.remote.opening import is_known_place, open_origin
from vstore.remote.origin import Item, Origin, RetryingOrigin, listing_lock
from vstore.remote.transport import public_url
from vstore.repo import Repo

_REMOTE = "remote://"
_SECRET = re.compile(
    r"(?i)[?&](?:[\w-]*(?:signature|token|credential|secret|passw|api-?_?key|access-?_?key)[\w-]*|sig|key|auth)="
)
_MOST_NAMED = 5
_NO_DIGEST = Digest("xxh128:" + 32 * "0")


@dataclass(frozen=True, slots=True)
class Survey:
    """What a URL names now: a file, or a folder (``is_tree``) of some.  ``lock`` names this version of it all."""

    is_tree: bool
    items: list[Item]
    lock: str

    @property
    def version(self) -> str:
        """By what the source keeps a file also when it is replaced; "" where it does not, and of a folder."""
        return "" if self.is_tree else self.items[0].version

    @property
    def size_bytes(self) -> int:
        """The bytes of all files, as far as they are known."""
        return sum(item.size_bytes or 0 for item in self.items)

    def to_source(self, url: str) -> Mapping[str, Any]:
        """Return what a pointer says of it."""
        told = {"lock": self.lock, "version": "" if self.version in self.lock else self.version}
        return {"url": url, **{key: value for key, value in told.items() if value}}


def check_url(repo: Repo, url: str) -> str:
    """Return the URL as a pointer may say it: a path of this machine becomes absolute.

    Raises InvalidError where a secret is in it, which a pointer would show to everybody who has the repository.
    """
    scheme, mark, rest = url.partition("://")
    if not url:
        raise InvalidError("the URL is empty", url=url)
    if not mark:
        return os.path.abspath(repo.start / os.path.expanduser(url))
    user = rest.partition("/")[0].rpartition("@")[0]
    # A user without a password is a token, where web servers are asked.
    has_login = ":" in user or (user and scheme.lower().startswith(("http", "webdav")))
    if has_login or _SECRET.search(url):
        what = "a password" if has_login else "a key or signature"
        shown = public_url(url)
        message = f"{shown} was given with {what} in it, which its pointer would show to everybody"
        raise InvalidError(message, url=shown, secret=True)
    return url


def name_of(url: str) -> str:
    """Return what data of a URL is called unless the user says it.  Raises InvalidError where nothing names it."""
    _, mark, rest = url.partition("://")
    path = urlsplit(url).path if url.lower().startswith(("http://", "https://")) else "/" + rest if mark else url
    name = path.rstrip("/").rpartition("/")[2]
    is_web = url.lower().startswith(("http", "webdav"))
    name = unquote(name) if is_web else name
    bucket_only = mark and "/" not in rest.rstrip("/")
    if not name or find_refusal(name) or (bucket_only and is_web):
        raise InvalidError(f"{public_url(url)} does not say what its data is called", url=public_url(url), out=True)
    return name


@contextlib.contextmanager
def open_source(repo: Repo, url: str) -> Iterator[Origin]:
    """Open a URL to read from it; ``remote://NAME/PATH`` is below the URL of a remote, and has its options.

    Raises RemoteNotFoundError, RemoteExtraMissingError, InvalidError.
    """
    real, options = _resolve(repo, url)
    try:
        with _open(repo, real, options) as origin:
            yield origin
    except (RemoteUnavailableError, RemoteDeniedError) as error:
        if "remote" not in error.fields:  # that of a push has it already
            remote = url.removeprefix(_REMOTE).partition("/")[0] if url.startswith(_REMOTE) else None
            error.fields.update({"imported": True} if remote is None else {"remote": remote})
        raise


@dataclass(frozen=True, slots=True)
class SourceTerms:
    """What a worker must know to read a source as the client does: plain data, and nothing of it secret."""

    url: str
    options: Mapping[str, str]
    timeout_s: float


def source_terms(repo: Repo, url: str) -> SourceTerms:
    """Return what workers must know of a source.  Raises InvalidError for a URL with a secret."""
    if url.startswith(_REMOTE):
        options = repo.remote_terms(url.removeprefix(_REMOTE).partition("/")[0]).options
        return SourceTerms(_resolve(repo, url)[0], options, repo.config.timeout_s)
    return SourceTerms(url, {}, repo.config.timeout_s)


def open_source_on_terms(terms: SourceTerms, *, tell: Callable[[str], None]) -> Origin:
    """Open a source on a worker, whose own environment has the credentials; ``tell`` hears of what is tried again."""
    return RetryingOrigin(open_origin(terms.url, terms.options, root=Path("/"), timeout_s=terms.timeout_s), tell=tell)


def _open(repo: Repo, real: str, options: Mapping[str, str]) -> Origin:
    origin = open_origin(real, options, root=repo.work_tree, timeout_s=repo.config.timeout_s)
    if not is_known_place(real):
        repo.reporter.warn(f"the driver for {real.partition('://')[0]}:// is none that vstore is tested with")
    return RetryingOrigin(origin, tell=repo.reporter.note)


def _resolve(repo: Repo, url: str) -> tuple[str, Mapping[str, str]]:
    if not url.startswith(_REMOTE):
        return url, {}
    name, _, path = url.removeprefix(_REMOTE).partition("/")
    if ".." in path.split("/"):
        raise InvalidError(f"{url} leads out of the remote", url=url)
    settings = repo.config.remotes[repo.remote_name(name)]
    return f"{settings.url.rstrip('/')}/{path}", settings.options


def survey(repo: Repo, origin: Origin, url: str, *, was_tree: bool = False) -> Survey:
    """Find out what a URL names now; what ``was_tree`` is taken for a folder first, which saves a request.

    Raises KeyNotFoundError where nothing is, NameRefusedError for names that no tree may hold, before any is read.
    """
    is_web = url.lower().startswith(("http://", "https://"))
    ways: list[Callable[[Origin], Survey | None]] = [_find_file, functools.partial(_find_folder, repo)]
    if was_tree or (url.endswith("/") and not is_web):
        ways.reverse()
    found = ways[0](origin) or ways[1](origin)
    if found is None:
        raise KeyNotFoundError(f"there is nothing at {origin.url}", key=origin.url)
    return found


def survey_locked(repo: Repo, origin: Origin, pointer: Pointer) -> Survey | None:
    """Find the version of its source that the pointer of an import names: what is there, or what is kept of it.

    Returns None where it is no more; raises as ``survey``.
    """
    url, lock = str(pointer.source["url"]), str(pointer.source.get("lock", ""))
    gone: KeyNotFoundError | None = None
    try:
        found = survey(repo, origin, url, was_tree=pointer.is_tree)
        if not lock or found.lock == lock:
            return found
    except KeyNotFoundError as error:
        gone = error
    kept = None if pointer.is_tree or not lock else origin.find_version(lock, str(pointer.source.get("version", "")))
    if kept is None and gone is not None:
        raise gone
    return None if kept is None else Survey(False, [kept], lock)


def _find_file(origin: Origin) -> Survey | None:
    item = origin.look("")
    return None if item is None else Survey(False, [item], item.lock)


def _find_folder(repo: Repo, origin: Origin) -> Survey | None:
    items, obstacles = [], []
    skipped = 0
    for item in origin.list():
        if item.obstacle:
            obstacles.append(item)
        elif not item.path:
            return None  # it is a file
        elif any(map(is_reserved, item.path.split("/"))):
            skipped += 1
        else:
            items.append(item)
    if skipped:
        repo.reporter.note(f"{skipped:,} files of {origin.url} were skipped: they belong to git or vstore")
    _tell_obstacles(repo, origin, sorted(obstacles))
    if not items:
        return None
    items.sort(key=lambda item: item.path)
    Tree(make_entry(item, _NO_DIGEST, item.size_bytes or 0) for item in items)
    return Survey(True, items, listing_lock(items))


def _tell_obstacles(repo: Repo, origin: Origin, obstacles: list[Item]) -> None:
    """Say what of a folder is left out.  Raises InvalidError where all of it is that one thing."""
    if not obstacles:
        return
    if not obstacles[0].path:
        raise InvalidError(f"{origin.url} {obstacles[0].obstacle}", url=origin.url)
    named = [f"{item.path} {item.obstacle}" for item in obstacles[:_MOST_NAMED]]
    more = [f"and {len(obstacles) - _MOST_NAMED:,} more"] if len(obstacles) > _MOST_NAMED else []
    repo.reporter.warn(f"what is no file of {origin.url} is left out: {', '.join([*named, *more])}")


def make_entry(item: Item, digest: Digest, size_bytes: int) -> Entry:
    """Return the entry of a file in a tree."""
    return Entry(item.path, EXECUTABLE if item.executable else FILE, size_bytes, digest)
