"""What ignore rules mean: git itself is the judge of every one."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.command import git
from vstore.git import get_git_repo

FOLDERS = ["a", "b", "a/b", "b/a", "a/a", "a/a/b"]
FILES = ["f", "a.x", "b.x", "-", "]", "[", "!", "^", "a\\", "*", "?", "a b", "ab", "B", "A.x", "\f", "0", "é"]
_PIECES = ["a", "b", "f", "*", "**", "/", "?", ".", "x", "!", "[", "]", "^", "-", "\\", " ", "\t", "\f", "#", "\r", "A"]
_PIECES += ["[ab]", "[!a]", "[^a-c]", "[]-a]", "[[:alpha:]]", "[[:nope:]]", "[a-]", "[\\]]", "**/", "/**", "!*", "é"]
_PATH = st.sampled_from(FOLDERS + FILES)
_LINE = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=6).map("".join),
    st.tuples(st.sampled_from(["", "!", "/", "!/"]), _PATH, st.sampled_from(["", "/"])).map("".join),
)
CONTENT = st.lists(_LINE, max_size=5).map("\n".join)
UNSURE_STARS = re.compile(r"[^/!*\n]\*\*")
"""Whether two stars may follow a name ("a**/b") depends on addresses in memory in older versions of git."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose folders all hold the same files with odd names."""
    root = tmp_path_factory.mktemp("tree")
    subprocess.run(["git", "init", "-q", root], check=True)
    for folder in ["", *FOLDERS]:
        (root / folder).mkdir(exist_ok=True)
        for name in FILES:
            (root / folder / name).touch()
    return root


def ignored_by_git(root: Path, paths: list[str]) -> list[str]:
    """Return those of the paths that git ignores."""
    given = b"".join(b"./" + os.fsencode(path) + b"\0" for path in paths)
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"], cwd=root, input=given, capture_output=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return [os.fsdecode(path[2:]) for path in done.stdout.split(b"\0")[:-1]]


def ignored_by_us(root: Path, paths: list[str]) -> list[str]:
    """Return those of the paths that we say git ignores."""
    repo = get_git_repo(root)
    return [path for path in paths if repo.is_ignored(path, directory=(root / path).is_dir())]


@given(top=CONTENT, inner=CONTENT, exclude=CONTENT)
@example(top="a/**\n!a", inner="!b/", exclude="")
@example(top="*\n!*/\n!*.x", inner="/a.x", exclude="")
@example(top="\f\n/\f\n\f/x", inner="\ufeffb", exclude="\ufefff\r\na.x ")
@example(top="**\n!b.x", inner="!/b.x", exclude="")
def test_any_rules(tree: Path, top: str, inner: str, exclude: str) -> None:
    """Whatever the rules of three files, git and we ignore the same files and directories."""
    assume(not UNSURE_STARS.search("\n".join([top, inner, exclude])))
    for name, content in (".gitignore", top), ("a/.gitignore", inner), (".git/info/exclude", exclude):
        (tree / name).write_bytes(content.encode())
    paths = [f"{folder}/{name}".lstrip("/") for folder in ["", *FOLDERS] for name in FILES] + FOLDERS
    assert ignored_by_us(tree, paths) == ignored_by_git(tree, paths)


def test_stars_after_a_name(git_repo: Path) -> None:
    """Two stars that follow a name are an ordinary star, which matches no slash."""
    (git_repo / ".gitignore").write_text("a**/b\n")
    assert ignored_by_us(git_repo, ["ab", "a/b", "ax/b", "a/x/b"]) == ["a/b", "ax/b"]


def test_rules_for_everywhere(git_repo: Path, home: Path) -> None:
    """The user's own rules hold too, from the place that git's configuration names, and are the weakest."""
    paths = ["a.x", "b.x", "c.x"]
    (home / "rules").write_text("*.x\n")
    git("config", "core.excludesFile", "~/rules", cwd=git_repo)
    (git_repo / ".git/info/exclude").write_text("!b.x\n")
    (git_repo / ".gitignore").write_text("!c.x\n")
    assert ignored_by_us(git_repo, paths) == ignored_by_git(git_repo, paths) == ["a.x"]


def test_case(git_repo: Path) -> None:
    """Upper and lower case differ, unless git's configuration says otherwise."""
    (git_repo / ".gitignore").write_text("Data\n*.Bin\n/[x]y\n")
    paths = ["data", "DATA", "x.BIN", "Xy", "XY", "other"]
    for ignore_case in ("false", "true"):
        git("config", "core.ignoreCase", ignore_case, cwd=git_repo)
        assert ignored_by_us(git_repo, paths) == ignored_by_git(git_repo, paths)
    assert ignored_by_us(git_repo, paths) == paths[:-1]


def test_unreadable_rules(git_repo: Path) -> None:
    """Rules behind a symbolic link, or that are a directory, count for nothing, as in git."""
    (git_repo / "rules").write_text("a\n")
    (git_repo / ".gitignore").symlink_to("rules")
    assert ignored_by_us(git_repo, ["a"]) == ignored_by_git(git_repo, ["a"]) == []
    (git_repo / ".gitignore").unlink()
    (git_repo / ".gitignore").mkdir()
    assert ignored_by_us(git_repo, ["a"]) == []


def test_changed_rules(git_repo: Path) -> None:
    """A change of the rules is seen by a repository that is open already."""
    repo = get_git_repo(git_repo)
    for text, expected in ("a\n", True), ("b\n", False), ("!a\na", True):
        (git_repo / ".gitignore").unlink(missing_ok=True)
        (git_repo / ".gitignore").write_text(text)
        assert repo.is_ignored("a") == expected


def test_names_that_are_not_utf8(git_repo: Path) -> None:
    """Names and rules are bytes to git, and to us."""
    (git_repo / ".gitignore").write_bytes(b"caf\xe9\n*\xff\n")
    paths = [os.fsdecode(name) for name in (b"caf\xe9", b"x\xff", "café".encode())]
    assert ignored_by_us(git_repo, paths) == ignored_by_git(git_repo, paths) == paths[:2]
