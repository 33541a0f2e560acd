"""``listing.json``: what a remote holds, written down for readers that cannot list, such as those of plain HTTP.

It is a hint, as old as the last push that wrote it.  Whoever believes an old one misses what came later and finds
everything that came before.
"""

from __future__ import annotations

import math

from vstore.errors import CorruptError, KeyNotFoundError, RemoteUnavailableError
from vstore.remote.layout import COMMITS, DOOMED, FORMAT, INDEX, LISTING, PACKS, TRASH
from vstore.remote.sealed import Fields, seal, unseal
from vstore.remote.transport import Listed, Transport, is_key

MAX_LISTING_BYTES = 256 * 1024 * 1024
"""No listing is longer: that is two million objects."""

_MOST_ROUNDS = 5
_READ = (COMMITS, TRASH, INDEX, DOOMED, PACKS)
"""What readers list, in the order in which it is listed: what a commit names is listed after the commit."""


def listing_to_bytes(listed: list[Listed]) -> bytes:
    """Return the one encoding of a listing."""
    return seal(
        {
            "objects": [
                {"key": key, "size": size_bytes, "modified": None if math.isinf(modified_s) else int(modified_s)}
                for key, size_bytes, modified_s in sorted(listed)
            ]
        }
    )


def listing_from_bytes(data: bytes) -> tuple[Listed, ...]:
    """Parse a listing.  Raises CorruptError, NewerFormatError."""
    listing = tuple(_parse_object(entry) for entry in unseal(data, LISTING).objects("objects"))
    if len({entry.key for entry in listing}) != len(listing):
        raise CorruptError(f"{LISTING} is damaged: it names an object twice", key=LISTING)
    return listing


def _parse_object(fields: Fields) -> Listed:
    key = fields.text("key")
    if not is_key(key):
        raise CorruptError(f"{LISTING} is damaged: {key!r} is not a key", key=LISTING)
    modified = fields.optional_count("modified")
    return Listed(key, fields.count("size"), math.inf if modified is None else float(modified))


def refresh_listing(transport: Transport) -> None:
    """Write the listing anew unless it names all commits that are there; two requests where it does.

    Several who push may do so at once: each looks, after writing, whether what is there now is the listing of all
    commits, so that the last to write has seen those of all others.  Raises UnavailableError.
    """
    for _ in range(_MOST_ROUNDS):
        told = _read_commits(transport)
        if told == {entry.key for entry in transport.list(COMMITS)}:
            return
        listed = [entry for prefix in _READ for entry in transport.list(prefix)]
        size_bytes = transport.find_size(FORMAT)
        if size_bytes is not None:
            listed.append(Listed(FORMAT, size_bytes, math.inf))
        transport.write(LISTING, listing_to_bytes(listed))
    message = f"{LISTING} at {transport.url} was out of date {_MOST_ROUNDS} times over as soon as it was written"
    raise RemoteUnavailableError(message, url=transport.url)


def _read_commits(transport: Transport) -> set[str] | None:
    """Return the commits that the listing names; None where there is none that can be read."""
    try:
        return {entry.key for entry in listing_from_bytes(transport.read(LISTING)) if entry.key.startswith(COMMITS)}
    except (KeyNotFoundError, CorruptError):
        return None
