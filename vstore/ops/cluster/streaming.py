"""Workers that bring an import from its source straight to the remote."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from vstore.engine.engine import Desk, Engine
from vstore.engine.shards import cut
from vstore.objects.digest import Digest
from vstore.ops.download import Arrived
from vstore.ops.origins import SourceTerms, open_source_on_terms
from vstore.ops.streaming import Stream, add_sizes
from vstore.remote.content import Content, Root
from vstore.remote.opening import RemoteTerms, open_remote_on_terms
from vstore.remote.origin import Item
from vstore.remote.shipping import Order, Shipment
from vstore.repo import Repo


@dataclass(frozen=True, slots=True)
class StreamShard:
    """Some of the files of an import."""

    source: SourceTerms
    items: Sequence[Item] = field(repr=False)
    remote: RemoteTerms
    order: Order
    algorithm: str


class Job(NamedTuple):
    """An import to a remote, as a cluster gets it."""

    source: SourceTerms
    items: Sequence[Item]
    remote: str


class Convoy:
    """All files of an import, which workers bring: the ``Crew`` of its push, and its ``Incoming``."""

    def __init__(self, repo: Repo, engine: Engine, job: Job, make_root: Callable[[list[Arrived]], Root]) -> None:
        self.algorithm = repo.algorithm
        self.total_bytes = add_sizes(job.items)
        self._repo = repo
        self._engine = engine
        self._job = job
        self._terms = repo.remote_terms(job.remote)
        self._make_root = make_root
        self._arrived: list[Arrived] = []

    def ship(self, order: Order) -> Generator[Shipment | None, None, None]:
        """Let the workers bring all files, which are many to a shard, or one where it is large."""
        items, places = self._job.items, self._engine.count_places()
        shards = [
            StreamShard(self._job.source, shard, self._terms, order, self.algorithm)
            for shard in cut(items, lambda item: item.size_bytes or 0, places=places)
        ]
        with contextlib.closing(self._engine.run(stream_shard, shards, self._repo.reporter)) as results:
            for result in results:
                if result is not None:
                    self._arrived += result[1]
                yield None if result is None else result[0]

    def __iter__(self) -> Iterator[bytes | BinaryIO]:
        return iter(())

    def note(self, content: Content) -> None:
        """Nothing comes by way of this machine."""

    def finish(self) -> Root:
        """Return what all files are together, in the order in which they were listed."""
        places = {item.path: number for number, item in enumerate(self._job.items)}
        return self._make_root(sorted(self._arrived, key=lambda arrived: places[arrived.item.path]))


def stream_shard(shard: StreamShard, desk: Desk) -> tuple[Shipment, list[Arrived]]:
    """Bring a shard from the source to the remote, on a worker."""
    with (
        open_source_on_terms(shard.source, tell=desk.note) as origin,
        open_remote_on_terms(shard.remote, desk.scratch / "remote", tell=desk.note) as remote,
    ):
        stream = Stream(
            origin,
            shard.items,
            algorithm=shard.algorithm,
            jobs=shard.remote.jobs,
            in_flight_bytes=shard.remote.in_flight_bytes,
        )
        shipment = remote.upload_shard(shard.order, _NOTHING, arriving=stream, reporter=desk)
        return shipment, stream.arrived


class _Nothing:
    """A ``Source`` that holds nothing."""

    def find_record(self, digest: Digest) -> None:
        """Nothing is held."""

    def open_large(self, digest: Digest) -> None:
        """Nothing is held."""


_NOTHING = _Nothing()
