"""The arithmetic of docs/design/scale.md: its tables, from what the code says and a few assumptions.

    python -m tests.docs.scale

writes them into the page, between the marks that are there.  What is measured is not here: see bench_scale.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.command import PROJECT
from vstore.objects.chunking import AVERAGE_CHUNK_BYTES
from vstore.objects.digest import hash_bytes
from vstore.objects.tree import FILE, Entry, Tree
from vstore.remote.commits import Commit, CommittedRoot, intent_to_bytes
from vstore.remote.index import HEAD_BYTES, MOST_RECORDS
from vstore.remote.layout import PackRef, pack_key
from vstore.remote.ledger import MAX_DOCUMENT_BYTES
from vstore.remote.looking import LISTED_AT_ONCE
from vstore.remote.opening import DEFAULT_JOBS
from vstore.remote.packer import PACK_BYTES
from vstore.remote.sealed import MAX_COUNT
from vstore.remote.spans import SPAN_BYTES

PAGE = PROJECT / "docs/design/scale.md"

# The assumptions.
PEOPLE, PROJECTS, POINTERS = 1_000, 100, 10
FILES, BYTES = 10**9, 10**15
PUSHES_A_DAY, LOOKS_A_DAY = 5, 20
"""Of each of the people: pushes of 1,000 changed files of a pointer, and pulls or pushes with nothing to do."""
SESSIONS = 1_500
"""So many pushes made what a project's packs hold: those of a month."""
PATH_LETTERS = 40
GIB = 2**30

# What S3 Standard in the cheapest regions costs by the public list, as listed in 2026, in dollars.
STORAGE_PRICES = ((50 * 1024, 0.023), (450 * 1024, 0.022), (math.inf, 0.021))
"""For a month: for so many GiB, so much each."""
WRITE_PRICE, READ_PRICE = 0.005 / 1000, 0.0004 / 1000
"""Of PUT and LIST, and of GET and HEAD."""
OUT_PRICE = 0.05
"""For each GiB that leaves the region for the internet, above 150 TiB a month; inside the region nothing."""

PAGE_S = 0.15
"""A page of a listing, which has to wait for the one before; an assumption for S3 from the same region."""
ROUND_TRIP_S = 0.05
JOBS = DEFAULT_JOBS
GIGABIT_BYTES_PER_S = 125e6


class Part(NamedTuple):
    """A pointer, a project, the bucket, or all in one."""

    bytes: float
    files: float

    @property
    def packs(self) -> float:
        return self.bytes / PACK_BYTES

    @property
    def chunks(self) -> float:
        return self.bytes / AVERAGE_CHUNK_BYTES

    @property
    def records(self) -> float:
        return self.chunks + self.files

    @property
    def index_bytes(self) -> float:
        return self.chunks * INDEX_BYTES_OF_CHUNK + self.files * INDEX_BYTES_OF_RECIPE

    @property
    def spans(self) -> float:
        return self.bytes / SPAN_BYTES

    @property
    def tree_bytes(self) -> float:
        return self.files * TREE_BYTES_OF_FILE

    @property
    def commit_bytes(self) -> float:
        return self.packs * COMMIT_BYTES_OF_PACK

    @property
    def pages(self) -> float:
        return self.packs / LISTED_AT_ONCE


def _growth(make: Iterable[bytes]) -> float:
    """Return how many bytes each of 1,000 things adds, from an encoding of 1,000 and one of 2,000."""
    short, long = map(len, make)
    return (long - short) / 1000


def _refs(count: int) -> list[PackRef]:
    return [PackRef(pack_key("ab" * 16, 10_000 + number), PACK_BYTES, "0" * 32) for number in range(count)]


def _commit(count: int) -> bytes:
    root = CommittedRoot(hash_bytes(b"", "xxh128"), "tree", "data", 1, None, tuple(_refs(count)))
    return Commit("p", "ab" * 16, "ada@host", "", (root,)).to_bytes()


def _intent(count: int) -> bytes:
    return intent_to_bytes("ab" * 16, "p", "ada@host", "", [ref.key for ref in _refs(count)])


def _tree(count: int) -> bytes:
    digest = hash_bytes(b"", "xxh128")
    return Tree([Entry(f"{number:0{PATH_LETTERS}}", FILE, 1_000_000, digest) for number in range(count)]).to_bytes()


# What the formats take, each as the code writes it.
INDEX_BYTES_OF_CHUNK = 16 + 8 + 4 + 4 + 4  # id, offset, two lengths, number of the pack
INDEX_BYTES_OF_RECIPE = INDEX_BYTES_OF_CHUNK + 16
COMMIT_BYTES_OF_PACK = _growth(map(_commit, (1000, 2000)))
INTENT_BYTES_OF_PACK = _growth(map(_intent, (1000, 2000)))
TREE_BYTES_OF_FILE = _growth(map(_tree, (1000, 2000)))

BUCKET = Part(BYTES, FILES)
PROJECT_PART = Part(BYTES / PROJECTS, FILES / PROJECTS)
POINTER = Part(PROJECT_PART.bytes / POINTERS, PROJECT_PART.files / POINTERS)
CHANGE = Part(1_000 * BYTES / FILES, 1_000)
"""1,000 files: what a push brings, or a pull fetches."""


def storage_dollars() -> float:
    """Return what the bucket costs a month."""
    left, dollars = BUCKET.bytes / GIB, 0.0
    for gib, price in STORAGE_PRICES:
        dollars += min(left, gib) * price
        left -= min(left, gib)
    return dollars


def tables() -> dict[str, str]:
    """Return the tables of the page by the names of their marks."""
    return {"holds": _holds(), "requests": _requests(), "money": _money(), "limits": _limits()}


def _holds() -> str:
    parts = (POINTER, PROJECT_PART, BUCKET)
    rows = [
        ("bytes", "", [_size(part.bytes) for part in parts]),
        ("files", "", [_count(part.files) for part in parts]),
        ("packs", f"bytes / {PACK_BYTES:,}", [_count(part.packs) for part in parts]),
        ("chunks", f"bytes / {AVERAGE_CHUNK_BYTES:,}", [_count(part.chunks) for part in parts]),
        ("recipes", "one for each file", [_count(part.files) for part in parts]),
        (
            "bytes of index objects",
            f"{INDEX_BYTES_OF_CHUNK} · chunks + {INDEX_BYTES_OF_RECIPE} · recipes",
            [_size(part.index_bytes) for part in parts],
        ),
        ("index objects", f"records / {MOST_RECORDS:,}", [_count(part.records / MOST_RECORDS) for part in parts]),
        ("bytes of trees", f"{TREE_BYTES_OF_FILE:.0f} · files", [_size(part.tree_bytes) for part in parts]),
        (
            "bytes of a commit that names all",
            f"{COMMIT_BYTES_OF_PACK:.0f} · packs",
            [_size(part.commit_bytes) for part in parts[:2]] + ["(none does)"],
        ),
        ("pages to list the packs", f"packs / {LISTED_AT_ONCE:,}", [_count(part.pages) for part in parts]),
    ]
    head = ("", "how", "a pointer", "a project", "the bucket")
    return _table(head, [(name, how, *cells) for name, how, cells in rows])


def _requests() -> str:
    heads = 2 * PROJECT_PART.records / MOST_RECORDS
    indexes = POINTER.records / MOST_RECORDS
    pointer_pages = SESSIONS / POINTERS + POINTER.pages
    push_sessions = SESSIONS + PROJECT_PART.pages + pointer_pages
    sent = CHANGE.bytes + PROJECT_PART.packs * INTENT_BYTES_OF_PACK + 2 * POINTER.commit_bytes
    known = JOBS * POINTER.commit_bytes + heads * HEAD_BYTES + POINTER.index_bytes
    rows = [
        _row("nothing to push, or `status --remote`", _Cost(2, sessions=pointer_pages)),
        _row("... if all packs were listed", _Cost(2 + BUCKET.pages)),
        _row("push of 1,000 files", _Cost(5, push_sessions, 2, CHANGE.packs + 4, sent)),
        _row("... if all packs were listed", _Cost(5 + 2 * BUCKET.pages, 0, 2, CHANGE.packs + 4, sent)),
        _row(
            "... the first from a machine",
            _Cost(6, push_sessions, 2 + JOBS + 1.5 * heads, CHANGE.packs + 4, sent + PROJECT_PART.index_bytes),
        ),
        _row(
            "pull of 1,000 files, the first",
            _Cost(2, 0, JOBS + heads + indexes + CHANGE.spans, 0, known + POINTER.tree_bytes + CHANGE.bytes),
        ),
        _row(
            "... when 1,000 others are wanted",
            _Cost(1, 0, 1 + 2 * CHANGE.packs + CHANGE.spans, 0, POINTER.commit_bytes + CHANGE.bytes),
        ),
        _row("pull of a whole pointer", _Cost(2, 0, JOBS + heads + indexes + POINTER.spans, 0, known + POINTER.bytes)),
        _row("`gc --remote --dry-run`, the first", _Cost(5 + BUCKET.pages, 0, PROJECTS, 0, BUCKET.commit_bytes)),
    ]
    return _table(("operation", "LIST", "GET, HEAD", "PUT", "bytes", "dollars", "seconds"), rows)


class _Cost(NamedTuple):
    """Requests and bytes.  Pages of one listing come one after the other, those of ``sessions`` eight at once."""

    lists: float
    sessions: float = 0
    gets: float = 0
    puts: float = 0
    bytes: float = 0

    @property
    def dollars(self) -> float:
        return (self.lists + self.sessions + self.puts) * WRITE_PRICE + self.gets * READ_PRICE

    @property
    def seconds(self) -> float:
        waiting = self.lists * PAGE_S + self.sessions / JOBS * PAGE_S + (self.gets + self.puts) / JOBS * ROUND_TRIP_S
        return waiting + self.bytes / GIGABIT_BYTES_PER_S


def _row(name: str, cost: _Cost) -> tuple[str, ...]:
    counts = [_count(cost.lists + cost.sessions), _count(cost.gets), _count(cost.puts)]
    return (name, *counts, _size(cost.bytes) if cost.bytes else "0", f"{cost.dollars:.4f}", _count(cost.seconds))


def _money() -> str:
    pushes, looks = PEOPLE * PUSHES_A_DAY, PEOPLE * LOOKS_A_DAY
    sent = (CHANGE.packs + 4) * WRITE_PRICE
    own = SESSIONS / POINTERS + POINTER.pages
    push = sent + (5 + SESSIONS + PROJECT_PART.pages + own) * WRITE_PRICE
    push_all = sent + (5 + 2 * BUCKET.pages) * WRITE_PRICE
    look, look_all = (2 + own) * WRITE_PRICE, (2 + BUCKET.pages) * WRITE_PRICE
    added_gib = pushes * CHANGE.bytes / GIB
    last_price = STORAGE_PRICES[-1][1]
    rows = [
        ("storage, a month", "by the tiers", storage_dollars()),
        ("of that the index objects", f"GiB · {last_price}", BUCKET.index_bytes / GIB * last_price),
        ("uploading all, once", f"packs · {WRITE_PRICE:.6f}", BUCKET.packs * WRITE_PRICE),
        ("... with a request for each file", f"files · {WRITE_PRICE:.6f}", BUCKET.files * WRITE_PRICE),
        (
            "reading all, once, inside the region",
            f"bytes / {SPAN_BYTES:,} · {READ_PRICE:.7f}",
            BUCKET.spans * READ_PRICE,
        ),
        ("... from elsewhere", f"GiB · {OUT_PRICE}", BUCKET.bytes / GIB * OUT_PRICE),
        ("pushes, a day", f"{pushes:,} · {push:.4f}", pushes * push),
        ("... if all packs were listed", f"{pushes:,} · {push_all:.4f}", pushes * push_all),
        ("pushes and `status --remote` with nothing new, a day", f"{looks:,} · {look:.6f}", looks * look),
        ("... if all packs were listed", f"{looks:,} · {look_all:.4f}", looks * look_all),
        (
            "what a day of pushes adds to the storage, a month",
            f"{pushes:,} · {_size(CHANGE.bytes)}, GiB · {last_price}",
            added_gib * last_price,
        ),
        ("a collection: listing and reading", f"pages · {WRITE_PRICE:.6f}", BUCKET.pages * WRITE_PRICE),
    ]
    return _table(("what", "how", "dollars"), [(name, how, f"{dollars:,.2f}") for name, how, dollars in rows])


def _limits() -> str:
    packs = MAX_DOCUMENT_BYTES / COMMIT_BYTES_OF_PACK
    rows = [
        ("a commit", f"{MAX_DOCUMENT_BYTES:,} bytes / {COMMIT_BYTES_OF_PACK:.0f}", _count(packs) + " packs"),
        ("", f"· {PACK_BYTES:,}", _size(packs * PACK_BYTES) + " of packs"),
        ("a tree", f"{GIB:,} bytes / {TREE_BYTES_OF_FILE:.0f}", _count(GIB / TREE_BYTES_OF_FILE) + " files"),
        ("the size of a root", "2⁴⁸", _size(MAX_COUNT)),
        (
            "an intent that names all packs of a project",
            f"{INTENT_BYTES_OF_PACK:.0f} · packs",
            _size(PROJECT_PART.packs * INTENT_BYTES_OF_PACK),
        ),
        ("`listing.json`", f"{MAX_DOCUMENT_BYTES:,} bytes / 130", _count(MAX_DOCUMENT_BYTES / 130) + " objects"),
    ]
    return _table(("what", "how", "at most"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("|  |", "| |").replace("|  |", "| |")


def _count(number: float) -> str:
    """Return a number with at most three digits that count."""
    if number < 1000:
        return f"{math.ceil(number):,}"
    scale = 10 ** (math.floor(math.log10(number)) - 2)
    return f"{round(number / scale) * scale:,.0f}"


def _size(number: float) -> str:
    for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number:.0f} B"


def render(page: str) -> str:
    """Return the page with all tables as they should be."""
    for name, table in tables().items():
        mark = rf"(<!-- table: {name} -->\n).*?(\n<!-- end -->)"
        page = re.sub(mark, lambda match, table=table: match[1] + table + match[2], page, flags=re.DOTALL)
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text("utf-8")), "utf-8")
