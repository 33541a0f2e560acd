"""What is pushed and fetched, and the two local places it comes from and goes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Buffer, Digest
from vstore.objects.table import Location


class Content(NamedTuple):
    """The bytes of one file or tree."""

    digest: Digest
    size_bytes: int

    @property
    def is_small(self) -> bool:
        """Whether it is one record; a larger one is cut into chunks that a recipe lists."""
        return self.size_bytes <= SMALL_BYTES


class Root(NamedTuple):
    """What a pointer names, with everything it needs, ordered by path; of a tree the tree's own bytes are a part.

    ``kind`` is "file" or "tree".  ``path`` and ``git_commit`` say where the pointer was found, for people.
    """

    digest: Digest
    kind: str
    contents: Sequence[Content]
    path: str
    git_commit: str | None = None


class Source(Protocol):
    """Where a push takes contents from: the local cache.  Called from one thread."""

    def find_record(self, digest: Digest) -> tuple[Location, Buffer] | None:
        """Return the whole stored record of a small content, verified, or None if it is not held undamaged."""

    def open_large(self, digest: Digest) -> BinaryIO | None:
        """Open a large content, or None if it is not held; whoever reads it verifies it."""


class Sink(Protocol):
    """Where a fetch puts contents: a writer of the local cache.  Called from one thread."""

    @property
    def path(self) -> Path:
        """The directory that the contents go to."""

    def add_records(self, records: Iterable[tuple[Location, Buffer]]) -> None:
        """Take whole, verified records of small contents."""

    def open_partial(self, digest: Digest) -> BinaryIO:
        """Open the file in which a large content is put together, with what an earlier attempt left in it."""

    def finish_partial(self, digest: Digest, file: BinaryIO) -> None:
        """Close and publish that file.  Raises CorruptError if it is not the content."""

    def open_large(self, digest: Digest) -> BinaryIO | None:
        """Open a large content that is held, or None: parts of it may be copied."""


class Arriving(Protocol):
    """Contents that come from elsewhere, to be brought to the remote without keeping them: what they are is seen then.

    Used from one thread.  Iterating yields small contents as bytes, and large ones (``is_small`` of ``Content`` says
    which these are) as files to be read once, to their end, before the next is drawn.
    """

    @property
    def algorithm(self) -> str:
        """The hash algorithm that names them."""

    def __iter__(self) -> Iterator[bytes | BinaryIO]: ...

    def note(self, content: Content) -> None:
        """Learn what the content just yielded is; a push that ends well has it at the remote."""


class Incoming(Arriving, Protocol):
    """All contents of a root that a push brings to the remote from elsewhere."""

    @property
    def total_bytes(self) -> int | None:
        """How many bytes they have together, if that is known before."""

    def finish(self) -> Root:
        """Return, when all were noted, what they are together; its other contents are held by the push's source."""
