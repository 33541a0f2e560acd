"""The frozen samples: read as ever by vstore, written as ever, and read by the restore script's own parsers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.command import PROJECT
from tests.formats import samples
from vstore.objects.digest import hash_bytes
from vstore.objects.pack import FOOTER_BYTES, footer_from_bytes, iter_records, parse_table, read_record
from vstore.objects.pointer import pointer_from_bytes
from vstore.objects.recipe import recipe_from_bytes, resolve_recipe
from vstore.objects.table import BLOB, RECIPE
from vstore.objects.tree import Tree

_V1 = samples.SAMPLES / "v1"
_PACKS = {"records.vpack": samples.RECORDS, "levels.vpack": samples.RECORDS_OF_LEVELS}
_RECIPES = {
    "recipe-0": samples.RECIPES["xxh128"],
    "recipe-0-blake3": samples.RECIPES["blake3"],
    "recipe-1": samples.RECIPE_OF_RECIPE,
}


@pytest.fixture(scope="module")
def restore() -> ModuleType:
    """The restore script, as a module."""
    spec = importlib.util.spec_from_file_location("restore", PROJECT / "docs/formats/restore.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sample(name: str) -> bytes:
    return (_V1 / name).read_bytes()


def test_all_samples_are_known() -> None:
    """Every sample in the directory is one that these tests look at, and the other way round."""
    assert {path.name for path in _V1.iterdir() if path.name != ".gitattributes"} == samples.build().keys()


@pytest.mark.parametrize("name", sorted(samples.build().keys() - _PACKS.keys()))
def test_written_as_ever(name: str) -> None:
    """Pointers, trees and recipes are written today byte for byte as they were."""
    assert samples.build()[name] == _sample(name)


@pytest.mark.parametrize("name", _PACKS)
def test_packs_are_written_as_ever(name: str) -> None:
    """Packs are written today as they were, but for the bytes inside zstd frames and their lengths."""
    old, new = _sample(name), samples.build()[name]
    records = list(zip(iter_records(old), iter_records(new), strict=True))
    assert len(records) == len(_PACKS[name])
    for (old_location, old_record), (new_location, new_record) in records:
        assert old_record[12:16] == new_record[12:16]  # kind, codec, algorithm
        assert read_record(old_record, old_location) == read_record(new_record, new_location)
        if old_record[13] == 0:
            assert old_record == new_record
    assert old[:16] == new[:16]
    assert old[-24:] == new[-24:]  # number of records, version, magic


@pytest.mark.parametrize("name", samples.POINTERS)
def test_pointer(name: str, restore: ModuleType) -> None:
    """The pointers say what they said, also to a TOML parser alone."""
    pointer = pointer_from_bytes(_sample(name), name)
    assert pointer == samples.POINTERS[name]
    values = restore.tomllib.loads(_sample(name).decode())
    assert (values["kind"], values["digest"], values["size"]) == (pointer.kind, pointer.digest, pointer.size_bytes)


def test_tree(restore: ModuleType) -> None:
    """The tree holds what it held, for both readers."""
    assert Tree.from_bytes(_sample("tree")).entries == samples.TREE.entries
    assert sorted(restore.parse_tree(_sample("tree"))) == sorted(
        (entry.kind, entry.digest or entry.target, entry.path) for entry in samples.TREE.entries
    )


@pytest.mark.parametrize("name", _RECIPES)
def test_recipe(name: str, restore: ModuleType) -> None:
    """The recipes list what they listed, for both readers."""
    recipe = recipe_from_bytes(_sample(name))
    assert recipe == _RECIPES[name]
    assert restore.parse_recipe(_sample(name)) == (recipe.level, [chunk.digest for chunk in recipe.chunks])


def test_recipe_of_recipe() -> None:
    """The recipe of level 1 leads to the chunks of level 0."""
    pieces = {hash_bytes(piece, "xxh128"): piece for piece in samples.PIECES}
    assert resolve_recipe(_sample("recipe-1"), pieces.__getitem__) == samples.RECIPES["xxh128"].chunks


@pytest.mark.parametrize("name", _PACKS)
def test_pack(name: str) -> None:
    """The packs hold what they held, through their tables and forward."""
    pack = _sample(name)
    footer = footer_from_bytes(pack[-FOOTER_BYTES:], len(pack))
    table = parse_table(pack[footer.table_offset : -FOOTER_BYTES], footer)
    for kind, digest, data in _PACKS[name]:
        location = table.find(kind, digest)
        assert location is not None
        assert read_record(pack[location.offset : location.offset + location.record_bytes], location) == data
    forward = [(found.kind, found.digest, read_record(record, found)) for found, record in iter_records(pack)]
    assert forward == _PACKS[name]


def test_packs_hold_every_form() -> None:
    """The samples hold every combination of kind and codec that vstore writes, and both algorithms."""
    records = [record for name in _PACKS for _, record in iter_records(_sample(name))]
    assert {(record[12], record[13]) for record in records} >= {(BLOB, 0), (BLOB, 1), (RECIPE, 0)}
    assert {record[14] for record in records} == {1, 2}


@pytest.mark.parametrize("name", _PACKS)
@pytest.mark.parametrize("lost_bytes", [0, 1])
def test_pack_by_the_restore_script(name: str, lost_bytes: int, restore: ModuleType, tmp_path: Path) -> None:
    """The restore script reads every record of the packs, through their tables or, their last byte lost, forward."""
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / name).write_bytes(_sample(name)[: -lost_bytes or None])
    bucket = restore.Bucket(tmp_path)
    for kind, digest, data in _PACKS[name]:
        assert bucket.record(kind, digest) == data
    assert b"".join(bucket.pieces(hash_bytes(samples.WHOLE, "xxh128"))) == samples.WHOLE
