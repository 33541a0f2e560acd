"""Collecting a cache that was damaged or is being recovered: what may be of use stays."""

from __future__ import annotations

import shutil

from tests.collecting import add_version, age, cache_of, collect, holds
from tests.ops.test_gc import refuse
from tests.project import Project
from tests.remote.world import noise
from vstore.objects.pointer import pointer_from_bytes
from vstore.objects.table import RECIPE
from vstore.repo import open_repo


def test_what_was_set_aside_as_damaged(project: Project) -> None:
    """What a repair set aside is told, and goes a day later where all of it is good here or not needed."""
    pointer = add_version(project, 1)
    cache = cache_of(project)
    (loose,) = (path for path in (cache / "objects").rglob("*") if path.is_file())
    (pack,) = (path for path in (cache / "packs").iterdir())
    age(cache, 30)
    torn = pack.read_bytes()[:-20]
    for path in (loose, pack):
        path.chmod(0o644)
        with open(path, "r+b") as file:
            file.seek(100)
            file.write(b"!")
    project.ok("fsck", "--repair")
    assert holds(project, pointer)
    aside = sorted((cache / "damaged").iterdir())
    size_bytes = aside[0].stat().st_size
    assert "remark  files that were set aside as damaged: 2" in project.ok("fsck").stdout
    assert "kept  set aside as damaged    2 objects" in project.ok("gc").stdout
    good = next(path for path in (cache / "objects").rglob("*") if path.is_file())
    good = good.rename(cache / "README")
    age(cache, 2)
    first = project.ok("gc", "--json").json()
    assert first["removed"] == [{"reason": "set-aside", "objects": 1, "size_bytes": size_bytes}]
    assert first["freed_bytes"] == size_bytes and sorted((cache / "damaged").iterdir()) == aside[1:]
    good.rename(loose)
    # Of a pack whose end is lost nobody knows what it held.
    aside[0].write_bytes(torn)
    age(cache, 2)
    project.ok("gc")
    assert sorted((cache / "damaged").iterdir()) == aside[:1]


def test_packs_of_a_remote_that_are_to_be_put_together(project: Project) -> None:
    """Chunks of what is needed stay where packs of a remote were copied into the cache, until a repair used them."""
    pointer = rescue(project)
    (project.path / "model.bin").unlink()
    project.ok("remote", "remove", "store")
    collect(project)
    assert not holds(project, pointer)
    project.ok("fsck", "--repair")
    assert holds(project, pointer)
    collect(project)
    with open_repo(project.path) as repo:
        assert holds(project, pointer) and not repo.cache.packs.digests()


def rescue(project: Project) -> bytes:
    """Track a ``model.bin`` of several chunks, of which the cache has only packs of a remote; returns its pointer."""
    project.write("model.bin", noise(2_000_000, 1))
    project.ok("add", "model.bin")
    project.add_remote()
    project.ok("push")
    project.drop_cache()
    shutil.copytree(project.store / "packs", cache_of(project) / "packs", dirs_exist_ok=True)
    project.ok("gc")  # for a day all of it stays
    return project.read("model.bin.vstore")


def test_chunks_that_cannot_be_told(project: Project) -> None:
    """Where what lists the chunks of a needed content is damaged, nothing goes until it is forgotten."""
    digest = pointer_from_bytes(rescue(project), "pointer").digest
    (pack,) = (cache_of(project) / "packs").iterdir()
    with open_repo(project.path) as repo:
        (held,) = repo.cache.packs.iter_packs()
        location = held.table.find(RECIPE, digest)
    assert location is not None
    with open(pack, "r+b") as file:
        file.seek(location.offset + location.record_bytes - 1)
        file.write(b"!")
    refuse(project, "of which chunks", f"--forget {digest}")
    collect(project, "--forget", digest)


def test_lists_of_files_that_are_nowhere(project: Project) -> None:
    """A version that only reflogs know stops nobody when all remotes say that they lost it; else it has to be said."""
    project.add_remote()
    add_version(project, 1)
    first = project.commit("one")
    tree = pointer_from_bytes(project.read("data.vstore"), "pointer").digest
    add_version(project, 2)
    second = project.commit("two")
    project.git("reset", "--quiet", "--hard", first)
    project.git("reset", "--quiet", "--hard", second)
    project.git("commit", "--quiet", "--amend", "--message", "fresh")
    project.git("update-ref", "refs/heads/side", project.git("commit-tree", "HEAD^{tree}", "-m", "without one"))
    project.git("checkout", "--quiet", "side")
    project.git("branch", "--quiet", "-D", "main")
    project.drop_cache()
    project.ok("add", "data")
    project.ok("push")
    add_version(project, 3)
    project.ok("checkout", "--force")
    project.git("reset", "--quiet", "--hard")
    project.ok("checkout", "--force")
    project.ok("remote", "add", "away", "../away")
    project.store.with_name("away").write_bytes(b"no directory")
    refuse(project, f"data.vstore at {first[:10]} ({tree})", "is not in the cache, and", f"--forget {tree}")
    refuse(project, tree, args=("--forget-missing",))
    project.ok("remote", "remove", "away")
    project.git("branch", "kept", first)
    refuse(project, f"data.vstore at {first[:10]} ({tree})", "`vstore gc --forget-missing`")
    planned = project.ok("gc", "--forget-missing", "--dry-run")
    assert "nothing could be kept for 1 version whose list" in planned.stdout
    project.git("branch", "--quiet", "-D", "kept")
    collected = project.ok("gc", "--json").json()
    assert collected["nowhere"] == [tree] and [each["objects"] for each in collected["removed"]] == [3]
