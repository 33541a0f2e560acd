"""Comparing what arrived with what an origin says that it has."""

from __future__ import annotations

import pytest

from tests.remote.test_pieces import MemoryOrigin
from vstore.errors import ChangedWhileReadError, RemoteUnavailableError
from vstore.ops.download import check_md5, md5_of
from vstore.remote.origin import Item


class SummedOrigin(MemoryOrigin):
    """An origin that tells, when it is asked about one file, this MD5."""

    md5 = ""

    def look(self, path: str) -> Item | None:
        found = super().look(path)
        return found and found._replace(md5=self.md5)


def test_md5_of_a_listing_may_be_a_guess() -> None:
    """Where the file itself tells of no MD5, as one encrypted by keys of others, that of the listing is no matter."""
    origin = SummedOrigin({"a": b"x"})
    item = Item("a", 1, "1", md5_of(b"something else"))
    check_md5(origin, item, md5_of(b"x"))
    check_md5(origin, item, item.md5)
    origin.md5 = item.md5
    with pytest.raises(RemoteUnavailableError, match="MD5 differ"):
        check_md5(origin, item, md5_of(b"x"))
    origin.locks["a"] = "2"
    with pytest.raises(ChangedWhileReadError):
        check_md5(origin, item, md5_of(b"x"))
