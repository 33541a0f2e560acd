"""Installing: hooks chain with whatever is there and come out again to the byte; drivers are of this clone alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.command import git
from tests.project import Project

HOOKS = ["pre-commit", "pre-push", "post-checkout", "post-merge", "post-rewrite"]


def shape(root: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file below a directory; a link's target."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(root))] = path.lstat().st_mode, content
    return found


def git_files(project: Project) -> dict[str, tuple[int, bytes]]:
    """What an installation may change: hooks, configuration and attributes of the repository."""
    everything = shape(project.path / ".git")
    return {name: file for name, file in everything.items() if name.startswith(("hooks", "config", "info"))}


def write_hook(project: Project, name: str, script: str, mode: int = 0o755) -> Path:
    """Write a hook of somebody else."""
    path = project.write(f".git/hooks/{name}", script.encode())
    path.chmod(mode)
    return path


def run_hook(project: Project, name: str, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a hook as git would."""
    directory = project.git("rev-parse", "--git-path", "hooks")
    return subprocess.run(
        ["sh", "-c", 'exec "$0" "$@"', f"{directory}/{name}", *args],
        cwd=project.path,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def spied(project: Project) -> Project:
    """A project in which a launcher notes how it was run, instead of running vstore; see ``notes``."""
    project.ok("install")
    launcher = project.path / ".git/vstore/launch"
    notes = project.path / ".git/notes"
    launcher.write_text(
        f'echo "vstore $*" >> {notes}\ncase "$2" in pre-push|post-rewrite) cat >> {notes};; esac\n'
        f"test ! -e {project.path}/.git/fail\n"
    )
    (project.path / "notes").symlink_to(notes)
    return project


def notes(project: Project) -> str:
    """What was noted since the last time."""
    path = project.path / ".git/notes"
    text = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    return text


def rehook(project: Project) -> None:
    """Install the hooks anew, leaving the launcher that spies."""
    launcher = project.path / ".git/vstore/launch"
    script = launcher.read_bytes()
    project.ok("install")
    launcher.write_bytes(script)


def test_install_and_uninstall(project: Project) -> None:
    """Installing says what it does, again does nothing, and uninstalling leaves every file as it was."""
    before = git_files(project)
    planned = project.ok("install", "--dry-run", "--json").json()
    assert git_files(project) == before and not project.has(".git/vstore/launch")
    result = project.ok("install", "--json").json()
    assert result | {"dry_run": True} == planned
    assert [(hook["name"], hook["change"]) for hook in result["hooks"]] == [(name, "installed") for name in HOOKS]
    assert result["drivers"] == "installed" and result["attributes"].endswith("/.git/info/attributes")
    assert project.git("check-attr", "merge", "diff", "--", "a/b.vstore").splitlines() == [
        "a/b.vstore: merge: vstore",
        "a/b.vstore: diff: vstore",
    ]
    installed = git_files(project)
    assert "Nothing to do" in project.ok("install").stdout and git_files(project) == installed
    assert "dry run" in project.ok("install", "--uninstall", "--dry-run").stdout and git_files(project) == installed
    assert "removed" in project.ok("install", "--uninstall").stdout
    assert git_files(project) == before and not project.has(".git/vstore/launch")
    assert "Nothing to do" in project.ok("install", "--uninstall").stdout
    assert project.git("status", "--porcelain", "--untracked-files=all").count("\n") == 1  # .vstore, staged by init


def test_what_others_configured_stays(project: Project) -> None:
    """Settings and attributes of other people are kept, and win where they speak of pointers."""
    project.git("config", "diff.vstore.binary", "true")
    project.write(".git/info/attributes", b"*.png binary\n*.vstore diff=other")
    before = git_files(project)
    project.ok("install")
    assert project.git("check-attr", "merge", "diff", "--", "x.vstore").split() == [
        *("x.vstore:", "merge:", "vstore"),
        *("x.vstore:", "diff:", "other"),
    ]
    project.ok("install", "--uninstall")
    assert git_files(project) == before


def test_old_settings_are_renewed(project: Project) -> None:
    """What an older version, or another machine, wrote is replaced."""
    project.ok("install")
    good = git_files(project)
    project.git("config", "merge.vstore.driver", "old")
    hook = project.path / ".git/hooks/pre-push"
    hook.write_bytes(hook.read_bytes().replace(b"vstore_status=0", b"vstore_status=1"))
    (project.path / ".git/vstore/launch").write_text("old")
    project.ok("install")
    assert git_files(project) == good and b"old" not in project.read(".git/vstore/launch")


SCRIPTS = {
    "sh": '#!/bin/sh\necho "other $*" >> notes\ncat >> notes\n',
    "sh -eu": '#!/bin/sh -eu\necho "other $*" >> notes\ncat >> notes\n',
    "bash by env": '#!/usr/bin/env bash\nset -euo pipefail\necho "other $*" >> notes\nexec cat >> notes\n',
    "no newline at the end": '#!/bin/bash\necho "other $*" >> notes; cat >> notes',
    "no shebang": 'echo "other $*" >> notes\ncat >> notes\n',
    "python": "#!/usr/bin/env python3\nimport sys\n"
    "open('notes', 'a').write(' '.join(['other', *sys.argv[1:]]) + '\\n' + sys.stdin.read())\n",
    "exits early": '#!/bin/sh\necho "other $*" >> notes\ncat >> notes\nexit 0\n',
    "looks at its name": '#!/bin/sh\ntest "${0##*/}" = pre-push || exit 9\necho "other $*" >> notes\ncat >> notes\n',
    "reads nothing": '#!/bin/sh\necho "other $*" >> notes\nprintf "a\\nb\\n" >> notes\n',
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_hooks_chain(spied: Project, kind: str) -> None:
    """A hook of somebody else runs first, then vstore, both with all arguments and all of standard input."""
    spied.ok("install", "--uninstall")
    hook = write_hook(spied, "pre-push", SCRIPTS[kind])
    before = git_files(spied)
    assert "chained" in spied.ok("install").stdout
    launcher = spied.path / ".git/vstore/launch"
    launcher.write_text('echo "vstore $*" >> notes\ncat >> notes\n')
    done = run_hook(spied, "pre-push", "origin", "it's $HOME", stdin="a\nb\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert notes(spied) == "other origin it's $HOME\na\nb\nvstore hook pre-push -- origin it's $HOME\na\nb\n"
    assert "Nothing to do" in spied.ok("install").stdout
    spied.ok("install", "--uninstall")
    assert git_files(spied) == before and hook.stat().st_mode & 0o777 == 0o755


def test_links_are_chained(spied: Project) -> None:
    """A hook that is a link, to a script in the project, is not written to; it comes back as the link it was."""
    spied.ok("install", "--uninstall")
    spied.write("scripts/check", SCRIPTS["sh"].encode()).chmod(0o755)
    (spied.path / ".git/hooks/pre-push").symlink_to("../../scripts/check")
    before, script = git_files(spied), spied.read("scripts/check")
    spied.ok("install")
    (spied.path / ".git/vstore/launch").write_text('echo "vstore $*" >> notes\n')
    assert run_hook(spied, "pre-push", stdin="a\n").returncode == 0
    assert notes(spied) == "other \na\nvstore hook pre-push --\n" and spied.read("scripts/check") == script
    spied.ok("install", "--uninstall")
    assert git_files(spied) == before


def test_disabled_hooks_stay_disabled(spied: Project) -> None:
    """A hook that git does not run, as it is not executable, is not run through ours either."""
    spied.ok("install", "--uninstall")
    write_hook(spied, "pre-push", SCRIPTS["sh"], mode=0o644)
    before = git_files(spied)
    spied.ok("install")
    (spied.path / ".git/vstore/launch").write_text('echo "vstore" >> notes\n')
    assert run_hook(spied, "pre-push").returncode == 0 and notes(spied) == "vstore\n"
    spied.ok("install", "--uninstall")
    assert git_files(spied) == before


@pytest.mark.parametrize("kind", ["sh", "python"])
def test_exit_codes(spied: Project, kind: str) -> None:
    """A hook that says no is heard: before a command at once, after one when vstore has done its part."""
    script = {"sh": "#!/bin/sh\nexit 7\n", "python": "#!/usr/bin/env python3\nraise SystemExit(7)\n"}[kind]
    for name in ("pre-push", "post-checkout"):
        write_hook(spied, name, script)
    rehook(spied)
    assert run_hook(spied, "pre-push").returncode == 7 and notes(spied) == ""
    assert run_hook(spied, "post-checkout", "1", "2", "1").returncode == 7
    assert notes(spied) == "vstore hook post-checkout -- 1 2 1\n"
    (spied.path / ".git/fail").touch()
    assert run_hook(spied, "pre-commit").returncode == 1


def test_what_was_added_to_a_hook_stays(project: Project) -> None:
    """Lines that somebody wrote into a hook of ours stay, and run, when ours go."""
    project.ok("install")
    hook = project.path / ".git/hooks/pre-commit"
    hook.write_bytes(hook.read_bytes() + b"exit 5\n")
    project.ok("install")
    project.ok("install", "--uninstall")
    assert hook.read_bytes() == b"#!/bin/sh\nexit 5\n" and run_hook(project, "pre-commit").returncode == 5


def test_replaced_hooks_are_left_alone(project: Project) -> None:
    """A hook that another tool put in the place of ours is not touched by an uninstallation."""
    project.ok("install")
    write_hook(project, "pre-commit", "#!/bin/sh\nexit 5\n")
    project.ok("install", "--uninstall")
    assert project.read(".git/hooks/pre-commit") == b"#!/bin/sh\nexit 5\n"
    assert not project.has(".git/hooks/pre-push")


@pytest.mark.parametrize("order", ["they first", "we first", "we again"])
def test_tools_that_set_hooks_aside(spied: Project, order: str) -> None:
    """With pre-commit, which renames the hook that it finds and runs it, everything runs once, in whatever order."""
    tool = (
        "#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\nset -e\n"
        'echo tool >> notes\nlegacy="$(dirname "$0")/pre-commit.legacy"\n'
        'if [ -x "$legacy" ]; then "$legacy" "$@"; fi\n'
    )
    hook = spied.path / ".git/hooks/pre-commit"
    if order == "they first":
        spied.ok("install", "--uninstall")
        spied.write(".git/vstore/launch", b'echo "vstore $*" >> notes\n')
        write_hook(spied, "pre-commit", "#!/bin/sh\necho mine >> notes\n")
    hook.rename(hook.with_name("pre-commit.legacy"))
    write_hook(spied, "pre-commit", tool)
    if order != "we first":
        rehook(spied)
    assert run_hook(spied, "pre-commit").returncode == 0
    noted = notes(spied).splitlines()
    assert sorted(noted) == sorted(["tool", "vstore hook pre-commit --", *(["mine"] if order == "they first" else [])])


@pytest.mark.parametrize("copied", ["pre-push.legacy", "pre-push.old"])
def test_copies_that_tools_set_aside_are_uninstalled(project: Project, copied: str) -> None:
    """What pre-commit and lefthook renamed, to bring it back when they go, holds nothing of ours by then."""
    mine = "#!/bin/sh\necho mine\n"
    for name in ("pre-push", "post-merge"):
        write_hook(project, name, mine)
    project.ok("install")
    hook = project.path / ".git/hooks/pre-push"
    hook.rename(hook.with_name(copied))
    write_hook(project, "pre-push", "#!/bin/sh\necho tool\n")
    gone = project.path / ".git/hooks/pre-commit"
    gone.rename(gone.with_name("pre-commit.old"))
    names = {hook["name"] for hook in project.ok("install", "--uninstall", "--json").json()["hooks"]}
    assert {copied, "pre-commit.old"} <= names
    assert project.read(f".git/hooks/{copied}") == mine.encode() and not project.has(".git/hooks/pre-commit.old")
    assert project.read(".git/hooks/pre-push") == b"#!/bin/sh\necho tool\n"


def test_no_hook_is_overwritten(project: Project) -> None:
    """What was set aside, and what somebody wrote into our hook meanwhile, stay when the place is wanted again."""
    scripts = [f"#!/usr/bin/perl\nprint {number};\n" for number in range(2)]
    write_hook(project, "pre-push", scripts[0])
    project.ok("install")
    write_hook(project, "pre-push", scripts[1])
    project.ok("install")
    hook = project.path / ".git/hooks/pre-push"
    hook.write_bytes(hook.read_bytes() + b"echo added\n")
    project.ok("install", "--uninstall")
    kept = {file.name: file.read_text() for file in (project.path / ".git/hooks-before-vstore").iterdir()}
    assert hook.read_text() == scripts[1]
    assert kept == {"pre-push.1": scripts[0], "pre-push.2": "#!/bin/sh\necho added\n"}


@pytest.mark.parametrize("nowhere", ["/dev/null", ""])
def test_where_git_runs_no_hooks(project: Project, nowhere: str) -> None:
    """Where somebody told git to run no hooks, the drivers are installed, and a warning says that hooks are not."""
    project.git("config", "core.hooksPath", nowhere)
    done = project.ok("install")
    assert "merge and diff driver" in done.stdout and "git runs no hooks here" in done.stderr
    assert not project.has("pre-push") and project.git("status", "--porcelain").count("\n") == 1
    project.ok("install", "--uninstall")


def test_husky(spied: Project) -> None:
    """With husky, which makes its own directory anew at each installation, the hooks of the project get our lines."""
    spied.ok("install", "--uninstall")
    runner = '#!/usr/bin/env sh\n. "$(dirname "$0")/h"\n'
    for name in HOOKS:
        spied.write(f".husky/_/{name}", runner.encode()).chmod(0o755)
    # As husky 9 has it, without its questions about the environment.
    spied.write(
        ".husky/_/h",
        b's=$(dirname "$(dirname "$0")")/$(basename "$0")\n[ ! -f "$s" ] && exit 0\nsh -e "$s" "$@"\nc=$?\nexit $c\n',
    )
    spied.write(".husky/pre-push", b"echo mine >> notes\ncat >> notes\n")
    spied.git("config", "core.hooksPath", ".husky/_")
    before = shape(spied.path / ".husky")
    spied.ok("install")
    spied.write(".git/vstore/launch", b'echo "vstore $*" >> notes\ncase "$2" in pre-push) cat >> notes;; esac\n')
    assert shape(spied.path / ".husky/_") == {
        name.removeprefix("_/"): file for name, file in before.items() if name.startswith("_/")
    }
    assert run_hook(spied, "pre-push", "origin", stdin="a\n").returncode == 0
    assert notes(spied) == "mine\na\nvstore hook pre-push -- origin\na\n"
    assert run_hook(spied, "post-merge", "0").returncode == 0
    assert notes(spied) == "vstore hook post-merge -- 0\n"
    # Nothing of this machine is in what the project commits.
    assert not any(os.fsencode(spied.path) in content for _, content in shape(spied.path / ".husky").values())
    spied.ok("install", "--uninstall")
    assert shape(spied.path / ".husky") == before


def test_hooks_in_the_project(spied: Project) -> None:
    """Hooks in a directory that git tracks get lines that say nothing of this machine, and do nothing on another."""
    spied.ok("install", "--uninstall")
    spied.write("hooks/pre-push", SCRIPTS["sh"].encode()).chmod(0o755)
    spied.git("config", "core.hooksPath", "hooks")
    spied.ok("install")
    spied.git("add", "hooks")
    spied.commit()
    clone = spied.clone()
    clone.git("config", "core.hooksPath", "hooks")
    done = run_hook(clone, "pre-push", stdin="a\n")
    assert (done.returncode, done.stderr) == (0, "") and clone.read("notes") == b"other \na\n"
    assert not any(os.fsencode(spied.path) in content for _, content in shape(spied.path / "hooks").values())


def test_without_git(tmp_path: Path) -> None:
    """A repository without git has no hooks."""
    project = Project(tmp_path)
    project.ok("init", "--no-git")
    outcome = project.run("install")
    assert outcome.exit_code == 10 and "not in git" in outcome.stderr


def test_worktrees_share_an_installation(project: Project) -> None:
    """Installed from one worktree, it holds for all."""
    project.commit()
    git("worktree", "add", "--quiet", project.path.parent / "beside", cwd=project.path)
    beside = Project(project.path.parent / "beside")
    assert "installed" in beside.ok("install").stdout
    assert "Nothing to do" in project.ok("install").stdout
    assert project.has(".git/vstore/launch") and project.has(".git/hooks/pre-push")


@pytest.mark.parametrize("gone", ["hook", "launcher"])
def test_interrupted_installations_are_finished(project: Project, gone: str) -> None:
    """What a crash left half done is whole after the next installation."""
    write_hook(project, "pre-push", SCRIPTS["python"])
    before = git_files(project)
    project.ok("install")
    installed = git_files(project)
    (project.path / (".git/hooks/pre-push" if gone == "hook" else ".git/vstore/launch")).unlink()
    project.ok("install")
    assert git_files(project) == installed and project.has(".git/vstore/launch")
    project.ok("install", "--uninstall")
    assert git_files(project) == before


def test_the_launcher_finds_vstore(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vstore that installed is run, whatever the PATH; if it is gone the one on the PATH; if none, nothing."""
    project.ok("install")
    launcher = project.path / ".git/vstore/launch"
    # A package in the work tree that is called like ours is not run.
    project.write("vstore/__main__.py", b"print('a stranger')\n")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    def run() -> str:
        command = ["sh", launcher, "--version"]
        return subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=True).stdout

    assert run().startswith("vstore ")
    launcher.write_text(launcher.read_text().replace("__main__.py", "gone.py"))
    assert run() == ""
    other = tmp_path / "bin/vstore"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho another\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{other.parent}:/usr/bin:/bin")
    assert run() == "another\n"
