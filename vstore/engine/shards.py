"""Cutting a job into shards of about equal weight: each is what a worker does at one go."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

LEAST_BYTES, MOST_BYTES = 16 * 1024 * 1024, 1024 * 1024 * 1024
"""How much a shard holds: a lot for what begins with a few requests, little enough to be done once more."""
_ITEM_BYTES = 64 * 1024
"""What each item weighs beside its bytes: the request that it takes."""
_ROUNDS = 4


def cut(items: Sequence[Item], size_of: Callable[[Item], int], *, places: int) -> list[list[Item]]:
    """Return neighbours together, in their order; an item that is heavier than a shard has one of its own.

    There are about as many shards for each of ``places``, four where there is enough to do, so that all are busy until
    the end.
    """
    total = sum(map(size_of, items)) + len(items) * _ITEM_BYTES
    limit = min(MOST_BYTES, max(LEAST_BYTES, total // (places * _ROUNDS)))
    if total > limit:
        rounds = math.ceil(total / (limit * places))
        limit = math.ceil(total / (rounds * places))
    shards: list[list[Item]] = []
    weight = limit
    for item in items:
        own = size_of(item) + _ITEM_BYTES
        if weight + own > limit:
            shards.append([])
            weight = 0
        shards[-1].append(item)
        weight += own
    return shards
