"""Pieces of contents that the cache lacks: from memory, from the blocks beside the cache, else from a remote."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from vstore.cache.blocks import BlockCache
from vstore.errors import ObjectMissingError, RemoteNotFoundError, UnavailableError
from vstore.objects.digest import Digest
from vstore.objects.pointer import Pointer
from vstore.objects.recipe import Chunk
from vstore.repo import Repo

if TYPE_CHECKING:
    from vstore.remote.reader import Reader
    from vstore.remote.remote import Remote

_MEMORY_BYTES = 64 * 1024 * 1024
_MOST_CHUNKS = 200_000
_MOST_READERS = 8
ListRoots = Callable[[], Collection[Digest]]


class Pieces:
    """Reads chunks and small contents of one repository's remotes, each verified.  Thread-safe.

    A remote is asked what it holds of all that pointers name at once: that costs no more than to ask for one.
    """

    def __init__(self, repo: Repo, remote: str | None) -> None:
        self._repo = repo
        self._remote = remote
        self._blocks = BlockCache(repo.shared / "blocks", repo.config.fs_cache_bytes)
        self._lock = threading.RLock()
        self._recent: OrderedDict[Digest, bytes] = OrderedDict()
        self._recent_bytes = 0
        self._recipes: OrderedDict[Digest, list[Chunk]] = OrderedDict()
        self._readers: dict[str, list[tuple[frozenset[Digest], Reader]]] = {}
        self._remotes: dict[str, Remote] = {}
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        """Give back connections."""
        self._stack.close()

    def read(self, digests: Iterable[Digest], pointer: Pointer, roots: ListRoots) -> dict[Digest, bytes]:
        """Return chunks or small contents of what a pointer names.

        ``roots`` names other roots that are likely to be read from soon.
        Raises ObjectMissingError, RemoteUnavailableError.
        """
        wanted = dict.fromkeys(digests)
        held: dict[Digest, bytes] = {}
        for digest in wanted:
            data = self.find(digest)
            if data is not None:
                held[digest] = data
        lacking = [digest for digest in wanted if digest not in held]
        if lacking:
            with self._reading(pointer, roots) as reader:
                read = reader.read_blobs(lacking)
                for digest, data in read.items():
                    self._remember(digest, data)
                    self._blocks.keep(digest, data)
                held.update(read)
                self._check(lacking, read)
        return held

    def get_chunks(self, digest: Digest, pointer: Pointer, roots: ListRoots) -> Sequence[Chunk]:
        """Return the chunks of a large content, in order.  Raises ObjectMissingError, RemoteUnavailableError."""
        with self._lock:
            known = self._recipes.get(digest)
        if known is not None:
            return known
        with self._reading(pointer, roots) as reader:
            found = dict(reader.read_chunks([digest]))
            self._check([digest], found)
        with self._lock:
            self._recipes[digest] = found[digest]
            while len(self._recipes) > 1 and sum(map(len, self._recipes.values())) > _MOST_CHUNKS:
                self._recipes.popitem(last=False)
        return found[digest]

    def _check(self, wanted: Iterable[Digest], found: Collection[Digest]) -> None:
        missing = [digest for digest in wanted if digest not in found]
        if missing:
            raise ObjectMissingError(f"{missing[0]} is in no remote", digests=missing)

    def find(self, digest: Digest) -> bytes | None:
        """Return a piece if it is in memory or among the blocks, without asking a remote."""
        with self._lock:
            data = self._recent.get(digest)
            if data is not None:
                self._recent.move_to_end(digest)
                return data
        data = self._blocks.find(digest)
        if data is not None:
            self._remember(digest, data)
        return data

    def _remember(self, digest: Digest, data: bytes) -> None:
        with self._lock:
            if digest not in self._recent:
                self._recent[digest] = data
                self._recent_bytes += len(data)
            while self._recent_bytes > _MEMORY_BYTES:
                self._recent_bytes -= len(self._recent.popitem(last=False)[1])

    @contextlib.contextmanager
    def _reading(self, pointer: Pointer, roots: ListRoots) -> Iterator[Reader]:
        """Yield a reader for a root; one that found less than was wanted is not used again: more may be pushed."""
        try:
            name = self._repo.remote_name(self._remote or pointer.remote)
        except RemoteNotFoundError as error:
            if self._remote or pointer.remote:
                raise
            message = "what is wanted is not in the cache, and there is no remote to ask"
            raise ObjectMissingError(
                message, digests=[pointer.digest], no_remote=not self._repo.config.remotes
            ) from error
        reader = self._get_reader(name, pointer.digest, roots)
        try:
            yield reader
        except ObjectMissingError:
            with self._lock:
                self._readers[name] = [(known, other) for known, other in self._readers[name] if other is not reader]
            raise
        except UnavailableError as error:
            error.fields.setdefault("remote", name)
            raise

    def _get_reader(self, name: str, root: Digest, roots: ListRoots) -> Reader:
        with self._lock:
            readers = self._readers.setdefault(name, [])
            for known, reader in readers:
                if root in known:
                    return reader
            if name not in self._remotes:
                self._remotes[name] = self._stack.enter_context(self._repo.open_remote(name))
            wanted = frozenset({root, *roots()})
            reader = self._remotes[name].open_reader(wanted, reporter=self._repo.reporter)
            readers.append((wanted, reader))
            del readers[:-_MOST_READERS]
            return reader
