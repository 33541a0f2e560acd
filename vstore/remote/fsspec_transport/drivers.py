"""Which URL is whose: the extra that brings the driver, the options it knows, and how it is opened."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from vstore.errors import InvalidError, RemoteExtraMissingError
from vstore.remote.fsspec_transport import azure, gcs, s3, sftp
from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, open_any
from vstore.remote.transport import Transport, public_url

DRIVERS: Mapping[str, Driver] = {
    "s3": s3.DRIVER,
    "s3a": s3.DRIVER,
    "gs": gcs.DRIVER,
    "gcs": gcs.DRIVER,
    "az": azure.DRIVER,
    "abfs": azure.DRIVER,
    "abfss": azure.DRIVER,
    "sftp": sftp.DRIVER,
    "ssh": sftp.DRIVER,
}
"""The drivers that are tested, by the protocol in a URL."""


def open_fsspec(url: str, options: Mapping[str, str], *, timeout_s: float) -> Transport:
    """Open a place by its URL, with a driver of its own that remembers no listings.

    After ``timeout_s`` without a sign of life a request counts as stalled.  Raises RemoteExtraMissingError if the
    driver is not installed, InvalidError for a URL or options that make no sense, and what any transport raises if
    the driver connects at once.
    """
    place = Place(url, dict(options), timeout_s)
    driver = DRIVERS.get(place.scheme)
    if driver is None:
        return open_any(place)
    if unknown := sorted(set(options) - driver.options.keys()):
        raise InvalidError(f"{place.public_url} knows no option {unknown[0]}", url=place.public_url, option=unknown[0])
    return driver.open(place)


def check_protocol(url: str) -> None:
    """Raise InvalidError where a URL's protocol is known to no driver, installed or not; connects to nothing."""
    place = Place(url, {}, 0)
    if not place.scheme:
        raise InvalidError(f"{public_url(url)} names no protocol", url=public_url(url))
    if place.scheme not in DRIVERS:
        with contextlib.suppress(RemoteExtraMissingError):
            find_filesystem(place)


def is_known_protocol(url: str) -> bool:
    """Tell whether we test the driver that a URL asks for."""
    return Place(url, {}, 0).scheme in DRIVERS
