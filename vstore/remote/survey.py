"""A survey of a whole remote, as strict as whoever deletes must be: what is there, who needs it, and how old it is.

Everything is listed in one order, and read before the next is listed: packs, tombstones, intents, commits, trash.
What protects a pack moves only to places that are listed later, and is there before it leaves the place where it was.
So an intent, commit or trash entry that is gone when it is read need not be known: what it protected is protected by
something that is still to be listed, or by nothing any more.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from vstore.errors import (
    Cause,
    CorruptError,
    KeyNotFoundError,
    NeedsUnknownError,
    NotFoundError,
    RemoteUnavailableError,
    VstoreError,
)
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.commits import Commit, CommittedRoot, commit_from_bytes, intent_from_bytes, intent_to_bytes
from vstore.remote.layout import (
    COMMITS,
    DOOMED,
    FORMAT,
    INTENTS,
    PACKS,
    TRASH,
    commit_key,
    find_commit_name,
    find_doomed_pack,
    find_intent_session,
    intent_key,
    is_pack,
    new_session,
)
from vstore.remote.ledger import MAX_DOCUMENT_BYTES, Ledger, Site
from vstore.remote.transport import Key, Listed

INTENT_LIFE_S = 7 * 24 * 3600
"""An intent that was not written again for so long protects nothing."""
TRASH_HOLD_S = 14 * 24 * 3600
"""For so long the copy of a retired commit pins what the commit did."""
_MOST_NEAR = 3
_MOST_SURVEY_S = 24 * 3600
"""No survey may last as long as the trash holds: what left the commits after they were listed is looked for there."""

Name = TypeVar("Name")
Value = TypeVar("Value")


class Intent(NamedTuple):
    """The intent of a session, and the packs that it relies upon."""

    listed: Listed
    packs: frozenset[Key]


class Held(NamedTuple):
    """A commit, and how it was listed: among the commits or in the trash."""

    listed: Listed
    commit: Commit


class PushedRoot(NamedTuple):
    """A root as one commit of our project names it, and when it was pushed by the store's own date."""

    root: CommittedRoot
    pushed_s: float
    held: Held

    @property
    def author(self) -> str:
        """Who pushed it."""
        return self.held.commit.author if self.root.author is None else self.root.author


def list_pushed(commits: Iterable[Held]) -> list[PushedRoot]:
    """Return what commits name, with the dates of the pushes; a root once for each commit."""
    return [
        PushedRoot(root, held.listed.modified_s if root.pushed_s is None else float(root.pushed_s), held)
        for held in commits
        for root in held.commit.roots
    ]


@dataclass(frozen=True, slots=True)
class Survey:
    """What there was at a remote.

    ``now_s`` is the store's own date from before anything was listed; all ages are told by it.  ``doomed`` has
    tombstones by the key of their pack, ``intents`` are by session; ``intents`` and ``trash`` are also those that
    expired.  ``remarks`` name what is nothing of ours.
    """

    project: str
    now_s: float
    packs: Mapping[Key, Listed]
    doomed: Mapping[Key, Listed]
    intents: Mapping[str, Intent]
    commits: Mapping[Key, Held]
    trash: Mapping[Key, Held]
    remarks: tuple[str, ...]
    session: str | None = None
    """That of the intent by which the store's time was told."""

    def age_s(self, listed: Listed) -> float:
        """Return how old an object is at least; what is of unknown age is never old."""
        age = self.now_s - listed.modified_s
        return age if math.isfinite(age) else -math.inf

    def own_commits(self) -> list[Held]:
        """Return our project's commits, newest first."""
        return self._own(self.commits)

    def own_trash(self) -> list[Held]:
        """Return our project's retired commits that still pin, newest first."""
        return [held for held in self._own(self.trash) if not self.is_expired(held)]

    def _own(self, commits: Mapping[Key, Held]) -> list[Held]:
        own = [held for held in commits.values() if held.commit.project == self.project]
        return sorted(own, key=lambda held: (-held.listed.modified_s, held.listed.key))

    def is_expired(self, found: Intent | Held) -> bool:
        """Tell whether an intent, or a commit in the trash, protects nothing any more.

        An entry whose commit is there as well may be written anew at any moment, by whoever retires that once more.
        """
        if isinstance(found, Held) and commit_key(found.commit.project, found.commit.session) in self.commits:
            return False
        hold_s = INTENT_LIFE_S if isinstance(found, Intent) else TRASH_HOLD_S
        return self.age_s(found.listed) > hold_s

    def is_settled(self, held: Held) -> bool:
        """Tell whether the push that wrote a commit has ended: only then may the commit be replaced."""
        return held.commit.session not in self.intents

    def is_whole(self, root: CommittedRoot) -> bool:
        """Tell whether every pack that a root is pinned to is there, with its length, and not doomed."""
        return all(
            pack.key in self.packs
            and self.packs[pack.key].size_bytes == pack.size_bytes
            and pack.key not in self.doomed
            for pack in root.pins
        )

    def list_roots(self) -> list[PushedRoot]:
        """Return what each of our project's commits names, newest commits first; a root once for each commit."""
        return list_pushed(self.own_commits())


@contextlib.contextmanager
def open_survey(
    site: Site, reporter: Reporter, *, forgotten: Collection[Key] = (), announced: bool = True
) -> Iterator[Survey]:
    """Survey a remote; the requests are five listings, and one for each commit and intent that is not known yet.

    ``forgotten`` intents, commits and trash entries are not read, and protect nothing.  What tells the store's time is
    an intent that announces nothing, there until the block ends; without ``announced`` nothing is written, and the
    clock of this machine has to do.
    Raises NeedsUnknownError naming what cannot be read, NotFoundError where what is to be forgotten is not there,
    CorruptError where the format is gone or damaged.
    """
    surveyor = _Surveyor(site, reporter, forgotten)
    if not surveyor.has_anything():
        yield Survey(site.project, time.time(), {}, {}, {}, {}, {}, ())
        return
    if not announced:
        yield surveyor.look(None)
        return
    session = new_session()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    site.transport.write(intent_key(session), intent_to_bytes(session, site.project, site.author, created, ()))
    try:
        yield surveyor.look(session)
    finally:
        try:
            site.transport.delete(intent_key(session))
        except VstoreError as error:
            reporter.warn(f"the intent {intent_key(session)} could not be withdrawn: {error.message}")


class _Surveyor:
    def __init__(self, site: Site, reporter: Reporter, forgotten: Collection[Key]) -> None:
        self._site = site
        self._reporter = reporter
        self._forgotten = forgotten
        self._remarks: list[str] = []
        self._failed: dict[Key, str] = {}
        self._seen: set[Key] = set()
        """All keys below the prefixes where something may be forgotten."""

    def has_anything(self) -> bool:
        """Tell whether anything was ever pushed.  Raises CorruptError, NewerFormatError, RemoteUnavailableError."""
        transport = self._site.transport
        ledger = Ledger(self._site, self._reporter)
        if ledger.has_format():
            return True
        if ledger.has_place() and any(True for prefix in (PACKS, COMMITS, TRASH) for _ in transport.list(prefix)):
            raise CorruptError(f"{FORMAT} at {transport.url} is gone", key=FORMAT, gone=True)
        return False

    def look(self, session: str | None) -> Survey:
        began_s = time.time()  # which goes on while the machine is suspended
        packs = self._list(PACKS, lambda key: key if is_pack(key) else None)
        doomed = self._list(DOOMED, find_doomed_pack)
        listed = self._list(INTENTS, find_intent_session)
        now_s = time.time()
        if session is not None:
            if session not in listed:
                message = f"{self._site.transport.url} does not list what was just written there"
                raise RemoteUnavailableError(message, cause=Cause.STALE, url=self._site.transport.url)
            now_s = listed.pop(session).modified_s
        intents = dict(self._read_all(listed, self._read_intent))
        commits = dict(self._read_all(self._list_commits(COMMITS), self._read_commit))
        trash = dict(self._read_all(self._list_commits(TRASH), self._read_commit))
        self._check_forgotten()
        if self._failed:
            number = f"{len(self._failed):,} objects" if len(self._failed) > 1 else "an object"
            raise NeedsUnknownError(
                f"what {number} at {self._site.transport.url} may protect is not known, so nothing was removed",
                failed=sorted(self._failed.items()),
                keys=sorted(self._failed),
            )
        if time.time() - began_s > _MOST_SURVEY_S:
            message = f"looking at {self._site.transport.url} took more than a day, so nothing was removed"
            raise RemoteUnavailableError(message, cause=Cause.STALE, url=self._site.transport.url)
        return Survey(self._site.project, now_s, packs, doomed, intents, commits, trash, tuple(self._remarks), session)

    def _check_forgotten(self) -> None:
        """Raise NotFoundError for what is to be forgotten and is not there, with the keys that are most like it.

        What has no slash, or begins with one, is nothing of the remote.
        """
        for key in self._forgotten:
            if "/" in key.lstrip("/") and not key.startswith("/") and key not in self._seen:
                near = difflib.get_close_matches(key, sorted(self._failed) or sorted(self._seen), _MOST_NEAR, 0)
                raise NotFoundError(
                    f"nothing at {self._site.transport.url} is called {key}", forget=key, near_keys=near
                )

    def _list(self, prefix: str, parse: Callable[[Key], Name | None]) -> dict[Name, Listed]:
        """Return the objects below a prefix by what their keys say."""
        found: dict[Name, Listed] = {}
        for listed in self._site.transport.list(prefix):
            name = parse(listed.key)
            if name is None:
                self._remarks.append(f"{listed.key} is nothing of ours")
            else:
                found[name] = listed
        return found

    def _list_commits(self, prefix: str) -> dict[Key, Listed]:
        return self._list(prefix, lambda key: key if find_commit_name(key) else None)

    def _read_all(self, listed: Mapping[Name, Listed], read: Callable[[Listed], Value]) -> Iterator[tuple[Name, Value]]:
        """Yield what objects say, but for those that are gone; what cannot be read is noted."""

        def attempt(item: tuple[Name, Listed]) -> tuple[Name, Listed, Value | None, str]:
            name, found = item
            reason = ""
            for _ in range(3):  # bytes are damaged on the way, too
                try:
                    if found.size_bytes > MAX_DOCUMENT_BYTES:
                        raise CorruptError(f"{found.key} is too long to be what it should be", key=found.key)
                    return name, found, read(found), ""
                except KeyNotFoundError:
                    return name, found, None, ""
                except CorruptError as error:
                    reason = error.message
            return name, found, None, reason

        self._seen.update(found.key for found in listed.values())
        wanted = ((name, found) for name, found in listed.items() if found.key not in self._forgotten)
        for name, found, value, reason in map_ordered(attempt, wanted, workers=self._site.jobs):
            if value is not None:
                yield name, value
            elif reason:
                self._failed[found.key] = reason.removeprefix(f"{found.key} ")

    def _read_intent(self, listed: Listed) -> Intent:
        return Intent(listed, intent_from_bytes(self._site.transport.read(listed.key), listed.key))

    def _read_commit(self, listed: Listed) -> Held:
        """Read a commit or trash entry: neither ever changes, and they are the same bytes."""
        mirror = self._site.mirror
        known = mirror.find_commit(listed.key, listed.size_bytes) or mirror.find_commit(
            _twin(listed.key), listed.size_bytes
        )
        if known is not None:
            return Held(listed, known)
        data = self._site.transport.read(listed.key)
        commit = commit_from_bytes(data, listed.key)
        mirror.keep(listed.key, data)
        return Held(listed, commit)


def _twin(key: Key) -> Key:
    """Return the key that a commit in the trash had before."""
    name = find_commit_name(key)
    return commit_key(*name) if name else key


def find_new_names(site: Site, survey: Survey) -> set[str]:
    """Return the packs that are named, and the sessions that go on, by intents and commits that came since a survey.

    What cannot be read is passed over: nothing is deleted by what this returns.
    """
    names: set[str] = set()
    for listed in site.transport.list(INTENTS):
        session = find_intent_session(listed.key)
        if session is not None and session != survey.session and session not in survey.intents:
            names.add(session)
            with contextlib.suppress(CorruptError, KeyNotFoundError):
                names |= intent_from_bytes(site.transport.read(listed.key), listed.key)
    for listed in site.transport.list(COMMITS):
        if find_commit_name(listed.key) and listed.key not in survey.commits:
            with contextlib.suppress(CorruptError, KeyNotFoundError):
                names |= commit_from_bytes(site.transport.read(listed.key), listed.key).packs().keys()
    return names
