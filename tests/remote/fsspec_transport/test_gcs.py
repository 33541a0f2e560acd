"""Google Cloud Storage: the contract on a fake of it, bad lines, and what its options do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.remote.fsspec_transport.flat import FlatContract, open_place
from tests.servers.gcs import READER, WRITER, GcsServer
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.place import Place
from vstore.errors import InvalidError, RemoteDeniedError, RemoteUnavailableError
from vstore.remote.fsspec_transport import open_fsspec
from vstore.remote.fsspec_transport.flat import FlatTransport

pytest.importorskip("gcsfs", reason="gcsfs is not installed: gs:// was not tested (pip install 'vstore[gs]')")


@pytest.fixture(scope="module")
def server(gcs: GcsServer) -> GcsServer:
    """The server that the contract is tried on."""
    return gcs


@pytest.fixture(scope="module")
def place(server: GcsServer) -> Place:
    """A place for all tests of the contract."""
    return server.new_place()


@pytest.fixture(scope="module")
def bucket(place: Place) -> FlatTransport:
    """The same, opened once."""
    return open_place(place)


class TestGcs(FlatContract):
    """The contract, on Google Cloud Storage."""

    writes_by = "POST"
    asks_size_by = "GET"
    endless_page = b'{"nextPageToken": "again"}'


def refuse(status: int, reason: str, message: str) -> Rule:
    """Make a rule that answers as Google words its errors."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return Rule("answer", status=status, body=json.dumps({"error": error}).encode())


class TestRefusals:
    """Google's reasons are told in its own words for them."""

    @pytest.fixture
    def proxy(self, gcs: GcsServer, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
        """A proxy that answers in the place of Google."""
        return http_proxy(gcs.port)

    @pytest.fixture
    def transport(self, gcs: GcsServer, proxy: HttpProxy) -> FlatTransport:
        """A place behind it."""
        return open_place(gcs.new_place(port=proxy.port))

    @pytest.mark.parametrize(
        ("status", "reason", "message"),
        [
            (401, "required", "Anonymous caller does not have storage.objects.list access to the bucket."),
            (401, "authError", "Invalid Credentials"),
            (403, "forbidden", "ada@example.org does not have storage.objects.create access."),
            (403, "accountDisabled", "The account for the bucket has been disabled."),
        ],
    )
    def test_denials(self, status: int, reason: str, message: str, proxy: HttpProxy, transport: FlatTransport) -> None:
        """Who may not is told so at once, with Google's reason."""
        proxy.rules = [refuse(status, reason, message)]
        for call in (lambda: list(transport.list("")), lambda: transport.write("a", b"x"), lambda: transport.read("a")):
            proxy.requests.clear()
            with pytest.raises(RemoteDeniedError, match=reason):
                call()
            assert proxy.count() == 1

    @pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
    def test_too_many_requests_in_the_clothes_of_a_denial(
        self, reason: str, proxy: HttpProxy, transport: FlatTransport
    ) -> None:
        """Google answers 403 to who asks too often, too: that passes."""
        proxy.rules = [refuse(403, reason, "The total number of changes exceeds the rate limit.")]
        with pytest.raises(RemoteUnavailableError) as caught:
            transport.write("a", b"x")
        assert caught.value.retryable

    def test_what_the_server_says_that_it_wrote(self, proxy: HttpProxy, transport: FlatTransport) -> None:
        """A server that tells another checksum is not believed."""
        proxy.rules = [Rule("answer", method="POST", status=200, body=b'{"md5Hash": "AAAA"}')]
        with pytest.raises(RemoteUnavailableError, match="other bytes") as caught:
            transport.write("a", b"x")
        assert caught.value.retryable


class TestCredentials:
    """Who comes with which token may do what."""

    def test_tokens(self, gcs: GcsServer) -> None:
        """A reader reads and does not write, a writer writes, a stranger does nothing; no token is in any message."""
        place = gcs.new_place(is_private=True)
        open_place(place, token=WRITER).write("packs/a", b"x")
        reader = open_place(place, token=READER)
        assert reader.read("packs/a") == b"x"
        strangers = [open_place(place, anon="true"), open_place(place, token="nobodys-token")]
        for call in (
            lambda: reader.write("packs/a", b"y"),
            lambda: reader.delete("packs/a"),
            *(stranger_call for each in strangers for stranger_call in (lambda each=each: each.read("packs/a"),)),
        ):
            with pytest.raises(RemoteDeniedError) as caught:
                call()
            assert "token" not in str(caught.value) + str(caught.value.fields)
        assert reader.read("packs/a") == b"x"

    def test_nobody_asks_google_about_a_token(self, gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """An access token is sent to the store, and to nobody else."""
        import requests

        def fail(*args: object, **kwargs: object) -> None:
            raise AssertionError("somebody was asked")

        monkeypatch.setattr(requests.Session, "request", fail)
        open_place(gcs.new_place(is_private=True), token=WRITER).write("a", b"x")

    def test_file_that_is_not_there(self, gcs: GcsServer, tmp_path: Path) -> None:
        """A file of credentials that does not exist is named, rather than sent as a token."""
        place = gcs.new_place()
        for name in (str(tmp_path / "key.json"), "key.json", "~/key.json"):
            with pytest.raises(InvalidError, match="does not exist"):
                open_place(place, token=name)

    def test_service_account(self, gcs: GcsServer, tmp_path: Path, http_proxy: Callable[[int], HttpProxy]) -> None:
        """The key of a service account is changed for a token, once, where its file says."""
        proxy = http_proxy(gcs.port)
        place = gcs.new_place(is_private=True)

        def open_with(token_uri: str) -> FlatTransport:
            key_file = tmp_path / "key.json"
            key_file.write_text(json.dumps({**gcs.service_account(), "token_uri": token_uri}))
            return open_place(place, token=str(key_file))

        transport = open_with(f"http://127.0.0.1:{proxy.port}/token")
        transport.write("packs/a", b"x")
        assert transport.read("packs/a") == b"x"
        assert proxy.count("POST", "/token") == 1

        with pytest.raises(RemoteUnavailableError) as caught:
            open_with("http://127.0.0.1:1/token").read("packs/a")
        assert caught.value.retryable

        proxy.rules = [Rule("answer", path="/token", status=400, body=b'{"error": "invalid_grant"}')]
        with pytest.raises(RemoteDeniedError):
            open_with(f"http://127.0.0.1:{proxy.port}/token").read("packs/a")


class TestOptions:
    """What can be set for a remote on Google Cloud Storage."""

    def test_requester_pays(self, gcs: GcsServer, http_proxy: Callable[[int], HttpProxy]) -> None:
        """Whoever pays for requests says so in each of them."""
        proxy = http_proxy(gcs.port)
        transport = open_place(gcs.new_place(port=proxy.port), requester_pays="true", project="mine")
        transport.write("packs/a", b"x")
        assert transport.read("packs/a") == b"x" and transport.find_size("packs/a") == 1
        assert [each.key for each in transport.list("")] == ["packs/a"]
        transport.delete("packs/a")
        assert proxy.count("", "userProject=mine") == proxy.count() == 5

    def test_somebody_has_to_pay(self, gcs: GcsServer) -> None:
        """Where the credentials name no project, the option has to."""
        with pytest.raises(InvalidError, match="project"):
            open_place(gcs.new_place(), requester_pays="true")

    def test_storage_class(self, gcs: GcsServer) -> None:
        """Packs lie in the class that was chosen, everything else where it is cheap to read."""
        place = gcs.new_place()
        transport = open_place(place, storage_class="NEARLINE")
        for key in ("packs/a", "commits/p/a"):
            transport.write(key, b"x")
        infos = {key: transport._filesystem.info(f"{transport._bucket}/{key}") for key in ("packs/a", "commits/p/a")}
        assert infos["packs/a"]["storageClass"] == "NEARLINE"
        assert infos["commits/p/a"]["storageClass"] == "STANDARD"

    def test_no_bucket_is_asked_for_its_kind(self, gcs: GcsServer) -> None:
        """The class of gcsfs that asks by gRPC is not used, whatever the environment says."""
        assert type(open_place(gcs.new_place())._filesystem).__name__ == "GCSFileSystem"

    @pytest.mark.parametrize("url", ["gs://", "gs:///x"])
    def test_urls_without_a_bucket(self, url: str) -> None:
        """A bucket needs a name."""
        with pytest.raises(InvalidError, match="no bucket"):
            open_fsspec(url, {"token": "anon"}, timeout_s=5)
