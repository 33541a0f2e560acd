"""Snapshots: what an artifact's files hold, and remembering it in the state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.tree import Entry, Tree
from vstore.state import DirectoryRecord, RootRecord, State
from vstore.workspace.scan import LINK, STAT_NUMBERS, Scan, ScannedDirectory

UNKNOWN = Digest("")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What lies at an artifact's path.  ``tree`` is the encoding of a directory's tree; None for a file.

    ``kind`` is "file", "tree" or "absent"; then there is no digest.
    """

    scan: Scan
    kind: str
    digest: Digest
    size_bytes: int
    files: int
    executable: bool = False
    tree: bytes | None = None
    digests: list[list[Digest]] | None = field(default=None, repr=False)
    """Of each scanned directory the digests of its files; None where nothing was touched."""

    def iter_entries(self) -> Iterable[Entry]:
        """Return the entries of a tree, parsed."""
        return [] if self.tree is None else Tree.from_bytes(self.tree).entries


def state_path(key: RelPath, directory: RelPath) -> str:
    """Return the name in the state of a directory of an artifact."""
    return f"{key}/{directory}" if directory else key


def match(directory: ScannedDirectory, record: DirectoryRecord | None) -> list[Digest]:
    """Return the digests of a directory's files as far as they are known: those whose numbers did not change."""
    if record is None or not directory.names:
        return [UNKNOWN] * len(directory.names)
    digests = [Digest(text) for text in record.digests.decode(errors="replace").split("\0")]
    stats = directory.stats.tobytes()
    names = "\0".join(directory.names).encode(errors="surrogateescape")
    if names == record.names and stats == record.stats and len(digests) == len(directory.names):
        return digests
    width = STAT_NUMBERS * directory.stats.itemsize
    old_names = record.names.decode(errors="surrogateescape").split("\0")
    if not len(old_names) == len(digests) == len(record.stats) // width:
        return [UNKNOWN] * len(directory.names)
    known = {
        (name, record.stats[i * width : (i + 1) * width]): digest
        for i, (name, digest) in enumerate(zip(old_names, digests, strict=True))
    }
    return [known.get((name, stats[i * width : (i + 1) * width]), UNKNOWN) for i, name in enumerate(directory.names)]


def save(
    state: State,
    key: RelPath,
    snapshot: Snapshot,
    old: Mapping[str, DirectoryRecord],
    *,
    before_ns: int,
    wait: bool = True,
) -> None:
    """Remember a snapshot.  Files touched at ``before_ns`` or later are remembered as unknown.

    Such a file could be changed again without its times showing it, as git's "racily clean" files.  ``wait`` is as for
    the state.
    """
    racy = snapshot.scan.newest_ns >= before_ns
    changed: list[DirectoryRecord] = []
    paths: set[str] = set()
    for directory, column in zip(snapshot.scan.directories, snapshot.digests or (), strict=True):
        path = state_path(key, directory.path)
        paths.add(path)
        kinds = directory.stats[0::STAT_NUMBERS]
        if LINK in kinds:
            # A link says nothing about what it stands for: that may be gone, and its size is another one.
            column = [UNKNOWN if kind == LINK else digest for kind, digest in zip(kinds, column, strict=True)]
        if racy:
            mtimes, ctimes = directory.stats[2::STAT_NUMBERS], directory.stats[4::STAT_NUMBERS]
            column = [
                UNKNOWN if max(mtime, ctime) >= before_ns else digest
                for digest, mtime, ctime in zip(column, mtimes, ctimes, strict=True)
            ]
        record = DirectoryRecord(
            path,
            "\0".join(directory.names).encode(errors="surrogateescape"),
            directory.stats.tobytes(),
            "\0".join(column).encode(),
        )
        if record != old.get(path):
            changed.append(record)
    root = None
    if not racy and snapshot.tree is not None:
        root = RootRecord(snapshot.scan.fingerprint(), snapshot.digest, snapshot.size_bytes, snapshot.files)
    state.save(key, changed, old.keys() - paths, root, wait=wait)
