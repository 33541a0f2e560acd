"""Whatever happens to a cache: fsck names exactly what it harms, restores what can be had, and loses no good byte."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

import vstore
from tests import damage
from tests.command import git
from tests.project import Project
from tests.remote.world import noise
from vstore.cache import writer
from vstore.cache.cache import Cache
from vstore.errors import VstoreError
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.pack import iter_records
from vstore.objects.tree import FILE, Entry, Tree

_FIRST = {f"data/{i:02}": noise(8_000, i) for i in range(12)} | {"data/big": noise(600_000, 50), "data/empty": b""}
_SECOND = _FIRST | {"data/03": noise(9_000, 70), "data/big": noise(500_000, 71)}
_MODEL_FILE = noise(400_000, 60)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of two versions, pushed, whose cache holds several packs and objects."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        (home / ".gitconfig").write_text("[user]\n    name = Ada\n    email = ada@example.org\n")
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
        patch.setattr(writer, "PACK_BYTES", 30_000)
        project = Project(tmp_path_factory.mktemp("template") / "repo")
        project.path.mkdir()
        git("init", "--quiet", "--initial-branch=main", cwd=project.path)
        project.ok("init")
        for name, content in _FIRST.items():
            project.write(name, content)
        project.write("model.bin", _MODEL_FILE)
        project.ok("add", "data", "model.bin")
        project.ok("remote", "add", "-d", "store", "../store")
        project.commit("first")
        project.git("tag", "v1")
        for name in ("data/03", "data/big"):
            project.write(name, _SECOND[name])
        project.ok("add", "-u")
        project.commit("second")
        project.ok("push", "--all-commits")
        yield project


_HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(damage.DAMAGES), st.integers(0, 10**6), st.integers(0, 10**9)), min_size=1, max_size=4
)


class World:
    """A copy of the template whose cache was damaged, with or without a remote."""

    def __init__(self, template: Project, place: Path, *, has_remote: bool, has_files: bool) -> None:
        shutil.copytree(template.path.parent, place / "all", symlinks=True)
        self.project = Project(place / "all" / template.path.name)
        self.cache = self.project.path / ".git/vstore/cache"
        self.before = self.files()
        if not has_remote:
            self.project.ok("remote", "remove", "store")
        if not has_files:
            shutil.rmtree(self.project.path / "data")
            (self.project.path / "model.bin").unlink()

    def files(self) -> damage.Objects:
        """What the cache holds of contents."""
        found = damage.load(self.cache)
        return {key: data for key, data in found.items() if key.startswith(("packs/", "objects/"))}

    def damage(self, happened: list[tuple[damage.Damage, int, int]]) -> None:
        """Let something happen to the cache."""
        others = {key: data for key, data in damage.load(self.cache).items() if key not in self.before}
        self.damaged = damage.damage(self.before, happened)
        damage.save(self.cache, others | self.damaged)

    def fsck(self, *, repair: bool = False) -> vstore.FsckResult:
        """Verify the cache."""
        return vstore.fsck(directory=self.project.path, repair=repair)

    def holds(self, content: bytes) -> bool:
        """Tell whether the cache gives a content."""
        digest = hash_bytes(content, "xxh128")
        try:
            return Cache(self.cache).read(digest) == content
        except VstoreError:
            return False


def tree_of(files: dict[str, bytes]) -> bytes:
    """The tree of a version of ``data``."""
    return Tree(
        Entry(name.removeprefix("data/"), FILE, len(content), hash_bytes(content, "xxh128"))
        for name, content in files.items()
    ).to_bytes()


_TREES = [(tree_of(files), files) for files in (_FIRST, _SECOND)]
_CONTENTS = {_MODEL_FILE, *(tree for tree, _ in _TREES), *_FIRST.values(), *_SECOND.values()}


def harmed_paths(good: set[bytes]) -> set[str]:
    """The paths that need what is not good; of a tree that is lost only the whole is known."""
    paths = set() if _MODEL_FILE in good else {"model.bin"}
    for tree, files in _TREES:
        if tree not in good:
            paths.add("data")
        else:
            paths |= {name for name, content in files.items() if content not in good}
    return paths


def good_contents(before: damage.Objects, now: damage.Objects) -> set[bytes]:
    """Which contents are in undamaged records or objects, judged by comparing bytes with what they were."""
    by_digest = {hash_bytes(content, "xxh128"): content for content in _CONTENTS}
    good: set[Digest] = set()
    for key, data in now.items():
        if key.startswith("objects/"):
            if data in by_digest.values() and key == before_key(data):
                good.add(hash_bytes(data, "xxh128"))
            continue
        if not key.endswith(".vpack"):
            continue
        good.update(location.digest for location, _ in iter_records(data))
        for original in [data for key, data in before.items() if key.startswith("packs/")]:
            # With a good end also records are found whose fast checksum is damaged.
            last = max(location.offset + location.record_bytes for location, _ in iter_records(original))
            if len(original) == len(data) and original[last:] == data[last:]:
                good.update(
                    location.digest
                    for location, _ in iter_records(original)
                    if damage.is_same(original, data, location)
                )
    return {content for digest, content in by_digest.items() if digest in good}


def before_key(content: bytes) -> str:
    """Where a large content lies."""
    algorithm, _, text = hash_bytes(content, "xxh128").partition(":")
    return f"objects/{algorithm}/{text[:2]}/{text[2:]}"


_SETTINGS = hypothesis.settings(
    max_examples=hypothesis.settings.default.max_examples // 3,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@_SETTINGS
@hypothesis.given(happened=_HAPPENINGS, has_remote=st.booleans(), has_files=st.booleans())
def test_exactly_what_is_harmed_is_named_and_what_can_be_had_comes_back(
    template: Project, happened: list[tuple[damage.Damage, int, int]], has_remote: bool, has_files: bool
) -> None:
    """What is named is what the changed bytes harm, and a repair brings back all that is good anywhere."""
    with tempfile.TemporaryDirectory() as name:
        world = World(template, Path(name), has_remote=has_remote, has_files=has_files)
        world.damage(happened)
        good = good_contents(world.before, world.damaged)
        result = world.fsck()
        assert world.files() == world.damaged
        _compare(world, result, good, has_remote=has_remote)
        mended = world.fsck(repair=True)
        for content in good:
            assert world.holds(content)
        kept = set(damage.load(world.cache).values())
        assert all(data in kept for key, data in world.damaged.items() if not key.endswith((".txt", ".json", ".vidx")))
        if has_remote:
            assert all(found.repaired for found in mended.damages), mended.damages
            # Of a pack without an end nobody knows what it held of old versions: they count as never fetched.
            vstore.fetch(directory=world.project.path, scope=vstore.Scope(all_commits=True))
            wanted = _CONTENTS
        elif has_files and not harmed_paths(good) & {"data"}:
            wanted = {_MODEL_FILE, *_SECOND.values()}
        else:
            wanted = {_MODEL_FILE} if has_files else set()
        for content in wanted:
            assert world.holds(content), mended.damages
        if has_remote:
            again = world.fsck()
            assert again.damages == [] and again.cache is not None and again.cache.whole == again.cache.versions


def _compare(world: World, result: vstore.FsckResult, good: set[bytes], *, has_remote: bool) -> None:
    flawed = {found.key for found in result.damages if found.key is not None}
    originals = {data for key, data in world.before.items() if key.startswith("packs/")}
    packs = {key for key in world.damaged if key.startswith("packs/") and key.endswith(".vpack")}
    objects = {key for key in world.damaged if key in world.before and key.startswith("objects/")}
    assert flawed == {key for key in packs if world.damaged[key] not in originals} | {
        key for key in objects if world.damaged[key] != world.before[key]
    }
    named = {need.path for found in result.damages for need in found.needed_by}
    harmed = harmed_paths(good)
    if has_remote:
        assert named <= harmed  # what only is not there can be fetched, and is no damage
    else:
        assert named == harmed, result.damages
