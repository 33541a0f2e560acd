"""Putting contents into a cache: packs are flushed in the background, loose objects renamed when durable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vstore.cache.cache import Cache
from vstore.cache.loose import OBJECT_MODE, Advance, copy_hashing, hash_file, same_content
from vstore.cache.packs import new_pack_name
from vstore.durable import flush_directory, flush_files, open_alone, os_errors, temporary_name
from vstore.errors import CollisionError, CorruptError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Buffer, Digest, algorithm_of, hash_bytes
from vstore.objects.pack import PackWriter, read_record
from vstore.objects.table import BLOB, RECORD_HEADER_BYTES, Location


class LargeCopy(NamedTuple):
    """A large content in a temporary file of the cache, not yet published."""

    path: Path
    descriptor: int
    digest: Digest
    size_bytes: int


class _Loose(NamedTuple):
    """A finished loose object that is not yet flushed and has not yet its name."""

    descriptor: int
    temporary: Path
    final: Path


PACK_BYTES = 64 * 1024 * 1024
_FLUSHERS = 4
_MAX_PENDING = 8
_LOOSE_FILES = 64
_LOOSE_BYTES = 256 * 1024 * 1024


class CacheWriter:
    """Adds contents to a cache.  One thread uses it; use it through ``open_writer``.

    What was added is published, durably, at the latest when the writer closes without an error.  After an
    error or a crash, what was published stays: it is whole and verified, and spares work the next time.
    """

    def __init__(self, cache: Cache, on_damage: Callable[[Digest], None] | None = None) -> None:
        self._cache = cache
        self.path = cache.path
        self._on_damage = on_damage
        self._pool = ThreadPoolExecutor(_FLUSHERS, thread_name_prefix="vstore-flush")
        self._pending: list[Future[None]] = []
        self._pack: PackWriter | None = None
        self._pack_file: BinaryIO | None = None
        self._pack_path: Path | None = None
        self._packs: list[tuple[Path, Path]] = []
        """The temporary and the final path of each finished pack that ``cache.packs`` does not know yet."""
        self._new: dict[Digest, int] = {}
        """Of each blob in those packs and the present one, in one number: that of the pack, offset and length."""
        self._unnamed: set[Path] = set()
        """The loose objects that may not have their names yet."""
        self._loose: list[_Loose] = []
        self._loose_bytes = 0
        self._partials: dict[Digest, Path] = {}
        self._copies: dict[Path, int] = {}
        """The descriptors of copies that nobody published or threw away yet."""
        self._directories: set[Path] = set()
        self.added_bytes = 0
        """Bytes of contents that the cache did not hold before."""
        self.added = 0

    # small blobs

    def add_small(self, digest: Digest, data: bytes) -> bool:
        """Add a blob whose digest was just computed from ``data``; True if the cache did not hold it.

        Raises CollisionError if the cache holds other bytes of the same xxh128 digest, NoSpaceError and the like.
        """
        if digest in self._new:
            self._check_new(digest, data)
            return False
        held = self._cache.packs.find(digest)
        if held is not None and self._is_same(digest, data):
            return False
        pack = self._writer()
        start = pack.size_bytes
        pack.add(BLOB, digest, data)
        self._taken(digest, start, len(data))
        return True

    def add_records(self, records: Iterable[tuple[Location, Buffer]]) -> None:
        """Append whole, verified records of blobs, but for those that the cache holds readable."""
        for location, record in records:
            digest = location.digest
            if digest in self._new or (self._cache.packs.find(digest) and self._cache.find_record(digest)):
                continue
            pack = self._writer()
            start = pack.size_bytes
            pack.add_record(record, location)
            self._taken(digest, start, location.raw_bytes)

    def _is_same(self, digest: Digest, data: bytes) -> bool:
        """Compare new content with the held one of the same digest; False if the held one is damaged."""
        damaged = False
        for pack, location in self._cache.packs.iter_all(digest):
            try:
                held = read_record(self._cache.packs.read(pack, location), location)
            except (CorruptError, OSError):
                damaged = True
                continue
            # The held bytes have this digest, and so have the new ones.
            if held != data:
                raise CollisionError(f"two different contents have the digest {digest}", digest=digest)
            if not damaged:
                return True
        if damaged and self._on_damage is not None:
            self._on_damage(digest)
        return False

    def _check_new(self, digest: Digest, data: bytes) -> None:
        """Compare new content with what this writer just took under the same digest.  Raises CollisionError."""
        algorithm = algorithm_of(digest)
        if algorithm.proves_identity:
            return
        place = self._new[digest]
        number, start, length = place >> 64, place >> 32 & 0xFFFFFFFF, place & 0xFFFFFFFF
        stored_bytes = length - RECORD_HEADER_BYTES - algorithm.size_bytes
        location = Location(BLOB, digest, start, stored_bytes, len(data), digest)
        with contextlib.suppress(CorruptError):  # other lengths
            if read_record(self._read_new(number, start, length), location) == data:
                return
        raise CollisionError(f"two different contents have the digest {digest}", digest=digest)

    def _read_new(self, number: int, start: int, length: int) -> bytes:
        if number == len(self._packs):
            assert self._pack is not None and self._pack_file is not None
            self._pack.flush()
            return os.pread(self._pack_file.fileno(), length, start)
        for path in self._packs[number]:  # it may get its name at any moment
            with contextlib.suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:
                return os.pread(file.fileno(), length, start)
        return b""

    def _taken(self, digest: Digest, start: int, size_bytes: int) -> None:
        assert self._pack is not None
        self._new[digest] = len(self._packs) << 64 | start << 32 | self._pack.size_bytes - start
        self.added += 1
        self.added_bytes += size_bytes
        if self._pack.size_bytes >= PACK_BYTES:
            self._finish_pack()

    def _writer(self) -> PackWriter:
        if self._pack is None:
            path = self._cache.packs.directory / temporary_name()
            with os_errors(path, "create"):
                self._pack_file = open(path, "x+b", buffering=0)  # noqa: SIM115 - closed by the flusher
            self._pack_path = path
            file = self._pack_file

            def write(piece: bytes) -> None:
                with os_errors(path, "write"):
                    view = memoryview(piece)
                    while view:
                        view = view[file.write(view) :]

            self._pack = PackWriter(write)
        return self._pack

    def _finish_pack(self) -> None:
        if self._pack is None:
            return
        self._pack.finish()
        temporary, file = self._pack_path, self._pack_file
        assert temporary is not None and file is not None
        final = temporary.parent / new_pack_name()
        mode = self._cache.file_mode(OBJECT_MODE)

        def flush() -> None:
            with os_errors(final, "write"), file:
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
                os.rename(temporary, final)

        self._pack = self._pack_file = self._pack_path = None
        self._packs.append((temporary, final))
        self._directories.add(final.parent)
        self._start(flush)

    # large contents

    def copy_large(self, source: int, algorithm: str, advance: Advance) -> LargeCopy:
        """Copy an open file into the cache's file system, hashing it; nothing is published.

        May run in other threads, several at once.  Raises NoSpaceError and the like.
        """
        temporary = self._cache.objects / temporary_name()
        with os_errors(temporary, "write"):
            target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                digest, size = copy_hashing(source, target, algorithm, advance)
            except BaseException:
                os.close(target)
                os.unlink(temporary)
                raise
        self._copies[temporary] = target
        return LargeCopy(temporary, target, digest, size)

    def add_large(self, copy: LargeCopy) -> None:
        """Publish a copy.  Raises CollisionError."""
        self._copies.pop(copy.path, None)  # one that arrived from elsewhere is not there
        self._publish_loose(copy.digest, copy.path, copy.descriptor, copy.size_bytes)

    def drop_large(self, copy: LargeCopy) -> None:
        """Throw a copy away."""
        del self._copies[copy.path]
        os.close(copy.descriptor)
        copy.path.unlink()

    def add_bytes(self, data: bytes, algorithm: str) -> Digest:
        """Put a content that is in memory into the cache, whatever its size."""
        digest = hash_bytes(data, algorithm)
        if len(data) <= SMALL_BYTES:
            self.add_small(digest, data)
            return digest
        temporary = self._cache.objects / temporary_name()
        with os_errors(temporary, "write"):
            target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
        self._publish_loose(digest, temporary, target, len(data))
        return digest

    def open_large(self, digest: Digest) -> BinaryIO | None:
        """Open a large content that the cache holds, unverified, or None."""
        return self._cache.open_large(digest)

    def open_partial(self, digest: Digest) -> BinaryIO:
        """Open the file in which a large content is being put together, with what an earlier attempt left."""
        path = self._cache.partial_path(digest)
        with os_errors(path, "open"):
            path.parent.mkdir(exist_ok=True)
            file = open_alone(path)
            if file is None:
                # Another command is at it: it may publish the file while we would still write into it.
                path = path.with_name(temporary_name())
                file = open(path, "x+b", buffering=0)  # noqa: SIM115 - handed out
        self._partials[digest] = path
        return file

    def finish_partial(self, digest: Digest, file: BinaryIO) -> None:
        """Publish a partial file after hashing it once more.  Raises CorruptError, and the file is then removed."""
        path = self._partials.pop(digest)
        with os_errors(path, "read"):
            found, size = hash_file(file.fileno(), algorithm_of(digest).name)
            if found != digest:
                path.unlink()
                raise CorruptError(f"the content put together for {digest} is {found}", digest=digest)
            descriptor = os.dup(file.fileno())
            file.close()
        self._publish_loose(digest, path, descriptor, size)

    def _publish_loose(self, digest: Digest, temporary: Path, descriptor: int, size: int) -> None:
        """Rename a finished file into place once it is durable; drop it if the same object is there."""
        final = self._cache.loose_path(digest)
        with os_errors(final, "write"):
            try:
                if final in self._unnamed:
                    self._settle()
                if final.exists() and self._is_same_object(digest, temporary, final):
                    os.close(descriptor)
                    os.unlink(temporary)
                    return
                os.fchmod(descriptor, self._cache.file_mode(OBJECT_MODE))
                if not final.parent.is_dir():
                    self._cache.make_directory(final.parent)
                    self._directories |= {final.parent.parent, self._cache.objects}
            except BaseException:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
                raise
        self.added += 1
        self.added_bytes += size
        self._directories.add(final.parent)

        self._unnamed.add(final)
        self._loose.append(_Loose(descriptor, temporary, final))
        self._loose_bytes += size
        if len(self._loose) >= _LOOSE_FILES or self._loose_bytes >= _LOOSE_BYTES:
            self._flush_loose()

    def _flush_loose(self) -> None:
        """Flush the finished loose objects together, then give them their names."""
        batch, self._loose, self._loose_bytes = self._loose, [], 0

        def flush() -> None:
            try:
                with os_errors(self._cache.objects, "write"):
                    flush_files([loose.descriptor for loose in batch])
                    for loose in batch:
                        os.rename(loose.temporary, loose.final)
            finally:
                for loose in batch:
                    os.close(loose.descriptor)

        if batch:
            self._start(flush)

    def _is_same_object(self, digest: Digest, new: Path, held: Path) -> bool:
        algorithm = algorithm_of(digest)
        if not algorithm.proves_identity and same_content(new, held):
            return True
        with open(held, "rb") as file:
            found, _ = hash_file(file.fileno(), algorithm.name)
        if found != digest:
            if self._on_damage is not None:
                self._on_damage(digest)
            return False
        if algorithm.proves_identity or same_content(new, held):
            return True
        raise CollisionError(f"two different contents have the digest {digest}", digest=digest)

    # publication

    def _start(self, flush: Callable[[], None]) -> None:
        self._pending = [future for future in self._pending if not _is_done(future)]
        if len(self._pending) >= _MAX_PENDING:
            self._pending.pop(0).result()
        self._pending.append(self._pool.submit(flush))

    def commit(self) -> None:
        """Publish everything that was added so far; when this returns it survives a power cut."""
        self._finish_pack()
        self._settle()
        for directory in self._directories:
            with os_errors(directory, "flush"):
                flush_directory(directory)
        if self._directories:
            self._cache.packs.reload()
        self._directories.clear()
        self._packs.clear()
        self._new.clear()

    def _settle(self) -> None:
        """Wait until everything that is finished is flushed and has its name."""
        self._flush_loose()
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()
        self._unnamed.clear()

    def close(self) -> None:
        """Publish what is whole, whatever happened, and stop the background work."""
        try:
            with contextlib.suppress(Exception):
                self.commit()
        finally:
            self._pool.shutdown(wait=True)
            # Ctrl-C leaves behind what other threads finished meanwhile.
            for path, descriptor in self._copies.items():
                os.close(descriptor)
                path.unlink(missing_ok=True)
            for loose in self._loose:
                os.close(loose.descriptor)
                loose.temporary.unlink(missing_ok=True)
            if self._pack_file is not None and self._pack_path is not None:
                self._pack_file.close()
                self._pack_path.unlink(missing_ok=True)


def _is_done(future: Future[None]) -> bool:
    """Tell whether a flush is over, raising its error."""
    if future.done():
        future.result()
        return True
    return False


@contextlib.contextmanager
def open_writer(cache: Cache, on_damage: Callable[[Digest], None] | None = None) -> Iterator[CacheWriter]:
    """Open a writer; leaving the block without an error publishes all, with one publishes what is whole.

    ``on_damage`` hears of held objects that turn out damaged and are replaced.
    """
    cache.create()
    writer = CacheWriter(cache, on_damage)
    try:
        yield writer
        writer.commit()
    finally:
        writer.close()
