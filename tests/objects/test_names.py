"""Which paths a tree may hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.objects.strategies import HURTFUL_NAMES
from vstore.objects.names import find_portability_warnings, find_refusal, find_refused_names, is_reserved

REFUSED_PATHS = (
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    ".",
    "..",
    "./a",
    "a/./b",
    "../a",
    "a/../b",
    "a/..",
    "a\0b",
    "a\\b",
    "..\\a",
    "C:",
    "c:/a",
    "C:\\a",
    "a\udcffb",
    ".git",
    ".git/config",
    "a/.git/hooks/post-checkout",
    ".GIT",
    ".Git/x",
    ".git.",
    ".git ",
    ".git . .",
    ".git::$INDEX_ALLOCATION/config",
    ".git:stream",
    "git~1",
    "GIT~1/config",
    "a/Git~1 ",
    ".g\u200cit",
    "\ufeff.git",
    ".git\u200d",
    "\u206a.G\u202eIT",
    "．git",
    "․git",
    ".ｇｉｔ",
    ".ℊit",
    ".git\u00a0",
    ".vstore",
    "a/.VSTORE/config",
    ".vſtore",
    "vstore~1",
    "VSTORE～1",
)
"""Paths that no tree may hold, on any system."""


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_refused(path: str) -> None:
    """Paths that lead elsewhere, or into what git or vstore reserve on some file system, are refused with a reason."""
    assert find_refusal(path)
    assert [refused for refused, _ in find_refused_names(["good", path, "fine/too"])] == [path]


@pytest.mark.parametrize("name", HURTFUL_NAMES)
def test_odd_but_lawful(name: str) -> None:
    """Names that are merely odd are accepted, at the top and below."""
    assert find_refused_names([name, f"{name}/{name}", f"a/{name}"]) == []


@given(st.text("./~:\\\0gitvsore 1ａ．é\u200c\udc80", max_size=12))
@example("")
def test_many_at_once_like_one_by_one(path: str) -> None:
    """The quick look at many paths refuses exactly what the thorough look at one does."""
    reason = find_refusal(path)
    assert find_refused_names([path]) == ([(path, reason)] if reason else [])


@pytest.mark.parametrize("name", ["git", "gitx", ".gitx", ".git1", "agit~1", "git~2", ".vstor", "x.git", "..git"])
def test_not_reserved(name: str) -> None:
    """Names that only resemble the reserved ones are free."""
    assert not is_reserved(name)


def test_portability_warnings() -> None:
    """Names that some systems cannot tell apart or hold are named, each with its reason."""
    paths = ["A", "a", "café", "cafe\u0301", "x/NUL", "con.txt", "COM¹", "lpt10", "x/console", "Straße", "STRASSE"]
    warnings = find_portability_warnings(paths)
    assert [path for path, _ in warnings] == ["a", "cafe\u0301", "x/NUL", "con.txt", "COM¹", "STRASSE"]
    assert "'A'" in warnings[0][1]
    assert "Windows" in warnings[2][1]
