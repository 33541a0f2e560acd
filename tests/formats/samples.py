"""What the frozen samples hold.  ``python -m tests.formats.samples`` writes those that are missing.

A sample that is there is never written again: it is what some released vstore wrote.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from vstore.objects.digest import hash_bytes
from vstore.objects.pack import pack_to_bytes
from vstore.objects.pointer import Pointer, pointer_to_bytes
from vstore.objects.recipe import Chunk, Recipe, recipe_to_bytes
from vstore.objects.table import BLOB, RECIPE
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, SYMLINK, Entry, Tree

SAMPLES = Path(__file__).parent / "samples"

CHUNKS = [b"chunk the first\n", b"chunk the second, of bytes that pay to be compressed\n" + bytes(1000), b"\n"]
WHOLE = b"".join(CHUNKS)

RECIPES = {
    algorithm: Recipe(0, [Chunk(hash_bytes(chunk, algorithm), len(chunk)) for chunk in CHUNKS])
    for algorithm in ("xxh128", "blake3")
}
_LOWER = recipe_to_bytes(RECIPES["xxh128"])
PIECES = [_LOWER[:50], _LOWER[50:]]
RECIPE_OF_RECIPE = Recipe(1, [Chunk(hash_bytes(piece, "xxh128"), len(piece)) for piece in PIECES])

TREE = Tree(
    [
        Entry("run.sh", EXECUTABLE, 16, hash_bytes(CHUNKS[0], "xxh128")),
        Entry("data/whole.bin", FILE, len(WHOLE), hash_bytes(WHOLE, "xxh128")),
        Entry("data/with blake3", FILE, len(WHOLE), hash_bytes(WHOLE, "blake3")),
        Entry("data/latest", SYMLINK, 0, target="whole.bin"),
        Entry("data/empty file", FILE, 0, hash_bytes(b"", "xxh128")),
        Entry("empty", EMPTY_DIRECTORY, 0),
        Entry("odd/tab\tand\nline", FILE, 1, hash_bytes(b"\n", "xxh128")),
        Entry("odd/cafe\u0301 😀", SYMLINK, 0, target="../odd/tab\tand\nline"),
    ]
)

RECORDS = [
    *((BLOB, hash_bytes(data, "xxh128"), data) for data in (*CHUNKS, b"", TREE.to_bytes())),
    *((BLOB, hash_bytes(chunk, "blake3"), chunk) for chunk in CHUNKS),
    *((RECIPE, hash_bytes(WHOLE, algorithm), recipe_to_bytes(recipe)) for algorithm, recipe in RECIPES.items()),
]
RECORDS_OF_LEVELS = [
    *((BLOB, hash_bytes(data, "xxh128"), data) for data in (*CHUNKS, *PIECES)),
    (RECIPE, hash_bytes(WHOLE, "xxh128"), recipe_to_bytes(RECIPE_OF_RECIPE)),
]

POINTERS = {
    "file.vstore": Pointer("file", hash_bytes(WHOLE, "xxh128"), len(WHOLE), executable=True),
    "tree.vstore": Pointer("tree", hash_bytes(TREE.to_bytes(), "xxh128"), TREE.size_bytes, files=TREE.files),
    "described.vstore": Pointer(
        "file",
        hash_bytes(WHOLE, "blake3"),
        len(WHOLE),
        type="table",
        description='All keys.\n"Quoted", and an é.',
        labels=("train", "v 2"),
        remote="store",
        meta={"rows": 10, "ratio": 0.5, "final": True, "day": datetime.date(2026, 1, 2), "of": {"a b": [1, 2]}},
        source={"url": "https://example.org/data.csv", "etag": '"abc"'},
    ),
}


def build() -> dict[str, bytes]:
    """Return the samples as today's vstore writes them, by name."""
    return {
        **{name: pointer_to_bytes(pointer) for name, pointer in POINTERS.items()},
        "tree": TREE.to_bytes(),
        "recipe-0": recipe_to_bytes(RECIPES["xxh128"]),
        "recipe-0-blake3": recipe_to_bytes(RECIPES["blake3"]),
        "recipe-1": recipe_to_bytes(RECIPE_OF_RECIPE),
        "records.vpack": pack_to_bytes(RECORDS),
        "levels.vpack": pack_to_bytes(RECORDS_OF_LEVELS),
    }


if __name__ == "__main__":
    for name, data in build().items():
        path = SAMPLES / "v1" / name
        if not path.exists():
            path.write_bytes(data)
            print(path)
