"""Workers that fetch into a cache that they share with the client."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vstore.cache.offering import CacheTerms, offer_cache, open_offered_cache
from vstore.cache.writer import open_writer
from vstore.engine.engine import Desk, Engine
from vstore.engine.shards import cut
from vstore.objects.digest import Digest
from vstore.remote.content import Content
from vstore.remote.fetch import FetchReport
from vstore.remote.opening import RemoteTerms, open_remote_on_terms
from vstore.remote.remote import Remote
from vstore.repo import Repo


@dataclass(frozen=True, slots=True)
class FetchShard:
    """Some contents that a cache lacks, and older versions of the large ones that it holds."""

    remote: RemoteTerms
    cache: CacheTerms
    contents: Sequence[Content] = field(repr=False)
    roots: Collection[Digest] = field(repr=False)
    bases: Mapping[Digest, Digest] = field(repr=False)


def fetch_on(
    repo: Repo,
    engine: Engine,
    remote: Remote,
    contents: Sequence[Content],
    *,
    roots: Collection[Digest],
    bases: Mapping[Digest, Digest],
) -> FetchReport:
    """Let workers bring contents into the cache; as ``Remote.fetch`` does it here."""
    terms = repo.remote_terms(remote.name)
    repo.reporter.begin("fetching", total=sum(content.size_bytes for content in contents), unit="bytes")
    try:
        with offer_cache(repo.cache, lock_wait_s=repo.config.lock_wait_s) as cache:
            shards = [
                FetchShard(terms, cache, shard, roots, {c.digest: bases[c.digest] for c in shard if c.digest in bases})
                for shard in cut(contents, operator.attrgetter("size_bytes"), places=engine.count_places())
            ]
            with contextlib.closing(engine.run(fetch_shard, shards, repo.reporter)) as reports:
                whole = _add_up(report for report in reports if report is not None)
    finally:
        repo.reporter.end()
    remote.distrust(pack for _, pack in whole.damaged)
    return whole


def fetch_shard(shard: FetchShard, desk: Desk) -> FetchReport:
    """Bring a shard into the cache, on a worker; what was there already, from an earlier attempt, counts as fetched."""
    with (
        open_offered_cache(shard.cache) as cache,
        open_remote_on_terms(shard.remote, desk.scratch / "remote", tell=desk.note) as remote,
        open_writer(cache) as writer,
    ):
        return remote.fetch(shard.contents, writer, roots=shard.roots, bases=shard.bases, reporter=desk)


def _add_up(reports: Iterable[FetchReport]) -> FetchReport:
    done = list(reports)
    return FetchReport(
        contents=sum(report.contents for report in done),
        read_bytes=sum(report.read_bytes for report in done),
        reused_bytes=sum(report.reused_bytes for report in done),
        missing=tuple(digest for report in done for digest in report.missing),
        damaged=tuple(each for report in done for each in report.damaged),
    )
