"""Whatever else fsspec knows a driver for: nobody knows what it promises."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from threading import RLock
from typing import Any

from vstore.errors import RemoteUnavailableError
from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, make_filesystem
from vstore.remote.fsspec_transport.transport import FsspecTransport
from vstore.remote.transport import Key


class UntestedTransport(FsspecTransport):
    """Objects in a store of which nothing is known.

    Files are written under a temporary name and moved into place: whether the driver writes all or nothing is unknown.
    One request is made at a time unless the driver is asynchronous: others may have one connection for all threads.
    """

    def __init__(self, filesystem: Any, root: str, *, url: str, timeout_s: float) -> None:
        super().__init__(filesystem, root, url=url, staged=True, timeout_s=timeout_s)
        self._turn = contextlib.nullcontext() if filesystem.async_impl else RLock()

    def delete(self, key: Key) -> None:
        try:
            super().delete(key)
        except RemoteUnavailableError as error:
            # Not every driver has a word for what is absent.
            if error.retryable or self.find_size(key) is not None:
                raise

    @contextlib.contextmanager
    def _foreign_errors(self, action: str, key: str) -> Iterator[None]:
        with self._turn, super()._foreign_errors(action, key):
            yield


def open_untested(place: Place) -> UntestedTransport:
    """Open a place; its options are the driver's own."""
    kind = find_filesystem(place)
    filesystem = make_filesystem(place, kind, {"use_listings_cache": False, **place.options})
    root = str(kind._strip_protocol(place.url))
    return UntestedTransport(filesystem, root, url=place.public_url, timeout_s=place.timeout_s)


DRIVER = Driver("", {}, open_untested)
