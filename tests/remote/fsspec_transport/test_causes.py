"""Why a driver failed is found out, whatever library it is made of."""

from __future__ import annotations

import email.utils
import errno
import socket
import ssl
import time
from types import SimpleNamespace

import pytest

from tests.remote.fsspec_transport.test_failures import boto, caused, foreign
from vstore.errors import Cause, RemoteDeniedError, RemoteUnavailableError, UnavailableError, VstoreError
from vstore.remote.fsspec_transport.failures import from_foreign


def named(name: str, *parents: str, words: str = "", **attributes: object) -> Exception:
    """Make an exception of a library, whose kinds have these names."""
    kind: type[Exception] = Exception
    for parent in reversed(parents):
        kind = type(parent, (kind,), {})
    error = type(name, (kind,), {})(words)
    for attribute, value in attributes.items():
        setattr(error, attribute, value)
    return error


def certificate(number: int) -> Exception:
    """Make what Python raises for a certificate that does not verify."""
    error = ssl.SSLCertVerificationError("x")
    error.verify_code, error.reason = number, "CERTIFICATE_VERIFY_FAILED"
    return error


def tls(reason: str) -> Exception:
    """Make what Python raises for a handshake that fails."""
    error = ssl.SSLError(1, "x")
    error.reason = reason
    return error


def azure(status: int, code: str, words: str = "") -> Exception:
    """Make what Azure's library raises."""
    return named("HttpResponseError", "AzureError", words=words, status_code=status, error_code=code)


REASONS = {
    "dns": (caused(foreign("EndpointConnectionError"), socket.gaierror(-2, "x")), Cause.DNS),
    "requests-dns": (caused(named("ConnectionError"), named("NameResolutionError")), Cause.DNS),
    "refused": (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Cause.REFUSED),
    "several-addresses": (OSError("Multiple exceptions: [Errno 111] Connect call failed"), Cause.REFUSED),
    "paramiko-refused": (named("NoValidConnectionsError"), Cause.REFUSED),
    "unreachable": (caused(named("ClientConnectionError"), OSError(errno.EHOSTUNREACH, "x")), Cause.UNREACHABLE),
    "stalled-inside": (named("FSTimeoutError"), Cause.STALLED),
    "stalled-outside": (OSError(errno.ETIMEDOUT, "x"), Cause.STALLED),
    "reset": (caused(named("ServiceRequestError"), ConnectionResetError(errno.ECONNRESET, "x")), Cause.BROKEN),
    "proxy": (caused(named("ProxyConnectionError"), ConnectionRefusedError(errno.ECONNREFUSED, "x")), Cause.PROXY),
    "proxy-answers": (named("ClientHttpProxyError", status=502), Cause.PROXY),
    "proxy-denied": (named("ClientHttpProxyError", status=407), Cause.PROXY_DENIED),
    "self-signed": (caused(named("SSLError"), certificate(18)), Cause.TLS_UNTRUSTED),
    "unknown-issuer": (certificate(20), Cause.TLS_UNTRUSTED),
    "other-host": (certificate(62), Cause.TLS_HOST),
    "other-address": (certificate(64), Cause.TLS_HOST),
    "expired": (certificate(10), Cause.TLS_EXPIRED),
    "not-yet-valid": (certificate(9), Cause.TLS_EXPIRED),
    "no-common-version": (tls("TLSV1_ALERT_PROTOCOL_VERSION"), Cause.TLS_FAILED),
    "plain-server": (tls("WRONG_VERSION_NUMBER"), Cause.TLS_TO_PLAIN),
    "plain-server-newer-openssl": (tls("RECORD_LAYER_FAILURE"), Cause.TLS_TO_PLAIN),
    "cut-handshake": (ssl.SSLEOFError(8, "x"), Cause.BROKEN),
    "tls-server": (
        named("HttpResponseError", words="The plain HTTP request was sent to HTTPS port", status_code=400),
        Cause.PLAIN_TO_TLS,
    ),
    "tls-server-alerts": (named("BadStatusLine", words=r"Expected HTTP/: b'\x15\x03\x03\x00'"), Cause.PLAIN_TO_TLS),
    "host-key": (named("BadHostKeyException", "SSHException"), Cause.HOST_KEY),
    "no-credentials": (named("NoCredentialsError"), Cause.CREDENTIALS_MISSING),
    "google-none": (named("DefaultCredentialsError"), Cause.CREDENTIALS_MISSING),
    "azure-none": (named("CredentialUnavailableError", "ClientAuthenticationError"), Cause.CREDENTIALS_MISSING),
    "azure-anonymous": (azure(401, "NoAuthenticationInformation"), Cause.CREDENTIALS_MISSING),
    "azure-not-public": (azure(409, "PublicAccessNotPermitted"), Cause.CREDENTIALS_MISSING),
    "google-anonymous": (
        named("HttpError", words="Anonymous caller does not have storage.objects.list access", code=401),
        Cause.CREDENTIALS_MISSING,
    ),
    "unknown-key": (caused(PermissionError("x"), boto("InvalidAccessKeyId", 403)), Cause.CREDENTIALS_UNKNOWN),
    "wrong-secret": (boto("SignatureDoesNotMatch", 403), Cause.CREDENTIALS_WRONG),
    "azure-wrong-key": (azure(403, "AuthenticationFailed"), Cause.CREDENTIALS_WRONG),
    "azure-wrong-secret": (
        named("ClientAuthenticationError", words="AADSTS7000215: Invalid client secret"),
        Cause.CREDENTIALS_WRONG,
    ),
    "google-wrong-key": (named("RefreshError", words="invalid_grant: Invalid JWT Signature."), Cause.CREDENTIALS_WRONG),
    "ssh-not-let-in": (named("AuthenticationException", "SSHException"), Cause.CREDENTIALS_WRONG),
    "password": (named("HTTPError", response=SimpleNamespace(status_code=401, headers={})), Cause.CREDENTIALS_WRONG),
    "expired-token": (caused(PermissionError("x"), boto("ExpiredToken", 400)), Cause.CREDENTIALS_EXPIRED),
    "expired-login": (named("UnauthorizedSSOTokenError"), Cause.CREDENTIALS_EXPIRED),
    "expired-sas": (
        azure(403, "AuthenticationFailed", "Signature not valid in the specified time frame: Start - Expiry"),
        Cause.CREDENTIALS_EXPIRED,
    ),
    "google-expired": (
        named("RefreshError", words="Reauthentication is needed. Please run `gcloud auth ...`"),
        Cause.CREDENTIALS_EXPIRED,
    ),
    "google-clock": (
        named("RefreshError", words="invalid_grant: Invalid JWT: must be in a reasonable timeframe"),
        Cause.CLOCK,
    ),
    "clock": (boto("RequestTimeTooSkewed", 403), Cause.CLOCK),
    "region": (caused(OSError(errno.EINVAL, "x"), boto("AuthorizationHeaderMalformed", 400)), Cause.REGION),
    "region-of-head": (boto("301", 301), Cause.REGION),
    "denied": (caused(PermissionError("x"), boto("AccessDenied", 403)), Cause.DENIED),
    "azure-denied": (azure(403, "AuthorizationPermissionMismatch"), Cause.DENIED),
    "google-denied": (OSError("Forbidden: b/bucket/o\nada does not have storage.objects.create access"), Cause.DENIED),
    "immutable": (azure(409, "BlobImmutableDueToPolicy"), Cause.READ_ONLY),
    "read-only-disk": (OSError(errno.EROFS, "x"), Cause.READ_ONLY),
    "busy": (boto("SlowDown", 503), Cause.BUSY),
    "too-many": (named("HttpError", code=429), Cause.BUSY),
    "broken-server": (boto("InternalError", 500), Cause.SERVER_FAILED),
    "damaged": (boto("BadDigest", 400), Cause.DAMAGED),
    "azure-damaged": (azure(400, "Md5Mismatch"), Cause.DAMAGED),
    "nonsense": (named("ResponseParserError"), Cause.STRANGE_ANSWER),
    "no-http": (caused(named("ClientResponseError", status=400), named("HttpProcessingError")), Cause.STRANGE_ANSWER),
    "cut-off": (
        caused(named("ClientPayloadError"), named("ContentLengthError", "HttpProcessingError", code=400)),
        Cause.BROKEN,
    ),
}


@pytest.mark.parametrize(("error", "cause"), REASONS.values(), ids=REASONS.keys())
def test_cause_is_found(error: Exception, cause: Cause) -> None:
    """Each failure of a driver has its cause, in the message and as data, and is tried again only if that may help."""
    ours = from_foreign(error, "s3://bucket", "read a", "a")
    assert isinstance(ours, RemoteDeniedError | RemoteUnavailableError)
    assert ours.cause is cause and ours.fields["cause"] == cause.value
    assert cause.meaning in ours.message or ours.cause is Cause.READ_ONLY
    assert ours.retryable == cause.is_passing


def test_every_cause_is_met() -> None:
    """No cause is a mere word: each has an error that leads to it, here or in another store."""
    elsewhere = {Cause.NO_PLACE, Cause.STALE}
    assert {cause for _, cause in REASONS.values()} | elsewhere == set(Cause)


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_wrong_signature_under_another_clock(ahead_s: int) -> None:
    """Credentials are not blamed where the clocks are an hour apart: signatures hold the time."""
    date = email.utils.formatdate(time.time() - ahead_s, usegmt=True)
    error = azure(403, "AuthenticationFailed")
    error.response = SimpleNamespace(headers={"Date": date})  # type: ignore[attr-defined]
    ours = from_foreign(error, "az://box", "list packs/", "packs/")
    assert isinstance(ours, RemoteDeniedError) and ours.cause is Cause.CLOCK
    assert abs(ours.fields["ahead_s"] - ahead_s) <= 2 and "by 3," in ours.message


def test_address_is_told() -> None:
    """Where a connection was tried to is told: an endpoint is not part of a URL."""
    error = named("ClientConnectorError", host="minio.example.org", port=9000)
    ours = from_foreign(caused(error, ConnectionRefusedError(errno.ECONNREFUSED, "x")), "s3://bucket", "read a", "a")
    assert "(minio.example.org:9000)" in str(ours)
    assert isinstance(ours, UnavailableError) and ours.fields["address"] == "minio.example.org:9000"


def test_plain_failure_has_no_cause() -> None:
    """What nobody knows is not guessed."""
    ours: VstoreError = from_foreign(TypeError("x"), "s3://bucket", "read a", "a")
    assert isinstance(ours, RemoteUnavailableError) and ours.cause is None and "cause" not in ours.fields
