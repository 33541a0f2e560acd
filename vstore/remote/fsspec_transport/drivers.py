"""Which URL is whose, and opening it; the room of a driver is imported when a URL asks for it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from vstore.errors import InvalidError, RemoteExtraMissingError
from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem
from vstore.remote.origin import Origin
from vstore.remote.transport import Transport

_SLASHED_PASSWORD = re.compile(r"[^:/]+://[^/@]*:[^/@]*[^/@0-9][^/@]*/[^?#]*@")

ROOMS: Mapping[str, str] = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "sftp": "sftp",
    "ssh": "sftp",
    "hdfs": "hadoop.native",
    "webhdfs": "hadoop.webhdfs",
    "swebhdfs": "hadoop.webhdfs",
    "http": "http.static",
    "https": "http.static",
    "webdav": "http.webdav",
    "webdavs": "http.webdav",
}
"""The drivers that are tested: protocol in a URL → module below this room, which has a ``DRIVER``."""


ORIGINS: Mapping[str, str] = {
    **dict.fromkeys(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"), "buckets.BucketOrigin"),
    **dict.fromkeys(("sftp", "ssh"), "files.SftpOrigin"),
    **dict.fromkeys(("hdfs", "webhdfs", "swebhdfs"), "files.HadoopOrigin"),
}
"""How what is not ours is read by a transport of a protocol: module below ``origins``, and class."""

WEB_ORIGINS: Mapping[str, str] = {
    **dict.fromkeys(("http", "https"), "open_web"),
    **dict.fromkeys(("webdav", "webdavs"), "open_webdav_origin"),
}
"""How it is read from web servers, where a file has another address than a folder: function of ``origins.web``."""


def _import(room: str) -> Any:
    return importlib.import_module(f"{__package__}.{room}")


def find_driver(scheme: str) -> Driver | None:
    """Return the driver that we test for a protocol; None where there is none."""
    if scheme not in ROOMS:
        return None
    driver: Driver = importlib.import_module(f"{__package__}.{ROOMS[scheme]}").DRIVER
    return driver


def open_fsspec(url: str, options: Mapping[str, str], *, timeout_s: float) -> Transport:
    """Open a place by its URL, with a driver of its own that remembers no listings.

    After ``timeout_s`` without a sign of life a request counts as stalled.  Raises RemoteExtraMissingError if the
    driver is not installed, InvalidError for a URL or options that make no sense, and what any transport raises if
    the driver connects at once.
    """
    _check_form(url)
    place = Place(url, dict(options), timeout_s)
    driver = find_driver(place.scheme)
    if driver is None:
        find_filesystem(place)
        driver = importlib.import_module(f"{__package__}.untested").DRIVER
    else:
        _check_options(place, driver)
    return driver.open(place)


def open_fsspec_origin(url: str, options: Mapping[str, str], *, timeout_s: float) -> Origin:
    """Open a URL to read what is there, whatever it is called; see ``open_fsspec``."""
    scheme = url.partition("://")[0].lower()
    if scheme in WEB_ORIGINS:
        _check_form(url)
        place = Place(url, dict(options), timeout_s)
        driver = find_driver(scheme)
        assert driver is not None
        _check_options(place, driver)
        open_web: Callable[[Place], Origin] = getattr(_import("origins.web"), WEB_ORIGINS[scheme])
        return open_web(place)
    transport = open_fsspec(url, options, timeout_s=timeout_s)
    room, _, name = ORIGINS.get(scheme, "files.FsspecOrigin").partition(".")
    kind: Callable[[Transport], Origin] = getattr(_import(f"origins.{room}"), name)
    return kind(transport)


def check_protocol(url: str, options: Mapping[str, str]) -> None:
    """Raise InvalidError where no driver, installed or not, knows a protocol or option; connects to nothing."""
    _check_form(url)
    place = Place(url, dict(options), 0)
    if not place.scheme:
        raise InvalidError(f"{place.public_url} names no protocol", url=place.public_url)
    driver = find_driver(place.scheme)
    if driver is not None:
        _check_options(place, driver)
        return
    try:
        find_filesystem(place)
    except RemoteExtraMissingError:
        return


def _check_form(url: str) -> None:
    """Raise InvalidError for a URL of which nobody could tell what is secret."""
    if _SLASHED_PASSWORD.match(url):
        shown = url.partition("://")[0] + "://***"
        raise InvalidError(f"a password in {shown} holds a slash, which a URL writes as %2F", url=shown)


def _check_options(place: Place, driver: Driver) -> None:
    unknown = sorted(place.options.keys() - driver.options.keys())
    if unknown:
        url, known = place.public_url, sorted(driver.options)
        raise InvalidError(f"{url} knows no option {unknown[0]}", url=url, option=unknown[0], known=known)


def is_known_protocol(url: str) -> bool:
    """Tell whether we test the driver that a URL asks for."""
    return Place(url, {}, 0).scheme in ROOMS
