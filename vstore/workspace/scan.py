"""Scanning: one ``lstat`` for each file of an artifact, nothing read."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

import xxhash

from vstore.durable import is_temporary, os_errors
from vstore.objects.names import RelPath, is_reserved
from vstore.objects.tree import EXECUTABLE, FILE, SYMLINK
from vstore.progress import SILENT, Reporter
from vstore.workspace.ignoring import IGNORE_FILE, NOTHING_IGNORED, Ignoring

STAT_NUMBERS = 5
"""Of each file: kind, size, mtime_ns, inode, ctime_ns (0 where it is read-only and has several names)."""
_NOTHING: Mapping[str, Sequence[int]] = {}
LINK = 3
KINDS = {1: FILE, 2: EXECUTABLE, LINK: SYMLINK}

Stat = tuple[int, int, int, int, int]


class ScannedDirectory(NamedTuple):
    """The files and links of one directory, as columns sorted by name."""

    path: RelPath
    """Relative to the artifact; "" is the artifact itself."""
    names: list[str]
    stats: array[int]
    """STAT_NUMBERS for each name."""
    hides: bool = False
    """Whether ignore rules keep something in it out."""

    def stat(self, row: int) -> Stat:
        """Return the numbers of one file."""
        a, b, c, d, e = self.stats[row * STAT_NUMBERS : (row + 1) * STAT_NUMBERS]
        return a, b, c, d, e

    def file_path(self, row: int) -> RelPath:
        """Return the path of one file, relative to the artifact."""
        return f"{self.path}/{self.names[row]}" if self.path else self.names[row]


class Scan(NamedTuple):
    """What lies at an artifact's path.

    ``refused`` are the paths that cannot be tracked, with the reason; ``skipped`` those that are passed over on
    purpose, but for what ``ignoring`` keeps out; ``newest_ns`` is the latest time on any file.  Directories in which
    there is nothing but what is kept out are kept out as well, unless they are tracked as empty ones.
    """

    root: Path
    is_directory: bool
    directories: list[ScannedDirectory]
    refused: list[tuple[RelPath, str]]
    skipped: list[RelPath]
    ignoring: Ignoring = NOTHING_IGNORED

    @property
    def files(self) -> int:
        """How many files and links there are."""
        return sum([len(directory.names) for directory in self.directories])

    def find_empty(self) -> set[RelPath]:
        """Return the directories below the artifact's own in which there is nothing, as entries of a tree."""
        bare = {directory.path for directory in self.directories if directory.path and not directory.names}
        return bare - {directory.path.rpartition("/")[0] for directory in self.directories} if bare else bare

    @property
    def newest_ns(self) -> int:
        """The latest mtime or ctime of any file."""
        newest = 0
        for directory in self.directories:
            newest = max(newest, max(directory.stats[2::STAT_NUMBERS], default=0))
            newest = max(newest, max(directory.stats[4::STAT_NUMBERS], default=0))
        return newest

    def fingerprint(self) -> bytes:
        """Return a hash of every name and number; equal fingerprints mean that nothing was touched."""
        state = xxhash.xxh3_128()
        for directory in self.directories:
            state.update(f"{directory.path}\0{len(directory.names)}\0".encode(errors="surrogateescape"))
            state.update("\0".join(directory.names).encode(errors="surrogateescape"))
            state.update(directory.stats.tobytes())
        return state.digest()


def take_stat(result: os.stat_result) -> Stat | None:
    """Return the numbers that tell whether a file was touched, or None for what is neither file nor link."""
    mode = result.st_mode
    if mode & 0o170000 == stat.S_IFREG:
        code = 2 if mode & stat.S_IXUSR else 1
    elif mode & 0o170000 == stat.S_IFLNK:
        code = LINK
    else:
        return None
    # Making or removing another link to a cached object changes its ctime, but nothing of ours.
    ctime_ns = result.st_ctime_ns if result.st_nlink == 1 or mode & 0o222 else 0
    return code, result.st_size, result.st_mtime_ns, result.st_ino, ctime_ns


def scan(root: Path, *, ignoring: Ignoring = NOTHING_IGNORED, reporter: Reporter = SILENT) -> Scan:
    """Scan a file or a directory; symlinks are not followed.  Raises UnavailableError, PermissionDeniedError.

    A path at which nothing is gives an empty scan of a file.  4 us a file.
    """
    with os_errors(root, "read"):
        try:
            result = os.lstat(root)
        except (FileNotFoundError, NotADirectoryError):
            return Scan(root, False, [ScannedDirectory("", [], array("q"))], [], [])
        if stat.S_ISDIR(result.st_mode):
            return _scan_tree(root, ignoring, reporter)
    numbers = take_stat(result)
    if numbers is None:
        return Scan(root, False, [ScannedDirectory("", [], array("q"))], [("", _special(result.st_mode))], [])
    return Scan(root, False, [ScannedDirectory("", [root.name], array("q", numbers))], [], [])


def _scan_tree(root: Path, ignoring: Ignoring, reporter: Reporter) -> Scan:
    found = Scan(root, True, [], [], [], ignoring)
    pending = [("", ignoring)]
    while pending:
        path, rules = pending.pop()
        try:
            below = _scan_directory(found, path, rules)
        except PermissionError as error:
            found.refused.append((path, f"cannot be read: {os.strerror(error.errno or 0).lower()}"))
            continue
        if below is not None:
            pending += reversed(below)
            reporter.advance(len(found.directories[-1].names))
    return _without_hollow(found)


def _without_hollow(found: Scan) -> Scan:
    """Leave out the directories that hold nothing but what is kept out, and are not tracked as empty."""
    if not any(directory.hides for directory in found.directories):
        return found
    kept: list[ScannedDirectory] = []
    hollow, occupied = set[RelPath](), set[RelPath]()
    for directory in reversed(found.directories):  # what lies in a directory comes behind it
        path = directory.path
        is_bare = bool(path) and not directory.names and path not in occupied
        is_hollow = is_bare and (directory.hides or path in hollow) and not found.ignoring.is_tracked_empty(path)
        (hollow if is_hollow else occupied).add(path.rpartition("/")[0])
        if not is_hollow:
            kept.append(directory)
    return found._replace(directories=kept[::-1])


def _scan_directory(
    found: Scan, path: RelPath, ignoring: Ignoring, known: Mapping[str, Sequence[int]] = _NOTHING
) -> list[tuple[RelPath, Ignoring]] | None:
    """Add one directory to a scan, and return those in it with their rules; None if it vanished.  Raises OSError.

    Files whose numbers are ``known`` are not looked at.
    """
    prefix = path + "/" if path else ""
    names: list[str] = []
    numbers: list[int] = []
    hides = False
    below: list[tuple[RelPath, Ignoring]] = []
    try:
        place = f"{found.root}/{path}" if path else found.root
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        if not path:
            raise
        return None
    try:
        listed = sorted(os.listdir(descriptor))
        if IGNORE_FILE in listed:
            ignoring = ignoring.with_rules_in(descriptor)
        has_rules = ignoring.has_rules
        # Asking by name below a descriptor is a fifth faster than asking the entries of os.scandir.
        for name in listed:
            if name in known:
                names.append(name)
                numbers += known[name]
                continue
            try:
                result = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if has_rules and ignoring.is_ignored(name, directory=stat.S_ISDIR(result.st_mode)):
                hides = True
                continue
            taken = take_stat(result)
            if taken is not None:
                if name[0] == "." and is_temporary(name):
                    found.skipped.append(prefix + name)
                    continue
                names.append(name)
                numbers += taken
            elif not stat.S_ISDIR(result.st_mode):
                found.refused.append((prefix + name, _special(result.st_mode)))
            elif is_reserved(name) or is_temporary(name):
                found.skipped.append(prefix + name)
            else:
                below.append((prefix + name, ignoring.enter(name)))
    finally:
        os.close(descriptor)
    found.directories.append(ScannedDirectory(path, names, array("q", numbers), hides))
    return below


def _special(mode: int) -> str:
    for test, what in (
        (stat.S_ISFIFO, "is a named pipe"),
        (stat.S_ISSOCK, "is a socket"),
        (stat.S_ISBLK, "is a block device"),
        (stat.S_ISCHR, "is a character device"),
    ):
        if test(mode):
            return what
    return "is neither a file, a directory nor a link"


def iter_rows(directories: Iterable[ScannedDirectory]) -> Iterator[tuple[ScannedDirectory, int]]:
    """Yield every file as (directory, row)."""
    for directory in directories:
        for row in range(len(directory.names)):
            yield directory, row


def rescan(before: Scan, root: Path, touched: Set[RelPath]) -> Scan:
    """Scan again after some files were written or deleted: only they and what is new are looked at.

    ``touched`` are their paths, relative to the artifact.  Raises UnavailableError.
    """
    with os_errors(root, "read"):
        if not before.is_directory or not before.directories or not root.is_dir() or root.is_symlink():
            return scan(root, ignoring=before.ignoring)
        former = {directory.path: directory for directory in before.directories}
        # A directory that came or went shows in the one above it.
        affected: set[RelPath] = set()
        for path in touched:
            while path:
                path = path.rpartition("/")[0]
                affected.add(path)
        names_below: dict[RelPath, list[RelPath]] = {}
        for path in former:
            if path:
                names_below.setdefault(path.rpartition("/")[0], []).append(path)
        found = Scan(root, True, [], [], [], before.ignoring)
        pending = [("", before.ignoring)]
        while pending:
            path, ignoring = pending.pop()
            directory = former.get(path)
            if directory is not None and path not in affected:
                found.directories.append(directory)
                if IGNORE_FILE in directory.names:
                    ignoring = ignoring.with_rules_in(root / path)
                directories = sorted(names_below.get(path, ()), reverse=True)
                pending += [(below, ignoring.enter(below.rpartition("/")[2])) for below in directories]
                continue
            pending += reversed(_scan_directory(found, path, ignoring, _untouched(directory, touched)) or ())
    return _without_hollow(found)


def _untouched(directory: ScannedDirectory | None, touched: Set[RelPath]) -> Mapping[str, Sequence[int]]:
    if directory is None:
        return _NOTHING
    prefix = directory.path + "/" if directory.path else ""
    return {
        name: directory.stats[row * STAT_NUMBERS : (row + 1) * STAT_NUMBERS]
        for row, name in enumerate(directory.names)
        if prefix + name not in touched
    }
