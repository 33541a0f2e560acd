"""The last resort: files come back from a copy of the bucket by a script that knows only the pages."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.command import PROJECT
from tests.remote.world import Machine, noise, small_files
from vstore.objects.chunking import SMALL_BYTES, iter_chunks
from vstore.objects.digest import ALGORITHMS, Digest, hash_bytes
from vstore.objects.pack import pack_to_bytes
from vstore.objects.pointer import Pointer, pointer_to_bytes
from vstore.objects.recipe import Chunk, build_recipe
from vstore.objects.table import BLOB, RECIPE
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, SYMLINK, TREE_HEADER, Entry, Tree
from vstore.remote.directory_transport import DirectoryTransport

_SCRIPT = PROJECT / "docs/formats/restore.py"
_BARE = """
import sys, runpy
sys.modules["xxhash"] = sys.modules["blake3"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

Record = tuple[int, Digest, bytes]


def _stored(data: bytes, algorithm: str) -> dict[tuple[int, Digest], bytes]:
    """Return the records that a bucket holds for a content."""
    digest = hash_bytes(data, algorithm)
    if len(data) <= SMALL_BYTES:
        return {(BLOB, digest): data}
    blobs = {hash_bytes(chunk, algorithm): bytes(chunk) for chunk in iter_chunks(io.BytesIO(data))}
    chunks = [Chunk(hash_bytes(chunk, algorithm), len(chunk)) for chunk in iter_chunks(io.BytesIO(data))]
    recipe = build_recipe(chunks, blobs.__setitem__)
    return {**{(BLOB, name): blob for name, blob in blobs.items()}, (RECIPE, digest): recipe}


def _files() -> dict[str, bytes]:
    # Long names, so that the tree is chunked too.
    small = {f"small/{i:04}-{'x' * 150}": random.Random(i).randbytes(i % 50) for i in range(1500)}
    big = random.Random(0).randbytes(2_000_000)
    return {
        **small,
        "big.bin": big + bytes(3_000_000),
        "copy of big.bin": big + bytes(3_000_000),
        "text.csv": b"1,2,3\n" * 20_000,
        "names/-tab\tline\n'\"#😀 cafe\u0301": b"odd",
    }


class _Bucket:
    """A directory as a push would leave it, its records spread over three packs."""

    def __init__(self, root: Path, algorithm: str) -> None:
        self.root, self.algorithm = root, algorithm
        self.files = _files()
        entries = [Entry(path, FILE, len(data), hash_bytes(data, algorithm)) for path, data in self.files.items()]
        entries += [
            Entry("run.sh", EXECUTABLE, 3, hash_bytes(b"odd", algorithm)),
            Entry("void", EMPTY_DIRECTORY, 0),
            Entry("names/link", SYMLINK, 0, target="../text.csv"),
            Entry("dangling", SYMLINK, 0, target="nowhere"),
        ]
        self.tree = Tree(entries)
        assert len(self.tree.to_bytes()) > SMALL_BYTES
        records: dict[tuple[int, Digest], bytes] = {}
        for data in (*self.files.values(), self.tree.to_bytes()):
            records.update(_stored(data, algorithm))
        in_order = [(kind, digest, data) for (kind, digest), data in records.items()]
        (root / "packs").mkdir(parents=True)
        for n in range(3):
            self.put(f"session-{n}", in_order[n::3])

    def put(self, name: str, records: Iterable[Record]) -> None:
        (self.root / f"packs/{name}.vpack").write_bytes(pack_to_bytes(records))

    def pointer(self, name: str, data: bytes | None = None) -> Path:
        path = self.root.parent / f"{name}.vstore"
        whole = self.tree.to_bytes() if data is None else data
        kind, files = ("tree", self.tree.files) if data is None else ("file", 1)
        path.write_bytes(pointer_to_bytes(Pointer(kind, hash_bytes(whole, self.algorithm), len(whole), files=files)))
        return path

    def assert_restored(self, out: Path) -> None:
        found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_symlink() or path.is_file()}
        assert found == {entry.path for entry in self.tree.entries if entry.kind != EMPTY_DIRECTORY}
        for path, data in self.files.items():
            assert (out / path).read_bytes() == data
        assert os.access(out / "run.sh", os.X_OK)
        assert not os.access(out / "text.csv", os.X_OK)
        assert (out / "void").is_dir()
        assert os.readlink(out / "names/link") == "../text.csv"
        assert os.readlink(out / "dangling") == "nowhere"


@pytest.fixture(params=ALGORITHMS)
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> _Bucket:
    """A bucket that holds one directory."""
    return _Bucket(tmp_path / "bucket", request.param)


def _restore(*arguments: object, bare: bool = False) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", _BARE] if bare else []), str(_SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


@pytest.mark.parametrize("bare", [False, True], ids=["verifying", "without hash modules"])
def test_pointers(bucket: _Bucket, tmp_path: Path, bare: bool) -> None:
    """What pointers stand for is restored, a directory and a file, also where no hash module is installed."""
    big = bucket.files["big.bin"]
    pointers = bucket.pointer("images"), bucket.pointer("big.bin", big)
    done = _restore(bucket.root, tmp_path / "out", *pointers, bare=bare)
    assert done.returncode == 0, done.stderr
    bucket.assert_restored(tmp_path / "out/images")
    assert (tmp_path / "out/big.bin").read_bytes() == big


def test_everything(bucket: _Bucket, tmp_path: Path) -> None:
    """Without a pointer all trees are found, also one that is itself cut into chunks."""
    other = Tree([Entry("odd", FILE, 3, hash_bytes(b"odd", bucket.algorithm))]).to_bytes()
    bucket.put("other", [(BLOB, hash_bytes(other, bucket.algorithm), other)])
    done = _restore(bucket.root, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = [hash_bytes(tree, bucket.algorithm).replace(":", "-") for tree in (bucket.tree.to_bytes(), other)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    bucket.assert_restored(tmp_path / "out" / names[0])


def test_lost_tails(bucket: _Bucket, tmp_path: Path) -> None:
    """Packs whose tables are lost are read forward."""
    for path in (bucket.root / "packs").iterdir():
        pack = path.read_bytes()
        table_bytes = int.from_bytes(pack[-56:-48], "little")
        path.write_bytes(pack[: -table_bytes - 64] + b"torn")
    done = _restore(bucket.root, tmp_path / "out", bucket.pointer("images"))
    assert done.returncode == 0, done.stderr
    bucket.assert_restored(tmp_path / "out/images")


def test_damage(bucket: _Bucket, tmp_path: Path) -> None:
    """A damaged content is restored from another pack that has it, or named while all others are restored."""
    text = bucket.files["text.csv"]
    raw_id = bytes.fromhex(hash_bytes(text, bucket.algorithm)[7:])
    holder = next(path for path in (bucket.root / "packs").iterdir() if raw_id in path.read_bytes())
    pack = bytearray(holder.read_bytes())
    pack[pack.index(raw_id) + 40] ^= 1
    holder.write_bytes(pack)
    done = _restore(bucket.root, tmp_path / "damaged", bucket.pointer("images"))
    assert done.returncode == 1
    assert "text.csv" in done.stderr
    assert not (tmp_path / "damaged/images/text.csv").exists()
    assert (tmp_path / "damaged/images/big.bin").read_bytes() == bucket.files["big.bin"]
    bucket.put("z", [(BLOB, hash_bytes(text, bucket.algorithm), text)])
    assert _restore(bucket.root, tmp_path / "whole", bucket.pointer("images")).returncode == 0
    bucket.assert_restored(tmp_path / "whole/images")


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", "a//b", ".git/hooks/x", "a/.vstore/x", "a\\b"])
def test_hostile_tree(path: str, tmp_path: Path) -> None:
    """The script writes nothing outside of its output, whatever a tree says."""
    digest = hash_bytes(b"evil", "xxh128")
    tree = f"{TREE_HEADER}f\t4\t{digest}\t{path}\n".encode()
    (tmp_path / "bucket/packs").mkdir(parents=True)
    pack = pack_to_bytes([(BLOB, digest, b"evil"), (BLOB, hash_bytes(tree, "xxh128"), tree)])
    (tmp_path / "bucket/packs/x.vpack").write_bytes(pack)
    done = _restore(tmp_path / "bucket", tmp_path / "out/deep/er")
    assert done.returncode == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".vpack"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_pushed(algorithm: str, tmp_path: Path) -> None:
    """What a push left at a directory remote comes back without vstore."""
    (tmp_path / "bucket").mkdir()
    machine = Machine(tmp_path / "machine", DirectoryTransport(tmp_path / "bucket"), algorithm=algorithm)
    files = {**small_files(), "big.bin": noise(3_000_000)}
    root = machine.add(files)
    machine.push(root)
    done = _restore(tmp_path / "bucket", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out" / root.digest.replace(":", "-")
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert found == files


def test_the_script_stands_alone() -> None:
    """The script is short and imports nothing of vstore's."""
    lines = _SCRIPT.read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 150
    assert not [line for line in lines if "import" in line and "vstore" in line]
