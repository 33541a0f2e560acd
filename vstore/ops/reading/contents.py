"""The bytes of tracked files: from the cache, else from the work tree if unmodified there, else from a remote."""

from __future__ import annotations

import contextlib
import os
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from vstore.cache.loose import hash_file
from vstore.errors import CorruptError, ObjectMissingError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, algorithm_of, has_digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.ops.reading.node import Node
from vstore.ops.reading.pieces import Pieces
from vstore.ops.reading.stretches import STEP_BYTES, ChunkStretches, FileStretches, HeldStretches, Stretches
from vstore.ops.reading.view import View
from vstore.repo import Repo
from vstore.state import Verified
from vstore.workspace.scan import STAT_NUMBERS, Stat, take_stat

_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FIRST_FILES_AHEAD = 8
_MOST_FILES_AHEAD = 1024
_AHEAD_BYTES = 8 * 1024 * 1024


class _Course(threading.local):
    """Where a thread is that reads one small file after the other."""

    following: RelPath | None = None
    """The file that is not read ahead yet; who asks for it goes on."""
    count = 0
    """How many were read ahead last."""


class Contents:
    """Opens the contents of a repository.  Thread-safe."""

    def __init__(
        self, repo: Repo, view: View, pieces: Pieces, open_at_origin: Callable[[Node], Stretches | None]
    ) -> None:
        """``open_at_origin`` opens what was imported where it came from."""
        self._repo = repo
        self._open_at_origin = open_at_origin
        self._view = view
        self._pieces = pieces
        self._lock = threading.Lock()
        self._verified: set[Verified] | None = None
        self._unmodified: set[tuple[Digest, Stat]] = set()
        self._course = _Course()

    def open(self, node: Node) -> Stretches:
        """Open a file.

        What is here is verified before its first byte, a large file once for as long as nobody touches it; of what is
        at a remote each chunk is verified, and the whole only by who reads all of it.
        Raises ObjectMissingError, CorruptError, RemoteUnavailableError.
        """
        stretches = self._open_here(node)
        if stretches is None and node.pointer is not None and node.pointer.stays_elsewhere:
            stretches = self._open_at_origin(node)
        if stretches is not None:
            return stretches
        try:
            return self._open_at_remote(node)
        except ObjectMissingError:
            stretches = self._open_at_origin(node)
            if stretches is None:
                raise
            return stretches

    def _open_here(self, node: Node) -> Stretches | None:
        if node.digest is None or node.pointer is None or node.size_bytes is None:
            return HeldStretches(self._view.read_git_file(node))
        if node.size_bytes <= SMALL_BYTES:
            data = self._find_small(node)
            return None if data is None else HeldStretches(data)
        file = self._open_cached(node.digest, node.size_bytes) or self._open_unmodified(node)
        return None if file is None else FileStretches(file)

    def _open_at_remote(self, node: Node) -> Stretches:
        assert node.digest is not None and node.pointer is not None and node.size_bytes is not None
        if node.size_bytes <= SMALL_BYTES:
            return HeldStretches(self._read_small(node, node.digest))
        with self._naming(node):
            chunks = self._pieces.get_chunks(node.digest, node.pointer, self._view.list_roots)
        return ChunkStretches(node.size_bytes, chunks, lambda digests: self._read_pieces(node, digests))

    def load(self, wanted: Sequence[tuple[Node, int, int]]) -> None:
        """Read what is needed for some stretches (of nodes, from, length) and is only at a remote, all at once."""
        groups: dict[str | None, tuple[Pointer, list[Digest]]] = {}
        for node, start, length in wanted:
            if node.digest is None or node.pointer is None or node.size_bytes is None:
                continue
            if node.pointer.stays_elsewhere:
                continue  # it is read where it came from
            if node.size_bytes <= SMALL_BYTES:
                needed: Sequence[Digest] = () if self._repo.cache.has(node.digest) else (node.digest,)
            else:
                with contextlib.suppress(ObjectMissingError), contextlib.closing(self.open(node)) as stretches:
                    needed = stretches.list_needed(start, min(length, STEP_BYTES))
            if needed:
                groups.setdefault(node.pointer.remote, (node.pointer, []))[1].extend(needed)
        for pointer, digests in groups.values():
            with contextlib.suppress(ObjectMissingError):
                self._pieces.read(digests, pointer, self._view.list_roots)

    def _read_small(self, node: Node, digest: Digest) -> bytes:
        """Read a small content from a remote; while file after file is read, ever more of those that come next too."""
        course = self._course
        goes_on = node.path == course.following
        held = self._pieces.find(digest)
        if held is not None and not goes_on:
            return held
        course.count = min(_MOST_FILES_AHEAD, max(_FIRST_FILES_AHEAD, 2 * course.count)) if goes_on else 0
        ahead, course.following = self._list_ahead(node, course.count)
        if ahead:
            with contextlib.suppress(ObjectMissingError):
                self._read_pieces(node, [digest, *ahead])
        return self._read_pieces(node, [digest])[digest]

    def _list_ahead(self, node: Node, count: int) -> tuple[list[Digest], RelPath | None]:
        """Return the contents of ``count`` small files that come next and are not here, and the path after them."""
        digests: list[Digest] = []
        size_bytes = 0
        for after in self._view.iter_after(node):
            if after.digest is None or after.size_bytes is None or after.size_bytes > SMALL_BYTES:
                continue
            if len(digests) >= count or size_bytes >= _AHEAD_BYTES:
                return digests, after.path
            if not self._repo.cache.has(after.digest):
                digests.append(after.digest)
                size_bytes += after.size_bytes
        return digests, None

    def _read_pieces(self, node: Node, digests: Iterable[Digest]) -> dict[Digest, bytes]:
        assert node.pointer is not None
        with self._naming(node):
            return self._pieces.read(digests, node.pointer, self._view.list_roots)

    @contextlib.contextmanager
    def _naming(self, node: Node) -> Iterator[None]:
        """Name the file whose contents are missing."""
        try:
            yield
        except ObjectMissingError as error:
            raise ObjectMissingError(
                f"the contents of {node.path} are neither in the cache nor in a remote",
                digests=error.fields["digests"],
                paths=[node.path],
                no_remote=not self._repo.config.remotes,
            ) from error

    # what is here

    def is_unmodified(self, node: Node) -> bool:
        """Tell whether a file of the work tree has this content; what git keeps is what it is."""
        if node.digest is None or node.size_bytes is None:
            return True
        linked = None
        with contextlib.suppress(OSError):
            linked = self._repo.cache.find_linked(os.readlink(self._place(node)))
        if linked is None:
            file = self._open_unmodified(node)
        else:
            file = self._open_cached(linked, node.size_bytes) if linked == node.digest else None
        if file is None:
            return False
        file.close()
        return True

    def _find_small(self, node: Node) -> bytes | None:
        assert node.digest is not None
        with contextlib.suppress(ObjectMissingError, CorruptError):
            return self._repo.cache.read(node.digest)
        with contextlib.suppress(OSError), open(os.open(self._place(node), _OPEN_FLAGS), "rb", buffering=0) as file:
            data = file.read(SMALL_BYTES + 1)
            return data if has_digest(data, node.digest) else None
        return None

    def _open_cached(self, digest: Digest, size_bytes: int) -> BinaryIO | None:
        """Open a loose object; one that turns out to be damaged is set aside, and is none."""
        file = self._repo.cache.open_large(digest)
        if file is None:
            return None
        held = os.fstat(file.fileno())
        seen = Verified(digest, held.st_ino, held.st_size, held.st_mtime_ns)
        with self._lock:
            if self._verified is None:
                self._verified = self._repo.state.load_verified()
            if seen in self._verified:
                return file
        if held.st_size != size_bytes or hash_file(file.fileno(), algorithm_of(digest).name)[0] != digest:
            file.close()
            self._repo.cache.set_aside(digest)
            self._repo.reporter.warn(f"the cached object {digest} was damaged and is set aside")
            return None
        with self._lock:
            self._verified.add(seen)
        self._repo.state.save_verified([seen])
        return file

    def _place(self, node: Node) -> Path:
        return self._repo.work_tree / node.place

    def _open_unmodified(self, node: Node) -> BinaryIO | None:
        """Open the file of the work tree, if it has this content."""
        assert node.digest is not None
        path = self._place(node)
        try:
            file = open(os.open(path, _OPEN_FLAGS), "rb", buffering=0)  # noqa: SIM115 - handed out
        except OSError:
            return None
        numbers = take_stat(os.fstat(file.fileno()))
        if numbers is None or numbers[1] != node.size_bytes or not self._is_unmodified(node, file, numbers):
            file.close()
            return None
        return file

    def _is_unmodified(self, node: Node, file: BinaryIO, numbers: Stat) -> bool:
        assert node.digest is not None and node.pointer is not None
        if (node.digest, numbers) in self._unmodified:
            return True
        known = self._find_known(node, numbers)
        if known is None:
            known = hash_file(file.fileno(), algorithm_of(node.digest).name)[0]
            if take_stat(os.fstat(file.fileno())) != numbers:
                return False
        if known == node.digest:
            self._unmodified.add((node.digest, numbers))
        return known == node.digest

    def _find_known(self, node: Node, numbers: Stat) -> Digest | None:
        """Return the digest that the state remembers of a file that was not touched since."""
        assert node.pointer is not None
        parent, _, name = node.place.rpartition("/")
        record = self._repo.state.find_directory(parent if node.pointer.is_tree else node.place)
        if record is None:
            return None
        names = record.names.split(b"\0")
        stats = array("q", record.stats)
        digests = record.digests.decode(errors="replace").split("\0")
        if os.fsencode(name) not in names or len(stats) != len(names) * STAT_NUMBERS or len(digests) != len(names):
            return None
        row = names.index(os.fsencode(name))
        same = tuple(stats[row * STAT_NUMBERS : (row + 1) * STAT_NUMBERS]) == numbers
        return Digest(digests[row]) if same and digests[row] else None
