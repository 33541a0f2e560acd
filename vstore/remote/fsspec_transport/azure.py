"""Azure Blob Storage, through adlfs."""

from __future__ import annotations

from typing import Any

from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, get_bucket, make_filesystem
from vstore.remote.fsspec_transport.transport import FsspecTransport

_OPTIONS = {
    "account_key": "the key of the storage account",
    "account_name": "the storage account",
    "anon": "true to send no credentials",
    "connection_string": "account, key and address in one",
    "sas_token": "a shared access signature",
}


def open_azure(place: Place) -> FsspecTransport:
    """Open a container.  Raises RemoteExtraMissingError, InvalidError."""
    kind = find_filesystem(place, extra=DRIVER.extra)
    root = get_bucket(place, kind)
    arguments: dict[str, Any] = {"use_listings_cache": False, **place.options, "anon": place.is_on("anon")}
    filesystem = make_filesystem(place, kind, arguments)
    return FsspecTransport(filesystem, root, url=place.public_url, timeout_s=place.timeout_s)


DRIVER = Driver("azure", _OPTIONS, open_azure)
