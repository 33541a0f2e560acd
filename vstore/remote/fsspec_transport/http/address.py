"""Where a web server is and how one logs in: taken from a URL and options, before anything is asked."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from vstore.errors import InvalidError
from vstore.remote.fsspec_transport.driver import Place

OPTIONS = {
    "ca_bundle": "a file with the certificates of authorities to trust",
    "password": "the password of the user",
    "token": "a token that is sent instead of user and password",
    "user": "who logs in",
}


class Address(NamedTuple):
    """Where a folder is, without a slash at its end; ``shown`` is the URL for messages, ``authorization`` is secret."""

    url: str
    shown: str
    authorization: str

    def url_of(self, path: str) -> str:
        """Return the URL of what lies at a path below the folder."""
        return f"{self.url}/{quote(path)}"


def find_address(place: Place, scheme: str) -> Address:
    """Return the address of a place that is spoken to by ``scheme``, http or https.  Raises InvalidError."""
    url = place.public_url
    try:
        parts = urlsplit(place.url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidError(f"{url} is no address", url=url) from error
    if not host:
        raise InvalidError(f"{url} names no host", url=url)
    if parts.query or parts.fragment:
        raise InvalidError(f"{url} is followed by a query or fragment, which no folder has", url=url)
    # What is quoted already stays as it is.
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    name = f"[{host}]" if ":" in host else host
    return Address(f"{scheme}://{name}{f':{port}' if port else ''}{path}", url, _authorization(place))


def _authorization(place: Place) -> str:
    parts, options = urlsplit(place.url), place.options
    user = options.get("user") or unquote(parts.username or "")
    password = options.get("password") or unquote(parts.password or "")
    token = options.get("token")
    if token and password:
        raise InvalidError(f"{place.public_url} has a password and a token: one is enough", url=place.public_url)
    if token:
        value = f"Bearer {token}"
    elif user or password:
        value = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    else:
        return ""
    if not value.isascii() or not value.isprintable():
        raise InvalidError(f"the token for {place.public_url} holds characters that none has", url=place.public_url)
    return value
