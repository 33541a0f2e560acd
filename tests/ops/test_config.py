"""Settings."""

from __future__ import annotations

import os
import stat

import pytest

from tests.command import run_vstore
from tests.project import Project


def test_set_get_unset(project: Project) -> None:
    """A value that is set is in the project's file, staged, and can be read and removed."""
    project.ok("config", "set", "cache.type", "hardlink,copy")
    assert project.ok("config", "get", "cache.type").stdout == "hardlink,copy\n"
    assert b"hardlink" in project.read(".vstore/config")
    assert project.git("diff", "--name-only") == ""
    project.ok("config", "unset", "cache.type")
    assert project.ok("config", "get", "cache.type").stdout == "reflink,copy\n"
    assert b"hardlink" not in project.read(".vstore/config")


@pytest.mark.parametrize("where", ["--global", "--local"])
def test_layers(project: Project, where: str) -> None:
    """--global and --local choose the file; the nearer one wins."""
    before = project.read(".vstore/config")
    project.ok("config", "set", where, "transfer.jobs", "3")
    assert project.read(".vstore/config") == before
    listed = project.ok("config", "list", where, "--json").json()["settings"]
    assert [(s["name"], s["value"]) for s in listed] == [("transfer.jobs", "3")]
    project.ok("config", "set", "transfer.jobs", "5")
    expected = "3\n" if where == "--local" else "5\n"
    assert project.ok("config", "get", "transfer.jobs").stdout == expected


def test_origins(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """--show-origin tells layer, file and line; the environment wins over files."""
    monkeypatch.setenv("VSTORE_TRANSFER_JOBS", "7")
    project.ok("config", "set", "transfer.jobs", "5")
    text = project.ok("config", "list", "--show-origin").stdout
    assert "environment" in text and "VSTORE_TRANSFER_JOBS" in text and "transfer.jobs=7" in text
    assert ".vstore/config:" in text
    monkeypatch.delenv("VSTORE_TRANSFER_JOBS")
    one = project.ok("config", "get", "transfer.jobs", "--show-origin").stdout
    assert one.startswith("project  ") and "/.vstore/config:" in one and one.endswith("  transfer.jobs=5\n")


def test_global_works_anywhere(project: Project) -> None:
    """The user's settings need no repository; the project's do."""
    above = project.path.parent
    run_vstore("config", "set", "--global", "core.autostage", "false", cwd=above).ok()
    assert run_vstore("config", "get", "core.autostage", cwd=above).ok().stdout == "false\n"
    assert run_vstore("config", "set", "core.autostage", "false", cwd=above).exit_code == 10


def test_secrets_stay_local_and_unseen(project: Project) -> None:
    """A secret goes to the file that is not committed, closed to others, and is never printed."""
    project.ok("remote", "add", "store", "s3://bucket/data")
    outcome = project.ok("remote", "set", "store", "secret", "hunter2")
    assert "hunter2" not in outcome.stdout
    assert b"hunter2" not in project.read(".vstore/config") and b"hunter2" in project.read(".vstore/config.local")
    assert stat.S_IMODE(os.stat(project.path / ".vstore/config.local").st_mode) == 0o600
    for arguments in (["config", "list"], ["config", "list", "--show-origin"], ["remote", "list"], ["doctor"]):
        for more in ([], ["--json"]):
            text = project.run(*arguments, *more)
            assert "hunter2" not in text.stdout + text.stderr
    assert project.ok("config", "get", "remote.store.secret").stdout == "***\n"
    project.git("add", "--all")
    assert ".vstore/config.local" not in project.git("ls-files")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "core.hsh", "blake3"], "there is no setting core.hsh"),
        (["set", "core.hash", "md5"], "core.hash must be xxh128 or blake3"),
        (["get", "core.remote"], "core.remote is not set"),
        (["unset", "core.remote"], "core.remote is not set"),
    ],
)
def test_mistakes(project: Project, arguments: list[str], message: str) -> None:
    """Unknown settings, wrong values and values that are not there are told."""
    outcome = project.run("config", *arguments)
    assert outcome.exit_code == 1 and message in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "core.hash", "blake3"],
        ["set", "Core.HASH", "blake3"],
        ["set", "--local", "core.hash", "blake3"],
        ["set", "core.project", "0" * 32],
        ["unset", "core.hash"],
        ["unset", "core.project"],
    ],
)
def test_what_init_chose_stays(project: Project, arguments: list[str]) -> None:
    """What stored data depends upon cannot be changed later."""
    before = project.read(".vstore/config")
    outcome = project.run("config", *arguments)
    assert outcome.exit_code == 1 and "is chosen once, when a repository is made" in outcome.stderr
    assert project.read(".vstore/config") == before and not project.has(".vstore/config.local")


def test_broken_hash_can_be_mended(project: Project) -> None:
    """An algorithm that there is not can be replaced."""
    project.git("config", "--file", ".vstore/config", "core.hash", "md5")
    project.ok("config", "set", "core.hash", "xxh128")
    project.ok("status")


def test_broken_configuration_can_be_mended(project: Project) -> None:
    """A wrong value in a file names file and line, and config can replace it."""
    project.write(".vstore/config.local", b"[core]\n\tlock_wait = soon\n")
    outcome = project.run("status")
    assert outcome.exit_code == 1 and "config.local, line 2" in outcome.stderr
    project.ok("config", "set", "--local", "core.lock_wait", "5")
    project.ok("status")
