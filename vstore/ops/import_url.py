"""``import-url``: take over data from a URL, and remember where it came from and in which version."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vstore.cache.writer import open_writer
from vstore.errors import InvalidError, SourceChangedError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import AWAITED, POINTER_SUFFIX, Pointer
from vstore.objects.tree import Tree
from vstore.ops.add import NEW, UPDATED, Labels, publish_pointer, tree_pointer
from vstore.ops.checkout import CheckoutResult, checkout
from vstore.ops.cluster.streaming import Convoy, Job
from vstore.ops.destination import check_free, find_old, find_path, inherit
from vstore.ops.download import Arrived, download
from vstore.ops.listings import load_listing, save_listing
from vstore.ops.origins import Survey, check_url, make_entry, name_of, open_source, source_terms, survey, survey_locked
from vstore.ops.staging import stage
from vstore.ops.streaming import Delivery, Stream, add_sizes
from vstore.ops.transfer import list_contents, refresh_listing
from vstore.remote.content import Content, Root
from vstore.remote.origin import Item, Origin
from vstore.repo import Repo
from vstore.workspace.pointers import load_awaited

DOWNLOAD, AWAIT, TO_REMOTE = "download", "await", "to-remote"
_NOTHING: Mapping[str, Arrived] = {}


@dataclass(frozen=True, slots=True)
class ImportUrlResult:
    """An import: what it is now, and where the data went.

    ``way``: "download" (into cache and work tree), "await" (nowhere yet) or "to-remote" (to ``remote`` only).
    """

    path: RelPath
    url: str
    change: str
    """"new" or, of what was tracked before, "updated"."""
    kind: str
    digest: Digest | None
    """None where nothing was read."""
    size_bytes: int
    files: int
    lock: str
    """Which version of the source this is; "" where the source tells nothing."""
    way: str
    remote: str | None = None
    checkout: CheckoutResult | None = None
    dry_run: bool = False


class Way(NamedTuple):
    """What becomes of the data of an import.

    ``remote`` is the name of the one that it goes to, with TO_REMOTE.  ``force`` overwrites what is there.
    """

    kind: str = DOWNLOAD
    remote: str | None = None
    force: bool = False


def import_url(
    repo: Repo,
    url: str,
    out: str | Path | None = None,
    *,
    way: Way = Way(),  # noqa: B008 - frozen
    labels: Labels = Labels(),  # noqa: B008 - frozen
    dry_run: bool = False,
) -> ImportUrlResult:
    """Track what a URL names at ``out`` (by default in the directory one stands in, under its own name).

    A file, or all files below a folder.  Raises ConflictError, AddRefusedError,
    InvalidError for a URL with a secret, KeyNotFoundError where nothing is there, ChangedWhileReadError.
    """
    url = check_url(repo, url)
    path = find_path(repo, out, lambda: name_of(url))
    _check_apart(repo, url, path)
    check_free(repo, path, {"url": url}, force=way.force)
    remote = repo.remote_name(way.remote or labels.remote) if way.kind == TO_REMOTE else None
    old = find_old(repo, path)
    change = NEW if old is None else UPDATED
    with repo.using_cache(), open_source(repo, url) as origin:
        found = survey(repo, origin, url)
        pointer = labels.apply(make_pointer(found, url, old))
        if not dry_run and way.kind != AWAIT:
            if remote is not None:
                pointer = Bringing(repo, path, origin, found).stream(pointer, remote)
            else:
                pointer = Bringing(repo, path, origin, found, load_listing(repo, found.lock)).download(pointer)
        if not dry_run:
            with repo.writing():
                check_free(repo, path, pointer, force=way.force)
                stage(repo, publish_pointer(repo, path, pointer))
    placed = None
    if not dry_run and way.kind == DOWNLOAD:
        placed = checkout(repo, [repo.work_tree / path], force=way.force)
    return ImportUrlResult(
        path=path,
        url=url,
        change=change,
        kind=pointer.kind,
        digest=pointer.digest or None,
        size_bytes=pointer.size_bytes,
        files=pointer.files,
        lock=found.lock,
        way=way.kind,
        remote=remote,
        checkout=placed,
        dry_run=dry_run,
    )


def _check_apart(repo: Repo, url: str, path: RelPath) -> None:
    """Raise InvalidError for a directory that holds the place to which it is to be imported: it would grow for ever."""
    source = os.path.realpath(url.removeprefix("file://"))
    if url.startswith(("/", "file://")) and Path(repo.work_tree, path).is_relative_to(source):
        raise InvalidError(f"{path}, to which {url} is to be imported, is a part of it", url=url)


def make_pointer(found: Survey, url: str, old: Pointer | None) -> Pointer:
    """Return the pointer of an import before its data was read; what a person said of an old one stays."""
    source = found.to_source(url)
    pointer = Pointer(
        kind="tree" if found.is_tree else "file",
        digest=AWAITED,
        size_bytes=found.size_bytes,
        files=len(found.items),
        executable=not found.is_tree and found.items[0].executable,
        source=source,
    )
    # Most sources know nothing of executable files.
    is_executable = not found.is_tree and (pointer.executable or (old is not None and old.executable))
    return inherit(dataclasses.replace(pointer, executable=is_executable), old)


class Bringing:
    """The data of one import on its way; ``known`` are files that need not be read again, by path."""

    def __init__(
        self, repo: Repo, path: RelPath, origin: Origin, found: Survey, known: Mapping[str, Arrived] = _NOTHING
    ) -> None:
        self._repo = repo
        self._path = path
        self._origin = origin
        self._found = found
        locks = {item.path: item.lock for item in found.items}
        self._kept = [each for each in known.values() if each.item.lock and locks.get(each.item.path) == each.item.lock]
        self._pointer = Pointer("file", AWAITED, 0)

    def download(self, pointer: Pointer) -> Pointer:
        """Bring it into the cache; returns the pointer with what it turned out to be."""
        missing = self._repo.cache.find_missing(each.digest for each in self._kept)
        self._kept = [each for each in self._kept if each.digest not in missing]
        with open_writer(self._repo.cache, self._repo.warn_of_damage) as writer:
            arrived = download(self._repo, self._origin, self._wanted(), writer)
            pointer, tree = self._complete(pointer, arrived)
            if tree is not None:
                writer.add_bytes(tree, self._repo.algorithm)
        return pointer

    def stream(self, pointer: Pointer, remote: str) -> Pointer:
        """Bring it to a remote, and only its list of files into the cache."""
        self._pointer = pointer
        with self._repo.open_remote(remote) as opened:
            engine = self._repo.engine
            if engine is None:
                opened.push_incoming(self._deliver(), self._repo.cache, reporter=self._repo.reporter)
            else:
                job = Job(source_terms(self._repo, str(pointer.source["url"])), self._wanted(), remote)
                convoy = Convoy(self._repo, engine, job, self._make_root)
                opened.push_incoming(convoy, self._repo.cache, crew=convoy, reporter=self._repo.reporter)
            refresh_listing(self._repo, opened)
        return self._pointer

    def _deliver(self) -> Delivery:
        wanted, repo = self._wanted(), self._repo
        stream = Stream(
            self._origin,
            wanted,
            algorithm=repo.algorithm,
            jobs=repo.jobs,
            in_flight_bytes=repo.config.in_flight_bytes,
        )
        return Delivery(stream, add_sizes(wanted), self._make_root)

    def _wanted(self) -> list[Item]:
        kept = {each.item.path for each in self._kept}
        return [item for item in self._found.items if item.path not in kept]

    def _make_root(self, arrived: list[Arrived]) -> Root:
        pointer, tree = self._complete(self._pointer, arrived)
        if tree is not None:
            with open_writer(self._repo.cache, self._repo.warn_of_damage) as writer:
                writer.add_bytes(tree, self._repo.algorithm)
        self._pointer = pointer
        contents: list[Content] = list_contents(pointer, tree)
        head = None if self._repo.git is None else self._repo.git.head()
        return Root(pointer.digest, pointer.kind, contents, self._path, head)

    def _complete(self, pointer: Pointer, arrived: list[Arrived]) -> tuple[Pointer, bytes | None]:
        """Return the pointer, and the tree if it is one, of all that is here now."""
        if not self._found.is_tree:
            [only] = arrived
            return dataclasses.replace(pointer, digest=only.digest, size_bytes=only.size_bytes), None
        whole = [*self._kept, *arrived]
        items = {item.path: item for item in self._found.items}
        tree = Tree(make_entry(items[each.item.path], each.digest, each.size_bytes) for each in whole)
        data = tree.to_bytes()
        made = tree_pointer(tree, data, self._repo.algorithm)
        save_listing(self._repo, self._found.lock, whole)
        return dataclasses.replace(pointer, digest=made.digest, size_bytes=made.size_bytes, files=made.files), data


def bring_awaited(repo: Repo, path: RelPath) -> bool:
    """Download an import that was not downloaded yet, in the version that its pointer names; its files come later.

    Returns False where it is none.  Raises SourceChangedError where the source has that version no longer.
    """
    pointer = load_awaited(repo.work_tree, path)
    if not pointer.is_awaited:
        return False
    url = str(pointer.source["url"])
    with repo.using_cache(), open_source(repo, url) as origin:
        found = survey_locked(repo, origin, pointer)
        if found is None:
            message = f"{origin.url} is another version now than the one that {path}{POINTER_SUFFIX} names"
            raise SourceChangedError(message, path=path, url=origin.url)
        wanted = dataclasses.replace(make_pointer(found, url, pointer), source=pointer.source)
        done = Bringing(repo, path, origin, found).download(wanted)
        with repo.writing():
            if not load_awaited(repo.work_tree, path).is_awaited:
                return True  # somebody else was faster
            stage(repo, publish_pointer(repo, path, done))
    return True
