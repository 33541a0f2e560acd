"""What every test stands on: an environment without the user's settings, a git repository, and an honest ending."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pygit2
import pytest
from pygit2.enums import ConfigLevel

from tests.command import git
from tests.integrations import libraries
from tests.project import Project
from tests.servers import report

_GIT_CONFIG = """\
[user]
    name = Ada Tester
    email = ada@example.org
[init]
    defaultBranch = main
[commit]
    gpgSign = false
[protocol "file"]
    allow = always
"""
_FOREIGN = ("VSTORE_", "GIT_", "XDG_", "AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR_", "FSSPEC_", "SSH_", "HADOOP_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_TERMINAL = ("CI", "COLUMNS", "LINES", "FORCE_COLOR", "CLICOLOR_FORCE", "PYTHONWARNINGS")

pytest_plugins = ["tests.servers.fixtures"]

# The machine may be busy: a deadline would fail tests for other people's load.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=1000)
hypothesis.settings.load_profile("default")


# A shell's background jobs ignore it, and what they start does: then nothing that a test interrupts would end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, in an environment that tells nothing about the user, the machine or a terminal."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name in _TERMINAL or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    (home / ".gitconfig").write_text(_GIT_CONFIG)
    settings = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        # No repository above the temporary directory may be found from inside it.
        "GIT_CEILING_DIRECTORIES": str(tmp_path_factory.getbasetemp()),
        "AWS_EC2_METADATA_DISABLED": "true",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    # libgit2 reads HOME once, when it is loaded, and knows none of git's own variables.
    for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        pygit2.settings.search_path[level] = str(home)
    return home


@pytest.fixture
def git_repo(tmp_path: Path) -> Path:
    """A fresh git repository on branch main, without commits; its author is known."""
    path = tmp_path / "repo"
    path.mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=path)
    return path


@pytest.fixture
def project(git_repo: Path) -> Project:
    """A fresh vstore repository in a fresh git repository."""
    project = Project(git_repo)
    project.ok("init")
    return project


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested here, and why, and on which servers the rest was: nothing is left out silently."""
    reasons = report.replaced(terminalreporter)
    for skipped in terminalreporter.stats.get("skipped", []):
        reason = skipped.longrepr[2] if isinstance(skipped.longrepr, tuple) else str(skipped.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("not tested here, and why")
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{reason} ({count} test{'s' if count > 1 else ''})")
    report.summarize(terminalreporter, reasons)
    libraries.summarize(terminalreporter)
