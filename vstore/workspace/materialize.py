"""Making a directory equal to a tree, without ever touching what the tree does not name and nobody saved.

Every path is walked component by component through directory descriptors and links are never followed, so
nothing planted in the work tree can redirect a write.  Files appear by a rename when they are whole;
a directory that is new appears with all its files at once.  What is new is created first, what is gone
deleted last.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vstore.cache.cache import Cache
from vstore.cache.link import COPY, HARDLINK, REFLINK, SYMLINK, try_reflink
from vstore.cache.loose import COPY_BYTES, hash_file, write_sparsely
from vstore.durable import from_os_error, temporary_name
from vstore.errors import CorruptError, NoSpaceError, ObjectMissingError, UnsavedError, VstoreError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, Hasher, algorithm_of
from vstore.objects.names import RelPath
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, Entry
from vstore.objects.tree import SYMLINK as SYMLINK_ENTRY
from vstore.parallel import map_ordered
from vstore.progress import SILENT, Reporter
from vstore.state import State, Verified
from vstore.workspace.cursor import Cursor
from vstore.workspace.scan import Stat, take_stat

_MAX_WORKERS = 4
_BUSY = 0.6
"""Who works for a greater part of the time is not waiting for a disk or a network."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Materialized:
    """What was done: the numbers of each file written, by path, and what could not be done."""

    written: dict[RelPath, Stat] = field(default_factory=dict)
    deleted: list[RelPath] = field(default_factory=list)
    missing: list[tuple[RelPath, Digest]] = field(default_factory=list)
    damaged: list[tuple[RelPath, Digest]] = field(default_factory=list)
    failed: list[tuple[RelPath, VstoreError]] = field(default_factory=list)

    def merge(self, other: Materialized) -> None:
        """Take in the outcome of another part of the work."""
        self.written.update(other.written)
        self.deleted += other.deleted
        self.missing += other.missing
        self.damaged += other.damaged
        self.failed += other.failed


@dataclass(slots=True)
class _Batch:
    """The entries to write in one directory; ``later`` are those that something is in the way of."""

    root: RelPath
    directory: RelPath
    entries: list[Entry]
    is_last: bool
    result: Materialized = field(default_factory=Materialized)
    later: list[Entry] = field(default_factory=list)


class Materializer:
    """Writes entries of trees into one work tree.  Not thread-safe.

    ``link_type`` says how large files take their bytes from the cache; where it turns out not to work for a
    file, a copy is made.
    """

    def __init__(
        self, work_tree: Path, cache: Cache, state: State, *, link_type: str = COPY, reporter: Reporter = SILENT
    ) -> None:
        self._work_tree = work_tree
        self._cache = cache
        self._state = state
        self._link_type = link_type
        self._reporter = reporter
        self._workers = min(_MAX_WORKERS, os.cpu_count() or 1)
        self._working_s = self._passed_s = 0.0
        self._expected: Mapping[RelPath, Stat] | None = None
        self._verified: set[Verified] = set()

    def apply(
        self,
        root: RelPath,
        *,
        write: Sequence[Entry],
        delete: Sequence[Entry],
        make_root: bool,
        expected: Mapping[RelPath, Stat] | None,
    ) -> Materialized:
        """Write and delete entries below ``root``, a path of the work tree (an entry with path "" is ``root`` itself).

        ``expected`` has the numbers of every file that may be replaced or deleted, as the caller saw it when it made
        sure that it is saved: what was touched since, or came into being, is left alone and recorded as failed.  None
        spares nothing.  What fails is recorded, the rest is done; raises NoSpaceError when the disk is full.
        ``make_root``: the root is a directory and exists afterwards, even if the tree is empty; else it is none, and
        directories that are left empty go, up to the work tree.
        """
        self._expected = expected
        self._verified = self._state.load_verified() if self._link_type != COPY else set()
        result = Materialized()
        with Cursor(self._work_tree) as cursor:
            later = self._write_all(root, write, result, is_last=False)
            self._delete_all(cursor, root, delete, result, with_root=not make_root)
            self._write_all(root, later, result, is_last=True)
            try:
                if make_root:
                    cursor.enter(root)
            except OSError as error:
                result.failed.append((root, from_os_error(error, root, "create")))
        self._state.save_verified(self._verified)
        return result

    # writing

    def _write_all(
        self, root: RelPath, entries: Iterable[Entry], result: Materialized, *, is_last: bool
    ) -> list[Entry]:
        """Write entries directory by directory, those above first; returns those that something is in the way of.

        If it ``is_last``, what is in the way is a failure.
        """
        later: list[Entry] = []
        groups: dict[RelPath, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(_join(root, entry.path).rpartition("/")[0], []).append(entry)
        for _, level in itertools.groupby(sorted(groups, key=_depth), key=_depth):
            batches = [_Batch(root, directory, groups[directory], is_last) for directory in level]
            for some in (batches[:1], batches[1:]):
                for batch in map_ordered(self._write_batch, some, workers=self._choose_workers(some)):
                    result.merge(batch.result)
                    later += batch.later
        return later

    def _choose_workers(self, batches: Sequence[_Batch]) -> int:
        """Return how many directories to fill at once.

        Large files are copied and hashed side by side.  Of small ones several are written at once only where the first
        directory showed that it is waiting, as on a network: work of interpreter and kernel takes two threads longer
        than one (100,000 files on ext4: 5.3 s against 3.4).
        """
        entries = sum(len(batch.entries) for batch in batches)
        size_bytes = sum(entry.size_bytes for batch in batches for entry in batch.entries)
        is_waiting = self._working_s < _BUSY * self._passed_s
        return min(self._workers, len(batches)) if is_waiting or size_bytes > SMALL_BYTES * entries else 1

    def _write_batch(self, batch: _Batch) -> _Batch:
        """Write the entries of one directory, and note the time.  Runs in several threads."""
        began_s, worked_s = time.perf_counter(), time.thread_time()
        self._fill(batch)
        self._working_s += time.thread_time() - worked_s
        self._passed_s += time.perf_counter() - began_s
        return batch

    def _fill(self, batch: _Batch) -> None:
        with Cursor(self._work_tree) as cursor:
            try:
                cursor.open_for_writing(batch.directory)
            except OSError as error:
                if not batch.is_last and error.errno in (errno.ENOTDIR, errno.ELOOP, errno.EEXIST):
                    batch.later += batch.entries
                else:
                    batch.result.failed.append((batch.directory, from_os_error(error, batch.directory, "create")))
                return
            written_bytes = 0
            for entry in batch.entries:
                self._write(cursor, batch, entry)
                if entry.size_bytes <= SMALL_BYTES:  # of large ones each piece is told
                    written_bytes += entry.size_bytes
                if written_bytes > SMALL_BYTES:
                    self._reporter.advance(written_bytes)
                    written_bytes = 0
            self._reporter.advance(written_bytes)
            try:
                cursor.publish()
            except OSError as error:
                batch.result.written.clear()
                batch.result.failed.append((batch.directory, from_os_error(error, batch.directory, "create")))

    def _write(self, cursor: Cursor, batch: _Batch, entry: Entry) -> None:
        path, result = _join(batch.root, entry.path), batch.result
        try:
            if entry.kind == EMPTY_DIRECTORY:
                self._make_directory(cursor, path.rpartition("/")[2], batch)
                return
            result.written[entry.path] = self._place(cursor, path, entry)
        except ObjectMissingError:
            result.missing.append((path, entry.digest))
        except CorruptError:
            result.damaged.append((path, entry.digest))
        except (IsADirectoryError, FileExistsError) as error:
            if batch.is_last:
                result.failed.append((path, from_os_error(error, path, "replace")))
            else:
                batch.later.append(entry)
        except OSError as error:
            failure = from_os_error(error, path, "write")
            if isinstance(failure, NoSpaceError):
                raise failure from error
            result.failed.append((path, failure))
        except VstoreError as error:
            result.failed.append((path, error))

    def _make_directory(self, cursor: Cursor, name: str, batch: _Batch) -> None:
        """Make a directory.  Raises FileExistsError: at last only if something else is there."""
        try:
            os.mkdir(name, dir_fd=cursor.descriptor)
        except FileExistsError:
            # One that is emptied goes with its files, and is made again.
            found = os.stat(name, dir_fd=cursor.descriptor, follow_symlinks=False)
            if not batch.is_last or not stat.S_ISDIR(found.st_mode):
                raise

    def _check_expected(self, directory: int, name: str, path: RelPath, entry_path: RelPath) -> None:
        """Raise UnsavedError if what is at a path is not what the caller saw there.  Raises OSError."""
        if self._expected is None:
            return
        try:
            now = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        numbers = take_stat(now)
        if not stat.S_ISDIR(now.st_mode) and (numbers is None or numbers != self._expected.get(entry_path)):
            raise UnsavedError(f"{path} was changed meanwhile", paths=[path])

    def _place(self, cursor: Cursor, path: RelPath, entry: Entry) -> Stat:
        """Write one file or link, by its final name in a directory that is not yet visible, else by a rename."""
        directory, name = cursor.descriptor, path.rpartition("/")[2]
        target = name if cursor.is_staged else temporary_name()
        try:
            if entry.kind == SYMLINK_ENTRY:
                os.symlink(entry.target, target, dir_fd=directory)
                before = os.stat(target, dir_fd=directory, follow_symlinks=False)
            elif entry.size_bytes <= SMALL_BYTES:
                before = self._write_small(directory, target, entry)
            else:
                before = self._write_large(directory, target, entry)
            if not cursor.is_staged:
                self._check_expected(directory, name, path, entry.path)
                os.rename(target, name, src_dir_fd=directory, dst_dir_fd=directory)
                if before.st_nlink > 1:  # a rename to another name of the same file does nothing
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(target, dir_fd=directory)
                after = os.stat(name, dir_fd=directory, follow_symlinks=False)
                # The rename changes the ctime; anything else means that somebody else was at it.
                same = (after.st_ino, after.st_size, after.st_mtime_ns)
                if same == (before.st_ino, before.st_size, before.st_mtime_ns):
                    before = after
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(target, dir_fd=directory)
            raise
        numbers = take_stat(before)
        assert numbers is not None
        return numbers

    def _write_small(self, directory: int, target: str, entry: Entry) -> os.stat_result:
        data = self._cache.read(entry.digest)
        if len(data) != entry.size_bytes:
            raise CorruptError(f"{entry.digest} does not have the size its tree says", digest=entry.digest)
        descriptor = os.open(target, _NEW_FILE, 0o777 if entry.kind == EXECUTABLE else 0o666, dir_fd=directory)
        try:
            written = os.write(descriptor, data)
            while written < len(data):
                written += os.write(descriptor, memoryview(data)[written:])
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _write_large(self, directory: int, target: str, entry: Entry) -> os.stat_result:
        source = self._cache.open_large(entry.digest)
        if source is None:
            # A content of this size is loose unless another version of vstore packed it.
            if self._cache.has(entry.digest):
                return self._write_small(directory, target, entry)
            raise ObjectMissingError(f"{entry.digest} is not in the cache", digests=[entry.digest])
        with source:
            held = os.fstat(source.fileno())
            if held.st_size != entry.size_bytes:
                raise self._damaged(entry.digest)
            # Executables are always copies: the object's own mode stands for files that are not.
            if self._link_type in (HARDLINK, SYMLINK) and entry.kind != EXECUTABLE:
                linked = self._link(directory, target, entry.digest, held)
                if linked is not None:
                    return linked
            mode = 0o777 if entry.kind == EXECUTABLE else 0o666
            descriptor = os.open(target, (_NEW_FILE & ~os.O_WRONLY) | os.O_RDWR, mode, dir_fd=directory)
            try:
                if self._link_type == REFLINK and try_reflink(source.fileno(), descriptor):
                    self._verify(entry.digest, source.fileno(), held)
                else:
                    self._copy(entry.digest, source.fileno(), descriptor)
                return os.fstat(descriptor)
            finally:
                os.close(descriptor)

    def _link(self, directory: int, target: str, digest: Digest, held: os.stat_result) -> os.stat_result | None:
        """Link a verified object, or None where that does not work here."""
        path = self._cache.loose_path(digest)
        with open(path, "rb", buffering=0) as file:
            self._verify(digest, file.fileno(), held)
        if stat.S_IMODE(held.st_mode) & 0o222:
            with contextlib.suppress(OSError):
                path.chmod(self._cache.file_mode(0o444))
        try:
            if self._link_type == HARDLINK:
                os.link(path, target, dst_dir_fd=directory)
            else:
                os.symlink(path, target, dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
                return None
            raise
        return os.stat(target, dir_fd=directory, follow_symlinks=False)

    def _verify(self, digest: Digest, descriptor: int, held: os.stat_result) -> None:
        """Hash an object that is going to be shared, once for each (inode, size, mtime).  Raises CorruptError."""
        seen = Verified(digest, held.st_ino, held.st_size, held.st_mtime_ns)
        if seen in self._verified:
            return
        if hash_file(descriptor, algorithm_of(digest).name)[0] != digest:
            raise self._damaged(digest)
        self._verified.add(seen)

    def _copy(self, digest: Digest, source: int, target: int) -> None:
        hasher = Hasher(algorithm_of(digest).name)
        buffer = bytearray(COPY_BYTES)
        view = memoryview(buffer)
        size = 0
        while count := os.readv(source, [buffer]):
            hasher.update(view[:count])
            write_sparsely(target, view[:count], size)
            size += count
            self._reporter.advance(count)
        os.ftruncate(target, size)
        if hasher.digest() != digest:
            raise self._damaged(digest)

    def _damaged(self, digest: Digest) -> CorruptError:
        self._cache.set_aside(digest)
        return CorruptError(f"the cached object {digest} is damaged", digest=digest)

    # deleting

    def _delete_all(
        self, cursor: Cursor, root: RelPath, entries: Sequence[Entry], result: Materialized, *, with_root: bool
    ) -> None:
        directories = set(_and_above(root)) if with_root else set()
        for entry in entries:
            path = _join(root, entry.path)
            directory, _, name = path.rpartition("/")
            try:
                cursor.open_existing(directory)
                if entry.kind == EMPTY_DIRECTORY:
                    os.rmdir(name, dir_fd=cursor.descriptor)
                else:
                    self._check_expected(cursor.descriptor, name, path, entry.path)
                    os.unlink(name, dir_fd=cursor.descriptor)
                    result.deleted.append(entry.path)
            except UnsavedError as error:
                result.failed.append((path, error))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.ELOOP):
                    result.failed.append((path, from_os_error(error, path, "delete")))
            while len(directory) > len(root):
                directories.add(directory)
                directory = directory.rpartition("/")[0]
        for directory in sorted(directories, key=len, reverse=True):
            parent, _, name = directory.rpartition("/")
            with contextlib.suppress(OSError):
                cursor.open_existing(parent)
                os.rmdir(name, dir_fd=cursor.descriptor)


def _and_above(path: RelPath) -> Iterator[RelPath]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _depth(directory: RelPath) -> int:
    return directory.count("/") + 1 if directory else 0


def _join(root: RelPath, path: RelPath) -> RelPath:
    return f"{root}/{path}" if root and path else root or path
