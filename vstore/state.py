"""What is known of the work tree's files, so that unchanged ones are not read again.

A SQLite file in the git directory of one work tree.  Everything in it is a hint: deleting it costs time, a
damaged one is made anew, and whoever finds it locked goes on without.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vstore.objects.digest import Digest

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE directories (path TEXT PRIMARY KEY, names BLOB, stats BLOB, digests BLOB) WITHOUT ROWID;
CREATE TABLE roots (path TEXT PRIMARY KEY, fingerprint BLOB, digest TEXT, size INTEGER, files INTEGER) WITHOUT ROWID;
CREATE TABLE placed (path TEXT PRIMARY KEY, kind TEXT, digest TEXT) WITHOUT ROWID;
CREATE TABLE verified (digest TEXT PRIMARY KEY, inode INTEGER, size INTEGER, mtime_ns INTEGER) WITHOUT ROWID;
"""
_TABLES = ("directories", "roots", "placed", "verified")
_NOT_NOW = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}
_WAIT_S = 5.0
_AT_ONCE = 500
"""So many are asked for in one query: SQLite takes at least 999."""


class DirectoryRecord(NamedTuple):
    """The files of one directory when they were last read, as columns in the order of their names."""

    path: str
    names: bytes
    """Joined by NUL."""
    stats: bytes
    """For each file the numbers that ``vstore.workspace.scan`` takes of it."""
    digests: bytes
    """Digest texts joined by NUL; empty where the content is not known."""


class RootRecord(NamedTuple):
    """An artifact as it was when a scan of it had this fingerprint."""

    fingerprint: bytes
    digest: Digest
    size_bytes: int
    files: int


class Placed(NamedTuple):
    """What vstore itself last put at, or took from, an artifact's path."""

    kind: str
    digest: Digest


class Verified(NamedTuple):
    """A loose object as it was when it was hashed and found to be what it says."""

    digest: Digest
    inode: int
    size_bytes: int
    mtime_ns: int


class State:
    """The state of one work tree, opened on first use.  Thread-safe: one call at a time reaches the file.

    Reads return nothing and writes do nothing where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # files

    def load_directories(self, root: str) -> dict[str, DirectoryRecord]:
        """Return the records of an artifact's directories (or of its file) by path."""
        rows = self._read(
            "SELECT * FROM directories WHERE path = ? OR path >= ? AND path < ?", root, root + "/", root + "0"
        )
        return {row[0]: DirectoryRecord(*row) for row in rows}

    def find_directory(self, path: str) -> DirectoryRecord | None:
        """Return the record of one directory of an artifact, or of a file that is one."""
        return self.find_directories([path]).get(path)

    def find_directories(self, paths: Sequence[str]) -> dict[str, DirectoryRecord]:
        """Return the records of directories or files by path; many in one go are found five times as fast."""
        found: dict[str, DirectoryRecord] = {}
        for start in range(0, len(paths), _AT_ONCE):
            some = paths[start : start + _AT_ONCE]
            rows = self._read(f"SELECT * FROM directories WHERE path IN ({', '.join('?' * len(some))})", *some)
            found.update((row[0], DirectoryRecord(*row)) for row in rows)
        return found

    def find_root(self, root: str) -> RootRecord | None:
        """Return what is known of an artifact."""
        for fingerprint, digest, size, files in self._read(
            "SELECT fingerprint, digest, size, files FROM roots WHERE path = ?", root
        ):
            return RootRecord(fingerprint, Digest(digest), size, files)
        return None

    def save(
        self,
        root: str,
        directories: Iterable[DirectoryRecord],
        gone: Iterable[str],
        record: RootRecord | None,
        *,
        wait: bool = True,
    ) -> None:
        """Replace some directories of an artifact, forget those that are gone, set what is known of the whole.

        Without ``wait`` nothing is remembered while another command writes.
        """
        self._write(
            ("REPLACE INTO directories VALUES (?, ?, ?, ?)", directories),
            ("DELETE FROM directories WHERE path = ?", [(path,) for path in gone]),
            ("DELETE FROM roots WHERE path = ?", [(root,)]),
            ("INSERT INTO roots VALUES (?, ?, ?, ?, ?)", [] if record is None else [(root, *record)]),
            wait=wait,
        )

    def forget(self, root: str) -> None:
        """Forget everything about an artifact."""
        self._write(
            ("DELETE FROM directories WHERE path = ? OR path >= ? AND path < ?", [(root, root + "/", root + "0")]),
            ("DELETE FROM roots WHERE path = ?", [(root,)]),
            ("DELETE FROM placed WHERE path = ?", [(root,)]),
        )

    # artifacts

    def load_placed(self) -> dict[str, Placed]:
        """Return what vstore put where."""
        return {path: Placed(kind, Digest(digest)) for path, kind, digest in self._read("SELECT * FROM placed")}

    def find_placed(self, root: str) -> Placed | None:
        """Return what vstore put at one path."""
        for kind, digest in self._read("SELECT kind, digest FROM placed WHERE path = ?", root):
            return Placed(kind, Digest(digest))
        return None

    def list_placed_below(self, root: str) -> list[str]:
        """Return the paths below one at which vstore put something."""
        rows = self._read("SELECT path FROM placed WHERE path >= ? AND path < ? ORDER BY path", root + "/", root + "0")
        return [path for (path,) in rows]

    def save_placed(self, root: str, placed: Placed) -> None:
        """Remember what vstore put at, or took from, a path; it supersedes whatever was put inside."""
        self._write(
            ("DELETE FROM placed WHERE path >= ? AND path < ?", [(root + "/", root + "0")]),
            ("REPLACE INTO placed VALUES (?, ?, ?)", [(root, *placed)]),
        )

    # cached objects

    def load_verified(self) -> set[Verified]:
        """Return the loose objects that were hashed, as they were then."""
        return {Verified(Digest(digest), *numbers) for digest, *numbers in self._read("SELECT * FROM verified")}

    def save_verified(self, objects: Iterable[Verified], *, wait: bool = True) -> None:
        """Remember loose objects that were hashed and are what they say; ``wait`` as for ``save``."""
        self._write(("REPLACE INTO verified VALUES (?, ?, ?, ?)", objects), wait=wait)

    # damage

    def find_damage(self) -> str | None:
        """Return what is wrong with the file itself; None where nothing is, or it cannot be looked at now.

        Changes nothing.  What is in good order may still say what is not so.
        """
        if not self.path.is_file():
            return None
        try:
            uri = self.path.absolute().as_uri() + "?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_S)) as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version != _SCHEMA_VERSION:
                    return None  # empty, or of another version: it is made anew
                (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                for table in _TABLES:
                    connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        except sqlite3.DatabaseError as error:
            is_busy = error.sqlite_errorcode & 0xFF in _NOT_NOW
            return None if is_busy else f"it is damaged: {error}"
        return None if verdict == "ok" else "it is damaged: " + " ".join(str(verdict).split())

    def set_aside(self) -> None:
        """Move a damaged file out of the way, over one that was moved before.  Raises OSError."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self.path.with_name(self.path.name + "-damaged"))
        self._discard()

    # sqlite

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None:
            # A second try after throwing away what is damaged or of another version.
            for _ in range(2):
                try:
                    self._connection = self._connect()
                    break
                except sqlite3.OperationalError:
                    return None  # locked, read-only or out of space: go on without
                except sqlite3.DatabaseError:
                    self._discard()
        return self._connection

    def _discard(self) -> None:
        """Throw a damaged file away, and the journal, which would spoil the next one."""
        self.close()
        for suffix in ("", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            # No WAL: it does not work on network file systems.  No flush: after a power cut the worst is a damaged
            # file, which is thrown away.
            connection.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = TRUNCATE;")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
            elif version != _SCHEMA_VERSION:
                raise sqlite3.DatabaseError("another version's state")
        except BaseException:
            connection.close()
            raise
        return connection

    def _read(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with self._hints():
            connection = self._open()
            if connection is not None:
                return connection.execute(query, values).fetchall()
        return []

    @contextlib.contextmanager
    def _hints(self) -> Iterator[None]:
        """Do without what cannot be read or written, and make a damaged file anew."""
        with self._turn, contextlib.suppress(sqlite3.Error, OSError, UnicodeError):
            try:
                yield
            except sqlite3.OperationalError:
                raise  # locked, read-only or out of space
            except sqlite3.DatabaseError:
                self._discard()

    def _write(self, *statements: tuple[str, Iterable[tuple[object, ...]]], wait: bool = True) -> None:
        """Run statements in one transaction, all or none."""
        with self._hints():
            connection = self._open()
            if connection is None:
                return
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * _WAIT_S * wait)}")
            try:
                connection.execute("BEGIN IMMEDIATE")
            finally:
                connection.execute(f"PRAGMA busy_timeout = {int(1000 * _WAIT_S)}")
            try:
                for statement, rows in statements:
                    connection.executemany(statement, rows)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
