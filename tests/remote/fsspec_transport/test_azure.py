"""Azure Blob Storage: the contract on Azurite, bad lines, addresses, and ways to log in."""

from __future__ import annotations

import base64
import datetime
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.transport import keys
from tests.remote.fsspec_transport.flat import FlatContract, open_place
from tests.remote.fsspec_transport.scripted import Handler, running_script
from tests.servers.azurite import AzureServer
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.place import Place
from vstore.errors import InvalidError, KeyNotFoundError, RemoteDeniedError, RemoteUnavailableError
from vstore.remote.fsspec_transport import azure, open_fsspec, open_fsspec_origin
from vstore.remote.fsspec_transport.azure import AzureTransport
from vstore.remote.fsspec_transport.flat import FlatTransport
from vstore.remote.transport import Transport

pytest.importorskip("adlfs", reason="adlfs is not installed: az:// was not tested (pip install 'vstore[azure]')")


@pytest.fixture(scope="module")
def server(azurite: AzureServer) -> AzureServer:
    """The server that the contract is tried on."""
    return azurite


@pytest.fixture(scope="module")
def place(server: AzureServer) -> Place:
    """A place for all tests of the contract."""
    return server.new_place()


@pytest.fixture(scope="module")
def bucket(place: Place) -> FlatTransport:
    """The same, opened once."""
    return open_place(place)


class TestAzure(FlatContract):
    """The contract, on Azure Blob Storage."""

    writes_by = "PUT"
    asks_size_by = "HEAD"
    endless_page = b"<EnumerationResults><Blobs/><NextMarker>again</NextMarker></EnumerationResults>"

    def test_listing_has_every_page(self, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
        """More blobs than fit into one page are all listed, once each."""
        monkeypatch.setattr(azure, "_MOST_IN_A_PAGE", 20)
        names = [f"packs/{number:04}" for number in range(50)]
        for name in names:
            self.plant(transport, name, b"x")
        assert keys(transport, "packs/") == names


def endpoint_url(server: AzureServer) -> str:
    """Return the address of the account."""
    return f"http://127.0.0.1:{server.port}/{server.account}"


def make_signature(server: AzureServer, place: Place, letters: str, hours: float = 1) -> str:
    """Sign a right to what is in a container, until some hours from now."""
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    now = datetime.datetime.now(datetime.UTC)
    signature: str = generate_container_sas(
        server.account,
        place.url.removeprefix("az://"),
        account_key=server.account_key,
        permission=ContainerSasPermissions.from_string(letters),
        start=now - datetime.timedelta(days=1),
        expiry=now + datetime.timedelta(hours=hours),
    )
    return signature


class TestLoggingIn:
    """Ways to say who we are."""

    @pytest.fixture
    def locked(self, azurite: AzureServer) -> Place:
        """A container with a pack, and none of its options."""
        place = azurite.new_place()
        place.plant("packs/a", b"x")
        return Place(place.url, {"endpoint_url": endpoint_url(azurite)}, place.plant)

    def test_key(self, locked: Place, azurite: AzureServer) -> None:
        """The key of the account opens everything."""
        with open_place(locked, account_key=azurite.account_key) as transport:
            transport.write("packs/b", b"y")
            assert keys(transport, "") == ["packs/a", "packs/b"]

    @pytest.mark.parametrize("mark", ["", "?"])
    def test_signature(self, mark: str, locked: Place, azurite: AzureServer) -> None:
        """A signature gives the rights that it names and no others, and stays out of messages."""
        with open_place(locked, sas_token=mark + make_signature(azurite, locked, "rl")) as reader:
            assert reader.read("packs/a") == b"x" and keys(reader, "") == ["packs/a"]
            for call in (lambda: reader.write("packs/a", b"y"), lambda: reader.delete("packs/a")):
                with pytest.raises(RemoteDeniedError) as caught:
                    call()
                assert "sig" not in str(caught.value) + str(caught.value.fields)
            assert reader.read("packs/a") == b"x"
        with open_place(locked, sas_token=make_signature(azurite, locked, "rwdlc")) as writer:
            writer.write("packs/b", b"y")
            writer.delete("packs/b")

    def test_wrong_credentials(self, locked: Place, azurite: AzureServer) -> None:
        """A wrong key, one that is no key, a signature that has expired, and none at all are denied at once."""
        for options in (
            {"account_key": base64.b64encode(b"wrong" * 12).decode()},
            {"account_key": "no key"},
            {"sas_token": make_signature(azurite, locked, "rl", hours=-1)},
            {"anon": "true"},
        ):
            transport = open_place(locked, **options)
            with pytest.raises(RemoteDeniedError):
                list(transport.list(""))
            with pytest.raises(RemoteDeniedError):
                transport.write("a", b"x")

    def test_no_credentials_anywhere(self, azurite: AzureServer, capfd: pytest.CaptureFixture[str]) -> None:
        """Where nothing was said, the environment is searched; what is not found there is told in one sentence."""
        transport = open_fsspec("az://c", {"account_name": "nobody"}, timeout_s=5)
        with transport, pytest.raises(RemoteDeniedError) as caught:
            transport.read("packs/a")
        assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")

    def test_environment(self, locked: Place, azurite: AzureServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection string of the environment is used, unless it is of another account than the URL."""
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string())
        with open_fsspec(locked.url, {}, timeout_s=5) as transport:
            assert transport.read("packs/a") == b"x"
        container = locked.url.removeprefix("az://")
        for url, options in (
            (f"abfs://{container}@another.dfs.core.windows.net/x", {}),
            (locked.url, {"account_name": "another"}),
        ):
            with pytest.raises(InvalidError, match="another"):
                open_fsspec(url, options, timeout_s=5)

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"connection_string": "nonsense"},
            {"account_key": "a2V5"},
            {"account_name": "a", "client_id": "x"},
            {"endpoint_url": "http://127.0.0.1:1/a"},
        ],
    )
    def test_options_that_make_no_sense(self, options: dict[str, str]) -> None:
        """An account that nobody names, or half a login, is a mistake in the options."""
        with pytest.raises(InvalidError):
            open_fsspec("az://container", options, timeout_s=5)


class TestAddresses:
    """URLs as people write them."""

    @pytest.mark.parametrize(
        ("url", "options", "address"),
        [
            ("az://c/p/q", {"account_name": "a"}, "https://a.blob.core.windows.net/c/p/q/"),
            ("abfs://c@a.dfs.core.windows.net/p", {}, "https://a.blob.core.windows.net/c/p/"),
            ("abfss://c@a.dfs.core.windows.net", {}, "https://a.blob.core.windows.net/c/"),
            ("abfs://c@a.blob.core.windows.net/p/", {}, "https://a.blob.core.windows.net/c/p/"),
            ("abfss://c@a.dfs.core.chinacloudapi.cn/p", {}, "https://a.blob.core.chinacloudapi.cn/c/p/"),
            ("az://a.blob.core.windows.net/c/p", {}, "https://a.blob.core.windows.net/c/p/"),
            (
                "az://c/p",
                {"endpoint_url": "https://a.blob.core.usgovcloudapi.net/"},
                "https://a.blob.core.usgovcloudapi.net/c/p/",
            ),
            ("az://c/p", {"endpoint_url": "http://127.0.0.1:1/a"}, "http://127.0.0.1:1/a/c/p/"),
            (
                "az://c/p",
                {"account_name": "a", "endpoint_url": "https://blobs.example.org"},
                "https://blobs.example.org/c/p/",
            ),
        ],
    )
    @pytest.mark.parametrize("login", [{"account_key": "a2V5"}, {"sas_token": "sig=x"}, {"anon": "true"}])
    def test_forms(self, url: str, options: dict[str, str], address: str, login: dict[str, str]) -> None:
        """Each form names account, container and folder, whichever way we log in."""
        with open_fsspec(url, {**options, **login}, timeout_s=5) as transport:
            assert isinstance(transport, AzureTransport)
            service = transport._service.url.partition("?")[0].rstrip("/")
            assert f"{service}/{transport._bucket}/{transport._folder}" == address

    @pytest.mark.parametrize("url", ["az://", "az:///", "az:///x", "abfs://@a.dfs.core.windows.net/x", "az://a.b.c/"])
    def test_urls_without_a_container(self, url: str) -> None:
        """A container needs a name."""
        with pytest.raises(InvalidError, match="no container"):
            open_fsspec(url, {"account_name": "a", "anon": "true"}, timeout_s=5)


class TestFolders:
    """What is a folder to a hierarchical namespace, or was made one by Hadoop, is no object."""

    def test_marked_blobs_are_no_objects(self, azurite: AzureServer) -> None:
        """A blob that says that it is a folder is not listed, not read and has no size."""
        from azure.storage.blob import BlobServiceClient

        place = azurite.new_place()
        with BlobServiceClient.from_connection_string(azurite.connection_string()) as service:
            container = service.get_container_client(place.url.removeprefix("az://"))
            container.upload_blob("commits", b"", metadata={"hdi_isfolder": "true"})
            container.upload_blob("commits/p", b"", metadata={"hdi_isfolder": "true"})
        transport = open_place(place)
        transport.write("commits/p/a", b"x")
        assert keys(transport, "") == ["commits/p/a"]
        assert transport.find_size("commits/p") is None
        with pytest.raises(KeyNotFoundError):
            transport.read("commits/p")


class TestRefusals:
    """Azure's reasons are told in its own words for them."""

    @pytest.fixture
    def proxy(self, azurite: AzureServer, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
        """A proxy that answers in the place of Azure."""
        return http_proxy(azurite.port)

    @pytest.fixture
    def transport(self, azurite: AzureServer, proxy: HttpProxy) -> FlatTransport:
        """A place behind it."""
        return open_place(azurite.new_place(port=proxy.port))

    @pytest.mark.parametrize("form", ["header", "body"])
    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (403, "AuthenticationFailed"),
            (403, "AuthorizationPermissionMismatch"),
            (401, "NoAuthenticationInformation"),
        ],
    )
    def test_denials(self, form: str, status: int, code: str, proxy: HttpProxy, transport: FlatTransport) -> None:
        """Who may not is told so at once, with Azure's code, from wherever it stands."""
        told: dict[str, Any] = {
            "header": {"headers": {"x-ms-error-code": code}},
            "body": {"body": f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()},
        }
        proxy.rules = [Rule("answer", status=status, **told[form])]
        for call in (lambda: list(transport.list("")), lambda: transport.write("a", b"x"), lambda: transport.read("a")):
            proxy.requests.clear()
            with pytest.raises(RemoteDeniedError, match=code):
                call()
            assert proxy.count() == 1

    @pytest.mark.parametrize(("status", "code"), [(503, "ServerBusy"), (500, "OperationTimedOut")])
    def test_passing(self, status: int, code: str, proxy: HttpProxy, transport: FlatTransport) -> None:
        """A server that is busy may not be so for long, and Microsoft's client does not ask again by itself."""
        proxy.rules = [Rule("answer", status=status, headers={"x-ms-error-code": code})]
        with pytest.raises(RemoteUnavailableError, match=code) as caught:
            transport.write("a", b"x")
        assert caught.value.retryable and proxy.count() == 1

    def test_container_that_is_being_deleted(self, proxy: HttpProxy, transport: FlatTransport) -> None:
        """A container on its way out is not there."""
        proxy.rules = [Rule("answer", status=409, headers={"x-ms-error-code": "ContainerBeingDeleted"})]
        with pytest.raises(RemoteUnavailableError, match="does not exist"):
            transport.read("a")

    def test_what_the_server_says_that_it_wrote(self, proxy: HttpProxy, transport: FlatTransport) -> None:
        """A server that tells another checksum is not believed."""
        proxy.rules = [Rule("answer", method="PUT", status=201, headers={"Content-MD5": "AAAA"})]
        with pytest.raises(RemoteUnavailableError, match="other bytes") as caught:
            transport.write("a", b"x")
        assert caught.value.retryable


class TestOptions:
    """What else can be set for a remote on Azure."""

    def test_access_tier(self, azurite: AzureServer) -> None:
        """Packs lie in the tier that was chosen, everything else where it is cheap to read."""
        from azure.storage.blob import BlobServiceClient

        place = azurite.new_place()
        transport = open_place(place, access_tier="Cool")
        for key in ("packs/a", "commits/p/a"):
            transport.write(key, b"x")
        with BlobServiceClient.from_connection_string(azurite.connection_string()) as service:
            container = service.get_container_client(place.url.removeprefix("az://"))
            tiers = {blob.name: blob.blob_tier for blob in container.list_blobs()}
        assert tiers == {"packs/a": "Cool", "commits/p/a": "Hot"}


def test_version_that_is_kept() -> None:
    """A blob that was replaced is read by its version id, which Azurite does not know; so a script answers."""
    kept = {"": (b"new", '"2"'), "2026-11-27T10:00:00.0000000Z": (b"old", '"1"')}

    def answer(handler: Handler) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
        version = query.get("versionid", [""])[0]
        if version == "hidden":
            handler.reply(403)
            return
        data, tag = kept[version]
        if handler.headers.get("If-Match", tag) != tag:
            handler.reply(412)
            return
        date = "Fri, 27 Nov 2026 10:00:00 GMT"
        handler.reply(200, data, ETag=tag, Last_Modified=date, x_ms_version_id=version or "now", x_ms_error_code="")

    with running_script() as script:
        script.answer = answer
        options = {"endpoint_url": f"http://127.0.0.1:{script.port}/account", "account_name": "account", "anon": "true"}
        with open_fsspec_origin("az://container/x", options, timeout_s=5) as origin:
            now = origin.look("")
            assert now is not None and (now.lock, now.version) == ('etag:"2"', "now")
            old = origin.find_version('etag:"1"', "2026-11-27T10:00:00.0000000Z")
            assert old is not None and origin.read(old, 0, 3) == b"old"
            assert origin.find_version('etag:"2"', "2026-11-27T10:00:00.0000000Z") is None
            assert origin.find_version('etag:"1"', "hidden") is None
