"""What git keeps in a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import git
from vstore.errors import GitFailedError
from vstore.git import get_git_repo, list_kept


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
    """All have names as they are, sizes and a kind; without being asked, sizes are not told."""
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module", cwd=filled)
    git("commit", "--quiet", "--message", "submodule", cwd=filled)
    files = list_kept(get_git_repo(filled), "HEAD", sizes=True)
    assert [(file.path, file.kind, file.size_bytes) for file in files] == [
        ("link", "symlink", 6),
        ("module", "submodule", None),
        ("run.sh", "executable", 2),
        ("sub dir/ü\t1", "file", 5),
    ]
    assert list_kept(get_git_repo(filled), "HEAD", "sub dir") == [files[3]._replace(size_bytes=None)]
    assert files[2].oid == git("rev-parse", "HEAD:run.sh", cwd=filled)


def test_partial_clone_fetches_nothing(filled: Path, tmp_path: Path) -> None:
    """A clone without contents tells no sizes, and stays without."""
    git("config", "uploadpack.allowFilter", "true", cwd=filled)
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{filled}", clone, cwd=tmp_path)
    files = list_kept(get_git_repo(clone), "HEAD", sizes=True)
    assert [file.size_bytes for file in files] == [None, None, None]
    missing = git("rev-list", "--objects", "--missing=print", "HEAD", cwd=clone)
    assert missing.count("\n?") + missing.startswith("?") == 3


def test_no_such_commit(filled: Path) -> None:
    """What is no commit is an error."""
    with pytest.raises(GitFailedError):
        list_kept(get_git_repo(filled), "0" * 40)
