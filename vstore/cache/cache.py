"""The cache as a whole: has, read, insert, lock."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from vstore.cache.loose import find_digest, hash_file, object_path
from vstore.cache.packs import PackStore
from vstore.durable import FileLock, flush_directory, os_errors, temporary_name, write_atomic
from vstore.errors import CorruptError, NewerFormatError, ObjectMissingError
from vstore.objects.digest import Buffer, Digest, algorithm_of
from vstore.objects.pack import read_record
from vstore.objects.table import BLOB, Location

CACHE_VERSION = 1
USERS = "repositories"
"""The directory in which repositories note that they use a cache."""
_FEW = 1000
_FORMAT = f"vstore-cache {CACHE_VERSION}\n"
_ANY_FORMAT = re.compile(r"vstore-cache [0-9]+\n")


class Cache:
    """A directory of contents named by their digests, which several repositories may share.

    ``group`` makes everything writable by the group, for a cache that several people share.
    Reading is thread-safe; writing goes through ``vstore.cache.writer``.
    """

    def __init__(self, path: Path, *, group: bool = False) -> None:
        self.path = path
        self.objects = path / "objects"
        self.packs = PackStore(path / "packs")
        self._group = group

    @property
    def is_shared(self) -> bool:
        """Whether everything in it can be written by its group."""
        return self._group

    def create(self) -> None:
        """Make the directories, if they are not there.  Raises NewerFormatError for another version's cache.

        Raises CorruptError where it cannot be told which version's it is.
        """
        with os_errors(self.path, "create"):
            for directory in (self.path, self.objects, self.packs.directory, self.path / USERS):
                if not directory.is_dir():
                    self.make_directory(directory)
            if not self.has_format():
                self._open_lock_to_group()
                version_file = self.path / "format"
                write_atomic(version_file, _FORMAT.encode())
                version_file.chmod(self.file_mode(0o644))

    def has_format(self) -> bool:
        """Tell whether the line with this version is there.

        Raises NewerFormatError for that of another version, CorruptError for what is none.
        """
        path = self.path / "format"
        with os_errors(path, "read"):
            try:
                found = path.read_text(errors="replace")
            except (FileNotFoundError, NotADirectoryError):
                return False
        if found != _FORMAT:
            message = f"the cache {self.path} has the format {found[:40].strip()!r}"
            raise (NewerFormatError if _ANY_FORMAT.fullmatch(found) else CorruptError)(message, path=str(self.path))
        return True

    def make_directory(self, path: Path) -> None:
        """Make a directory, and its parents, with the modes of this cache."""
        path.mkdir(parents=True, exist_ok=True)
        if self._group:
            # The set-group-ID bit hands the group down, whatever the umask of whoever writes.
            while True:
                with contextlib.suppress(PermissionError):
                    path.chmod(0o2775)
                if path == self.path:
                    break
                path = path.parent

    def _open_lock_to_group(self) -> None:
        if self._group:
            path = self.path / "lock"
            path.touch()
            path.chmod(0o664)

    def file_mode(self, mode: int) -> int:
        """Return the mode for a new file: readable for the group where the cache is shared."""
        return mode | 0o040 if self._group else mode

    def lock(self) -> FileLock:
        """Return the lock that writers share and collectors hold alone."""
        return FileLock(self.path / "lock")

    # asking

    def loose_path(self, digest: Digest) -> Path:
        """Return where a large content would lie."""
        return Path(object_path(self.objects, digest))

    def partial_path(self, digest: Digest) -> Path:
        """Return where a large content is put together while it is fetched."""
        return self.path / "partial" / digest.replace(":", "-")

    def find_linked(self, target: str) -> Digest | None:
        """Return the digest of the loose object that an absolute symlink target names."""
        text = find_digest(self.objects, target)
        return None if text is None else Digest(text)

    def has(self, digest: Digest) -> bool:
        """Tell whether a content is there, without reading it."""
        return self.packs.find(digest) is not None or os.path.isfile(object_path(self.objects, digest))

    def find_missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """Return those that are not there; a million asked in about two seconds."""
        wanted = set(digests)
        if len(wanted) <= _FEW:
            return {digest for digest in wanted if not self.has(digest)}
        for pack in self.packs.iter_packs():
            wanted.difference_update(pack.table.digests(BLOB))
        if len(wanted) <= _FEW:
            return {digest for digest in wanted if not os.path.isfile(object_path(self.objects, digest))}
        return wanted.difference(digest for digest, _ in self.iter_loose())

    def renew(self, digest: Digest) -> None:
        """Let a content count as young, so that no collector takes it away before a pointer names it."""
        for path in (self.loose_path(digest), *(pack.path for pack, _ in self.packs.iter_all(digest))):
            with contextlib.suppress(OSError):  # it is not there, or another user's
                os.utime(path)

    # reading

    def find_record(self, digest: Digest) -> tuple[Location, Buffer] | None:
        """Return the stored record of a small blob, verified, or None if no pack holds it undamaged."""
        found = self._find_content(digest)
        return None if found is None else found[:2]

    def _find_content(self, digest: Digest) -> tuple[Location, Buffer, bytes] | None:
        held = self.packs.find(digest)
        if held is not None:
            pack, location = held
            try:
                record = self.packs.read(pack, location)
                return location, record, read_record(record, location)
            except (CorruptError, OSError):
                pass  # it may be good in another pack
            for pack, location in self.packs.iter_all(digest):
                with contextlib.suppress(CorruptError, OSError):
                    record = self.packs.read(pack, location)
                    return location, record, read_record(record, location)
        # A collector may have moved it to another pack, or another command may just have added it.
        return self._find_content(digest) if self.packs.reload() else None

    def read(self, digest: Digest) -> bytes:
        """Return a content, verified.  Raises ObjectMissingError, CorruptError if it is there but damaged."""
        found = self._find_content(digest)
        if found is not None:
            return found[2]
        path = self.loose_path(digest)
        try:
            with open(path, "rb") as file:
                if hash_file(file.fileno(), algorithm_of(digest).name)[0] == digest:
                    return file.read()
        except FileNotFoundError:
            if self.packs.find(digest) is None:
                raise ObjectMissingError(f"{digest} is not in the cache", digests=[digest]) from None
        raise CorruptError(f"the cached object {digest} is damaged", digest=digest)

    def open_large(self, digest: Digest) -> BinaryIO | None:
        """Open a loose object, unverified: whoever reads it verifies.  None if it is not there."""
        path = self.loose_path(digest)
        try:
            return open(path, "rb", buffering=0)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            with os_errors(path, "open"):
                raise

    def set_aside(self, digest: Digest) -> None:
        """Move a damaged loose object out of the way, so that it is fetched or added anew."""
        self.set_file_aside(self.loose_path(digest), digest.replace(":", "-"))

    def set_file_aside(self, path: Path, name: str) -> None:
        """Move a damaged file of the cache out of the way; it is kept under a name that begins with ``name``."""
        with os_errors(path, "move"), contextlib.suppress(FileNotFoundError):
            damaged = self.path / "damaged"
            self.make_directory(damaged)
            aside = damaged / f"{name}-{temporary_name()}"
            os.rename(path, aside)
            if os.stat(aside).st_nlink == 1:
                # A collector leaves it alone for a day from now; the times of a file that is linked to it are not ours.
                with contextlib.suppress(OSError):
                    os.utime(aside)
            flush_directory(path.parent)
            flush_directory(damaged)

    def iter_loose(self) -> Iterator[tuple[Digest, os.stat_result]]:
        """Yield every loose object."""
        for algorithm in sorted(os.listdir(self.objects)) if self.objects.is_dir() else ():
            for first in sorted(os.listdir(self.objects / algorithm)) if "-" not in algorithm else ():
                with os.scandir(self.objects / algorithm / first) as entries:
                    for entry in entries:
                        result = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(result.st_mode):
                            yield Digest(f"{algorithm}:{first}{entry.name}"), result
