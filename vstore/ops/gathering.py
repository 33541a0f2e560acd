"""Gathering: what a path of another repository stands for, brought into a cache of ours.

Contents come from where they are nearest: a cache of ours, that of the other repository, its remotes; and if it
imported them itself, from where it has them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vstore.cache.cache import Cache
from vstore.cache.writer import CacheWriter, open_writer
from vstore.config import masked_url
from vstore.elsewhere import open_elsewhere, resolve_location
from vstore.errors import (
    CorruptError,
    InvalidError,
    NotDownloadedError,
    ObjectMissingError,
    PathNotFoundError,
    RemoteNotFoundError,
    VstoreError,
)
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.names import RelPath, find_refusal
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, SYMLINK, Entry, Tree, find_target_refusal
from vstore.ops.picking import Pick, iter_kept_data, pick
from vstore.ops.resolve import Target
from vstore.remote.content import Content
from vstore.repo import Repo
from vstore.workspace.pointers import Artifact

MOST_STEPS = 10
"""How many repositories a chain of imports may have: more is a ring."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is at a path of another repository: one file, whose entry has the path "", or a directory.

    ``path`` is relative to that repository.  ``lacking`` are the contents that are not here, ``missing`` those of them
    that were looked for everywhere, with a path.
    """

    location: str
    path: RelPath
    is_tree: bool
    entries: list[Entry]
    read_bytes: int
    """What was downloaded."""
    lacking: list[Content] = field(default_factory=list)
    missing: list[tuple[RelPath, Digest]] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """The sizes of all files, added up."""
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(entry.is_file for entry in self.entries)

    @property
    def lacking_bytes(self) -> int:
        """The sizes of the contents that are not here, added up."""
        return sum(content.size_bytes for content in self.lacking)

    def check_whole(self) -> None:
        """Raise ObjectMissingError if contents were looked for everywhere and are missing."""
        if self.missing:
            paths = [f"{self.path}/{path}".strip("/") for path, _ in self.missing]
            number = f"{len(paths):,} files" if len(paths) > 1 else paths[0]
            fact = f"the contents of {number} are neither in a cache nor in a remote of {self.location}"
            raise ObjectMissingError(fact, digests=[digest for _, digest in self.missing], paths=paths)


@dataclass(frozen=True, slots=True)
class Manner:
    """How to gather.

    ``algorithm`` names what is not named by it already, or None leaves names as they are.  Without ``download`` only
    git's own files and lists of files are brought.  What the other repository's cache holds is good where it is if
    ``stays``; but not what is in ``damaged``.
    """

    algorithm: str | None = None
    download: bool = True
    stays: bool = False
    damaged: frozenset[Digest] = frozenset()
    steps: int = 0


def gather(source: Repo, path: str | os.PathLike[str], cache: Cache, *, manner: Manner = Manner()) -> Gathered:
    """Bring what is at a path of another repository, at its revision, into a cache; every byte is verified.

    Raises PathNotFoundError, ObjectMissingError for a list of files that is nowhere, and what reading git and
    remotes raises.
    """
    return _Gathering(source, cache, manner).run(pick(source, os.fspath(path)))


class _Part(NamedTuple):
    """An artifact, or a part of one, with its entries by their paths in what is gathered: all but empty directories."""

    target: Target
    entries: list[Entry]
    is_there: bool = True


class _Gathering:
    def __init__(self, source: Repo, cache: Cache, manner: Manner) -> None:
        self._source = source
        self._cache = cache
        self._manner = manner
        self._read_bytes = 0

    def run(self, found: Pick) -> Gathered:
        parts = [self._open(target, found) for target in found.targets if self._is_readable(target, found)]
        # Git's own files are here with the commit, or as good as; their names are known when they are read.
        kept = self._keep(found)
        wanted = self._find_wanted(parts)
        if self._manner.download and wanted:
            self._bring(parts, wanted)
            wanted = self._find_wanted(parts)
        entries = [entry for part in parts for entry in part.entries] + kept
        self._check(found, parts, entries)
        if self._manner.download and not wanted:
            entries = self._renamed(entries)
        missing = [(entry.path, entry.digest) for entry in entries if entry.digest in wanted]
        return Gathered(
            location=self._source.location,
            path=found.path,
            is_tree=[entry.path for entry in entries] != [""],
            entries=sorted(entries),
            read_bytes=self._read_bytes,
            lacking=list(wanted.values()),
            missing=missing if self._manner.download else [],
        )

    def _is_readable(self, target: Target, found: Pick) -> bool:
        broken = target.artifact.pointer
        if isinstance(broken, NotDownloadedError) and target == found.artifact:
            url, where = masked_url(broken.fields["url"]), self._source.location
            fact = f"{target.artifact.path} of {where} is an import from {url} that was not downloaded there yet"
            raise NotDownloadedError(fact, path=broken.fields["path"], url=url, repo=where)
        if isinstance(broken, Pointer) or target == found.artifact:
            return True
        self._source.reporter.warn(f"{target.path} was left out: {broken.message}")
        return False

    def _check(self, found: Pick, parts: Sequence[_Part], entries: Sequence[Entry]) -> None:
        whole = [entry for entry in entries if not entry.path]
        if whole and whole[0].kind == SYMLINK:
            raise InvalidError(f"{found.path} is a symlink to {whole[0].target}", path=found.path)
        if not entries and not any(part.is_there for part in parts):
            where = self._source.location
            fact = f"there is no {found.path} in {where}"
            raise PathNotFoundError(fact, path=found.path, repo=where, elsewhere=True)

    # artifacts

    def _open(self, target: Target, found: Pick) -> _Part:
        """Return what an artifact, or the part of it that is meant, has; lists of files are fetched for it."""
        pointer, path = target.pointer, target.artifact.path
        inside = target.inner if target == found.artifact else ""
        prefix = path[len(found.path) :].lstrip("/") if path.startswith(found.path) else ""
        if not pointer.is_tree:
            if inside:
                return _Part(target, [], is_there=False)
            kind = EXECUTABLE if pointer.executable else FILE
            return _Part(target, [Entry(prefix, kind, pointer.size_bytes, pointer.digest)])
        entries = []
        for entry in Tree.from_bytes(self._load_tree(target)).iter_below(inside):
            below = entry.path[len(inside) :].lstrip("/")
            moved = entry._replace(path=f"{prefix}/{below}".strip("/"))
            if moved.kind == SYMLINK and moved.path and (inside or prefix) and (why := find_target_refusal(moved)):
                self._source.reporter.warn(f"{path}/{entry.path} {why}, and was left out")
                continue
            entries.append(moved)
        if not entries and prefix:
            entries = [Entry(prefix, EMPTY_DIRECTORY, 0)]
        is_there = bool(entries) or not inside
        if [(entry.path, entry.kind) for entry in entries] == [("", EMPTY_DIRECTORY)]:
            entries = []
        return _Part(target, entries, is_there)

    def _load_tree(self, target: Target) -> bytes:
        pointer = target.pointer
        for cache in (self._cache, self._source.cache):
            with contextlib.suppress(ObjectMissingError, CorruptError):
                return cache.read(pointer.digest)
        data = self._read_from_remote(pointer)
        if data is None:
            data = find_tree_at_origin(self._source, pointer, self._cache, manner=self._manner)
            if data is not None:
                return data
            path = target.artifact.path
            fact = f"the list of files of {path} is neither in a cache nor in a remote of {self._source.location}"
            raise ObjectMissingError(fact, digests=[pointer.digest], paths=[path])
        with open_writer(self._cache) as writer:
            writer.add_bytes(data, algorithm_of(pointer.digest).name)
        return data

    def _read_from_remote(self, pointer: Pointer) -> bytes | None:
        if pointer.stays_elsewhere:
            return None
        try:
            with self._source.open_remote(pointer.remote) as remote:
                data = remote.read_blob(pointer.digest)
        except (RemoteNotFoundError, ObjectMissingError):
            return None
        if hash_bytes(data, algorithm_of(pointer.digest).name) != pointer.digest:
            raise CorruptError(f"the remote's copy of {pointer.digest} is damaged", digest=pointer.digest)
        return data

    def _find_wanted(self, parts: Iterable[_Part]) -> dict[Digest, Content]:
        """Return the contents that are not where they are needed."""
        contents = {
            entry.digest: Content(entry.digest, entry.size_bytes)
            for part in parts
            for entry in part.entries
            if entry.is_file
        }
        missing = self._cache.find_missing(contents)
        if self._manner.stays and missing:
            missing = self._source.cache.find_missing(missing) | (missing & self._manner.damaged)
        return {digest: content for digest, content in contents.items() if digest in missing}

    def _bring(self, parts: Sequence[_Part], wanted: Mapping[Digest, Content]) -> None:
        """Bring contents from wherever they are; what is nowhere stays wanted."""
        if not self._manner.stays and self._source.cache.path != self._cache.path:
            with open_writer(self._cache) as writer:
                self._adopt(writer, list(wanted.values()))
        by_remote: dict[str | None, list[_Part]] = {}
        for part in parts:
            if not part.target.pointer.stays_elsewhere:
                by_remote.setdefault(part.target.pointer.remote, []).append(part)
        for remote, group in by_remote.items():
            self._download(remote, group, wanted)
        for part in parts:
            lacking = self._cache.find_missing(entry.digest for entry in part.entries if entry.digest in wanted)
            if lacking:
                found = bring_from_origin(self._source, part.target, self._cache, manner=self._manner)
                self._read_bytes += 0 if found is None else found.read_bytes

    def _adopt(self, writer: CacheWriter, contents: Sequence[Content]) -> None:
        """Copy what the other repository's cache holds undamaged; large contents share blocks where that works."""
        held = self._source.cache
        reporter = self._source.reporter
        reporter.begin("copying", total=sum(content.size_bytes for content in contents), unit="bytes")
        try:
            for digest, size_bytes in contents:
                if size_bytes <= SMALL_BYTES:
                    with contextlib.suppress(ObjectMissingError, CorruptError):
                        record = held.find_record(digest)
                        if record is not None:
                            writer.add_records([record])
                        else:
                            writer.add_bytes(held.read(digest), algorithm_of(digest).name)
                    reporter.advance(size_bytes)
                    continue
                file = held.open_large(digest)
                if file is None:
                    continue
                with file:
                    copy = writer.copy_large(file.fileno(), algorithm_of(digest).name, reporter.advance)
                if copy.digest == digest:
                    writer.add_large(copy)
                else:
                    writer.drop_large(copy)
        finally:
            reporter.end()

    def _download(self, name: str | None, parts: Sequence[_Part], wanted: Mapping[Digest, Content]) -> None:
        """Fetch contents from the remote they belong to, as far as it has them."""
        own = dict.fromkeys(entry.digest for part in parts for entry in part.entries if entry.digest in wanted)
        lacking = self._cache.find_missing(own)
        contents = [wanted[digest] for digest in own if digest in lacking]
        if not contents:
            return
        roots = {part.target.pointer.digest for part in parts}
        try:
            with self._source.open_remote(name) as remote, open_writer(self._cache) as writer:
                report = remote.fetch(contents, writer, roots=roots, reporter=self._source.reporter)
        except RemoteNotFoundError:
            return
        self._read_bytes += report.read_bytes

    # what git keeps

    def _keep(self, found: Pick) -> list[Entry]:
        """Put the files that git keeps into the cache, and return their entries."""
        if not found.kept:
            return []
        algorithm = self._manner.algorithm or self._source.algorithm
        entries = []
        with open_writer(self._cache) as writer:
            for kept, data in iter_kept_data(self._source, found):
                path = kept.path[len(found.path) :].lstrip("/")
                refusal = find_refusal(path) if path else None
                if refusal:
                    self._source.reporter.warn(f"{kept.path!r} {refusal}, and was left out")
                    continue
                if kept.kind != "symlink":
                    kind = EXECUTABLE if kept.kind == "executable" else FILE
                    entries.append(Entry(path, kind, len(data), writer.add_bytes(data, algorithm)))
                    continue
                link = Entry(path, SYMLINK, 0, target=os.fsdecode(data))
                why = find_target_refusal(link) if path else None
                if why:
                    self._source.reporter.warn(f"{kept.path} {why}, and was left out")
                else:
                    entries.append(link)
        return entries

    # other names

    def _renamed(self, entries: list[Entry]) -> list[Entry]:
        """Return entries whose contents are all named by the wanted algorithm, after putting them into the cache so."""
        algorithm = self._manner.algorithm
        if algorithm is None or all(not e.is_file or algorithm_of(e.digest).name == algorithm for e in entries):
            return entries
        names: dict[Digest, Digest] = {}
        with open_writer(self._cache) as writer:
            for entry in entries:
                if entry.is_file and algorithm_of(entry.digest).name != algorithm and entry.digest not in names:
                    names[entry.digest] = self._rename(writer, entry, algorithm)
        return [entry._replace(digest=names.get(entry.digest, entry.digest)) for entry in entries]

    def _rename(self, writer: CacheWriter, entry: Entry, algorithm: str) -> Digest:
        file = self._cache.open_large(entry.digest) if entry.size_bytes > SMALL_BYTES else None
        if file is None:
            return writer.add_bytes(self._cache.read(entry.digest), algorithm)
        with file:
            copy = writer.copy_large(file.fileno(), algorithm, self._source.reporter.advance)
        writer.add_large(copy)
        return copy.digest


def bring_from_origin(repo: Repo, target: Target, cache: Cache, *, manner: Manner = Manner()) -> Gathered | None:
    """Bring an artifact, or a part of one, from the repository from which it was imported; None if it was not.

    It comes at the commit that the pointer names.  Raises as ``gather`` and ``open_elsewhere``.
    """
    pointer = target.pointer
    location, path, commit = (pointer.source.get(key) for key in ("repo", "path", "commit"))
    if not isinstance(location, str) or not isinstance(path, str):
        return None
    if manner.steps == MOST_STEPS:
        fact = f"{target.path} was imported through more than {MOST_STEPS} repositories"
        raise InvalidError(fact, path=target.path)
    named = Manner(algorithm_of(pointer.digest).name, manner.download, steps=manner.steps + 1)
    rev = commit if isinstance(commit, str) else None
    with open_elsewhere(resolve_location(repo, location), rev=rev, reporter=repo.reporter) as origin:
        found = gather(origin, f"{path}/{target.inner}" if target.inner else path, cache, manner=named)
    if found.is_tree and not target.inner:
        with open_writer(cache) as writer:
            writer.add_bytes(Tree(found.entries).to_bytes(), algorithm_of(pointer.digest).name)
    return found


def find_tree_at_origin(repo: Repo, pointer: Pointer, cache: Cache, *, manner: Manner = Manner()) -> bytes | None:
    """Return the list of files of an import, brought from the repository from which it was imported.

    None if it was not imported, or is not there as the pointer says.
    """
    if not is_imported(pointer):
        return None
    whole = Target(Artifact(str(pointer.source["repo"]), pointer))
    # Where contents have other names there, the list can only be made of the contents.
    for download in (False, True)[: 1 + manner.download]:
        bring_from_origin(repo, whole, cache, manner=dataclasses.replace(manner, download=download))
        with contextlib.suppress(ObjectMissingError, CorruptError):
            return cache.read(pointer.digest)
    return None


def is_imported(pointer: Pointer | VstoreError) -> bool:
    """Tell whether a pointer was imported from another repository."""
    return isinstance(pointer, Pointer) and isinstance(pointer.source.get("repo"), str)
