#!/usr/bin/env python3
"""Restores files from a copy of a vstore bucket, without vstore and without its index: the last resort.

    restore.py BUCKET OUT POINTER...    restores what the pointers stand for into OUT, which is made
    restore.py BUCKET OUT               restores every tree that the packs hold, each under its digest

BUCKET is a directory with the bucket's packs/.  Needs zstandard; verifies where xxhash and blake3 are there too.
Written from the pages beside it: pointer.md, tree.md, pack.md, recipe.md, digest.md.
"""

import contextlib
import importlib
import re
import struct
import sys
import tomllib
from pathlib import Path

import zstandard

HASHES = {"xxh128": "xxhash.xxh3_128", "blake3": "blake3.blake3"}
ALGORITHMS = {1: ("xxh128", 16), 2: ("blake3", 32)}
BLOB, RECIPE = 1, 2
RECORD = struct.Struct("<4s8xBBBxII")  # magic, kind, codec, algorithm, stored length, raw length
TREE = b"vstore-tree 1\n"


def digests(algorithm, column):
    name, width = ALGORITHMS[algorithm]
    return [f"{name}:{column[i : i + width].hex()}" for i in range(0, len(column), width)]


def is_true(digest, pieces):
    module, name = HASHES[digest[:6]].split(".")
    with contextlib.suppress(ImportError):
        state = getattr(importlib.import_module(module), name)()
        for piece in pieces:
            state.update(piece)
        return state.hexdigest() == digest[7:]
    return True


def by_table(pack):
    """Yield (kind, digest, offset) of each record, from the table at the end of a pack."""
    offset, length, magic = struct.unpack("<QQ36x12s", pack[-64:])
    if magic != b"vstore-tail\0" or offset + length + 64 != len(pack):
        raise ValueError("the end of the pack is lost")
    at = offset
    while at < offset + length:
        kind, algorithm, count = struct.unpack_from("<BB2xI", pack, at)
        ids_bytes = count * ALGORITHMS[algorithm][1]
        ids = digests(algorithm, pack[at + 8 : at + 8 + ids_bytes])
        at += 8 + ids_bytes * kind  # recipes have a second column of digests
        yield from zip([kind] * count, ids, struct.unpack_from(f"<{count}Q", pack, at), strict=True)
        at += 16 * count


def forward(pack):
    """Yield the same without the table.  What only looks like a record is found out when it is read."""
    for found in re.finditer(rb"\xb5VR1.{8}[\1\2][\0\1]([\1\2])\0", pack, re.DOTALL):
        start, algorithm = found.start(), found[1][0]
        ids = digests(algorithm, pack[start + 24 : start + 24 + ALGORITHMS[algorithm][1]])
        yield from ((pack[start + 12], name, start) for name in ids)


def parse_recipe(data):
    """Return the level of a recipe and the digests of its chunks."""
    magic, version, level, algorithm, count = struct.unpack_from("<8sHBBI", data)
    if (magic, version) != (b"vst-recp", 1):
        raise ValueError("not a recipe of version 1")
    return level, digests(algorithm, data[24 : 24 + count * ALGORITHMS[algorithm][1]])


def parse_tree(data):
    """Return (kind, content, path) of each entry, links last, so that nothing is written through one."""
    entries = []
    for line in data.removeprefix(TREE).decode().split("\n")[:-1]:
        kind, _, *texts = line.split("\t")
        content, path = (text.replace("\\t", "\t").replace("\\n", "\n") for text in texts)
        if re.search(r"[\\\0]|(^|/)(\.{0,2}|\.git|\.vstore)(/|$)", path, re.IGNORECASE):
            raise ValueError(f"a tree holds the path {path!r}")
        entries.append((kind, content, path))
    return sorted(entries, key=lambda entry: entry[0] == "l")


class Bucket:
    def __init__(self, root):
        self.places, self.failures = {}, []
        for path in sorted(Path(root, "packs").iterdir()):
            pack = path.read_bytes()
            try:
                records = list(by_table(pack))
            except (ValueError, LookupError, struct.error):
                records = forward(pack)
            for kind, digest, offset in records:
                self.places.setdefault((kind, digest), []).append((path, offset))

    def record(self, kind, digest):
        """Return the content of a record, from the first pack in which it is whole."""
        for path, offset in self.places.get((kind, digest), ()):
            with path.open("rb") as file, contextlib.suppress(KeyError, struct.error, zstandard.ZstdError):
                file.seek(offset)
                _, _, codec, algorithm, stored, raw = RECORD.unpack(file.read(24))
                file.seek(ALGORITHMS[algorithm][1], 1)
                data = file.read(min(stored, 4 << 20))
                data = zstandard.decompress(data) if codec == 1 else data
                if len(data) == raw and (kind == RECIPE or is_true(digest, [data])):
                    return data
        raise ValueError(f"{digest} is in no pack, or damaged")

    def chunks(self, digest):
        """Return the digests of the blobs that make up a content."""
        if (RECIPE, digest) not in self.places:
            return [digest]
        level, names = parse_recipe(self.record(RECIPE, digest))
        while level:
            level, names = parse_recipe(b"".join(self.record(BLOB, name) for name in names))
        return names

    def pieces(self, digest):
        """Yield a content piece by piece; raise ValueError at its end if it is not the digest's."""
        names = self.chunks(digest)
        yield from (self.record(BLOB, name) for name in names)
        if not is_true(digest, (self.record(BLOB, name) for name in names)):
            raise ValueError(f"{digest} is damaged")

    def restore_file(self, digest, path, executable):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.writelines(self.pieces(digest))
            path.chmod(0o755 if executable else 0o644)
        except ValueError as error:  # the other files may be whole
            path.unlink()
            self.failures.append(f"{path}: {error}")

    def restore_tree(self, digest, out):
        out.mkdir(parents=True)
        for kind, content, path in parse_tree(b"".join(self.pieces(digest))):
            if kind == "l":
                (out / path).parent.mkdir(parents=True, exist_ok=True)
                (out / path).symlink_to(content)
            elif kind == "d":
                (out / path).mkdir(parents=True)
            else:
                self.restore_file(content, out / path, kind == "x")


def main(root, out, *pointers):
    bucket = Bucket(root)
    for name in pointers:
        pointer, path = tomllib.loads(Path(name).read_text("utf-8")), Path(out, Path(name).stem)
        if pointer["kind"] == "tree":
            bucket.restore_tree(pointer["digest"], path)
        else:
            bucket.restore_file(pointer["digest"], path, pointer.get("executable"))
    if not pointers:
        contents = {digest: bucket.chunks(digest) for _, digest in sorted(bucket.places)}
        parts = {name for digest, names in contents.items() if names != [digest] for name in names}
        for digest in contents.keys() - parts:
            if bucket.record(BLOB, contents[digest][0]).startswith(TREE):
                bucket.restore_tree(digest, Path(out, digest.replace(":", "-")))
    return "\n".join(bucket.failures)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
