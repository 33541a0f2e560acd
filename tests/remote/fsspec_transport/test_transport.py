"""What works with every driver: the contract on those that run anywhere, and drivers that answer oddly."""

from __future__ import annotations

import datetime
import errno
import math
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from tests.remote.fsspec_transport.contract import FsspecContract
from vstore.errors import CorruptError, RemoteUnavailableError
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.transport import FsspecTransport
from vstore.remote.transport import Transport


class TestMemory(FsspecContract):
    """The contract, on fsspec's own memory; not its threads: it lists its dictionaries while others change them."""

    test_many_threads_at_once = None  # type: ignore[assignment]

    @pytest.fixture
    def transport(self) -> Transport:
        """A fresh folder: the memory is one for the whole process."""
        return open_fsspec(f"memory://{uuid.uuid4().hex}", {}, timeout_s=60)


class TestStagedLocal(FsspecContract):
    """The contract, on a store with folders, where files are moved into place."""

    @pytest.fixture
    def transport(self, tmp_path: Path) -> Transport:
        """An empty directory."""
        root = tmp_path / "remote"
        root.mkdir()
        return FsspecTransport(LocalFileSystem(auto_mkdir=True), str(root), url="local", staged=True)


class Odd(LocalFileSystem):
    """A filesystem that answers ranges and listings as odd drivers do."""

    cachable = False

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Ignore the range, as sshfs does."""
        return Path(path).read_bytes()


def test_ignored_range_is_noticed(tmp_path: Path) -> None:
    """A driver that sends the whole object for a range is not believed."""
    transport = FsspecTransport(Odd(auto_mkdir=True), str(tmp_path), url="odd", staged=True)
    transport.write("a", b"0123456789")
    with pytest.raises(RemoteUnavailableError, match="instead of 2"):
        transport.read_range("a", 3, 2)
    with pytest.raises(CorruptError):
        transport.read_range("a", 9, 2)


def test_failed_staging_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where moving into place fails, the old object stays and the temporary file goes."""
    transport = FsspecTransport(LocalFileSystem(), str(tmp_path), url="local", staged=True)
    transport.write("packs/a", b"old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(LocalFileSystem, "mv", fail)
    with pytest.raises(RemoteUnavailableError):
        transport.write("packs/a", b"new")
    assert os.listdir(tmp_path / "packs") == ["a"]
    assert transport.read("packs/a") == b"old"


@pytest.mark.parametrize(
    ("told", "modified_s"),
    [
        ({"LastModified": datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC)}, 86_400.0),
        ({"last_modified": datetime.datetime(1970, 1, 2)}, 86_400.0),  # noqa: DTZ001 (what some drivers give)
        ({"mtime": 5, "created": 9}, 5.0),
        ({"updated": "1970-01-01T00:01:00.500Z"}, 60.5),
        ({"updated": "yesterday"}, math.inf),
        ({"LastModified": None}, math.inf),
        ({}, math.inf),
    ],
)
def test_dates_of_any_kind(told: dict[str, Any], modified_s: float) -> None:
    """Each driver tells dates in its own way; where none is told, the object is never old."""

    class Dated(LocalFileSystem):
        cachable = False

        def ls(self, path: str, detail: bool = False, **kwargs: Any) -> list[dict[str, Any]]:
            return [{"name": f"{path}/a", "size": 3, "type": "file", **told}]

    (entry,) = FsspecTransport(Dated(), "/root", url="x").list("packs/")
    assert entry == ("packs/a", 3, modified_s)
