"""Who uses a cache: every work tree notes itself in it, so that a collector knows whose data is there.

A note that its work tree cannot be found by any more stays until somebody says so: the disk may come back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vstore.cache.cache import USERS, Cache
from vstore.durable import flush_directory, is_temporary, os_errors, write_atomic
from vstore.errors import CorruptError, NeedsUnknownError, NewerFormatError

USER_VERSION = 1
_SUFFIX = ".json"
_ID_BYTES = 16
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class User:
    """A work tree that uses a cache.

    ``home`` is where what belongs to this work tree alone is kept: its git directory, or ``.vstore``.  ``shared`` is
    that of all worktrees of its git repository, None without git.  ``id`` is kept in ``home`` and moves along with it;
    so do, on one file system, the inodes of both directories, which a copy does not have.  ``owns_cache``: the cache
    lies inside of them, and is moved and copied along with them.
    """

    work_tree: str
    home: str
    shared: str | None
    id: str
    inode: int
    shared_inode: int | None
    owns_cache: bool

    @property
    def is_linked(self) -> bool:
        """Whether it is a worktree beside the main one: such come and go."""
        return self.shared is not None and self.shared != self.home

    @property
    def name(self) -> str:
        """The name of its note."""
        return hashlib.sha256(os.fsencode(f"{self.work_tree}\0{self.id}")).hexdigest()[:32] + _SUFFIX

    def to_bytes(self) -> bytes:
        """Return the note."""
        return (json.dumps({"version": USER_VERSION, **dataclasses.asdict(self)}, indent=1) + "\n").encode()


def identify(work_tree: Path, home: Path, shared: Path | None, *, id_file: Path, owns_cache: bool) -> User:
    """Return a work tree as a user of caches, making its id if it has none yet.  Raises OSError."""
    try:
        identity = id_file.read_text("ascii")
    except FileNotFoundError:
        identity = secrets.token_hex(_ID_BYTES)
        id_file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(id_file, identity.encode())
        identity = id_file.read_text("ascii")  # another command may have been as quick
    return User(
        work_tree=str(work_tree),
        home=str(home),
        shared=None if shared is None else str(shared),
        id=identity,
        inode=os.stat(home).st_ino,
        shared_inode=None if shared is None else os.stat(shared).st_ino,
        owns_cache=owns_cache,
    )


def is_there(user: User, *, id_file: Path) -> bool:
    """Tell whether what a user calls its home still is the same directory.  Raises OSError.

    Its id tells; the number of the directory only where the id is lost: at the same path of another machine, or of
    another container, another directory may have that number.
    """
    try:
        inode = os.stat(user.home).st_ino
        with contextlib.suppress(FileNotFoundError):
            return id_file.read_text("ascii") == user.id
        return inode == user.inode
    except (FileNotFoundError, NotADirectoryError):
        return False


def note(cache: Cache, user: User) -> None:
    """Note a user in a cache, durably, unless it is; 30 us where it is.  Raises OSError."""
    path = cache.path / USERS / user.name
    wanted = user.to_bytes()
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == wanted:
            return
    write_atomic(path, wanted)
    path.chmod(cache.file_mode(0o644))  # whatever the umask: whoever collects must be able to read it


def list_users(cache: Cache, forgotten: Collection[str] = ()) -> list[User]:
    """Return all users of a cache, by their work trees, without those whose notes (their paths) are forgotten.

    Raises NeedsUnknownError naming the notes that cannot be understood, NewerFormatError.
    """
    directory = cache.path / USERS
    users: list[User] = []
    failed: list[tuple[str, str]] = []
    with os_errors(directory, "read"):
        names = sorted(os.listdir(directory)) if directory.is_dir() else []
    for path in (directory / name for name in names if not is_temporary(name)):
        if str(path) not in forgotten:
            try:
                users.append(_user_from_bytes(_read(path), path))
            except NewerFormatError:
                raise
            except OSError as error:
                failed.append((str(path), f"it cannot be read: {error.strerror}"))
            except CorruptError as error:
                failed.append((str(path), error.message))
    if failed:
        fact = "who uses the cache cannot be read, so nothing was removed"
        raise NeedsUnknownError(fact, failed=failed, keys=[path for path, _ in failed])
    return sorted(users, key=lambda user: (user.work_tree, user.id))


def _read(path: Path) -> bytes:
    """Return the bytes of a note, which whoever shares the cache may have made anything else.  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        return file.read(_MAX_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


def forget(cache: Cache, name: str) -> None:
    """Take a note away."""
    path = cache.path / USERS / name
    with os_errors(path, "delete"):
        path.unlink(missing_ok=True)
        flush_directory(path.parent)


def _user_from_bytes(data: bytes, path: Path) -> User:
    try:
        values: dict[str, Any] = json.loads(data)
        version = values.pop("version")
        if version != USER_VERSION:
            raise NewerFormatError(f"{path} has format version {version!r}", path=str(path), version=version)
        user = User(**values)
        texts: list[Any] = [user.work_tree, user.home, user.id, *([] if user.shared is None else [user.shared])]
        numbers: list[Any] = [user.inode, *([] if user.shared is None else [user.shared_inode])]
        if not all(isinstance(text, str) and text for text in texts) or not all(type(n) is int for n in numbers):
            raise ValueError("a field has the wrong type")
        places = [user.work_tree, user.home, user.shared or user.home]
        if not all(os.path.isabs(place) and "\0" not in place for place in places):
            raise ValueError("a path is none")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptError("it does not say which repository uses the cache", path=str(path)) from error
    if user.name != path.name:
        raise CorruptError("it is the note of another repository", path=str(path))
    return user
