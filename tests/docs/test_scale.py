"""The plan for a petabyte: its numbers follow from the code and from assumptions that it names."""

from __future__ import annotations

import re

from tests.benchmarks import bench_scale
from tests.docs import scale


def test_tables_are_fresh() -> None:
    """The tables of the plan are what the arithmetic makes of formats and assumptions now."""
    page = scale.PAGE.read_text("utf-8")
    assert page == scale.render(page), "run `python -m tests.docs.scale`"
    assert set(re.findall("<!-- table: (.*) -->", page)) == scale.tables().keys()


def test_assumptions_are_those_of_the_page() -> None:
    """What the arithmetic assumes, and what the benchmark asserts, is what the page says."""
    page = scale.PAGE.read_text("utf-8")
    for said in (
        f"{scale.PROJECTS} projects",
        f"{scale.POINTERS} pointers",
        f"{scale.PUSHES_A_DAY} times a day",
        f"{scale.LOOKS_A_DAY} times a day",
        f"{scale.SESSIONS:,} pushes",
        f"{scale.PATH_LETTERS} letters",
        f"{scale.PAGE_S} s",
        f"{scale.ROUND_TRIP_S} s",
        f"${scale.WRITE_PRICE * 1000:g} for a thousand",
        f"${scale.READ_PRICE * 1000:g}",
        f"${scale.OUT_PRICE:g}",
        f"{bench_scale.MOST_REQUESTS} requests",
        f"{bench_scale.MOST_MEMORY_BYTES // 10**6} MB",
        f"{bench_scale.MOST_FLOORS} times",
        *(f"{price}" for _, price in scale.STORAGE_PRICES),
    ):
        assert said in page, said
