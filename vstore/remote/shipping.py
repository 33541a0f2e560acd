"""Letting other machines upload parts of a push: each shard is a session with an intent of its own.

So no name is ever used twice, however often a shard is begun, and no collector touches what a shard uploads before the
commit that pins it.  Only the push that ordered them writes indexes and the commit: what no commit pins is garbage.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vstore.errors import Cause, KeyNotFoundError, RemoteUnavailableError
from vstore.objects.digest import Digest, algorithm_of
from vstore.objects.table import table_to_bytes
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.catalog import has_proof
from vstore.remote.commits import intent_from_bytes
from vstore.remote.content import Arriving, Content, Root, Source
from vstore.remote.draft import Draft
from vstore.remote.layout import PackRef, intent_key
from vstore.remote.learning import learn_foreign
from vstore.remote.ledger import Site
from vstore.remote.packer import BuiltPack
from vstore.remote.session import Session
from vstore.remote.transport import Key
from vstore.remote.uploads import Uploads, no_digest


@dataclass(frozen=True, slots=True)
class Order:
    """What a push wants to have uploaded, under the protection of its intent.

    What that intent relies upon, shards may rely upon; where the records in ``adopted`` lie, no index object says.
    """

    session: str
    contents: tuple[Content, ...] = field(repr=False)
    adopted: tuple[PackRef, ...]


@dataclass(frozen=True, slots=True)
class Shipment:
    """What a shard uploaded: its packs with their tables, and in which packs each large content lies."""

    session: str
    packs: tuple[tuple[PackRef, bytes], ...] = field(repr=False)
    large: Mapping[Digest, Collection[Key]] = field(repr=False)


class Crew(Protocol):
    """Other machines that upload for a push."""

    def ship(self, order: Order) -> Generator[Shipment | None, None, None]:
        """Yield what was uploaded, shard by shard, and now and then None, so that the intent can be renewed.

        What is not in a shipment the push uploads itself.
        """


def upload_shard(
    site: Site, order: Order, source: Source, *, arriving: Arriving | None = None, reporter: Reporter
) -> Shipment:
    """Upload the contents of an order from a source, or what arrives from elsewhere, as far as the remote lacks it.

    What neither the source nor the remote has is left out.  Raises RemoteUnavailableError where the order's intent is
    not seen: then this is another place, or the push is over.
    """
    return _Shard(site, order, reporter).run(source, arriving)


class _Shard:
    def __init__(self, site: Site, order: Order, reporter: Reporter) -> None:
        self._site = site
        self._order = order
        self._reporter = reporter
        self._session = Session(site)

    def run(self, source: Source, arriving: Arriving | None) -> Shipment:
        relied = self._read_order()
        self._session.announce(())  # what is relied upon the order's own intent protects
        draft = Draft(self._site, (), self._reporter)
        draft.expect_root()
        if has_proof(content.digest for content in self._order.contents):
            learn_foreign(draft.ledger, draft.catalog)
        for pack in self._order.adopted:
            draft.adopt(pack)
        draft.catalog.drop(draft.catalog.usable().keys() - relied)
        if self._order.contents:
            draft.add_root(_as_root(self._order.contents))
        uploads = Uploads(draft, source, self._session.name)
        packs = itertools.chain(() if arriving is None else uploads.add_incoming(arriving), uploads.iter_packs())
        uploaded = tuple(self._upload(packs, uploads))
        return Shipment(self._session.name, uploaded, dict(draft.large))

    def _read_order(self) -> frozenset[Key]:
        key = intent_key(self._order.session)
        try:
            return intent_from_bytes(self._site.transport.read(key), key)
        except KeyNotFoundError as error:
            message = f"{self._site.transport.url} does not show here what the machine wrote that gave this order"
            raise RemoteUnavailableError(message, cause=Cause.STALE, url=self._site.transport.url) from error

    def _upload(self, packs: Iterator[BuiltPack], uploads: Uploads) -> Iterator[tuple[PackRef, bytes]]:
        def put(pack: BuiltPack) -> tuple[PackRef, bytes]:
            began_s = time.monotonic()
            self._session.put_pack(pack)
            uploads.note_upload(pack.ref.size_bytes, time.monotonic() - began_s)
            return pack.ref, table_to_bytes(pack.table.locations())

        def counted() -> Iterator[BuiltPack]:
            for pack in packs:
                self._reporter.advance(uploads.take_progress())
                yield pack

        yield from map_ordered(
            put,
            counted(),
            workers=self._site.jobs,
            ahead=self._site.in_flight_bytes,
            weigh=lambda pack: pack.ref.size_bytes,
        )
        self._reporter.advance(uploads.take_progress())


def _as_root(contents: Sequence[Content]) -> Root:
    """Return contents as what an ``Uploads`` takes; no commit can have a root of this name."""
    return Root(no_digest(algorithm_of(contents[0].digest).name), "tree", contents, "")
