"""Layers of configuration: which of them wins, where values come from, and what never shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vstore.config import Config, Layer, load_config, set_value
from vstore.config.layers import config_paths
from vstore.errors import ConfigInvalidError, PermissionDeniedError, SettingNotFoundError

_NOWHERE = Path("/nowhere/config")


@pytest.fixture
def vstore_dir(tmp_path: Path) -> Path:
    """The .vstore of an empty repository."""
    path = tmp_path / "repo/.vstore"
    path.mkdir(parents=True)
    return path


def load(vstore_dir: Path | None, system: str | None = None, **environ: str) -> Config:
    """Load a configuration with an environment of exactly these variables."""
    path = _NOWHERE
    if system is not None:
        assert vstore_dir is not None
        path = vstore_dir.parent.parent / "system"
        path.write_text(system)
    return load_config(vstore_dir, {"HOME": "/nowhere", **environ}, system_path=path)


def test_defaults() -> None:
    """Without any file everything has its default."""
    config = load(None)
    assert (config.hash, config.autostage, config.no_git, config.lock_wait_s) == ("xxh128", True, False, 60)
    assert (config.cache_dir, config.cache_type, config.cache_shared) == (None, ("reflink", "copy"), False)
    assert (config.jobs, config.in_flight_bytes) == (0, 128 << 20)
    assert (config.default_remote, config.project, dict(config.remotes)) == (None, "", {})
    assert config.entries() == []
    assert not config.cache_type_is_set


def test_later_layers_win(vstore_dir: Path, tmp_path: Path) -> None:
    """System, user, project, local, environment: each overrides those before it, and origins are remembered."""
    user = tmp_path / "user"
    files = {"user": user, "project": vstore_dir / "config", "local": vstore_dir / "config.local"}
    expected = ["system"]
    for name, path in files.items():
        path.write_text(f"[core]\n\tremote = {name}\n")
        expected.append(name)
        config = load(vstore_dir, "[core]\nremote = system\n", VSTORE_CONFIG=str(user))
        assert config.default_remote == name
        setting = config.get("core.remote")
        assert (setting.layer, setting.path, setting.line) == (name, str(path), 2)
    config = load(vstore_dir, "[core]\nremote = system\n", VSTORE_CONFIG=str(user), VSTORE_CORE_REMOTE="environment")
    assert config.default_remote == "environment"
    assert config.get("Core.Remote").path == "VSTORE_CORE_REMOTE"
    assert [setting.value for setting in config.entries()] == ["environment"]
    for layer in [*expected, "environment"]:
        assert [setting.value for setting in config.entries(Layer(layer))] == [layer]


def test_last_value_of_a_file_wins(vstore_dir: Path) -> None:
    """A setting that a file gives twice has its last value."""
    (vstore_dir / "config").write_text("[core]\nremote = a\n[cache]\n[core]\nREMOTE = b\n")
    assert load(vstore_dir).default_remote == "b"


def test_user_file() -> None:
    """The user's file is where the environment says, else where the desktop keeps such files."""

    def user(**environ: str) -> str:
        return str(config_paths(None, environ)[Layer.USER])

    everything = {"VSTORE_CONFIG": "/a", "VSTORE_HOME": "/b", "XDG_CONFIG_HOME": "/c", "HOME": "/d"}
    assert user(**everything) == "/a"
    assert user(**everything | {"VSTORE_CONFIG": ""}) == "/b/config"
    assert user(XDG_CONFIG_HOME="/c", HOME="/d") == "/c/vstore/config"
    assert user(HOME="/d") == "/d/.config/vstore/config"
    assert list(config_paths(Path("/r/.vstore"), {"HOME": "/d"}).values())[2:] == [
        Path("/r/.vstore/config"),
        Path("/r/.vstore/config.local"),
    ]


def test_environment(vstore_dir: Path) -> None:
    """Variables set what they name; what they name and nobody knows is ignored, and so is what is empty."""
    (vstore_dir / "config").write_text('[remote "my-store"]\nurl = s3://b\n[remote "my"]\nurl = s3://c\n')
    config = load(
        vstore_dir,
        VSTORE_CACHE_DIR="/cache",
        VSTORE_CORE_LOCK_WAIT="5",
        VSTORE_TRANSFER_IN_FLIGHT="1M",
        VSTORE_CORE_HASH="",
        VSTORE_CORE_NONSENSE="x",
        VSTORE_DEBUG="x",
        VSTORE_REMOTE_MY_STORE_ENDPOINT_URL="http://e",
        VSTORE_REMOTE_MY_READ_ONLY="true",
        VSTORE_REMOTE_NEW_URL="s3://n",
        VSTORE_REMOTE_NEW_ENDPOINT_URL="http://n",
        VSTORE_REMOTE_UNKNOWN_KEY="x",
        VSTORE_REMOTE="x",
        VSTORE_REMOTE_URL="x",
    )
    assert (config.cache_dir, config.lock_wait_s, config.in_flight_bytes) == (Path("/cache"), 5, 1 << 20)
    assert config.hash == "xxh128"
    assert {name: (each.url, dict(each.options)) for name, each in config.remotes.items()} == {
        "my": ("s3://c", {}),
        "my-store": ("s3://b", {"endpoint_url": "http://e"}),
        "new": ("s3://n", {"endpoint_url": "http://n"}),
    }
    assert config.remotes["my"].read_only


def test_remotes(vstore_dir: Path) -> None:
    """A remote is put together from all layers; options keep their text; without a URL there is no remote."""
    (vstore_dir / "config").write_text(
        '[remote "a.b"]\nurl = s3://bucket/x\nendpoint-url = http://e\nretention-days = 7\n[remote "x"]\nkey = 1\n'
    )
    (vstore_dir / "config.local").write_text('[remote "a.b"]\nsecret = s\nread_only\n[remote]\nurl = x\n')
    config = load(vstore_dir)
    assert list(config.remotes) == ["a.b"]
    remote = config.remotes["a.b"]
    assert (remote.name, remote.url, remote.read_only, remote.retention_days) == ("a.b", "s3://bucket/x", True, 7)
    assert dict(remote.options) == {"endpoint_url": "http://e", "secret": "s"}
    assert config.get("remote.a.b.retention-days").value == "7"


def test_relative_places(vstore_dir: Path, tmp_path: Path) -> None:
    """Relative paths start at the repository in its own files, and elsewhere at the file that holds them."""
    root = vstore_dir.parent
    (tmp_path / "etc").mkdir()
    user = tmp_path / "etc/user"
    user.write_text('[cache]\ndir = c\n[remote "u"]\nurl = r\n')
    (vstore_dir / "config").write_text(
        '[remote "p"]\nurl = ../r\n[remote "h"]\nurl = ~/r\n[remote "f"]\nurl = file:///r\n'
    )
    config = load(vstore_dir, VSTORE_CONFIG=str(user), HOME="/home/me")
    assert config.cache_dir == tmp_path / "etc/c"
    assert {name: remote.url for name, remote in config.remotes.items()} == {
        "u": str(tmp_path / "etc/r"),
        "p": str(root.parent / "r"),
        "h": "/home/me/r",
        "f": "file:///r",
    }
    assert config.get("remote.p.url").value == "../r"
    (vstore_dir / "config.local").write_text("[cache]\ndir = ~\n")
    assert load(vstore_dir, HOME="/home/me").cache_dir == Path("/home/me")
    assert load(vstore_dir, VSTORE_CACHE_DIR="c").cache_dir == Path.cwd() / "c"


@pytest.mark.parametrize(
    ("text", "line", "fact"),
    [
        ("[core]\n\nhash = md5\n", 3, "core.hash"),
        ("[core\n", 1, "neither a section nor a setting"),
        ("[core]\n<<<<<<< HEAD\n", 2, "neither a section nor a setting"),
        ('[remote "x"]\nurl = a\nread-only = maybe\n', 3, "remote.x.read_only"),
    ],
)
def test_invalid_file(vstore_dir: Path, text: str, line: int, fact: str) -> None:
    """What cannot be understood is an error that names file and line, at once when it is loaded."""
    path = vstore_dir / "config"
    path.write_text(text)
    with pytest.raises(ConfigInvalidError, match=fact) as caught:
        load(vstore_dir)
    assert (caught.value.fields["path"], caught.value.fields["line"]) == (str(path), line)
    assert f"{path}, line {line}" in caught.value.message


def test_invalid_variable() -> None:
    """A variable with a value that makes no sense is named."""
    with pytest.raises(ConfigInvalidError, match="VSTORE_TRANSFER_JOBS"):
        load(None, VSTORE_TRANSFER_JOBS="many")


def test_unknown_settings_are_kept(vstore_dir: Path) -> None:
    """What a newer vstore, or another program, wrote is no error, and can be read."""
    (vstore_dir / "config").write_text("[core]\nfrom-the-future = 1\n[other]\nthing = 2\n")
    config = load(vstore_dir)
    assert config.get("core.from-the-future").value == "1"
    assert [setting.name for setting in config.entries()] == ["core.from_the_future", "other.thing"]


def test_get(vstore_dir: Path) -> None:
    """A setting that is not set has its default, if there is one; else it is not found."""
    config = load(vstore_dir)
    assert (config.get("core.hash").value, config.get("core.hash").layer) == ("xxh128", Layer.DEFAULT)
    for name in ("core.remote", "remote.x.read_only", "remote.x.url", "some.thing"):
        with pytest.raises(SettingNotFoundError):
            config.get(name)
    with pytest.raises(ConfigInvalidError):
        config.get("nonsense")


def test_secrets_are_masked(vstore_dir: Path) -> None:
    """Secrets are there for who needs them, and in nothing that is printed."""
    hidden = "hunter2"
    (vstore_dir / "config").write_text(
        f'[remote "a"]\nurl = https://me:{hidden}@host/x?sig={hidden}&v=1\nsecret = {hidden}\naccount-key = {hidden}\n'
    )
    config = load(vstore_dir, VSTORE_REMOTE_A_TOKEN=hidden)
    assert config.remotes["a"].options["token"] == config.get("remote.a.secret").value == hidden
    assert hidden not in repr(config) + repr(config.remotes["a"]) + repr(config.entries())
    assert [setting.shown for setting in config.entries()] == [
        "https://me:***@host/x?sig=***&v=1", "***", "***", "***",
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(vstore_dir: Path) -> None:
    """A file that may not be read is an error, not a silent default."""
    (vstore_dir / "config").touch(mode=0)
    with pytest.raises(PermissionDeniedError):
        load(vstore_dir)


def test_names_and_values_of_any_bytes(vstore_dir: Path) -> None:
    """Bytes that are not UTF-8 come through."""
    (vstore_dir / "config").write_bytes(b"[cache]\ndir = /caf\xe9\n")
    config = load(vstore_dir)
    assert os.fsencode(str(config.cache_dir)) == b"/caf\xe9"
    set_value(vstore_dir / "config", "core.remote", "x")
    assert b"/caf\xe9\n" in (vstore_dir / "config").read_bytes()


def test_light() -> None:
    """Loading the configuration imports nothing heavy."""
    program = "import sys, vstore.config; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"pygit2", "fsspec", "sqlite3", "difflib", "tomllib", "json"}.isdisjoint(done.stdout.split())
