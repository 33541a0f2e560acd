"""The syntax of configuration files: git itself reads every file that we read or write."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vstore.config.syntax import (
    canonical_name,
    parse,
    remove_section_in,
    rename_section_in,
    set_in,
    unset_in,
)
from vstore.errors import ConfigInvalidError, SettingNotFoundError


def read_by_git(text: str, folder: Path) -> list[tuple[str, str]] | None:
    """Return the names and values that git finds in a text; None where it finds an error."""
    path = folder / "oracle"
    path.write_bytes(text.encode(errors="surrogateescape"))
    done = subprocess.run(["git", "config", "-f", path, "--list", "-z"], capture_output=True, check=False)
    pairs = [os.fsdecode(entry).partition("\n") for entry in done.stdout.split(b"\0")[:-1]]
    # An entry above any section is no error to git, but has no name by which git could find it.
    if done.returncode or any("." not in name.strip(".") for name, _, _ in pairs):
        return None
    return [(_our_name(name), value if separator else "true") for name, separator, value in pairs]


def _our_name(name: str) -> str:
    section, _, key = name.rpartition(".")
    return f"{section}.{key.replace('-', '_')}"


def read_by_us(text: str) -> list[tuple[str, str]] | None:
    """Return the names and values that we find in a text; None where we find an error."""
    try:
        return [(entry.name, entry.value) for section in parse(text, "x") for entry in section.entries]
    except ConfigInvalidError:
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the files that git reads."""
    return tmp_path_factory.mktemp("oracle")


_TEXTS = [
    "",
    "\n\n# only a comment\n; and another",
    "[core]\n\tremote = origin\n",
    "[CORE]\nReMote=Origin",
    '[remote "Ori.gin"]\n url = "s3://bucket/a b" # where\n',
    '[remote "a\\"b\\\\c"]\nurl=x\n',
    "[a.B.c]\nk=v\n",
    "[core] remote = x\n hash = y ; comment\n",
    "[core]\nautostage\n[cache]\ndir\n",
    "[core]\r\nremote = x\r\nhash = y\r\n",
    '[core]\nremote = one \\\n   two\nhash = "a\\\nb"\n',
    "[core]\nremote = a\\tb\\nc\\\\d\\\"e\n",
    '[core]\nremote = a" b "c "#" ; x\nhash=""\ncache=\n',
    '[core]\nremote =   "  x  "  \n',
    "\ufeff[core]\nremote = x\n",
    "[core]\nremote = x\\",
    "[core]\nremote = ü日🙂\udcff\n",
    "[a][b]\nk = v\n",
    "[remote \"\"]\nurl = x\n",
    "[core]\nlock-wait = 5\n",
]  # fmt: skip
_BROKEN = [
    "remote = x\n", "[core\n", "[core]\nremote x\n", "[core]\n= x\n", '[core]\nremote = "x\n', "[core]\nremote = \\x\n",
    "[core]\n1a = x\n", '[remote "x]\n', '[remote "x" ]\n', "[remote x]\n", "[core]\nremote # x\n", "[]\nk=v\n",
    "[co_re]\nk=v\n", "[core]\n<<<<<<< HEAD\nremote = x\n", '[remote "a\nb"]\n', "[core]\nremote.x = y\n",
]  # fmt: skip


@pytest.mark.parametrize("text", _TEXTS)
def test_read_as_git_does(text: str, folder: Path) -> None:
    """What is well formed gives the names and values that git finds, in the same order."""
    expected = read_by_git(text, folder)
    assert expected is not None
    assert read_by_us(text) == expected


@pytest.mark.parametrize("text", _BROKEN)
def test_refused_as_git_does(text: str, folder: Path) -> None:
    """What git refuses is refused, naming file and line."""
    assert read_by_git(text, folder) is None
    with pytest.raises(ConfigInvalidError) as caught:
        parse("# first\n" + text, "some/file")
    assert caught.value.fields["path"] == "some/file"
    assert caught.value.fields["line"] >= 2
    assert f"some/file, line {caught.value.fields['line']}" in caught.value.message


def test_underscore_is_a_dash(folder: Path) -> None:
    """Keys may have underscores, which mean dashes; what we write has dashes, so that git can read it."""
    assert read_by_us("[core]\nlock_wait = 5\nLock-Wait = 6\n") == [("core.lock_wait", "5"), ("core.lock_wait", "6")]
    assert set_in("", "x", "core.lock_wait", "7") == "[core]\n\tlock-wait = 7\n"
    assert set_in("[core]\nlock_wait = 5", "x", "core.lock_wait", "7") == "[core]\nlock_wait = 7"


_PIECES = [
    "[core]",
    '[remote "x"]',
    "[a",
    "]",
    "key",
    "K-2",
    "=",
    " = ",
    '"',
    "\\",
    "\\n",
    "\\\n",
    "\n",
    "\n",
    " ",
    "#",
]
_PIECES += [";", "\r\n", "v", "é", '\\"', "\t\n", "[remote", "x.y", "\\\\", "\n[core]\nk = ", "\r"]


@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))
@example("[core]k\r=")
def test_any_text(folder: Path, text: str) -> None:
    """Whatever the text, git and we find the same in it, or both an error."""

    # Newer versions of git keep blanks inside of a value as they are, older ones make them spaces.
    def plain(found: list[tuple[str, str]] | None) -> list[tuple[str, str]] | None:
        return found and [(name, re.sub(r"[ \t\r]", " ", value)) for name, value in found]

    assert plain(read_by_us(text)) == plain(read_by_git(text, folder))


_VALUE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_NAME = st.sampled_from(["core.remote", "core.hash", 'remote.a"\\ b.url', "remote.X.url", "remote.x.url", "cache.dir"])


@given(st.lists(st.tuples(_NAME, _VALUE), min_size=1, max_size=8), st.sampled_from(_TEXTS))
@example([("core.remote", " x")], "[a][core][b]\nk = v\n")
@example([("core.remote", "#\t\r;\\")], "[core] remote = x # y")
def test_set_anything(folder: Path, changes: list[tuple[str, str]], text: str) -> None:
    """Whatever is set is what git then reads, nothing else changes, and every comment stays."""
    others = [(name, value) for name, value in read_by_us(text) or () if name not in dict(changes)]
    for name, value in changes:
        text, before = set_in(text, "x", name, value), text
        assert text.count("#") + text.count(";") >= before.count("# ") + before.count("; ") - value.count("#")
        assert dict(read_by_us(text) or ())[name] == value
    found = read_by_git(text, folder)
    assert found == read_by_us(text)
    assert found is not None
    assert {**dict(found)} == {**dict(others), **dict(changes)}
    for name in dict(changes):
        text = unset_in(text, "x", name)
    assert read_by_git(text, folder) == read_by_us(text) == others


_WRITTEN = """\
# top

[core] ; the core
\t# about remotes
\tRemote = origin # the default
\tunknown = kept
; between
[remote "origin"]
\turl = s3://b/\\
  continued ; why
\tkey = 1
# about the next
[cache]
\tdir = x
"""


@pytest.mark.parametrize(
    ("name", "value", "old", "new"),
    [
        ("core.remote", "other", "Remote = origin #", "Remote = other #"),
        ("core.remote", "#1", "Remote = origin #", 'Remote = "#1" #'),
        ("remote.origin.url", "/x", "url = s3://b/\\\n  continued ;", "url = /x ;"),
        ("core.lock_wait", "5", "unknown = kept\n", "unknown = kept\n\tlock-wait = 5\n"),
        ("cache.type", "copy", "dir = x\n", "dir = x\n\ttype = copy\n"),
        ("remote.Origin.url", "y", "dir = x\n", 'dir = x\n[remote "Origin"]\n\turl = y\n'),
    ],
)
def test_set_touches_one_line(name: str, value: str, old: str, new: str) -> None:
    """Setting a value changes, or adds, one line; everything else stays as it was written."""
    assert set_in(_WRITTEN, "x", name, value) == _WRITTEN.replace(old, new)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("core.unknown", "\tunknown = kept\n"),
        ("core.remote", "\tRemote = origin # the default\n"),
        ("remote.origin.url", "\turl = s3://b/\\\n  continued ; why\n"),
        ("cache.dir", "[cache]\n\tdir = x\n"),
    ],
)
def test_unset_takes_one_line(name: str, gone: str) -> None:
    """Removing a value takes its line, and its section's if that was all there was."""
    assert unset_in(_WRITTEN, "x", name) == _WRITTEN.replace(gone, "")


def test_unset_every_value() -> None:
    """All values of one name go, wherever they are, also beside a header, whose comment stays."""
    text = "[core] a = 1 # why\n[x]\nk = v\n[core]\na = 2\nb = 3\nA = 4"
    assert unset_in(text, "x", "core.a") == "[core] # why\n[x]\nk = v\n[core]\nb = 3\n"


def test_sections() -> None:
    """A section is removed with its entries, or renamed in its header; comments about the next one stay."""
    removed = _WRITTEN.replace('[remote "origin"]\n\turl = s3://b/\\\n  continued ; why\n\tkey = 1\n', "")
    assert remove_section_in(_WRITTEN, "x", "remote.origin") == removed
    renamed = _WRITTEN.replace('[remote "origin"]', '[remote "a \\"b\\""]')
    assert rename_section_in(_WRITTEN, "x", "remote.origin", 'remote.a "b"') == renamed
    assert remove_section_in("[a] [b]\nk = v\n", "x", "a") == "[b]\nk = v\n"
    assert remove_section_in("[a]\nk = v\n[b]\n[a]\n", "x", "a") == "[b]\n"


def test_nothing_to_remove() -> None:
    """What is not there cannot be removed or renamed."""
    for change in (
        lambda: unset_in(_WRITTEN, "x", "core.hash"),
        lambda: remove_section_in(_WRITTEN, "x", "remote.Origin"),
        lambda: rename_section_in(_WRITTEN, "x", "nope", "new"),
    ):
        with pytest.raises(SettingNotFoundError):
            change()


def test_windows_line_ends(folder: Path) -> None:
    """In a file with Windows line ends new lines end so too."""
    text = set_in("[core]\r\n\ta = 1\r\n", "x", "core.b", "2")
    assert text == "[core]\r\n\ta = 1\r\n\tb = 2\r\n"
    assert set_in(text, "x", "core.a", "3") == "[core]\r\n\ta = 3\r\n\tb = 2\r\n"
    assert read_by_git(text, folder) == [("core.a", "1"), ("core.b", "2")]


def test_value_with_nul() -> None:
    """A value that no file can hold is refused."""
    with pytest.raises(ConfigInvalidError):
        set_in("", "x", "core.remote", "a\0b")


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("Core.Lock-Wait", "core.lock_wait"), ("remote.My.Name.Read-Only", "remote.My.Name.read_only"), ("a.b", "a.b")],
)
def test_canonical_names(name: str, canonical: str) -> None:
    """Sections and keys have one spelling, subsections any."""
    assert canonical_name(name) == canonical


@pytest.mark.parametrize("name", ["", "core", "core.", ".remote", "core.1a", "core.a b", "remote.a\nb.url", "a_b.c"])
def test_no_names(name: str) -> None:
    """What could not be written as section and key is no name."""
    with pytest.raises(ConfigInvalidError):
        canonical_name(name)
