"""The bucket of a run, its clock, and the line to it."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.http_proxy import HttpProxy, Rule, running_http_proxy
from tests.servers.s3 import S3Server, running_moto
from tests.stress.clock import age_directory
from tests.stress.course import DIRECTORY, PROXY

# Uploads are not damaged here: S3 refuses those, but the emulator keeps them until they are sent again (as the tests of
# the transport have it), and machines that are killed meanwhile leave them there.
_FAULTS = (
    Rule("reset", chance=0.01),
    Rule("answer", status=503, headers={"Retry-After": "0"}, chance=0.01),
    Rule("answer", status=500, chance=0.01),
    Rule("lose-acknowledgement", method="PUT", chance=0.05),
    Rule("lose-acknowledgement", method="DELETE", chance=0.05),
    Rule("lose-acknowledgement", method="POST", chance=0.05),
    Rule("truncate", method="GET", chance=0.02),
    Rule("corrupt", method="GET", path="packs(/|%2F)", chance=0.02),
    Rule("stall", chance=0.002),
)
"""What the line does; a command still ends well, mostly."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where the run pushes to, and doors behind its back."""

    url: str
    endpoint_url: str
    leap: Callable[[int], object]
    """Let its clock leap by so many seconds."""
    list_sizes: Callable[[], dict[str, int]]
    """Return every object with its size."""
    save: Callable[[], object]
    """Leave what is there as files in the folder of the run, where it would be gone with the run."""
    proxy: HttpProxy | None = None

    def spoil_line(self) -> None:
        """Let the line be as bad as it is going to be."""
        if self.proxy is not None:
            self.proxy.rules = list(_FAULTS)

    def mend_line(self) -> None:
        """Let the line be good."""
        if self.proxy is not None:
            self.proxy.rules = []


@contextlib.contextmanager
def open_store(kind: str, folder: Path) -> Iterator[Store]:
    """Yield an empty bucket of one of the kinds."""
    if kind == DIRECTORY:
        root = folder / "store"
        yield Store(
            url=str(root),
            endpoint_url="",
            leap=lambda by_s: age_directory(root, by_s),
            list_sizes=lambda: _list_files(root),
            save=lambda: None,
        )
        return
    with contextlib.ExitStack() as stack:
        # Where a listing meets what goes meanwhile, moto fails with 500: it is asked again, and need not be told.
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        server = stack.enter_context(running_moto())
        place = server.new_place()
        proxy = stack.enter_context(running_http_proxy(server.port)) if kind == PROXY else None
        bucket = place.url.removeprefix("s3://")
        yield Store(
            url=place.url,
            endpoint_url=server.through(proxy.port if proxy else server.port),
            leap=_MotoClock().leap,
            list_sizes=lambda: _list_objects(server, bucket),
            save=lambda: _save_objects(server, bucket, folder / "store"),
            proxy=proxy,
        )


class _MotoClock:
    """Tells moto the time: objects that are written bear the date that it says."""

    def __init__(self) -> None:
        models: Any = importlib.import_module("moto.s3.models")
        right = models.utcnow
        self._ahead = datetime.timedelta()
        models.utcnow = lambda: right() + self._ahead

    def leap(self, by_s: int) -> None:
        self._ahead += datetime.timedelta(seconds=by_s)


def _list_files(root: Path) -> dict[str, int]:
    return {path.relative_to(root).as_posix(): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def _list_objects(server: S3Server, bucket: str) -> dict[str, int]:
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}


def _save_objects(server: S3Server, bucket: str, folder: Path) -> None:
    for key in _list_objects(server, bucket):
        found = server.client().get_object(Bucket=bucket, Key=key)
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found["Body"].read())
        date_s = found["LastModified"].timestamp()
        os.utime(path, (date_s, date_s))
