"""Whatever happens to a remote: fsck names exactly what it harms, mends what can be mended and harms nothing."""

from __future__ import annotations

import hashlib
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
from vstore.remote import packer

_FILES = {f"data/{i:02}": noise(8_000, i) for i in range(12)} | {"data/big": noise(600_000, 50), "data/empty": b""}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of two versions, pushed to a remote that holds several packs, indexes and commits."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        (home / ".gitconfig").write_text("[user]\n    name = Ada\n    email = ada@example.org\n")
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
        patch.setattr(packer, "PACK_BYTES", 50_000)
        project = Project(tmp_path_factory.mktemp("template") / "repo")
        project.path.mkdir()
        git("init", "--quiet", "--initial-branch=main", cwd=project.path)
        project.ok("init")
        for name, content in _FILES.items():
            project.write(name, content)
        project.write("model.bin", noise(400_000, 60))
        project.ok("add", "data", "model.bin")
        project.ok("remote", "add", "-d", "store", "../store")
        project.commit("first")
        project.git("tag", "v1")
        project.ok("push")
        project.write("data/03", noise(9_000, 70))
        project.ok("add", "-u")
        project.commit("second")
        project.ok("push")
        yield project


_HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(damage.DAMAGES), st.integers(0, 10**6), st.integers(0, 10**9)), min_size=1, max_size=3
)


class World:
    """A copy of the template whose remote was damaged."""

    def __init__(self, template: Project, place: Path, happened: list[tuple[damage.Damage, int, int]]) -> None:
        shutil.copytree(template.path.parent, place / "all", symlinks=True)
        self.project = Project(place / "all" / template.path.name)
        mirrors = self.project.path / ".git/vstore/remotes"
        (mirror,) = mirrors.iterdir()
        mirror.rename(mirrors / hashlib.sha256(str(self.project.store).encode()).hexdigest()[:32])
        self.model = damage.Model(damage.load(self.project.store))
        self.damaged = damage.damage(self.model.objects, happened)
        damage.save(self.project.store, self.damaged)

    def fsck(self, *, repair: bool = False, read_data: float = 1.0) -> vstore.FsckResult:
        """Verify the remote."""
        return vstore.fsck(directory=self.project.path, remote="", read_data=read_data, again=True, repair=repair)

    def now(self) -> damage.Objects:
        """What the remote holds now."""
        return damage.load(self.project.store)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for each example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


_SETTINGS = hypothesis.settings(
    max_examples=hypothesis.settings.default.max_examples // 4,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@_SETTINGS
@hypothesis.given(happened=_HAPPENINGS, remembers=st.booleans(), reads=st.booleans())
def test_exactly_what_is_harmed_is_named_and_everything_is_mended(
    template: Project, happened: list[tuple[damage.Damage, int, int]], remembers: bool, reads: bool
) -> None:
    """With everything in the cache a repair makes all whole, whatever was damaged and whoever looks."""
    with tempfile.TemporaryDirectory() as name:
        world = World(template, Path(name), happened)
        if not remembers:
            shutil.rmtree(world.project.path / ".git/vstore/remotes")
        # Of what a damaged format may have been only people can judge.
        hypothesis.assume(world.damaged.get("format.json") in (None, world.model.objects["format.json"]))
        before = world.now()
        result = world.fsck(read_data=float(reads))
        assert world.now() == before
        forgotten = _compare(world, result, remembers=remembers, reads=reads)
        mended = world.fsck(repair=True)
        assert all(found.repaired for found in mended.damages), mended.damages
        after = world.now()
        assert world.damaged.keys() <= after.keys()
        changed = {key for key in world.damaged if after[key] != world.damaged[key]}
        assert all(after[key] == world.model.objects[key] for key in changed if not key.startswith("index/"))
        again = world.fsck()
        assert again.damages == []
        assert again.remotes[0].whole == again.remotes[0].versions
        if forgotten:
            return  # nobody here knows that those versions were ever pushed
        clone = world.project.clone()
        assert vstore.fetch(directory=clone.path, scope=vstore.Scope(all_commits=True)).missing == []


def _compare(world: World, result: vstore.FsckResult, *, remembers: bool, reads: bool) -> set[str]:
    model = world.model
    lost = model.commits.keys() - model.readable_commits(world.damaged).keys()
    is_unknown = not remembers and any(key in world.damaged for key in lost)
    forgotten = {key for key in lost if not remembers and not is_unknown and key not in world.damaged}
    harmed = model.harmed(world.damaged, forgotten=forgotten, is_read=reads)
    named = {need.path for found in result.damages for need in found.needed_by}
    assert harmed <= named, (harmed, result.damages)
    # Where a pack is damaged and nothing in it is lost, the artifacts that rely upon it are named.
    packs = {found.key for found in result.damages if found.key is not None and found.key.startswith("packs/")}
    assert named - harmed <= ({"data", "model.bin"} if packs else set()), (harmed, result.damages)
    assert not any(model.is_flawless(key, world.damaged) for key in packs)
    assert bool(harmed) <= bool(result.damages)
    return forgotten
