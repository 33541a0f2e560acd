"""What users hear when a remote does not work: its cause in one line, what to do in another, and never a secret.

Every failure is a real one, of a real server, proxy or file system.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import email.utils
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.command import PROJECT, Outcome
from tests.project import Project
from tests.servers.azurite import AzureServer
from tests.servers.gcs import READER, GcsServer
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.s3 import MotoWithUsers, S3Server
from tests.servers.sftp import SftpServer
from tests.servers.tcp_proxy import TcpProxy
from vstore.errors import Cause
from vstore.remote.commits import format_to_bytes
from vstore.remote.wrappers import RetryingTransport

_SECRET = "hunter2/Very+Secret+Word/hunter2"


class Trouble:
    """A project whose remote does not work."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.secrets = [_SECRET]
        project.add_data()

    def add(self, url: str, options: Mapping[str, str]) -> None:
        """Make a place the remote; the values of its options that may be secret must never be seen."""
        self.project.ok("remote", "add", "-d", "store", url)
        for key, value in options.items():
            self.project.ok("remote", "set", "store", key, value)
            if key in ("secret", "token", "account_key", "connection_string", "password"):
                self.secrets.append(value)

    def run(self, *args: str) -> Outcome:
        """Run vstore, and check that it tells no secret."""
        outcome = self.project.run(*args)
        said = outcome.stdout + outcome.stderr
        assert not [secret for secret in self.secrets if secret in said], said
        return outcome

    def check(self, cause: Cause, hint: str, *commands: list[str], words: str = "") -> dict[str, Any]:
        """Check that ``remote check``, and other commands, tell a cause and a hint; returns what the first told."""
        for command in (["remote", "check"], *commands):
            if command == PULL:
                self.project.drop_cache()
            outcome = self.run(*command)
            assert outcome.exit_code == 14, outcome.stdout + outcome.stderr
            assert len(outcome.stderr.splitlines()) >= 2, outcome.stdout + outcome.stderr
            told, advice = outcome.stderr.splitlines()[-2:]
            assert "Traceback" not in outcome.stderr and outcome.stderr.count("Error: ") == 1
            assert told.startswith("Error: ") and (cause.meaning in told or words in told), outcome.stderr
            assert advice.startswith("Hint: ") and hint in advice, outcome.stderr
            assert words in outcome.stdout + outcome.stderr
        outcome = self.run("remote", "check", "--json", "-v")
        assert json.loads(outcome.stderr)["error"]["fields"]["cause"] == cause
        result: dict[str, Any] = outcome.json()
        assert not result["ok"]
        return result


PUSH, PULL, STATUS = ["push"], ["pull"], ["status", "--remote"]
ALL = (PUSH, STATUS, PULL)


@pytest.fixture
def trouble(project: Project, monkeypatch: pytest.MonkeyPatch) -> Trouble:
    """A project with data, whose remote a test makes fail; waiting between attempts is left out."""
    monkeypatch.setitem(RetryingTransport.__init__.__kwdefaults__, "sleep", lambda seconds: None)
    return Trouble(project)


def s3_options(address: str, **others: str) -> dict[str, str]:
    """Return the options of a bucket at an address."""
    return {"endpoint_url": address, "key": "AKIAIOSFODNN7EXAMPLE", "secret": _SECRET, "region": "us-east-1"} | others


# The way there


def test_unknown_host(trouble: Trouble) -> None:
    """A name that is not in the DNS."""
    trouble.add("s3://bucket/x", s3_options("https://no-such-host.invalid"))
    trouble.check(Cause.DNS, "`vstore remote list`", *ALL, words="no-such-host.invalid:443")


def test_closed_port(trouble: Trouble) -> None:
    """A host on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        trouble.add("s3://bucket/x", s3_options(f"http://{address}"))
        trouble.check(Cause.REFUSED, "`vstore remote list`", *ALL, words=address)


def test_silent_server(trouble: Trouble, moto: S3Server, tcp_proxy: Callable[[int], TcpProxy]) -> None:
    """A server that takes a request and says nothing for longer than transfer.timeout."""
    proxy = tcp_proxy(moto.port)
    proxy.down.stall = True
    place = moto.new_place(port=proxy.port)
    trouble.add(place.url, place.options)
    trouble.project.ok("config", "set", "transfer.timeout", "0.3")
    trouble.check(Cause.STALLED, "transfer.timeout", PUSH)


def test_broken_line(trouble: Trouble, moto: S3Server, tcp_proxy: Callable[[int], TcpProxy]) -> None:
    """A line that breaks whenever somebody comes."""
    proxy = tcp_proxy(moto.port)
    proxy.refuse = True
    place = moto.new_place(port=proxy.port)
    trouble.add(place.url, place.options)
    trouble.check(Cause.BROKEN, "run the same command again", PUSH)


class _Refusing(socketserver.StreamRequestHandler):
    """A proxy that wants to know who asks."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def refusing_proxy() -> Iterator[str]:
    """The address of an HTTP proxy that lets nobody through."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_wants_credentials(
    scheme: str, trouble: Trouble, refusing_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that lets nobody through without a password; that which is given is not told."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://ada:{_SECRET.replace('/', '')}@{refusing_proxy}")
    trouble.secrets.append(_SECRET.replace("/", ""))
    trouble.add("s3://bucket/x", s3_options(f"{scheme}://store.example.org"))
    trouble.check(Cause.PROXY_DENIED, "HTTPS_PROXY", PUSH)


def test_proxy_that_is_not_there(trouble: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy on whose port nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused.getsockname()[1]}")
        trouble.add("s3://bucket/x", s3_options("https://store.example.org"))
        trouble.check(Cause.PROXY, "HTTPS_PROXY", PUSH)


# TLS


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Starts servers with certificates as a test wants them: returns the port, and the file of the authority."""
    trustme = pytest.importorskip("trustme", reason="trustme is not installed: bad certificates were not tested")
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(name: str, **validity: datetime.datetime) -> tuple[int, str]:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name, **validity).configure_cert(context)
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(file)

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    with context.wrap_socket(self.request, server_side=True):
                        pass
                except OSError:
                    pass

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_address[1], str(file)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_untrusted_certificate(trouble: Trouble, moto_tls: S3Server) -> None:
    """A certificate of an authority that nobody here knows; with it, all works."""
    place = moto_tls.new_place()
    ca_bundle = place.options["ca_bundle"]
    trouble.add(place.url, {key: value for key, value in place.options.items() if key != "ca_bundle"})
    trouble.check(Cause.TLS_UNTRUSTED, "`vstore remote set store ca_bundle FILE`", *ALL)
    trouble.project.ok("remote", "set", "store", "ca_bundle", ca_bundle)
    trouble.project.ok("remote", "check")


def test_certificate_for_another_host(trouble: Trouble, tls: Callable[..., tuple[int, str]]) -> None:
    """A good certificate, for another name than the address has."""
    port, authority = tls("other.example.org")
    trouble.add("s3://bucket/x", s3_options(f"https://localhost:{port}", ca_bundle=authority))
    trouble.check(Cause.TLS_HOST, f"`openssl s_client -connect localhost:{port}`", PUSH)


def test_expired_certificate(trouble: Trouble, tls: Callable[..., tuple[int, str]]) -> None:
    """A certificate of last year."""
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)
    port, authority = tls("localhost", not_before=ended - datetime.timedelta(days=300), not_after=ended)
    trouble.add("s3://bucket/x", s3_options(f"https://localhost:{port}", ca_bundle=authority))
    trouble.check(Cause.TLS_EXPIRED, "`date`", PUSH)


def test_https_to_a_plain_server(trouble: Trouble, moto: S3Server) -> None:
    """An address that says https where the server speaks http."""
    trouble.add("s3://bucket/x", s3_options(f"https://localhost:{moto.port}"))
    trouble.check(Cause.TLS_TO_PLAIN, "`vstore remote set store endpoint_url http://...`", PUSH)


def test_plain_http_to_a_server_that_breaks_off(trouble: Trouble, tls: Callable[..., tuple[int, str]]) -> None:
    """An address that says http where the server speaks https, and breaks off without a word."""
    port, _ = tls("localhost")
    trouble.add("s3://bucket/x", s3_options(f"http://localhost:{port}"))
    trouble.check(Cause.PLAIN_TO_TLS, "`vstore remote set store endpoint_url https://...`")


def test_plain_http_to_a_server_that_says_so(trouble: Trouble, moto_tls: S3Server) -> None:
    """An address that says http where the server speaks https, and answers that it does."""
    trouble.add("s3://bucket/x", s3_options(f"http://localhost:{moto_tls.port}"))
    trouble.check(Cause.PLAIN_TO_TLS, "`vstore remote set store endpoint_url https://...`")


# Who we are, at S3


def test_no_credentials(trouble: Trouble, moto_with_users: MotoWithUsers) -> None:
    """Nothing says who we are."""
    trouble.add("s3://bucket/x", {"endpoint_url": moto_with_users.as_user("admin").endpoint_url})
    trouble.check(Cause.CREDENTIALS_MISSING, "`aws configure`", *ALL)


def test_profile_that_is_not_there(trouble: Trouble, moto_with_users: MotoWithUsers) -> None:
    """A profile that no file has."""
    options = {"endpoint_url": moto_with_users.as_user("admin").endpoint_url, "profile": "work"}
    trouble.add("s3://bucket/x", options)
    trouble.check(Cause.CREDENTIALS_MISSING, "`vstore remote set store profile PROFILE`", PUSH, words="ProfileNotFound")


def test_unknown_key(trouble: Trouble, moto_with_users: MotoWithUsers) -> None:
    """An access key that the server never gave."""
    place = moto_with_users.as_user("admin").new_place()
    trouble.add(place.url, {**place.options, "key": "AKIANOSUCHKEYATALLXX", "secret": _SECRET})
    trouble.check(Cause.CREDENTIALS_UNKNOWN, "`aws configure list`", *ALL, words="InvalidAccessKeyId")


def test_wrong_secret(trouble: Trouble, moto_with_users: MotoWithUsers) -> None:
    """A key with the secret of another."""
    place = moto_with_users.as_user("admin").new_place()
    trouble.add(place.url, {**place.options, "secret": _SECRET})
    trouble.check(
        Cause.CREDENTIALS_WRONG, "`vstore remote set store secret SECRET`", *ALL, words="SignatureDoesNotMatch"
    )


def answer_of_s3(code: str, more: str = "") -> bytes:
    """Return an error as S3 words it."""
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>m</Message>{more}</Error>'.encode()


@pytest.mark.parametrize(
    ("code", "status", "cause", "hint"),
    [
        ("ExpiredToken", 400, Cause.CREDENTIALS_EXPIRED, "`aws sso login`"),
        ("InvalidToken", 400, Cause.CREDENTIALS_WRONG, "`aws configure`"),
        ("AllAccessDisabled", 403, Cause.DENIED, "s3:ListBucket"),
        ("IllegalLocationConstraintException", 400, Cause.REGION, "region"),
        ("SlowDown", 503, Cause.BUSY, "-j 2"),
        ("InternalError", 500, Cause.SERVER_FAILED, "again"),
    ],
)
def test_what_amazon_answers(
    code: str, status: int, cause: Cause, hint: str, trouble: Trouble, bad_moto: tuple[HttpProxy, Mapping[str, Any]]
) -> None:
    """What no emulator answers, in Amazon's words."""
    proxy, place = bad_moto
    proxy.rules = [Rule("answer", status=status, body=answer_of_s3(code))]
    trouble.add(place["url"], place["options"])
    trouble.check(cause, hint, PUSH, words=code)


@pytest.fixture
def bad_moto(moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> tuple[HttpProxy, Mapping[str, Any]]:
    """A bucket behind a proxy that answers what a test wants."""
    proxy = http_proxy(moto.port)
    place = moto.new_place(port=proxy.port)
    return proxy, {"url": place.url, "options": dict(place.options)}


@pytest.mark.parametrize(("code", "status"), [("AuthorizationHeaderMalformed", 400), ("PermanentRedirect", 301)])
def test_wrong_region(code: str, status: int, trouble: Trouble, bad_moto: tuple[HttpProxy, Mapping[str, Any]]) -> None:
    """A bucket of another region; the server says which, and so does the hint."""
    proxy, place = bad_moto
    body = answer_of_s3(code, "<Region>eu-central-1</Region>")
    proxy.rules = [Rule("answer", status=status, body=body, headers={"x-amz-bucket-region": "eu-central-1"})]
    trouble.add(place["url"], place["options"])
    trouble.check(Cause.REGION, "`vstore remote set store region eu-central-1`", *ALL, words="it is eu-central-1")


def test_wrong_clock(trouble: Trouble, bad_moto: tuple[HttpProxy, Mapping[str, Any]]) -> None:
    """A clock that is two hours behind the server's; the difference is told."""
    proxy, place = bad_moto
    later = email.utils.formatdate(time.time() + 7200, usegmt=True)
    proxy.rules = [
        Rule("answer", status=403, body=answer_of_s3("RequestTimeTooSkewed"), headers={"Date": later}),
    ]
    trouble.add(place["url"], place["options"])
    result = trouble.check(Cause.CLOCK, "`timedatectl set-ntp true`", *ALL, words="by 7,")
    assert -7210 < result["steps"][0]["fields"]["ahead_s"] < -7190


def test_wrong_clock_that_looks_like_a_wrong_signature(
    trouble: Trouble, bad_moto: tuple[HttpProxy, Mapping[str, Any]]
) -> None:
    """A server that answers only that the signature is wrong, and tells its time."""
    proxy, place = bad_moto
    earlier = email.utils.formatdate(time.time() - 86400, usegmt=True)
    proxy.rules = [
        Rule("answer", status=403, body=answer_of_s3("SignatureDoesNotMatch"), headers={"Date": earlier}),
    ]
    trouble.add(place["url"], place["options"])
    trouble.check(Cause.CLOCK, "`timedatectl set-ntp true`", PUSH)


def test_no_bucket(trouble: Trouble, moto: S3Server) -> None:
    """A bucket that does not exist."""
    trouble.add("s3://no-such-bucket-here/x", moto.new_place().options)
    trouble.check(Cause.NO_PLACE, "`aws s3 mb s3://no-such-bucket-here`", *ALL, words="does not exist")


def test_something_else_answers(trouble: Trouble, bad_moto: tuple[HttpProxy, Mapping[str, Any]]) -> None:
    """A page that is shown whatever one asks, as hotels do, is no empty bucket."""
    proxy, place = bad_moto
    proxy.rules = [Rule("answer", status=200, body=b"<html>Please log in</html>")]
    trouble.add(place["url"], place["options"])
    trouble.check(Cause.STRANGE_ANSWER, "`vstore remote list`", *ALL, words="no S3 server")


# What we may do, at S3


def failed(result: Mapping[str, Any]) -> list[str]:
    """Return the actions that do not work."""
    return [step["action"] for step in result["steps"] if step["error"] is not None]


@pytest.mark.parametrize(
    ("user", "actions", "permission", "consequence"),
    [
        ("reader", ["write", "delete"], "s3:PutObject", "so fetch and pull work, but push does not"),
        ("hoarder", ["delete"], "s3:DeleteObject", "so push, fetch and pull work, but"),
        ("groper", ["list"], "s3:ListBucket", "neither push nor fetch"),
        ("writer", ["list", "read", "delete"], "s3:ListBucket", "neither push nor fetch"),
        ("stranger", ["list", "write", "read", "delete"], "s3:ListBucket", "neither push nor fetch"),
    ],
)
def test_permissions_are_told_apart(
    user: str, actions: list[str], permission: str, consequence: str, trouble: Trouble, moto_with_users: MotoWithUsers
) -> None:
    """Who may not do everything hears what he may not, what that means, and which permission is needed."""
    place = moto_with_users.as_user("admin").new_place()
    place.plant("format.json", format_to_bytes("a test"))
    trouble.add(place.url, {**place.options, **_keys_of(moto_with_users, user)})
    result = trouble.check(Cause.DENIED, permission)
    assert failed(result) == actions
    outcome = trouble.run("remote", "check")
    assert consequence in outcome.stdout
    client = moto_with_users.as_user("admin").client()
    left = client.list_objects_v2(Bucket=place.url.rpartition("/")[2], Prefix="probe/")
    if user in ("hoarder", "writer"):
        assert result["left"] in {found["Key"] for found in left["Contents"]}
        assert "left behind: probe/" in outcome.stdout
    else:
        assert result["left"] is None and not left.get("Contents")


def _keys_of(server: MotoWithUsers, user: str) -> dict[str, str]:
    key, secret = server.credentials[user]
    return {"key": key, "secret": secret}


def test_push_without_permission_to_delete(trouble: Trouble, moto_with_users: MotoWithUsers) -> None:
    """What the check says of a missing permission to delete is true."""
    place = moto_with_users.as_user("admin").new_place()
    trouble.add(place.url, {**place.options, **_keys_of(moto_with_users, "hoarder")})
    assert "intent could not be withdrawn" in trouble.run("push").ok().stderr
    trouble.project.drop_cache()
    trouble.run("pull").ok()


def test_push_and_pull_of_a_reader(trouble: Trouble, moto_with_users: MotoWithUsers) -> None:
    """Who may only read can pull, and push says what is missing."""
    place = moto_with_users.as_user("admin").new_place()
    trouble.add(place.url, place.options)
    trouble.run("push").ok()
    for key, value in _keys_of(moto_with_users, "reader").items():
        trouble.project.ok("remote", "set", "store", key, value)
    trouble.project.drop_cache()
    trouble.run("pull").ok()
    trouble.project.write("more.bin")
    trouble.project.ok("add", "more.bin")
    trouble.check(Cause.DENIED, "s3:PutObject", PUSH)


def test_what_works_is_told(trouble: Trouble, moto: S3Server) -> None:
    """Where all works, it is told how fast, and where and as whom."""
    place = moto.new_place()
    trouble.add(place.url, place.options)
    outcome = trouble.run("remote", "check").ok()
    assert f"endpoint: {moto.endpoint_url}" in outcome.stdout and "round trip: " in outcome.stdout
    result = trouble.run("remote", "check", "--json").ok().json()
    assert result["ok"] and not result["strangers"]
    assert result["facts"]["region"] == "us-east-1" and result["facts"]["credentials from"] == "explicit"


def test_place_of_something_else(trouble: Trouble, moto: S3Server) -> None:
    """A bucket that holds other things is named as such: another folder may be meant."""
    place = moto.new_place()
    place.plant("README.md", b"hello")
    place.plant("photos/cat.jpg", b"meow")
    trouble.add(place.url, place.options)
    assert "nothing of vstore is there, but README.md and 1 more" in trouble.run("remote", "check").ok().stdout
    trouble.run("push").ok()
    assert "nothing of vstore" not in trouble.run("remote", "check").ok().stdout


def test_remote_that_is_meant_to_be_read_only(trouble: Trouble, moto: S3Server) -> None:
    """A remote that is configured as read-only passes, and nothing is written."""
    place = moto.new_place()
    trouble.add(place.url, {**place.options, "read_only": "true"})
    outcome = trouble.run("remote", "check").ok()
    assert "write: read-only" in outcome.stdout
    assert not moto.client().list_objects_v2(Bucket=place.url.rpartition("/")[2]).get("Contents")
    assert trouble.run("push").stderr.splitlines()[-1].endswith("`vstore remote set store read_only false`")


def test_doctor_uses_the_same_words(trouble: Trouble, moto_with_users: MotoWithUsers) -> None:
    """doctor tells cause and hint, too."""
    place = moto_with_users.as_user("admin").new_place()
    trouble.add(place.url, {**place.options, "secret": _SECRET})
    said = trouble.run("doctor").ok().stdout
    assert Cause.CREDENTIALS_WRONG.meaning in said and "`aws configure`" in said
    found = trouble.run("doctor", "--json").ok().json()["repository"]["remotes"][0]
    assert found["code"] == "remote-denied" and found["fields"]["cause"] == "credentials-wrong"


# Azure


def test_azure_wrong_key(trouble: Trouble, azurite: AzureServer) -> None:
    """An account key that is not the account's."""
    other = base64.b64encode(b"another key of the right length, so that only the signature is wrong").decode()
    place = azurite.new_place()
    trouble.secrets.append(other)
    trouble.add(
        place.url, {"connection_string": place.options["connection_string"].replace(azurite.account_key, other)}
    )
    trouble.check(Cause.CREDENTIALS_WRONG, "`vstore remote set store account_key KEY`", *ALL)


def test_azure_no_container(trouble: Trouble, azurite: AzureServer) -> None:
    """A container that does not exist."""
    trouble.add("az://nosuchcontainer", azurite.new_place().options)
    hint = "`az storage container create --name nosuchcontainer`"
    trouble.check(Cause.NO_PLACE, hint, *ALL, words="does not exist")


# Google


def test_google_reader(trouble: Trouble, gcs: GcsServer) -> None:
    """A token with which one may only read."""
    place = gcs.new_place(is_private=True)
    trouble.add(place.url, {**place.options, "token": READER})
    trouble.check(Cause.DENIED, "storage.objects.create", PUSH)


def test_google_unknown_token(trouble: Trouble, gcs: GcsServer) -> None:
    """A token that the server does not accept."""
    place = gcs.new_place(is_private=True)
    trouble.add(place.url, {**place.options, "token": _SECRET})
    trouble.check(Cause.CREDENTIALS_WRONG, "`gcloud auth application-default login`", *ALL)


# SSH


def test_ssh_wrong_key(trouble: Trouble, sftp: SftpServer) -> None:
    """A private key that the host does not know."""
    place = sftp.new_place()
    trouble.add(place.url, {"key_filename": sftp.stranger_key_file, "known_hosts": sftp.known_hosts_file})
    trouble.check(Cause.CREDENTIALS_WRONG, "`ssh ", *ALL)


def test_ssh_unknown_host(trouble: Trouble, sftp: SftpServer) -> None:
    """A host whose key nobody has looked at."""
    place = sftp.new_place()
    trouble.add(place.url, {"key_filename": sftp.key_file})
    trouble.check(Cause.HOST_KEY, f"`ssh -p {sftp.port} ", *ALL, words="shows")


def test_ssh_closed_port(trouble: Trouble, sftp: SftpServer) -> None:
    """A port on which no sshd listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = sftp.new_place(port=unused.getsockname()[1])
        trouble.add(place.url, place.options)
        trouble.check(Cause.REFUSED, "`vstore remote list`", PUSH)


# Directories


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system that is mounted read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "ro,size=1m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here: read-only ones were not tested")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_read_only_file_system(trouble: Trouble, read_only_disk: Path) -> None:
    """A disk that is mounted read-only."""
    trouble.add(str(read_only_disk), {})
    trouble.check(Cause.READ_ONLY, "`vstore push -r NAME`", PUSH, words="Read-only file system")


def test_full_disk(trouble: Trouble, tmp_path: Path) -> None:
    """A disk on which nothing more finds room."""
    place = tmp_path / "small"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here: full ones were not tested")
    try:
        trouble.add(str(place), {})
        (place / "filler").write_bytes(bytes(60 * 1024))
        outcome = trouble.run("push")
        assert outcome.exit_code == 1 and f"`df -h {place}`" in outcome.stderr.splitlines()[-1], outcome.stderr
        with contextlib.suppress(OSError), open(place / "filler", "ab") as file:
            file.write(bytes(64 * 1024))
        outcome = trouble.run("remote", "check")
        assert outcome.exit_code == 1 and "No space left" in outcome.stderr
        assert f"`df -h {place}`" in outcome.stderr.splitlines()[-1]
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_missing_directory(trouble: Trouble, tmp_path: Path) -> None:
    """A directory whose disk is not mounted."""
    trouble.add(str(tmp_path / "disk" / "store"), {})
    trouble.check(Cause.NO_PLACE, "`df`", PUSH, words="neither the remote directory")


# What the driver or the remote itself is


def test_remote_of_a_newer_vstore(trouble: Trouble, moto: S3Server) -> None:
    """A remote that a newer vstore made is exit code 13, as everywhere, and says what helps."""
    place = moto.new_place()
    place.plant("format.json", format_to_bytes("a test").replace(b'"version":1', b'"version":2'))
    trouble.add(place.url, place.options)
    for command in (["remote", "check"], PUSH):
        outcome = trouble.run(*command)
        assert outcome.exit_code == 13 and "version 2" in outcome.stderr
        assert "`pip install --upgrade vstore`" in outcome.stderr.splitlines()[-1]


def test_driver_that_is_not_installed(trouble: Trouble, tmp_path: Path) -> None:
    """A kind of store whose extra is missing is one line with what to install."""
    trouble.add("s3://bucket/x", {})
    (tmp_path / "without" / "s3fs").mkdir(parents=True)
    (tmp_path / "without" / "s3fs" / "__init__.py").write_text("raise ImportError")
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from vstore.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "without", "remote", "check"],
        cwd=trouble.project.path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        check=False,
    )
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    assert outcome.exit_code == 14
    assert outcome.stderr == (
        "Error: the driver for s3:// is not installed\nHint: install it with `pip install 'vstore[s3]'`\n"
    )
