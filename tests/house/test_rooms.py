"""Rooms are small and have names that say something."""

from __future__ import annotations

from operator import attrgetter

import pytest

from tests.house.source import Source, sources

_MOST_LINES = 400
_EMPTY_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}


@pytest.mark.parametrize("source", sources("vstore"), ids=attrgetter("name"))
def test_files_are_short(source: Source) -> None:
    """A file that passes 400 lines has become two stories."""
    assert len(source.text.splitlines()) <= _MOST_LINES


@pytest.mark.parametrize("source", sources("vstore"), ids=attrgetter("name"))
def test_rooms_have_names(source: Source) -> None:
    """No room is called by a word that could hold anything."""
    assert _EMPTY_NAMES.isdisjoint(source.module.split("."))
