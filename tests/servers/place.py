"""An empty place on a server, for one test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """What ``vstore remote add`` needs, and a door behind its back."""

    url: str
    options: Mapping[str, str]
    plant: Callable[[str, bytes], object]
    """Puts an object into the place by its name below the URL, replacing what is there; not by way of any proxy."""


def new_name() -> str:
    """Return a name that nobody has used; it suits buckets and containers, too."""
    return f"t{uuid.uuid4().hex[:20]}"
