"""Moving in from repositories that DVC 2 made: other hashes, and another layout of cache and remote."""

from __future__ import annotations

import shutil

import pytest

from tests.ops.migrate.places import CRLF, DvcProject
from tests.project import LARGE


def test_cache_of_dvc_2(dvc_2: DvcProject) -> None:
    """All of it moves, texts with CRLF byte for byte, though their hash was taken of other bytes."""
    assert (dvc_2.dvc_cache / "files").exists() is False
    dvc_2.ok("migrate", "dvc")
    dvc_2.drop_dvc_cache()
    shutil.rmtree(dvc_2.path / "data")
    dvc_2.ok("checkout")
    assert dvc_2.read("data/crlf.txt") == CRLF and dvc_2.read("data/sub/deep/große Datei.bin") == LARGE


def test_remote_of_dvc_2(dvc_2: DvcProject) -> None:
    """Its remote has the old layout, too."""
    dvc_2.drop_dvc_cache()
    shutil.rmtree(dvc_2.path / "data")
    dvc_2.ok("migrate", "dvc")
    assert dvc_2.ok("cat", "data/crlf.txt").stdout_bytes == CRLF


@pytest.mark.parametrize(
    "content", [b"a\r\nb\r\n" * 200_000, b"\0binary\r\n" * 100_000, b"x" * 2**20 + b"\r\n" * 600_000]
)
def test_large_files_of_dvc_2(dvc_2: DvcProject, content: bytes) -> None:
    """What is text, and where pieces end, is decided as DVC 2 did."""
    dvc_2.write("large.txt", content)
    dvc_2.dvc("add", "-q", "large.txt")
    dvc_2.ok("migrate", "dvc", "large.txt")
    assert dvc_2.ok("cat", "large.txt").stdout_bytes == content


def test_both_versions_in_one_repository(dvc_2: DvcProject, dvc_program: object) -> None:
    """What DVC 3 added beside what DVC 2 had added is found in its place."""
    both = DvcProject(dvc_2.path, dvc_program)  # type: ignore[arg-type]
    both.write("new.txt", CRLF)
    both.dvc("add", "-q", "new.txt")
    result = both.ok("migrate", "dvc", "--json").json()
    assert len(result["artifacts"]) == 4 and both.ok("cat", "new.txt").stdout_bytes == CRLF
