"""A stranger who can write to the bucket: whatever lies among the keys is skipped, named, and harms nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.remote.test_inspection import write_commit
from tests.remote.test_lies import Liar, keys
from tests.remote.world import PROJECT, Machine, noise, small_files
from vstore.errors import CorruptError, NeedsUnknownError
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.pack import _FOOTER as FOOTER
from vstore.objects.pack import _FOOTER_MAGIC as FOOTER_MAGIC
from vstore.objects.pack import PACK_HEADER, encode_record
from vstore.objects.recipe import Chunk, Recipe, recipe_to_bytes
from vstore.objects.table import BLOB, RECIPE, Location, table_from_bytes, table_to_bytes
from vstore.progress import SILENT
from vstore.remote.collect import plan_collection
from vstore.remote.commits import Commit, CommittedRoot, commit_from_bytes, intent_to_bytes
from vstore.remote.content import Root
from vstore.remote.index import index_to_bytes
from vstore.remote.inspection import ReadData
from vstore.remote.layout import (
    PackRef,
    commit_key,
    commits_prefix,
    intent_key,
    new_session,
    pack_key,
    tombstone_key,
    trash_key,
)
from vstore.remote.ledger import Ledger
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.recovery import recover
from vstore.remote.retire import join_roots, replace_commits
from vstore.remote.sealed import seal, unseal
from vstore.remote.survey import open_survey
from vstore.remote.transport import Key
from vstore.remote.unpinned import Unpinned
from vstore.remote.wrappers import LoggedTransport

import xxhash  # isort: skip

_FILES = small_files(12) | {"big": noise(600_000)}
_SESSION = "0123456789abcdef" * 2


class World:
    """A remote with a project in it, its machine, and what was pushed."""

    def __init__(self, place: Path) -> None:
        self.remote = MemoryTransport()
        self.place = place
        self.ada = Machine(place / "ada", self.remote)
        self.root = self.ada.add(_FILES)
        self.ada.push(self.root)
        (self.commit_key,) = keys(self.remote, "commits/")
        self.commit = commit_from_bytes(self.remote.read(self.commit_key), self.commit_key)
        self.packs = list(self.commit.packs().values())

    def check(self) -> None:
        """See that everybody works as ever."""
        before = {key: self.remote.read(key) for key in keys(self.remote, "")}
        bob = Machine(self.place / "bob", self.remote)
        assert bob.remote.missing_roots([self.root.digest]) == set()
        assert bob.fetch(self.root).missing == ()
        assert bob.holds(self.root)
        assert bob.remote.read_blob(self.root.digest) == self.ada.shelf.contents[self.root.digest]
        assert bob.remote.check([self.root]) == []
        verdict = bob.remote.inspect(None, read_data=ReadData(1.0))
        assert all(found.is_whole for found in verdict.examined if found.root.digest == self.root.digest)
        bob.remote.list_projects()
        recover(Unpinned(bob.site, SILENT), SILENT)
        assert {key: self.remote.read(key) for key in keys(self.remote, "")} == before
        new = bob.add(_FILES | {"new": b"new"}, "more")
        assert bob.push(self.root, new).commit
        bob.remote.refresh_listing()
        carol = Machine(self.place / "carol", self.remote)
        assert carol.fetch(new).missing == () and carol.holds(new)

    def check_collecting(self, planted: set[Key]) -> None:
        """See that a collector stops, naming what was planted, or touches nothing of ours."""
        bob = Machine(self.place / "collector", self.remote)
        failed: set[Key] = set()
        try:
            with open_survey(bob.site, SILENT) as survey:
                plan = plan_collection(survey, ())
                ours = {pack.key for pack in self.packs}
                assert ours.isdisjoint(pack.key for pack in (*plan.doomed, *plan.waiting, *plan.deleted))
                # What lies in the trash as well looks like what somebody was about to retire: it may go.
                assert all(trash_key(held.listed.key) in survey.trash for held in plan.retired)
                bob.remote.collect(survey, plan)
        except NeedsUnknownError as error:
            failed = set(error.fields["keys"])
        assert failed <= planted
        assert bob.fetch(self.root).missing == ()


def forge_pack(records: bytes, locations: list[Location], *, version: int = 1, table_bytes: int | None = None) -> bytes:
    """A pack whose every checksum is right, and whose table says what it likes."""
    table = table_to_bytes(locations)
    body = PACK_HEADER + records + table
    offset = len(PACK_HEADER) + len(records)
    length = len(table) if table_bytes is None else table_bytes
    checksum = xxhash.xxh3_128_digest(body)
    return body + FOOTER.pack(
        offset, length, xxhash.xxh3_64_intdigest(table), checksum, len(locations), version, FOOTER_MAGIC
    )


def forged_packs(world: World) -> list[bytes]:
    """Packs that lie: about offsets, lengths, and what a recipe makes up."""
    record, location = encode_record(BLOB, hash_bytes(b"x" * 500, "xxh128"), b"x" * 500)
    at = location._replace(offset=len(PACK_HEADER))
    digest = world.root.digest
    big = next(content for content in world.root.contents if not content.is_small)
    chunk = Chunk(location.digest, 500)
    recipe = recipe_to_bytes(Recipe(0, [chunk] * 5_000))
    own, place = encode_record(RECIPE, big.digest, recipe, check=hash_bytes(recipe, "xxh128"))
    return [
        forge_pack(record, [at]),
        forge_pack(record, [at._replace(digest=digest, check=digest)]),
        forge_pack(record, [at._replace(offset=2**63)]),
        forge_pack(record, [at._replace(offset=0)]),
        forge_pack(record, [at._replace(stored_bytes=2**32 - 1, raw_bytes=2**32 - 1)]),
        forge_pack(record, [at._replace(raw_bytes=4 * 1024 * 1024)]),
        forge_pack(record, [at._replace(digest=Digest(f"xxh128:{n:032x}"), check=digest) for n in range(1000)]),
        forge_pack(record, [at], version=2),
        forge_pack(record, [at], table_bytes=2**40),
        forge_pack(record + own, [at, place._replace(offset=len(PACK_HEADER) + len(record))]),
    ]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["lists", "objects"])
def test_json_of_any_depth_is_damaged(opening: bytes) -> None:
    """Also where it can just be read, and is too deep to be written again for its checksum."""
    closing = b"]" if opening == b"[" else b"}"
    for depth in [*range(900, 1010), 100_000]:
        data = b'{"version":1,"x":' + opening * depth + b"1" + closing * depth + b"}"
        with pytest.raises(CorruptError):
            unseal(data, "intents/x.json")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.dictionaries(
    st.sampled_from(["project", "session", "packs", "roots", "supersedes", "author", "created", "objects", "format"]),
    _JSON,
    max_size=9,
)
_GARBAGE = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"",
            b"\0" * 5_000,
            b"[" * 200_000,
            b'{"a":' * 100_000,
            b'{"version":' + b"9" * 5_000 + b"}",
            b'{"version":2}',
            b'{"version":1,"version":99}',
            b"vstore-index" + b"\1\0\0\0" + b"\xff" * 8,
            b"vstore-index" + b"\1\0\0\0" + b"\xff" * 8 + bytes(5_000),
            b"vstore-index" + b"\2\0\0\0" + bytes(100),
            PACK_HEADER + b"\xb5VR1" * 1_000,
        ]
    ),
    st.builds(seal, _FIELDS),
    st.builds(lambda fields: json.dumps(fields).encode(), _FIELDS),
)
_SESSIONS = st.sampled_from([_SESSION, "f" * 32, "0" * 32])
_KEYS = st.one_of(
    st.builds("packs/{}-{}.vpack".format, _SESSIONS, st.integers(0, 3)),
    st.builds("index/{}-{}.vidx".format, _SESSIONS, st.integers(0, 3)),
    st.builds("intents/{}.json".format, _SESSIONS),
    st.builds(
        "{}/{}/{}.json".format, st.sampled_from(["commits", "trash"]), st.sampled_from([PROJECT, "p2"]), _SESSIONS
    ),
    st.builds("doomed/{}-{}".format, _SESSIONS, st.integers(0, 3)),
    st.sampled_from(
        [
            "readme.txt",
            "listing.json",
            "packs/0123-0.vpack",
            "packs/a/b/c",
            f"packs/{_SESSION}-01.vpack",
            f"packs/{_SESSION}-99999999999.vpack",
            f"commits/{_SESSION}.json",
            f"commits/{PROJECT}/x/{_SESSION}.json",
            f"commits/{'p' * 65}/{_SESSION}.json",
            "intents/readme",
            f"doomed/{_SESSION}",
            "index/x",
            "probe/x",
            "trash/x",
        ]
    ),
)


@hypothesis.settings(max_examples=40, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(planted=st.lists(st.tuples(_KEYS, _GARBAGE), max_size=6))
def test_garbage_harms_nobody(tmp_path_factory: pytest.TempPathFactory, planted: list[tuple[Key, bytes]]) -> None:
    """Whatever is planted under any key, pushes, fetches and verifications go on, and collectors fail closed."""
    world = World(tmp_path_factory.mktemp("world"))
    for key, data in planted:
        world.remote.write(key, data)
    world.check_collecting({key for key, _ in planted})
    for key, data in planted:
        world.remote.write(key, data)  # what a collector took away
    world.check()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A remote with a project in it."""
    return World(tmp_path)


@pytest.mark.parametrize("number", range(10))
def test_packs_that_lie(world: World, number: int) -> None:
    """A pack whose table is well-formed and wrong is no use to anybody, with an index that says so or without."""
    data = forged_packs(world)[number]
    key = pack_key(_SESSION, 0)
    world.remote.write(key, data)
    unpinned = Unpinned(world.ada.site, SILENT)
    for found in recover(unpinned, SILENT).found:
        assert found.kind == "file"
    plan = Unpinned(world.ada.site, SILENT).plan_push([world.root], world.ada.shelf)
    assert plan.relied.isdisjoint([key])
    pin = PackRef(key, len(data), FOOTER.unpack(data[-64:])[3].hex())
    write_commit(world.remote, *(root._replace(pins=(pin,), path="lie") for root in world.commit.roots))
    world.check_collecting(set())
    bob = Machine(world.place / "bob", world.remote)
    assert bob.fetch(world.root).missing == ()
    assert bob.holds(world.root)
    verdict = bob.remote.inspect(None)
    assert [found.is_whole for found in verdict.examined if found.root.digest == world.root.digest] == [True]


def _lying_commits(world: World) -> list[Commit]:
    (root,) = world.commit.roots
    (pack,) = world.packs
    absent = PackRef(pack_key("9" * 32, 0), 100, "0" * 32)
    other = Digest("blake3:" + "7" * 64)
    session = new_session()

    def commit(*roots: CommittedRoot, supersedes: tuple[Key, ...] = ()) -> Commit:
        return Commit(PROJECT, session, "\x1b[2Jeve", "never", roots, supersedes)

    return [
        commit(),
        commit(root._replace(pins=())),
        commit(root._replace(pins=(absent,))),
        commit(root._replace(pins=(pack._replace(size_bytes=1),))),
        commit(root._replace(pins=(pack._replace(checksum="0" * 32),))),
        commit(root._replace(kind="file")),
        commit(root._replace(digest=other, kind="tree")),
        commit(root._replace(digest=Digest("xxh128:" + "7" * 32), size_bytes=2**48, path="../" * 50)),
        commit(root._replace(path="\x1b[31m\n\ud800", git_commit="--upload-pack=evil")),
        commit(root._replace(pushed_s=2**48)),
        commit(supersedes=tuple(commit_key(PROJECT, f"{number:032x}") for number in range(20_000))),
        commit(root, supersedes=(world.commit_key,)),
        commit(*(root._replace(digest=Digest(f"xxh128:{number:032x}")) for number in range(5_000))),
    ]


@pytest.mark.parametrize("number", range(13))
def test_commits_that_lie(world: World, number: int) -> None:
    """A lawful commit of our own project that a stranger wrote takes nothing away from the others."""
    commit = _lying_commits(world)[number]
    world.remote.write(commit_key(PROJECT, commit.session), commit.to_bytes())
    world.remote.write(trash_key(commit_key(PROJECT, commit.session)), commit.to_bytes())
    world.check_collecting(set())
    world.check()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"size":', '"size":-'),
        lambda text: text.replace('"kind":"tree"', '"kind":"link"'),
        lambda text: text.replace('"digest":"xxh128:', '"digest":"md5:'),
        lambda text: text.replace('"pins":[0]', '"pins":[7]'),
        lambda text: text.replace('"pins":[0]', '"pins":[true]'),
        lambda text: text.replace('"key":"packs/', '"key":"../packs/'),
        lambda text: text.replace('"supersedes":[]', '"supersedes":["/etc/passwd"]'),
        lambda text: text.replace('"size":', '"size":1e400,"x":'),
    ],
    ids=range(8),
)
def test_commits_that_are_none(world: World, change: Callable[[str], str]) -> None:
    """A commit with a right checksum and fields that none has is damaged: named, skipped, and no collector goes on."""
    fields = json.loads(change(world.commit.to_bytes().decode()))
    del fields["checksum"], fields["version"]
    key = commit_key(PROJECT, _SESSION)
    world.remote.write(key, seal({**fields, "session": _SESSION}))
    bob = Machine(world.place / "collector", world.remote)
    with pytest.raises(NeedsUnknownError) as caught, open_survey(bob.site, SILENT):
        pass
    assert caught.value.fields["keys"] == [key]
    assert key in {problem.key for problem in bob.remote.inspect(None).problems}
    world.check()


def test_stranger_dooms_everything(world: World) -> None:
    """Where all packs get tombstones, everything is fetched as ever, and the next push brings it all to safety."""
    for pack in world.packs:
        world.remote.write(tombstone_key(pack.key), b"boo")
    bob = Machine(world.place / "bob", world.remote)
    assert bob.fetch(world.root).missing == ()
    verdict = bob.remote.inspect(None)
    assert {problem.kind for problem in verdict.problems} == {"doomed"}
    with open_survey(bob.site, SILENT) as survey:
        plan = plan_collection(survey, ())
    assert plan.deleted == () and plan.doomed == ()
    report = bob.push(world.root)
    assert report.commit
    for pack in world.packs:
        assert pack.key not in commit_from_bytes(world.remote.read(report.commit), report.commit).packs()
        world.remote.delete(pack.key)
    carol = Machine(world.place / "carol", world.remote)
    assert carol.fetch(world.root).missing == () and carol.holds(world.root)


def test_intents_that_name_everything(world: World) -> None:
    """Intents protect what they name, and hold up nothing but collecting."""
    stray = pack_key(_SESSION, 0)
    world.remote.write(stray, forged_packs(world)[0])
    for number in range(50):
        session = f"{number:032x}"
        named = [*(pack.key for pack in world.packs), stray, *(pack_key(f"{n:032x}", 0) for n in range(500))]
        world.remote.write(intent_key(session), intent_to_bytes(session, "p2", "eve", "never", named))
    bob = Machine(world.place / "bob", world.remote)
    with open_survey(bob.site, SILENT) as survey:
        plan = plan_collection(survey, ())
    assert plan.is_empty
    world.check()


def test_index_that_points_anywhere(world: World) -> None:
    """An index that is named like ours, is well-formed, and is wrong about every record, costs requests at most."""
    (pack,) = world.packs
    table = Ledger(world.ada.site, SILENT).read_table(pack)
    wrong = [location._replace(offset=location.offset + 1) for location in table.locations()]
    forged = forge_pack(b"", wrong)
    length = len(table_to_bytes(wrong))
    for key in keys(world.remote, "index/"):
        lie = table_from_bytes(forged[len(PACK_HEADER) : len(PACK_HEADER) + length])
        world.remote.write(key, index_to_bytes([(pack, lie)]))
    world.check()


@pytest.mark.parametrize("is_older", [True, False], ids=["lies first", "lies last"])
def test_merged_commits_keep_what_each_means_by_a_pack(world: World, is_older: bool) -> None:
    """Where a stranger's commit means something else by a key, merging it with ours makes none of ours wrong."""
    (root,) = world.commit.roots
    (pack,) = world.packs
    lies = [pack._replace(size_bytes=pack.size_bytes + 1), pack._replace(checksum="0" * 32)]
    for number, lie in enumerate(lies):
        write_commit(world.remote, CommittedRoot(Digest(f"xxh128:{number:032x}"), "file", "x", 5, None, (lie,)))
    if is_older:
        world.remote.write(world.commit_key, world.remote.read(world.commit_key))
    bob = Machine(world.place / "bob", world.remote)
    with open_survey(bob.site, SILENT) as survey:
        replace_commits(bob.site, survey.own_commits(), join_roots(survey.list_roots(), survey.is_whole))
    carol = Machine(world.place / "carol", world.remote)
    for key in keys(world.remote, "trash/"):
        world.remote.delete(key)
    assert carol.remote.missing_roots([root.digest]) == set()
    assert carol.fetch(world.root).missing == () and carol.holds(world.root)


def test_objects_that_change_between_listing_and_reading(world: World) -> None:
    """What is gone or different as soon as it was listed is passed over."""
    liar = Liar(world.remote)
    planted = [commit_key(PROJECT, f"{number:032x}") for number in range(3)] + [f"commits/p2/{_SESSION}.json"]
    planted += [f"index/{_SESSION}-0.vidx", pack_key(_SESSION, 0), f"intents/{_SESSION}.json", "trash/p1/readme"]
    liar.listed = lambda prefix, found: (
        found + [found[0]._replace(key=key, size_bytes=100) for key in planted if found and key.startswith(prefix)]
    )
    bob = Machine(world.place / "bob", liar)
    assert bob.fetch(world.root).missing == () and bob.holds(world.root)
    assert bob.push(bob.add({"new": b"new"})).commit
    assert recover(Unpinned(bob.site, SILENT), SILENT).found == []
    bob.remote.list_projects()
    bob.remote.inspect(None)
    with open_survey(bob.site, SILENT) as survey:
        assert set(planted[:4]).isdisjoint(survey.commits)


def test_own_commits_of_impossible_length_are_not_read(world: World) -> None:
    """What is listed as longer than any document is named, and costs no request."""
    liar = Liar(world.remote)
    planted = [commit_key(PROJECT, _SESSION), f"trash/{PROJECT}/{_SESSION}.json", f"index/{_SESSION}-0.vidx"]
    liar.listed = lambda prefix, found: (
        found + [found[0]._replace(key=key, size_bytes=2**50) for key in planted if found and key.startswith(prefix)]
    )
    log = LoggedTransport(liar)
    bob = Machine(world.place / "bob", log)
    assert bob.push(world.root).commit is None
    bob.fetch(world.root)
    bob.remote.inspect(None)
    bob.remote.list_projects()
    assert {request.key for request in log.requests if request.operation == "read"}.isdisjoint(planted)
    assert commits_prefix(PROJECT) in {request.key for request in log.requests}


def test_root_that_nobody_can_hold(world: World) -> None:
    """A pointer to what a stranger's recipe makes up gets an error, and no memory."""
    digest = Digest("xxh128:" + "7" * 32)
    piece = bytes(1_000_000)
    record, location = encode_record(BLOB, hash_bytes(piece, "xxh128"), piece)
    recipe = recipe_to_bytes(Recipe(0, [Chunk(location.digest, len(piece))] * 10_000))
    own, place = encode_record(RECIPE, digest, recipe, check=hash_bytes(recipe, "xxh128"))
    start = len(PACK_HEADER)
    data = forge_pack(record + own, [location._replace(offset=start), place._replace(offset=start + len(record))])
    key = pack_key(_SESSION, 0)
    world.remote.write(key, data)
    pin = PackRef(key, len(data), FOOTER.unpack(data[-64:])[3].hex())
    write_commit(world.remote, CommittedRoot(digest, "tree", "bomb", 5, None, (pin,)))
    log = LoggedTransport(world.remote)
    bob = Machine(world.place / "bob", log)
    content = world.root.contents[0]._replace(digest=digest, size_bytes=900_000)
    assert bob.fetch(Root(digest, "file", [content], "bomb")).missing == (digest,)
    assert list(bob.remote.read_roots([digest])) == []
    assert sum(request.size_bytes for request in log.requests) < 10_000_000
    assert not list((world.place / "bob" / "shelf").rglob("*"))
