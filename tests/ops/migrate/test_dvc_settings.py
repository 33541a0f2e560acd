"""The settings of DVC, and its remotes in our words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from vstore.errors import InvalidError
from vstore.ops.migrate.dvc_settings import DvcSettings, load_settings, translate
from vstore.remote.fsspec_transport import check_protocol


def settings(url: str, **options: str) -> DvcSettings:
    """Settings with one remote."""
    return DvcSettings(Path("cache"), remotes={"r": {"url": url, **options}})


@pytest.mark.parametrize(
    ("url", "options", "our_url", "ours"),
    [
        ("/mnt/store", {}, "/mnt/store", {}),
        (
            "s3://bucket/path",
            {"endpointurl": "http://h", "region": "eu", "profile": "p", "jobs": "4", "listobjects": "true"},
            "s3://bucket/path",
            {"endpoint_url": "http://h", "region": "eu", "profile": "p"},
        ),
        (
            "s3://bucket",
            {"access_key_id": "k", "secret_access_key": "s", "session_token": "t", "ssl_verify": "/ca.pem"},
            "s3://bucket",
            {"key": "k", "secret": "s", "token": "t", "ca_bundle": "/ca.pem"},
        ),
        (
            "gs://b/p",
            {"credentialpath": "/r.json", "projectname": "p"},
            "gs://b/p",
            {"token": "/r.json", "project": "p"},
        ),
        ("azure://c/p", {"account_name": "a", "sas_token": "s"}, "az://c/p", {"account_name": "a", "sas_token": "s"}),
        (
            "ssh://h/p",
            {"user": "u", "port": "23", "keyfile": "/k", "password": "p"},
            "ssh://h/p",
            {"username": "u", "port": "23", "key_filename": "/k", "password": "p"},
        ),
        ("https://h/p", {"auth": "basic", "user": "u", "password": "p"}, "https://h/p", {"user": "u", "password": "p"}),
        ("webdavs://h/p", {"user": "u", "password": "p"}, "webdavs://h/p", {"user": "u", "password": "p"}),
        ("webhdfs://h/p", {"user": "u", "use_https": "true"}, "swebhdfs://u@h/p", {}),
    ],
)
def test_remotes_are_translated(url: str, options: dict[str, str], our_url: str, ours: Mapping[str, str]) -> None:
    """Address and options of every kind of remote become those of our transports, which know them."""
    place = translate(settings(url, **options), "r")
    assert place == (our_url, ours, False)
    if "://" in our_url:
        check_protocol(place.url, place.options)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("gdrive://folder", {}),
        ("oss://b/p", {}),
        ("s3://b", {"sse_customer_key": "k"}),
        ("https://h", {"auth": "custom", "custom_auth_header": "X"}),
        ("ssh://h/p", {"ask_password": "true"}),
        ("remote://r/x", {}),
        ("remote://nobody/x", {}),
        ("", {}),
    ],
)
def test_remotes_that_cannot_be_read(url: str, options: dict[str, str]) -> None:
    """What nothing here speaks to, or what is described by itself, is refused by name."""
    with pytest.raises(InvalidError, match=r"DVC"):
        translate(settings(url, **options), "r")


def test_a_place_inside_another() -> None:
    """A remote may be a folder of another one."""
    remotes = {"base": {"url": "s3://b/top", "region": "eu"}, "r": {"url": "remote://base/in", "profile": "p"}}
    assert translate(DvcSettings(Path("c"), remotes=remotes), "r") == (
        "s3://b/top/in",
        {"region": "eu", "profile": "p"},
        False,
    )


@pytest.mark.parametrize("option", ["version_aware", "worktree"])
def test_a_bucket_with_versions(option: str) -> None:
    """Where files lie under their own names the bucket is read in another way."""
    assert translate(settings("s3://b", **{option: "true"}), "r").has_versions
    assert not translate(settings("s3://b", **{option: "false"}), "r").has_versions


def test_files_of_settings(tmp_path: Path) -> None:
    """The user's settings, the project's and the local ones are read, the later before the earlier."""
    (tmp_path / "config/dvc").mkdir(parents=True)
    (tmp_path / "config/dvc/config").write_text("[core]\nremote = users\n[cache]\ntype = symlink\n")
    (tmp_path / "p/.dvc").mkdir(parents=True)
    (tmp_path / "p/.dvc/config").write_text(
        "# a remark\n[core]\n    remote = store  # which one\n    analytics = false\n['remote \"store\"']\n"
        '    url = ../../store\n[cache]\n    type = "reflink,hardlink"\n    dir = ../shared\n[\'remote "my cloud"\']\n'
        "    url = 's3://b#x'\n"
    )
    (tmp_path / "p/.dvc/config.local").write_text('[\'remote "store"\']\npassword = "a = b"\n')
    found = load_settings(tmp_path / "p", {"XDG_CONFIG_HOME": str(tmp_path / "config")})
    assert found == DvcSettings(
        tmp_path / "p/shared",
        "reflink,hardlink",
        "store",
        {"store": {"url": str(tmp_path / "store"), "password": "a = b"}, "my cloud": {"url": "s3://b#x"}},
    )


def test_no_settings(tmp_path: Path) -> None:
    """Without settings the cache is where DVC makes it, and there is no remote."""
    assert load_settings(tmp_path, {"HOME": "/nowhere"}) == DvcSettings(tmp_path / ".dvc/cache")


def test_broken_settings(tmp_path: Path) -> None:
    """A line that is none is named."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\nremote\n")
    with pytest.raises(InvalidError, match="line 2"):
        load_settings(tmp_path, {})
