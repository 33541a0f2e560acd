"""Inspecting a remote: a hostile or broken one is seen through, and neither crashes nor is believed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from tests import damage
from tests.command import PROJECT as PROJECT_FILES
from tests.remote.faults import Crash, CrashAt, Hooked, UnreachableAt
from tests.remote.test_lies import Liar, flip, keys
from tests.remote.world import PROJECT, Machine, noise, small_files
from vstore.errors import CorruptError, NewerFormatError, RemoteUnavailableError
from vstore.objects.digest import Digest
from vstore.objects.recipe import Chunk, Recipe, recipe_to_bytes
from vstore.objects.table import BLOB, RECIPE, table_from_bytes, table_to_bytes
from vstore.objects.tree import Tree
from vstore.progress import SILENT
from vstore.remote import holdings, inspection, packer, whole
from vstore.remote.commits import Commit, CommittedRoot, commit_from_bytes
from vstore.remote.content import Root
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.index import index_from_bytes, index_to_bytes
from vstore.remote.inspection import ReadData, Verdict
from vstore.remote.layout import PackRef, commit_key, index_key, new_session, tombstone_key
from vstore.remote.ledger import Ledger
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Transport
from vstore.remote.wrappers import LoggedTransport

_FILES = small_files() | {"big": noise(700_000)}
_ALL = ReadData(1.0)


@pytest.fixture
def remote() -> Liar:
    """A remote that may lie."""
    return Liar(MemoryTransport())


@pytest.fixture
def ada(tmp_path: Path, remote: Liar) -> Machine:
    """A machine."""
    return Machine(tmp_path / "ada", remote)


@pytest.fixture
def bob(tmp_path: Path, remote: Liar) -> Machine:
    """Another machine."""
    return Machine(tmp_path / "bob", remote)


def is_well(verdict: Verdict) -> bool:
    """Tell whether nothing was found wrong."""
    return not verdict.problems and all(found.is_whole for found in verdict.examined)


def read_commit(remote: Transport) -> Commit:
    """The only commit."""
    (key,) = keys(remote, "commits/")
    return commit_from_bytes(remote.read(key), key)


def write_commit(remote: Transport, *roots: CommittedRoot) -> None:
    """Plant a lawful commit of our project, newer than all others."""
    commit = Commit(PROJECT, new_session(), "eve", "2026-01-01T00:00:00+00:00", roots)
    remote.write(commit_key(PROJECT, commit.session), commit.to_bytes())


def mend(machine: Machine, verdict: Verdict, *roots: Root) -> None:
    """Do what a repair does with what the machine holds."""
    remote = machine.remote
    remote.mend_documents(verdict)
    broken = {found.root.digest for found in verdict.examined if not found.is_whole}
    with remote.distrusting(verdict.examined):
        machine.push(*(root for root in roots if root.digest in broken))


def load(remote: Transport) -> damage.Objects:
    """All objects."""
    return {key: remote.read(key) for key in keys(remote, "")}


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    happened=st.lists(
        st.tuples(st.sampled_from(damage.DAMAGES), st.integers(0, 10**6), st.integers(0, 10**9)),
        min_size=1,
        max_size=4,
    ),
    share=st.sampled_from([0.0, 1.0]),
)
def test_exactly_what_is_lost_is_found_and_mended(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    happened: list[tuple[damage.Damage, int, int]],
    share: float,
) -> None:
    """Whatever happens to objects in memory, the contents that are lost are those found, and a push mends all."""
    place = tmp_path_factory.mktemp("world")
    monkeypatch.setattr(packer, "PACK_BYTES", 30_000)
    remote = MemoryTransport()
    ada = Machine(place / "ada", remote)
    old = ada.add({**{f"{i:02}": noise(5_000, i) for i in range(8)}, "big": noise(300_000, 50)}, "old")
    new = ada.add({**{f"{i:02}": noise(5_000, i) for i in range(4, 12)}, "big": noise(300_000, 50)}, "new")
    ada.push(old)
    ada.push(new)
    model = damage.Model(load(remote))
    objects = damage.damage(model.objects, happened)
    hypothesis.assume(objects.get("format.json") == model.objects["format.json"])
    for key in model.objects.keys() - objects.keys():
        remote.delete(key)
    for key, data in objects.items():
        remote.write(key, data)
    verdict = ada.remote.inspect(None, read_data=ReadData(share), find_tree=ada.shelf.contents.get)
    assert load(remote) == objects
    paths = {root.path for root in (old, new) for gone in verdict.gone if gone.digest == root.digest}
    for found in verdict.examined:
        tree = Tree.from_bytes(ada.shelf.contents[found.root.digest])
        paths |= {found.root.path} if found.root.digest in found.lacking else set()
        paths |= {f"{found.root.path}/{entry.path}" for entry in tree.entries if entry.digest in found.lacking}
    assert paths == model.harmed(objects, is_read=share == 1)
    for _ in range(2):  # what a damaged commit names is seen only when it was restored
        mend(ada, ada.remote.inspect(None, read_data=_ALL, find_tree=ada.shelf.contents.get), old, new)
    ada.push(*(root for root in (old, new) if root.digest in {gone.digest for gone in verdict.gone}))
    again = ada.remote.inspect(None, read_data=_ALL)
    assert is_well(again), again
    carol = Machine(place / "carol", remote)
    assert carol.fetch(old, new).missing == ()
    assert carol.holds(old, new)


def test_commit_that_pins_nothing_is_not_believed(ada: Machine, bob: Machine, remote: Liar) -> None:
    """A newer commit that names a root without any pack makes nobody lose the pins of the older one."""
    root = ada.add(_FILES)
    write_commit(remote, CommittedRoot(root.digest, "tree", "data", 1, None, ()))
    assert ada.remote.missing_roots([root.digest]) == {root.digest}
    ada.push(root)
    write_commit(remote, CommittedRoot(root.digest, "tree", "data", 1, None, ()))
    assert is_well(bob.remote.inspect(None, read_data=_ALL))
    assert bob.push(bob.add(_FILES)).commit is None


def test_commit_that_lies_about_a_pack_spoils_only_itself(ada: Machine, bob: Machine, remote: Liar) -> None:
    """Whoever plants a commit that means another pack by the key of ours harms no root of ours."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = read_commit(remote).packs().values()
    for lie in (pack._replace(size_bytes=pack.size_bytes + 1), pack._replace(checksum="0" * 32)):
        write_commit(remote, CommittedRoot(Digest("xxh128:" + "1" * 32), "file", "../../x", 5, "HEAD", (lie,)))
    verdict = bob.remote.inspect(None, read_data=_ALL)
    assert [found.root.path for found in verdict.examined if not found.is_whole] == ["../../x"]
    assert all(found.lacking for found in verdict.examined if not found.is_whole)
    assert bob.mirror.distrusted_packs() == set()


def test_commit_that_pins_too_little_is_found_and_mended(ada: Machine, bob: Machine, remote: Liar) -> None:
    """A root whose packs are good and do not hold it is found; a push mends it and trusts the packs again."""
    small = ada.add({"a": b"a"}, "small")
    ada.push(small)
    (pack,) = read_commit(remote).packs().values()
    root = bob.add({"a": b"a", "b": b"never uploaded"}, "root")
    write_commit(remote, CommittedRoot(root.digest, "tree", "root", 15, None, (pack,)))
    assert bob.remote.missing_roots([root.digest]) == set()
    verdict = bob.remote.inspect(None, find_tree=bob.shelf.contents.get)
    (found,) = (found for found in verdict.examined if not found.is_whole)
    assert found.lacking == {content.digest for content in root.contents} - {bob.shelf.put(b"a").digest}
    mend(bob, verdict, root)
    assert is_well(bob.remote.inspect(None, read_data=_ALL))
    assert bob.mirror.distrusted_packs() == set()
    ada.fetch(root)
    assert ada.holds(root)


def test_tree_of_impossible_length_takes_no_memory(ada: Machine, remote: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that would make up a tree longer than any is not followed."""
    monkeypatch.setattr(holdings, "MAX_TREE_BYTES", 10_000_000)
    chunk = ada.shelf.put(bytes(1_000_000))
    recipe = recipe_to_bytes(Recipe(0, [Chunk(chunk.digest, chunk.size_bytes)] * 1000))
    tree = Digest("xxh128:" + "7" * 32)
    built = packer.Packer(new_session())
    built.add(*reversed(packer_record(BLOB, chunk.digest, ada.shelf.contents[chunk.digest])))
    built.add(*reversed(packer_record(RECIPE, tree, recipe)))
    pack = built.take_pack()
    assert pack is not None
    remote.write(pack.ref.key, pack.data)
    write_commit(remote, CommittedRoot(tree, "tree", "data", 5, None, (pack.ref,)))
    log = LoggedTransport(remote)
    verdict = Machine(ada.mirror.path / "eve", log).remote.inspect(None)
    assert verdict.examined[0].lacking == {tree}
    assert sum(request.size_bytes for request in log.requests if request.operation == "read_range") < 3_000_000


def packer_record(kind: int, digest: Digest, data: bytes) -> tuple[object, bytes]:
    """A location and a record."""
    from vstore.objects.digest import hash_bytes
    from vstore.objects.pack import encode_record

    record, location = encode_record(kind, digest, data, check=hash_bytes(data, "xxh128"))
    return location, record


@pytest.mark.parametrize("lie", ["offset", "left out", "another pack"])
def test_index_that_does_not_agree_is_found_and_mended(
    tmp_path: Path, ada: Machine, bob: Machine, remote: Liar, lie: str
) -> None:
    """An index that says of a pack what its end does not say is written anew, and nobody is misled afterwards."""
    root = ada.add(_FILES)
    ada.push(root)
    (key,) = keys(remote, "index/")
    (pack,) = read_commit(remote).packs().values()
    table = Ledger(ada.site, SILENT).read_table(pack)
    good = remote.read(key)
    locations = list(table.locations())
    if lie == "offset":
        locations[3] = locations[3]._replace(offset=locations[4].offset)
    elif lie == "left out":
        del locations[3]
    ref = pack._replace(checksum="0" * 32) if lie == "another pack" else pack
    remote.write(key, index_to_bytes([(ref, table_from_bytes(table_to_bytes(locations)))]))
    verdict = bob.remote.inspect(None)
    assert [problem.key for problem in verdict.problems if problem.kind == "damaged"] == [key]
    mend(bob, verdict)
    assert remote.read(key) == good
    assert is_well(bob.remote.inspect(None))
    carol = Machine(tmp_path / "carol", remote)
    assert carol.fetch(root).damaged == ()


def test_index_of_many_packs_is_compared_with_those_that_are_there(ada: Machine, remote: Liar) -> None:
    """An index that tells also of packs that nobody pins, or that are gone, is right as far as it can be compared."""
    one, other = ada.add({"1": b"1"}, "one"), ada.add({"2": b"2"}, "other")
    for root in (one, other):
        ada.push(root)
    packs = [pack for _, commit in Ledger(ada.site, SILENT).iter_commits() for pack in commit.packs().values()]
    tables = [(pack, Ledger(ada.site, SILENT).read_table(pack)) for pack in packs]
    gone = (PackRef(packs[0].key.replace("-0", "-7"), 1000, "1" * 32), tables[0][1])
    merged = index_key(next(key.split("/")[1][:32] for key in keys(remote, "index/")), 1)
    remote.write(merged, index_to_bytes([*tables, gone]))
    for key in keys(remote, "index/"):
        if key != merged:
            remote.delete(key)
    assert is_well(ada.remote.inspect(None, read_data=_ALL))


def test_lost_index_comes_back_under_its_name(ada: Machine, bob: Machine, remote: Liar) -> None:
    """An index that is gone is written anew as it was."""
    ada.push(ada.add(_FILES))
    (key,) = keys(remote, "index/")
    data = remote.read(key)
    remote.delete(key)
    verdict = bob.remote.inspect(None)
    assert [(problem.key, problem.kind) for problem in verdict.problems] == [("index/", "missing")]
    mend(bob, verdict)
    assert remote.read(key) == data
    index_from_bytes(data, key)


def test_index_of_a_session_that_left_no_commit_counts(ada: Machine, bob: Machine, remote: Liar) -> None:
    """What tells of a pack may bear the name of a session of which neither a pack nor a commit is left."""
    root = ada.add(_FILES)
    ada.push(root)
    (key,) = keys(remote, "index/")
    remote.write(index_key(new_session(), 0), remote.read(key))
    remote.delete(key)
    assert is_well(bob.remote.inspect(None))


def test_damaged_commit_is_written_as_it_was_by_who_knows_it(ada: Machine, bob: Machine, remote: Liar) -> None:
    """A machine that once read a commit restores its bytes; one that did not names the commit and leaves it alone."""
    root = ada.add(_FILES)
    ada.push(root)
    (key,) = keys(remote, "commits/")
    data = remote.read(key)
    flip(remote, key, 50)
    damaged = remote.read(key)
    stranger = bob.remote.inspect(None)
    assert stranger.commits.unknown == (key,)
    assert bob.remote.mend_documents(stranger) == []
    assert remote.read(key) == damaged
    verdict = ada.remote.inspect(None)
    assert not verdict.examined[0].is_whole
    ada.remote.mend_documents(verdict)
    assert remote.read(key) == data
    assert is_well(ada.remote.inspect(None))


def test_superseded_and_retired_commits_are_not_missed(ada: Machine, remote: Liar) -> None:
    """A commit that another one supersedes, or that lies in the trash, is not taken for lost when it is gone."""
    for seed in range(3):
        ada.push(ada.add(small_files(seed=seed), f"data{seed}"))
    known = {key: commit_from_bytes(remote.read(key), key) for key in keys(remote, "commits/")}
    merged, retired, lost = known
    write = Commit(PROJECT, new_session(), "ada", "", known[merged].roots, supersedes=(merged,))
    remote.write(commit_key(PROJECT, write.session), write.to_bytes())
    remote.write(retired.replace("commits/", "trash/"), remote.read(retired))
    for key in known:
        remote.delete(key)
    verdict = ada.remote.inspect(None)
    assert {root.path for root in verdict.gone} == {root.path for root in known[lost].roots}


def test_damaged_format_is_for_people_to_decide(ada: Machine, remote: Liar) -> None:
    """A format that cannot be read is named, and nothing is mended before somebody looked; a lost one is written."""
    root = ada.add(_FILES)
    ada.push(root)
    before = remote.read("format.json")
    flip(remote, "format.json", 20)
    verdict = ada.remote.inspect(None)
    assert [problem.key for problem in verdict.problems] == ["format.json"]
    with pytest.raises(CorruptError, match="newer"):
        ada.remote.mend_documents(verdict)
    remote.delete("format.json")
    verdict = ada.remote.inspect(None)
    assert ada.remote.mend_documents(verdict) == ["format.json"]
    assert remote.read("format.json") == before
    remote.write("format.json", before.replace(b'"version":1', b'"version":2'))
    with pytest.raises(NewerFormatError):
        ada.remote.inspect(None)


def test_strangers_are_remarked_upon_and_few_are_named(ada: Machine, remote: Liar) -> None:
    """What is named like nothing of ours is mentioned, however much of it there is, and harms nobody."""
    ada.push(ada.add(_FILES))
    for number in range(1000):
        remote.write(f"packs/x{number}", b"")
    remote.write(f"commits/{PROJECT}/readme.txt", b"hello")
    remote.write("index/0.vidx", b"")
    verdict = ada.remote.inspect(None, read_data=_ALL)
    assert is_well(verdict)
    assert len(verdict.remarks) == 10 + 1 + 1 + 1
    assert any("990 more keys" in remark for remark in verdict.remarks)


def test_doomed_pack_is_named_and_a_push_leaves_it(ada: Machine, bob: Machine, remote: Liar) -> None:
    """A pack that may be collected at any time is a problem of those who need it."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = keys(remote, "packs/")
    remote.write(tombstone_key(pack), b"")
    verdict = bob.remote.inspect(None)
    assert [(problem.key, problem.kind) for problem in verdict.problems] == [(pack, "doomed")]
    mend(ada, verdict, root)
    assert is_well(bob.remote.inspect(None))


def test_bytes_damaged_on_the_way_are_read_again(ada: Machine, bob: Machine, remote: Liar) -> None:
    """What arrives damaged once is asked for once more before anything is blamed."""
    ada.push(ada.add(_FILES))
    turns = random.Random(1)
    seen: set[tuple[str, int]] = set()

    def garble(key: str, data: bytes) -> bytes:
        if (key, len(data)) in seen:
            return data
        seen.add((key, len(data)))
        return bytes(byte ^ turns.randrange(1, 255) for byte in data)

    remote.read_as = garble
    assert is_well(bob.remote.inspect(None, read_data=_ALL))


# What is remembered


def test_what_was_read_is_remembered(ada: Machine, remote: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack that was read whole is not read again for seven days, and the verdict says when it was."""
    ada.push(ada.add(_FILES))
    first = ada.remote.inspect(None)
    assert (first.read_packs, first.never_read, first.read_whole_s) == (0, 1, None)
    second = ada.remote.inspect(None, read_data=_ALL)
    assert (second.read_packs, second.never_read) == (1, 0)
    assert second.read_whole_s is not None and abs(second.read_whole_s - time.time()) < 60
    third = ada.remote.inspect(None, read_data=_ALL)
    assert (third.read_packs, third.read_whole_s) == (0, second.read_whole_s)
    assert ada.remote.inspect(None, read_data=ReadData(1.0, again=True)).read_packs == 1
    now_s = time.time()
    monkeypatch.setattr(inspection.time, "time", lambda: now_s + 8 * 24 * 3600)
    assert ada.remote.inspect(None, read_data=_ALL).read_packs == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", None], ids=["empty", "other", "garbage", "cut"])
def test_damaged_memory_of_readings_costs_only_reading(ada: Machine, content: bytes | None) -> None:
    """Whatever happens to what is remembered, packs are read again."""
    ada.push(ada.add(_FILES))
    ada.remote.inspect(None, read_data=_ALL)
    path = ada.mirror.path / "readings.json"
    path.write_bytes(path.read_bytes()[:-3] if content is None else content)
    assert ada.remote.inspect(None, read_data=_ALL).read_packs == 1
    assert ada.remote.inspect(None, read_data=_ALL).read_packs == 0


def many_packs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> int:
    """Push some packs, and let what was read be remembered at once."""
    monkeypatch.setattr(packer, "PACK_BYTES", 30_000)
    monkeypatch.setattr(inspection, "_REMEMBER_EVERY_S", 0.0)
    monkeypatch.setattr(whole, "SPAN_BYTES", 10_000)
    report = machine.push(machine.add({f"{i:02}": noise(10_000, i) for i in range(60)}))
    assert report.packs >= 15
    return report.packs


def test_interrupted_reading_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before the network, or the command, went is not read again."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    packs = many_packs(ada, monkeypatch)
    ends = CrashAt(10**9)
    remote.before = ends
    ada.remote.inspect(None)
    before_reading = 10**9 - ends.left
    for hook, raised in ((UnreachableAt, RemoteUnavailableError), (CrashAt, Crash)):
        remote.before = hook(before_reading + packs)
        with pytest.raises(raised):
            ada.remote.inspect(None, read_data=_ALL)
        assert ada.mirror.distrusted_packs() == set()
    remote.before = lambda operation, key: None
    verdict = ada.remote.inspect(None, read_data=_ALL)
    assert is_well(verdict)
    assert 0 < verdict.read_packs < packs


_DYING = """
import os, sys
from pathlib import Path
from tests.remote.faults import Hooked
from tests.remote.world import Machine
from vstore.remote import inspection, whole
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.inspection import ReadData

place = Path(sys.argv[1])
inspection._REMEMBER_EVERY_S, whole.SPAN_BYTES = 0.0, 10_000
remote = Hooked(DirectoryTransport(place / "store"))
ada = Machine(place / "ada", remote)
remote.before = lambda operation, key: os._exit(9) if len(ada.mirror.readings()) > 2 else None
ada.remote.inspect(None, read_data=ReadData(1.0))
"""


def test_killed_reading_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies without a last word leaves what it had verified to the next one."""
    ada = Machine(tmp_path / "ada", DirectoryTransport(tmp_path / "store"))
    packs = many_packs(ada, monkeypatch)
    environ = {**os.environ, "PYTHONPATH": str(PROJECT_FILES)}
    died = subprocess.run([sys.executable, "-c", _DYING, tmp_path], env=environ, check=False)
    assert died.returncode == 9
    verdict = ada.remote.inspect(None, read_data=_ALL)
    assert is_well(verdict)
    assert 0 < verdict.read_packs < packs


def test_distrusted_pack_that_proves_good_is_trusted_again(ada: Machine, bob: Machine, remote: Liar) -> None:
    """A pack that was once blamed is read whole in any case: then it is known what is wrong, or that nothing is."""
    root = ada.add(_FILES)
    ada.push(root)
    (pack,) = keys(remote, "packs/")
    bob.mirror.distrust({pack})
    verdict = bob.remote.inspect(None)
    assert is_well(verdict)
    assert verdict.read_packs == 1
    assert bob.mirror.distrusted_packs() == set()
    flip(remote, pack, 100)
    bob.mirror.distrust({pack})
    verdict = bob.remote.inspect(None)
    assert len(verdict.examined[0].lacking) == 1
    assert bob.mirror.distrusted_packs() == {pack}
