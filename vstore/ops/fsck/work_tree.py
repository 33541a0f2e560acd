"""Comparing the files of the work tree with what is known of them, and with the objects that they are links to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vstore.cache.inspection import Inspected
from vstore.errors import UnavailableError
from vstore.objects.digest import Digest, algorithm_of
from vstore.objects.names import RelPath
from vstore.objects.tree import EXECUTABLE, FILE, Entry
from vstore.ops.placing import Edits, place
from vstore.repo import Repo
from vstore.workspace.ignoring import load_ignoring
from vstore.workspace.linked import LinkedObjects
from vstore.workspace.reading import Reading
from vstore.workspace.scan import STAT_NUMBERS, Scan, iter_rows, scan
from vstore.workspace.snapshot import UNKNOWN, Snapshot, match, state_path

_LINK = 3
_PASSED_OVER = Digest("-")
_UNREADABLE = "cannot be read"


@dataclass(slots=True)
class Compared:
    """What was found in one artifact; all paths are of the work tree.

    ``wrong`` are the files that are not what the state says, though nothing shows that they were touched.
    ``spoiled`` are links to damaged objects, with the object's digest.  ``unreadable`` has reasons.
    """

    files: int = 0
    wrong: list[RelPath] = field(default_factory=list)
    spoiled: dict[RelPath, Digest] = field(default_factory=dict)
    unreadable: list[tuple[RelPath, str]] = field(default_factory=list)


def compare(repo: Repo, path: RelPath, inspected: Inspected) -> Compared:
    """Read the files of an artifact that the state vouches for, but for links to objects that were verified."""
    compared = Compared()
    try:
        ignoring = load_ignoring(repo.work_tree, path, repo.cache, repo.state)
        found = scan(repo.work_tree / path, ignoring=ignoring)
    except UnavailableError as error:
        compared.unreadable.append((path, error.message))
        return compared
    records = repo.state.load_directories(path)

    def believe() -> list[list[Digest]]:
        return [match(directory, records.get(state_path(path, directory.path))) for directory in found.directories]

    believed = believe()
    is_shared = _device(repo.work_tree) == _device(repo.cache.objects)
    sound = inspected.linked if is_shared else {}
    truth = [
        [
            _choose(digest, numbers[0], numbers[3], sound, repo.algorithm)
            for digest, numbers in zip(column, map(directory.stat, range(len(column))), strict=True)
        ]
        for directory, column in zip(found.directories, believed, strict=True)
    ]
    compared.files = sum(digest != _PASSED_OVER for column in truth for digest in column)
    reading = Reading(found, truth, LinkedObjects(repo.state, repo.cache), repo.algorithm, None)
    reading.run(min(4, repo.jobs), repo.reporter)
    # What changes or cannot be tracked is no damage: status tells it.
    unreadable = [(failed, reason) for failed, reason in reading.failed if reason.startswith(_UNREADABLE)]
    compared.unreadable += [(_join(path, failed), reason) for failed, reason in unreadable]
    # What was touched while it was read is not believed any more.
    if inspected.spoiled:
        compared.spoiled = _find_spoiled(repo, path, found, inspected.spoiled if is_shared else {})
    for directory, now, columns in zip(found.directories, believe(), truth, strict=True):
        for row, (said, is_) in enumerate(zip(now, columns, strict=True)):
            if said and is_ not in (said, UNKNOWN, _PASSED_OVER):
                file = _join(path, directory.file_path(row) if found.is_directory else "")
                if file not in compared.spoiled:
                    compared.wrong.append(file)
    is_clear = not (compared.wrong or compared.spoiled or reading.failed)
    if is_clear and _is_root_wrong(repo, path, found, reading, truth):
        compared.wrong.append(path)
    return compared


def _choose(digest: Digest, kind: int, inode: int, sound: Mapping[int, Digest], algorithm: str) -> Digest:
    """Return what needs no reading: what nobody vouches for, and links to what was verified."""
    if kind == _LINK:
        return UNKNOWN
    if not digest or algorithm_of(digest).name != algorithm:
        return _PASSED_OVER
    return digest if sound.get(inode) == digest else UNKNOWN


def _is_root_wrong(repo: Repo, path: RelPath, found: Scan, reading: Reading, truth: list[list[Digest]]) -> bool:
    """Tell whether what is known of an artifact as a whole does not fit its files, which are known one by one."""
    known = repo.state.find_root(path)
    if known is None or not found.is_directory or found.refused or known.fingerprint != found.fingerprint():
        return False
    if any(_PASSED_OVER in column for column in truth):
        return False
    snapshot = reading.snapshot()
    return (snapshot.digest, snapshot.size_bytes, snapshot.files) != known[1:]


def _find_spoiled(repo: Repo, path: RelPath, found: Scan, spoiled: Mapping[int, Digest]) -> dict[RelPath, Digest]:
    """Return the files that are hardlinks or symlinks to damaged objects."""
    links: dict[RelPath, Digest] = {}
    damaged = set(spoiled.values())
    for directory, row in iter_rows(found.directories):
        kind, inode = directory.stats[row * STAT_NUMBERS], directory.stats[row * STAT_NUMBERS + 3]
        file = _join(path, directory.file_path(row) if found.is_directory else "")
        digest = spoiled.get(inode)
        if kind == _LINK:
            digest = repo.cache.find_linked(os.readlink(repo.work_tree / file))
            digest = digest if digest in damaged else None
        if digest is not None:
            links[file] = digest
    return links


def relink(repo: Repo, root: RelPath, spoiled: Mapping[RelPath, Digest]) -> tuple[list[RelPath], list[RelPath]]:
    """Link files anew to objects that were mended; returns those that are good again, and those that stay.

    Only what nobody touched is replaced: it is what vstore put there, but for its spoiled bytes, and these are kept
    where the damaged object was set aside.
    """
    snapshot = repo.snapshotter().take(repo.work_tree / root, root)
    good: list[RelPath] = []
    touched: list[RelPath] = []
    entries: list[Entry] = []
    for entry in iter_files(snapshot):
        path = _join(root, entry.path)
        digest = spoiled.get(path)
        if digest is None or not repo.cache.has(digest):
            continue
        if (repo.work_tree / path).is_symlink():
            good.append(path)
        elif entry.digest == digest:
            entries.append(entry)
        else:
            touched.append(path)
    if entries:
        result = place(repo, root, Edits(entries, []), before=snapshot, after=snapshot)
        good += [_join(root, entry.path) for entry in entries if entry.path in result.written]
    return good, touched


def iter_files(snapshot: Snapshot) -> Iterable[Entry]:
    """Return the entries of whatever lies at an artifact's path; a file's path is ""."""
    if snapshot.kind != "file":
        return snapshot.iter_entries()
    kind = EXECUTABLE if snapshot.executable else FILE
    return [Entry("", kind, snapshot.size_bytes, snapshot.digest)]


def forget(repo: Repo, path: RelPath) -> None:
    """Forget what is known of an artifact's files, but not what was put there: they are read again when needed."""
    repo.state.save(path, [], repo.state.load_directories(path), None)


def _device(path: os.PathLike[str]) -> int:
    try:
        return os.stat(path).st_dev
    except OSError:
        return -1


def _join(root: RelPath, path: RelPath) -> RelPath:
    return f"{root}/{path}" if path else root
