"""What a remote's own objects say: its commits, its index objects, its packs and its tombstones.

Objects that never change are read once and then taken from the mirror.  Readers skip what they cannot read
and name it where it is our own; collectors, which delete, will have to be stricter.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from vstore.errors import Cause, CorruptError, KeyNotFoundError, NewerFormatError, RemoteUnavailableError
from vstore.objects.pack import FOOTER_BYTES, Footer, footer_from_bytes, iter_records, parse_table
from vstore.objects.table import Table, table_from_bytes, table_to_bytes
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.commits import Commit, check_format, commit_from_bytes
from vstore.remote.index import HEAD_BYTES, Index, head_bytes, index_from_bytes, index_of_pack, index_to_bytes
from vstore.remote.layout import (
    COMMITS,
    DOOMED,
    FORMAT,
    INDEX,
    INTENTS,
    PACKS,
    TRASH,
    PackRef,
    commits_prefix,
    find_commit_name,
    find_doomed_pack,
    find_intent_session,
    is_index,
    trash_prefix,
)
from vstore.remote.looking import LISTED_AT_ONCE, Look
from vstore.remote.mirror import Mirror
from vstore.remote.transport import Key, Listed, Transport

MAX_DOCUMENT_BYTES = 256 * 1024 * 1024
"""No commit, index object or table of a pack is longer: a hostile one takes no more memory than this."""
MOST_LISTINGS = 3
"""How often to list anew what was merged while it was read."""

Value = TypeVar("Value")


class Policy(NamedTuple):
    """How a remote is kept: how long roots stay that nobody pushes again, and whether pushes compact it."""

    retention_s: float = 30 * 24 * 3600
    compacts: bool = True


@dataclass(frozen=True, slots=True)
class Site:
    """A remote and who works with it: what every operation needs.

    ``jobs`` is how many requests may be under way, ``in_flight_bytes`` how much data may be in memory for them.
    ``clock`` tells the time.
    """

    transport: Transport
    mirror: Mirror
    project: str
    author: str
    jobs: int
    in_flight_bytes: int
    policy: Policy = Policy()  # noqa: RUF009 - immutable
    clock: Callable[[], float] = time.time


class Ledger:
    """Reads what a remote says; every method that lists asks the remote anew."""

    def __init__(self, site: Site, reporter: Reporter) -> None:
        self.site = site
        self.listed: dict[Key, Listed] = {}
        """Our project's commits, as they were listed."""
        self.present: dict[Key, int] = {}
        """Packs that were there when they were last looked for, with their lengths."""
        self.newer: list[NewerFormatError] = []
        """Of packs that only a newer vstore can read."""
        self._reporter = reporter
        self._there = 0
        """How many packs there are, as far as is known."""

    def has_place(self) -> bool:
        """Tell whether there is a place to read from: where nothing was ever pushed there need not be a directory.

        Raises RemoteUnavailableError where one that held commits is gone: it may be a disk that is not mounted.
        """
        transport = self.site.transport
        there = transport.has_place()
        if not there and self.site.mirror.has_commits():
            message = f"the remote directory {transport.url} does not exist any more"
            raise RemoteUnavailableError(message, cause=Cause.NO_PLACE, url=transport.url)
        return there

    def has_format(self) -> bool:
        """Tell whether the remote was ever pushed to.  Raises NewerFormatError if we cannot work with it."""
        if not self.has_place():
            return False
        try:
            check_format(self.site.transport.read(FORMAT))
        except KeyNotFoundError:
            return False
        return True

    def refuse_newer(self) -> None:
        """Raise NewerFormatError if we cannot work with the remote; that it cannot tell its format is no matter."""
        try:
            self.has_format()
        except NewerFormatError:
            raise
        except CorruptError as error:
            self._reporter.warn(error.message)

    # packs

    def list_packs(self) -> dict[Key, int]:
        """Return every pack that is there, with its length: a proof of presence."""
        self.present = {listed.key: listed.size_bytes for listed in self.site.transport.list(PACKS)}
        self.site.mirror.forget_packs(among=self.present)
        self.expect_packs(len(self.present))
        if len(self.present) > LISTED_AT_ONCE:
            self.site.mirror.keep_listed(len(self.present))
        return self.present

    def expect_packs(self, count: int) -> None:
        """Learn how many packs there must be at least."""
        self._there = max(self._there, count)

    def plan_look(self, packs: Iterable[Key]) -> Look | None:
        """Return how to look for some packs with fewer requests than listing all there are takes; else None."""
        look = Look(packs, lists_sessions=self.site.transport.lists_beginnings)
        there = max(self._there, self.site.mirror.listed_packs())
        return look if look.requests * LISTED_AT_ONCE < there else None

    def list_doomed(self) -> set[Key]:
        """Return the packs that have a tombstone."""
        tombstones = self.site.transport.list(DOOMED)
        return {pack for listed in tombstones if (pack := find_doomed_pack(listed.key))}

    def find_lost(self, packs: Iterable[PackRef], *, doomed: bool = True) -> set[Key]:
        """Return those of some packs that are doomed (if asked for) or not there with exactly their length.

        Tombstones are listed before packs are looked for, as the protocol needs it.
        """
        wanted = list(packs)
        tombstones = self.list_doomed() if doomed else set()
        present = self.find_present({pack.key for pack in wanted})
        return {pack.key for pack in wanted if pack.key in tombstones or present.get(pack.key) != pack.size_bytes}

    def find_present(self, packs: Collection[Key]) -> dict[Key, int]:
        """Return those of some packs that are there, and maybe others, with their lengths."""
        look = self.plan_look(packs)
        if look is None:
            return self.list_packs()
        found = look.find_sizes(self.site.transport, jobs=self.site.jobs)
        self.present = {key: size_bytes for key, size_bytes in self.present.items() if key not in packs} | found
        return found

    # sessions and commits

    def list_sessions(self) -> set[str]:
        """Return the sessions, of all projects, that have an intent."""
        return {session for listed in self.site.transport.list(INTENTS) if (session := find_intent_session(listed.key))}

    def iter_commits(self) -> Iterator[tuple[Key, Commit]]:
        """Yield our project's commits, newest first; reads only as far as it is drawn."""
        return self._iter_commits(commits_prefix(self.site.project), ours=True)

    def iter_retired(self) -> Iterator[tuple[Key, Commit]]:
        """Yield our project's commits in the trash, which still pin, newest first."""
        return self._iter_commits(trash_prefix(self.site.project), ours=True)

    def iter_foreign(self) -> Iterator[tuple[Key, Commit]]:
        """Yield the commits of all other projects, newest first."""
        return self._iter_commits(COMMITS, ours=False)

    def pinned_packs(self) -> set[Key]:
        """Return the packs that any project's commits and trash entries name, as far as these can be read."""
        pinned: set[Key] = set()
        for prefix in (COMMITS, TRASH):
            for ours in (True, False):
                for _, commit in self._iter_commits(prefix, ours=ours):
                    pinned.update(commit.packs())
        return pinned

    def _iter_commits(self, prefix: str, *, ours: bool) -> Iterator[tuple[Key, Commit]]:
        done: set[Key] = set()
        gone: set[Key] = set()
        for _ in range(MOST_LISTINGS):
            there = list(self.site.transport.list(prefix))
            self.site.mirror.forget(prefix, among={found.key for found in there})
            listed = [
                found
                for found in there
                if (name := find_commit_name(found.key)) and (name.project == self.site.project) == ours
            ]
            if prefix == commits_prefix(self.site.project):
                self.listed |= {found.key: found for found in listed}
            gone = set()
            fresh = [found for found in listed if found.key not in done]
            for key, commit in self.read_all(fresh, self.read_commit, gone, warn=ours):
                done.add(key)
                if commit is not None:
                    yield key, commit
            if not gone:
                return
            # They were retired while we read: the commit that holds what they held was there before they went.
        if ours:
            for key in sorted(gone):
                self._reporter.warn(f"passed over: {self.site.transport.url} lists {key} and does not have it")

    def read_commit(self, found: Listed) -> Commit:
        """Return a listed commit or trash entry.  Raises KeyNotFoundError, CorruptError, NewerFormatError."""
        commit = self.site.mirror.find_commit(found.key, found.size_bytes)
        if commit is None:
            data = self.site.transport.read(found.key)
            commit = commit_from_bytes(data, found.key)
            self.site.mirror.keep(found.key, data)
        return commit

    def read_all(
        self, listed: Iterable[Listed], read: Callable[[Listed], Value], gone: set[Key], *, warn: bool = False
    ) -> Iterator[tuple[Key, Value | None]]:
        """Yield some objects, newest first; those that cannot be read without a value, and not those that are gone.

        Draws no more of them than are read at once.
        """

        def attempt(found: Listed) -> tuple[Key, Value | None, str]:
            try:
                if found.size_bytes > MAX_DOCUMENT_BYTES:
                    raise CorruptError(f"{found.key} is too long to be what it should be", key=found.key)
                return found.key, read(found), ""
            except KeyNotFoundError:
                return found.key, None, ""
            except CorruptError as error:
                return found.key, None, error.message

        newest_first = sorted(listed, key=lambda found: (-found.modified_s, found.key))
        share = self.site.in_flight_bytes // self.site.jobs
        for key, value, trouble in map_ordered(
            attempt,
            newest_first,
            workers=self.site.jobs,
            ahead=self.site.in_flight_bytes,
            weigh=lambda found: max(found.size_bytes, share),
        ):
            if value is None and not trouble:
                gone.add(key)
                continue
            if value is None and warn:
                self._reporter.warn(f"passed over: {trouble}")
            yield key, value

    # what lies where

    def list_indexes(self) -> list[Listed]:
        """Return every index object that is there, of all projects."""
        listed = [found for found in self.site.transport.list(INDEX) if is_index(found.key)]
        self.site.mirror.forget(INDEX, among={found.key for found in listed})
        return listed

    def read_head(self, found: Listed) -> bytes:
        """Return the beginning of an index object, which names its packs; what is short, whole.

        Raises KeyNotFoundError, CorruptError, NewerFormatError.
        """
        read_range = self.site.transport.read_range
        data = read_range(found.key, 0, min(HEAD_BYTES, found.size_bytes))
        more = min(head_bytes(data, found.key), found.size_bytes) - len(data)
        return data + read_range(found.key, len(data), more) if more > 0 else data

    def read_index(self, found: Listed) -> Index:
        """Return an index object.  Raises KeyNotFoundError, CorruptError, NewerFormatError."""
        index = self.site.mirror.find_index(found.key)
        if index is None:
            data = self.site.transport.read(found.key)
            index = index_from_bytes(data, found.key)
            self.site.mirror.keep(found.key, data)
            # What is mapped from a file takes no memory.
            index = self.site.mirror.find_index(found.key) or index
        return index

    def read_end(self, pack: PackRef) -> Index | None:
        """Return what a pack's own end says it holds or, where that is damaged, what can be found in it.

        None where the pack is gone, or ``newer``.
        """
        known = self.site.mirror.find_end(pack)
        if known is not None:
            return known
        try:
            table = self.read_table(pack)
        except KeyNotFoundError:
            return None
        except NewerFormatError as error:
            if pack.key in self.site.mirror.distrusted_packs():
                return self.search(pack)
            self._reporter.warn(f"passed over: {pack.key}: {error.message}")
            self.newer.append(error)
            return None
        except CorruptError as error:
            self._reporter.warn(f"the end of {pack.key} is damaged: {error.message}")
            return self.search(pack)
        self.site.mirror.keep_end(pack, index_to_bytes([(pack, table)]))
        return index_of_pack(pack, table)

    def settle(self, packs: Iterable[PackRef]) -> dict[Key, PackRef]:
        """Return packs by their keys; where one key is said to be several, the one that its own end says that it is.

        Packs never change, so all commits that are right say the same: more requests are made only for who lies.
        """
        settled: dict[Key, PackRef] = {}
        contested: dict[Key, dict[PackRef, None]] = {}
        for pack in packs:
            known = settled.setdefault(pack.key, pack)
            if known != pack:
                contested.setdefault(pack.key, {known: None})[pack] = None
        for key, claims in contested.items():
            for size_bytes in dict.fromkeys(pack.size_bytes for pack in claims):
                with contextlib.suppress(CorruptError, KeyNotFoundError):
                    found = self.identify(key, size_bytes)
                    if found in claims:
                        settled[key] = found
        return settled

    def read_table(self, pack: PackRef) -> Table:
        """Return the table at the end of a pack.  Raises KeyNotFoundError, CorruptError, NewerFormatError."""
        footer = self._read_footer(pack.key, pack.size_bytes)
        if footer.pack_checksum != pack.checksum or footer.table_bytes > MAX_DOCUMENT_BYTES:
            raise CorruptError(f"{pack.key} is not the pack that it should be", key=pack.key)
        return parse_table(self.site.transport.read_range(pack.key, footer.table_offset, footer.table_bytes), footer)

    def identify(self, key: Key, size_bytes: int) -> PackRef:
        """Return what a pack that nothing names says that it is.  Raises as ``read_table``."""
        return PackRef(key, size_bytes, self._read_footer(key, size_bytes).pack_checksum)

    def _read_footer(self, key: Key, size_bytes: int) -> Footer:
        if size_bytes < FOOTER_BYTES:
            raise CorruptError(f"{key} is too short to be a pack", key=key)
        return footer_from_bytes(
            self.site.transport.read_range(key, size_bytes - FOOTER_BYTES, FOOTER_BYTES), size_bytes
        )

    def search(self, pack: PackRef) -> Index | None:
        """Return what a pack with a damaged end still holds, by reading all of it."""
        try:
            size = self.site.transport.find_size(pack.key)
            if size is None or size > MAX_DOCUMENT_BYTES:
                return None
            data = self.site.transport.read(pack.key)
        except KeyNotFoundError:
            return None
        found = {location[:2]: location for location, _ in iter_records(data)}
        return index_of_pack(pack, table_from_bytes(table_to_bytes(found.values())))
