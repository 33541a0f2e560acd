"""What the files of a work tree need of a cache: pointers that lie there, committed or not, and links to objects."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from vstore.durable import os_errors
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath, is_reserved
from vstore.objects.pointer import MAX_POINTER_BYTES, POINTER_SUFFIX

# Of any cache: the same one may be reached by another path.
_OBJECT = re.compile(r"(?:^|/)objects/(?:(xxh128)/([0-9a-f]{2})/([0-9a-f]{30})|(blake3)/([0-9a-f]{2})/([0-9a-f]{62}))$")


@dataclass(slots=True)
class Uses:
    """What was found: the bytes of each pointer file by its path, and what is linked to."""

    pointers: dict[RelPath, bytes] = field(default_factory=dict)
    links: set[Digest] = field(default_factory=set)


def find_uses(work_tree: Path) -> Uses:
    """Look through a whole work tree, also where git ignores it; 1 us a file.

    Other repositories inside it are not looked into.  Whatever cannot be read is an error, for what it holds is not
    known then.  Raises UnavailableError, PermissionDeniedError.
    """
    uses = Uses()
    # Directories, and whether they are data: files in data are never pointers, whatever they are called.
    pending: list[tuple[str, bool]] = [("", False)]
    while pending:
        directory, is_data = pending.pop()
        prefix = directory + "/" if directory else ""
        pointers: set[str] = set()
        below: list[str] = []
        with os_errors(work_tree / directory, "read"):
            try:
                entries = list(os.scandir(f"{work_tree}/{directory}"))
            except FileNotFoundError:
                if not directory:
                    raise
                continue
            for entry in entries:
                if entry.is_symlink():
                    _note_link(entry.path, uses)
                elif entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                elif not is_data and entry.name.endswith(POINTER_SUFFIX) and entry.name != POINTER_SUFFIX:
                    pointers.add(entry.name)
        for name in pointers:
            data = _read(f"{work_tree}/{prefix}{name}")
            if data is not None:
                uses.pointers[prefix + name] = data
        for name in below:
            path = prefix + name
            if not is_reserved(name) and not (not is_data and os.path.lexists(f"{work_tree}/{path}/.git")):
                pending.append((path, is_data or name + POINTER_SUFFIX in pointers))
    return uses


def _note_link(path: str, uses: Uses) -> None:
    try:
        found = _OBJECT.search(os.readlink(path))
    except FileNotFoundError:
        return
    if found is not None:
        algorithm, first, rest = filter(None, found.groups())
        uses.links.add(Digest(f"{algorithm}:{first}{rest}"))


def _read(path: str) -> bytes | None:
    """Return the content of a file that may be a pointer; None where it is gone, or no ordinary file."""
    with os_errors(path, "read"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            return file.read(MAX_POINTER_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
