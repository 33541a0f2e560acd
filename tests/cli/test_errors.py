"""What users hear when something is wrong: one line of cause, one hint, the right exit code, never a traceback."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import PROJECT, Outcome, run_vstore, start_vstore
from tests.project import LARGE, Project
from vstore.durable import FileLock

_CAPBSET_DROP = 24
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def check(outcome: Outcome, exit_code: int, message: str, hint: str | None) -> None:
    """Check that an error was told well."""
    assert outcome.exit_code == exit_code, outcome.stderr
    lines = outcome.stderr.splitlines()
    assert "Traceback" not in outcome.stderr
    facts = [line for line in lines if line.startswith("Error: ")]
    assert len(facts) == 1 and message in facts[0], outcome.stderr
    hints = [line for line in lines if line.startswith("Hint: ")]
    assert len(hints) == (hint is not None), outcome.stderr
    assert hint is None or hint in hints[0], outcome.stderr


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data in its remote."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    project.commit("remote")
    return project


def _run_limited(project: Project, *args: str, limit: Callable[[], None]) -> Outcome:
    """Run vstore in a process that was limited first."""
    program = [sys.executable, "-c", "import sys; from vstore.cli.main import main; sys.exit(main())", *args]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        program, cwd=project.path, env=environment, capture_output=True, check=False, preexec_fn=limit
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def _heed_modes() -> None:
    """Make even root obey file modes."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in _OVERRIDES:
            libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)


needs_linux = pytest.mark.skipif(
    os.geteuid() == 0 and sys.platform != "linux", reason="root heeds no file modes on this system"
)


@pytest.mark.parametrize("verb", [["status"], ["add", "x"], ["push"], ["diff"], ["ls"], ["remote", "list"]])
def test_no_repository(git_repo: Path, verb: list[str]) -> None:
    """Outside of a vstore repository every verb says how to make one."""
    check(run_vstore(*verb, cwd=git_repo), 10, "there is no vstore repository", "vstore init")


def test_no_git(tmp_path: Path) -> None:
    """Where there is no git, init says so and how to do without."""
    check(run_vstore("init", cwd=tmp_path), 10, "no git repository holds", "vstore init --no-git")


def test_no_git_program(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git is not installed, writing verbs say so, and reading ones work."""
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    monkeypatch.setenv("PATH", str(project.path))
    check(project.run("add", "data"), 1, "the git program is not installed", "install git")
    project.ok("status")


def test_json_error(git_repo: Path) -> None:
    """With --json an error is one document on standard error, and nothing is on standard output."""
    outcome = run_vstore("status", "--json", cwd=git_repo)
    assert outcome.stdout == ""
    error = json.loads(outcome.stderr)["error"]
    assert error["code"] == "no-repository" and error["exit_code"] == outcome.exit_code == 10
    assert error["fields"]["path"] == str(git_repo)


@pytest.mark.parametrize("verb", ["add", "status", "checkout", "push", "fetch", "pull", "rm", "unlock", "ls", "du"])
def test_unknown_path(filled: Project, verb: str) -> None:
    """A path that is nowhere is named."""
    check(filled.run(verb, "no where.csv"), 1, "no where.csv", "vstore ls")


@pytest.mark.parametrize("verb", ["status", "checkout", "rm", "unlock"])
def test_path_that_is_not_tracked(filled: Project, verb: str) -> None:
    """A file that is there but not tracked could be added."""
    filled.write("notes.txt")
    check(filled.run(verb, "notes.txt"), 1, "notes.txt is not tracked", "vstore add notes.txt")


@pytest.mark.parametrize("verb", [["checkout"], ["push"], ["fetch"], ["pull"], ["ls"], ["du"], ["cat", "model.bin"]])
def test_unknown_revision(filled: Project, verb: list[str]) -> None:
    """A revision that git does not know is named."""
    check(filled.run(*verb, "--rev", "v99"), 1, "'v99'", "git log")


@pytest.mark.parametrize("verb", ["push", "fetch", "pull"])
def test_unknown_remote(filled: Project, verb: str) -> None:
    """A remote that is not configured is named, with those that are."""
    if verb != "push":
        filled.drop_cache()
    check(filled.run(verb, "-r", "elsewhere"), 1, "there is no remote named 'elsewhere'", "known are store")


def test_no_remote_at_all(project: Project) -> None:
    """Without any remote, push says how to name one."""
    project.add_data()
    check(project.run("push"), 1, "no remote is configured", "vstore remote add -d NAME URL")


@pytest.mark.parametrize("verb", ["fetch", "pull"])
def test_remote_that_is_gone(filled: Project, verb: str) -> None:
    """A remote that cannot be reached is exit code 14."""
    shutil.rmtree(filled.store)
    check(filled.clone().run(verb), 14, str(filled.store), "see whether its disk is mounted with `df`")


def test_push_does_not_make_a_remote_anew(filled: Project) -> None:
    """A directory that held data and is gone (a disk that is not mounted?) is made by no command."""
    shutil.rmtree(filled.store)
    filled.write("more.bin")
    filled.ok("add", "more.bin")
    for command in (["push"], ["push", "--check"], ["remote", "check"]):
        assert filled.run(*command).exit_code == 14
    check(filled.run("push"), 14, f"the remote directory {filled.store} does not exist any more", "disk is mounted")
    assert not filled.store.exists()
    filled.store.mkdir()
    filled.ok("push")


def test_remote_that_cannot_be_made(filled: Project) -> None:
    """A remote whose place cannot exist is exit code 14 on pushing, too."""
    shutil.rmtree(filled.store)
    filled.store.write_bytes(b"a file")
    check(filled.run("push"), 14, str(filled.store), "vstore remote set store url PATH")


@needs_linux
def test_read_only_remote(project: Project) -> None:
    """A remote that may not be written is exit code 14, and names what was tried."""
    project.add_data()
    project.store.mkdir(mode=0o555)
    project.add_remote()
    check(_run_limited(project, "push", limit=_heed_modes), 14, str(project.store), f"`ls -ld {project.store}`")


def test_remote_that_is_configured_read_only(project: Project) -> None:
    """A remote that the configuration calls read-only is not written to."""
    project.add_data()
    project.add_remote()
    project.ok("remote", "set", "store", "read_only", "true")
    check(project.run("push"), 14, "read-only", "vstore remote set store read_only false")
    assert not project.store.exists()


def _limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_no_space(project: Project) -> None:
    """Where no more can be written, add says so, and neither pointer nor half an object is left."""
    project.write("model.bin", LARGE)
    check(_run_limited(project, "add", "model.bin", limit=_limit_file_size), 1, "could not", "df -h")
    assert not project.has("model.bin.vstore")
    assert not any(path.is_file() for path in (project.path / ".git/vstore/cache/objects").rglob("*"))
    project.ok("add", "model.bin")


def test_no_space_for_what_is_fetched(filled: Project) -> None:
    """Where a large content cannot be written, fetch names the cache, and goes on when there is space."""
    clone = filled.clone()
    cache = str(clone.path / ".git/vstore/cache")
    outcome = _run_limited(clone, "fetch", "model.bin", limit=_limit_file_size)
    check(outcome, 1, f"could not write what was fetched into {cache}", f"df -h {cache}")
    clone.ok("fetch", "model.bin")


def test_no_space_on_checkout(filled: Project) -> None:
    """Where no more can be written, checkout says so, leaves no half file, and works later."""
    (filled.path / "model.bin").unlink()
    outcome = _run_limited(filled, "checkout", limit=_limit_file_size)
    check(outcome, 3, "1 path could not be restored", None)
    assert "could not write model.bin: File too large" in outcome.stderr
    assert not filled.has("model.bin")
    filled.ok("checkout")
    assert filled.read("model.bin") == LARGE[::-1]


@needs_linux
def test_no_permission_to_read(project: Project) -> None:
    """A file that may not be read is named with its reason."""
    project.write("data/open")
    project.write("data/closed").chmod(0)
    outcome = _run_limited(project, "add", "data", limit=_heed_modes)
    check(outcome, 3, "cannot be read", None)
    assert "closed: cannot be read: permission denied" in outcome.stderr
    assert not project.has("data.vstore")


@needs_linux
def test_no_permission_to_write(filled: Project) -> None:
    """A directory that may not be written is named."""
    (filled.path / "model.bin").unlink()
    filled.path.chmod(0o555)
    try:
        outcome = _run_limited(filled, "checkout", limit=_heed_modes)
    finally:
        filled.path.chmod(0o755)
    assert outcome.exit_code in (1, 3)
    assert "Permission denied" in outcome.stderr and "Traceback" not in outcome.stderr


def _damage_objects(project: Project) -> None:
    for path in (project.path / ".git/vstore/cache/objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"x" * path.stat().st_size)


def test_damaged_object(filled: Project) -> None:
    """A damaged object is exit code 13, is never written, and fetching repairs it."""
    (filled.path / "model.bin").unlink()
    _damage_objects(filled)
    check(filled.run("checkout", "model.bin"), 13, "model.bin are damaged", "vstore fetch")
    assert not filled.has("model.bin")
    filled.ok("fetch")
    filled.ok("checkout")
    assert filled.read("model.bin") == LARGE[::-1]


def test_damaged_object_is_not_pushed(project: Project) -> None:
    """A damaged object is exit code 13 on pushing, and the remote never hears of it."""
    project.add_data()
    project.add_remote()
    _damage_objects(project)
    outcome = project.run("push")
    assert outcome.exit_code == 13 and "damaged" in outcome.stderr and "Traceback" not in outcome.stderr
    assert not list(project.store.glob("commits/*/*"))


def test_missing_object(filled: Project) -> None:
    """What is not in the cache is listed and the rest restored: exit code 3."""
    filled.drop_cache()
    (filled.path / "model.bin").unlink()
    outcome = filled.run("checkout")
    check(outcome, 3, "1 path could not be restored", "vstore pull")
    assert "model.bin: is not in the cache" in outcome.stderr
    filled.ok("checkout", "--allow-missing")
    filled.ok("pull")
    assert filled.read("model.bin") == LARGE[::-1]


def test_object_missing_everywhere(project: Project) -> None:
    """What neither cache nor remote has is exit code 12, and nothing is pushed."""
    project.add_data()
    project.add_remote()
    project.drop_cache()
    (project.path / "model.bin").unlink()
    check(project.run("push", "model.bin"), 12, "nothing was pushed", "vstore push")
    check(project.run("fetch", "model.bin"), 12, "neither in the cache nor in the remote", "vstore push")


def test_conflict_in_a_pointer(filled: Project) -> None:
    """A pointer with conflict markers is one error with file and line; other paths go on."""
    filled.write("model.bin.vstore", b"version = 1\n<<<<<<< HEAD\n")
    check(filled.run("add", "model.bin"), 1, "model.bin.vstore, line 2: a git merge conflict", "vstore checkout --ours")
    (filled.path / "data/a.txt").unlink()
    outcome = filled.run("checkout")
    check(outcome, 3, "1 path could not be restored", "vstore status")
    assert filled.read("data/a.txt") == b"a\n"
    assert "broken" in filled.ok("status").stdout


def test_newer_pointer(filled: Project) -> None:
    """A pointer of a newer format is refused, and says what helps."""
    text = filled.read("model.bin.vstore").replace(b"version = 1", b"version = 2")
    filled.write("model.bin.vstore", text)
    check(filled.run("add", "model.bin"), 13, "format version 2", "pip install --upgrade vstore")


def test_newer_cache(filled: Project) -> None:
    """A cache of a newer format is refused."""
    (filled.path / ".git/vstore/cache/format").write_text("vstore-cache 2\n")
    check(filled.run("add", "-u"), 13, "vstore-cache 2", "pip install --upgrade vstore")


def test_newer_remote(filled: Project) -> None:
    """A remote of a newer format is refused."""
    path = filled.store / "format.json"
    path.write_text(path.read_text().replace('"version":1', '"version":2'))
    shutil.rmtree(filled.store / "commits")
    check(filled.clone().run("fetch"), 13, "version 2", "pip install --upgrade vstore")


def test_two_commands_at_once(filled: Project) -> None:
    """While another command writes, this one waits as long as it may and then says so; readers never wait."""
    filled.ok("config", "set", "core.lock_wait", "0")
    other = FileLock(filled.path / ".git/vstore/lock")
    assert other.acquire()
    try:
        check(filled.run("add", "data"), 11, "another vstore command holds the lock", "run the same command again")
        for reader in (["status"], ["diff"], ["ls"], ["cat", "data/a.txt"], ["du"]):
            filled.ok(*reader)
    finally:
        other.release()
    filled.ok("add", "data")


def test_interrupt_while_waiting(filled: Project) -> None:
    """Waiting for another command is announced, and Ctrl-C ends it with 130 and one line."""
    other = FileLock(filled.path / ".git/vstore/lock")
    assert other.acquire()
    try:
        with start_vstore("add", "data", cwd=filled.path) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == b"waiting for another vstore command to finish\n"
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read().decode()
    finally:
        other.release()
    assert process.returncode == 130
    assert rest.strip().startswith("Interrupted") and "Traceback" not in rest


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("tracked.txt", "is tracked by git", "git rm"),
        (".", "the whole repository", None),
        (".git/config", "belongs to git or vstore", None),
        ("../outside", "is outside the repository", None),
        ("pipe", "neither a file nor a directory", None),
        ("link", "is a symlink", "meant"),
        ("up", "holds up/model.bin", "vstore rm"),
        ("ignored/x", "git ignores ignored/x.vstore", "git check-ignore"),
    ],
)
def test_refused_paths(project: Project, path: str, message: str, hint: str | None) -> None:
    """What must not be added is refused with the reason, and the command that helps where there is one."""
    project.write("tracked.txt")
    project.git("add", "tracked.txt")
    project.write("../outside")
    os.mkfifo(project.path / "pipe")
    (project.path / "link").symlink_to("tracked.txt")
    project.write("up/model.bin")
    project.ok("add", "up/model.bin")
    project.write("ignored/x")
    project.write(".gitignore", b"/ignored/\n")
    check(project.run("add", path), 1, message, hint)
