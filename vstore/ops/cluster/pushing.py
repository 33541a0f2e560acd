"""Workers that upload for a push: out of a cache that they share with the client."""

from __future__ import annotations

import contextlib
import dataclasses
import operator
from collections.abc import Generator
from dataclasses import dataclass

from vstore.cache.offering import CacheTerms, offer_cache, open_offered_cache
from vstore.engine.engine import Desk, Engine
from vstore.engine.shards import cut
from vstore.remote.opening import RemoteTerms, open_remote_on_terms
from vstore.remote.shipping import Order, Shipment
from vstore.repo import Repo


@dataclass(frozen=True, slots=True)
class PushShard:
    """Some of the contents that a push lacks at the remote."""

    remote: RemoteTerms
    order: Order
    cache: CacheTerms


class Pushers:
    """The ``Crew`` of a push."""

    def __init__(self, repo: Repo, engine: Engine, remote: str) -> None:
        self._repo = repo
        self._engine = engine
        self._terms = repo.remote_terms(remote)

    def ship(self, order: Order) -> Generator[Shipment | None, None, None]:
        """Let the workers upload all contents."""
        if not order.contents:
            return
        with offer_cache(self._repo.cache, lock_wait_s=self._repo.config.lock_wait_s) as cache:
            places = self._engine.count_places()
            shards = [
                PushShard(self._terms, dataclasses.replace(order, contents=tuple(contents)), cache)
                for contents in cut(order.contents, operator.attrgetter("size_bytes"), places=places)
            ]
            with contextlib.closing(self._engine.run(push_shard, shards, self._repo.reporter)) as shipments:
                yield from shipments


def push_shard(shard: PushShard, desk: Desk) -> Shipment:
    """Upload a shard, on a worker.  What the cache lacks is left to the client, which knows what to say of it."""
    with (
        open_offered_cache(shard.cache) as cache,
        open_remote_on_terms(shard.remote, desk.scratch / "remote", tell=desk.note) as remote,
    ):
        return remote.upload_shard(shard.order, cache, reporter=desk)
