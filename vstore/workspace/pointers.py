"""Pointer files: finding them, reading and writing them, at work or at a git revision."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from vstore.durable import os_errors, write_atomic
from vstore.errors import NameRefusedError, NotTrackedError, VstoreError
from vstore.objects.names import RelPath, find_refusal, is_reserved
from vstore.objects.pointer import (
    MAX_POINTER_BYTES,
    POINTER_SUFFIX,
    Pointer,
    awaited_from_bytes,
    pointer_from_bytes,
    pointer_to_bytes,
)

# A link in a pointer's place could make us read anything, and a pipe wait for ever.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Artifact(NamedTuple):
    """Something tracked: where its data lies, relative to the work tree, and what its pointer says.

    ``pointer`` is the error where the pointer file cannot be read, so that one broken pointer stops nobody else.
    """

    path: RelPath
    pointer: Pointer | VstoreError

    @property
    def pointer_path(self) -> RelPath:
        """Where the pointer file lies."""
        return self.path + POINTER_SUFFIX

    @property
    def is_in_conflict(self) -> bool:
        """Whether the pointer file holds the markers of a merge."""
        return isinstance(self.pointer, VstoreError) and bool(self.pointer.fields.get("conflict"))


def parse_artifact(pointer_path: RelPath, data: bytes) -> Artifact:
    """Return the artifact of a pointer file; a broken one carries its error."""
    path = pointer_path.removesuffix(POINTER_SUFFIX)
    reason = find_refusal(path)
    if reason:
        return Artifact(path, NameRefusedError(f"{pointer_path!r} {reason}", names=[(pointer_path, reason)]))
    try:
        return Artifact(path, pointer_from_bytes(data, pointer_path))
    except VstoreError as error:
        return Artifact(path, error)


def find_artifact(work_tree: Path, path: RelPath) -> Artifact | None:
    """Return the artifact whose data lies at ``path``, or None if no pointer file says so."""
    data = _read_file(work_tree, path)
    return None if data is None else parse_artifact(path + POINTER_SUFFIX, data)


def load_awaited(work_tree: Path, path: RelPath) -> Pointer:
    """Return what a pointer says, also that of an import that was not downloaded yet: its digest is then empty.

    Raises NotTrackedError, and what makes a pointer broken.
    """
    data = _read_file(work_tree, path)
    if data is None:
        raise NotTrackedError(f"{path} is not tracked by vstore", path=path)
    return awaited_from_bytes(data, path + POINTER_SUFFIX)


def _read_file(work_tree: Path, path: RelPath) -> bytes | None:
    """Return the pointer file of the data at a path, or None if there is none."""
    pointer_path = path + POINTER_SUFFIX
    with os_errors(pointer_path, "read"):
        try:
            descriptor = os.open(f"{work_tree}/{pointer_path}", _READ_FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            # A file inside a tree may have a name that leaves no room for ".vstore".
            if error.errno != errno.ENAMETOOLONG:
                raise
            return None
        try:
            result = os.fstat(descriptor)
            if stat.S_ISDIR(result.st_mode):
                return None
            # What is longer is refused, however long it is.
            return os.read(descriptor, min(result.st_size, MAX_POINTER_BYTES) + 1)
        finally:
            os.close(descriptor)


def find_owner(work_tree: Path, path: RelPath) -> Artifact | None:
    """Return the artifact at ``path`` or above it, or None.

    The topmost: all that lies inside a tracked directory is data, also a file that is called like a pointer.
    """
    end = 0
    while path and end != len(path):
        end = path.find("/", end + 1)
        end = len(path) if end < 0 else end
        artifact = find_artifact(work_tree, path[:end])
        if artifact is not None:
            return artifact
    return None


def get_owner(work_tree: Path, path: RelPath) -> Artifact:
    """Return the artifact at ``path`` or above it.  Raises NotTrackedError."""
    artifact = find_owner(work_tree, path)
    if artifact is None:
        raise NotTrackedError(f"{path or '.'} is not tracked by vstore", path=path)
    return artifact


def iter_artifacts(
    work_tree: Path, below: RelPath = "", *, is_ignored: Callable[[RelPath], bool] = lambda path: False
) -> Iterator[Artifact]:
    """Yield the artifacts at or below a directory, by path.

    Data of artifacts, other repositories and directories for which ``is_ignored`` are not looked into.
    """
    if below and os.path.realpath(work_tree / below) != os.path.join(os.path.realpath(work_tree), below):
        return  # through a link, which may lead anywhere
    pending = [below]
    while pending:
        directory = pending.pop()
        prefix = directory + "/" if directory else ""
        pointers: list[str] = []
        directories: list[str] = []
        try:
            with os.scandir(work_tree / directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.name)
                    elif entry.name.endswith(POINTER_SUFFIX) and entry.name != POINTER_SUFFIX:
                        pointers.append(entry.name)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        data = {name.removesuffix(POINTER_SUFFIX) for name in pointers}
        for name in sorted(pointers):
            path = prefix + name.removesuffix(POINTER_SUFFIX)
            try:
                artifact = find_artifact(work_tree, path)
            except VstoreError as error:
                artifact = Artifact(path, error)
            if artifact is not None:
                yield artifact
        for name in sorted(directories, reverse=True):
            path = prefix + name
            if name in data or is_reserved(name) or is_ignored(path) or os.path.lexists(f"{work_tree}/{path}/.git"):
                continue
            pending.append(path)


def write_pointer(work_tree: Path, path: RelPath, pointer: Pointer) -> bool:
    """Write the pointer of the data at ``path``, keeping what a person wrote into it; False if nothing changed.

    Raises PointerInvalidError if a broken pointer is there: nothing of it is overwritten.
    """
    file = work_tree / (path + POINTER_SUFFIX)
    with os_errors(file, "write"):
        try:
            old: bytes | None = file.read_bytes()
        except FileNotFoundError:
            old = None
        if old is not None and awaited_from_bytes(old, path + POINTER_SUFFIX) == pointer:
            return False
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, pointer_to_bytes(pointer, old))
    return True
