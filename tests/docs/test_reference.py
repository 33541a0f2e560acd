"""The reference says what the code says."""

from __future__ import annotations

import pytest

from tests.command import PROJECT
from tests.docs.generate import REFERENCES, refer


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_is_fresh(name: str) -> None:
    """A page of the reference is what the code makes of it now."""
    assert (PROJECT / name).read_text("utf-8") == refer(name), "run `python -m tests.docs.generate`"
