"""What a kind of store has to say for itself, and how a driver of fsspec is found and made."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vstore.errors import InvalidError, RemoteExtraMissingError
from vstore.remote.fsspec_transport.failures import from_foreign
from vstore.remote.transport import Transport, public_url


class Place(NamedTuple):
    """What is to be opened: a URL, the options of its remote, and how long a request may be silent."""

    url: str
    options: dict[str, str]
    timeout_s: float

    @property
    def scheme(self) -> str:
        """The protocol."""
        return self.url.partition("://")[0].lower()

    @property
    def public_url(self) -> str:
        """The URL without secrets."""
        return public_url(self.url)

    def is_on(self, option: str) -> bool:
        """Tell whether an option that is true or false, and false by default, is true."""
        return self.options.get(option, "").lower() in {"1", "on", "true", "yes"}


class Driver(NamedTuple):
    """A kind of store: the extra of ours that brings its driver, and its options with what each does."""

    extra: str
    options: Mapping[str, str]
    open: Callable[[Place], Transport]


def find_filesystem(place: Place, *, extra: str | None = None, module: str = "", name: str = "") -> Any:
    """Import the class of a driver: ``name`` in ``module``, or else what fsspec knows for the protocol.

    Raises RemoteExtraMissingError if it is not installed, InvalidError if nobody knows the protocol.
    """
    try:
        if module:
            return getattr(import_driver(place, module, extra), name)
        # Of one protocol, not of a chain: simplecache::s3 would answer from its memory instead of the store.
        return importlib.import_module("fsspec").get_filesystem_class(place.scheme)
    except ImportError as error:
        raise _missing(place, extra) from error
    except ValueError as error:
        raise InvalidError(f"no driver is known for {place.public_url}", url=place.public_url) from error


def import_driver(place: Place, module: str, extra: str | None) -> Any:
    """Import the module of a driver.  Raises RemoteExtraMissingError if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(place, extra) from error


def _missing(place: Place, extra: str | None) -> RemoteExtraMissingError:
    message = f"the driver for {place.scheme}:// is not installed"
    return RemoteExtraMissingError(message, url=place.public_url, extra=extra)


def make_filesystem(place: Place, kind: Any, arguments: Mapping[str, Any]) -> Any:
    """Make a filesystem that nobody else uses; what the URL says is added to the arguments."""
    try:
        return kind(**{**kind._get_kwargs_from_urls(place.url), **arguments}, skip_instance_cache=True)
    except Exception as error:
        raise from_foreign(error, place.public_url, "connect", "") from error


def keep_quiet(library: str) -> None:
    """Let what a library logs go nowhere, unless somebody set up logging: Python would print its warnings."""
    logger = logging.getLogger(library)
    if not logger.hasHandlers():
        logger.addHandler(logging.NullHandler())


def get_bucket(place: Place, kind: Any) -> str:
    """Return the bucket, and what follows it, that a URL names.  Raises InvalidError if it names none."""
    root = str(kind._strip_protocol(place.url))
    if not root.strip("/") or root.startswith("/"):
        raise InvalidError(f"{place.public_url} names no bucket", url=place.public_url)
    return root
