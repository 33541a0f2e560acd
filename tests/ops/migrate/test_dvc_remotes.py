"""Reading the remotes of DVC on real servers, with the settings that DVC has for them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.ops.migrate.hand_made import HandMade, md5
from tests.ops.migrate.places import DvcProject
from tests.project import LARGE
from tests.servers.place import Place
from tests.servers.s3 import S3Server
from tests.servers.sftp import SftpServer

BIG = LARGE * 3


def s3(place: Place) -> Mapping[str, str]:
    """DVC's settings of a bucket."""
    options = place.options
    return {"url": place.url, "endpointurl": options["endpoint_url"], "region": options["region"],
            "access_key_id": options["key"], "secret_access_key": options["secret"]}  # fmt: skip


SETTINGS: Mapping[str, Callable[[Place], Mapping[str, str]]] = {
    "moto": s3,
    "azurite": lambda place: {"url": place.url.replace("az://", "azure://"), **place.options},
    "gcs": lambda place: {
        "url": place.url,
        "endpointurl": place.options["endpoint_url"],
        "allow_anonymous_login": "true",
    },
    "sftp": lambda place: {
        "url": place.url.replace("sftp://", "ssh://"),
        "keyfile": place.options["key_filename"],
    },
    "static_site": lambda place: {"url": place.url},
    "webdav": lambda place: {
        "url": place.url.replace("http://", "webdav://"),
        "user": place.options["username"],
        "password": place.options["password"],
    },
}
SECRETS = {"secret_access_key", "connection_string", "password"}


def configure(project: HandMade | DvcProject, settings: Mapping[str, str]) -> None:
    """Make a place the only remote of DVC, secrets in the local file as DVC wants it."""
    for file, secret in ((".dvc/config", False), (".dvc/config.local", True)):
        lines = [f"    {name} = {value}\n" for name, value in settings.items() if (name in SECRETS) == secret]
        project.write(file, "".join(["['remote \"far\"']\n", *lines]).encode())


@pytest.mark.parametrize("server", SETTINGS)
def test_from_a_server(dvc: DvcProject, server: str, request: pytest.FixtureRequest) -> None:
    """What is neither in DVC's cache nor in the work tree comes from a remote of every kind."""
    running = request.getfixturevalue(server)
    if isinstance(running, SftpServer):
        known = Path.home() / ".ssh/known_hosts"
        known.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(running.known_hosts_file, known)
    place: Place = running.new_place()
    for file in dvc.dvc_store.rglob("*"):
        if file.is_file():
            place.plant(file.relative_to(dvc.dvc_store).as_posix(), file.read_bytes())
    shutil.rmtree(dvc.dvc_store)
    dvc.drop_dvc_cache()
    configure(dvc, SETTINGS[server](place))
    shutil.rmtree(dvc.path / "data")
    os.unlink(dvc.path / "models/tool")
    assert len(dvc.ok("migrate", "dvc", "--dry-run", "--json").json()["artifacts"]) == 3
    dvc.ok("migrate", "dvc")
    dvc.ok("checkout")
    assert dvc.read("data/sub/deep/große Datei.bin") == LARGE and dvc.read("data/empty") == b""
    assert os.access(dvc.path / "models/tool", os.X_OK)


@pytest.fixture
def versioned(git_repo: Path, moto: S3Server) -> tuple[HandMade, S3Server, str]:
    """A repository whose remote is a bucket that remembers versions, as DVC is told with ``version_aware``."""
    place = moto.new_place()
    bucket = place.url.removeprefix("s3://")
    moto.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    made = HandMade(git_repo)
    configure(made, {**s3(place), "url": f"{place.url}/top", "version_aware": "true"})
    return made, moto, bucket


def noted(data: bytes, version: str) -> dict[str, object]:
    """What DVC notes of a file in such a bucket."""
    cloud = {"cloud": {"far": {"etag": md5(data), "version_id": version}}} if version else {}
    return {"md5": md5(data), "size": len(data), **cloud}


def test_versions_of_a_bucket(versioned: tuple[HandMade, S3Server, str]) -> None:
    """Each file comes from the version that DVC noted, or from the newest where it noted none."""
    made, server, bucket = versioned

    def put(path: str, data: bytes) -> str:
        return str(server.client().put_object(Bucket=bucket, Key=f"top/{path}", Body=data)["VersionId"])

    files = {"old": b"1\n", "sub/x y%41é#": BIG, "unnoted": b"2\n", "empty": b""}
    versions = {path: put(f"data/{path}", data) for path, data in files.items()}
    put("data/old", b"newer\n")
    put("data/sub/x y%41é#", b"newer\n")
    versions["unnoted"] = ""
    gone = put("model.bin", b"gone\n")
    server.client().delete_object(Bucket=bucket, Key="top/model.bin", VersionId=gone)
    rows = [{"relpath": path, **noted(data, versions[path])} for path, data in files.items()]
    # JSON is YAML as well.
    made.write("data.dvc", json.dumps({"outs": [{"path": "data", "hash": "md5", "files": rows}]}).encode())
    one = {"path": "model.bin", "hash": "md5", **noted(b"gone\n", gone)}
    made.write("model.bin.dvc", json.dumps({"outs": [one]}).encode())
    result = made.migrate(3)
    assert result["missing"] == [["model.bin", "is not in the cache of DVC, and is not in the remote far of DVC"]]
    made.ok("checkout")
    assert {path: made.read(f"data/{path}") for path in files} == files


def test_versions_that_lie(versioned: tuple[HandMade, S3Server, str]) -> None:
    """A size, or a content, that is not what was noted is no reason to believe it; a bucket that is gone is said."""
    made, server, bucket = versioned
    version = server.client().put_object(Bucket=bucket, Key="top/x", Body=b"other")["VersionId"]
    for name, size in (("x", 5), ("y", 4), ("z", 900_000)):
        one = {"path": name, "hash": "md5", **noted(name.encode(), version), "size": size}
        made.write(f"{name}.dvc", json.dumps({"outs": [one]}).encode())
    server.client().put_object(Bucket=bucket, Key="top/y", Body=b"other")
    assert {path for path, _ in made.migrate(3)["missing"]} == {"x", "y", "z"}
    made.write(".dvc/config", made.read(".dvc/config").replace(bucket.encode(), b"nowhere-at-all"))
    assert all("does not exist" in reason or "no bucket" in reason for _, reason in made.migrate(3)["missing"])
