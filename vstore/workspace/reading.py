"""Reading the files of a scan whose contents are not known, each as it was at one moment."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from vstore.cache.loose import Advance, hash_file
from vstore.cache.writer import CacheWriter, LargeCopy
from vstore.errors import ChangedWhileReadError, VstoreError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.names import RelPath, find_refused_names
from vstore.objects.tree import EMPTY_DIRECTORY, FILE, SYMLINK, Entry, Tree, find_target_refusal
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.workspace.linked import LinkedObjects
from vstore.workspace.scan import KINDS, LINK, STAT_NUMBERS, Scan, ScannedDirectory, take_stat
from vstore.workspace.snapshot import UNKNOWN, Snapshot

_ATTEMPTS = 3
_MOST_READERS = 4
"""More threads that read large files only wait for the disk, and for each other."""
# A pipe that took a file's place must not stop us.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Job(NamedTuple):
    """A file to read."""

    number: int
    """Of its directory in the scan."""
    row: int


class Reading:
    """Reads the files of a scan whose digests are not known."""

    def __init__(
        self, found: Scan, digests: list[list[Digest]], links: LinkedObjects, algorithm: str, writer: CacheWriter | None
    ) -> None:
        self._scan = found
        self._digests = digests
        self._links = links
        self._algorithm = algorithm
        self._writer = writer
        self._targets: dict[tuple[int, int], str] = {}
        self._linked_sizes: dict[tuple[int, int], int] = {}
        self._dangling: set[tuple[int, int]] = set()
        self.failed: list[tuple[RelPath, str]] = []

    def run(self, jobs: int, reporter: Reporter) -> None:
        """Read them: small ones here one after the other, large ones in up to ``jobs`` threads.

        Where the contents are wanted and something cannot be tracked, nothing is read: all such are named at once.
        """
        self.failed += find_refused_names(self._paths())
        if self._writer is not None and (self.failed or self._scan.refused):
            self._read_links()
            return
        large: list[_Job] = []
        directories = self._scan.directories
        reporter.begin("hashing", total=self._wanted_bytes(), unit="bytes")
        for number, (directory, column) in enumerate(zip(directories, self._digests, strict=True)):
            if UNKNOWN not in column:
                continue
            descriptor = self._open_directory(directory)
            if descriptor is None:
                continue
            try:
                for row, digest in enumerate(column):
                    if digest:
                        continue
                    kind, size = directory.stats[row * STAT_NUMBERS], directory.stats[row * STAT_NUMBERS + 1]
                    if kind == LINK:
                        self._read_link(number, row, descriptor)
                    elif size > SMALL_BYTES:
                        large.append(_Job(number, row))
                        continue
                    else:
                        self._read_small(number, row, descriptor)
                        reporter.advance(size)
            finally:
                os.close(descriptor)
        results = map_ordered(
            lambda job: self._try_large(job, reporter.advance), large, workers=min(jobs, _MOST_READERS)
        )
        for job, result in zip(large, results, strict=True):
            self._take_large(job, result)
        reporter.end()

    def _wanted_bytes(self) -> int:
        """Return how much there is to read."""
        return sum(
            size
            for directory, column in zip(self._scan.directories, self._digests, strict=True)
            if UNKNOWN in column
            for digest, size in zip(column, directory.stats[1::STAT_NUMBERS], strict=True)
            if not digest
        )

    def _read_links(self) -> None:
        for number, directory in enumerate(self._scan.directories):
            kinds = directory.stats[0::STAT_NUMBERS]
            descriptor = self._open_directory(directory) if LINK in kinds else None
            if descriptor is not None:
                try:
                    for row in [row for row, kind in enumerate(kinds) if kind == LINK]:
                        self._read_link(number, row, descriptor)
                finally:
                    os.close(descriptor)

    def _paths(self) -> list[RelPath]:
        """Return the paths of all files and of the directories without any."""
        paths: list[RelPath] = []
        for directory in self._scan.directories:
            prefix = directory.path + "/" if directory.path else ""
            paths += [prefix + name for name in directory.names] if directory.names else [directory.path]
        return [path for path in paths if path]

    def _open_directory(self, directory: ScannedDirectory) -> int | None:
        root = self._scan.root if self._scan.is_directory else self._scan.root.parent
        try:
            return os.open(root / directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            self._fail(directory.path, error)
            return None

    def _fail(self, path: RelPath, error: OSError | VstoreError) -> None:
        if isinstance(error, FileNotFoundError):
            reason = "vanished while it was read"
        elif isinstance(error, OSError):
            reason = f"cannot be read: {os.strerror(error.errno or 0).lower()}"
        else:
            reason = error.message
        self._refuse(path, reason)

    def _refuse(self, path: RelPath, reason: str) -> None:
        # The path of a file that is an artifact is, relative to the artifact, nothing.
        self.failed.append((path if self._scan.is_directory else "", reason))

    def _read_small(self, number: int, row: int, directory_descriptor: int) -> None:
        directory = self._scan.directories[number]
        name, expected = directory.names[row], directory.stat(row)
        try:
            for _ in range(_ATTEMPTS):
                descriptor = os.open(name, _READ_FLAGS, dir_fd=directory_descriptor)
                try:
                    data = os.read(descriptor, expected[1] + 1)
                    after = take_stat(os.fstat(descriptor))
                finally:
                    os.close(descriptor)
                if after == expected and len(data) == expected[1]:
                    digest = hash_bytes(data, self._algorithm)
                    if self._writer is not None:
                        self._writer.add_small(digest, data)
                    self._digests[number][row] = digest
                    return
                if after is None or after[1] > SMALL_BYTES:
                    break
                expected = after
                directory.stats[row * STAT_NUMBERS : (row + 1) * STAT_NUMBERS] = array("q", after)
        except OSError as error:
            self._fail(directory.file_path(row), error)
            return
        self._refuse(directory.file_path(row), "kept changing while it was read")

    def _try_large(self, job: _Job, advance: Advance) -> LargeCopy | tuple[Digest, int] | OSError | VstoreError:
        """Copy or hash one large file.  Runs in several threads."""
        directory = self._scan.directories[job.number]
        path = (self._scan.root if self._scan.is_directory else self._scan.root.parent) / directory.file_path(job.row)
        expected = directory.stat(job.row)
        try:
            for _ in range(_ATTEMPTS):
                descriptor = os.open(path, _READ_FLAGS)
                try:
                    if self._writer is None:
                        result: LargeCopy | tuple[Digest, int] = hash_file(descriptor, self._algorithm, advance)
                    else:
                        result = self._writer.copy_large(descriptor, self._algorithm, advance)
                    after = take_stat(os.fstat(descriptor))
                finally:
                    os.close(descriptor)
                if after == expected:
                    return result
                if isinstance(result, LargeCopy) and self._writer is not None:
                    self._writer.drop_large(result)
                if after is None:
                    break
                expected = after
                directory.stats[job.row * STAT_NUMBERS : (job.row + 1) * STAT_NUMBERS] = array("q", after)
        except OSError as error:
            return error
        return ChangedWhileReadError("kept changing while it was read", path=str(path))

    def _take_large(self, job: _Job, result: LargeCopy | tuple[Digest, int] | OSError | VstoreError) -> None:
        if isinstance(result, (OSError, VstoreError)):
            self._fail(self._scan.directories[job.number].file_path(job.row), result)
            return
        if isinstance(result, LargeCopy):
            assert self._writer is not None
            self._writer.add_large(result)
            self._digests[job.number][job.row] = result.digest
        else:
            self._digests[job.number][job.row] = result[0]

    def _read_link(self, number: int, row: int, directory_descriptor: int) -> None:
        """Take a link's target, or the digest of the cached object that it stands for."""
        directory = self._scan.directories[number]
        try:
            target = os.readlink(directory.names[row], dir_fd=directory_descriptor)
        except OSError as error:
            self._fail(directory.file_path(row), error)
            return
        linked = self._links.find(target)
        if linked is None:
            self._targets[number, row] = target
            path = directory.file_path(row)
            if not self._scan.is_directory:
                self._refuse(path, "is a symlink")
            elif reason := find_target_refusal(Entry(path, SYMLINK, 0, target=target)):
                self._refuse(path, reason)
            return
        try:
            self._linked_sizes[number, row] = os.stat(target).st_size
            found = self._links.read(linked, target)
            if found != linked and self._writer is not None:
                found = self._take_written(target)
        except OSError:
            # Nothing is lost with such a link, but nothing can be added either.
            if self._writer is not None:
                self._refuse(directory.file_path(row), f"is a link to {linked}, which the cache does not hold")
            self._dangling.add((number, row))
            return
        self._digests[number][row] = found

    def _take_written(self, target: str) -> Digest:
        """Take what somebody wrote through a link: the object it leads to is not what its name says any more."""
        assert self._writer is not None
        descriptor = os.open(target, _READ_FLAGS)
        try:
            copy = self._writer.copy_large(descriptor, self._algorithm, lambda _: None)
        finally:
            os.close(descriptor)
        self._writer.add_large(copy)
        return copy.digest

    def snapshot(self) -> Snapshot:
        """Return what was read and what was known before; what could not be read is refused."""
        found = self._scan._replace(refused=[*self._scan.refused, *self.failed])
        if not self._scan.is_directory:
            return self._file_snapshot(found)
        entries = list(self._iter_entries())
        tree = Tree(entries)
        data = tree.to_bytes()
        return Snapshot(
            found,
            "tree",
            hash_bytes(data, self._algorithm),
            tree.size_bytes,
            tree.files,
            tree=data,
            digests=self._digests,
        )

    def _file_snapshot(self, found: Scan) -> Snapshot:
        directory = self._scan.directories[0]
        kind, size, *_ = directory.stat(0)
        size = self._linked_sizes.get((0, 0), size)
        digest = self._digests[0][0]
        kind_name = "file" if digest else "absent"
        return Snapshot(found, kind_name, digest, size, 1, executable=kind == 2, digests=self._digests)

    def _iter_entries(self) -> Iterator[Entry]:
        skipped = {path for path, _ in self.failed}
        empty = self._scan.find_empty() - skipped
        for number, (directory, column) in enumerate(zip(self._scan.directories, self._digests, strict=True)):
            prefix = directory.path + "/" if directory.path else ""
            kinds, sizes = directory.stats[0::STAT_NUMBERS], directory.stats[1::STAT_NUMBERS]
            if LINK not in kinds and not self.failed:
                yield from [
                    Entry(prefix + name, KINDS[kind], size, digest)
                    for name, kind, size, digest in zip(directory.names, kinds, sizes, column, strict=True)
                ]
            else:
                for row, (name, kind, size, digest) in enumerate(
                    zip(directory.names, kinds, sizes, column, strict=True)
                ):
                    if prefix + name in skipped or (number, row) in self._dangling or not (digest or kind == LINK):
                        continue
                    if kind == LINK and digest:
                        yield Entry(prefix + name, FILE, self._linked_sizes[number, row], digest)
                    elif kind == LINK:
                        yield Entry(prefix + name, SYMLINK, 0, target=self._targets[number, row])
                    else:
                        yield Entry(prefix + name, KINDS[kind], size, digest)
            if directory.path in empty:
                yield Entry(directory.path, EMPTY_DIRECTORY, 0)
