"""One session at a remote: what bears its name, and the steps in which it is written.

A session announces what it relies upon, writes packs, index objects and a commit, and withdraws its intent when the
commit was seen to be there.  So does who writes a commit in the place of others, and brings nothing new.
docs/formats/remote.md says why in this order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from vstore.errors import Cause, IntentGoneError, KeyNotFoundError, RemoteUnavailableError, UnavailableError
from vstore.objects.table import Table
from vstore.progress import Reporter
from vstore.remote.commits import Commit, CommittedRoot, intent_to_bytes
from vstore.remote.index import index_to_bytes, split_tables
from vstore.remote.layout import PackRef, commit_key, index_key, intent_key, new_session
from vstore.remote.ledger import Site
from vstore.remote.packer import SMALL_PACK_BYTES, BuiltPack
from vstore.remote.transport import Key

_RENEW_AFTER_S = 24 * 3600


class Session:
    """A session under a fresh name, or one that somebody else began.  Every method may raise UnavailableError."""

    def __init__(self, site: Site, name: str | None = None) -> None:
        self.name = name or new_session()
        self._site = site
        self._relied: Collection[Key] = ()
        self._renewed_s = 0.0

    def announce(self, relied: Collection[Key]) -> None:
        """Write the intent: these packs are relied upon, and all that bears the session's name is its own."""
        intent = intent_to_bytes(self.name, self._site.project, self._site.author, now_text(), relied)
        self._site.transport.write(intent_key(self.name), intent)
        self._relied, self._renewed_s = relied, self._site.clock()

    def rely(self, packs: Iterable[Key]) -> None:
        """Protect more packs when the intent is renewed: until then somebody else's intent does."""
        self._relied = {*self._relied, *packs}

    def renew(self) -> None:
        """Keep the intent from expiring; intents are given up for dead after seven days.  Raises IntentGoneError."""
        if self._site.clock() - self._renewed_s > _RENEW_AFTER_S:
            if self._site.transport.find_size(intent_key(self.name)) is None:
                raise _forgotten(self._site)
            self.announce(self._relied)

    def put_pack(self, pack: BuiltPack) -> None:
        """Write a pack, and remember the end of one that may be merged with others before long."""
        self.renew()
        self._site.transport.write(pack.ref.key, pack.data)
        if pack.ref.size_bytes < SMALL_PACK_BYTES:
            self._site.mirror.keep_end(pack.ref, index_to_bytes([(pack.ref, pack.table)]))

    def put_indexes(self, tables: Iterable[tuple[PackRef, Table]]) -> None:
        """Write the index of some packs, which may be of other sessions."""
        for number, run in enumerate(split_tables(tables)):
            key, data = index_key(self.name, number), index_to_bytes(run)
            self.renew()
            self._site.transport.write(key, data)
            self._site.mirror.keep(key, data)

    def put_commit(self, roots: Sequence[CommittedRoot], supersedes: Iterable[Key]) -> Commit:
        """Write the commit."""
        site = self._site
        commit = Commit(site.project, self.name, site.author, now_text(), tuple(roots), tuple(supersedes))
        self.renew()
        site.transport.write(commit_key(commit.project, commit.session), commit.to_bytes())
        return commit

    def withdraw(self, reporter: Reporter) -> bool:
        """Delete the intent; that it cannot be deleted is a warning."""
        try:
            self._site.transport.delete(intent_key(self.name))
        except UnavailableError as error:
            reporter.warn(f"all was written, but the intent could not be withdrawn: {error.message}")
            return False
        return True


def read_back(site: Site, commit: Commit) -> Key:
    """Return the key of a commit that was written, and remember it.

    A store may say that it wrote what it did not: then RemoteUnavailableError is raised.  Where the intent is gone as
    well, others may have replaced the commit, as that of a push that died: then IntentGoneError is.
    """
    key, data = commit_key(commit.project, commit.session), commit.to_bytes()
    try:
        if site.transport.read(key) == data:
            site.mirror.keep(key, data)
            return key
    except KeyNotFoundError:
        if site.transport.find_size(intent_key(commit.session)) is None:
            raise _forgotten(site) from None
    raise not_kept(site, key)


def not_kept(site: Site, key: Key) -> RemoteUnavailableError:
    """Return the error that a store says that it wrote what it did not."""
    message = f"{site.transport.url} did not keep {key} as it was written"
    return RemoteUnavailableError(message, cause=Cause.STALE, url=site.transport.url)


def _forgotten(site: Site) -> IntentGoneError:
    url = site.transport.url
    return IntentGoneError(f"{url} forgot that this command goes on: it took more than seven days", url=url)


def now_text() -> str:
    """Return the time as documents tell it to people."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
