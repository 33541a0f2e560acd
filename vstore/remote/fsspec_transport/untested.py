"""Whatever else fsspec knows a driver for: nobody knows what it promises."""

from __future__ import annotations

from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, make_filesystem
from vstore.remote.fsspec_transport.transport import FsspecTransport


def open_untested(place: Place) -> FsspecTransport:
    """Open a place; its options are the driver's own.

    Files are written under a temporary name and moved into place: whether the driver writes all or nothing is unknown.
    """
    kind = find_filesystem(place)
    filesystem = make_filesystem(place, kind, {"use_listings_cache": False, **place.options})
    root = str(kind._strip_protocol(place.url))
    return FsspecTransport(filesystem, root, url=place.public_url, staged=True, timeout_s=place.timeout_s)


DRIVER = Driver("", {}, open_untested)
