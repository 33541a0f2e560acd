"""Reading many files of an origin at once: in order, bounded, and never of two versions."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.ops.source import try_again_soon
from vstore.errors import Cause, ChangedWhileReadError, RemoteUnavailableError
from vstore.objects.digest import hash_bytes
from vstore.remote import pieces
from vstore.remote.origin import Item, Origin, RetryingOrigin, dated_lock, listing_lock
from vstore.remote.pieces import iter_pieces


class MemoryOrigin(Origin):
    """Files in memory: path → content; ``fail`` says what the next calls raise."""

    url = "memory"

    def __init__(self, files: dict[str, bytes], *, has_ranges: bool = True) -> None:
        self.files = files
        self.locks = dict.fromkeys(files, "1")
        self.fail: list[Exception] = []
        self.under_way = self.most_under_way = 0
        self._has_ranges = has_ranges
        self._lock = threading.Lock()

    def look(self, path: str) -> Item | None:
        if path not in self.files:
            return None
        return Item(path, len(self.files[path]), self.locks[path], has_ranges=self._has_ranges)

    def list(self) -> Iterator[Item]:
        for path in self.files:
            item = self.look(path)
            assert item is not None
            yield item

    def read(self, item: Item, start: int, length: int) -> bytes:
        with self._lock:
            self.under_way += 1
            self.most_under_way = max(self.under_way, self.most_under_way)
            if self.fail:
                self.under_way -= 1
                raise self.fail.pop()
        data = self.files[item.path][start : start + length]
        with self._lock:
            self.under_way -= 1
        return data

    def iter_whole(self, item: Item) -> Iterator[bytes]:
        data = self.files[item.path]
        for start in range(0, len(data), 10):
            if start == 30 and self.fail:
                raise self.fail.pop()
            yield data[start : start + 10]


def read_all(origin: Origin, **more: int) -> dict[str, bytes]:
    """Read all files of an origin."""
    read: dict[str, bytes] = {}
    open_path = None
    for piece in iter_pieces(origin, list(origin.list()), jobs=4, in_flight_bytes=1000, **more):
        path = piece.item.path
        assert open_path in (None, path)
        assert piece.start == len(read.get(path, b""))
        read[path] = read.get(path, b"") + piece.data
        open_path = None if piece.is_last else path
    assert open_path is None
    return read


FILES = {"a": b"x" * 95, "b": b"", "c": bytes(range(250)), "d": b"1"}


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 100)


@pytest.mark.parametrize("has_ranges", [True, False])
def test_all_files(has_ranges: bool) -> None:
    """Every file comes whole, in order, also an empty one, whether parts can be asked for or not."""
    assert read_all(MemoryOrigin(FILES, has_ranges=has_ranges)) == FILES


def test_held_bytes_are_not_read() -> None:
    """What is here already is left out."""
    items = [Item("c", 250, "1")]
    found = list(iter_pieces(MemoryOrigin(FILES), items, jobs=2, in_flight_bytes=1000, find_held=lambda item: 120))
    assert [(piece.start, piece.is_last) for piece in found] == [(120, False), (220, True)]
    assert b"".join(piece.data for piece in found) == FILES["c"][120:]


@pytest.mark.parametrize("path", ["a", "c"])
@pytest.mark.parametrize("has_ranges", [True, False])
def test_changed_meanwhile(path: str, has_ranges: bool) -> None:
    """Of an origin that does not notice by itself each file is looked at once more."""
    origin = MemoryOrigin(FILES, has_ranges=has_ranges)
    items = list(origin.list())
    origin.locks[path] = "2"
    with pytest.raises(ChangedWhileReadError, match=f"memory/{path} changed"):
        list(iter_pieces(origin, items, jobs=2, in_flight_bytes=1000))


def passing() -> RemoteUnavailableError:
    """Return a failure that may not come again."""
    return RemoteUnavailableError("broke", cause=Cause.BROKEN, url="memory")


def test_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks is read again; where no parts can be asked for, what was handed on is not handed on twice."""
    try_again_soon(monkeypatch)
    for has_ranges in (True, False):
        origin = MemoryOrigin(FILES, has_ranges=has_ranges)
        origin.fail = [passing(), passing()]
        assert read_all(RetryingOrigin(origin)) == FILES
        assert not origin.fail


def test_unknown_version_is_not_gone_on_with() -> None:
    """Without a lock nobody could tell whether it is still the same file."""
    origin = MemoryOrigin({"a": FILES["c"]}, has_ranges=False)
    origin.locks["a"] = ""
    origin.fail = [passing()]
    with pytest.raises(ChangedWhileReadError):
        read_all(RetryingOrigin(origin))


def test_locks() -> None:
    """A lock of a date has microseconds, and that of a folder is one of all names and locks, in any order."""
    assert dated_lock(1.5, 7) == "modified:1970-01-01T00:00:01.500000Z size:7"
    assert dated_lock(float("inf"), 7) == "size:7"
    assert dated_lock(float("inf"), None) == ""
    one, two = Item("a", 1, "x"), Item("b", 1, "y")
    assert listing_lock([one, two]) == listing_lock([two, one])
    assert len({listing_lock(items) for items in ([one], [two], [one, two], [one._replace(lock="z")])}) == 4
    assert listing_lock([one, two._replace(lock="")]) == ""
    assert listing_lock([one]) == "list:" + hash_bytes(b"x\ta\n", "xxh128")
