"""Changing configuration files: each change is durable and all or nothing, and keeps comments, order and mode."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from vstore.config.layers import masked_url
from vstore.config.settings import check_setting, is_secret
from vstore.config.syntax import canonical_name, remove_section_in, rename_section_in, set_in, unset_in
from vstore.durable import open_atomic, os_errors

_DEFAULT_MODE = 0o666


def set_value(path: Path, name: str, value: str) -> None:
    """Set a value in a file, which is made if need be; one that holds a secret is closed to others.

    Raises ConfigInvalidError for an unknown setting (field ``near``: the likeliest name, or None), for a value that
    it cannot have, and for a file that is not well formed.
    """
    canonical = check_setting(name, value)
    hide = is_secret(canonical) or masked_url(value) != value
    _edit(path, lambda text: set_in(text, str(path), canonical, value), hide=hide)


def unset_value(path: Path, name: str) -> None:
    """Remove a value from a file.  Raises SettingNotFoundError where it is not set there, ConfigInvalidError."""
    canonical = canonical_name(name)
    _edit(path, lambda text: unset_in(text, str(path), canonical))


def remove_section(path: Path, name: str) -> None:
    """Remove a section, such as remote.NAME, from a file.  Raises SettingNotFoundError, ConfigInvalidError."""
    canonical = _canonical_section(name)
    _edit(path, lambda text: remove_section_in(text, str(path), canonical))


def rename_section(path: Path, old: str, new: str) -> None:
    """Rename a section of a file.  Raises SettingNotFoundError, ConfigInvalidError."""
    before, after = _canonical_section(old), _canonical_section(new)
    _edit(path, lambda text: rename_section_in(text, str(path), before, after))


def _canonical_section(name: str) -> str:
    return canonical_name(f"{name}.key").removesuffix(".key")


def _edit(path: Path, change: Callable[[str], str], *, hide: bool = False) -> None:
    # A link into somebody's collection of settings stays one, as with git.
    target = Path(os.path.realpath(path))
    with os_errors(path, "write"):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent):
        _edit_alone(target, path, change, hide=hide)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep others from changing files of a directory meanwhile; the lock leaves nothing behind, however we end."""
    with os_errors(directory, "read"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _edit_alone(target: Path, path: Path, change: Callable[[str], str], *, hide: bool) -> None:
    with os_errors(path, "read"):
        try:
            content = target.read_bytes()
            mode = stat.S_IMODE(target.stat().st_mode)
        except FileNotFoundError:
            content, mode = b"", _DEFAULT_MODE
    changed = change(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")
    if hide:
        mode &= 0o700
    if changed == content:
        return
    with os_errors(path, "write"), open_atomic(target, mode=mode) as file:
        file.write(changed)
        if mode != _DEFAULT_MODE:  # a new file's mode is for the umask to narrow
            os.fchmod(file.fileno(), mode)
