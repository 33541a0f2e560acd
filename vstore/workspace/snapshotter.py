"""Taking snapshots, reading only the files that were touched since they were last read."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Sequence
from pathlib import Path

from vstore.cache.cache import Cache
from vstore.cache.offering import offer_cache
from vstore.cache.writer import CacheWriter
from vstore.durable import file_system_time_ns
from vstore.engine.engine import Engine
from vstore.engine.processes import LocalProcesses, count_processors
from vstore.engine.shards import cut
from vstore.errors import PartialError, VstoreError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.tree import EXECUTABLE, find_digests, paused_collector
from vstore.progress import SILENT, Reporter
from vstore.state import DirectoryRecord, RootRecord, State
from vstore.workspace.hashing import HashShard, Unread, hash_shard, list_unread
from vstore.workspace.ignoring import load_ignoring
from vstore.workspace.linked import LinkedObjects
from vstore.workspace.reading import Reading
from vstore.workspace.scan import KINDS, Scan, scan
from vstore.workspace.snapshot import UNKNOWN, Snapshot, match, save, state_path

_MANY_PROCESSORS = 3
"""On two, processes gain nothing (docs/benchmarks.md): to begin them takes what they save."""
_MANY_FILES = 20_000
"""So many small files are worth processes of their own: reading one takes some 20 µs, beginning one some 0.2 s."""
_LOCK_WAIT_S = 60.0
"""How long a worker waits for a collector of the cache, which only another machine's can be: we hold the lock."""


class Snapshotter:
    """Takes snapshots in one work tree, remembering in its state what it read."""

    def __init__(
        self,
        work_tree: Path,
        cache: Cache,
        state: State,
        *,
        algorithm: str,
        jobs: int = 1,
        reporter: Reporter = SILENT,
    ) -> None:
        """Take a work tree; ``jobs`` is how many large files are read at once, or processes share many small ones."""
        self._work_tree = work_tree
        self._state = state
        self._cache = cache
        self._links = LinkedObjects(state, cache)
        self._algorithm = algorithm
        self._jobs = jobs
        self._reporter = reporter
        self._looked_up: dict[RelPath, DirectoryRecord | None] = {}

    def look_up(self, keys: Sequence[RelPath]) -> None:
        """Ask the state once for what it knows of many artifacts that are files, and are going to be taken."""
        self._looked_up = {**dict.fromkeys(keys), **self._state.find_directories(keys)}

    def take(
        self,
        root: Path,
        key: RelPath,
        *,
        writer: CacheWriter | None = None,
        remember: bool = True,
        engine: Engine | None = None,
    ) -> Snapshot:
        """Return what lies at ``root``, but for what ignore rules keep out; ``key`` is its path in the work tree.

        With ``writer`` the contents of all its files are in the cache afterwards (at the latest when the writer
        commits); its tree is the caller's to keep, who may only want it as a part of another.  Workers of an
        ``engine`` read them, but for what they see otherwise than we do.
        Raises PartialError naming every file that cannot be tracked or read, NameRefusedError.
        """
        found = self._scan(root, key)
        if found.refused and writer is None:
            remember = False  # only the rest is looked at
        if not found.is_directory and not found.files and not (found.refused and writer is not None):
            return Snapshot(found, "absent", UNKNOWN, 0, 0)
        if not found.is_directory and writer is None:
            untouched = self._find_untouched(found, key)
            if untouched is not None:
                return untouched
        known = self._state.find_root(key) if found.is_directory and not found.refused else None
        if known is not None and known.fingerprint == found.fingerprint() and self._links.are_untouched(found):
            snapshot = self._unchanged(found, known, writer)
            if snapshot is not None:
                return snapshot
        with paused_collector():
            return self._read(found, key, writer, remember, engine)

    def _scan(self, root: Path, key: RelPath) -> Scan:
        if not os.path.isdir(root):
            return scan(root)  # no rule keeps out what was named itself
        self._reporter.begin("scanning")
        ignoring = load_ignoring(self._work_tree, key, self._cache, self._state, reporter=self._reporter)
        found = scan(root, ignoring=ignoring, reporter=self._reporter)
        self._reporter.end()
        return found

    def _find_untouched(self, found: Scan, key: RelPath) -> Snapshot | None:
        """Return the snapshot of a file that was not touched since it was read."""
        record = self._looked_up[key] if key in self._looked_up else self._state.find_directory(key)
        (directory,) = found.directories
        (digest,) = match(directory, record)
        if digest == UNKNOWN:
            return None
        kind, size, *_ = directory.stat(0)
        return Snapshot(found, "file", digest, size, 1, executable=KINDS[kind] == EXECUTABLE, digests=[[digest]])

    def _unchanged(self, found: Scan, known: RootRecord, writer: CacheWriter | None) -> Snapshot | None:
        """Return the snapshot of a directory in which nothing was touched, if the cache still has what it must."""
        try:
            tree = self._cache.read(known.digest)
        except VstoreError:
            return None
        if writer is not None and self._cache.find_missing(find_digests(tree)):
            return None
        return Snapshot(found, "tree", known.digest, known.size_bytes, known.files, tree=tree)

    def _read(
        self, found: Scan, key: RelPath, writer: CacheWriter | None, remember: bool, engine: Engine | None
    ) -> Snapshot:
        records = self._state.load_directories(key)
        digests = [match(directory, records.get(state_path(key, directory.path))) for directory in found.directories]
        if writer is not None:
            missing = self._cache.find_missing(digest for column in digests for digest in column if digest)
            if missing:
                digests = [[UNKNOWN if digest in missing else digest for digest in column] for column in digests]
        try:
            started_ns, granularity_ns = file_system_time_ns(self._state.path.parent)
        except OSError:  # as where nothing may be written: then nothing can be remembered either
            started_ns, granularity_ns, remember = 0, 0, False
        if writer is not None and found.is_directory and not found.refused:
            self._hash_elsewhere(found, digests, writer, engine)
        reading = Reading(found, digests, self._links, self._algorithm, writer)
        reading.run(self._jobs, self._reporter)
        refused = [*found.refused, *reading.failed]
        if refused and writer is not None:
            message = f"{len(refused)} of the paths of {key} cannot be read or tracked"
            raise PartialError(message, done=max(0, found.files - len(refused)), failed=_below(key, refused))
        remember = remember and not refused
        snapshot = reading.snapshot()
        if remember:
            # Who only looks waits for nobody.
            wait = writer is not None
            self._links.save(wait=wait)
            save(self._state, key, snapshot, records, before_ns=started_ns - granularity_ns, wait=wait)
        return snapshot

    def _hash_elsewhere(
        self, found: Scan, digests: list[list[Digest]], writer: CacheWriter, engine: Engine | None
    ) -> None:
        """Let the workers of an engine read files or, where there are very many small ones, processes of our own."""
        if engine is None and (min(self._jobs, count_processors()) < _MANY_PROCESSORS or found.files < _MANY_FILES):
            return
        unread = list_unread(found, digests)
        if engine is not None:
            self._hash_on(engine, unread, found, digests, writer)
            return
        small = [file for file in unread if file.size_bytes <= SMALL_BYTES]
        if len(small) >= _MANY_FILES:
            with contextlib.closing(LocalProcesses(min(self._jobs, count_processors()))) as processes:
                self._hash_on(processes, small, found, digests, writer)

    def _hash_on(
        self,
        engine: Engine,
        unread: Sequence[Unread],
        found: Scan,
        digests: list[list[Digest]],
        writer: CacheWriter,
    ) -> None:
        """Let workers read files into the cache, and take over the digests of those that they saw as we do."""
        if not unread:
            return
        self._reporter.begin("hashing", total=sum(file.size_bytes for file in unread), unit="bytes")
        try:
            with offer_cache(self._cache, lock_wait_s=_LOCK_WAIT_S) as cache:
                parts = cut(unread, operator.attrgetter("size_bytes"), places=engine.count_places())
                shards = [
                    HashShard(
                        number, str(found.root), self._algorithm, cache, [(file.path, file.stat) for file in part]
                    )
                    for number, part in enumerate(parts)
                ]
                with contextlib.closing(engine.run(hash_shard, shards, self._reporter)) as results:
                    for hashed in results:
                        if hashed is not None:
                            writer.added += hashed.added
                            writer.added_bytes += hashed.added_bytes
                            for file, digest in zip(parts[hashed.number], hashed.digests, strict=True):
                                digests[file.number][file.row] = digest
        finally:
            self._reporter.end()
        left = sum(digests[file.number][file.row] == UNKNOWN for file in unread)
        if left:
            self._reporter.note(f"{left:,} files are read here: workers do not see them, or see others")


def _below(key: RelPath, paths: Sequence[tuple[RelPath, str]]) -> list[tuple[RelPath, str]]:
    """Return paths of an artifact as paths of the work tree, with their reasons."""
    return [(f"{key}/{path}" if path else key, reason) for path, reason in paths]
