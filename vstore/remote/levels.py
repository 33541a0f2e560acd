"""Which of many small objects to merge, so that few are left and nothing is written anew often.

Objects are on levels by their size, each four times that of the level below.  Four or more of a level become one of a
higher level, and only when there are too many altogether: so whatever is merged climbs, at most a dozen times ever,
and of each level at most three are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

FAN_OUT = 4
"""More would leave more objects of each level, fewer would climb more levels."""

Item = TypeVar("Item")


class Scale(NamedTuple):
    """For one kind of objects: how many may be left alone, below which size all are of the lowest level, and from
    which on none is merged any more."""

    most: int
    unit_bytes: int
    full_bytes: int


def choose_groups(items: Iterable[tuple[Item, int]], scale: Scale) -> list[list[Item]]:
    """Return groups of items to be merged, each into one, of items with their sizes; none where there are few.

    Items of one level stay in the order in which they come.
    """
    levels: dict[int, list[tuple[list[Item], int]]] = {}
    small = [(item, size_bytes) for item, size_bytes in items if size_bytes < scale.full_bytes]
    if len(small) <= scale.most:
        return []
    for item, size_bytes in small:
        levels.setdefault(_find_level(size_bytes, scale), []).append(([item], size_bytes))
    groups: list[list[Item]] = []
    for level in range(_find_level(scale.full_bytes, scale) + 1):
        members = levels.get(level, [])
        if len(members) < FAN_OUT:
            groups += [group for group, _ in members if len(group) > 1]
            continue
        group = [item for group, _ in members for item in group]
        size_bytes = sum(size_bytes for _, size_bytes in members)
        above = _find_level(size_bytes, scale)
        if above > level and size_bytes < scale.full_bytes:
            levels.setdefault(above, []).append((group, size_bytes))
        else:
            groups.append(group)
    return groups


def _find_level(size_bytes: int, scale: Scale) -> int:
    level = 0
    while size_bytes >= scale.unit_bytes * FAN_OUT:
        size_bytes //= FAN_OUT
        level += 1
    return level


def limit_group(group: Sequence[tuple[Item, int]], most_bytes: int) -> list[Item]:
    """Return the first items of a group that have no more than so many bytes together."""
    chosen: list[Item] = []
    for item, size_bytes in group:
        most_bytes -= size_bytes
        if most_bytes < 0:
            break
        chosen.append(item)
    return chosen
