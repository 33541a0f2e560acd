"""S3 and what speaks like it, through s3fs."""

from __future__ import annotations

from typing import Any

from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, get_bucket, make_filesystem
from vstore.remote.fsspec_transport.transport import FsspecTransport

_OPTIONS = {
    "anon": "true to send no credentials",
    "endpoint_url": "another address than Amazon's",
    "key": "the access key id",
    "profile": "which profile of ~/.aws holds the credentials",
    "region": "the region of the bucket",
    "secret": "the secret access key",
    "token": "the session token of temporary credentials",
}


def open_s3(place: Place) -> FsspecTransport:
    """Open a bucket.  Raises RemoteExtraMissingError, InvalidError."""
    kind = find_filesystem(place, extra=DRIVER.extra)
    root = get_bucket(place, kind)
    filesystem = make_filesystem(place, kind, _arguments(place))
    return FsspecTransport(filesystem, root, url=place.public_url, timeout_s=place.timeout_s)


def _arguments(place: Place) -> dict[str, Any]:
    arguments: dict[str, Any] = {"use_listings_cache": False, **place.options, "anon": place.is_on("anon")}
    if region := arguments.pop("region", None):
        arguments["client_kwargs"] = {"region_name": region}
    arguments["config_kwargs"] = {
        # Over https botocore's own checksums are more than other servers understand.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "connect_timeout": min(10, place.timeout_s),
        "read_timeout": place.timeout_s,
        # RetryingTransport tries again: one who does is enough.
        "retries": {"total_max_attempts": 1},
    }
    return arguments


DRIVER = Driver("s3", _OPTIONS, open_s3)
