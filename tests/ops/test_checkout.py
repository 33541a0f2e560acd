"""Checking out: the work tree equals the pointers afterwards, and nothing that is saved nowhere is touched."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.objects.strategies import HURTFUL_NAMES
from tests.project import LARGE, Project
from vstore.api import open_repo
from vstore.cache.writer import open_writer
from vstore.objects.pointer import Pointer, pointer_to_bytes
from vstore.objects.tree import TREE_HEADER

UNSAVED, PARTLY = 11, 3


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data."""
    project.add_data()
    return project


def shape(root: Path) -> object:
    """What lies at a path: contents by name, executables marked, links as their targets."""
    if root.is_symlink():
        return ("link", os.readlink(root))
    if root.is_dir():
        return {name: shape(root / name) for name in sorted(os.listdir(root))}
    return ("x" if root.stat().st_mode & stat.S_IXUSR else "f", root.read_bytes())


def build(root: Path, wanted: object) -> None:
    """Make a path what ``shape`` would say of it."""
    if isinstance(wanted, dict):
        root.mkdir(parents=True, exist_ok=True)
        for name, below in wanted.items():
            build(root / name, below)
    elif isinstance(wanted, tuple) and wanted[0] == "link":
        root.symlink_to(wanted[1])
    elif isinstance(wanted, tuple):
        root.write_bytes(wanted[1])
        root.chmod(0o755 if wanted[0] == "x" else 0o644)


def clear(root: Path) -> None:
    """Remove whatever is at a path."""
    if root.is_dir() and not root.is_symlink():
        for name in os.listdir(root):
            clear(root / name)
        root.rmdir()
    elif os.path.lexists(root):
        root.unlink()


FILE = ("f", b"one\n")
OTHER = ("f", b"another one\n")
BIG = ("f", LARGE)
PROGRAM = ("x", LARGE)
SHAPES = {
    "file": FILE,
    "other file": OTHER,
    "large file": BIG,
    "large program": PROGRAM,
    "empty directory": {"e": {}},
    "nothing": {},
    "files": {"a": FILE, "b": BIG},
    "file at s": {"s": FILE, "t": FILE},
    "large file at s": {"s": BIG},
    "empty directory at s": {"s": {}, "t": FILE},
    "directory at s": {"s": {"x": FILE, "y": OTHER}, "t": FILE},
    "deep at s": {"s": {"x": {"y": {"z": BIG}, "e": {}}}},
    "link at s": {"s": ("link", "t"), "t": FILE},
    "other link at s": {"s": ("link", "u"), "u": {"v": FILE}},
}


@pytest.mark.parametrize("before", SHAPES)
def test_every_shape_becomes_every_other(project: Project, before: str) -> None:
    """Files, links and directories replace each other, in both directions, and nothing is left over."""
    data = project.path / "data"
    commits = {}
    for name, wanted in SHAPES.items():
        clear(data)
        build(data, wanted)
        project.ok("add", "data")
        commits[name] = project.commit(name)
    for name, wanted in SHAPES.items():
        for commit, expected in ((commits[before], SHAPES[before]), (commits[name], wanted)):
            project.git("checkout", "--quiet", commit)
            project.ok("checkout")
            assert shape(data) == expected, f"{before} to {name}"
            project.ok("status", "--check")


def test_unsaved_change_is_kept(filled: Project) -> None:
    """A changed file is neither overwritten nor deleted; it is listed, and only --force lets it go."""
    filled.write("data/a.txt", b"precious\n")
    for args in (["checkout"], ["checkout", "data/a.txt"], ["checkout", "--rev", "HEAD"]):
        outcome = filled.run(*args)
        assert outcome.exit_code == UNSAVED and "data/a.txt" in outcome.stderr + outcome.stdout
        assert filled.read("data/a.txt") == b"precious\n"
    filled.ok("checkout", "--force")
    assert filled.read("data/a.txt") == b"a\n"


def test_other_artifacts_are_restored(filled: Project) -> None:
    """An artifact with unsaved changes does not stop the others."""
    filled.write("data/a.txt", b"precious\n")
    (filled.path / "model.bin").unlink()
    assert filled.run("checkout").exit_code == UNSAVED
    assert filled.read("model.bin") == LARGE[::-1] and filled.read("data/a.txt") == b"precious\n"


def test_new_file_in_the_way_is_kept(filled: Project) -> None:
    """A file that nobody knows, where an older version has one, is not overwritten."""
    (filled.path / "data/a.txt").unlink()
    filled.ok("add", "data")
    filled.commit("less")
    filled.write("data/a.txt", b"precious\n")
    filled.git("checkout", "--quiet", "HEAD~")
    assert filled.run("checkout").exit_code == UNSAVED
    assert filled.read("data/a.txt") == b"precious\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"s": {"x": {"y": FILE}}, "t": FILE}, {"s": ("f", b"precious\n"), "t": FILE}),
        ({"s": FILE, "t": FILE}, {"s": {"deep": {"precious": OTHER}}, "t": FILE}),
        ({"s": {"x": {"y": FILE}}, "t": FILE}, {"s": ("link", "t"), "t": FILE}),
        ({"s": {"x": {"y": FILE}}, "t": FILE}, {"s": ("link", "../outside"), "t": FILE}),
        ({"s": {"x": {"y": FILE}}, "t": FILE}, {"s": {"x": ("link", "../../outside/x")}, "t": FILE}),
        ({"s": FILE, "t": FILE}, ("link", "outside")),
        ({"s": FILE, "t": FILE}, ("f", b"precious\n")),
        (FILE, {"precious": OTHER}),
        (FILE, ("link", "outside")),
    ],
    ids=str,
)
def test_what_stands_where_something_else_belongs_is_kept(project: Project, old: object, new: object) -> None:
    """Unsaved files and links in place of directories and the reverse stay and are listed; --force replaces them."""
    data, outside = project.path / "data", project.path / "outside"
    build(outside, {"x": {"y": ("f", b"not yours\n")}})
    build(data, old)
    project.ok("add", "data")
    clear(data)
    build(data, new)
    outcome = project.run("checkout")
    assert outcome.exit_code == UNSAVED, outcome.stderr
    assert shape(data) == new and shape(outside) == {"x": {"y": ("f", b"not yours\n")}}
    project.ok("checkout", "--force")
    assert shape(data) == old and shape(outside) == {"x": {"y": ("f", b"not yours\n")}}


def test_links_above_the_data_are_not_followed(project: Project) -> None:
    """A link in place of a directory above the data leads nobody outside."""
    project.write("a/b/data/x", b"x\n")
    project.ok("add", "a/b/data")
    (project.path / "a/b/data/x").unlink()
    os.rename(project.path / "a", project.path / "aside")
    elsewhere = project.path.parent / "elsewhere"
    (elsewhere / "b").mkdir(parents=True)
    (elsewhere / "b/data.vstore").write_bytes(project.read("aside/b/data.vstore"))
    (project.path / "a").symlink_to(elsewhere)
    assert project.run("checkout").exit_code == 0
    assert project.run("checkout", "a/b/data").exit_code not in (0, 255)
    assert os.listdir(elsewhere / "b") == ["data.vstore"]


def test_extra_files_are_kept_and_listed(filled: Project) -> None:
    """A file that no version knows stays where it is, and is counted."""
    filled.write("data/a.txt", b"second\n")
    filled.ok("add", "data")
    filled.commit("second")
    filled.write("data/sub/notes", b"mine\n")
    filled.git("checkout", "--quiet", "HEAD~")
    result = filled.ok("checkout", "--json").json()
    (data,) = (done for done in result["artifacts"] if done["path"] == "data")
    assert data["kept"] == ["data/sub/notes"]
    assert filled.read("data/sub/notes") == b"mine\n" and filled.read("data/a.txt") == b"a\n"
    filled.ok("checkout", "--force")
    assert not filled.has("data/sub/notes")


def test_revision_leaves_the_pointers(filled: Project) -> None:
    """--rev brings old data back and leaves the pointers of today; plain checkout brings today's back."""
    filled.write("data/a.txt", b"second\n")
    filled.ok("add", "-u")
    filled.commit("second")
    pointer = filled.read("data.vstore")
    filled.ok("checkout", "--rev", "HEAD~")
    assert filled.read("data/a.txt") == b"a\n" and filled.read("data.vstore") == pointer
    filled.ok("checkout")
    assert filled.read("data/a.txt") == b"second\n"


def test_path_inside_a_tree(filled: Project) -> None:
    """A path inside a tree is restored alone, also where the rest is absent or changed."""
    clear(filled.path / "data")
    filled.ok("checkout", "data/sub")
    assert shape(filled.path / "data") == {"sub": {"b.txt": ("f", b"bb\n")}}
    filled.write("data/a.txt", b"precious\n")
    (filled.path / "data/sub/b.txt").unlink()
    filled.ok("checkout", "data/sub/b.txt")
    assert filled.read("data/sub/b.txt") == b"bb\n" and filled.read("data/a.txt") == b"precious\n"


def test_part_of_another_version_goes_again(filled: Project) -> None:
    """Where one path was taken from another version, going to a third leaves nothing of either behind."""
    filled.write("data/old/only.txt", b"old\n")
    filled.ok("add", "data")
    old = filled.commit("with old")
    clear(filled.path / "data/old")
    filled.write("data/new/only.txt", b"new\n")
    filled.ok("add", "data")
    new = filled.commit("with new")
    filled.ok("checkout", "--rev", old, "data/old")
    assert filled.has("data/old/only.txt") and filled.has("data/new/only.txt")
    filled.git("checkout", "--quiet", f"{old}~")
    filled.ok("checkout")
    assert sorted(os.listdir(filled.path / "data")) == ["a.txt", "large.bin", "sub"]
    filled.git("checkout", "--quiet", new)
    filled.ok("checkout")
    filled.ok("status", "--check")


def test_artifact_without_pointer_goes(filled: Project) -> None:
    """What vstore put there goes when its pointer is gone, unless it was changed."""
    filled.git("checkout", "--quiet", "-b", "empty")
    filled.git("rm", "--quiet", "--cached", "data.vstore", "model.bin.vstore")
    (filled.path / "data.vstore").unlink()
    (filled.path / "model.bin.vstore").unlink()
    filled.write("model.bin", b"precious")
    filled.ok("checkout")
    assert not filled.has("data") and filled.read("model.bin") == b"precious"
    filled.git("reset", "--quiet", "--hard")
    assert filled.run("checkout").exit_code == UNSAVED
    assert filled.read("data/large.bin") == LARGE and filled.read("model.bin") == b"precious"


def test_part_without_pointer_goes(filled: Project) -> None:
    """So does a part of a tree that was checked out alone."""
    clear(filled.path / "data")
    (filled.path / ".git/vstore/state.db").unlink()
    filled.ok("checkout", "data/sub")
    (filled.path / "data.vstore").unlink()
    outcome = filled.ok("checkout")
    assert not filled.has("data"), outcome.stdout


def test_artifact_that_git_ignores_stays(filled: Project) -> None:
    """An artifact added by force where git ignores its pointer is not taken for one whose pointer is gone."""
    filled.write("ignored/data/x", b"x\n")
    filled.write(".git/info/exclude", b"/ignored\n")
    filled.ok("add", "--force", "ignored/data")
    filled.ok("checkout")
    assert filled.read("ignored/data/x") == b"x\n"


@pytest.mark.parametrize("damage", ["conflict", "link", "odd name"])
def test_broken_pointer_stops_nobody_else(filled: Project, damage: str) -> None:
    """What cannot be read as a pointer is told of; its data stays, and the others are restored."""
    pointer = filled.path / "data.vstore"
    if damage == "conflict":
        pointer.write_bytes(b"<<<<<<< ours\n" + pointer.read_bytes())
    elif damage == "link":
        pointer.rename(filled.path / "aside")
        pointer.symlink_to("aside")
    else:
        (filled.path / os.fsdecode(b"\xff.vstore")).write_bytes(pointer.read_bytes())
    (filled.path / "model.bin").unlink()
    assert filled.run("status").exit_code in (0, PARTLY)
    outcome = filled.run("checkout")
    assert outcome.exit_code not in (0, 255), outcome.stderr
    assert filled.read("model.bin") == LARGE[::-1] and filled.read("data/large.bin") == LARGE


def test_without_state(filled: Project) -> None:
    """The state is only a hint: without it, or with a damaged one, old versions come back and changes are kept."""
    filled.write("data/a.txt", b"second\n")
    clear(filled.path / "data/sub")
    filled.ok("add", "data")
    filled.commit("second")
    state = filled.path / ".git/vstore/state.db"
    for number, damage in enumerate((None, b"", b"garbage", state.read_bytes()[:5000])):
        for commit in ("main~", "main"):
            if damage is None:
                state.unlink()
            else:
                state.write_bytes(damage)
            filled.git("checkout", "--quiet", commit)
            filled.write("model.bin", b"precious %d" % number)
            assert filled.run("checkout").exit_code == UNSAVED
            assert filled.read("data/a.txt") == (b"a\n" if commit == "main~" else b"second\n")
            assert filled.has("data/sub/b.txt") == (commit == "main~")
            assert filled.read("model.bin") == b"precious %d" % number


def test_lost_cache_takes_nothing_along(filled: Project) -> None:
    """What only the work tree holds, because the cache was lost, survives going to another version and back."""
    filled.write("data/a.txt", b"second\n")
    filled.ok("add", "data")
    filled.commit("second")
    filled.add_remote()
    filled.git("checkout", "--quiet", "main~")
    filled.ok("checkout")
    filled.ok("push")
    filled.git("checkout", "--quiet", "main")
    filled.ok("checkout")
    filled.drop_cache()
    before = shape(filled.path / "data")
    filled.git("checkout", "--quiet", "main~")
    filled.run("pull")
    filled.git("checkout", "--quiet", "main")
    filled.run("checkout")
    assert shape(filled.path / "data") == before


def test_partly_lost_cache_takes_nothing_along(filled: Project) -> None:
    """A file of a version whose cached content is lost goes back into the cache before it leaves the work tree."""
    (filled.path / "data/large.bin").unlink()
    filled.ok("add", "data")
    filled.commit("less")
    filled.git("checkout", "--quiet", "HEAD~")
    filled.ok("checkout")
    objects = filled.path / ".git/vstore/cache/objects"
    (held,) = (path for path in objects.rglob("*") if path.is_file() and path.read_bytes() == LARGE)
    held.unlink()
    filled.git("checkout", "--quiet", "main")
    filled.ok("checkout")
    assert not filled.has("data/large.bin") and held.read_bytes() == LARGE


def test_missing_contents_are_named(filled: Project) -> None:
    """What can be restored is; what is missing is listed, with the exit code for it."""
    clear(filled.path / "data")
    objects = filled.path / ".git/vstore/cache/objects"
    lost = [path for path in objects.rglob("*") if path.is_file() and path.read_bytes() == LARGE]
    lost[0].unlink()
    outcome = filled.run("checkout")
    assert outcome.exit_code == PARTLY and "data/large.bin" in outcome.stderr
    assert filled.read("data/sub/b.txt") == b"bb\n" and not filled.has("data/large.bin")
    assert filled.ok("checkout", "--allow-missing").stdout == "Left out 1 path: not in the cache.\n"


def test_damaged_object_is_not_passed_on(filled: Project) -> None:
    """A damaged object is found out, set aside and named; a file in its place stays as it is."""
    clear(filled.path / "data")
    objects = filled.path / ".git/vstore/cache/objects"
    (held,) = (path for path in objects.rglob("*") if path.is_file() and path.read_bytes() == LARGE)
    held.chmod(0o644)
    held.write_bytes(b"X" + LARGE[1:])
    outcome = filled.run("checkout")
    assert outcome.exit_code == PARTLY and "data/large.bin" in outcome.stderr
    assert not filled.has("data/large.bin")
    filled.write("data/large.bin", LARGE)
    filled.ok("add", "data")
    filled.ok("status", "--check")


@pytest.mark.parametrize("name", HURTFUL_NAMES)
def test_names_that_hurt(project: Project, name: str) -> None:
    """Such names come back, as artifacts of their own (where a pointer can stand beside them) and inside one."""
    alone = len(os.fsencode(name + ".vstore")) <= 255 and not name.endswith(".vstore") and name != ".gitignore"
    project.write(f"data/{name}/{name}", b"inside\n")
    project.ok("add", "data")
    project.ok("add", f"data/{name}/{name}")
    if alone:
        project.write(name, b"alone\n")
        project.ok("add", "--", name)
        assert project.git("status", "--porcelain", "-z", "--untracked-files=all").count("\0") == 5
    project.commit()
    clone = project.clone()
    clone.ok("status")
    project.add_remote()
    project.ok("push")
    clone.add_remote()
    clone.ok("config", "set", "remote.store.url", project.store)
    clone.ok("pull")
    assert clone.read(f"data/{name}/{name}") == b"inside\n"
    assert not alone or clone.read(name) == b"alone\n"
    (clone.path / f"data/{name}/{name}").unlink()
    clone.ok("checkout", "--", f"data/{name}/{name}")
    clone.ok("status", "--check")


@pytest.mark.parametrize("verb", ["checkout", "pull"])
def test_path_that_is_in_no_version(filled: Project, verb: str) -> None:
    """A path inside a tracked directory that is neither there nor on disk is an error, whatever lies around it."""
    filled.add_remote()
    filled.ok("push")
    for path, (inner, root) in {"data/nope": ("nope", "data"), "model.bin/nope": ("nope", "model.bin")}.items():
        outcome = filled.run(verb, path)
        assert outcome.exit_code == 1
        assert f"there is no {inner} in {root}" in outcome.stderr
    filled.write("data/a.txt", b"changed\n")
    assert filled.run(verb, "data/nope").exit_code == 1
    filled.ok(verb, "data/sub")


def test_what_could_not_be_placed_was_never_here(filled: Project) -> None:
    """A checkout that finds nothing in the cache leaves an artifact absent, not deleted."""
    clone = filled.clone()
    assert clone.run("checkout").exit_code == PARTLY
    assert {found["data"] for found in clone.ok("status", "--json").json()["artifacts"]} == {"absent"}


def test_what_could_be_placed_in_part_asks_for_the_rest(filled: Project) -> None:
    """Files that a checkout lacked are not deleted: the next step is to get them, and not to take that for a change."""
    for path in (filled.path / ".git/vstore/cache/objects/xxh128").rglob("*/*"):
        path.unlink()
    clear(filled.path / "data")
    assert filled.run("checkout", "data").exit_code == PARTLY
    (found,) = filled.ok("status", "data", "--json").json()["artifacts"]
    assert (found["data"], found["deleted"], found["not_in_cache"]) == ("outdated", [], 1)
    assert "Next: vstore pull" in filled.ok("status", "data").stdout
    (filled.path / "data/a.txt").unlink()
    (found,) = filled.ok("status", "data", "--json").json()["artifacts"]
    assert (found["data"], found["deleted"]) == ("modified", ["a.txt"])
    assert "Next: vstore add -u" in filled.ok("status", "data").stdout


@pytest.mark.parametrize("is_fetched", [True, False])
def test_what_comes_after_a_checkout_in_part_was_not_deleted(filled: Project, is_fetched: bool) -> None:
    """When the cache has what a checkout lacked, the files still count as never having been here."""
    filled.add_remote()
    filled.ok("push")
    lost = filled.path / ".git/vstore/cache/objects"
    lost.rename(filled.path.parent / "lost")
    clear(filled.path / "data")
    assert filled.run("checkout", "data").exit_code == PARTLY
    if is_fetched:
        filled.ok("fetch")
    else:
        shutil.copytree(filled.path.parent / "lost", lost, dirs_exist_ok=True)
    (found,) = filled.ok("status", "data", "--json").json()["artifacts"]
    assert (found["data"], found["deleted"], found["not_in_cache"]) == ("outdated", [], 0)
    before = filled.read("data.vstore")
    filled.ok("add", "-u")
    assert filled.read("data.vstore") == before
    filled.write("data/a.txt", b"mine\n")
    (found,) = filled.ok("status", "data", "--json").json()["artifacts"]
    assert (found["modified"], found["deleted"]) == (["a.txt"], [])
    filled.ok("add", "-u")
    assert "large.bin" in filled.ok("ls", "-R", "data").stdout
    filled.ok("checkout")
    assert filled.read("data/large.bin") == LARGE and filled.read("data/a.txt") == b"mine\n"
    filled.ok("status", "data", "--check")


@pytest.mark.parametrize("name", ["../../../evil", "/tmp/evil", ".git/hooks/post-checkout", "a/../../../evil"])
def test_stranger_tree_is_refused(filled: Project, name: str) -> None:
    """A tree that names what lies outside of its directory, or belongs to git, is not written, and the rest is."""
    (filled.path / "model.bin").unlink()
    with open_repo(filled.path) as repo, open_writer(repo.cache) as writer:
        evil = writer.add_bytes(b"evil\n", "xxh128")
        tree = writer.add_bytes(f"{TREE_HEADER}f\t5\t{evil}\t{name}\n".encode(), "xxh128")
    (filled.path / "data.vstore").write_bytes(pointer_to_bytes(Pointer("tree", tree, 5, 1)))
    outcome = filled.run("checkout")
    assert outcome.exit_code == PARTLY and "refuses to track" in outcome.stderr
    assert filled.has("model.bin") and filled.read("data/a.txt") == b"a\n"
    assert not list(filled.path.parent.rglob("*evil")) and not filled.has("data/.git")
