"""Fetching: bringing contents from a remote into the local cache, each verified, with few requests.

What can be fetched is fetched; what is good nowhere is named in the report, never hidden.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vstore.durable import os_errors
from vstore.errors import CorruptError
from vstore.objects.chunking import iter_chunks
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.recipe import Chunk
from vstore.objects.table import BLOB, Location
from vstore.progress import Reporter
from vstore.remote.content import Content, Sink
from vstore.remote.ledger import Site
from vstore.remote.reader import Reader
from vstore.remote.transport import Key

_GROUP_FILES = 64
_GROUP_BYTES = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch did.

    ``read_bytes`` is what was downloaded for contents, ``reused_bytes`` what older versions and interrupted
    attempts on this machine held already.  ``missing`` are the contents that are good nowhere at the remote,
    ``damaged`` each record that was not good where it should be, with its pack (it may be good elsewhere).
    """

    contents: int
    read_bytes: int
    reused_bytes: int
    missing: tuple[Digest, ...]
    damaged: tuple[tuple[Digest, Key], ...]


class Fetch:
    """One fetch.  ``roots`` are those that the contents belong to; ``bases`` are held older versions of contents."""

    def __init__(
        self, site: Site, sink: Sink, roots: Collection[Digest], bases: Mapping[Digest, Digest], reporter: Reporter
    ) -> None:
        self._site = site
        self._reader = Reader(site, roots, reporter)
        self._sink = sink
        self._bases = bases
        self._reporter = reporter
        self._fetched: set[Digest] = set()
        self._read_bytes = 0
        self._reused_bytes = 0

    def run(self, wanted: Sequence[Content]) -> FetchReport:
        """Bring contents into the sink.  Raises UnavailableError, NewerFormatError."""
        contents = {content.digest: content for content in wanted}
        self._reporter.begin("fetching", total=sum(c.size_bytes for c in contents.values()), unit="bytes")
        try:
            self._fetch_small([content.digest for content in contents.values() if content.is_small])
            for group in _iter_groups(content for content in contents.values() if not content.is_small):
                self._fetch_group(group)
        finally:
            self._reporter.end()
        # The next push uploads anew what they hold.
        self._site.mirror.distrust({pack for _, pack in self._reader.damaged})
        return FetchReport(
            contents=len(self._fetched),
            read_bytes=self._read_bytes,
            reused_bytes=self._reused_bytes,
            missing=tuple(digest for digest in contents if digest not in self._fetched),
            damaged=tuple(self._reader.damaged),
        )

    def _fetch_small(self, digests: list[Digest]) -> None:
        for batch in self._reader.read_batches(BLOB, digests, _record):
            self._sink.add_records(batch)
            self._fetched.update([location.digest for location, _ in batch])
            self._read_bytes += sum([len(record) for _, record in batch])
            self._reporter.advance(sum([location.raw_bytes for location, _ in batch]))

    def _fetch_group(self, group: list[Content]) -> None:
        """Put together a group of large contents, whose missing chunks are read as one."""
        sizes = {content.digest: content.size_bytes for content in group}
        with contextlib.ExitStack() as stack:
            parts: dict[Digest, _Assembly] = {}
            for digest, chunks in self._reader.read_chunks(sizes):
                if sum(chunk.size_bytes for chunk in chunks) != sizes[digest]:
                    self._reporter.warn(f"the recipe of {digest} is of no use: it makes up something else")
                    continue
                file = stack.enter_context(self._sink.open_partial(digest))
                parts[digest] = _Assembly(digest, chunks, file, self._sink.path)
            for part in parts.values():
                self._reuse(part.find_present())
                base = self._bases.get(part.digest)
                if part.lacking and base is not None:
                    self._copy_from(base, part)
            self._read_chunks(list(parts.values()))
            for part in parts.values():
                if not part.lacking:
                    self._finish(part)

    def _copy_from(self, base: Digest, part: _Assembly) -> None:
        """Copy what an older version of a content holds; its chunks are found by cutting it again."""
        file = self._sink.open_large(base)
        if file is None:
            return
        algorithm = algorithm_of(part.digest).name
        with file, os_errors(self._sink.path, "read an object in"):
            for piece in iter_chunks(file):
                self._reuse(part.write(hash_bytes(piece, algorithm), piece))
                if not part.lacking:
                    return

    def _reuse(self, reused_bytes: int) -> None:
        self._reused_bytes += reused_bytes
        self._reporter.advance(reused_bytes)

    def _read_chunks(self, parts: list[_Assembly]) -> None:
        takers: dict[Digest, list[_Assembly]] = {}
        for part in parts:
            for digest in part.lacking:
                takers.setdefault(digest, []).append(part)

        def take(location: Location, record: memoryview, content: bytes) -> int:
            for part in takers[location.digest]:
                part.write_at(part.lacking[location.digest], content)
            return len(record)

        for location, read_bytes in self._reader.read(BLOB, takers, take):
            self._read_bytes += read_bytes
            for part in takers[location.digest]:
                self._reporter.advance(location.raw_bytes * len(part.lacking.pop(location.digest)))

    def _finish(self, part: _Assembly) -> None:
        try:
            part.truncate()
            self._sink.finish_partial(part.digest, part.file)
        except CorruptError as error:
            self._reporter.warn(f"the chunks of {part.digest} do not make it up: {error.message}")
        else:
            self._fetched.add(part.digest)


class _Assembly:
    """A large content that is being put together in a file below ``path``.

    ``lacking`` are the chunks to come, with their offsets.
    """

    def __init__(self, digest: Digest, chunks: list[Chunk], file: BinaryIO, path: Path) -> None:
        self.digest = digest
        self.file = file
        self.lacking: dict[Digest, list[int]] = {}
        self._path = path
        self._chunks = chunks
        self._size_bytes = 0
        for chunk in chunks:
            self.lacking.setdefault(chunk.digest, []).append(self._size_bytes)
            self._size_bytes += chunk.size_bytes

    def find_present(self) -> int:
        """Keep what an interrupted attempt left, chunk by chunk verified; return how many bytes that is."""
        algorithm = algorithm_of(self.digest).name
        descriptor = self.file.fileno()
        present = offset = 0
        with os_errors(self._path, "read what was fetched into"):
            held = os.fstat(descriptor).st_size
            for chunk in self._chunks:
                if offset + chunk.size_bytes <= held:
                    data = os.pread(descriptor, chunk.size_bytes, offset)
                    if hash_bytes(data, algorithm) == chunk.digest:
                        self.lacking[chunk.digest].remove(offset)
                        present += chunk.size_bytes
                offset += chunk.size_bytes
        self.lacking = {digest: offsets for digest, offsets in self.lacking.items() if offsets}
        return present

    def write(self, digest: Digest, data: memoryview) -> int:
        """Write a chunk if it is lacking; return how many bytes that makes present."""
        offsets = self.lacking.pop(digest, ())
        self.write_at(offsets, data)
        return len(data) * len(offsets)

    def write_at(self, offsets: Iterable[int], data: bytes | memoryview) -> None:
        """Write a chunk at all of its offsets.  Thread-safe."""
        with os_errors(self._path, "write what was fetched into"):
            for offset in offsets:
                view = memoryview(data)
                while view:
                    written = os.pwrite(self.file.fileno(), view, offset)
                    view = view[written:]
                    offset += written

    def truncate(self) -> None:
        """Cut off what a longer, unlawful attempt may have left."""
        with os_errors(self._path, "write what was fetched into"):
            os.ftruncate(self.file.fileno(), self._size_bytes)


def _iter_groups(contents: Iterable[Content]) -> Iterator[list[Content]]:
    """Yield contents in groups that keep many requests under way and few files open."""
    group: list[Content] = []
    size_bytes = 0
    for content in contents:
        group.append(content)
        size_bytes += content.size_bytes
        if len(group) >= _GROUP_FILES or size_bytes >= _GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _record(_location: Location, record: memoryview, _content: bytes) -> memoryview:
    return record
