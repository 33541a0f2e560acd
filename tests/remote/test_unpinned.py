"""Packs that no commit names: what is good in them is taken over without an upload, and nothing that is not."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.remote.faults import Crash, CrashAt, Hooked
from tests.remote.test_lies import Liar, flip, keys
from tests.remote.world import Machine, noise, small_files
from vstore.errors import ObjectMissingError
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.pack import encode_record
from vstore.objects.recipe import Chunk, Recipe, recipe_to_bytes
from vstore.objects.table import BLOB, RECIPE
from vstore.progress import SILENT
from vstore.remote import packer
from vstore.remote.commits import commit_from_bytes
from vstore.remote.content import Root
from vstore.remote.inspection import ReadData
from vstore.remote.layout import new_session, tombstone_key
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.mirror import Mirror
from vstore.remote.push import PushReport
from vstore.remote.recovery import recover
from vstore.remote.transport import Key
from vstore.remote.unpinned import Unpinned
from vstore.remote.wrappers import LoggedTransport

_FILES = small_files() | {"big": noise(700_000), "other": noise(300_000, 1)}
# Two contents of one XXH3-128: it multiplies two halves of sixteen bytes, and takes them in any order.
_ONE = b"01234567\xfc\xce\xcdf\xe3\xe0\xc1\xc40123456789ABCDEF"
_TWIN = b"81 s7e'f\xf4\xce\xdf&\xe0\xb0\xd0\x950123456789ABCDEF"


@pytest.fixture
def remote() -> Liar:
    """A remote that may lie."""
    return Liar(MemoryTransport())


@pytest.fixture(params=["xxh128", "blake3"])
def ada(request: pytest.FixtureRequest, tmp_path: Path, remote: Liar) -> Machine:
    """A machine, with either hash."""
    return Machine(tmp_path / "ada", remote, algorithm=request.param)


def lose(remote: Liar, *folders: str) -> None:
    """Lose all objects of some folders."""
    for key in keys(remote, ""):
        if key.startswith(folders or ("commits/", "index/", "format.json")):
            remote.delete(key)


def forget(machine: Machine) -> None:
    """Let a machine remember nothing of the remote."""
    machine.mirror = Mirror(machine.mirror.path.with_name("new mirror"))
    machine.site = machine.site.__class__(
        machine.transport, machine.mirror, machine.site.project, "ada@host", jobs=2, in_flight_bytes=32 * 1024 * 1024
    )


def repair(machine: Machine, *roots: Root) -> tuple[PushReport, Unpinned]:
    """Do what a repair does for roots that no commit names."""
    unpinned = Unpinned(machine.site, SILENT)
    return machine.remote.push(unpinned.plan_push(roots, machine.shelf), machine.shelf), unpinned


def pins(remote: Liar, report: PushReport) -> set[Key]:
    """The packs that a push committed to."""
    assert report.commit is not None
    return set(commit_from_bytes(remote.read(report.commit), report.commit).packs())


def check(machine: Machine, *roots: Root) -> None:
    """See that a fresh machine can fetch everything, and that nothing is found wrong."""
    carol = Machine(machine.mirror.path.with_name("carol"), machine.transport, algorithm=machine.algorithm)
    assert carol.fetch(*roots).missing == ()
    assert carol.holds(*roots)
    assert all(found.is_whole for found in carol.remote.inspect(None, read_data=ReadData(1.0)).examined)


@pytest.mark.parametrize("is_held", [True, False], ids=["cached", "not cached"])
def test_nothing_but_packs_is_enough(
    ada: Machine, remote: Liar, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    """Where commits, index and format are lost, a commit is made again of what is there, and nothing goes up."""
    monkeypatch.setattr(packer, "PACK_BYTES", 100_000)
    root = ada.add(_FILES)
    ada.push(root)
    before = keys(remote, "packs/")
    assert len(before) > 3
    lose(remote)
    forget(ada)
    if not is_held:
        ada.shelf.contents.clear()
    report, unpinned = repair(ada, root)
    assert (report.packs, report.uploaded_bytes, unpinned.remarks) == (0, 0, [])
    assert keys(remote, "packs/") == before and pins(remote, report) == set(before)
    check(ada, root)


def test_ordinary_push_relies_on_no_pack_that_nobody_names(tmp_path: Path, remote: Liar) -> None:
    """With xxh128 a push uploads anew what lies in packs of which nothing proves who wrote them."""
    ada = Machine(tmp_path / "ada", remote)
    root = ada.add(_FILES)
    ada.push(root)
    before = keys(remote, "packs/")
    lose(remote)
    forget(ada)
    assert pins(remote, ada.push(root)).isdisjoint(before)


def test_pack_whose_end_is_lost_is_copied(ada: Machine, remote: Liar) -> None:
    """Of a pack that was cut short, the good records come into a new pack; what was in the last bytes is named."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = keys(remote, "packs/")
    lose(remote)
    forget(ada)
    ada.shelf.contents.clear()
    remote.write(pack, remote.read(pack)[:-40])
    report, unpinned = repair(ada, root)
    assert report.packs == 1 and pack not in pins(remote, report)
    assert pack in unpinned.remarks[0] and unpinned.relied == set()
    check(ada, root)


def test_damaged_pack_is_not_relied_upon(ada: Machine, remote: Liar) -> None:
    """A pack with a damaged record is read and found out; the record comes from the cache, the others are copied."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = keys(remote, "packs/")
    lose(remote)
    forget(ada)
    flip(remote, pack, 400_000)
    held = dict(ada.shelf.contents)
    ada.shelf.contents.clear()
    with pytest.raises(ObjectMissingError):
        repair(ada, root)
    assert keys(remote, "commits/") == []
    ada.shelf.contents.update(held)
    report, unpinned = repair(ada, root)
    assert pack not in pins(remote, report) and "damaged" in unpinned.remarks[0]
    check(ada, root)


def test_doomed_pack_is_copied(ada: Machine, remote: Liar) -> None:
    """A pack that may be collected at any time is read, and never relied upon."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = keys(remote, "packs/")
    lose(remote)
    forget(ada)
    ada.shelf.contents.clear()
    remote.write(tombstone_key(pack), b"")
    report, _ = repair(ada, root)
    assert pack not in pins(remote, report)
    remote.delete(pack)
    check(ada, root)


def test_pack_of_another_project_is_left_alone(tmp_path: Path, remote: Liar) -> None:
    """What another project's commit or trash names is not looked into."""
    eve = Machine(tmp_path / "eve", remote, project="p2")
    root = eve.add(_FILES)
    eve.push(root)
    ada = Machine(tmp_path / "ada", remote)
    assert Unpinned(ada.site, SILENT).packs == {}
    (commit,) = keys(remote, "commits/")
    remote.write(commit.replace("commits/", "trash/"), remote.read(commit))
    remote.delete(commit)
    assert Unpinned(ada.site, SILENT).packs == {}
    remote.delete(keys(remote, "trash/")[0])
    assert len(Unpinned(ada.site, SILENT).packs) == 1


def plant(remote: Liar, *records: tuple[int, Digest, bytes]) -> Key:
    """Plant a pack of a stranger's."""
    built = packer.Packer(new_session())
    for kind, digest, data in records:
        built.add(*encode_record(kind, digest, data, check=hash_bytes(data, algorithm_of(digest).name)))
    pack = built.take_pack()
    assert pack is not None
    remote.write(pack.ref.key, pack.data)
    return pack.ref.key


def test_forged_small_content_is_found_out(tmp_path: Path, remote: Liar) -> None:
    """Other bytes of the same xxh128 are recognised by who holds the right ones, and their pack is shunned."""
    ada = Machine(tmp_path / "ada", remote)
    assert hash_bytes(_ONE, "xxh128") == hash_bytes(_TWIN, "xxh128")
    root = ada.add({"a": _ONE, "b": b"b"})
    tree = ada.shelf.contents[root.digest]
    forged = plant(
        remote,
        (BLOB, hash_bytes(_TWIN, "xxh128"), _TWIN),
        (BLOB, hash_bytes(b"b", "xxh128"), b"b"),
        (BLOB, root.digest, tree),
    )
    report, unpinned = repair(ada, root)
    assert forged not in pins(remote, report)
    assert [remark for remark in unpinned.remarks if "other bytes" in remark and forged in remark]
    check(ada, root)


def test_forged_recipe_is_found_out(ada: Machine, remote: Liar) -> None:
    """A recipe that makes up something else is not relied upon, whether the right content is held here or not."""
    big = noise(700_000)
    content = ada.shelf.put(big, ada.algorithm)
    root = Root(content.digest, "file", [content], "big")
    pieces = [bytes([number]) * 100_000 for number in range(7)]
    chunks = [Chunk(hash_bytes(piece, ada.algorithm), len(piece)) for piece in pieces]
    forged = plant(
        remote,
        *((BLOB, chunk.digest, piece) for chunk, piece in zip(chunks, pieces, strict=True)),
        (RECIPE, content.digest, recipe_to_bytes(Recipe(0, chunks))),
    )
    held = dict(ada.shelf.contents)
    ada.shelf.contents.clear()
    unpinned = Unpinned(ada.site, SILENT)
    assert unpinned.find_content(content.digest) is None
    assert unpinned.plan_push([root], ada.shelf).relied == frozenset()
    assert "do not make it up" in unpinned.remarks[0]
    ada.shelf.contents.update(held)
    report, unpinned = repair(ada, root)
    assert forged not in pins(remote, report)
    assert "other bytes" in unpinned.remarks[0]
    check(ada, root)


def test_damaged_cache_makes_no_pack_a_forgery(tmp_path: Path, remote: Liar) -> None:
    """Where the cached copy is what is wrong, the packs are relied upon."""
    ada = Machine(tmp_path / "ada", remote)
    root = ada.add({"big": noise(700_000)})
    ada.push(root)
    lose(remote)
    forget(ada)
    ada.shelf.damaged.update(content.digest for content in root.contents)
    report, unpinned = repair(ada, root)
    assert report.packs == 0 and unpinned.remarks == []


def test_recipe_of_impossible_length_costs_nothing(tmp_path: Path, remote: Liar) -> None:
    """A small recipe that claims terabytes is not followed."""
    piece = bytes(1_000_000)
    chunk = Chunk(hash_bytes(piece, "xxh128"), len(piece))
    digest = Digest("xxh128:" + "7" * 32)
    plant(remote, (BLOB, chunk.digest, piece), (RECIPE, digest, recipe_to_bytes(Recipe(0, [chunk] * 10_000))))
    log = LoggedTransport(remote)
    ada = Machine(tmp_path / "ada", log)
    content = ada.shelf.put(b"x" * 300_000)
    root = Root(digest, "file", [content._replace(digest=digest)], "big")
    unpinned = Unpinned(ada.site, SILENT)
    assert unpinned.plan_push([root], ada.shelf).relied == frozenset()
    assert unpinned.find_content(digest) is None
    assert sum(request.size_bytes for request in log.requests) < 3_000_000


def test_what_packs_hold_is_found_without_any_name(ada: Machine, remote: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees come first, then files that are in none; chunks and files of trees are not named by themselves."""
    monkeypatch.setattr(packer, "PACK_BYTES", 100_000)
    old, new = ada.add(_FILES, "data"), ada.add(_FILES | {"more": b"more"}, "data")
    loose, large = ada.shelf.put(b"alone", ada.algorithm), ada.shelf.put(noise(600_000, 7), ada.algorithm)
    files = [Root(content.digest, "file", [content], "x") for content in (loose, large)]
    ada.push(old)
    ada.push(new, *files)
    lose(remote)
    found, torn = recover(Unpinned(ada.site, SILENT), SILENT)
    assert [(one.kind, one.digest) for one in found] == [
        ("tree", new.digest),
        ("tree", old.digest),
        ("file", large.digest),
        ("file", loose.digest),
    ]
    assert torn == 0
    assert [one.files for one in found] == [len(_FILES) + 1, len(_FILES), 1, 1]


def test_tree_of_which_something_is_lost_is_counted(
    ada: Machine, remote: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree is no good where a file of it is damaged, or its pack is gone."""
    monkeypatch.setattr(packer, "PACK_BYTES", 30_000)
    root = ada.add({f"{number:02}": noise(10_000, number) for number in range(10)})
    ada.push(root)
    lose(remote)
    first, *_ = sorted(keys(remote, "packs/"), key=lambda key: int(key.rpartition("-")[2].partition(".")[0]))
    flip(remote, first, 5_000)
    found, torn = recover(Unpinned(ada.site, SILENT), SILENT)
    assert torn == 1 and found == []
    remote.delete(first)
    found, torn = recover(Unpinned(ada.site, SILENT), SILENT)
    assert (torn, found) == (1, [])


def test_repair_that_dies_is_repeated(tmp_path: Path) -> None:
    """Wherever a repair dies, the next one ends it, and still nothing is uploaded that is there."""
    first = Machine(tmp_path / "first", Liar(MemoryTransport()))
    root = first.add({"a": b"a", "big": noise(300_000)})
    first.push(root)
    packs = {key: first.transport.read(key) for key in keys(first.transport, "packs/")}
    for number in itertools.count():
        remote = Hooked(MemoryTransport())
        for key, data in packs.items():
            remote.inner.write(key, data)
        ada = Machine(tmp_path / str(number), remote)
        ada.shelf.contents.update(first.shelf.contents)
        remote.before = CrashAt(number)
        try:
            repair(ada, root)
        except Crash:
            remote.before = lambda operation, key: None
            repair(ada, root)
            check(ada, root)
            assert keys(remote, "packs/") == sorted(packs)
        else:
            break
    assert number > 15
