"""Google Cloud Storage, through gcsfs."""

from __future__ import annotations

from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, get_bucket, make_filesystem
from vstore.remote.fsspec_transport.transport import FsspecTransport

_OPTIONS = {
    "anon": "true to send no credentials",
    "endpoint_url": "another address than Google's",
    "project": "the project that is billed",
    "token": "where credentials come from: a file of a service account, google_default, cloud, ...",
}


def open_gcs(place: Place) -> FsspecTransport:
    """Open a bucket.  Raises RemoteExtraMissingError, InvalidError."""
    kind = find_filesystem(place, extra=DRIVER.extra)
    root = get_bucket(place, kind)
    # Its small uploads are cut silently where the content holds their fixed boundary; comparing the MD5 shows it.
    arguments = {"use_listings_cache": False, "consistency": "md5", **place.options}
    if place.is_on("anon"):
        arguments["token"] = "anon"
    arguments.pop("anon", None)
    filesystem = make_filesystem(place, kind, arguments)
    return FsspecTransport(filesystem, root, url=place.public_url, timeout_s=place.timeout_s)


DRIVER = Driver("gs", _OPTIONS, open_gcs)
