"""Why a driver failed: what it raises, and what a server answered, as causes of ours; a table for each kind of store.

The exceptions of drivers are told apart by type name, status and code, so that none has to be imported for its names.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vstore.errors import Cause
from vstore.remote.transport import cause_of_os_error

# Codes that servers answer, whatever the status.

_S3_CODES = {
    "AccessDenied": Cause.DENIED,
    "AccountProblem": Cause.DENIED,
    "AllAccessDisabled": Cause.DENIED,
    "AuthorizationHeaderMalformed": Cause.REGION,
    "ExpiredToken": Cause.CREDENTIALS_EXPIRED,
    "ExpiredTokenException": Cause.CREDENTIALS_EXPIRED,
    "IllegalLocationConstraintException": Cause.REGION,
    "IncompleteBody": Cause.BROKEN,
    "InternalError": Cause.SERVER_FAILED,
    "InvalidAccessKeyId": Cause.CREDENTIALS_UNKNOWN,
    "InvalidClientTokenId": Cause.CREDENTIALS_UNKNOWN,
    "InvalidRegion": Cause.REGION,
    "InvalidToken": Cause.CREDENTIALS_WRONG,
    "MethodNotAllowed": Cause.DENIED,
    "NoSuchBucket": Cause.NO_PLACE,
    "OperationAborted": Cause.BUSY,
    "PermanentRedirect": Cause.REGION,
    "RequestExpired": Cause.CLOCK,
    "RequestTimeTooSkewed": Cause.CLOCK,
    "RequestTimeout": Cause.STALLED,
    "SignatureDoesNotMatch": Cause.CREDENTIALS_WRONG,
    "SlowDown": Cause.BUSY,
    "TemporaryRedirect": Cause.REGION,
    "TokenRefreshRequired": Cause.CREDENTIALS_EXPIRED,
    "UnrecognizedClientException": Cause.CREDENTIALS_UNKNOWN,
    # The server received other bytes than were sent.
    "BadDigest": Cause.DAMAGED,
    "InvalidDigest": Cause.DAMAGED,
    "XAmzContentChecksumMismatch": Cause.DAMAGED,
    "XAmzContentSHA256Mismatch": Cause.DAMAGED,
    # The answer to HEAD has no code of its own.
    "301": Cause.REGION,
}
_AZURE_CODES = {
    "AccountIsDisabled": Cause.DENIED,
    "AuthenticationFailed": Cause.CREDENTIALS_WRONG,
    "AuthorizationFailure": Cause.DENIED,
    "AuthorizationPermissionMismatch": Cause.DENIED,
    "AuthorizationProtocolMismatch": Cause.DENIED,
    "AuthorizationResourceTypeMismatch": Cause.DENIED,
    "AuthorizationServiceMismatch": Cause.DENIED,
    "AuthorizationSourceIPMismatch": Cause.DENIED,
    "BlobImmutableDueToPolicy": Cause.READ_ONLY,
    "ContainerBeingDeleted": Cause.NO_PLACE,
    "ContainerDisabled": Cause.DENIED,
    "ContainerNotFound": Cause.NO_PLACE,
    "InsufficientAccountPermissions": Cause.DENIED,
    "InvalidAuthenticationInfo": Cause.CREDENTIALS_WRONG,
    "Md5Mismatch": Cause.DAMAGED,
    "NoAuthenticationInformation": Cause.CREDENTIALS_MISSING,
    "OperationTimedOut": Cause.BUSY,
    "PublicAccessNotPermitted": Cause.CREDENTIALS_MISSING,
    "ServerBusy": Cause.BUSY,
}
_CODES: Mapping[str, Cause] = {**_S3_CODES, **_AZURE_CODES}

# Words that tell what a status or a code leaves open.
_WORDS = (
    # Azure: a shared access signature, then a token of Entra.
    (re.compile("Signature not valid in the specified time frame"), Cause.CREDENTIALS_EXPIRED),
    (re.compile("Lifetime validation failed|token is expired|AADSTS7000222"), Cause.CREDENTIALS_EXPIRED),
    (re.compile("AADSTS7|Server failed to authenticate the request"), Cause.CREDENTIALS_WRONG),
    # Google: the library of its credentials, then the service.
    (re.compile("Invalid JWT.*timeframe|Token used too (early|late)", re.DOTALL), Cause.CLOCK),
    (re.compile("[Rr]eauthentication|expired or revoked|invalid_rapt"), Cause.CREDENTIALS_EXPIRED),
    (re.compile("Invalid JWT Signature|account not found"), Cause.CREDENTIALS_WRONG),
    (re.compile("Anonymous caller"), Cause.CREDENTIALS_MISSING),
    (re.compile("^Forbidden: "), Cause.DENIED),
    # Web servers in front of whatever it is.
    (re.compile(r"plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS|\\x15\\x03"), Cause.PLAIN_TO_TLS),
)

_STATUS = {
    301: Cause.REGION,
    401: Cause.CREDENTIALS_WRONG,
    403: Cause.DENIED,
    405: Cause.READ_ONLY,
    407: Cause.PROXY_DENIED,
    408: Cause.STALLED,
    429: Cause.BUSY,
    500: Cause.SERVER_FAILED,
    502: Cause.SERVER_FAILED,
    503: Cause.BUSY,
    504: Cause.SERVER_FAILED,
}

_LASTING_STATUS = {501, 505, 507, 508, 511}

_PROXY_TYPES = {
    "ClientHttpProxyError": Cause.PROXY,
    "ClientProxyConnectionError": Cause.PROXY,
    "ProxyConnectionError": Cause.PROXY,
    "ProxyError": Cause.PROXY,
}
# Failures before any answer: the first name that is found counts.  Some tell why; of the others an errno may tell more.
_TELLING_TYPES = {
    "gaierror": Cause.DNS,
    "ClientConnectorDNSError": Cause.DNS,
    "NameResolutionError": Cause.DNS,
    "BadHostKeyException": Cause.HOST_KEY,
    "AuthenticationException": Cause.CREDENTIALS_WRONG,
    "ClientAuthenticationError": Cause.CREDENTIALS_MISSING,
    "DefaultCredentialsError": Cause.CREDENTIALS_MISSING,
    "NoAuthTokenError": Cause.CREDENTIALS_MISSING,
    "NoCredentialsError": Cause.CREDENTIALS_MISSING,
    "PartialCredentialsError": Cause.CREDENTIALS_MISSING,
    "ProfileNotFound": Cause.CREDENTIALS_MISSING,
    "CredentialRetrievalError": Cause.CREDENTIALS_EXPIRED,
    "RefreshError": Cause.CREDENTIALS_EXPIRED,
    "SSOTokenLoadError": Cause.CREDENTIALS_EXPIRED,
    "TokenRetrievalError": Cause.CREDENTIALS_EXPIRED,
    "UnauthorizedSSOTokenError": Cause.CREDENTIALS_EXPIRED,
    "NoValidConnectionsError": Cause.REFUSED,
    "ResponseParserError": Cause.STRANGE_ANSWER,
}
_VAGUE_TYPES = {
    "PermissionError": Cause.DENIED,
    "ConnectTimeoutError": Cause.STALLED,
    "ReadTimeoutError": Cause.STALLED,
    "FSTimeoutError": Cause.STALLED,
    "TimeoutError": Cause.STALLED,
    "Timeout": Cause.STALLED,
    "ChunkedEncodingError": Cause.BROKEN,
    "ClientConnectionError": Cause.BROKEN,
    "ClientPayloadError": Cause.BROKEN,
    "ConnectionError": Cause.BROKEN,
    "HTTPClientError": Cause.BROKEN,
    "IncompleteRead": Cause.BROKEN,
    "IncompleteReadError": Cause.BROKEN,
    "ProtocolError": Cause.BROKEN,
    "SSHException": Cause.BROKEN,
    "ServiceRequestError": Cause.BROKEN,
    "ServiceResponseError": Cause.BROKEN,
    "HttpProcessingError": Cause.STRANGE_ANSWER,
}
_NO_ANSWER = "HttpProcessingError"
"""What aiohttp raises where an answer breaks off or makes no sense has a status, 400, that no server gave."""

# TLS: the numbers are those of OpenSSL's X509_verify_cert_error_string.
_CERTIFICATE = {
    9: Cause.TLS_EXPIRED,
    10: Cause.TLS_EXPIRED,
    62: Cause.TLS_HOST,
    64: Cause.TLS_HOST,
}
_NO_TLS = {"HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "WRONG_VERSION_NUMBER"}
_CUT_TLS = {"SSLEOFError", "SSLZeroReturnError"}

_ERRNO = re.compile(r"\[Errno (\d+)\]")

_SKEW_S = 15 * 60.0
"""Amazon and Azure refuse who differs by more; not all say that this is why."""


class Answer(NamedTuple):
    """What a server answered: its status, its own code, its headers, and what it says in words; empty if it did not."""

    status: int | None = None
    code: str = ""
    headers: Mapping[str, str] = {}

    def __bool__(self) -> bool:
        """Tell whether there was an answer at all."""
        return bool(self.status or self.code)

    def find_header(self, name: str) -> str:
        """Return a header by its name in lower case, or ""."""
        return next((str(value) for key, value in self.headers.items() if str(key).lower() == name), "")

    def skew_s(self) -> float:
        """Return by how much our clock is ahead of the server's, or 0 where that is not known."""
        with contextlib.suppress(TypeError, ValueError):
            return time.time() - email.utils.parsedate_to_datetime(self.find_header("date")).timestamp()
        return 0.0


def iter_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def find_answer(error: BaseException) -> Answer:
    """Find what a server answered in an exception or its causes."""
    chain = list(iter_chain(error))
    if any(_NO_ANSWER in (kind.__name__ for kind in type(each).__mro__) for each in chain):
        return Answer()
    for each in chain:
        response: Any = getattr(each, "response", None)
        if isinstance(response, Mapping):  # botocore
            facts, code = response.get("ResponseMetadata", {}), response.get("Error", {}).get("Code", "")
            return Answer(_failure(facts.get("HTTPStatusCode")), str(code), facts.get("HTTPHeaders") or {})
        # azure, aiohttp, requests and gcsfs, in this order
        for holder, name in ((each, "status_code"), (each, "status"), (response, "status_code"), (each, "code")):
            if (status := _failure(getattr(holder, name, None))) is not None:
                code = getattr(each, "error_code", None) or ""
                headers = getattr(response, "headers", None) or getattr(each, "headers", None) or {}
                return Answer(status, str(getattr(code, "value", code)), headers)
    return Answer()


def find_cause(error: BaseException, answer: Answer) -> Cause | None:
    """Return why a driver raised this, as far as it can be told."""
    cause = _cause_of_answer(answer)
    if cause is not Cause.PROXY_DENIED and _cause_of_type(error, _PROXY_TYPES):
        return Cause.PROXY
    if cause in (None, Cause.CREDENTIALS_WRONG, Cause.CREDENTIALS_MISSING, Cause.DENIED):
        cause = _cause_of_words(error) or cause
    if cause in (Cause.CREDENTIALS_WRONG, Cause.CREDENTIALS_EXPIRED) and abs(answer.skew_s()) > _SKEW_S:
        return Cause.CLOCK
    if cause is None and not answer:
        cause = (
            _cause_of_tls(error)
            or _cause_of_type(error, _TELLING_TYPES)
            or _cause_of_errno(error)
            or _cause_of_type(error, _VAGUE_TYPES)
        )
    return cause


def _failure(value: object) -> int | None:
    number = int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0
    return number if 400 <= number < 600 else None


def _cause_of_answer(answer: Answer) -> Cause | None:
    status = answer.status or 0
    cause = _CODES.get(answer.code) or _STATUS.get(status)
    # Whoever stands before a server has numbers of its own for what is wrong with it.
    return Cause.SERVER_FAILED if cause is None and status > 500 and status not in _LASTING_STATUS else cause


def _cause_of_words(error: BaseException) -> Cause | None:
    for each in iter_chain(error):
        text = str(each)
        for pattern, cause in _WORDS:
            if pattern.search(text):
                return cause
    return None


def _cause_of_tls(error: BaseException) -> Cause | None:
    for each in iter_chain(error):
        number, reason = getattr(each, "verify_code", None), getattr(each, "reason", None)
        names = {kind.__name__ for kind in type(each).__mro__}
        if isinstance(number, int) and number:
            return _CERTIFICATE.get(number, Cause.TLS_UNTRUSTED)
        if isinstance(reason, str) and reason in _NO_TLS:
            return Cause.TLS_TO_PLAIN
        if names & _CUT_TLS:
            return Cause.BROKEN
    kinds = {kind for each in iter_chain(error) for kind in type(each).__mro__}
    # The number of such an error is none of the system's.
    return Cause.TLS_FAILED if any(kind.__module__ == "ssl" for kind in kinds) else None


def _cause_of_type(error: BaseException, types: Mapping[str, Cause]) -> Cause | None:
    names = {kind.__name__ for each in iter_chain(error) for kind in type(each).__mro__}
    return next((cause for name, cause in types.items() if name in names), None)


def _cause_of_errno(error: BaseException) -> Cause | None:
    for each in iter_chain(error):
        if isinstance(each, OSError):
            # A host with several addresses is told in words: none of them listens.
            found = _ERRNO.search(str(each)) if each.errno is None else None
            if cause := cause_of_os_error(int(found[1]) if found else each.errno):
                return cause
    return None
