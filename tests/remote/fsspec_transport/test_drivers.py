"""From a URL and options to a driver."""

from __future__ import annotations

import sys
import uuid

import pytest

from tests.contracts.transport import keys
from vstore.errors import InvalidError, RemoteExtraMissingError, VstoreError
from vstore.remote.fsspec_transport import open_fsspec


class TestOpening:
    """From URL and options to a driver."""

    def test_two_openings_see_the_same_place(self) -> None:
        """A place is where its URL says; no driver keeps a private copy or an old listing of it."""
        url = f"memory://{uuid.uuid4().hex}/deep"
        one, two = open_fsspec(url, {}, timeout_s=60), open_fsspec(url + "/", {}, timeout_s=60)
        assert keys(one, "") == []
        two.write("packs/a", b"x")
        assert keys(one, "") == ["packs/a"]

    @pytest.mark.parametrize(
        ("url", "extra"),
        [
            ("s3://b/p", "s3"),
            ("gs://b/p", "gs"),
            ("az://b/p", "azure"),
            ("abfs://b/p", "azure"),
            ("sftp://h/p", "ssh"),
            ("hdfs://h/p", "hdfs"),
            ("webhdfs://h/p", "hdfs"),
            ("http://h/p", "http"),
            ("webdavs://h/p", "http"),
        ],
    )
    def test_missing_driver_names_the_extra(self, url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the package for a protocol is not installed, the error says which extra of ours brings it."""
        for module in ("s3fs", "gcsfs", "gcsfs.core", "adlfs", "paramiko", "hdfs_native", "requests", "urllib3"):
            monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, "vstore.remote.fsspec_transport.http.connections", raising=False)
        # What fsspec has imported before, it does not import again.
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, url.partition("://")[0], raising=False)
        with pytest.raises(RemoteExtraMissingError) as caught:
            open_fsspec(url, {}, timeout_s=60)
        assert caught.value.fields["extra"] == extra

    def test_unknown_protocol(self) -> None:
        """A protocol that nobody speaks is a mistake in the URL."""
        with pytest.raises(InvalidError, match="no driver"):
            open_fsspec("gopher://host/x", {}, timeout_s=60)

    @pytest.mark.parametrize("url", ["simplecache::s3://b/x", "s3://", "s3:///", "filecache::memory://x"])
    def test_senseless_urls(self, url: str) -> None:
        """A chain would answer from a cache, and a bucket needs a name."""
        pytest.importorskip("s3fs", reason="s3fs is not installed: S3 was not tested")
        with pytest.raises(InvalidError):
            open_fsspec(url, {}, timeout_s=60)

    def test_unknown_option(self) -> None:
        """A misspelt option is refused, rather than swallowed by the driver."""
        with pytest.raises(InvalidError, match="endpoint-url"):
            open_fsspec("s3://bucket", {"endpoint-url": "x"}, timeout_s=60)

    def test_secrets_stay_out_of_messages(self) -> None:
        """A password or a token in the URL is in no error."""
        for url in ("gopher://me:hush@host/x?sig=hush", "simplecache::s3://k:hush@b"):
            with pytest.raises(VstoreError) as caught:
                open_fsspec(url, {}, timeout_s=60)
            assert "hush" not in str(caught.value) + str(caught.value.fields)
