"""A directory on another machine, over SSH: ``sftp://[user@]host[:port]/directory``, through paramiko.

``packets`` and ``session`` speak SFTP, ``login`` and ``trust`` find out as whom and where, ``transport`` joins them.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from vstore.errors import InvalidError
from vstore.remote.fsspec_transport.driver import Driver, Place, import_driver
from vstore.remote.fsspec_transport.sftp.login import Account, log_in
from vstore.remote.fsspec_transport.sftp.transport import SftpTransport

_OPTIONS = {
    "host_key": "the key that the host has to show, as in known_hosts: ssh-ed25519 AAAA...",
    "key_filename": "the file of a private key",
    "known_hosts": "the file of the hosts' keys, instead of those of SSH",
    "password": "the password, or the passphrase of the private key",
    "port": "another port than 22",
    "username": "who logs in",
}


def open_sftp(place: Place) -> SftpTransport:
    """Open a directory; the connection is made when it is needed.  Raises RemoteExtraMissingError, InvalidError.

    ``/~/`` at the beginning of the path is the home directory of the user.  Options come before what the URL says,
    and that comes before the user's configuration of SSH.
    """
    paramiko = import_driver(place, "paramiko", DRIVER.extra)
    account, root = read_url(place)
    return SftpTransport(
        lambda: log_in(paramiko, account, timeout_s=place.timeout_s),
        root,
        url=place.public_url,
        timeout_s=place.timeout_s,
    )


def read_url(place: Place) -> tuple[Account, str]:
    """Return whom to log in as, and the directory.  Raises InvalidError."""
    try:
        parts = urlsplit(place.url)
        port = int(place.options["port"]) if "port" in place.options else parts.port
    except ValueError as error:
        raise InvalidError(f"{place.public_url} names no port", url=place.public_url) from error
    path = unquote(parts.path)
    if not parts.hostname or not path or parts.query or parts.fragment or "\0" in path:
        raise InvalidError(f"{place.public_url} names no directory of a host", url=place.public_url)
    if path.startswith("/~") and path != "/~" and not path.startswith("/~/"):
        raise InvalidError(f"{place.public_url} names the home of somebody else", url=place.public_url)
    root = f".{path[2:]}" if path.startswith("/~") else path
    options = {"password": unquote(parts.password), **place.options} if parts.password else place.options
    user = place.options.get("username") or (unquote(parts.username) if parts.username else None)
    return Account(place.public_url, parts.hostname, port, user, options), root


DRIVER = Driver("ssh", _OPTIONS, open_sftp)
