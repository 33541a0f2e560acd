"""The documents of a remote as an inspection reads them: format, commits, indexes; each anew, never from memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from vstore.errors import CorruptError, KeyNotFoundError, NewerFormatError
from vstore.objects.table import Table
from vstore.parallel import map_ordered
from vstore.remote.commits import Commit, check_format, commit_from_bytes
from vstore.remote.holdings import DAMAGED, MISSING, NEWER, Problem
from vstore.remote.index import Index, index_from_bytes, index_to_bytes
from vstore.remote.layout import (
    FORMAT,
    INDEX,
    PackRef,
    commits_prefix,
    find_commit_name,
    find_session,
    is_index,
    trash_prefix,
)
from vstore.remote.ledger import MAX_DOCUMENT_BYTES, Site
from vstore.remote.transport import Key, Listed

_NAMED_STRANGERS = 10

Value = TypeVar("Value")


class FoundCommits(NamedTuple):
    """What there is of our project's commits.

    ``readable`` are newest first.  ``recalled`` cannot be read, but this machine knows what they are; ``unknown``
    cannot be read and it does not.  ``gone`` are not listed any more, though this machine once saw them.
    """

    readable: dict[Key, Commit]
    recalled: dict[Key, Commit]
    unknown: tuple[Key, ...]
    gone: dict[Key, Commit]


class FoundIndexes(NamedTuple):
    """What index objects tell of some packs.

    ``listed`` are the keys of all that there are.  ``broken`` are those of our sessions that are damaged or wrong, and
    can be made anew; of ``untold`` packs none tells that can be read.
    """

    listed: frozenset[Key]
    broken: tuple[Key, ...]
    untold: tuple[PackRef, ...]


class Documents:
    """Reads them, and collects what is wrong with each and what does not belong to us."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.problems: dict[Key, Problem] = {}
        self.remarks: list[str] = []

    def check_format(self, *, is_needed: bool) -> None:
        """See whether the format of the whole can be told, where anything is there.  Raises NewerFormatError."""
        try:
            check_format(self.site.transport.read(FORMAT))
        except KeyNotFoundError:
            if is_needed:
                self._blame(FORMAT, MISSING, "it is gone")
        except NewerFormatError:
            raise
        except CorruptError:
            reason = "it is damaged, and only people can tell that it was not of a newer version"
            self._blame(FORMAT, DAMAGED, reason)

    def read_commits(self) -> FoundCommits:
        """Read our project's commits."""
        prefix, mirror = commits_prefix(self.site.project), self.site.mirror
        listed = self._list(prefix, lambda key: find_commit_name(key) is not None)
        readable: dict[Key, Commit] = {}
        recalled: dict[Key, Commit] = {}
        unknown: list[Key] = []
        for key, commit, data in self._read_all(listed, commit_from_bytes):
            if commit is not None:
                readable[key] = commit
                if mirror.find(key) != data:
                    mirror.keep(key, data)
            elif (known := mirror.recall_commit(key)) is not None:
                recalled[key] = known
            else:
                unknown.append(key)
        there = {found.key for found in listed}
        lost = [key for key in mirror.commit_keys(self.site.project) if key not in there]
        if lost:
            # Commits are retired by their own project, and merged.
            superseded = {key for commit in readable.values() for key in commit.supersedes}
            trash = trash_prefix(self.site.project)
            superseded |= {found.key.replace(trash, prefix) for found in self.site.transport.list(trash)}
            lost = [key for key in lost if key not in superseded]
        gone = {key: commit for key in lost if (commit := mirror.recall_commit(key)) is not None}
        return FoundCommits(readable, recalled, tuple(unknown), gone)

    def read_indexes(self, sessions: Collection[str | None], tables: Mapping[PackRef, Table]) -> FoundIndexes:
        """Read the index objects that are named after some sessions, and compare them with the packs' own ends.

        Where they do not tell of every pack, the others are read as well: what a session that died had uploaded is
        indexed by a later one, whose commit may be retired meanwhile.
        """
        listed = self._list(INDEX, is_index)
        ours = [found for found in listed if find_session(found.key) in sessions]
        by_key = {pack.key: pack for pack in tables}
        untold = set(tables)
        own = {find_session(pack.key) for pack in tables}  # the sessions whose index objects can be made anew
        broken: list[Key] = []
        for key, index, data in self._read_all(ours, index_from_bytes):
            if index is None:
                if find_session(key) in own and self.problems[key].kind == DAMAGED:
                    broken.append(key)
            elif _is_right(index, data, by_key, tables):
                untold.difference_update(index.packs)
                if self.site.mirror.find(key) != data:
                    self.site.mirror.keep(key, data)
            else:
                self._blame(key, DAMAGED, "it does not agree with the packs that it tells of")
                if find_session(key) in own:
                    broken.append(key)
        if untold:
            # Merged ones bear the name of a session of their own.  What is wrong with strange ones harms nobody.
            strange = (found for found in listed if find_session(found.key) not in sessions)
            for index, data in map_ordered(self._find_index, strange, workers=self.site.jobs):
                if index is not None and untold.intersection(index.packs) and _is_right(index, data, by_key, tables):
                    untold.difference_update(index.packs)
        return FoundIndexes(frozenset(found.key for found in listed), tuple(broken), tuple(sorted(untold)))

    def _find_index(self, found: Listed) -> tuple[Index | None, bytes]:
        try:
            data = self.site.transport.read(found.key) if found.size_bytes <= MAX_DOCUMENT_BYTES else b""
            return index_from_bytes(data, found.key), data
        except (CorruptError, KeyNotFoundError):
            return None, b""

    def note_strangers(self, keys: Sequence[Key]) -> None:
        """Remark that keys are named like nothing of ours."""
        self.remarks += [f"{key} is nothing of ours" for key in sorted(keys)[:_NAMED_STRANGERS]]
        if len(keys) > _NAMED_STRANGERS:
            self.remarks.append(f"{len(keys) - _NAMED_STRANGERS:,} more keys are nothing of ours")

    def _list(self, prefix: str, is_ours: Callable[[Key], bool]) -> list[Listed]:
        """Return the objects below a prefix, newest first; what is named like nothing of ours is remarked upon."""
        ours: list[Listed] = []
        strangers: list[Key] = []
        for found in self.site.transport.list(prefix):
            if is_ours(found.key):
                ours.append(found)
            else:
                strangers.append(found.key)
        self.note_strangers(strangers)
        return sorted(ours, key=lambda found: (-found.modified_s, found.key))

    def _read_all(
        self, listed: Iterable[Listed], parse: Callable[[bytes, Key], Value]
    ) -> Iterator[tuple[Key, Value | None, bytes]]:
        """Yield key, value and bytes of objects; of those that cannot be read no value, and what is wrong is noted."""

        def attempt(found: Listed) -> tuple[Key, Value | None, bytes, Problem | None]:
            problem = None
            for _ in range(2):  # bytes are damaged on the way, too
                try:
                    if found.size_bytes > MAX_DOCUMENT_BYTES:
                        raise CorruptError(f"{found.key} is too long to be what it should be", key=found.key)
                    data = self.site.transport.read(found.key)
                    return found.key, parse(data, found.key), data, None
                except KeyNotFoundError:
                    problem = Problem(found.key, MISSING, "it is listed, and yet gone")
                except NewerFormatError as error:
                    problem = Problem(found.key, NEWER, error.message.removeprefix(f"{found.key} "))
                except CorruptError as error:
                    problem = Problem(found.key, DAMAGED, error.message.removeprefix(f"{found.key} is damaged: "))
            return found.key, None, b"", problem

        for key, value, data, problem in map_ordered(attempt, listed, workers=self.site.jobs):
            if problem is not None:
                self._blame(key, problem.kind, problem.reason)
            yield key, value, data

    def _blame(self, key: Key, kind: str, reason: str) -> None:
        self.problems.setdefault(key, Problem(key, kind, reason))


def _is_right(index: Index, data: bytes, by_key: Mapping[Key, PackRef], tables: Mapping[PackRef, Table]) -> bool:
    """Tell whether an index says of the packs that we know what their own ends say."""
    if any(by_key.get(pack.key, pack) != pack for pack in index.packs):
        return False
    known = [(pack, tables[pack]) for pack in index.packs if pack in tables]
    if len(known) == len(index.packs) and index_to_bytes(known) == data:
        return True
    told = dict.fromkeys(tables, 0)
    for part in index.sections:
        for row, number in enumerate(part.packs):
            pack = index.packs[number]
            if pack in tables:
                location = part.section.location(row)
                if tables[pack].find(location.kind, location.digest) != location:
                    return False
                told[pack] += 1
    return all(told[pack] == len(table) for pack, table in known)
