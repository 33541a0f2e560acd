"""A directory on another machine, over SSH, through fsspec's own driver and paramiko."""

from __future__ import annotations

from vstore.remote.fsspec_transport.driver import Driver, Place, find_filesystem, make_filesystem
from vstore.remote.fsspec_transport.transport import FsspecTransport

_OPTIONS = {
    "key_filename": "the file of a private key",
    "password": "the password, where no key is used",
    "port": "another port than 22",
    "username": "who logs in",
}


def open_sftp(place: Place) -> FsspecTransport:
    """Connect to a directory.  Raises RemoteExtraMissingError, InvalidError, and what any transport raises."""
    # By name: an installed sshfs takes the protocol over, with other options and without ranges.
    kind = find_filesystem(place, extra=DRIVER.extra, module="fsspec.implementations.sftp", name="SFTPFileSystem")
    root = str(kind._strip_protocol(place.url))
    filesystem = make_filesystem(place, kind, place.options)
    return FsspecTransport(filesystem, root, url=place.public_url, staged=True, timeout_s=place.timeout_s)


DRIVER = Driver("ssh", _OPTIONS, open_sftp)
