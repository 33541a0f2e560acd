"""The table of settings: what each takes, refuses and means."""

from __future__ import annotations

import pytest

from vstore.config.settings import SETTINGS, check_setting, find_definition, is_secret
from vstore.errors import ConfigInvalidError


def test_table_is_whole() -> None:
    """Every setting has its own name, a sentence, and a default that it would accept."""
    assert len({definition.name for definition in SETTINGS}) == len(SETTINGS)
    for definition in SETTINGS:
        assert definition.description.endswith(".")
        if definition.default is not None:
            definition.parse(definition.default)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("core.autostage", "Yes", True),
        ("core.autostage", "", False),
        ("core.lock_wait", "0.5", 0.5),
        ("core.hash", "blake3", "blake3"),
        ("core.project", "0123456789abcdef" * 2, "0123456789abcdef" * 2),
        ("cache.type", "symlink, copy", ("symlink", "copy")),
        ("transfer.jobs", "0", 0),
        ("transfer.in_flight", "1", 1),
        ("transfer.in_flight", "3k", 3072),
        ("transfer.in_flight", "128M", 128 << 20),
        ("transfer.in_flight", "2GiB", 2 << 30),
        ("remote.a.b.read_only", "on", True),
        ("remote.x.endpoint_url", "", ""),
    ],
)
def test_meaning(name: str, text: str, value: object) -> None:
    """A text means a value of the setting's type."""
    definition = find_definition(name)
    assert definition is not None
    assert definition.parse(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core.autostage", "maybe"), ("core.hash", "md5"), ("core.project", "x"), ("core.project", "A" * 32),
        ("core.lock_wait", "-1"), ("core.lock_wait", "inf"), ("core.lock_wait", "1m"), ("cache.type", "link"),
        ("cache.type", "copy,copy"), ("cache.type", ""), ("cache.dir", ""), ("transfer.jobs", "-1"),
        ("transfer.jobs", "1.5"), ("transfer.jobs", "٣"), ("transfer.in_flight", "0"), ("transfer.in_flight", "M"),
        ("transfer.in_flight", "1X"), ("remote.x.url", ""), ("remote.x.retention_days", "soon"),
    ],
)  # fmt: skip
def test_refused_values(name: str, text: str) -> None:
    """A value that makes no sense is refused by the setting's own name, and what it takes is said."""
    with pytest.raises(ConfigInvalidError, match="must be") as caught:
        check_setting(name, text)
    assert caught.value.fields["setting"] == name
    assert name in caught.value.message


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("core.autostag", "core.autostage"), ("Core.Lockwait", "core.lock_wait"), ("chace.dir", "cache.dir"),
        ("something.else", None), ("remote.url", "remote.NAME.url"), ("core.x.remote", "core.remote"),
    ],
)  # fmt: skip
def test_unknown_settings(name: str, near: str | None) -> None:
    """A name that no setting has is refused, with the nearest that one has."""
    with pytest.raises(ConfigInvalidError, match="no setting") as caught:
        check_setting(name, "x")
    assert caught.value.fields["near"] == near


def test_canonical_name_comes_back() -> None:
    """A setting is accepted however it is spelled."""
    assert check_setting("Core.LOCK-wait", "1") == "core.lock_wait"
    assert check_setting("remote.My-Store.Endpoint-URL", "x") == "remote.My-Store.endpoint_url"


def test_secrets() -> None:
    """A remote's option is secret by its own words, never by the remote's name or in another section."""
    for name in (
        "remote.x.secret",
        "remote.x.aws_secret_access_key",
        "remote.x.sas_token",
        "remote.x.connection_string",
    ):
        assert is_secret(name)
    for name in ("remote.keys.url", "remote.token.store.endpoint_url", "core.remote", "remote.x.read_only"):
        assert not is_secret(name)
