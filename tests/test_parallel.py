"""Many things at once: results in order, bounded, and the first error stops all."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from vstore.parallel import map_ordered, pause


def test_results_come_in_order() -> None:
    """The first result comes first, also when it is ready last."""
    ready = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert ready.wait(10)
        elif item == 3:
            ready.set()
        return item * 10

    assert list(map_ordered(work, range(20), workers=4)) == [item * 10 for item in range(20)]


def test_items_are_drawn_as_needed() -> None:
    """No more items are drawn than may be under way."""
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            drawn.append(item)
            yield item

    results = map_ordered(lambda item: item, items(), workers=2, ahead=5)
    assert next(results) == 0 and len(drawn) == 5
    assert next(results) == 1 and len(drawn) == 6
    results.close()  # type: ignore[attr-defined]
    assert len(drawn) == 6


def test_heavy_items_leave_room_for_few() -> None:
    """Where items weigh, their weight is bounded, and one that is too heavy goes alone."""
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for item in (1, 2, 4, 8, 100, 1, 1):
            drawn.append(item)
            yield item

    results = map_ordered(lambda item: item, items(), workers=4, ahead=8, weigh=lambda item: item)
    seen = [(result, sum(drawn) - sum(drawn[: drawn.index(result)])) for result in itertools.islice(results, 5)]
    assert seen == [(1, 15), (2, 14), (4, 12), (8, 8), (100, 100)]
    assert list(results) == [1, 1]


def test_first_error_stops_all() -> None:
    """An error is raised in its turn; what was not begun never is."""
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        return item

    results = map_ordered(work, range(1000), workers=2)
    with pytest.raises(ValueError, match="three"):
        list(results)
    assert len(begun) < 10


def test_error_of_the_items_is_raised() -> None:
    """An error in drawing items is raised too."""

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(map_ordered(lambda item: item, items(), workers=3))


def test_pauses_end_with_what_they_belong_to() -> None:
    """Who pauses while another call fails is not waited for; elsewhere a pause is a pause."""
    gone_on: list[bool] = []

    def work(item: int) -> None:
        if item == 0:
            raise ValueError("no")
        gone_on.append(pause(60))

    with pytest.raises(ValueError, match="no"):
        list(map_ordered(work, range(2), workers=2))
    assert gone_on in ([False], [])
    assert pause(0)
