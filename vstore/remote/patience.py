"""Trying again what failed and may work later, with pauses between."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from typing import TypeVar

from vstore.errors import UnavailableError
from vstore.parallel import pause

Result = TypeVar("Result")

_LONGEST_PAUSE_S = 30.0
_LONGEST_WISH_S = 300.0
"""A server that asks to be left alone for longer is asked again after this."""
_WORTH_TELLING_S = 3.0


class Patience:
    """Calls again, up to ``attempts`` times in all, what failed and is ``retryable``; the rest fails at once.

    A place that never answered is tried only ``first_attempts`` times: its address may be wrong.  The pause doubles
    from ``pause_s`` up to 30 seconds, and each is shortened at random by up to a half, so that many clients do not
    come back at the same moment; a server that asks for a longer one (``retry_after_s``) gets it.  ``tell`` hears of
    attempts and pauses that a watcher would notice.
    """

    def __init__(
        self,
        *,
        attempts: int = 8,
        first_attempts: int = 4,
        pause_s: float = 0.5,
        sleep: Callable[[float], object] = pause,
        tell: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.has_answered = False
        self._attempts = attempts
        self._first_attempts = first_attempts
        self._pause_s = pause_s
        self._sleep = sleep
        self._tell = tell

    def call(self, call: Callable[[], Result]) -> Result:
        """Return what a call returns in the end."""
        pause_s = self._pause_s
        for attempt in itertools.count(1):
            began_s = time.monotonic()
            try:
                result = call()
            except UnavailableError as error:
                if not error.retryable or attempt >= (self._attempts if self.has_answered else self._first_attempts):
                    raise
                wish_s = min(error.fields.get("retry_after_s") or 0.0, _LONGEST_WISH_S)
                chosen_s = max(pause_s * random.uniform(0.5, 1.0), wish_s)
                if time.monotonic() - began_s + chosen_s >= _WORTH_TELLING_S:
                    self._tell(f"{error.message}; trying again in {chosen_s:.0f} s")
                if self._sleep(chosen_s) is False:  # somebody else failed, or the user gave up
                    raise
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self.has_answered = True
                return result
        raise AssertionError
