"""Writing anew what an inspection found damaged or lost of the documents of a remote, and nothing else.

Contents are brought again by a push; before it, commits and indexes are made right, so that it relies on nothing
that is wrong.  Nothing is deleted, and what cannot be read because it is newer is left alone unless this machine
knows what it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from vstore.errors import CorruptError
from vstore.objects.table import Table
from vstore.remote.commits import format_to_bytes
from vstore.remote.holdings import DAMAGED, find_scapegoat
from vstore.remote.index import index_to_bytes, split_tables
from vstore.remote.inspection import Examined, Verdict
from vstore.remote.layout import FORMAT, INDEX, PackRef, find_session, index_key
from vstore.remote.ledger import Site
from vstore.remote.transport import Key


def mend_documents(site: Site, verdict: Verdict, writer: str) -> list[Key]:
    """Write the format, commits and indexes anew where they are damaged or lost; return their keys.

    Objects never change, so a commit that this machine read or wrote before is the one that was there.
    Raises CorruptError for a damaged format, which may be of a newer version, and UnavailableError.
    """
    for problem in verdict.problems:
        if problem.key == FORMAT and problem.kind == DAMAGED:
            raise CorruptError(f"{FORMAT} at {site.transport.url} is damaged: {problem.reason}", key=FORMAT)
    mended: list[Key] = []
    if any(problem.key == FORMAT for problem in verdict.problems):
        site.transport.write(FORMAT, format_to_bytes(writer))
        mended.append(FORMAT)
    for key in verdict.commits.recalled:
        data = site.mirror.find(key)
        if data is not None:
            site.transport.write(key, data)
            mended.append(key)
    return mended + _mend_indexes(site, verdict)


def _mend_indexes(site: Site, verdict: Verdict) -> list[Key]:
    """Write damaged indexes over with what the packs of their sessions say, and new ones for packs that none tells of.

    A lost one comes back under the name that it had, as far as that can be told.
    """
    mended: list[Key] = []
    told: set[PackRef] = set()

    def put(key: Key, tables: Iterable[tuple[PackRef, Table]]) -> None:
        data = index_to_bytes(list(tables))
        site.transport.write(key, data)
        site.mirror.keep(key, data)
        mended.append(key)

    for key in verdict.indexes.broken:
        own = [(pack, table) for pack, table in verdict.tables.items() if find_session(pack.key) == find_session(key)]
        if own:
            told.update(pack for pack, _ in own)
            put(key, own)
    untold = [(pack, verdict.tables[pack]) for pack in verdict.indexes.untold if pack not in told]
    for session, group in itertools.groupby(untold, key=lambda entry: find_session(entry[0].key) or ""):
        numbers = (n for n in itertools.count() if index_key(session, n) not in verdict.indexes.listed)
        for number, run in zip(numbers, split_tables(group), strict=False):
            put(index_key(session, number), run)
    return [*mended, *([INDEX] if verdict.indexes.untold else [])]


def distrust_for_repair(site: Site, examined: Iterable[Examined]) -> set[Key]:
    """Distrust what a push would rely upon and should not: return those packs, to be trusted again after it.

    Those are doomed packs, which are safe for whoever saw the push of their commit end, and one pack of each root that
    lacks something though nothing is wrong with its packs.
    """
    packs: set[Key] = set()
    for found in examined:
        packs.update(pack.key for pack in found.bad)
        if found.lacking and found.pins and not found.bad:
            packs.add(find_scapegoat(found.pins))
    packs -= site.mirror.distrusted_packs()
    site.mirror.distrust(packs)
    return packs
