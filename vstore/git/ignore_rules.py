"""Ignore rules: the lines that keep tracked data out of git, in the .gitignore beside the data."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Set
from pathlib import Path

from vstore.durable import flush_directory, open_atomic, os_errors
from vstore.errors import ConflictError, VstoreError

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_DEFAULT_MODE = 0o666


def escape_pattern(name: str) -> str:
    """Return the line that makes git ignore exactly ``name``, in the directory of the .gitignore.

    A line can hold no newline, and no carriage return at its end: each is matched as any one character.
    """
    # The slash binds the rule to its directory, and takes its meaning from a leading "#", "!" or "-".
    # Blank bytes are escaped because git drops spaces at the end of a line, and libgit2, which other programs use,
    # drops all sorts, and hangs on some.
    escaped = re.sub(r"[\\*?\[\t\v\f]| (?= *$)", r"\\\g<0>", name)
    return "/" + re.sub("[\r\n]", "?", escaped)


def add_rule(directory: Path, name: str) -> bool:
    """Make ``directory/.gitignore`` ignore ``name``; return whether it had to change.

    Durable and all or nothing; everything else in the file stays byte for byte, and so does its mode.
    Raises ConflictError where .gitignore is a symbolic link, which git does not follow.
    """
    return add_rules(directory, [name])


def add_rules(directory: Path, names: Iterable[str]) -> bool:
    """Make ``directory/.gitignore`` ignore many names, in one write.  Otherwise as ``add_rule``."""
    path = directory / ".gitignore"
    content, mode = _read(path)
    present = _lasting(content)
    wanted = dict.fromkeys(os.fsencode(escape_pattern(name)) for name in names)
    rules = [rule for rule in wanted if rule not in present]
    if not rules:
        return False
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    added = newline.join(rules)
    if content and not content.endswith(b"\n"):
        _write(path, content + newline + added, mode)
    else:
        _write(path, content + added + newline, mode)
    return True


def has_rule(content: bytes, name: str) -> bool:
    """Tell whether the content of a .gitignore ignores ``name`` by the rule that ``add_rule`` adds."""
    return os.fsencode(escape_pattern(name)) in _lasting(content)


def _lasting(content: bytes) -> Set[bytes]:
    """Return the rules that no other of the same file undoes."""
    lines = [_stripped(line) for line in _LINE.findall(content)]
    # An exception ("!data") undoes the rules above it: only the lines below the last one count.
    exceptions = [number for number, line in enumerate(lines, 1) if line.startswith(b"!")]
    return set(lines[max(exceptions, default=0) :])


class OwnRules:
    """The rules that ``add_rule`` added to many directories of a work tree; each file is read once."""

    def __init__(self, work_tree: Path) -> None:
        self._work_tree = work_tree
        self._rules: dict[str, Set[bytes]] = {}

    def cover(self, path: str) -> bool:
        """Tell whether such a rule makes git ignore a path of the work tree; one that cannot be read does not."""
        directory, _, name = path.rpartition("/")
        if directory not in self._rules:
            content = b""
            with contextlib.suppress(VstoreError):
                content = read_rules(self._work_tree / directory)
            self._rules[directory] = _lasting(content)
        return os.fsencode(escape_pattern(name)) in self._rules[directory]


def read_rules(directory: Path) -> bytes:
    """Return the content of the .gitignore in a directory; nothing where git finds none."""
    path = directory / ".gitignore"
    return b"" if path.is_symlink() else _read(path)[0]


def remove_rule(directory: Path, name: str) -> bool:
    """Undo ``add_rule``; return whether anything had to change.

    A file that held nothing else is deleted.  Otherwise as ``add_rule``.
    """
    path = directory / ".gitignore"
    rule = os.fsencode(escape_pattern(name))
    content, mode = _read(path)
    lines = _LINE.findall(content)
    kept = b"".join(line for line in lines if _stripped(line) != rule)
    if len(kept) == len(content):
        return False
    if not content.endswith(b"\n"):
        kept = _stripped(kept)
    _write(path, kept, mode)
    return True


def _stripped(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _read(path: Path) -> tuple[bytes, int]:
    with os_errors(path, "read"):
        if path.is_symlink():
            raise ConflictError(f"{path} is a symbolic link, which git does not follow", path=str(path))
        try:
            with open(path, "rb") as file:
                return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        except FileNotFoundError:
            return b"", _DEFAULT_MODE


def _write(path: Path, content: bytes, mode: int) -> None:
    with os_errors(path, "write"):
        if not content:
            path.unlink()
            flush_directory(path.parent)
            return
        with open_atomic(path, mode=mode) as file:
            file.write(content)
            if mode != _DEFAULT_MODE:  # a new file's mode is for the umask to narrow
                os.fchmod(file.fileno(), mode)
