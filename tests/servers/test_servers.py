"""Every server of the tool box answers, and is what it says it is."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from tests.servers.azurite import AzureServer
from tests.servers.gcs import READER, WRITER, GcsServer
from tests.servers.hdfs import HdfsServer, request
from tests.servers.nginx import FileServer
from tests.servers.running import ServerFailedError, find_program
from tests.servers.s3 import REGION, MotoWithUsers, S3Server
from tests.servers.sftp import SftpServer, running_asyncssh
from tests.servers.web import running_site, running_wsgidav
from tests.servers.webhdfs import WebHdfsServer


@pytest.fixture
def asyncssh(tmp_path: Path) -> Iterator[SftpServer]:
    """What stands in for OpenSSH."""
    with running_asyncssh(tmp_path) as server:
        yield server


@pytest.fixture
def http_server(tmp_path: Path) -> Iterator[FileServer]:
    """What stands in for nginx."""
    with running_site(tmp_path) as server:
        yield server


@pytest.fixture
def wsgidav(tmp_path: Path) -> Iterator[FileServer]:
    """What stands in for nginx's WebDAV."""
    with running_wsgidav(tmp_path) as server:
        yield server


def ask(url: str, method: str = "GET", data: bytes | None = None, /, **headers: str) -> tuple[int, bytes]:
    """Return the status and the body of an answer, whatever it is."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urlopen(Request(url, method=method, data=data, headers=names), timeout=20) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def refusal(call: Any, **arguments: Any) -> str:
    """Return the code with which an S3 server refuses."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.parametrize("name", ["moto", "moto_tls", "ceph", "ceph_tls", "swift"])
def test_s3(name: str, request: pytest.FixtureRequest) -> None:
    """A bucket is empty at first, and has what was planted."""
    server: S3Server = request.getfixturevalue(name)
    place = server.new_place()
    bucket = place.url.removeprefix("s3://")
    assert server.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    place.plant("packs/é %", b"bytes\r")
    assert server.client().get_object(Bucket=bucket, Key="packs/é %")["Body"].read() == b"bytes\r"


def test_s3_users(moto_with_users: MotoWithUsers) -> None:
    """Each user may do what the policy says, and every refusal has its own code."""
    place = moto_with_users.as_user("admin").new_place()
    bucket = place.url.removeprefix("s3://")
    place.plant("a", b"x")
    reader, writer, stranger = (moto_with_users.as_user(name).client() for name in ("reader", "writer", "stranger"))
    assert reader.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"
    assert refusal(reader.put_object, Bucket=bucket, Key="b", Body=b"") == "AccessDenied"
    writer.put_object(Bucket=bucket, Key="b", Body=b"")
    assert refusal(writer.list_objects_v2, Bucket=bucket) == "AccessDenied"
    assert refusal(stranger.get_object, Bucket=bucket, Key="a") == "AccessDenied"
    key, _ = moto_with_users.credentials["admin"]
    for credentials, code in (((key, "wrong"), "SignatureDoesNotMatch"), (("AKIANO", "x"), "InvalidAccessKeyId")):
        somebody = S3Server("", moto_with_users.port, *credentials).client()
        assert refusal(somebody.list_objects_v2, Bucket=bucket) == code


def test_s3_wrong_region(swift: S3Server) -> None:
    """A signature for another region is refused, and the answer tells the right one."""
    with pytest.raises(ClientError) as caught:
        dataclasses.replace(swift, region="eu-west-1").client().list_buckets()
    error = caught.value.response["Error"]
    assert (error["Code"], error["Region"]) == ("AuthorizationHeaderMalformed", REGION)


def test_azure(azurite: AzureServer) -> None:
    """A container has what was planted."""
    from azure.storage.blob import BlobServiceClient

    place = azurite.new_place()
    place.plant("packs/a", b"bytes\r")
    with BlobServiceClient.from_connection_string(place.options["connection_string"]) as service:
        container = service.get_container_client(place.url.removeprefix("az://"))
        assert [blob.name for blob in container.list_blobs()] == ["packs/a"]
        assert container.download_blob("packs/a").readall() == b"bytes\r"


def test_gcs(gcs: GcsServer) -> None:
    """Objects are listed, read whole and in part; preconditions and checksums are checked."""
    place = gcs.new_place()
    bucket = place.url.removeprefix("gs://")
    objects = f"{gcs.endpoint_url}/storage/v1/b/{bucket}/o"
    upload = f"{gcs.endpoint_url}/upload/storage/v1/b/{bucket}/o?name=packs%2Fb&uploadType=media"
    place.plant("packs/a", b"bytes\r")
    assert ask(f"{objects}/packs%2Fa?alt=media") == (200, b"bytes\r")
    assert ask(f"{objects}/packs%2Fa?alt=media", Range="bytes=1-2") == (206, b"yt")
    assert ask(upload, "POST", b"x")[0] == 200
    assert ask(f"{upload}&ifGenerationMatch=0", "POST", b"y")[0] == 412
    assert [item["name"] for item in json.loads(ask(objects)[1])["items"]] == ["packs/a", "packs/b"]
    assert json.loads(ask(f"{objects}?delimiter=/")[1])["prefixes"] == ["packs/"]
    parts = b'--==0==\n\n{"name": "c", "md5Hash": "wrong"}\n--==0==\n\ndata\n--==0==--'
    multipart = upload.replace("name=packs%2Fb&uploadType=media", "uploadType=multipart")
    assert ask(multipart, "POST", parts, Content_Type="multipart/related; boundary===0==")[0] == 400
    assert ask(f"{gcs.endpoint_url}/storage/v1/b/nobodys/o")[0] == 404


def test_gcs_tokens(gcs: GcsServer) -> None:
    """A private bucket tells strangers from those who may not."""
    bucket = gcs.new_place(is_private=True).url.removeprefix("gs://")
    url = f"{gcs.endpoint_url}/upload/storage/v1/b/{bucket}/o?name=a&uploadType=media"
    answers = [ask(url, "POST", b"", Authorization=f"Bearer {token}")[0] for token in ("", READER, WRITER)]
    assert answers == [401, 403, 200]


@pytest.mark.parametrize("name", ["sftp", "asyncssh"])
def test_sftp(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The key lets in, another key does not."""
    sftp: SftpServer = request.getfixturevalue(name)
    program = find_program("sftp")
    if program is None:
        pytest.skip("the program sftp is not installed: the SSH server was not tried with it")
    place = sftp.new_place()
    place.plant("packs/a", b"bytes\r")
    folder = place.url.rpartition("/")[2]
    target = f"{sftp.username}@127.0.0.1:{sftp.folder}/{folder}/packs/a"

    def get(key_file: str) -> int:
        options = (f"IdentityFile={key_file}", f"UserKnownHostsFile={sftp.known_hosts_file}", "BatchMode=yes")
        arguments = [part for option in (*options, "IdentitiesOnly=yes") for part in ("-o", option)]
        command = [program, "-q", "-F", "none", "-P", str(sftp.port), *arguments, target, str(tmp_path / "got")]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode

    assert get(sftp.stranger_key_file) != 0
    assert get(sftp.key_file) == 0
    assert (tmp_path / "got").read_bytes() == b"bytes\r"


@pytest.mark.parametrize("name", ["static_site", "http_server"])
def test_static_site(name: str, request: pytest.FixtureRequest) -> None:
    """Files are read whole and in part, folders are listed, and nothing can be written."""
    server: FileServer = request.getfixturevalue(name)
    place = server.new_place()
    place.plant("packs/a", b"0123456789")
    assert ask(f"{place.url}/packs/a") == (200, b"0123456789")
    assert ask(f"{place.url}/packs/a", Range="bytes=2-4") == (206, b"234")
    assert ask(f"{place.url}/packs/a", Range="bytes=99-")[0] == 416
    assert b'href="a"' in ask(f"{place.url}/packs/")[1]
    assert ask(f"{place.url}/packs/b")[0] == 404
    assert ask(f"{place.url}/packs/a", "PUT", b"")[0] in (405, 501)


@pytest.mark.parametrize("name", ["webdav", "wsgidav"])
def test_webdav(name: str, request: pytest.FixtureRequest) -> None:
    """With the password files are written, read and listed."""
    webdav: FileServer = request.getfixturevalue(name)
    place = webdav.new_place()
    secret = base64.b64encode(f"{webdav.username}:{webdav.password}".encode()).decode()
    basic = f"Basic {secret}"
    assert ask(f"{place.url}/a", "PUT", b"x")[0] == 401
    assert ask(f"{place.url}/a", "PUT", b"x", Authorization=basic)[0] == 201
    assert ask(f"{place.url}/a", Authorization=basic) == (200, b"x")
    status, body = ask(f"{place.url}/", "PROPFIND", Depth="1", Authorization=basic)
    assert status == 207 and b"/a<" in body


def test_webhdfs(webhdfs: WebHdfsServer) -> None:
    """Files are written in two steps and read in parts; a reader may not write."""
    name = webhdfs.new_place().url.rpartition("/")[2]
    url = f"http://127.0.0.1:{webhdfs.port}/webhdfs/v1/{name}"
    file = f"{url}/{quote('é %')}"
    status, _ = ask(f"{file}?op=CREATE&datanode=true", "PUT", b"0123456789")
    assert status == 201
    assert ask(f"{file}?op=CREATE&datanode=true", "PUT", b"")[0] == 403
    assert ask(f"{file}?op=OPEN&offset=2&length=3") == (200, b"234")
    assert ask(f"{url}/b?op=OPEN")[0] == 404
    assert ask(f"{url}?op=MKDIRS&user.name=mallory", "PUT")[0] == 403
    listed = json.loads(ask(f"{url}?op=LISTSTATUS")[1])["FileStatuses"]["FileStatus"]
    assert [(entry["pathSuffix"], entry["length"]) for entry in listed] == [("é %", 10)]


def test_hdfs(hdfs: HdfsServer) -> None:
    """The user writes at home and nowhere else, by both protocols."""
    hdfs_native = pytest.importorskip("hdfs_native", reason="hdfs-native is not installed: hdfs:// was not tested")
    place = hdfs.new_place(scheme="hdfs")
    place.plant("packs/a", b"bytes\r")
    folder = urlsplit(place.url).path
    assert request(hdfs.port, "GET", f"{folder}/packs/a?op=OPEN&user.name={hdfs.username}") == b"bytes\r"
    with pytest.raises(ServerFailedError, match="AccessControlException"):
        request(hdfs.port, "PUT", f"/elsewhere?op=MKDIRS&user.name={hdfs.username}")
    client = hdfs_native.Client(place.url.removesuffix(folder))
    with client.read(f"{folder}/packs/a") as file:
        assert file.read() == b"bytes\r"
