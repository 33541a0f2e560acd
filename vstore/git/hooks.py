"""Hooks: scripts of ours beside, or inside, those that are there already.

A hook that is a shell script stays in its place and gets a block of ours at its top, which runs the script first, as
it was (under its own name and from its own directory, at which many of them look), then vstore.  One in any other
language, or one that is a link, is set aside, under its own name in a directory beside that of the hooks, and runs
from there.  Either is undone to the byte.

The blocks hold nothing of this machine, for the directory of hooks may be in git.  They run the launcher in the git
directory, which is of this machine; where there is none they do nothing.
"""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from vstore.durable import flush_directory, os_errors, write_atomic
from vstore.git.program import run_git
from vstore.git.repo import GitRepo

HOOKS = ("pre-commit", "pre-push", "post-checkout", "post-merge", "post-rewrite")
"""The hooks in which vstore has something to do."""

LAUNCHER = "vstore/launch"
"""The script that runs vstore, inside the common git directory."""

LAUNCHER_IN_SHELL = f'"$(git rev-parse --git-common-dir)/{LAUNCHER}"'
"""The same as a word of shell, in whatever repository git runs it."""

MISSING, FOREIGN, ALONE, ABOVE, APART = "missing", "foreign", "alone", "above", "apart"

_LISTENING = ("pre-push", "post-rewrite")
"""The hooks to which git tells something on standard input."""

_HOW = {
    ALONE: "this hook is only vstore's",
    ABOVE: "what follows this block runs first, then vstore",
    APART: "the hook that was set aside runs first, then vstore",
}
_BLOCK = re.compile(rb"# >>> vstore install: ([^\n]+)\n.*?# <<< vstore install\n", re.DOTALL)
_SHELL = re.compile(rb"#![ \t]*(?:\S*/)?(?:env[ \t]+)?(?:\S*/)?(?:sh|bash|dash|ash|ksh|zsh)(?:[ \t\r][^\n]*)?\n")
_SHEBANG = b"#!/bin/sh\n"
_ASIDE = "-before-vstore"


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook: where git looks for it, and what is there.

    ``state``: "missing", "foreign" (somebody else's), or ours: "alone", "above" another's in one file, or "apart" from
    it, which is then at ``aside``.
    """

    name: str
    path: Path
    aside: Path
    state: str
    is_run_by_husky: bool = False


def find_hooks(git: GitRepo, *, with_copies: bool = False) -> list[Hook]:
    """Return the hooks that vstore has to do with, as they are; none where git is told to run none.

    ``with_copies``: also those of ours that another tool set aside, under a longer name.  Raises GitFailedError.
    """
    found = run_git(git.work_tree, "rev-parse", "--git-path", "hooks").removesuffix(b"\n")
    directory = Path(os.path.abspath(git.work_tree / os.fsdecode(found)))
    # What people set core.hooksPath to so that no hook runs: /dev/null, or nothing at all.
    if found == b"./" or (directory.exists() and not directory.is_dir()):
        return []
    # What husky makes anew each time it is installed only runs what stands in the directory above.
    is_husky = directory.name == "_" and directory.parent.name == ".husky"
    directory = directory.parent if is_husky else directory
    copies = sorted(path.name for name in HOOKS for path in directory.glob(f"{name}.*")) if with_copies else []
    hooks = []
    for name in (*HOOKS, *copies):
        path, aside = directory / name, directory.with_name(directory.name + _ASIDE) / name.partition(".")[0]
        state = _find_state(path)
        if name in HOOKS or state in _HOW:
            hooks.append(Hook(name, path, aside, state, is_husky))
    return hooks


def install_hook(hook: Hook) -> str:
    """Let git run vstore in a hook, after what it runs there now; return its new state.

    Each step is durable, and harmless when it is taken again.
    """
    content = _read(hook.path)
    with os_errors(hook.path, "write"):
        hook.path.parent.mkdir(parents=True, exist_ok=True)
        if hook.state in _HOW and content is not None:
            state = hook.state
            _replace(hook.path, _BLOCK.sub(lambda _: _block(hook, state), content, count=1))
        elif content is not None and _is_shell_script(hook, content):
            state = ABOVE
            shebang = content[: content.index(b"\n") + 1] if content.startswith(b"#!") else b""
            _replace(hook.path, shebang + _block(hook, state) + content[len(shebang) :])
        else:
            if hook.state == FOREIGN:
                _set_aside(hook)
            # It may also be there because we died between the two.
            state = APART if os.path.lexists(hook.aside) else ALONE
            write_atomic(hook.path, _SHEBANG + _block(hook, state), mode=0o777)  # for the umask to narrow
    return state


def _set_aside(hook: Hook) -> None:
    hook.aside.parent.mkdir(exist_ok=True)
    if os.path.lexists(hook.aside):  # what an earlier installation found, and another tool left out since then
        os.rename(hook.aside, _free_name(hook.aside))
    os.rename(hook.path, hook.aside)
    flush_directory(hook.aside.parent)


def _free_name(path: Path) -> Path:
    numbered = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    return next(name for name in numbered if not os.path.lexists(name))


def uninstall_hook(hook: Hook) -> None:
    """Leave a hook as it was before, byte for byte; what somebody added to it since stays, at ``aside`` if need be."""
    content = _read(hook.path)
    if hook.state == MISSING and os.path.lexists(hook.aside):  # who installed it died in between
        with os_errors(hook.path, "write"):
            os.rename(hook.aside, hook.path)
    if hook.state not in _HOW or content is None:
        return
    rest = _BLOCK.sub(b"", content, count=1)
    with os_errors(hook.path, "write"):
        if hook.state == APART and os.path.lexists(hook.aside):
            if rest != _SHEBANG:
                write_atomic(_free_name(hook.aside), rest)
            os.rename(hook.aside, hook.path)
            if not any(hook.aside.parent.iterdir()):
                hook.aside.parent.rmdir()
        elif hook.state != ABOVE and rest == _SHEBANG:
            hook.path.unlink()
        else:
            _replace(hook.path, rest)
        flush_directory(hook.path.parent)


def launcher(python: str, module: Path) -> bytes:
    """Return the script that runs vstore: with a Python, if it and the module are still there, or as on the PATH.

    Where vstore is gone, git goes on as it would without.
    """
    return f"""\
# Runs vstore for git: the one that made this, or else the one on the PATH.  Made by `vstore install`.
python={_quote(python)}
module={_quote(os.fspath(module))}
if [ -x "$python" ] && [ -f "$module" ]; then
    exec "$python" -P -m vstore "$@"
elif command -v vstore >/dev/null 2>&1; then
    exec vstore "$@"
fi
case "$1" in
    merge-driver) git merge-file --marker-size="$5" -L ours -L base -L theirs "$3" "$2" "$4" ;;
    diff-driver) shift; cat "$@" ;;
esac
""".encode(errors="surrogateescape")


def _find_state(path: Path) -> str:
    content = _read(path)
    found = _BLOCK.search(content) if content is not None else None
    if found is None:
        return FOREIGN if os.path.lexists(path) else MISSING
    return next((state for state, how in _HOW.items() if how.encode() == found[1]), ABOVE)


def _read(path: Path) -> bytes | None:
    """Return a script that may be changed in its place; None where there is none, or only a link to one."""
    with os_errors(path, "read"):
        return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def _is_shell_script(hook: Hook, content: bytes) -> bool:
    if hook.is_run_by_husky:  # by `sh -e`, whatever it is
        return b"\n" in content or not content.startswith(b"#!")
    if not os.access(hook.path, os.X_OK) or b"\0" in content:
        return False  # git does not run it, and no more shall we
    return bool(_SHELL.match(content)) or not content.startswith(b"#!")


def _block(hook: Hook, state: str) -> bytes:
    """Return what a hook says of ours.

    What it runs first must not run this block again, wherever in it another tool has put this very script.
    """
    inner = {
        ALONE: "",
        ABOVE: 'sh -e "$0" "$@"' if hook.is_run_by_husky else '"$0" "$@"',
        APART: f'"$(dirname "$0"){_ASIDE}/{hook.name}" "$@"',
    }[state]
    feed = 'printf %s "$vstore_input" | ' if hook.name in _LISTENING else ""
    failed = "exit" if hook.name.startswith("pre-") else "vstore_status=$?"
    lines = [f"# >>> vstore install: {_HOW[state]}", f'if [ "${{VSTORE_HOOK-}}" != "{hook.name}:$PWD" ]; then']
    lines.append("    vstore_status=0")
    if feed:
        lines += ["    vstore_input=$(cat; echo .)", '    vstore_input="${vstore_input%.}"']
    if state == APART:
        lines.append(f'    if [ -x "$(dirname "$0"){_ASIDE}/{hook.name}" ]; then')
    if inner:
        indent = "        " if state == APART else "    "
        lines.append(f'{indent}{feed}VSTORE_HOOK="{hook.name}:$PWD" {inner} || {failed}')
    if state == APART:
        lines.append("    fi")
    lines += [
        f"    vstore_launcher={LAUNCHER_IN_SHELL}",
        '    if [ -f "$vstore_launcher" ]; then',
        f'        {feed}sh "$vstore_launcher" hook {hook.name} -- "$@" || {failed}',
        "    fi",
        '    exit "$vstore_status"',
        "fi",
        "# <<< vstore install",
    ]
    return "".join(line + "\n" for line in lines).encode()


def _replace(path: Path, content: bytes) -> None:
    if path.read_bytes() == content:
        return
    mode = path.stat().st_mode & 0o7777
    write_atomic(path, content, mode=mode)
    os.chmod(path, mode)  # whatever the umask took away


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
