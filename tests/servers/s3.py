"""What all S3 servers have in common, and moto, the emulator: open, or knowing users and what they may do."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.request import Request, urlopen

from tests.servers.place import Place, new_name
from tests.servers.running import HOST, ServerMissingError, Starting, free_ports

REGION = "us-east-1"
_HOW = "pip install 'vstore[test]'"
_POLICIES = {
    "admin": ["s3:*"],
    "reader": ["s3:GetObject", "s3:HeadObject", "s3:ListBucket"],
    "writer": ["s3:PutObject"],
    "hoarder": ["s3:GetObject", "s3:HeadObject", "s3:ListBucket", "s3:PutObject"],
    "groper": ["s3:GetObject", "s3:HeadObject", "s3:PutObject", "s3:DeleteObject"],
    "stranger": [],
}


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 server, and the credentials of somebody who may do everything."""

    label: str
    port: int
    key: str
    secret: str
    region: str = REGION
    ca_file: str = ""
    """Set where the server speaks TLS: the certificate that clients must trust."""

    @property
    def endpoint_url(self) -> str:
        """The address of the server itself."""
        return self.through(self.port)

    def through(self, port: int) -> str:
        """Return the address under which clients reach the server by way of a proxy on a port."""
        return f"https://localhost:{port}" if self.ca_file else f"http://{HOST}:{port}"

    def new_place(self, *, port: int | None = None) -> Place:
        """Make an empty bucket; ``port`` is that of a proxy by which the test is to reach it."""
        bucket = new_name()
        self.client().create_bucket(Bucket=bucket)
        options = {
            "endpoint_url": self.through(port or self.port),
            "key": self.key,
            "secret": self.secret,
            "region": self.region,
        }
        if self.ca_file:
            options["ca_bundle"] = self.ca_file
        return Place(f"s3://{bucket}", options, functools.partial(self._plant, bucket))

    def keep_versions(self, bucket: str) -> None:
        """Let a bucket keep what is replaced from now on."""
        self.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def client(self) -> Any:
        """Return a botocore client that reaches the server directly."""
        return _make_client("s3", self)

    def _plant(self, bucket: str, name: str, data: bytes) -> None:
        self.client().put_object(Bucket=bucket, Key=name, Body=data)


@functools.cache
def _make_client(service: str, server: S3Server) -> Any:
    # Cached, since botocore reads megabytes of descriptions for each.
    session = importlib.import_module("botocore.session").Session()
    config = importlib.import_module("botocore.config").Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": 3},
    )
    return session.create_client(
        service,
        region_name=server.region,
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.key,
        aws_secret_access_key=server.secret,
        verify=server.ca_file or None,
        config=config,
    )


@contextlib.contextmanager
def running_moto() -> Iterator[S3Server]:
    """Yield moto in this process, where everybody may do everything."""
    server = _import_moto().ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        yield S3Server(_moto_label(), port, "testing", "testing")
    finally:
        server.stop()


def make_bucket_old(place: Place, days: float) -> None:
    """Let time pass in a bucket of the moto that runs in this process."""
    backends = importlib.import_module("moto.s3.models").s3_backends
    bucket = place.url.removeprefix("s3://")
    for backend in (backend for account in backends.values() for backend in account.values()):
        if bucket in backend.buckets:
            for key in backend.buckets[bucket].keys.values():
                key.last_modified -= timedelta(days=days)


@dataclass(frozen=True, slots=True)
class MotoWithUsers:
    """An S3 server that checks signatures and policies.

    ``admin`` may do everything, ``reader`` may list and read, ``writer`` may only write, ``hoarder`` may not
    delete, ``groper`` may not list, ``stranger`` may do nothing.
    A wrong secret is answered with SignatureDoesNotMatch, an unknown key with InvalidAccessKeyId.
    """

    label: str
    port: int
    credentials: dict[str, tuple[str, str]]
    """The name of a user → key and secret."""

    def as_user(self, name: str) -> S3Server:
        """Return the server as a user sees it."""
        key, secret = self.credentials[name]
        return S3Server(self.label, self.port, key, secret)


def start_moto_with_users(starting: Starting) -> MotoWithUsers:
    """Start moto in a process of its own: its users and its strictness belong to the whole process."""
    _import_moto()
    [port] = free_ports(1)
    daemon = starting.start("moto", sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port))
    daemon.wait_for_port(port)
    label = _moto_label() + ", with users"
    iam = _make_client("iam", S3Server(label, port, "testing", "testing"))
    credentials = {}
    for user, actions in _POLICIES.items():
        iam.create_user(UserName=user)
        if actions:
            statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=policy)
        made = iam.create_access_key(UserName=user)["AccessKey"]
        credentials[user] = (made["AccessKeyId"], made["SecretAccessKey"])
    # From now on, after no more requests, everybody is asked who they are.
    headers = {"Content-Type": "text/plain"}
    with urlopen(Request(f"http://{HOST}:{port}/moto-api/reset-auth", data=b"0", headers=headers)):
        pass
    return MotoWithUsers(label, port, credentials)


def _import_moto() -> Any:
    try:
        return importlib.import_module("moto.server")
    except ImportError as error:
        raise ServerMissingError("moto[server]", lost="S3", how=_HOW) from error


def _moto_label() -> str:
    return f"moto {importlib.metadata.version('moto')} (emulator)"
