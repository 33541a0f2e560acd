"""Refusals: what git says when a server does not answer or does not want to, as facts of ours."""

from __future__ import annotations

import re

from vstore.errors import Cause, GitFailedError, RepositoryNotFoundError, SourceUnavailableError, VstoreError

# In this order: a failed connection also "could not read from remote repository".
_CAUSES = (
    (Cause.DNS, "could not resolve host|name or service not known|nodename nor servname|unable to look up"),
    (Cause.REFUSED, "connection refused|couldn't connect to server"),
    (Cause.UNREACHABLE, "no route to host|network is unreachable"),
    (Cause.STALLED, "timed out|operation too slow"),
    (Cause.HOST_KEY, "host key verification failed"),
    (Cause.TLS_HOST, "no alternative certificate subject name|certificate subject name .* does not match"),
    (Cause.TLS_EXPIRED, "certificate (has|is) expired"),
    (Cause.TLS_UNTRUSTED, "certificate problem|certificate verif|self.signed certificate"),
    (Cause.CREDENTIALS_MISSING, "could not read (username|password)|terminal prompts disabled"),
    (Cause.CREDENTIALS_WRONG, "authentication failed|permission denied|access denied|returned error: 401"),
    (Cause.DENIED, "returned error: 403|not authorized|access forbidden"),
    (Cause.BUSY, "returned error: 429|too many requests"),
    (Cause.SERVER_FAILED, "returned error: 5[0-9][0-9]|internal server error"),
    (Cause.BROKEN, "early eof|hung up unexpectedly|rpc failed|connection reset|unexpected disconnect"),
)
# Up to the last "@" before the path.  A slash in a password, which should be %2F, does not end it, as it does a port.
_LOGIN = re.compile(r"(?<=://)(?!\[)([^/@:]*)(?:[^/]*|:(?!\d*/).*)@")
_NO_REPOSITORY = re.compile(
    "does not appear to be a git repository|repository '?.*'? ?not found|no such project|does not exist|"
    "returned error: 404|repository not exported|no such file or directory"
)


def shown(url: str) -> str:
    """Return a URL without a password, and without who logs in where that is no part of the address."""
    keeps_user = url.lower().startswith("ssh://")
    return _LOGIN.sub(lambda found: f"{found[1]}@" if keeps_user and found[1] else "", url)


def said_by(error: GitFailedError) -> str:
    """Return everything that git said, in small letters."""
    return str(error.fields.get("said", error.message)).lower()


def translate(error: GitFailedError, url: str) -> VstoreError:
    """Return what a failure of git to fetch from a URL means; the same error, where it is not the server's doing."""
    said, url = said_by(error), shown(url)
    for cause, words in _CAUSES:
        if re.search(words, said):
            return SourceUnavailableError(f"could not read {url}: {cause.meaning}", cause=cause, url=url)
    if _NO_REPOSITORY.search(said):
        return RepositoryNotFoundError(f"there is no git repository at {url}", path=url, url=url)
    return error
