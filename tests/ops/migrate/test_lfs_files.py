"""Pointers and attributes of git-lfs, and hostile ones."""

from __future__ import annotations

import pytest

from vstore.ops.migrate.foreign import SHA256, ForeignName
from vstore.ops.migrate.lfs_files import find_macros, parse_lfs_pointer, with_exceptions, without_lfs

A = "0123456789abcdef" * 4
GOOD = f"version https://git-lfs.github.com/spec/v1\noid sha256:{A}\nsize 12345\n"


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("git-lfs.github", "hawser.github"), GOOD.replace("\n", "\r\n")])
def test_pointers(text: str) -> None:
    """A pointer names a content by its SHA-256."""
    assert parse_lfs_pointer(text.encode()) == ForeignName(SHA256, A)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        GOOD.replace("sha256", "md5"),
        GOOD.replace(A, A[:-1]),
        GOOD.replace(A, "../../../../etc/passwd"),
        GOOD.replace("oid", "aid"),
        GOOD.replace("oid", f"ext-0-foo sha256:{A}\noid"),
        GOOD + "x" * 1024,
        "# " + GOOD,
    ],
)
def test_what_is_no_pointer(text: str) -> None:
    """Other files are no pointers, even if they look alike; neither is what an extension has changed."""
    assert parse_lfs_pointer(text.encode()) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"*.bin filter=lfs diff=lfs merge=lfs -text\n", b""),
        (b"*.bin filter=lfs diff=lfs merge=lfs -text lockable\n*.txt text\n", b"*.txt text\n"),
        (b"*.bin filter=lfs diff=csv merge=lfs -text\r\n", b"*.bin diff=csv\r\n"),
        (b'"a b.bin" filter=lfs diff=lfs merge=lfs -text', b""),
        (b"a[[:space:]]b filter=lfs -text\n# *.bin filter=lfs\n\n*.x -text\n", b"# *.bin filter=lfs\n\n*.x -text\n"),
        (b"\xff\xfe filter=other\n", b"\xff\xfe filter=other\n"),
        (b"", b""),
    ],
)
def test_attributes(before: bytes, after: bytes) -> None:
    """What hands files to git-lfs goes, everything else stays byte for byte, and so do our own exceptions in turn."""
    assert without_lfs(before) == after
    assert without_lfs(with_exceptions(before)).rstrip(b"\n") == after.rstrip(b"\n")
    assert with_exceptions(with_exceptions(before)) == with_exceptions(before)


def test_macros() -> None:
    """A macro that means nothing but git-lfs goes with all its uses; one that says more loses only that."""
    top = (
        b"[attr]big filter=lfs diff=lfs -text\n[attr]more filter=lfs eol=lf\n[attr]odd\n*.a big\n*.b more\n*.c big x\n"
    )
    macros = find_macros(top)
    assert macros == {b"big"}
    assert without_lfs(top, macros) == b"[attr]more eol=lf\n[attr]odd\n*.b more\n*.c x\n"
    assert without_lfs(b"*.d big\n# big\n", macros) == b"# big\n"
