"""The entry of the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.command import run_vstore, run_vstore_process, start_vstore
from vstore import __version__
from vstore.cli import main as entry

_VERBS = [name for verbs in entry.VERBS.values() for name in verbs]


def test_version(tmp_path: Path) -> None:
    """--version prints the version."""
    assert run_vstore("--version", cwd=tmp_path).ok().stdout == f"vstore {__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_every_verb(option: str, tmp_path: Path) -> None:
    """The help names each verb with a summary, by section."""
    text = run_vstore(option, cwd=tmp_path).ok().stdout
    for section, verbs in entry.VERBS.items():
        assert f"{section}:" in text
        assert all(f"  {name} " in text for name in verbs)


@pytest.mark.parametrize("name", _VERBS)
def test_summary_is_the_first_sentence_of_the_help(name: str, tmp_path: Path) -> None:
    """What the list says of a verb is how its own help begins, and its help works outside of any repository."""
    text = run_vstore(name, "--help", cwd=tmp_path).ok().stdout
    summary = next(verbs[name] for verbs in entry.VERBS.values() if name in verbs)
    assert summary in " ".join(text.split())


def test_no_verb_is_a_usage_error(tmp_path: Path) -> None:
    """Without a verb the help is printed, as an error."""
    outcome = run_vstore(cwd=tmp_path)
    assert outcome.exit_code == 2
    assert outcome.stdout == "" and "Usage: vstore" in outcome.stderr


def test_no_verb_of_a_verb_is_a_usage_error(tmp_path: Path) -> None:
    """A verb that has verbs of its own needs one."""
    outcome = run_vstore("remote", cwd=tmp_path)
    assert outcome.exit_code == 2 and "vstore remote --help" in outcome.stderr


@pytest.mark.parametrize(("typed", "meant"), [("stats", "status"), ("chekout", "checkout"), ("ad", "add")])
def test_nearest_verb_is_suggested(typed: str, meant: str, tmp_path: Path) -> None:
    """A misspelt verb is answered with the one that was meant."""
    outcome = run_vstore(typed, cwd=tmp_path)
    assert outcome.exit_code == 2
    assert f"there is no verb '{typed}'; did you mean {meant}" in outcome.stderr


def test_usage_error_as_json(tmp_path: Path) -> None:
    """With --json a usage error is a document too."""
    outcome = run_vstore("status", "--nonsense", "--json", cwd=tmp_path)
    assert outcome.exit_code == 2
    assert json.loads(outcome.stderr)["error"]["code"] == "usage"


def test_missing_directory_is_a_usage_error(tmp_path: Path) -> None:
    """-C names a directory that is there."""
    outcome = run_vstore("-C", "nowhere", "status", cwd=tmp_path)
    assert outcome.exit_code == 2 and "nowhere" in outcome.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, tmp_path: Path) -> None:
    """Each shell gets a script that asks vstore."""
    assert "_VSTORE_COMPLETE" in run_vstore("completion", shell, cwd=tmp_path).ok().stdout


def test_closed_pipe_is_quiet(tmp_path: Path) -> None:
    """When nobody reads any more, vstore ends with 141 and says nothing."""
    with start_vstore("--help", cwd=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ctrl-C is told in one line."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry.cli, "invoke", interrupted)
    outcome = run_vstore("status", cwd=tmp_path)
    assert outcome.exit_code == 130
    assert outcome.stderr.startswith("\nInterrupted")


def test_names_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    """A path that is not UTF-8 in an error does not become an error of its own."""
    outcome = run_vstore_process("-C", os.fsdecode(b"caf\xe9"), "status", cwd=tmp_path)
    assert outcome.exit_code == 2 and b"Traceback" not in outcome.stderr_bytes
