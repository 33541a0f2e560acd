"""``path``: a real local path of some version, for programs that open files themselves."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from vstore.cache.link import COPY, HARDLINK, REFLINK, probe_link_type
from vstore.durable import FileLock, flush_files, os_errors, temporary_name, write_atomic
from vstore.errors import CorruptError, InvalidError, ObjectMissingError
from vstore.objects.names import RelPath
from vstore.objects.tree import EXECUTABLE, FILE, Entry
from vstore.ops.fetch import fetch
from vstore.ops.gathering import is_imported
from vstore.ops.reading.library import Library
from vstore.ops.reading.node import DIRECTORY, Node
from vstore.ops.transfer import Scope
from vstore.repo import Repo
from vstore.workspace.materialize import Materializer
from vstore.workspace.scan import Stat, take_stat

_KEPT_S = 7 * 24 * 3600
"""What nobody asked for during a week is deleted."""
_STATS, _FILES = "stats.json", "files"
_FLUSHED_AT_ONCE = 500
_LOCK = "lock"
_WAITING = "waiting for another vstore command that writes files of an old version"


def path(library: Library, name: RelPath) -> Path:
    """Return a local path at which a file, or a tracked directory, is exactly what a version holds.

    That is its place in the work tree, if it is unmodified there.  Else it is written, read-only, into a directory of
    its own, after what the cache lacks was fetched; it stays there until nobody has asked for it during a week.
    Raises PathNotFoundError, InvalidError for a directory that is not tracked, ObjectMissingError.
    """
    node = library.view.get(name)
    if node.kind == DIRECTORY and node.pointer is None:
        raise InvalidError(f"{name or '.'} is a directory that vstore does not track", path=name)
    if node.kind != DIRECTORY:
        library.view.check_file(node)
    if library.is_in_work_tree(node):
        return library.repo.work_tree / (node.place or node.path)
    place = library.repo.private / "paths" / _key_of(library, node)
    with os_errors(place, "write to"), _alone(library.repo, place.parent):
        _tidy(place.parent)
        if not _is_intact(place):
            _make(library, node, place)
        os.utime(place)
    return place / _FILES / node.name


@contextlib.contextmanager
def _alone(repo: Repo, directory: Path) -> Iterator[None]:
    """Let nobody else write below a directory meanwhile.  Raises LockedError."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / _LOCK)
    lock.acquire(wait_s=repo.config.lock_wait_s, on_wait=lambda: repo.reporter.note(_WAITING))
    try:
        yield
    finally:
        lock.release()


def _key_of(library: Library, node: Node) -> str:
    """Return what tells apart all that may have to be written."""
    pointer = node.pointer
    what = node.digest or (f"{pointer.digest} {node.path}" if pointer else f"{library.view.commit} {node.path}")
    return hashlib.sha256(f"{what} {node.executable} {node.name}".encode(errors="surrogateescape")).hexdigest()[:32]


def _make(library: Library, node: Node, place: Path) -> None:
    """Write a file or directory below ``place``, which appears when it is whole."""
    repo = library.repo
    staged = place.parent / temporary_name()
    (staged / _FILES).mkdir(parents=True)
    top = staged / _FILES / node.name
    try:
        if node.pointer is None:
            top.write_bytes(library.view.read_git_file(node))
        else:
            with repo.using_cache():
                _materialize(library, node, top)
        _flush(top)
        stats = dict(_settle(top))
        write_atomic(staged / _STATS, json.dumps(stats).encode("ascii"))
        _remove(place)
        os.rename(staged, place)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _list_entries(library: Library, node: Node) -> list[Entry]:
    if node.kind != DIRECTORY:
        assert node.digest is not None and node.size_bytes is not None
        return [Entry("", EXECUTABLE if node.executable else FILE, node.size_bytes, node.digest)]
    start = len(node.path) + 1
    return [entry._replace(path=path[start:]) for path, entry in library.view.iter_entries(node.path)]


def _fetch_lacking(library: Library, node: Node, entries: list[Entry]) -> None:
    repo = library.repo
    wanted = {entry.digest: entry.path for entry in entries if entry.is_file}
    if repo.cache.find_missing(wanted):
        if repo.config.remotes or (node.pointer is not None and is_imported(node.pointer)):
            named = repo.work_tree / (node.place or node.path)
            fetch(repo, [named], remote=library.remote, scope=Scope(rev=library.view.commit))
        missing = repo.cache.find_missing(wanted)
        if missing:
            raise ObjectMissingError(
                f"{len(missing)} of the contents of {node.path} are neither in the cache nor in a remote",
                digests=sorted(missing),
                paths=sorted(f"{node.path}/{wanted[digest]}".rstrip("/") for digest in missing),
                no_remote=not repo.config.remotes,
            )


def _materialize(library: Library, node: Node, top: Path) -> None:
    repo = library.repo
    # A file that is linked may not be written through, and costs no room.
    link_type, _ = probe_link_type([REFLINK, HARDLINK, COPY], repo.cache.path, top.parent)
    materializer = Materializer(top.parent, repo.cache, repo.state, link_type=link_type, reporter=repo.reporter)
    entries = _list_entries(library, node)
    for is_last in (False, True):
        _fetch_lacking(library, node, entries)
        done = materializer.apply(top.name, write=entries, delete=[], make_root=node.kind == DIRECTORY, expected=None)
        for failed, error in done.failed:
            error.fields.setdefault("path", failed)
            raise error
        bad = dict([*done.damaged, *done.missing])
        if not bad:
            return
        if is_last:
            [(failed, digest), *_] = bad.items()
            raise CorruptError(f"the cached object {digest}, which {failed} needs, is damaged", digest=digest)
        # What turned out to be damaged was set aside, and may be fetched anew.
        entries = [entry for entry in entries if entry.digest in bad.values()]


def _flush(top: Path) -> None:
    """Let what was written survive a power cut."""
    files = (file for file in _iter_files(top) if not os.path.islink(file))
    while batch := list(itertools.islice(files, _FLUSHED_AT_ONCE)):
        descriptors = [os.open(file, os.O_RDONLY | os.O_CLOEXEC) for file in batch]
        try:
            flush_files(descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _settle(top: Path) -> Iterator[tuple[str, Stat]]:
    """Make files read-only, and yield their numbers."""
    for file in _iter_files(top):
        mode = os.lstat(file).st_mode
        if mode & 0o222 and not os.path.islink(file):
            os.chmod(file, mode & 0o555)
        numbers = take_stat(os.lstat(file))
        assert numbers is not None
        yield os.path.relpath(file, top), numbers


def _iter_files(top: Path) -> Iterator[str]:
    if not os.path.isdir(top):
        yield str(top)
    for folder, directories, names in os.walk(top):
        links = [name for name in directories if os.path.islink(f"{folder}/{name}")]
        yield from (f"{folder}/{name}" for name in (*names, *links))


def _is_intact(place: Path) -> bool:
    """Tell whether what was written is there, and nobody touched it."""
    try:
        stats = json.loads((place / _STATS).read_text("ascii"))
        [top] = (place / _FILES).iterdir()
        found = {os.path.relpath(file, top): take_stat(os.lstat(file)) for file in _iter_files(top)}
    except (OSError, ValueError):
        return False
    return isinstance(stats, dict) and {name: tuple(numbers) for name, numbers in stats.items()} == found


def _tidy(directory: Path) -> None:
    """Delete what nobody has asked for since long."""
    for name in os.listdir(directory):
        if name != _LOCK and os.lstat(directory / name).st_mtime < time.time() - _KEPT_S:
            _remove(directory / name)


def _remove(place: Path) -> None:
    gone = place.parent / temporary_name()
    with contextlib.suppress(FileNotFoundError):
        os.rename(place, gone)
        shutil.rmtree(gone, ignore_errors=True)
