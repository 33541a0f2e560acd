"""Adding up what attempts at the parts of a job tell of their progress, so that no part counts twice."""

from __future__ import annotations

from vstore.progress import Reporter


class Tally:
    """How far each part is; a reporter hears of all together."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._counted: dict[int, int] = {}
        self._finished: set[int] = set()

    def count(self, number: int, amount: int) -> None:
        """Take what an attempt at a part came to so far; of a finished part no attempt counts any more."""
        if number not in self._finished:
            self._set(number, amount)

    def finish(self, number: int, amount: int) -> None:
        """Take what a part came to in the end."""
        self._finished.add(number)
        self._set(number, amount)

    def _set(self, number: int, amount: int) -> None:
        before, self._counted[number] = self._counted.get(number, 0), amount
        if amount != before:
            self._reporter.advance(amount - before)
