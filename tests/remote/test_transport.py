"""Keys, ranges, URLs and system errors, as every transport understands them."""

from __future__ import annotations

import errno
import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts.transport import NOT_KEYS
from vstore.errors import InvalidError, NoSpaceError, RemoteDeniedError, RemoteUnavailableError
from vstore.remote.transport import Listed, check_key, check_prefix, from_os_error, is_key, public_url


@pytest.mark.parametrize(
    "key",
    [
        "format.json",
        "packs/0123456789abcdef0123456789abcdef-12.vpack",
        "commits/p_1/s.json",
        "doomed/a..b",
        "a" * 200,
        "a/b/c/d/e/f/g/h",
    ],
)
def test_keys_of_the_protocol(key: str) -> None:
    """What the protocol makes is a key, and its folder a prefix."""
    check_key(key)
    check_prefix(key + "/")
    check_prefix("")


@pytest.mark.parametrize("key", NOT_KEYS)
def test_what_is_no_key(key: str) -> None:
    """Whatever could climb out, hide or be understood in two ways is no key, and the error shows it readably."""
    assert not is_key(key)
    with pytest.raises(InvalidError) as caught:
        check_key(key)
    assert repr(key) in str(caught.value)
    if key and not is_key(key.removesuffix("/")):
        with pytest.raises(InvalidError):
            check_prefix(key + "/")


@given(st.text(alphabet=string.printable + "é\0", max_size=30))
def test_keys_stay_inside(text: str) -> None:
    """No key has an empty, hidden or climbing component, whatever the text."""
    if is_key(text):
        assert all(part and part[0] not in ".-" for part in text.split("/"))
        assert text == text.lower() and text.isascii() and "\\" not in text


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("s3://bucket/some/path", "s3://bucket/some/path"),
        ("sftp://me:hush@host:22/a@b", "sftp://me@host:22/a@b"),
        ("abfs://box@account.dfs.core.windows.net/x?sig=hush#hush", "abfs://box@account.dfs.core.windows.net/x"),
        ("https://me:hu:sh@sh@host/", "https://me@host/"),
        ("sftp://[::1]:22/x", "sftp://[::1]:22/x"),
        ("http://[broken", "http://[broken"),
        ("simplecache::s3://k:hush@b", "simplecache::s3://k@b"),
    ],
)
def test_public_url(url: str, public: str) -> None:
    """A URL is shown without passwords, queries and fragments, however odd it is."""
    assert public_url(url) == public


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, NoSpaceError),
        (errno.EDQUOT, NoSpaceError),
        (errno.EACCES, RemoteDeniedError),
        (errno.EROFS, RemoteDeniedError),
        (errno.ESTALE, RemoteUnavailableError),
        (errno.EIO, RemoteUnavailableError),
        (None, RemoteUnavailableError),
    ],
)
def test_system_errors(number: int | None, kind: type[Exception]) -> None:
    """Each system error becomes the one of ours that says what to do about it, naming place and action."""
    error = from_os_error(OSError(number, "x") if number else TimeoutError(), "/backup", "write a")
    assert type(error) is kind
    assert "/backup" in str(error) and "write a" in str(error)


def test_unknown_age_is_never_old() -> None:
    """An object whose store tells no date is younger than any limit."""
    assert not 1e12 - Listed("a", 1, math.inf).modified_s > 0
