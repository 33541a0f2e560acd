"""Taking an artifact over: its pointer and ignore rule are written, its files stay where they are.

Only what is a link into the other tool's store is replaced, so that the store can go.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from vstore.cache.loose import hash_file
from vstore.durable import os_errors
from vstore.git.ignore_rules import add_rules
from vstore.objects.digest import algorithm_of
from vstore.objects.names import RelPath, find_refusal
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, Entry, Tree
from vstore.ops.add import tree_pointer
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignFile, ForeignName
from vstore.ops.migrate.memory import Held
from vstore.ops.placing import Edits, place
from vstore.ops.resolve import list_artifacts
from vstore.repo import Repo
from vstore.state import Placed
from vstore.workspace.pointers import find_owner
from vstore.workspace.snapshot import Snapshot

_LINKED_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Taken(NamedTuple):
    """An artifact of another tool as ours: what its pointer says, and the encoding of its tree."""

    artifact: ForeignArtifact
    pointer: Pointer
    tree: bytes | None = None
    snapshot: Snapshot | None = None
    """What lies at its path; None for a version that is not the present one."""


def find_obstacle(repo: Repo, path: RelPath, leaving: Set[RelPath] = frozenset()) -> str | None:
    """Return why no artifact can be at a path, or None; ``leaving`` are files that git will not keep any more."""
    if why := find_refusal(path):
        return why
    owner = find_owner(repo.work_tree, path)
    if owner is not None:
        return None if owner.path == path else f"is in {owner.path}, which vstore tracks as a whole"
    parent = path
    while parent := parent.rpartition("/")[0]:
        if (repo.work_tree / parent).is_symlink():
            return f"is reached through the symlink {parent}"
    below = [artifact for artifact in list_artifacts(repo, below=path) if isinstance(artifact.pointer, Pointer)]
    if below:
        return f"holds {below[0].path}, which vstore tracks by itself"
    if repo.git is None:
        return None
    kept = next((tracked for tracked in repo.git.iter_tracked(path) if tracked not in leaving), None)
    if kept is not None:
        return "is kept by git itself" if kept == path else f"holds {kept}, which git keeps itself"
    pointer_path = path + POINTER_SUFFIX
    if repo.git.is_ignored(pointer_path) and not repo.git.has_tracked(pointer_path):
        return f"could not be committed: git ignores {pointer_path}"
    return None


def make_taken(artifact: ForeignArtifact, held: Mapping[ForeignName, Held], algorithm: str) -> Taken:
    """Return an artifact as another tool recorded it; files that are not ``held`` are left out.

    Raises NameRefusedError for names that a tree must not hold.
    """
    entries = [_entry(file, held[file.name]) for file in artifact.files or () if file.name in held]
    return _make(artifact, entries, algorithm)


def add_what_is_here(taken: Taken, snapshot: Snapshot, algorithm: str, *, is_present: bool = True) -> Taken:
    """Return an artifact with what the other tool could not record, as it is in the work tree.

    These are the executable bits of files with the same content and, if this is the present version, empty directories.
    """
    taken = taken._replace(snapshot=snapshot)
    if not taken.pointer.is_tree or taken.tree is None or snapshot.tree is None:
        return taken
    entries = Tree.from_bytes(taken.tree).entries
    here = Tree.from_bytes(snapshot.tree).entries
    executables = {(entry.path, entry.digest) for entry in here if entry.kind == EXECUTABLE}
    entries = [
        entry._replace(kind=EXECUTABLE) if (entry.path, entry.digest) in executables else entry for entry in entries
    ]
    taken_paths = {path for entry in entries for path in (entry.path, *_parents(entry.path))}
    files = {entry.path for entry in entries}
    entries += [
        entry
        for entry in here
        if is_present
        and entry.kind == EMPTY_DIRECTORY
        and entry.path not in taken_paths
        and files.isdisjoint(_parents(entry.path))
    ]
    return _make(taken.artifact, entries, algorithm)._replace(snapshot=snapshot)


def _make(artifact: ForeignArtifact, entries: Sequence[Entry], algorithm: str) -> Taken:
    if artifact.kind == "tree":
        tree = Tree(entries)
        data = tree.to_bytes()
        pointer = tree_pointer(tree, data, algorithm)
        taken = Taken(artifact, pointer, data)
    else:
        (entry,) = entries
        is_executable = entry.kind == EXECUTABLE
        pointer = Pointer("file", entry.digest, entry.size_bytes, executable=is_executable)
        taken = Taken(artifact, pointer)
    described = dataclasses.replace(artifact.labels.apply(pointer), source=artifact.source)
    return taken._replace(pointer=described)


def _parents(path: RelPath) -> Iterator[RelPath]:
    while path := path.rpartition("/")[0]:
        yield path


def _entry(file: ForeignFile, held: Held) -> Entry:
    return Entry(file.path, EXECUTABLE if file.executable else FILE, held.size_bytes, held.digest)


def add_ignore_rules(repo: Repo, all_taken: Iterable[Taken]) -> list[RelPath]:
    """Make git ignore the data of artifacts, each ``.gitignore`` in one write; returns what is to be staged."""
    names: dict[RelPath, list[str]] = {}
    if repo.git is None:
        return []
    for taken in all_taken:
        directory, _, name = taken.artifact.path.rpartition("/")
        wanted = names.setdefault(directory, [])
        if not repo.git.is_ignored(taken.artifact.path, directory=taken.pointer.is_tree):
            wanted.append(name)
    for directory, wanted in names.items():
        folder = repo.work_tree / directory
        with os_errors(folder, "make"):
            folder.mkdir(parents=True, exist_ok=True)
        add_rules(folder, wanted)
    # The other tool may have written the rule, and nobody committed it yet.
    files = [f"{directory}/.gitignore".lstrip("/") for directory in names]
    return [path for path in files if (repo.work_tree / path).exists()]


def free_links(repo: Repo, taken: Taken, stores: Sequence[Path]) -> int:
    """Replace files of an artifact that are links into ``stores`` by ours; returns how many.

    What somebody changed, through a link or in its place, is left alone.
    """
    path = taken.artifact.path
    linked = [entry for entry, name in _iter_entries(taken) if _is_linked(repo, _join(path, entry.path), name, stores)]
    write = [entry for entry in linked if _holds(repo.work_tree / path / entry.path, entry)]
    return write_files(repo, taken, write) if write else 0


def remember(repo: Repo, taken: Taken) -> None:
    """Note that an artifact is in the work tree, if all of it is: what was never here cannot have been deleted."""
    path, pointer, snapshot = taken.artifact.path, taken.pointer, taken.snapshot
    if snapshot is None or not os.path.lexists(repo.work_tree / path):
        return
    present = {entry.path for entry in snapshot.iter_entries()} | {refused for refused, _ in snapshot.scan.refused}
    if not pointer.is_tree or all(entry.path in present for entry, _ in _iter_entries(taken)):
        repo.state.save_placed(path, Placed(pointer.kind, pointer.digest))


def write_files(repo: Repo, taken: Taken, write: Sequence[Entry]) -> int:
    """Write files of an artifact in place of what its snapshot saw there; returns how many."""
    path, pointer, snapshot = taken.artifact.path, taken.pointer, taken.snapshot
    assert snapshot is not None
    after = Snapshot(
        snapshot.scan, pointer.kind, pointer.digest, pointer.size_bytes, pointer.files, pointer.executable, taken.tree
    )
    result = place(repo, path, Edits(write, []), before=snapshot, after=after)
    for failed, error in result.failed:
        repo.reporter.warn(f"{failed} stays as it is: {error.message}")
    return len(result.written)


def _iter_entries(taken: Taken) -> Iterator[tuple[Entry, ForeignName]]:
    """Yield the files of an artifact, with how the other tool calls their contents."""
    names = {file.path: file.name for file in taken.artifact.files or ()}
    if taken.tree is None:
        pointer = taken.pointer
        kind = EXECUTABLE if pointer.executable else FILE
        yield Entry("", kind, pointer.size_bytes, pointer.digest), names[""]
        return
    for entry in Tree.from_bytes(taken.tree).entries:
        if entry.is_file:
            yield entry, names[entry.path]


def _is_linked(repo: Repo, path: RelPath, name: ForeignName, stores: Sequence[Path]) -> bool:
    """Tell whether a file is a link into a store, of either kind."""
    file = repo.work_tree / path
    try:
        found = os.lstat(file)
        if stat.S_ISLNK(found.st_mode):
            target = os.path.realpath(file)
            return any(target.startswith(f"{os.path.realpath(store)}/") for store in stores)
        if found.st_nlink == 1:
            return False
        return any(_is_same(found, store / name.key) for store in stores)
    except OSError:
        return False


def _is_same(found: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(found, os.stat(path))
    except OSError:
        return False


def _holds(path: Path, entry: Entry) -> bool:
    """Tell whether what is read at a path is an entry's content: else somebody changed it, and it stays."""
    with os_errors(path, "read"):
        try:
            descriptor = os.open(path, _LINKED_FLAGS)
        except FileNotFoundError:
            return False
        try:
            return hash_file(descriptor, algorithm_of(entry.digest).name)[0] == entry.digest
        finally:
            os.close(descriptor)


def _join(root: RelPath, path: RelPath) -> RelPath:
    return f"{root}/{path}" if path else root
