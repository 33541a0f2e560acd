"""Addresses say where a file is, and are read as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.strategies import paths
from vstore.objects.address import Address, is_addressed, parse_address

_places = st.none() | paths | paths.map(lambda path: f"/{path}")
_revisions = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=8)


@given(_places, _revisions, paths | st.just(""))
def test_written_and_read(repository: str | None, rev: str | None, path: str) -> None:
    """Whatever characters there are, an address is read as it was meant."""
    if repository is not None and "@" in repository.partition("/")[0].partition(":")[0]:
        return  # may be a host
    address = Address(repository, rev, path)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("vstore://data/train.csv", (None, None, "data/train.csv")),
        ("data/train.csv", (None, None, "data/train.csv")),
        ("vstore://@v1.0:/data/train.csv", (None, "v1.0", "data/train.csv")),
        ("vstore:///srv/project@v1.0:/data", ("/srv/project", "v1.0", "data")),
        ("vstore://../project:/data", ("../project", None, "data")),
        ("vstore:///srv/project@feature/x:", ("/srv/project", "feature/x", "")),
        ("vstore://https://ada@example.org:80/o/r.git@v1:/a/b", ("https://ada@example.org:80/o/r.git", "v1", "a/b")),
        ("vstore://https://example.org/o/r.git:/a", ("https://example.org/o/r.git", None, "a")),
        ("vstore://ssh://git@example.org/r.git:/a", ("ssh://git@example.org/r.git", None, "a")),
        ("vstore://git@example.org:o/r.git@HEAD~2:/a", ("git@example.org:o/r.git", "HEAD~2", "a")),
        ("vstore://file:///srv/r.git@v1:/a", ("file:///srv/r.git", "v1", "a")),
        ("vstore:///home/ada%40work/p@v1:/a", ("/home/ada@work/p", "v1", "a")),
        ("vstore://:/odd:/path", (None, None, "odd:/path")),
    ],
)
def test_forms(text: str, address: tuple[str | None, str | None, str]) -> None:
    """Each form is read as the guide says, and written so that it is read the same."""
    assert parse_address(text) == address
    assert parse_address(str(Address(*address))) == address


def test_plain_paths_stay_plain() -> None:
    """Without repository and revision, an address is a path after the protocol."""
    assert str(Address(None, None, "a/b.csv")) == "vstore://a/b.csv"
    assert not is_addressed("a/b.csv") and is_addressed("a:/b.csv")
