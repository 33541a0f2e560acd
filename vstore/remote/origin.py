"""The contract of an origin: a place whose data is imported, read and never written.

Unlike a remote it is not ours: names are of any kind, and what is there may change at any moment.  So whatever is read
is read of one version, which its ``lock`` names.
"""

from __future__ import annotations

import datetime
import math
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

import xxhash

from vstore.errors import ChangedWhileReadError
from vstore.remote.patience import Patience


class Item(NamedTuple):
    """A file at an origin, in one version.

    ``path`` is relative to the URL, "" for what the URL itself names.  ``size_bytes`` is None where it is not told.
    ``lock`` names the version: equal locks mean equal bytes, as far as the origin tells; "" where it tells nothing.
    ``md5`` is that of the content in base64, "" where it is not known; of a listing it may be a guess.
    ``version`` is by what the origin gives the same bytes also when they were replaced, "" where it keeps none or a
    listing does not tell.
    ``obstacle`` says why this is no file that can be imported, as "is a socket"; only a listing has such items.
    """

    path: str
    size_bytes: int | None
    lock: str
    md5: str = ""
    executable: bool = False
    version: str = ""
    obstacle: str = ""
    has_ranges: bool = True
    """Whether parts can be asked for; where not, and where the size is not known, ``iter_whole`` reads."""

    @property
    def is_firm(self) -> bool:
        """Whether the lock is enough to put parts together that were read at different times.

        A size alone is not, nor is a tag that the server calls weak: it means the same page, not the same bytes.
        """
        return bool(self.lock) and not self.lock.startswith(("size:", "etag:W/"))


class Origin(ABC):
    """One URL, which names a file, or a folder of files.

    All methods raise RemoteUnavailableError (``retryable`` where trying again may help) and RemoteDeniedError, and may
    be called from several threads at once.
    """

    url: str
    """For messages: never with a secret."""

    is_watchful: bool = False
    """Whether reading fails by itself where the file changed; where not, whoever read it looks again."""
    most_at_once: int | None = None
    """How many requests it bears at once, where these are few."""

    @abstractmethod
    def look(self, path: str) -> Item | None:
        """Return the file at a path ("" is the URL itself), or None where there is none."""

    def find_version(self, lock: str, version: str) -> Item | None:
        """Return the file that the URL named when it had that lock and version, or None where it is not kept."""
        return None

    @abstractmethod
    def list(self) -> Iterator[Item]:
        """Yield all files below the URL, and what would be missed though it is none; in no certain order."""

    @abstractmethod
    def read(self, item: Item, start: int, length: int) -> bytes:
        """Return ``length`` bytes, at least one, from ``start``.  Raises ChangedWhileReadError."""

    def iter_whole(self, item: Item) -> Iterator[bytes]:
        """Yield all bytes of a file of which no parts can be asked for.  Raises ChangedWhileReadError."""
        raise self.changed(item)

    def close(self) -> None:  # noqa: B027 (some hold nothing)
        """Give back connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def changed(self, item: Item) -> ChangedWhileReadError:
        """Return the error of a file that is no longer what it was when it was listed."""
        name = join_url(self.url, item.path)
        return ChangedWhileReadError(f"{name} changed while it was read", path=item.path, url=self.url)


class RetryingOrigin(Origin):
    """Tries again what failed and may work later; a listing is read whole before it is handed on."""

    def __init__(self, inner: Origin, *, tell: Callable[[str], None] = lambda message: None) -> None:
        self.inner = inner
        self.url = inner.url
        self.is_watchful = inner.is_watchful
        self.most_at_once = inner.most_at_once
        self._patience = Patience(tell=tell)

    def look(self, path: str) -> Item | None:
        return self._patience.call(lambda: self.inner.look(path))

    def find_version(self, lock: str, version: str) -> Item | None:
        return self._patience.call(lambda: self.inner.find_version(lock, version))

    def list(self) -> Iterator[Item]:
        return iter(self._patience.call(lambda: tuple(self.inner.list())))

    def read(self, item: Item, start: int, length: int) -> bytes:
        return self._patience.call(lambda: self.inner.read(item, start, length))

    def iter_whole(self, item: Item) -> Iterator[bytes]:
        """Yield all bytes; after a break what was handed on already is received once more, and dropped."""
        handed = 0
        pieces: Iterator[bytes] | None = None

        def take() -> bytes | None:
            nonlocal pieces
            try:
                if pieces is None:
                    if handed and not item.is_firm:
                        raise self.changed(item)  # nobody could tell whether it goes on where it stopped
                    pieces = _skip(self.inner.iter_whole(item), handed)
                return next(pieces, None)
            except BaseException:
                pieces = None
                raise

        while (piece := self._patience.call(take)) is not None:
            handed += len(piece)
            yield piece

    def close(self) -> None:
        self.inner.close()


def _skip(pieces: Iterable[bytes], start: int) -> Iterator[bytes]:
    position = 0
    for piece in pieces:
        if position + len(piece) > start:
            yield piece[max(0, start - position) :]
        position += len(piece)


def join_url(url: str, path: str) -> str:
    """Return the URL of what lies at a path below a URL, for messages."""
    return f"{url.rstrip('/')}/{path}" if path else url


def find_obstacle(mode: int | None, *, is_link: bool) -> str:
    """Return why what has a mode, links followed, is no file; "" for a file.  None: what a link leads to is absent."""
    if mode is None:
        return "is a link to nothing"
    if is_link and stat.S_ISDIR(mode):
        return "is a link to a directory"
    kinds = {stat.S_IFREG: "", stat.S_IFIFO: "is a named pipe", stat.S_IFSOCK: "is a socket"}
    return kinds.get(stat.S_IFMT(mode), "is no file")


def dated_lock(modified_s: float, size_bytes: int | None) -> str:
    """Return the lock of a file of which only date and size are known; "" where neither is."""
    words = []
    if not math.isinf(modified_s):
        moment = datetime.datetime.fromtimestamp(modified_s, datetime.UTC)
        words.append("modified:" + moment.isoformat(timespec="microseconds").replace("+00:00", "Z"))
    if size_bytes is not None:
        words.append(f"size:{size_bytes}")
    return " ".join(words)


def listing_lock(items: Iterable[Item]) -> str:
    """Return the lock of a folder: a hash of the locks and paths of all its files; "" where one has none."""
    lines = sorted(f"{item.lock}\t{item.path}\n" for item in items)
    if any(line.startswith("\t") for line in lines):
        return ""
    hasher = xxhash.xxh3_128()
    for line in lines:
        hasher.update(line.encode(errors="surrogateescape"))
    return f"list:xxh128:{hasher.hexdigest()}"
