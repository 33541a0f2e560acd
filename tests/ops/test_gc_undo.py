"""Bringing back what was retired at a remote, whatever became of its packs meanwhile."""

from __future__ import annotations

import os
import shutil

import pytest

import vstore
from tests.buckets import USAGE, collect, documents, everything, give_up, is_pushed, make_old, publish, reasons
from tests.collecting import add_version, forget_reflogs
from tests.project import Project
from vstore.errors import NotFoundError
from vstore.objects.pointer import pointer_from_bytes

NOISE = {"data": os.urandom(400_000), "model.bin": os.urandom(300_000)}


@pytest.fixture
def retired(project: Project) -> tuple[Project, dict[str, bytes]]:
    """A project of which a version of ``data`` and one of ``model.bin`` were retired; their pointers by path."""
    project.add_data()
    publish(project)
    project.git("checkout", "--quiet", "-b", "side")
    project.write("data/noise", NOISE["data"])
    project.write("model.bin", NOISE["model.bin"])
    project.ok("add", "-u")
    project.commit("side")
    project.ok("push", "-q")
    project.git("tag", "kept-by-the-test")
    pointers = {path: project.read(f"{path}.vstore") for path in ("data", "model.bin")}
    project.git("checkout", "--quiet", "main")
    project.ok("checkout", "-q")
    project.git("branch", "--quiet", "-D", "side")
    project.git("tag", "-d", "kept-by-the-test")
    forget_reflogs(project)
    make_old(project)
    assert len(collect(project)["retired"]) == 2
    return project, pointers


def fetches(project: Project, pointers: dict[str, bytes], *paths: str) -> bool:
    """Tell whether a machine that has nothing gets versions from the remote alone."""
    fresh = project.clone("fresh")
    for path in paths:
        fresh.write(f"{path}.vstore", pointers[path])
    done = fresh.run("pull", *paths).exit_code == 0
    if "data" in paths:
        done = done and fresh.read("data/noise") == NOISE["data"]
    if "model.bin" in paths:
        done = done and fresh.read("model.bin") == NOISE["model.bin"]
    shutil.rmtree(fresh.path)
    return done


def test_everything_is_brought_back(retired: tuple[Project, dict[str, bytes]]) -> None:
    """What was retired is pushed again without uploading any of it, and counts as pushed today."""
    project, pointers = retired
    before = everything(project)
    planned = project.ok("gc", "--undo", "--dry-run", "--json").json()
    assert everything(project) == before
    assert sorted(version["path"] for version in planned["restored"]) == ["data", "model.bin"]
    project.drop_cache()
    done = project.ok("gc", "--undo", "--json").json()
    assert done["restored"] == planned["restored"] and done["uploaded_bytes"] == 0 and done["failed"] == []
    assert all(is_pushed(project, pointer) for pointer in pointers.values())
    assert len([key for key in everything(project) if key.startswith("packs/")]) == 2
    assert reasons(collect(project))["young"] == 2
    make_old(project, 20)
    collect(project)
    assert fetches(project, pointers, "data", "model.bin")
    assert "Nothing to bring back to store" in project.ok("gc", "--undo").stdout
    make_old(project, 20)
    assert len(collect(project)["retired"]) == 2


def test_one_of_many(retired: tuple[Project, dict[str, bytes]]) -> None:
    """What is meant is named by its path, its digest, or the beginning of one; what is not there is an error."""
    project, pointers = retired
    digest = str(pointer_from_bytes(pointers["data"], "pointer").digest)
    for name in ("model.bin", "model.bin.vstore"):
        planned = project.ok("gc", "--undo", name, "--dry-run", "--json").json()
        assert [version["path"] for version in planned["restored"]] == ["model.bin"]
    for name in (digest, digest[:15]):
        assert [version.path for version in vstore.gc_undo(name, directory=project.path, dry_run=True).restored] == [
            "data"
        ]
    for name in ("data/noise", "xxh128:00000000", "other"):
        refused = project.run("gc", "--undo", name)
        assert refused.exit_code == 1
        assert "Hint: see what can be brought back with `vstore gc --remote store --status`" in refused.stderr
    with pytest.raises(NotFoundError):
        vstore.gc_undo(["data", "other"], directory=project.path)
    done = project.ok("gc", "--undo", "--remote", "store", "--", "data")
    assert "1 version brought back to store" in done.stdout
    assert is_pushed(project, pointers["data"]) and not is_pushed(project, pointers["model.bin"])
    assert fetches(project, pointers, "data")


def test_from_another_clone_without_git_history(retired: tuple[Project, dict[str, bytes]]) -> None:
    """Any clone can bring back what another retired, with nothing in its cache."""
    project, pointers = retired
    clone = project.clone("clone")
    clone.ok("gc", "--undo")
    assert fetches(project, pointers, "data", "model.bin")


def test_doomed_packs_are_copied_out(retired: tuple[Project, dict[str, bytes]]) -> None:
    """When the time of the trash is over, and packs are doomed already, what they hold is copied while it is there."""
    project, pointers = retired
    [entry] = documents(project, "trash")
    kept = entry.read_bytes()
    make_old(project, 15)
    collect(project)
    assert list((project.store / "doomed").iterdir()) and not entry.exists()
    entry.write_bytes(kept)  # as whoever emptied the trash and died, or listed it before
    os.utime(entry, (0, 0))
    project.drop_cache()
    done = project.ok("gc", "--undo", "--json").json()
    assert done["uploaded_bytes"] > 700_000 and len(done["restored"]) == 2
    make_old(project, 2)
    assert collect(project)["deleted_packs"] == 1
    assert fetches(project, pointers, "data", "model.bin")


def test_what_is_gone_is_named(retired: tuple[Project, dict[str, bytes]]) -> None:
    """Of what cannot be brought back the path is named, and the rest is brought back."""
    project, pointers = retired
    pack = max((project.store / "packs").iterdir(), key=lambda path: path.stat().st_size)
    pack.unlink()
    project.drop_cache()
    gone = project.run("gc", "--undo")
    assert gone.exit_code == 12 and "model.bin" in gone.stderr and "data" in gone.stderr
    project.write("model.bin", NOISE["model.bin"])
    project.ok("add", "model.bin")
    partly = project.run("gc", "--undo")
    assert partly.exit_code == 3 and "data: " in partly.stderr and "model.bin" in partly.stdout
    assert fetches(project, pointers, "model.bin")


def test_status_and_undo_are_of_this_project(retired: tuple[Project, dict[str, bytes]]) -> None:
    """What another project retired is neither shown nor brought back, but known to take room."""
    project, _ = retired
    place = project.path.parent / "neighbour"
    place.mkdir()
    neighbour = Project(place)
    neighbour.git("init", "--quiet")
    neighbour.ok("init")
    neighbour.ok("remote", "add", "-d", "store", project.store)
    add_version(neighbour, 5)
    neighbour.git("add", ".")
    neighbour.commit()
    neighbour.ok("push")
    status = neighbour.ok("gc", "--remote", "--status", "--json").json()
    assert status["trash"] == [] and status["trash_bytes"] > 700_000
    assert neighbour.ok("gc", "--undo", "--json").json()["restored"] == []
    give_up(neighbour)
    make_old(neighbour)
    collect(neighbour)
    [entry] = neighbour.ok("gc", "--status", "--json").json()["trash"]
    assert [version["path"] for version in entry["versions"]] == ["data"] and entry["due"] > entry["since"]
    assert neighbour.run("gc", "--undo", "--pushed").exit_code == USAGE
