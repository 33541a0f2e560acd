"""The files of a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import git
from vstore.errors import GitFailedError
from vstore.git import get_git_repo
from vstore.git.listing import list_files


@pytest.fixture
def filled(git_repo: Path) -> Path:
    """A repository with a file of each kind."""
    (git_repo / "sub dir").mkdir()
    (git_repo / "sub dir/ü\t1").write_bytes(b"12345")
    (git_repo / "run.sh").write_bytes(b"#!")
    (git_repo / "run.sh").chmod(0o755)
    (git_repo / "link").symlink_to("run.sh")
    git("add", ".", cwd=git_repo)
    git("commit", "--quiet", "--message", "files", cwd=git_repo)
    return git_repo


def test_files_and_sizes(filled: Path) -> None:
    """Files have names as they are, sizes and the executable bit; a link is no file."""
    files = list_files(get_git_repo(filled), "HEAD")
    assert [(file.path, file.size_bytes, file.executable) for file in files] == [
        ("run.sh", 2, True),
        ("sub dir/ü\t1", 5, False),
    ]
    assert files[0].oid == git("rev-parse", "HEAD:run.sh", cwd=filled)


def test_partial_clone_fetches_nothing(filled: Path, tmp_path: Path) -> None:
    """A clone without contents tells no sizes, and stays without."""
    git("config", "uploadpack.allowFilter", "true", cwd=filled)
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{filled}", clone, cwd=tmp_path)
    files = list_files(get_git_repo(clone), "HEAD")
    assert [file.size_bytes for file in files] == [None, None]
    missing = git("rev-list", "--objects", "--missing=print", "HEAD", cwd=clone)
    assert missing.count("\n?") + missing.startswith("?") == 3


def test_no_such_commit(filled: Path) -> None:
    """What is no commit is an error."""
    with pytest.raises(GitFailedError):
        list_files(get_git_repo(filled), "0" * 40)
