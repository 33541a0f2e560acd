"""Steps 2 to 7 of a push: the protocol that lets many push and collect at once without locks.

docs/formats/remote.md tells it and says why it is safe.  In short: an intent announces what we rely upon before
we look whether it is there; a commit is written only when everything it pins is at the remote; and success is
reported only after everything pinned was seen present and undoomed once more.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from vstore.errors import Cause, IntentGoneError, ObjectMissingError, RemoteUnavailableError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest
from vstore.objects.table import Table, table_from_bytes
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.commits import Commit, CommittedRoot, format_to_bytes
from vstore.remote.content import Incoming, Root, Source
from vstore.remote.draft import Draft, PushPlan
from vstore.remote.layout import FORMAT, PackRef, commit_key
from vstore.remote.mirror import Journal
from vstore.remote.packer import BuiltPack
from vstore.remote.session import Session, read_back
from vstore.remote.shipping import Crew, Order, Shipment
from vstore.remote.transport import Key
from vstore.remote.uploads import Uploads

_MOST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push did.  ``commit`` is None where the remote held everything already.

    ``is_settled``: its intents were withdrawn.
    """

    packs: int
    records: int
    uploaded_bytes: int
    present: tuple[Digest, ...]
    committed: tuple[Digest, ...]
    commit: Key | None
    is_settled: bool = True


def push(plan: PushPlan, source: Source, writer: str, reporter: Reporter, crew: Crew | None = None) -> PushReport:
    """Carry out a plan; when it returns, the remote holds all of its roots.  A ``crew`` uploads what it can.

    Where it stops, whatever was uploaded is found by the next push.  Raises ObjectMissingError (and no commit is
    written) where something is held neither by ``source`` nor anywhere at the remote, CorruptError where a
    large content of ``source`` is damaged, UnavailableError.
    """
    if plan.is_empty:
        return PushReport(0, 0, 0, plan.present, (), None)
    with contextlib.ExitStack() as stack:
        return _Push(plan.draft, source, reporter, stack, crew=crew).run(writer)


def push_incoming(
    draft: Draft, incoming: Incoming, source: Source, writer: str, reporter: Reporter, crew: Crew | None = None
) -> PushReport:
    """Bring contents to the remote as they come, and commit what they are together; nothing of them is kept here.

    What a ``crew`` brings must not come once more: ``incoming`` only says in the end what all of it is.

    ``draft`` is one of no roots.  What the remote holds already is not uploaded again.  Raises what ``incoming``
    raises, and is then without a commit; else as ``push``.
    """
    draft.expect_root()
    with contextlib.ExitStack() as stack:
        return _Push(draft, source, reporter, stack, incoming=incoming, crew=crew).run(writer)


class _Push:
    def __init__(
        self,
        draft: Draft,
        source: Source,
        reporter: Reporter,
        stack: contextlib.ExitStack,
        *,
        incoming: Incoming | None = None,
        crew: Crew | None = None,
    ) -> None:
        self._draft = draft
        self._site = draft.site
        self._transport = draft.site.transport
        self._source = source
        self._reporter = reporter
        self._stack = stack
        self._incoming = incoming
        """What comes from elsewhere; None when it is all there."""
        self._crew = crew
        """Who has not been asked yet to upload what it can."""
        self._rounds: list[Session] = []
        self._shipped: list[Session] = []
        """Those in which others uploaded."""
        self._packs = self._records = self._uploaded_bytes = 0

    def run(self, writer: str) -> PushReport:
        if not self._draft.ledger.has_format():
            self._transport.write(FORMAT, format_to_bytes(writer))
        failed: list[Key] = []
        for _ in range(_MOST_ROUNDS):
            journal = self._begin()
            try:
                self._announce()  # steps 1 to 3
                self._upload(journal)  # step 4
                commit = self._commit(failed)  # step 5
                lost = self._draft.ledger.find_lost(commit.packs().values())  # step 6
                if not lost:
                    return self._finish(read_back(self._site, commit), commit)
            except IntentGoneError:
                if self._incoming is not None:
                    raise
                self._draft.rethink(())
                continue
            failed.append(commit_key(commit.project, commit.session))
            self._draft.rethink(lost)
        raise RemoteUnavailableError(
            f"{self._transport.url} does not keep what is pushed to it: packs were gone or doomed as soon as they"
            f" were written, {_MOST_ROUNDS} times over",
            cause=Cause.STALE,
            url=self._transport.url,
        )

    @property
    def _session(self) -> Session:
        """That of this round: every round is a session of its own, so that commits never change."""
        return self._rounds[-1]

    def _begin(self) -> Journal:
        self._rounds.append(Session(self._site))
        return self._stack.enter_context(self._site.mirror.open_journal(self._session.name))

    def _announce(self) -> None:
        """Name what we rely upon, then look whether it is there; again with what is left until it is."""
        while True:
            relied = self._draft.relied()
            self._session.announce(relied)
            lost = self._draft.ledger.find_lost(
                pack for key, pack in self._draft.catalog.usable().items() if key in relied
            )
            if not lost:
                return
            self._draft.rethink(lost)

    def _upload(self, journal: Journal) -> None:
        """Upload the records that are not there, then the index of all packs that have none."""
        uploads = Uploads(self._draft, self._source, self._session.name)

        def put(pack: BuiltPack) -> tuple[PackRef, Table]:
            journal.note(pack.ref)
            began_s = time.monotonic()
            self._session.put_pack(pack)
            uploads.note_upload(pack.ref.size_bytes, time.monotonic() - began_s)
            return pack.ref, pack.table

        def packs() -> Iterator[BuiltPack]:
            for pack in itertools.chain(self._take_incoming(uploads), uploads.iter_packs()):
                self._reporter.advance(uploads.take_progress())
                yield pack

        uploaded = []
        total: int | None = sum(content.size_bytes for content in self._draft.new_contents())
        if self._incoming is not None:
            total = self._incoming.total_bytes
        self._reporter.begin("pushing", total=total, unit="bytes")
        try:
            self._ship(journal)
            # While one pack is built, the others are uploaded.
            for pack, table in map_ordered(
                put,
                packs(),
                workers=self._site.jobs,
                ahead=self._site.in_flight_bytes,
                weigh=lambda pack: pack.ref.size_bytes,
            ):
                uploaded.append((pack, table))
                self._packs += 1
                self._records += len(table)
                self._uploaded_bytes += pack.size_bytes
            self._reporter.advance(uploads.take_progress())
        finally:
            self._reporter.end()
            # A later round, if there is one, relies upon them.
            for pack, table in uploaded:
                self._draft.learn_pack(pack, table)
        if uploads.missing:
            self._refuse(uploads.missing)
        self._put_indexes()

    def _ship(self, journal: Journal) -> None:
        """Let others upload what they can; what they leave is uploaded here."""
        if self._crew is None:
            return
        adopted = tuple(pack for pack, _ in self._draft.unindexed.values())
        order = Order(self._session.name, tuple(self._draft.new_contents()), adopted)
        with contextlib.closing(self._crew.ship(order)) as shipments:
            for shipment in shipments:
                self._session.renew()
                if shipment is not None:
                    self._take_shipment(shipment, journal)
        self._crew = None
        self._draft.rethink(())

    def _take_shipment(self, shipment: Shipment, journal: Journal) -> None:
        self._shipped.append(Session(self._site, shipment.session))
        for pack, data in shipment.packs:
            journal.note(pack)
            table = table_from_bytes(data)
            self._draft.learn_pack(pack, table)
            self._packs += 1
            self._records += len(table)
            self._uploaded_bytes += pack.size_bytes
        self._session.rely(pack.key for pack, _ in shipment.packs)
        self._draft.learn_shipped(shipment.large)

    def _take_incoming(self, uploads: Uploads) -> Iterator[BuiltPack]:
        if self._incoming is not None:
            yield from uploads.add_incoming(self._incoming)
            self._draft.add_root(self._incoming.finish())
            self._incoming = None

    def _put_indexes(self) -> None:
        used = self._pins_of(self._draft.new_roots())
        tables = [entry for key, entry in self._draft.unindexed.items() if key in used]
        self._session.put_indexes(tables)
        for pack, _ in tables:
            del self._draft.unindexed[pack.key]

    def _pins_of(self, roots: list[Root]) -> set[Key]:
        blobs, large = self._draft.blobs, self._draft.large
        pins: set[Key] = set()
        for root in roots:
            pins |= {blobs[digest] for digest, size_bytes in root.contents if size_bytes <= SMALL_BYTES}
            pins = pins.union(*(large[digest] for digest, size_bytes in root.contents if size_bytes > SMALL_BYTES))
        return pins

    def _commit(self, failed: list[Key]) -> Commit:
        packs = self._draft.catalog.usable()
        roots = []
        for root in self._draft.roots.values():
            kept = self._draft.kept.get(root.digest)
            if kept is not None:
                kind, refs, size = kept.kind, kept.pins, kept.size_bytes
            else:
                kind, refs = root.kind, tuple(packs[key] for key in sorted(self._pins_of([root])))
                size = sum(content.size_bytes for content in root.contents)
            roots.append(CommittedRoot(root.digest, kind, root.path, size, root.git_commit, refs))
        return self._session.put_commit(roots, failed)

    def _finish(self, key: Key, commit: Commit) -> PushReport:
        """Step 7: withdraw the intents, and remember what we know now."""
        withdrawn = [session.withdraw(self._reporter) for session in (*self._rounds, *self._shipped)]
        mirror = self._site.mirror
        mirror.keep_whole([key], among=[key, *self._draft.commits])
        mirror.keep_large(self._draft.large, among=self._draft.catalog.usable())
        mirror.forget_sessions(self._draft.finished_sessions())
        present = tuple(self._draft.kept)
        committed = tuple(root.digest for root in self._draft.new_roots())
        self._draft.commits[key] = commit
        return PushReport(self._packs, self._records, self._uploaded_bytes, present, committed, key, all(withdrawn))

    def _refuse(self, missing: set[Digest]) -> None:
        paths = sorted(
            root.path for root in self._draft.new_roots() if any(content.digest in missing for content in root.contents)
        )
        raise ObjectMissingError(
            f"{len(missing)} objects that {', '.join(paths)} needs are neither in the cache nor at"
            f" {self._transport.url}",
            digests=sorted(missing),
            paths=paths,
        )
