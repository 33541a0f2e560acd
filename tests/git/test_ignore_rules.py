"""Ignore rules: git itself says what each of them matches."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.command import git
from vstore.errors import ConflictError
from vstore.git import get_git_repo
from vstore.git.ignore_rules import OwnRules, add_rule, add_rules, escape_pattern, remove_rule

_NAMES = [
    "plain", "with space", "end ", "end  ", " start", " ", "  ", "#hash", "!bang", "-dash", "[x]", "[", "]", "[!a]",
    "*", "**", "?", "a*b?c", "\\", "a\\", "\\ ", "a\\ ", "tab\t", "return\r", "a\rb", "new\nline", "\n", "é", "e\u0301",
    "日本", "🙂", "...", ".hidden", "a.vstore", "x" * 255, "{a,b}", "~", "$HOME", "%", "'", '"', "a:b", "a|b",
]  # fmt: skip
_NAME = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


def ignored(repo: Path, names: list[str]) -> list[str]:
    """Return those of the names that git ignores, in the order given."""
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        cwd=repo,
        input=b"".join(b"./" + os.fsencode(name) + b"\0" for name in names),
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return [os.fsdecode(name[2:]) for name in done.stdout.split(b"\0")[:-1]]


@pytest.mark.parametrize("name", _NAMES)
def test_rule_matches_exactly(git_repo: Path, name: str) -> None:
    """A rule covers the name it was made for, in git and in libgit2, and nothing that looks alike or lies deeper."""
    assert add_rule(git_repo, name)
    others = {*_NAMES, name.strip() or "x", name + "x", "x" + name, name.replace("\\", "x"), name + " "} - {name}
    # A newline, and a carriage return, can only be matched as any character.
    expected = [other for other in sorted(others) if _same_but_newlines(other, name)]
    assert ignored(git_repo, [name, f"sub/{name}"]) == [name]
    assert ignored(git_repo, sorted(others)) == expected
    repo = get_git_repo(git_repo)
    assert repo.is_ignored(name)
    assert repo.is_ignored(name, directory=True)
    assert [other for other in sorted(others) if repo.is_ignored(other)] == expected


def _same_but_newlines(other: str, name: str) -> bool:
    pairs = zip(other.encode(), name.encode(), strict=False)  # git matches bytes
    return len(other.encode()) == len(name.encode()) and all(a == b or chr(b) in "\r\n" for a, b in pairs)


@given(name=_NAME)
@example(name="\\ ")
def test_any_name(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the name, git ignores it by its rule, and not without."""
    repo = tmp_path_factory.getbasetemp() / "any"
    if not repo.exists():
        repo.mkdir()
        git("init", "-q", cwd=repo)
    (repo / ".gitignore").unlink(missing_ok=True)
    assert add_rule(repo, name)
    assert ignored(repo, [name, f"{name}-/{name}"]) == [name]
    assert get_git_repo(repo).is_ignored(name)
    assert remove_rule(repo, name)
    assert not (repo / ".gitignore").exists()


def test_not_utf8(git_repo: Path) -> None:
    """A name that is no UTF-8 gets a rule of its own bytes."""
    name = os.fsdecode(b"caf\xe9 ")
    add_rule(git_repo, name)
    assert (git_repo / ".gitignore").read_bytes() == b"/caf\xe9\\ \n"
    assert ignored(git_repo, [name, "café"]) == [name]


def test_rule_is_readable() -> None:
    """An ordinary name gives an ordinary line."""
    assert escape_pattern("images.zip") == "/images.zip"


@pytest.mark.parametrize(
    "content",
    [b"", b"a\n", b"a", b"a\r\nb\r\n", b"a\r\nb", b"# c\n\n  \n!x\n", b"\xef\xbb\xbfa\n", b"a\rb", b"\n\n", b"\xff\n"],
)
def test_round_trip(tmp_path: Path, content: bytes) -> None:
    """A rule added and removed leaves every byte of the file as it was; adding or removing it twice changes nothing."""
    path = tmp_path / ".gitignore"
    path.write_bytes(content)
    assert add_rule(tmp_path, "data")
    changed = path.read_bytes()
    assert changed.startswith(content)
    assert b"/data" in changed.replace(b"\r\n", b"\n").split(b"\n")
    assert not add_rule(tmp_path, "data")
    assert path.read_bytes() == changed
    assert remove_rule(tmp_path, "data")
    assert (path.read_bytes() if path.exists() else b"") == content
    assert not remove_rule(tmp_path, "data")


def test_crlf(git_repo: Path) -> None:
    """In a file with Windows line ends the new line ends so too, and works."""
    (git_repo / ".gitignore").write_bytes(b"a\r\n")
    add_rule(git_repo, "b c ")
    assert (git_repo / ".gitignore").read_bytes() == b"a\r\n/b c\\ \r\n"
    assert ignored(git_repo, ["b c ", "a"]) == ["b c ", "a"]


def test_removed_from_the_middle(tmp_path: Path) -> None:
    """Only our line goes; its neighbours, and lines that merely hold it, stay."""
    path = tmp_path / ".gitignore"
    path.write_bytes(b"/data2\n/data\n#/data\r\n/data\r\n/data/x")
    assert remove_rule(tmp_path, "data")
    assert path.read_bytes() == b"/data2\n#/data\r\n/data/x"


def test_undone_by_an_exception(git_repo: Path) -> None:
    """A rule that a later exception undoes is written again below it, and both go together."""
    (git_repo / ".gitignore").write_bytes(b"/data\n!data\n")
    assert add_rule(git_repo, "data")
    assert ignored(git_repo, ["data"]) == ["data"]
    assert not add_rule(git_repo, "data")
    assert remove_rule(git_repo, "data")
    assert (git_repo / ".gitignore").read_bytes() == b"!data\n"


def test_mode_is_kept(tmp_path: Path) -> None:
    """The file keeps its own mode, whatever the umask."""
    path = tmp_path / ".gitignore"
    path.write_bytes(b"a\n")
    for mode in (0o664, 0o600):
        path.chmod(mode)
        add_rule(tmp_path, f"x{mode}")
        assert path.stat().st_mode & 0o777 == mode


def test_symbolic_link(tmp_path: Path) -> None:
    """A .gitignore that is a symbolic link, which git does not follow, is refused and stays."""
    (tmp_path / "real").write_bytes(b"a\n")
    (tmp_path / ".gitignore").symlink_to("real")
    for edit in (add_rule, remove_rule):
        with pytest.raises(ConflictError, match="symbolic link"):
            edit(tmp_path, "data")
    assert (tmp_path / "real").read_bytes() == b"a\n"


def test_nothing_to_remove(tmp_path: Path) -> None:
    """Where there is no file there is nothing to remove, and none is made."""
    assert not remove_rule(tmp_path, "data")
    assert list(tmp_path.iterdir()) == []


def test_many_are_asked_for(tmp_path: Path) -> None:
    """Of many paths is told whether a rule of ours covers them; one that an exception undoes does not."""
    (tmp_path / "sub").mkdir()
    add_rule(tmp_path, "undone")
    (tmp_path / ".gitignore").write_text("/undone\n!other\n/data\n")
    add_rule(tmp_path / "sub", "data [1]")
    rules = OwnRules(tmp_path)
    asked = ("data", "undone", "sub/data [1]", "sub/data", "nowhere/data")
    assert [path for path in asked if rules.cover(path)] == ["data", "sub/data [1]"]


def test_many_rules(tmp_path: Path) -> None:
    """Many names get their rules in one write, each once, in the line ends of the file."""
    (tmp_path / ".gitignore").write_bytes(b"/a\r\n!x\r\n/b")
    assert add_rules(tmp_path, ["b", "a", "c", "a"])
    assert (tmp_path / ".gitignore").read_bytes() == b"/a\r\n!x\r\n/b\r\n/a\r\n/c"
    assert not add_rules(tmp_path, ["c", "b"]) and not add_rules(tmp_path, [])
