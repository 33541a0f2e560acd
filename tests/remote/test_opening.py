"""From URL and options to a transport."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vstore.errors import InvalidError
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.fsspec_transport.transport import FsspecTransport
from vstore.remote.opening import open_transport


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("../backup", "{tmp}/backup"),
        ("backup", "{tmp}/repo/backup"),
        ("a b#c%20?d", "{tmp}/repo/a b#c%20?d"),
        ("/mnt/disk/", "/mnt/disk"),
        ("~/backup", "{home}/backup"),
        ("file:///mnt/a%20b", "/mnt/a b"),
        ("file://localhost/mnt", "/mnt"),
    ],
)
def test_directories(url: str, path: str, tmp_path: Path, home: Path) -> None:
    """A path, relative to the root of the work tree or to a home, or a file URL, is a directory."""
    transport = open_transport(url, {}, root=tmp_path / "repo")
    assert isinstance(transport, DirectoryTransport)
    assert transport.url == path.format(tmp=tmp_path, home=home)


def test_opening_makes_nothing(tmp_path: Path) -> None:
    """A directory that is opened but not written to is not made."""
    open_transport("backup", {}, root=tmp_path)
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("url", ["", "file://", "file://host/share", "~nobody-of-that-name/x", "a\0b", "gopher://x/y"])
def test_senseless_places(url: str, tmp_path: Path) -> None:
    """What names no place is refused as such."""
    with pytest.raises(InvalidError):
        open_transport(url, {}, root=tmp_path)


def test_directories_know_no_options(tmp_path: Path) -> None:
    """An option that nothing would read is a mistake, not something to pass over."""
    with pytest.raises(InvalidError, match="endpoint_url"):
        open_transport("backup", {"endpoint_url": "x"}, root=tmp_path)


def test_other_places_go_through_fsspec(tmp_path: Path) -> None:
    """Any other protocol is a matter of fsspec."""
    transport = open_transport("memory://somewhere/x", {}, root=tmp_path)
    assert isinstance(transport, FsspecTransport)
    assert transport.url == "memory://somewhere/x"


def test_a_directory_needs_no_fsspec() -> None:
    """Opening a directory does not import fsspec, whose import takes longer than the rest together."""
    program = (
        "import sys, pathlib; from vstore.remote.opening import open_transport;"
        "open_transport('x', {}, root=pathlib.Path('/')); sys.exit('fsspec' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False).returncode == 0
