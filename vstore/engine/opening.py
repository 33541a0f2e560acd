"""Opening an engine by its name; the room of a driver is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import cast

from vstore.engine.engine import Engine
from vstore.errors import InvalidError, RemoteExtraMissingError

ENGINES = {"dask": "dask_cluster"}
"""The engines by name: module of this room, which has an ``open_cluster``."""


def open_engine(name: str | None, scheduler: str | None) -> Engine | None:
    """Return an engine, or None where none is named; it connects to its scheduler when it is first needed.

    Raises InvalidError for a name or address that makes no sense, RemoteExtraMissingError.
    """
    if name is None and scheduler is None:
        return None
    if name is None or scheduler is None:
        lacking = "the address of its scheduler" if name else "its engine"
        raise InvalidError(f"a cluster was named without {lacking}", engine=name, scheduler=scheduler)
    if name not in ENGINES:
        raise InvalidError(f"there is no engine {name}", option=name, known=sorted(ENGINES))
    if "://" not in scheduler:
        raise InvalidError(f"{scheduler} is no address of a scheduler, as tcp://HOST:8786 is", scheduler=scheduler)
    try:
        room = importlib.import_module(f"{__package__}.{ENGINES[name]}")
    except ImportError as error:
        message = f"the engine {name} needs a package that is not installed"
        raise RemoteExtraMissingError(message, engine=name, extra=name) from error
    return cast(Engine, room.open_cluster(scheduler))
