"""Making the files of an artifact equal a tree, and remembering what was done."""

from __future__ import annotations

import dataclasses
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.durable import file_system_time_ns, os_errors
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.tree import Entry, count_entries
from vstore.repo import Repo
from vstore.workspace.materialize import Materialized, Materializer
from vstore.workspace.scan import ScannedDirectory, Stat, rescan
from vstore.workspace.snapshot import Snapshot, match, save, state_path


class Edits(NamedTuple):
    """Entries to write and entries to delete.

    ``force`` also replaces what was touched since it was looked at; ``as_copies`` links nothing to the cache.
    """

    write: Sequence[Entry]
    delete: Sequence[Entry]
    force: bool = False
    as_copies: bool = False


def place(repo: Repo, path: RelPath, edits: Edits, *, before: Snapshot, after: Snapshot) -> Materialized:
    """Write and delete entries at an artifact's path, which holds ``before``, and remember the outcome.

    ``after`` says what is there if everything works; its scan and digests are not used.
    """
    write, delete = edits.write, edits.delete
    materializer = repo.materializer
    if edits.as_copies:
        materializer = Materializer(repo.work_tree, repo.cache, repo.state, reporter=repo.reporter)
    expected = None if edits.force else find_stats(before, [*write, *delete])
    make_root = after.kind == "tree"
    result = materializer.apply(path, write=write, delete=delete, make_root=make_root, expected=expected)
    wanted = {entry.path: entry.digest for entry in write}
    scan = rescan(before.scan, repo.work_tree / path, {entry.path for entry in (*write, *delete)})
    records = repo.state.load_directories(path)
    old = dict(zip((d.path for d in before.scan.directories), before.digests or (), strict=False))
    old_scans = {directory.path: directory for directory in before.scan.directories}
    digests: list[list[Digest]] = []
    complete = not (result.missing or result.damaged or result.failed)
    for directory in scan.directories:
        former = old_scans.get(directory.path)
        column = old.get(directory.path) if directory is former else None
        column = list(column) if column else match(directory, records.get(state_path(path, directory.path)))
        if directory is not former:
            # What is known was not touched, for ``match`` compares its numbers.
            for row in [row for row, digest in enumerate(column) if not digest]:
                name = directory.file_path(row) if scan.is_directory else ""
                numbers = directory.stat(row)
                if result.written.get(name) == numbers:
                    column[row] = wanted[name]
                elif complete:
                    # Whatever was touched meanwhile is not what the tree says.
                    before_row = _find_row(former, directory.names[row])
                    complete = former is not None and before_row is not None and former.stat(before_row) == numbers
        digests.append(column)
    there = scan.files + len(scan.find_empty())
    complete = complete and after.tree is not None and there == count_entries(after.tree)
    snapshot = dataclasses.replace(after, scan=scan, digests=digests, tree=after.tree if complete else None)
    save(repo.state, path, snapshot, records, before_ns=_settled_ns(repo.private, scan.newest_ns))
    return result


def _settled_ns(directory: Path, newest_ns: int) -> int:
    """Wait until the youngest file is older than the file system's clock can tell apart, a few milliseconds at most."""
    with os_errors(directory, "write to"):
        now_ns, granularity_ns = file_system_time_ns(directory)
        if now_ns - granularity_ns <= newest_ns <= now_ns:
            time.sleep((newest_ns + granularity_ns - now_ns) / 1e9 + 0.005)
            now_ns, granularity_ns = file_system_time_ns(directory)
    return now_ns - granularity_ns


def find_stats(snapshot: Snapshot, entries: Iterable[Entry]) -> Mapping[RelPath, Stat]:
    """Return the numbers that a snapshot's scan has of the files at some paths."""
    directories = {directory.path: directory for directory in snapshot.scan.directories}
    found: dict[RelPath, Stat] = {}
    if not snapshot.scan.is_directory:
        return {"": snapshot.scan.directories[0].stat(0)} if snapshot.scan.files else {}
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        directory = directories.get(parent)
        row = _find_row(directory, name)
        if directory is not None and row is not None:
            found[entry.path] = directory.stat(row)
    return found


def _find_row(directory: ScannedDirectory | None, name: str) -> int | None:
    if directory is None:
        return None
    row = bisect_left(directory.names, name)
    return row if row < len(directory.names) and directory.names[row] == name else None
