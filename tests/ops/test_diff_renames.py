"""What moved, and what changed its kind, is told as that, and counted."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from tests.project import LARGE, Project


def _files(outcome: Any) -> list[tuple[str, str | None, str]]:
    return [
        (file["change"], file["old_path"], file["path"])
        for artifact in outcome.json()["artifacts"]
        for file in artifact["files"]
    ]


def _artifacts(outcome: Any) -> list[tuple[str, str | None, str]]:
    return [(found["change"], found["old_path"], found["path"]) for found in outcome.json()["artifacts"]]


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data."""
    project.add_data()
    return project


def test_file_that_moved_inside_a_tree(filled: Project) -> None:
    """A file with a new path and the same content is renamed, whatever lies at its old path now."""
    (filled.path / "data/large.bin").rename(filled.path / "data/sub/renamed.bin")
    outcome = filled.ok("diff", "--json")
    assert _files(outcome) == [("renamed", "data/large.bin", "data/sub/renamed.bin")]
    totals = {"artifacts": 1, "added": 0, "deleted": 0, "modified": 0, "renamed": 1, "growth_bytes": 0}
    assert outcome.json()["totals"] == totals
    assert "  > data/large.bin -> data/sub/renamed.bin  " in filled.ok("diff").stdout
    filled.write("data/large.bin", b"new\n")
    assert _files(filled.ok("diff", "--json")) == [
        ("modified", None, "data/large.bin"),
        ("added", None, "data/sub/renamed.bin"),
    ]


def test_file_that_moved_between_artifacts(filled: Project) -> None:
    """A file that went from one artifact to another is told once."""
    (filled.path / "model.bin").rename(filled.path / "data/model.bin")
    filled.ok("rm", "model.bin")
    filled.ok("add", "data")
    filled.commit("moved")
    outcome = filled.ok("diff", "HEAD~1", "HEAD", "--json")
    assert _artifacts(outcome) == [("modified", None, "data"), ("deleted", None, "model.bin")]
    assert _files(outcome) == [("renamed", "model.bin", "data/model.bin")]
    outcome = filled.ok("diff", "HEAD", "HEAD~1", "--json")
    assert _files(outcome) == [("renamed", "data/model.bin", "model.bin")]
    assert "> data/model.bin -> model.bin" in filled.ok("diff", "HEAD", "HEAD~1").stdout


def test_artifacts_that_moved_as_a_whole(filled: Project) -> None:
    """A directory or file whose pointer was renamed is told as that, and no list of files is needed."""
    filled.ok("mv", "data", "sets/images")
    filled.ok("mv", "model.bin", "other.bin")
    filled.git("add", ".")
    filled.commit("moved")
    filled.drop_cache()
    outcome = filled.ok("diff", "HEAD~1", "HEAD", "--json")
    assert _artifacts(outcome) == [("renamed", "model.bin", "other.bin"), ("renamed", "data", "sets/images")]
    assert _files(outcome) == [("renamed", "model.bin", "other.bin")]
    assert filled.ok("diff", "HEAD~1", "HEAD").stdout.splitlines() == [
        "> model.bin -> other.bin  512 kB",
        "> data -> sets/images     512 kB",
        "2 artifacts, 1 file changed (>1), +0 B",
    ]
    assert filled.ok("diff", "HEAD~1", "--name-only").stdout == "other.bin\nsets/images\n"


def test_artifact_that_moved_and_changed(filled: Project) -> None:
    """Of a directory that was renamed and changed, the files are found again, told by directory."""
    for number in range(5):
        filled.write(f"data/many/{number}", f"{number}\n".encode())
    filled.ok("add", "data")
    filled.commit("many")
    filled.ok("mv", "data", "images")
    filled.write("images/a.txt", b"changed\n")
    filled.ok("add", "images")
    filled.git("add", ".")
    filled.commit("moved")
    outcome = filled.ok("diff", "HEAD~1", "HEAD", "--json")
    assert _artifacts(outcome) == [("deleted", None, "data"), ("added", None, "images")]
    assert sorted(_files(outcome))[:2] == [("added", None, "images/a.txt"), ("deleted", None, "data/a.txt")]
    assert len(_files(outcome)) == 9
    assert "  > data/ -> images/" in filled.ok("diff", "HEAD~1", "HEAD").stdout
    assert "(7 files)" in filled.ok("diff", "HEAD~1", "HEAD").stdout


def test_copies_are_added(filled: Project) -> None:
    """A file that is still where it was was not renamed, and further copies of one that was are added."""
    shutil.copyfile(filled.path / "data/large.bin", filled.path / "data/copy.bin")
    assert _files(filled.ok("diff", "--json")) == [("added", None, "data/copy.bin")]
    (filled.path / "data/large.bin").rename(filled.path / "data/zzz.bin")
    assert _files(filled.ok("diff", "--json")) == [
        ("renamed", "data/large.bin", "data/copy.bin"),
        ("added", None, "data/zzz.bin"),
    ]


def test_empty_files_are_not_mixed_up(filled: Project) -> None:
    """Empty files are alike, and renamed only where their last names are the same."""
    filled.write("data/__init__.py", b"")
    filled.write("data/marker", b"")
    filled.ok("add", "data")
    filled.commit("empty")
    (filled.path / "data/__init__.py").rename(filled.path / "data/sub/__init__.py")
    (filled.path / "data/marker").rename(filled.path / "data/mark")
    assert _files(filled.ok("diff", "--json")) == [
        ("added", None, "data/mark"),
        ("deleted", None, "data/marker"),
        ("renamed", "data/__init__.py", "data/sub/__init__.py"),
    ]


def test_kinds(filled: Project) -> None:
    """Executable bits, symlinks and empty directories are told for what they are."""
    (filled.path / "data/a.txt").chmod(0o755)
    (filled.path / "data/sub/b.txt").unlink()
    (filled.path / "data/link").symlink_to("a.txt")
    (filled.path / "data/large.bin").unlink()
    (filled.path / "data/large.bin").symlink_to("a.txt")
    (filled.path / "model.bin").chmod(0o755)
    shown = {
        file["path"]: (file["change"], file["old_kind"], file["new_kind"], file["new_target"])
        for artifact in filled.ok("diff", "--json").json()["artifacts"]
        for file in artifact["files"]
    }
    assert shown == {
        "data/a.txt": ("modified", "file", "executable", None),
        "data/large.bin": ("modified", "file", "symlink", "a.txt"),
        "data/link": ("added", None, "symlink", "a.txt"),
        "data/sub": ("added", None, "directory", None),
        "data/sub/b.txt": ("deleted", "file", None, None),
        "model.bin": ("modified", "file", "executable", None),
    }
    words = filled.ok("diff").stdout
    assert "~ data/a.txt" in words and "(now executable)" in words
    assert "(-512 kB, file -> symlink, to a.txt)" in words and "(to a.txt)" in words
    filled.ok("add", "-u")
    filled.commit("kinds")
    assert "not executable any more" in filled.ok("diff", "HEAD", "HEAD~1", "model.bin").stdout
    filled.ok("checkout", "--rev", "HEAD~1", "--force")


def test_counts_only(filled: Project) -> None:
    """With --stat a line for each artifact counts its files, and nothing lists them."""
    filled.write("data/a.txt", b"changed\n")
    filled.write("data/new.txt", b"new\n")
    (filled.path / "data/large.bin").rename(filled.path / "data/moved.bin")
    shutil.rmtree(filled.path / "data/sub")
    (filled.path / "model.bin").unlink()
    assert filled.ok("diff", "--stat").stdout.splitlines() == [
        "~ data       +1 ~1 -1 >1  512 kB -> 512 kB  (+7 B)",
        "- model.bin  -1                     512 kB",
        "2 artifacts, 5 files changed (+1 ~1 -2 >1), -512 kB",
    ]
    result = filled.ok("diff", "--stat", "--json").json()
    assert [found["files"] for found in result["artifacts"]] == [None, None]
    assert result["totals"]["growth_bytes"] == 7 - len(LARGE)
    assert filled.run("diff", "--stat", "--name-only").exit_code == 2


def test_what_cannot_be_read_is_not_deleted(filled: Project) -> None:
    """What another kind of thing stands in place of is named, and all else is compared."""
    (filled.path / "data/a.txt").unlink()
    os.mkfifo(filled.path / "data/a.txt")
    filled.write("data/new.txt")
    outcome = filled.run("diff", "--json")
    assert outcome.exit_code == 3
    assert _files(outcome) == [("added", None, "data/new.txt")]
    assert outcome.json()["failed"] == [["data/a.txt", "is a named pipe"]]


def test_same_twice(filled: Project) -> None:
    """A revision does not differ from itself, however it is called."""
    assert filled.ok("diff", "HEAD", "main").stdout == ""
    assert filled.ok("diff", "--stat", "HEAD").stdout == ""
