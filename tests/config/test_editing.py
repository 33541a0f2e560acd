"""Changing configuration files: whole, durable, and seen by git."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.command import git
from vstore.config import remove_section, rename_section, set_value, unset_value
from vstore.errors import ConfigInvalidError, SettingNotFoundError


def test_life_of_a_remote(tmp_path: Path) -> None:
    """A remote is added, changed, renamed and removed, and git reads every step."""
    path = tmp_path / "new/folder/config"
    set_value(path, "remote.a.url", "/data")
    set_value(path, "remote.a.retention_days", "7")
    assert git("config", "-f", path, "remote.a.retention-days", cwd=tmp_path) == "7"
    rename_section(path, "remote.a", 'remote.b "c"')
    assert git("config", "-f", path, 'remote.b "c".url', cwd=tmp_path) == "/data"
    unset_value(path, 'remote.b "c".Retention-Days')
    assert git("config", "-f", path, "--list", cwd=tmp_path) == 'remote.b "c".url=/data'
    remove_section(path, 'Remote.b "c"')
    assert path.read_bytes() == b""


def test_refused_changes_leave_the_file(tmp_path: Path) -> None:
    """An unknown setting, a wrong value or a broken file is refused, and nothing is written."""
    path = tmp_path / "config"
    for name, value in ("core.hsah", "x"), ("core.hash", "md5"):
        with pytest.raises(ConfigInvalidError):
            set_value(path, name, value)
    assert not path.exists()
    path.write_text("[core\n")
    with pytest.raises(ConfigInvalidError, match="line 1"):
        set_value(path, "core.hash", "blake3")
    assert path.read_text() == "[core\n"


def test_nothing_to_unset(tmp_path: Path) -> None:
    """What is not there cannot be removed, and no file is made."""
    path = tmp_path / "config"
    with pytest.raises(SettingNotFoundError):
        unset_value(path, "core.hash")
    with pytest.raises(SettingNotFoundError):
        remove_section(path, "remote.x")
    assert list(tmp_path.iterdir()) == []


def test_same_value_writes_nothing(tmp_path: Path) -> None:
    """Setting what is set already does not touch the file."""
    path = tmp_path / "config"
    set_value(path, "core.hash", "blake3")
    before = path.stat()
    set_value(path, "core.hash", "blake3")
    assert path.stat().st_ino == before.st_ino


def test_unknown_entries_can_be_removed(tmp_path: Path) -> None:
    """What is no setting of ours cannot be set, but can be removed."""
    path = tmp_path / "config"
    path.write_text("[other]\nthing = 1\n[core]\nhash = blake3\n")
    unset_value(path, "other.thing")
    assert path.read_text() == "[core]\nhash = blake3\n"


def test_modes(tmp_path: Path) -> None:
    """A file keeps its mode, but is closed to others once it holds a secret."""

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    path = tmp_path / "config"
    path.write_text("")
    path.chmod(0o664)
    set_value(path, "core.hash", "blake3")
    assert mode(path) == 0o664
    set_value(path, "remote.x.secret_key", "hunter2")
    assert mode(path) == 0o600
    set_value(path, "core.hash", "xxh128")
    assert mode(path) == 0o600
    set_value(tmp_path / "other", "remote.x.url", "ftp://me:hunter2@host")
    assert mode(tmp_path / "other") == 0o600


def test_symbolic_link(tmp_path: Path) -> None:
    """A file that is a link into somebody's collection stays one, and what it names is changed."""
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "dotfiles/vstore").write_text("# mine\n")
    (tmp_path / "config").symlink_to("dotfiles/vstore")
    set_value(tmp_path / "config", "core.remote", "x")
    assert (tmp_path / "config").is_symlink()
    assert (tmp_path / "dotfiles/vstore").read_text() == "# mine\n[core]\n\tremote = x\n"


def test_changes_at_once(tmp_path: Path) -> None:
    """Of values that are set at once none is lost."""
    path = tmp_path / "config"

    def set_some(first: int) -> None:
        for number in range(first, first + 20):
            set_value(path, f"remote.r{number}.url", f"../{number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(set_some, range(0, 80, 20)))
    assert path.read_text().count("url = ") == 80
    assert list(tmp_path.iterdir()) == [path]
