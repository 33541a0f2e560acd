"""Levels: few objects are left, and none is written anew often."""

from __future__ import annotations

import pytest

from vstore.remote.levels import FAN_OUT, Scale, choose_groups, limit_group

_SCALE = Scale(most=16, unit_bytes=1000, full_bytes=4**8 * 1000)


def test_few_are_left_alone() -> None:
    """As long as there are few, none is merged; objects that are full do not count."""
    assert choose_groups([(number, 10) for number in range(16)], _SCALE) == []
    assert choose_groups([(number, 10) for number in range(17)], _SCALE) == [list(range(17))]
    full = [(number, _SCALE.full_bytes) for number in range(100)]
    assert choose_groups([*full, *((number, 10) for number in range(16))], _SCALE) == []


def test_only_those_of_a_size_are_merged() -> None:
    """Three of a level stay; a fourth that comes from below takes them along."""
    small = [(f"small {number}", 1000) for number in range(14)]
    large = [(f"large {number}", 5000 * 4) for number in range(3)]
    (group,) = choose_groups([*small, *large], _SCALE)
    assert set(group) == {name for name, _ in small}
    large = [(f"large {number}", 5000) for number in range(3)]
    (group,) = choose_groups([*small, *large], _SCALE)
    assert set(group) == {name for name, _ in small + large}, "what comes of the small ones is the fourth"
    far = [(f"far {number}", 1_000_000) for number in range(4)]
    assert sorted(map(len, choose_groups([*small, *far], _SCALE))) == [4, 14]


@pytest.mark.parametrize("size_bytes", [1000, 5000, 70_000])
def test_many_additions(size_bytes: int) -> None:
    """After any number of additions few are left, and each was written anew as often as it climbed a level."""
    sizes: dict[int, int] = {}
    rewritten = 0
    for number in range(5000):
        sizes[number] = size_bytes
        for group in choose_groups(list(sizes.items()), _SCALE):
            merged_bytes = sum(sizes.pop(item) for item in group)
            sizes[group[0]] = merged_bytes
            rewritten += merged_bytes
        assert sum(size < _SCALE.full_bytes for size in sizes.values()) <= _SCALE.most
    assert rewritten <= 5000 * size_bytes * 8
    assert sum(sizes.values()) == 5000 * size_bytes


def test_of_a_group_no_more_than_is_allowed() -> None:
    """A group is cut where it would be too much."""
    assert limit_group([("a", 5), ("b", 5), ("c", 5)], 10) == ["a", "b"]
    assert limit_group([("a", 50)], 10) == []
    assert FAN_OUT == 4
