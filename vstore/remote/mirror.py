"""The local mirror of a remote: immutable objects by their keys, and what this machine knows of its own pushes.

Everything here is a hint and may be deleted at any time: that costs requests, never data.  Every file proves
itself by its own checksum or is ignored, and what cannot be written is not remembered.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock

from vstore.durable import FileLock, temporary_name
from vstore.errors import VstoreError
from vstore.objects.digest import Digest
from vstore.remote.commits import Commit, commit_from_bytes
from vstore.remote.index import HEAD_BYTES, Index, find_packs, head_bytes, index_from_file
from vstore.remote.layout import COMMITS, INDEX, PackRef, commits_prefix, find_commit_name, is_index, is_pack
from vstore.remote.sealed import seal, unseal
from vstore.remote.transport import Key

_WHOLE = "whole.json"
_LARGE = "large.json"
_DISTRUSTED = "distrusted.json"
_READINGS = "readings.json"
_JOURNALS = "journals"
_ENDS = "ends"
_LISTED = "listed.json"
_INTENT_LIFE_S = 7 * 24 * 3600
_JOURNAL_LINE = re.compile(r"(\S+) ([0-9]{1,15}) ([0-9a-f]{32})\n")


class Mirror:
    """A directory of hints about one remote."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # immutable objects

    def find_commit(self, key: Key, size_bytes: int) -> Commit | None:
        """Return a commit that was read or made before, if it is as long as the one at the remote."""
        data = self.find(key)
        return self.recall_commit(key) if data and len(data) == size_bytes else None

    def recall_commit(self, key: Key) -> Commit | None:
        """Return a commit that was read or made before, whatever the remote has now."""
        data = self.find(key)
        with contextlib.suppress(VstoreError):
            return commit_from_bytes(data, key) if data else None
        return None

    def has_commits(self) -> bool:
        """Tell whether a commit is held: then the remote once was there."""
        return any(names for _, _, names in os.walk(self.path / COMMITS))

    def commit_keys(self, project: str) -> list[Key]:
        """Return the keys of the commits of a project that are held, whatever the remote has now."""
        folder = commits_prefix(project)
        with contextlib.suppress(OSError):
            return [key for name in os.listdir(self.path / folder) if find_commit_name(key := folder + name)]
        return []

    def named_roots(self, project: str) -> set[Digest]:
        """Return the roots that the held commits of a project name: what the remote had when it was last asked."""
        commits = (self.recall_commit(key) for key in self.commit_keys(project))
        return {root.digest for commit in commits if commit is not None for root in commit.roots}

    def find_index(self, key: Key) -> Index | None:
        """Return an index object that was read or made before."""
        return self._find_index(key, key)

    def index_keys(self) -> list[Key]:
        """Return the keys of the index objects that are held."""
        with contextlib.suppress(OSError):
            return [key for name in os.listdir(self.path / INDEX) if is_index(key := INDEX + name)]
        return []

    def find_covered(self, key: Key, rows: Mapping[bytes, Key]) -> set[Key]:
        """Return which of some packs an index object that is held seems to name, as ``find_packs`` does."""
        with contextlib.suppress(OSError, VstoreError), open(self.path / key, "rb") as file:
            head = file.read(HEAD_BYTES)
            head += file.read(max(0, head_bytes(head, key) - len(head)))
            return find_packs(head, key, rows)[0]
        return set()

    def find_end(self, pack: PackRef) -> Index | None:
        """Return the index of one pack whose own end was read before."""
        return self._find_index(self._end_path(pack.key), pack.key)

    def held_ends(self, packs: Collection[Key]) -> list[Key]:
        """Return those of some packs whose own end was read before."""
        with contextlib.suppress(OSError):
            held = set(os.listdir(self.path / _ENDS))
            return [pack for pack in packs if self._end_path(pack).rpartition("/")[2] in held]
        return []

    def keep_end(self, pack: PackRef, index: bytes) -> None:
        """Remember the index of one pack."""
        self.keep(self._end_path(pack.key), index)

    def keep(self, key: Key, data: bytes) -> None:
        """Remember an immutable object."""
        path = self.path / key
        temporary = path.parent / temporary_name()
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                os.replace(temporary, path)  # not flushed: a torn file fails its checksum
            except OSError:
                temporary.unlink(missing_ok=True)

    def forget(self, prefix: str, *, among: Collection[Key] = ()) -> None:
        """Forget what is held below a prefix, but for those keys that exist."""
        root = f"{self.path}{os.sep}"
        for folder, _, names in os.walk(self.path / prefix):
            above = f"{folder}{os.sep}"[len(root) :]
            for name in names:
                if above + name not in among:
                    with contextlib.suppress(OSError):
                        os.unlink(root + above + name)

    def forget_ends(self, packs: Iterable[PackRef]) -> None:
        """Forget the ends of packs that are of no use any more, though they are still there."""
        for pack in packs:
            with contextlib.suppress(OSError):
                os.unlink(self.path / self._end_path(pack.key))

    def listed_packs(self) -> int:
        """Return how many packs the remote had when they were last listed, if that is known; else 0."""
        data = self.find(_LISTED)
        with contextlib.suppress(VstoreError):
            return unseal(data, _LISTED).count("packs") if data else 0
        return 0

    def keep_listed(self, packs: int) -> None:
        """Remember how many packs the remote has, unless it has about as many as are remembered."""
        known = self.listed_packs()
        if not known / 2 <= packs <= known * 2:
            self.keep(_LISTED, seal({"packs": packs}))

    def forget_packs(self, *, among: Collection[Key]) -> None:
        """Forget packs that are not ``among`` the existing ones."""
        if (self.path / _ENDS).exists():
            self.forget(_ENDS, among={self._end_path(key) for key in among})
        known = self.distrusted_packs()
        if not known <= set(among):
            self.keep(_DISTRUSTED, seal({"packs": sorted(known & set(among))}))

    def _end_path(self, pack: Key) -> str:
        return f"{_ENDS}/{pack.rpartition('/')[2]}"

    def _find_index(self, path: str, key: Key) -> Index | None:
        with contextlib.suppress(OSError, VstoreError), open(self.path / path, "rb") as file:
            return index_from_file(file, key)
        return None

    def find(self, name: str) -> bytes | None:
        """Return what is held under a name; it may be damaged."""
        with contextlib.suppress(OSError):
            return (self.path / name).read_bytes()
        return None

    # commits that were seen whole

    def whole_commits(self) -> set[Key]:
        """Return the commits of which this machine once saw every pin present and undoomed after they were made."""
        data = self.find(_WHOLE)
        with contextlib.suppress(VstoreError):
            return set(unseal(data, _WHOLE).texts("commits")) if data else set()
        return set()

    def keep_whole(self, commits: Iterable[Key], *, among: Iterable[Key]) -> None:
        """Remember commits that were seen whole; those that are not ``among`` the existing ones are forgotten."""
        known = self.whole_commits()
        new = (known | set(commits)) & set(among)
        if new != known:
            self.keep(_WHOLE, seal({"commits": sorted(new)}))

    # what packs were seen to hold

    def large_contents(self) -> dict[Digest, frozenset[Key]]:
        """Return of large contents, by digest, all packs that together hold them: packs never change."""
        data = self.find(_LARGE)
        with contextlib.suppress(VstoreError):
            if data:
                fields = unseal(data, _LARGE)
                packs = fields.texts("packs")
                return {
                    Digest(content.text("digest")): frozenset(
                        packs[number] for number in content.counts("pins", below=len(packs))
                    )
                    for content in fields.objects("contents")
                }
        return {}

    def keep_large(self, contents: Mapping[Digest, Collection[Key]], *, among: Collection[Key]) -> None:
        """Remember which packs hold large contents; those with a pack that is not ``among`` are forgotten."""
        known = self.large_contents()
        both = known | {digest: frozenset(pins) for digest, pins in contents.items()}
        new = {digest: pins for digest, pins in both.items() if all(key in among for key in pins)}
        if new == known:
            return
        packs = sorted({key for pins in new.values() for key in pins})
        numbers = {key: number for number, key in enumerate(packs)}
        listed = [{"digest": digest, "pins": sorted(numbers[key] for key in new[digest])} for digest in sorted(new)]
        self.keep(_LARGE, seal({"packs": packs, "contents": listed}))

    def distrusted_packs(self) -> set[Key]:
        """Return the packs that are there but were seen to be damaged: what they hold is to be uploaded anew."""
        data = self.find(_DISTRUSTED)
        with contextlib.suppress(VstoreError):
            return set(unseal(data, _DISTRUSTED).texts("packs")) if data else set()
        return set()

    def distrust(self, damaged: Collection[Key]) -> None:
        """Remember that packs were seen to be damaged."""
        known = self.distrusted_packs()
        if not known.issuperset(damaged):
            self.keep(_DISTRUSTED, seal({"packs": sorted(known.union(damaged))}))

    def trust(self, packs: Collection[Key]) -> None:
        """Forget that packs were seen to be damaged: they were read whole, and are not."""
        known = self.distrusted_packs()
        if not known.isdisjoint(packs):
            self.keep(_DISTRUSTED, seal({"packs": sorted(known.difference(packs))}))

    def readings(self) -> dict[PackRef, int]:
        """Return when each pack was last read whole and found good, in seconds since 1970 by the local clock."""
        data = self.find(_READINGS)
        with contextlib.suppress(VstoreError):
            if data:
                return {
                    PackRef(pack.text("key"), pack.count("size"), pack.text("checksum")): pack.count("read_s")
                    for pack in unseal(data, _READINGS).objects("packs")
                }
        return {}

    def keep_readings(self, readings: Mapping[PackRef, int], *, among: Collection[Key]) -> None:
        """Remember when packs were read whole; those that are not ``among`` the existing ones are forgotten."""
        both = self.readings()
        for pack, read_s in readings.items():
            both[pack] = max(read_s, both.get(pack, 0))
        fields = [
            {"key": pack.key, "size": pack.size_bytes, "checksum": pack.checksum, "read_s": both[pack]}
            for pack in sorted(both)
            if pack.key in among
        ]
        self.keep(_READINGS, seal({"packs": fields}))

    # journals of running sessions

    @contextlib.contextmanager
    def open_journal(self, session: str) -> Iterator[Journal]:
        """Keep a journal of what a session uploads; it goes when the block ends well and stays when it does not."""
        journal = Journal(self.path / _JOURNALS / session)
        try:
            yield journal
        except BaseException:
            journal.close()
            raise
        journal.forget()

    def unfinished_sessions(self) -> dict[str, list[PackRef]]:
        """Return what the sessions of this machine that died (or still run) meant to upload.

        Those packs may exist at the remote or not.  Of a session whose intent must have expired none is named.
        """
        sessions = {}
        with contextlib.suppress(OSError):
            for path in sorted((self.path / _JOURNALS).iterdir()):
                text = path.read_text("ascii", "replace")
                found = [PackRef(key, int(size), checksum) for key, size, checksum in _JOURNAL_LINE.findall(text)]
                expired = time.time() - path.stat().st_mtime > _INTENT_LIFE_S
                sessions[path.name] = [pack for pack in found if is_pack(pack.key) and not expired]
        return sessions

    def forget_sessions(self, sessions: Iterable[str]) -> None:
        """Remove the journals of sessions, unless they still run."""
        for session in sessions:
            path = self.path / _JOURNALS / session
            lock = FileLock(path)
            with contextlib.suppress(VstoreError, OSError):
                lock.acquire()
                path.unlink(missing_ok=True)
            lock.release()


class Journal:
    """What one session is about to upload, a line flushed before each pack.  Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path)
        self._turn = Lock()
        with contextlib.suppress(VstoreError, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()

    def note(self, pack: PackRef) -> None:
        """Write down, durably, that a pack is about to be uploaded."""
        line = f"{pack.key} {pack.size_bytes} {pack.checksum}\n"
        with contextlib.suppress(OSError), self._turn, open(self._path, "a", encoding="ascii") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Leave the journal for a later push."""
        self._lock.release()

    def forget(self) -> None:
        """Remove the journal: all of it is pinned by a commit."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._lock.release()
