"""Looking through a work tree for pointers and links: everywhere, and never elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vstore.errors import UnavailableError
from vstore.workspace.uses import find_uses


def write(path: Path, content: bytes = b"pointer") -> None:
    """Write a file, making directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_pointers(tmp_path: Path) -> None:
    """Files that are called like pointers are found at any depth, but for those in data and in other repositories."""
    for name in ("a.vstore", "deep/er/b.vstore", ".hidden/ü.vstore", "data.vstore"):
        write(tmp_path / name, name.encode())
    for name in (
        "data/inside.vstore",
        "data/deep/inside.vstore",
        ".git/x.vstore",
        ".vstore/x.vstore",
        "other/x.vstore",
        "deep/.vstore",
        "vstore",
    ):
        write(tmp_path / name)
    write(tmp_path / "other/.git")
    (tmp_path / "directory.vstore").mkdir()
    (tmp_path / "link.vstore").symlink_to("a.vstore")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "pipe.vstore")
    names = {"a.vstore", "deep/er/b.vstore", ".hidden/ü.vstore", "data.vstore"}
    assert find_uses(tmp_path).pointers == {name: name.encode() for name in names}


def test_links(tmp_path: Path) -> None:
    """Links to objects of whatever cache are found, also in data, relative ones, and to objects that are gone."""
    write(tmp_path / "data.vstore")
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/deep/a").symlink_to("/cache/objects/xxh128/01/" + "2" * 30)
    (tmp_path / "b").symlink_to("../x/objects/blake3/ab/" + "c" * 62)
    for number, target in enumerate(("/cache/objects/xxh128/01/2", "x", "/objects/md5/01/" + "2" * 30)):
        (tmp_path / f"no-{number}").symlink_to(target)
    assert find_uses(tmp_path).links == {"xxh128:01" + "2" * 30, "blake3:ab" + "c" * 62}


def test_huge_pointer(tmp_path: Path) -> None:
    """Of a file that is too long for a pointer no more is read than shows it."""
    with open(tmp_path / "a.vstore", "wb") as file:
        file.truncate(10**10)
    assert len(find_uses(tmp_path).pointers["a.vstore"]) == 1024 * 1024 + 1


def test_missing(tmp_path: Path) -> None:
    """A work tree that is not there is an error, not one without needs."""
    with pytest.raises(UnavailableError):
        find_uses(tmp_path / "gone")
