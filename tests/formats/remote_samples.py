"""What the frozen samples of a remote hold, and how they were made: ``python -m tests.formats.remote_samples``."""

from __future__ import annotations

import math

from tests.formats.samples import RECORDS, RECORDS_OF_LEVELS, SAMPLES
from vstore.objects.digest import Digest
from vstore.objects.pack import FOOTER_BYTES, footer_from_bytes, parse_table
from vstore.objects.table import Table
from vstore.remote.commits import Commit, CommittedRoot, format_to_bytes, intent_to_bytes
from vstore.remote.index import index_to_bytes
from vstore.remote.layout import LISTING, PackRef, commit_key, index_key, intent_key, pack_key
from vstore.remote.listing import listing_to_bytes
from vstore.remote.transport import Listed

DIRECTORY = SAMPLES / "remote-v1"
PROJECT = "3f2504e04f89"
SESSION, EARLIER, LATER = "0123456789abcdef" * 2, "fedcba9876543210" * 2, "00112233445566778899aabbccddeeff"
CREATED = "2026-11-21T05:42:17+00:00"
AUTHOR = "ada@host"


def _pack(name: str, session: str, number: int) -> tuple[PackRef, Table]:
    data = (SAMPLES / "v1" / name).read_bytes()
    footer = footer_from_bytes(data[-FOOTER_BYTES:], len(data))
    return PackRef(pack_key(session, number), len(data), footer.pack_checksum), parse_table(
        data[footer.table_offset : -FOOTER_BYTES], footer
    )


PACKS = [_pack("records.vpack", EARLIER, 0), _pack("levels.vpack", SESSION, 12)]
RECORDS_OF_PACKS = [RECORDS, RECORDS_OF_LEVELS]
_PINS = tuple(sorted(pack for pack, _ in PACKS))
COMMIT = Commit(
    PROJECT,
    SESSION,
    AUTHOR,
    CREATED,
    (
        CommittedRoot(Digest("xxh128:" + "12" * 16), "tree", "data/images", 450_000_000, "c" * 40, _PINS),
        CommittedRoot(Digest("blake3:" + "34" * 32), "file", 'naïve "model"\n', 0, None, _PINS[1:]),
    ),
    (commit_key(PROJECT, EARLIER),),
)
MERGED = Commit(
    PROJECT,
    LATER,
    "bob@host",
    CREATED,
    (
        COMMIT.roots[0]._replace(pushed_s=1_795_239_737, author=AUTHOR, git_commits=("d" * 40, None)),
        COMMIT.roots[1]._replace(pushed_s=1_795_239_000, author="eve@host"),
    ),
    (commit_key(PROJECT, SESSION), commit_key(PROJECT, EARLIER)),
)
"""What takes the place of commits."""
LISTED = [
    Listed("format.json", 105, math.inf),
    Listed(commit_key(PROJECT, SESSION), 1_086, 1_795_239_737.0),
    *(Listed(pack.key, pack.size_bytes, 1_795_239_736.0) for pack in _PINS),
]


def build() -> dict[str, bytes]:
    """Return the samples as today's vstore writes them, by key."""
    return {
        "format.json": format_to_bytes("vstore 0.1.0"),
        intent_key(SESSION): intent_to_bytes(SESSION, PROJECT, AUTHOR, CREATED, [PACKS[0][0].key]),
        commit_key(PROJECT, SESSION): COMMIT.to_bytes(),
        commit_key(PROJECT, LATER): MERGED.to_bytes(),
        index_key(SESSION, 0): index_to_bytes(PACKS),
        LISTING: listing_to_bytes(LISTED),
    }


if __name__ == "__main__":
    for key, data in build().items():
        path = DIRECTORY / key
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(path)
