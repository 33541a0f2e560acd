"""Compaction: what lives in wasteful packs is written into new ones, and roots are pinned to those instead.

It is a push whose contents come out of the remote: an intent, a look, packs, a commit that supersedes others, and a
look; then the old commits are retired, and what nothing pins any more is garbage when the trash has expired.  Where
anything is not as it was thought to be, it gives up: nothing has moved yet, and a later one tries again.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from vstore.errors import CorruptError, IntentGoneError
from vstore.objects.digest import Digest
from vstore.objects.table import Location, Table
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.catalog import Place
from vstore.remote.commits import CommittedRoot
from vstore.remote.content import Source
from vstore.remote.copying import Opened, iter_records, open_packs
from vstore.remote.index import MOST_RECORDS, Index, index_of_pack
from vstore.remote.layout import PackRef
from vstore.remote.levels import Scale
from vstore.remote.merging import OwnCommits, delete_indexes, put_index, read_indexes
from vstore.remote.packer import SMALL_PACK_BYTES, BuiltPack, Packer
from vstore.remote.retire import retire_commits
from vstore.remote.session import Session, read_back
from vstore.remote.spans import read_places
from vstore.remote.survey import Held
from vstore.remote.transport import Key, Listed
from vstore.remote.usage import Usage

PACKS_SCALE = Scale(most=16, unit_bytes=4096, full_bytes=SMALL_PACK_BYTES)


class Compacted(NamedTuple):
    """What compaction did: packs that roots are no longer pinned to, and those that took their place; with bytes.

    ``read_bytes`` is what it takes to read where the cache holds nothing of it.
    """

    packs: int = 0
    packs_bytes: int = 0
    new_packs: int = 0
    new_bytes: int = 0
    read_bytes: int = 0

    def plus(self, other: Compacted) -> Compacted:
        """Return both together."""
        return Compacted(*map(sum, zip(self, other, strict=True)))


def find_read_bytes(victims: Collection[PackRef], usage: Usage | None) -> int:
    """Return how many bytes of packs are read at most to rewrite some: short ones whole, of long ones what lives, and
    the other copies of what lives elsewhere."""
    if usage is None:
        return sum(pack.size_bytes for pack in victims)
    dead = usage.dead_bytes()
    own = sum(pack.size_bytes - (dead.get(pack, 0) if pack.size_bytes >= SMALL_PACK_BYTES else 0) for pack in victims)
    return own + sum(location.record_bytes for _, location in usage.iter_elsewhere(set(victims)))


class Rewriting:
    """Writes what is not dead of some packs into new ones, and pins to those what was pinned to the old ones."""

    def __init__(self, own: OwnCommits, source: Source, reporter: Reporter) -> None:
        self._own = own
        self._site = own.site
        self._source = source
        self._reporter = reporter
        self._session = Session(own.site)
        self._built: dict[Key, tuple[PackRef, Table]] = {}
        self._moved: dict[PackRef, set[Key]] = {}
        """Of each old pack the other ones that hold what lived in it."""
        self._dropped: set[PackRef] = set()
        """Old packs of which something was dropped."""
        self._usage: Usage | None = None
        self._homes: dict[PackRef, set[tuple[int, Digest]]] = {}
        """Packs that stay, and which records of the old ones were read there and are good."""

    def run(self, victims: Sequence[PackRef], usage: Usage | None = None) -> Compacted:
        """Rewrite packs: all of them or, with ``usage``, what lives.

        Where it gives up, nothing was done.  Raises UnavailableError.
        """
        self._usage = usage
        wasteful = set(victims)
        old, roots = self._own.supersede(
            held for held in self._own.replaceable if not wasteful.isdisjoint(held.commit.packs().values())
        )
        if not old:
            return Compacted()
        done = False
        try:
            done = self._push(victims, old, roots)
        except CorruptError as error:
            self._site.mirror.distrust({pack.key for pack in victims if pack.key == error.fields.get("key")})
            self._reporter.warn(f"nothing was compacted, for {error.message}")
        except IntentGoneError:
            pass
        if not done:
            self._session.withdraw(self._reporter)
            return Compacted()
        return Compacted(
            len(victims),
            sum(pack.size_bytes for pack in victims),
            len(self._built),
            sum(pack.size_bytes for pack, _ in self._built.values()),
            find_read_bytes(victims, usage),
        )

    def _push(self, victims: Sequence[PackRef], old: Sequence[Held], roots: Sequence[CommittedRoot]) -> bool:
        """Take the steps of a push, and retire the old commits; False where anything was found to be lost."""
        ledger, mirror = self._own.ledger, self._site.mirror
        if self._usage is not None:
            self._read_homes(victims, self._usage)
        relied = {pack.key: pack for root in roots for pack in root.pins}
        relied |= {pack.key: pack for pack in (*victims, *self._homes)}
        self._session.announce(relied)
        if ledger.find_lost(relied.values()):
            return False
        self._upload(victims)
        pinned = [root._replace(pins=self._repin(root.pins)) for root in roots]
        if not all(root.pins for root in pinned):
            return False
        merged = self._put_index(victims)
        commit = self._session.put_commit(pinned, [held.listed.key for held in old])
        if ledger.find_lost(commit.packs().values()):
            return False
        key = read_back(self._site, commit)
        self._session.withdraw(self._reporter)
        mirror.keep_whole([key], among=[key, *self._own.commits])
        # What a large content needed may be what was dropped: nobody may be told that it has moved.
        moved = {pack.key: keys for pack, keys in self._moved.items() if pack not in self._dropped}
        mirror.keep_large(_move(mirror.large_contents(), moved), among={*self._own.packs, *self._built})
        mirror.forget_ends(victims)
        retire_commits(self._site, old)
        delete_indexes(self._site, merged)
        return True

    def _read_homes(self, victims: Sequence[PackRef], usage: Usage) -> None:
        """Read what lies in packs where else it lives: that it is good there no index object or table proves."""
        lives: dict[PackRef, list[tuple[int, Digest]]] = {}
        for pack, location in usage.iter_elsewhere(set(victims)):
            if self._may_stay(pack):
                lives.setdefault(pack, []).append(location[:2])
        ends = map_ordered(self._own.ledger.read_end, list(lives), workers=self._site.jobs)
        for (pack, records), end in zip(lives.items(), ends, strict=True):
            found = [place for kind, digest in records for place in (end.find(kind, digest) if end else ())]
            places = [Place(*place) for place in found if place[0] == pack]
            for batch in read_places(self._site, places, lambda location, record, content: None):
                for location, failure in batch:
                    if failure is None:
                        self._homes.setdefault(pack, set()).add((location.kind, location.digest))
                    else:
                        self._site.mirror.distrust({pack.key})
                        self._reporter.warn(f"{pack.key} is not as it should be: {failure.error}")

    def _may_stay(self, pack: PackRef) -> bool:
        return self._own.packs.get(pack.key) == pack and pack.key not in self._own.lost

    def _upload(self, victims: Sequence[PackRef]) -> None:
        self._reporter.begin("compacting", total=sum(pack.size_bytes for pack in victims), unit="bytes")
        try:
            for pack, table in map_ordered(
                self._put,
                self._iter_packs(victims),
                workers=self._site.jobs,
                ahead=self._site.in_flight_bytes,
                weigh=lambda pack: pack.ref.size_bytes,
            ):
                self._built[pack.key] = (pack, table)
        finally:
            self._reporter.end()

    def _put(self, pack: BuiltPack) -> tuple[PackRef, Table]:
        self._session.put_pack(pack)
        return pack.ref, pack.table

    def _iter_packs(self, victims: Sequence[PackRef]) -> Iterator[BuiltPack]:
        packer = Packer(self._session.name)
        placed: dict[tuple[int, Digest], Key] = {}
        for opened in self._open(victims):
            moved = self._moved[opened.pack] = set()
            copied = 0
            for location, record in iter_records(self._own.ledger, opened, self._source, self._is_left):
                key = placed.get(location[:2])
                if key is None:
                    key = placed[location[:2]] = packer.add(record, location)
                moved.add(key)
                copied += 1
                if packer.is_full:
                    yield from _take(packer)
            if copied < len(opened.table):
                self._dropped.add(opened.pack)
            self._reporter.advance(opened.pack.size_bytes)
        yield from _take(packer)

    def _is_left(self, pack: PackRef, location: Location) -> bool:
        """Tell whether a record need not be copied: it is dead, or lives where it will be pinned."""
        home = pack if self._usage is None else self._usage.find_home(pack, location)
        if home is None:
            return True
        if (location.kind, location.digest) not in self._homes.get(home, ()):
            return False
        self._moved[pack].add(home.key)
        return True

    def _open(self, victims: Sequence[PackRef]) -> Iterator[Opened]:
        return open_packs(self._own.ledger, victims)

    def _repin(self, pins: Iterable[PackRef]) -> tuple[PackRef, ...]:
        """Return the packs that hold what some did."""
        there = {pack.key: pack for pack in self._homes} | {key: pack for key, (pack, _) in self._built.items()}
        new = {
            ref
            for pack in pins
            for ref in ([there[key] for key in self._moved[pack]] if pack in self._moved else [pack])
        }
        return tuple(sorted(new))

    def _put_index(self, victims: Sequence[PackRef]) -> list[Listed]:
        """Write the index of the new packs and, since they go when the old ones do, of what told of those; return that.

        So nobody who reads a commit from the trash has to read the ends of all its packs.
        """
        found = read_indexes(self._own.ledger, {pack.key for pack in victims})
        new = [index_of_pack(pack, table) for pack, table in self._built.values()]
        merged: dict[Listed, Index] = {}
        records = sum(map(len, new))
        for listed, index in found.items():
            records += len(index)
            if records > MOST_RECORDS:
                break
            merged[listed] = index
        there = {*self._own.ledger.present, *self._built}
        put_index(self._site, self._session.name, itertools.chain(new, merged.values()), there)
        return list(merged)


def _take(packer: Packer) -> Iterator[BuiltPack]:
    pack = packer.take_pack()
    if pack is not None:
        yield pack


def _move(large: Mapping[Digest, Iterable[Key]], moved: Mapping[Key, Iterable[Key]]) -> dict[Digest, set[Key]]:
    """Return the packs of those large contents that were in any of the packs that moved."""
    return {
        digest: {new for key in keys for new in moved.get(key, (key,))}
        for digest, keys in large.items()
        if any(key in moved for key in keys)
    }
